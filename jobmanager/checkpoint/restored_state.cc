#include "jobmanager/checkpoint/restored_state.h"

#include <algorithm>

#include "common/snapshot/operator_state_stream.h"
#include "common/snapshot/redistribute.h"
#include "common/snapshot/state_files.h"
#include "flink/key_group.h"
#include "jobmanager/checkpoint/in_flight_restore.h"

namespace flink::jobmanager {
namespace {

using pb::cluster::v1::OperatorRestore;
using snapshot::DistributionMode;

std::string BytesOf(const OperatorId& id) {
  return std::string(reinterpret_cast<const char*>(id.bytes().data()), id.bytes().size());
}

// False for state that nobody takes over or drops knowingly.
bool IsPlanned(const snapshot::RestorePlan& plan, const OperatorId& id) {
  return std::any_of(plan.operators.begin(), plan.operators.end(),
                     [&](const snapshot::RestoredOperator& op) { return op.id == id; });
}

// The list states of all old subtasks, by subtask; reads every stream once.
StatusOr<std::vector<std::vector<snapshot::OperatorState>>> ReadListStates(
    const snapshot::OperatorSnapshot& op, const std::string& directory,
    const snapshot::FileChecksums& checksums) {
  std::vector<std::vector<snapshot::OperatorState>> old(static_cast<size_t>(op.parallelism));
  for (const auto& [index, state] : op.subtasks) {
    if (!state.managed_operator_state.has_value()) continue;
    if (index < 0 || index >= op.parallelism) {
      return DataLoss("operator {} of parallelism {} has state for subtask {}",
                      op.operator_id.ToHex(), op.parallelism, index);
    }
    const snapshot::OperatorStateHandle& handle = *state.managed_operator_state;
    if (handle.states.empty()) continue;
    ASSIGN_OR_RETURN(const std::string bytes,
                     snapshot::ReadVerifiedStream(handle.stream, directory, checksums));
    ASSIGN_OR_RETURN(old[static_cast<size_t>(index)],
                     snapshot::ReadOperatorStateStream(bytes, handle));
  }
  return old;
}

struct ListState {
  std::string name;
  DistributionMode mode = DistributionMode::kSplitDistribute;
  std::vector<std::vector<std::string>> by_old_subtask;
};

std::vector<ListState> GroupByName(std::vector<std::vector<snapshot::OperatorState>> old) {
  std::vector<ListState> lists;
  for (size_t subtask = 0; subtask < old.size(); ++subtask) {
    for (snapshot::OperatorState& state : old[subtask]) {
      auto list = std::find_if(lists.begin(), lists.end(),
                               [&](const ListState& l) { return l.name == state.name; });
      if (list == lists.end()) {
        lists.push_back({state.name, state.mode, {}});
        lists.back().by_old_subtask.resize(old.size());
        list = lists.end() - 1;
      }
      list->by_old_subtask[subtask] = std::move(state.elements);
    }
  }
  return lists;
}

std::vector<std::vector<std::string>> Distribute(const ListState& list, int parallelism) {
  if (list.mode == DistributionMode::kUnion) {
    return snapshot::UnionDistribute(list.by_old_subtask, parallelism);
  }
  if (list.mode == DistributionMode::kSplitDistribute) {
    return snapshot::SplitDistribute(list.by_old_subtask, parallelism);
  }
  // Every old subtask holds the same broadcast state.
  std::vector<std::vector<std::string>> result;
  result.reserve(static_cast<size_t>(parallelism));
  for (int i = 0; i < parallelism; ++i) {
    result.push_back(list.by_old_subtask[static_cast<size_t>(i) % list.by_old_subtask.size()]);
  }
  return result;
}

void AddKeyedState(const std::vector<snapshot::KeyedStateHandle>& handles, KeyGroupRange range,
                   bool raw, OperatorRestore& restore) {
  for (snapshot::KeyedStateHandle& handle : snapshot::KeyedStateForRange(handles, range)) {
    snapshot::SubtaskState state;
    (raw ? state.raw_keyed_state : state.managed_keyed_state) = std::move(handle);
    restore.add_subtask_states(snapshot::EncodeSubtaskState(state));
  }
}

Status RestoreOperator(const snapshot::OperatorSnapshot& op, const std::string& directory,
                       const snapshot::FileChecksums& checksums, const graph::JobVertex& vertex,
                       int max_parallelism, RestoredState& result) {
  std::vector<snapshot::KeyedStateHandle> managed;
  std::vector<snapshot::KeyedStateHandle> raw;
  for (const auto& [index, state] : op.subtasks) {
    if (!std::holds_alternative<std::monostate>(state.managed_keyed_state)) {
      managed.push_back(state.managed_keyed_state);
    }
    if (!std::holds_alternative<std::monostate>(state.raw_keyed_state))
      raw.push_back(state.raw_keyed_state);
  }
  ASSIGN_OR_RETURN(auto old_lists, ReadListStates(op, directory, checksums));
  const std::vector<ListState> lists = GroupByName(std::move(old_lists));

  const auto finished =
      static_cast<int>(std::count_if(op.subtasks.begin(), op.subtasks.end(),
                                     [](const auto& entry) { return entry.second.finished; }));
  std::vector<OperatorRestore> restores(static_cast<size_t>(vertex.parallelism));
  for (int i = 0; i < vertex.parallelism; ++i) {
    OperatorRestore& restore = restores[static_cast<size_t>(i)];
    restore.set_operator_id(BytesOf(op.operator_id));
    restore.set_base_directory(directory);
    restore.set_finished_subtasks(finished);
    const KeyGroupRange range = RangeForOperator(max_parallelism, vertex.parallelism, i);
    AddKeyedState(managed, range, /*raw=*/false, restore);
    AddKeyedState(raw, range, /*raw=*/true, restore);
  }
  for (const ListState& list : lists) {
    std::vector<std::vector<std::string>> shares = Distribute(list, vertex.parallelism);
    for (int i = 0; i < vertex.parallelism; ++i) {
      auto* target = restores[static_cast<size_t>(i)].add_list_states();
      target->set_name(list.name);
      for (std::string& element : shares[static_cast<size_t>(i)])
        target->add_elements(std::move(element));
    }
  }
  for (int i = 0; i < vertex.parallelism; ++i) {
    result.subtasks[{vertex.id, i}].push_back(std::move(restores[static_cast<size_t>(i)]));
  }
  if (const auto* coordinator = std::get_if<snapshot::InlineHandle>(&op.coordinator_state)) {
    result.coordinators[op.operator_id] = coordinator->bytes;
  }
  return OkStatus();
}

}  // namespace

StatusOr<RestoredState> LoadRestoredState(const snapshot::LoadedSnapshot& snapshot,
                                          const graph::JobGraph& graph,
                                          const snapshot::RestorePlan& plan) {
  for (const snapshot::OperatorSnapshot& op : snapshot.metadata.operators) {
    if (snapshot::HasOwnState(op) && !IsPlanned(plan, op.operator_id)) {
      return Internal("There is no operator for the state {}", op.operator_id.ToHex());
    }
  }
  // Before anything starts: a file that is missing or cut short ends it here, with its name. The
  // contents of keyed state are checked by the tasks.
  ASSIGN_OR_RETURN(const std::vector<snapshot::SnapshotFile> files,
                   snapshot::StateFilesOf(snapshot));
  for (const snapshot::SnapshotFile& file : files) RETURN_IF_ERROR(snapshot::CheckFile(file));
  const snapshot::FileChecksums checksums = snapshot::ChecksumsOf(files);
  RestoredState result;
  result.checkpoint_id = snapshot.metadata.checkpoint_id;
  result.finished = plan.finished;
  for (size_t i = 0; i < graph.vertices.size(); ++i) {
    const graph::JobVertex& vertex = graph.vertices[i];
    const auto max = plan.max_parallelism.find(vertex.id);
    const int max_parallelism =
        max == plan.max_parallelism.end() ? vertex.max_parallelism : max->second;
    for (const graph::OperatorDescription& op : vertex.operators) {
      const snapshot::OperatorSnapshot* state = snapshot.metadata.FindOperator(op.id);
      if (state == nullptr || !state->HasState()) continue;
      const Status restored =
          RestoreOperator(*state, snapshot.directory, checksums, vertex, max_parallelism, result);
      if (!restored.ok()) {
        return With(restored, "restoring operator \"{}\" ({}) from {}", op.name, op.id.ToHex(),
                    snapshot.directory);
      }
    }
    DistributeInFlightData(snapshot, graph, i, max_parallelism, result);
  }
  return result;
}

}  // namespace flink::jobmanager
