#include "common/snapshot/snapshot_operator.h"

#include <utility>

namespace flink::snapshot {

std::vector<SnapshotOperator> OperatorsOf(const graph::JobGraph& graph) {
  std::vector<SnapshotOperator> operators;
  for (const graph::JobVertex& vertex : graph.vertices) {
    for (const graph::OperatorDescription& op : vertex.operators) {
      SnapshotOperator described;
      described.id = op.id;
      described.name = op.name;
      described.uid = op.uid;
      described.vertex = vertex.id;
      described.parallelism = vertex.parallelism;
      described.max_parallelism = vertex.max_parallelism;
      described.stateful = op.stateful;
      described.keyed = op.keyed;
      operators.push_back(std::move(described));
    }
  }
  return operators;
}

}  // namespace flink::snapshot
