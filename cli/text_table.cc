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
  std::string printable(text);
  for (char& c : printable) {
    if (static_cast<uint8_t>(c) < 0x20 || c == 0x7f) c = '?';
  }
  return printable;
}

}  // namespace flink::cli
