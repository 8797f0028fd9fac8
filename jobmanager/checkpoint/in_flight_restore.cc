#include "jobmanager/checkpoint/in_flight_restore.h"

#include "common/snapshot/in_flight_plan.h"
#include "flink/key_group.h"

namespace flink::jobmanager {
namespace {

using graph::ShipStrategy;

pb::cluster::v1::InFlightRestore RestoreOf(const snapshot::ChannelStateHandle& handle,
                                           const std::string& directory) {
  pb::cluster::v1::InFlightRestore restore;
  snapshot::SubtaskState state;
  state.input_channel_state.push_back(handle);
  restore.set_state(snapshot::EncodeSubtaskState(state));
  restore.set_base_directory(directory);
  restore.set_gate(handle.gate_or_partition);
  return restore;
}

}  // namespace

void DistributeInFlightData(const snapshot::LoadedSnapshot& snapshot, const graph::JobGraph& graph,
                            size_t vertex, int max_parallelism, RestoredState& result) {
  const graph::JobVertex& target = graph.vertices[vertex];
  const snapshot::OperatorSnapshot* op =
      snapshot.metadata.FindOperator(target.operators.front().id);
  if (op == nullptr) return;
  const std::vector<snapshot::InFlightEdge> edges =
      snapshot::InFlightEdges(snapshot.metadata, graph, vertex);
  for (const auto& [index, state] : op->subtasks) {
    const KeyGroupRange old_groups = RangeForOperator(max_parallelism, op->parallelism, index);
    for (const snapshot::ChannelStateHandle& handle : state.input_channel_state) {
      const snapshot::InFlightEdge& edge = edges.at(static_cast<size_t>(handle.gate_or_partition));
      auto restore = RestoreOf(handle, snapshot.directory);
      const int channels = edge.strategy == ShipStrategy::kForward ? 1 : edge.producers;
      restore.set_channel(handle.channel % channels);
      if (edge.same_consumers) {
        restore.set_with_events(edge.same_producers);
        result.in_flight[{target.id, index}].push_back(restore);
        continue;
      }
      if (edge.strategy != ShipStrategy::kHash) {
        result.in_flight[{target.id, index % target.parallelism}].push_back(restore);
        continue;
      }
      restore.set_own_keys_only(true);
      for (int i = 0; i < target.parallelism; ++i) {
        const KeyGroupRange range = RangeForOperator(max_parallelism, target.parallelism, i);
        if (range.Intersect(old_groups).empty()) continue;
        result.in_flight[{target.id, i}].push_back(restore);
      }
    }
  }
}

}  // namespace flink::jobmanager
