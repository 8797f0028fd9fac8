#include "cli/text_table.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <ctime>

namespace flink::cli {
namespace {

constexpr size_t kGap = 2;

/// Code points, which is what most terminals give one column each.
size_t ColumnsOf(std::string_view utf8) {
  return static_cast<size_t>(std::count_if(
      utf8.begin(), utf8.end(), [](char c) { return (static_cast<uint8_t>(c) & 0xc0) != 0x80; }));
}

/// The length of the UTF-8 sequence at the begin of `text`; 0 when there is none.
size_t SequenceLength(std::string_view text) {
  const auto byte = [&](size_t i) {
    return i < text.size() ? static_cast<uint8_t>(text[i]) : uint8_t{0};
  };
  const uint8_t first = byte(0);
  if (first < 0x80) return 1;
  if (first < 0xc2 || first > 0xf4) return 0;
  const size_t length = first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  // Overlong, a surrogate, or beyond the last code point.
  const bool overlong = (first == 0xe0 && byte(1) < 0xa0) || (first == 0xf0 && byte(1) < 0x90);
  const bool no_code_point = (first == 0xed && byte(1) > 0x9f) || (first == 0xf4 && byte(1) > 0x8f);
  return overlong || no_code_point ? 0 : length;
}

}  // namespace

void TextTable::AddRow(std::vector<std::string> cells, std::string below) {
  cells.resize(columns_.size());
  rows_.push_back({std::move(cells), std::move(below)});
}

std::vector<size_t> TextTable::Widths() const {
  std::vector<size_t> widths;
  for (size_t i = 0; i < columns_.size(); ++i) {
    size_t width = ColumnsOf(columns_[i].title);
    for (const Row& row : rows_) width = std::max(width, ColumnsOf(row.cells[i]));
    widths.push_back(width);
  }
  return widths;
}

size_t TextTable::Width() const {
  size_t total = 0;
  for (const size_t width : Widths()) total += width + kGap;
  return total - kGap;
}

std::string TextTable::Format(size_t indent) const {
  const std::vector<size_t> widths = Widths();
  std::string out;
  const auto add_line = [&](const auto& cell_of) {
    std::string line(indent, ' ');
    for (size_t i = 0; i < columns_.size(); ++i) {
      const std::string& cell = cell_of(i);
      const std::string padding(widths[i] - ColumnsOf(cell), ' ');
      line += columns_[i].align == Align::kRight ? padding + cell : cell + padding;
      line.append(kGap, ' ');
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  };
  add_line([this](size_t i) -> const std::string& { return columns_[i].title; });
  for (const Row& row : rows_) {
    add_line([&row](size_t i) -> const std::string& { return row.cells[i]; });
    if (!row.below.empty()) out += std::string(indent + kGap, ' ') + row.below + "\n";
  }
  return out;
}

std::string FormatBytes(int64_t bytes) {
  static constexpr std::array<const char*, 5> kUnits = {"B", "KiB", "MiB", "GiB", "TiB"};
  if (bytes < 1024) return fmt::format("{} B", bytes);
  auto value = static_cast<double>(bytes);
  size_t unit = 0;
  for (; value >= 1024 && unit + 1 < kUnits.size(); ++unit) value /= 1024;
  return fmt::format("{:.1f} {}", value, kUnits[unit]);
}

std::string FormatTimestamp(int64_t epoch_ms) {
  const std::time_t seconds = epoch_ms / 1000;
  std::tm local{};
  if (localtime_r(&seconds, &local) == nullptr) return "?";
  char text[32];
  return std::string(text, std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S", &local));
}

size_t TerminalWidth() {
  winsize size{};
  if (isatty(STDOUT_FILENO) == 0 || ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0) return 0;
  return size.ws_col;
}

std::string Printable(std::string_view text) {
  std::string printable;
  while (!text.empty()) {
    const size_t length = SequenceLength(text);
    const auto byte = [&text](size_t i) { return static_cast<uint8_t>(text[i]); };
    // Also those that take two bytes, U+0080 to U+009F.
    const bool control =
        byte(0) < 0x20 || byte(0) == 0x7f || (length == 2 && byte(0) == 0xc2 && byte(1) < 0xa0);
    if (length == 0 || control) {
      printable += '?';
    } else {
      printable += text.substr(0, length);
    }
    text.remove_prefix(length == 0 ? 1 : length);
  }
  return printable;
}

bool IsUtf8(std::string_view text) {
  while (!text.empty()) {
    const size_t length = SequenceLength(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

}  // namespace flink::cli
