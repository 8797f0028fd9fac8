#pragma once

/// ProcessDirectory: a temporary directory of one process that others remove when it was killed.

#include <string>
#include <string_view>
#include <utility>

#include "common/base/status.h"
#include "common/io/temp_directory.h"

namespace flink::io {

/// "<parent>/<prefix>-<pid>-XXXXXX", removed with the object. A lock on the file "lock" in it tells
/// other processes, also those of other containers, that its owner lives. Movable; externally
/// synchronized.
class ProcessDirectory {
 public:
  /// First removes what processes that are gone left below `parent` under the same prefix.
  static StatusOr<ProcessDirectory> Create(const std::string& prefix, const std::string& parent);
  ~ProcessDirectory();
  ProcessDirectory(ProcessDirectory&& other) noexcept;
  ProcessDirectory& operator=(ProcessDirectory&&) = delete;

  const std::string& path() const { return root_.path(); }
  /// A path inside.
  std::string File(std::string_view name) const { return root_.File(name); }

 private:
  explicit ProcessDirectory(TempDirectory root) : root_(std::move(root)) {}

  TempDirectory root_;
  int lock_ = -1;
};

}  // namespace flink::io
