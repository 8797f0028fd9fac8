#pragma once

/// From the stream graph that a program describes to the job graph that is submitted: operators get
/// their ids and are chained to vertices. Pure functions, thread-safe.

#include <optional>
#include <string>
#include <vector>

#include "api/flink/stream_graph.h"
#include "common/base/status.h"
#include "common/graph/job_graph.h"

namespace flink::graph {

struct JobGraphOptions {
  /// For operators whose parallelism neither they nor the program set.
  int default_parallelism = 1;
  /// Where neither the operator nor the program set one; unset: derived from the parallelism.
  std::optional<int> max_parallelism = std::nullopt;
  /// False: an operator without uid is an error (pipeline.auto-generate-uids).
  bool auto_generate_uids = true;
};

/// Two operators share a vertex when a forward edge is the only input of the second, both have the
/// same parallelism setting and their chaining strategies allow it. The result does not depend on
/// `default_parallelism`, except for the numbers in JobVertex::parallelism and max_parallelism.
/// Forward edges between different settings become rebalance. Errors: no operators, ids that are
/// not unique, parallelism above the maximum, a missing uid.
StatusOr<JobGraph> BuildJobGraph(const StreamGraph& stream_graph, const JobGraphOptions& options);

/// Names of the stateful operators without uid: their state is lost when the job's shape changes.
std::vector<std::string> StatefulOperatorsWithoutUid(const StreamGraph& stream_graph);

/// The plan as `flink info` prints it: JSON with the nodes before chaining.
std::string PlanJson(const StreamGraph& stream_graph, int default_parallelism);

}  // namespace flink::graph
