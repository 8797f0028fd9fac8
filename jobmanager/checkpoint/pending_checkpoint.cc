#include "jobmanager/checkpoint/pending_checkpoint.h"

#include <utility>

namespace flink::jobmanager {

PendingCheckpoint::PendingCheckpoint(CheckpointId checkpoint, CheckpointRequest from,
                                     const CheckpointPlan& checkpoint_plan, int64_t now_ms)
    : id(checkpoint),
      request(std::move(from)),
      plan(checkpoint_plan),
      trigger_timestamp_ms(now_ms) {
  for (const CheckpointPlan::Vertex& vertex : plan.vertices) {
    for (int32_t i = 0; i < vertex.parallelism; ++i) {
      if (plan.finished.count({vertex.id, i}) == 0) subtasks_left.insert(SubtaskRef{vertex.id, i});
    }
  }
  for (const CheckpointPlan::Coordinator& coordinator : plan.coordinators) {
    // A finished operator has no state at all.
    if (!plan.IsFinished(coordinator.vertex)) coordinators_left.insert(coordinator.op);
  }
}

PendingCheckpoint::AckResult PendingCheckpoint::AckSubtask(const SubtaskRef& subtask,
                                                           SubtaskSnapshot&& snapshot) {
  if (stage == Stage::kCreatingLocation) return AckResult::kUnknown;
  if (subtasks_left.erase(subtask) == 0) {
    for (const CheckpointPlan::Vertex& vertex : plan.vertices) {
      if (vertex.id == subtask.vertex && subtask.subtask >= 0 &&
          subtask.subtask < vertex.parallelism) {
        return AckResult::kDuplicate;
      }
    }
    return AckResult::kUnknown;
  }
  state_size += snapshot.metrics.state_size;
  if (snapshot.end_of_data) end_of_data.push_back(subtask);
  if (snapshot.finished) plan.finished.insert(subtask);
  subtasks[subtask] = std::move(snapshot);
  return AckResult::kAccepted;
}

PendingCheckpoint::AckResult PendingCheckpoint::AckCoordinator(const OperatorId& op,
                                                               std::string state) {
  if (stage != Stage::kTriggering || coordinators_left.erase(op) == 0) return AckResult::kDuplicate;
  coordinators[op] = std::move(state);
  return AckResult::kAccepted;
}

bool PendingCheckpoint::VertexReady(const JobVertexId& vertex) const {
  for (const CheckpointPlan::Coordinator& coordinator : plan.coordinators) {
    if (coordinator.vertex == vertex && coordinators_left.count(coordinator.op) != 0) return false;
  }
  return true;
}

}  // namespace flink::jobmanager
