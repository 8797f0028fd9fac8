#include "common/graph/job_graph.h"

#include <xxhash.h>

namespace flink::graph {

const char* ToString(ShipStrategy strategy) {
  switch (strategy) {
    case ShipStrategy::kForward:
      return "FORWARD";
    case ShipStrategy::kHash:
      return "HASH";
    case ShipStrategy::kRebalance:
      return "REBALANCE";
  }
  return "FORWARD";
}

uint64_t JobGraph::Digest() const {
  std::string text;
  for (const JobVertex& vertex : vertices) {
    text += vertex.id.ToHex() + vertex.name;
    for (const OperatorDescription& op : vertex.operators) {
      text += '|' + std::to_string(op.node_id) + op.id.ToHex() + op.name;
    }
    text += '\n';
  }
  for (const JobEdge& edge : edges) {
    text += std::to_string(edge.source_node) + '>' + std::to_string(edge.target_node) + ':' +
            std::to_string(edge.input_index) + ToString(edge.ship_strategy) + '\n';
  }
  return XXH3_64bits(text.data(), text.size());
}

}  // namespace flink::graph
