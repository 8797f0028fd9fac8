#include "cli/progress_line.h"

namespace flink::cli {
namespace {
constexpr char kBackToAnEmptyLine[] = "\r\x1b[K";
}  // namespace

void ProgressLine::Show(const std::string& text) {
  if (!on_terminal_ || text == shown_) return;
  out_ << kBackToAnEmptyLine << text << std::flush;
  shown_ = text;
}

void ProgressLine::Clear() {
  if (!shown_.empty()) out_ << kBackToAnEmptyLine << std::flush;
  shown_.clear();
}

}  // namespace flink::cli
