#include "common/snapshot/in_flight_plan.h"

#include <algorithm>

#include "common/base/status.h"

namespace flink::snapshot {

bool HasInFlightData(const OperatorSnapshot& op) {
  return std::any_of(op.subtasks.begin(), op.subtasks.end(), [](const auto& entry) {
    return !entry.second.input_channel_state.empty() || !entry.second.output_channel_state.empty();
  });
}

std::vector<InFlightEdge> InFlightEdges(const CheckpointMetadata& metadata,
                                        const graph::JobGraph& graph, size_t vertex) {
  const auto is_unchanged = [&](const graph::JobVertex& v) {
    const OperatorSnapshot* head = metadata.FindOperator(v.operators.front().id);
    return head != nullptr && head->parallelism == v.parallelism;
  };
  std::vector<InFlightEdge> edges;
  for (const graph::JobEdge& job_edge : graph.edges) {
    if (job_edge.target_vertex != static_cast<int>(vertex)) continue;
    const graph::JobVertex& source = graph.vertices[static_cast<size_t>(job_edge.source_vertex)];
    InFlightEdge edge;
    edge.strategy = job_edge.ship_strategy;
    edge.producers = source.parallelism;
    edge.same_producers = is_unchanged(source);
    edge.same_consumers = is_unchanged(graph.vertices[vertex]);
    edges.push_back(edge);
  }
  return edges;
}

std::vector<std::string> InFlightProblems(const CheckpointMetadata& metadata,
                                          const graph::JobGraph& graph, size_t vertex,
                                          bool is_ours) {
  const graph::JobVertex& target = graph.vertices[vertex];
  for (size_t i = 1; i < target.operators.size(); ++i) {
    const OperatorSnapshot* op = metadata.FindOperator(target.operators[i].id);
    if (op == nullptr || !HasInFlightData(*op)) continue;
    return {fmt::format(
        "which has \"{}\" in another place of its chain now: restore the unchanged job, take a "
        "savepoint and start the new job from that",
        target.operators[i].name)};
  }
  const OperatorSnapshot* op = metadata.FindOperator(target.operators.front().id);
  if (op == nullptr || !HasInFlightData(*op)) return {};
  if (!is_ours) {
    return {
        "and another system wrote it: take a savepoint there, which has none, and restore from "
        "that"};
  }
  const std::vector<InFlightEdge> edges = InFlightEdges(metadata, graph, vertex);
  for (const auto& [index, state] : op->subtasks) {
    for (const ChannelStateHandle& handle : state.input_channel_state) {
      const int gate = handle.gate_or_partition;
      if (gate < 0 || static_cast<size_t>(gate) >= edges.size()) {
        return {
            "which has other inputs now: restore the unchanged job, take a savepoint and start the "
            "new job from that"};
      }
      const InFlightEdge& edge = edges[static_cast<size_t>(gate)];
      const bool rescaled = !edge.same_producers || !edge.same_consumers;
      if (edge.strategy == graph::ShipStrategy::kForward && rescaled) {
        return {fmt::format(
            "which gets them from subtask to subtask (forward), so its parallelism {} cannot "
            "become {}: restore with parallelism {}, or from a savepoint",
            op->parallelism, target.parallelism, op->parallelism)};
      }
    }
  }
  return {};
}

}  // namespace flink::snapshot
