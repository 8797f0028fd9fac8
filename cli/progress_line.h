#pragma once

/// How far a long operation is, on one line of a terminal that is rewritten in place. One thread.

#include <ostream>
#include <string>

namespace flink::cli {

/// Silent when nobody watches. The line is gone when the object is.
class ProgressLine {
 public:
  /// `out` must outlive it.
  ProgressLine(std::ostream& out, bool on_terminal) : out_(out), on_terminal_(on_terminal) {}
  ~ProgressLine() { Clear(); }
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  bool visible() const { return on_terminal_; }
  /// One line without its end; nothing happens when it is there already.
  void Show(const std::string& text);
  void Clear();

 private:
  std::ostream& out_;
  const bool on_terminal_;
  std::string shown_;
};

}  // namespace flink::cli
