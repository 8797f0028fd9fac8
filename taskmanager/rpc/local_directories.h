#pragma once

/// LocalDirectories: where a TaskManager and its executors put temporary files.

#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/io/process_directory.h"

namespace flink::taskmanager {

/// One directory "flink-cpp-tm-<pid>-XXXXXX" below each of io.tmp.dirs, removed with the object. A
/// lock on a file in it tells other TaskManagers, also those of other containers, that its owner
/// lives. Externally synchronized.
class LocalDirectories {
 public:
  /// No parents: $TMPDIR, else /tmp. First removes what TaskManagers that are gone left below
  /// `parents`.
  static StatusOr<LocalDirectories> Create(std::vector<std::string> parents);

  /// For job libraries.
  std::string ArtifactDirectory() const;
  /// A fresh directory whose name begins with `prefix`; the parents take turns.
  StatusOr<io::TempDirectory> CreateWorkDirectory(const std::string& prefix);
  std::vector<std::string> paths() const;

 private:
  LocalDirectories() = default;

  std::vector<io::ProcessDirectory> roots_;
  size_t next_ = 0;
};

/// The elements of io.tmp.dirs, which ',' or ':' separate.
std::vector<std::string> ParseTmpDirectories(const std::string& text);

}  // namespace flink::taskmanager
