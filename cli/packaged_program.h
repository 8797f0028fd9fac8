#pragma once

/// A job library on the client's side: found, loaded, and asked for its dataflow.

#include <string>
#include <vector>

#include "api/flink/stream_graph.h"
#include "api/graph/job_graph_builder.h"
#include "cli/command.h"
#include "common/graph/job_graph.h"

namespace flink::cli {

struct PackagedProgram {
  std::string library_path;  ///< Absolute.
  std::string library_name;  ///< As the user gave it, without folders.
  /// The client's; relative paths among the arguments are taken from it, wherever the program runs.
  std::string working_directory;
  std::vector<std::string> arguments;
  StreamGraph stream_graph;
  graph::JobGraphOptions options;
  graph::JobGraph job_graph;

  /// Whether the program described a dataflow at all.
  bool has_job() const { return !stream_graph.nodes.empty(); }
};

/// Finds the job library among the arguments of `run` or `info`, loads it into this process and
/// runs its entry; what the program prints comes out on stdout. An error is one line that says what
/// to do.
StatusOr<PackagedProgram> LoadProgram(const CommandContext& context);

}  // namespace flink::cli
