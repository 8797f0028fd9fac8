#pragma once

/// How the client prints tables, sizes and times.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace flink::cli {

/// Text in columns, two blanks apart. Value type.
class TextTable {
 public:
  enum class Align { kLeft, kRight };
  struct Column {
    std::string title;
    Align align = Align::kLeft;
  };
  explicit TextTable(std::vector<Column> columns) : columns_(std::move(columns)) {}

  /// `cells`: one per column. `below`, if not empty, is a line of its own beneath the row.
  void AddRow(std::vector<std::string> cells, std::string below = "");
  /// Of the widest line, the lines beneath rows left out.
  size_t Width() const;
  /// Every line with a newline; no blanks at the ends of lines.
  std::string Format(size_t indent = 0) const;

 private:
  struct Row {
    std::vector<std::string> cells;
    std::string below;
  };
  std::vector<size_t> Widths() const;

  std::vector<Column> columns_;
  std::vector<Row> rows_;
};

/// "512 B", "12.3 KiB", "4.0 GiB".
std::string FormatBytes(int64_t bytes);
/// "2026-11-21 12:00:00" in local time.
std::string FormatTimestamp(int64_t epoch_ms);
/// Columns of the terminal that stdout is; 0 when it is none.
size_t TerminalWidth();
/// Control characters of names that come from files, which could play tricks with a terminal, and
/// bytes that are no UTF-8 replaced by '?'.
std::string Printable(std::string_view text);
/// Whether all of it is UTF-8: no stray bytes, overlong forms or surrogates.
bool IsUtf8(std::string_view text);

}  // namespace flink::cli
