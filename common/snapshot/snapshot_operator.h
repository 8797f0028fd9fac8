#pragma once

/// The operators of a job as its snapshots know them.

#include <string>
#include <vector>

#include "common/base/ids.h"
#include "common/graph/job_graph.h"

namespace flink::snapshot {

struct SnapshotOperator {
  OperatorId id;
  std::string name;
  std::string uid;  ///< Empty: the id was generated.
  JobVertexId vertex;
  int parallelism = 1;
  int max_parallelism = 128;
  bool stateful = false;
  bool keyed = false;
};
/// Vertex by vertex, each in the order of its chain.
std::vector<SnapshotOperator> OperatorsOf(const graph::JobGraph& graph);

}  // namespace flink::snapshot
