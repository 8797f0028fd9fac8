#pragma once

/// Job libraries: loading one, and running its entry.

#include <string>
#include <vector>

#include "api/flink/stream_graph.h"
#include "common/base/status.h"

namespace flink::internal {
struct JobEntry;
}

namespace flink::graph {

/// A loaded job library. Never unloaded: its code may be referenced from anywhere. Copyable;
/// thread-safe after Load.
class JobLibrary {
 public:
  /// Errors, one line each that names the file: it does not exist, is not a shared library, needs
  /// something that is not there, is not a job, or was built against other headers than this
  /// program.
  static StatusOr<JobLibrary> Load(const std::string& path);

  /// Runs the program's description of its dataflow. Relative paths in connectors are taken from
  /// `working_directory` (empty: the process's own). An exception of the program is an error with
  /// its text.
  StatusOr<StreamGraph> Describe(const std::vector<std::string>& args,
                                 const std::string& working_directory) const;

  const std::string& path() const { return path_; }

 private:
  JobLibrary(std::string path, const internal::JobEntry* entry)
      : path_(std::move(path)), entry_(entry) {}

  std::string path_;
  const internal::JobEntry* entry_;
};

}  // namespace flink::graph
