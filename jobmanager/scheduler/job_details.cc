#include "jobmanager/scheduler/job_details.h"

#include <algorithm>

namespace flink::jobmanager {

int64_t SubtaskDetails::start_ms() const {
  const int64_t deployed = timestamps[static_cast<size_t>(ExecutionState::kDeploying)];
  return deployed == 0 ? -1 : deployed;
}

int64_t SubtaskDetails::end_ms() const {
  return IsTerminal(state) ? timestamps[static_cast<size_t>(state)] : -1;
}

ExecutionState VertexDetails::state() const {
  std::vector<ExecutionState> states;
  states.reserve(subtasks.size());
  for (const SubtaskDetails& subtask : subtasks) states.push_back(subtask.state);
  return AggregateState(states);
}

int64_t JobDetails::end_ms() const {
  return IsTerminal(status) ? timestamps[static_cast<size_t>(status)] : -1;
}

int64_t JobDetails::last_modification_ms() const {
  int64_t last = *std::max_element(timestamps.begin(), timestamps.end());
  for (const VertexDetails& vertex : vertices) {
    for (const SubtaskDetails& subtask : vertex.subtasks) {
      last =
          std::max(last, *std::max_element(subtask.timestamps.begin(), subtask.timestamps.end()));
    }
  }
  return last;
}

}  // namespace flink::jobmanager
