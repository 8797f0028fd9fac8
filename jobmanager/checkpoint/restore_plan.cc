#include "jobmanager/checkpoint/restore_plan.h"

#include <algorithm>
#include <optional>
#include <set>

#include "common/snapshot/operator_state_stream.h"
#include "common/snapshot/redistribute.h"
#include "flink/key_group.h"

namespace flink::jobmanager {
namespace {

using pb::cluster::v1::OperatorRestore;
using snapshot::DistributionMode;

std::string BytesOf(const OperatorId& id) {
  return std::string(reinterpret_cast<const char*>(id.bytes().data()), id.bytes().size());
}

// "(uid "count", "Sum")", or nothing when nothing is known.
std::string Describe(const snapshot::OperatorSnapshot& op, const SideFile& side) {
  std::string uid = op.uid;
  std::string name = op.name;
  const auto found = side.operators.find(op.operator_id);
  if (found != side.operators.end()) {
    if (uid.empty()) uid = found->second.uid;
    if (name.empty()) name = found->second.name;
  }
  if (uid.empty() && name.empty()) return {};
  if (uid.empty()) return fmt::format(" The operator is \"{}\", which had no uid.", name);
  if (name.empty()) return fmt::format(" The operator has the uid \"{}\".", uid);
  return fmt::format(" The operator is \"{}\" with the uid \"{}\".", name, uid);
}

bool HasInFlightRecords(const snapshot::OperatorSnapshot& op) {
  for (const auto& [index, state] : op.subtasks) {
    if (!state.input_channel_state.empty() || !state.output_channel_state.empty()) return true;
  }
  return false;
}

void CheckVertex(const graph::JobVertex& vertex, const snapshot::CheckpointMetadata& metadata,
                 const RestoreOptions& options, const SideFile& side, RestorePlan& plan) {
  std::optional<int> taken_over;
  for (const graph::OperatorDescription& op : vertex.operators) {
    const snapshot::OperatorSnapshot* state = metadata.FindOperator(op.id);
    if (state == nullptr || (!state->HasState() && !state->fully_finished)) {
      plan.started_empty.push_back(op.id);
      continue;
    }
    plan.restored.push_back(op.id);
    if (state->fully_finished) {
      plan.problems.push_back(fmt::format(
          "Failed to rollback to checkpoint/savepoint {}. The operator {} had already finished in "
          "it.{} Restore from "
          "an older snapshot, or give the operator another uid to run it again from its start.",
          options.path, op.id.ToHex(), Describe(*state, side)));
      continue;
    }
    if (HasInFlightRecords(*state)) {
      plan.problems.push_back(
          fmt::format("Failed to rollback to checkpoint/savepoint {}. It is an unaligned "
                      "checkpoint: the operator {} has records in "
                      "flight.{} Take a savepoint of the old job and restore from that.",
                      options.path, op.id.ToHex(), Describe(*state, side)));
    }
    const int old_max = state->max_parallelism;
    const bool fixed = vertex.max_parallelism_configured || taken_over.has_value();
    const int new_max = taken_over.value_or(vertex.max_parallelism);
    if (fixed && old_max != new_max) {
      plan.problems.push_back(
          fmt::format("Failed to rollback to checkpoint/savepoint {}. Max parallelism mismatch "
                      "between checkpoint/savepoint state "
                      "and new program. Cannot map operator {} with max parallelism {} to new "
                      "program with max parallelism {}. This "
                      "indicates that the program has been changed in a non-compatible way after "
                      "the checkpoint/savepoint.{}",
                      options.path, op.id.ToHex(), old_max, new_max, Describe(*state, side)));
      continue;
    }
    taken_over = old_max;
  }
  const int max_parallelism = taken_over.value_or(vertex.max_parallelism);
  plan.max_parallelism[vertex.id] = max_parallelism;
  if (taken_over.has_value() && vertex.parallelism > max_parallelism) {
    plan.problems.push_back(
        fmt::format("The state for task {} can not be restored. The maximum parallelism ({}) of "
                    "the restored state is lower than "
                    "the configured parallelism ({}). Please reduce the parallelism of the task to "
                    "be lower or equal to the maximum "
                    "parallelism. The task is \"{}\".",
                    vertex.id.ToHex(), max_parallelism, vertex.parallelism, vertex.name));
  }
}

// The list states of all old subtasks, by subtask; reads every stream once.
StatusOr<std::vector<std::vector<snapshot::OperatorState>>> ReadListStates(
    const snapshot::OperatorSnapshot& op, const std::string& directory) {
  std::vector<std::vector<snapshot::OperatorState>> old(static_cast<size_t>(op.parallelism));
  for (const auto& [index, state] : op.subtasks) {
    if (!state.managed_operator_state.has_value()) continue;
    if (index < 0 || index >= op.parallelism) {
      return DataLoss("operator {} of parallelism {} has state for subtask {}",
                      op.operator_id.ToHex(), op.parallelism, index);
    }
    const snapshot::OperatorStateHandle& handle = *state.managed_operator_state;
    if (handle.states.empty()) continue;
    ASSIGN_OR_RETURN(const std::string bytes, snapshot::ReadStream(handle.stream, directory));
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
                       const graph::JobVertex& vertex, int max_parallelism, RestoredState& result) {
  std::vector<snapshot::KeyedStateHandle> managed;
  std::vector<snapshot::KeyedStateHandle> raw;
  for (const auto& [index, state] : op.subtasks) {
    if (!std::holds_alternative<std::monostate>(state.managed_keyed_state)) {
      managed.push_back(state.managed_keyed_state);
    }
    if (!std::holds_alternative<std::monostate>(state.raw_keyed_state))
      raw.push_back(state.raw_keyed_state);
  }
  ASSIGN_OR_RETURN(auto old_lists, ReadListStates(op, directory));
  const std::vector<ListState> lists = GroupByName(std::move(old_lists));

  std::vector<OperatorRestore> restores(static_cast<size_t>(vertex.parallelism));
  for (int i = 0; i < vertex.parallelism; ++i) {
    OperatorRestore& restore = restores[static_cast<size_t>(i)];
    restore.set_operator_id(BytesOf(op.operator_id));
    restore.set_base_directory(directory);
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

RestorePlan MakeRestorePlan(const snapshot::CheckpointMetadata& metadata,
                            const graph::JobGraph& graph, const RestoreOptions& options,
                            const SideFile& side) {
  RestorePlan plan;
  plan.checkpoint_id = metadata.checkpoint_id;
  std::set<OperatorId> known;
  for (const graph::JobVertex& vertex : graph.vertices) {
    for (const graph::OperatorDescription& op : vertex.operators) known.insert(op.id);
    CheckVertex(vertex, metadata, options, side, plan);
  }
  for (const snapshot::OperatorSnapshot& op : metadata.operators) {
    if (known.count(op.operator_id) != 0) continue;
    plan.skipped.push_back(op.operator_id);
    if (!op.HasState() || options.allow_non_restored_state) continue;
    plan.problems.push_back(
        fmt::format("Failed to rollback to checkpoint/savepoint {}. Cannot map "
                    "checkpoint/savepoint state for operator {} to the new "
                    "program, because the operator is not available in the new program. If you "
                    "want to allow to skip this, you can "
                    "set the --allowNonRestoredState option on the CLI.{}",
                    options.path, op.operator_id.ToHex(), Describe(op, side)));
  }
  return plan;
}

Status ProblemsOf(const RestorePlan& plan) {
  if (plan.problems.empty()) return OkStatus();
  std::string text;
  for (const std::string& problem : plan.problems) text += (text.empty() ? "" : "\n") + problem;
  return FailedPrecondition("{}", text);
}

StatusOr<RestoredState> LoadRestoredState(const snapshot::LoadedSnapshot& snapshot,
                                          const graph::JobGraph& graph, const RestorePlan& plan) {
  RestoredState result;
  result.checkpoint_id = snapshot.metadata.checkpoint_id;
  for (const graph::JobVertex& vertex : graph.vertices) {
    const auto max = plan.max_parallelism.find(vertex.id);
    const int max_parallelism =
        max == plan.max_parallelism.end() ? vertex.max_parallelism : max->second;
    for (const graph::OperatorDescription& op : vertex.operators) {
      const snapshot::OperatorSnapshot* state = snapshot.metadata.FindOperator(op.id);
      if (state == nullptr || !state->HasState()) continue;
      const Status restored =
          RestoreOperator(*state, snapshot.directory, vertex, max_parallelism, result);
      if (!restored.ok()) {
        return With(restored, "restoring operator \"{}\" ({}) from {}", op.name, op.id.ToHex(),
                    snapshot.directory);
      }
    }
  }
  return result;
}

}  // namespace flink::jobmanager
