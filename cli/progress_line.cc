#include "cli/progress_line.h"

#include <array>

#include "common/base/status.h"

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

std::string ReadableSize(int64_t bytes) {
  static constexpr std::array kUnits = {"B", "KB", "MB", "GB", "TB"};
  if (bytes < 1024) return fmt::format("{} B", bytes);
  auto size = static_cast<double>(bytes);
  size_t unit = 0;
  for (; size >= 1024 && unit + 1 < kUnits.size(); ++unit) size /= 1024;
  return fmt::format("{:.1f} {}", size, kUnits[unit]);
}

}  // namespace flink::cli
