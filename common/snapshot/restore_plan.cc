#include "common/snapshot/restore_plan.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <tuple>
#include <utility>

#include "common/graph/operator_id.h"
#include "common/snapshot/in_flight_plan.h"
#include "common/snapshot/operator_state_stream.h"
#include "common/snapshot/snapshot_operator.h"
#include "common/snapshot/state_form.h"
#include "flink/key_group.h"

namespace flink::snapshot {
namespace {

constexpr char kFailed[] = "Failed to rollback to checkpoint/savepoint";

bool HasKeyedState(const SubtaskState& state) {
  return !std::holds_alternative<std::monostate>(state.managed_keyed_state);
}

int64_t BytesOf(const OperatorSnapshot& op) {
  int64_t bytes = StreamSize(op.coordinator_state);
  for (const auto& [index, state] : op.subtasks) bytes += StateSize(state);
  return bytes;
}

std::string RangesText(const std::vector<KeyGroupRange>& ranges) {
  std::string text;
  for (const KeyGroupRange& range : ranges) {
    text += text.empty() ? "" : ", ";
    text += range.size() == 1 ? std::to_string(range.start)
                              : fmt::format("{} to {}", range.start, range.end);
  }
  return text;
}

class Planner {
 public:
  Planner(const CheckpointMetadata& metadata, const RestoreOptions& options, const SideFile& side,
          const StoredTypes& types)
      : metadata_(metadata), options_(options), side_(side), types_(types) {
    plan_.path = options.path;
    plan_.checkpoint_id = metadata.checkpoint_id;
  }

  RestorePlan Plan(const graph::JobGraph& graph) {
    std::set<OperatorId> known;
    for (size_t i = 0; i < graph.vertices.size(); ++i) {
      const graph::JobVertex& vertex = graph.vertices[i];
      for (const graph::OperatorDescription& op : vertex.operators) known.insert(op.id);
      AddVertex(vertex);
      CheckInFlightData(graph, i);
    }
    CheckInputsOfFinished(graph);
    RefuseTooWide();
    for (const OperatorSnapshot& op : metadata_.operators) {
      if (known.count(op.operator_id) == 0 && HasOwnState(op)) Drop(op);
    }
    return std::move(plan_);
  }

 private:
  void AddVertex(const graph::JobVertex& vertex) {
    std::optional<int> taken_over;
    size_t finished = 0;
    for (const graph::OperatorDescription& op : vertex.operators) {
      const OperatorSnapshot* old = metadata_.FindOperator(op.id);
      RestoredOperator entry;
      entry.verdict = old == nullptr ? RestoreVerdict::kNew : RestoreVerdict::kMatched;
      entry.id = op.id;
      entry.uid = op.uid;
      entry.name = op.name;
      entry.parallelism = vertex.parallelism;
      entry.max_parallelism = vertex.max_parallelism;
      if (old != nullptr) {
        entry.state_bytes = BytesOf(*old);
        entry.old_parallelism = old->parallelism;
      }
      const size_t problems = plan_.problems.size();
      if (old == nullptr ? IsCommitterOfFinished(op, vertex) : old->fully_finished) {
        ++finished;
      } else if (old != nullptr && HasOwnState(*old)) {
        entry.max_parallelism = old->max_parallelism;
        CheckOperator(op, *old);
        CheckMaxParallelism(vertex, *old, &taken_over, &entry);
        CheckTypes(op, &entry);
      }
      if (plan_.problems.size() != problems) entry.verdict = RestoreVerdict::kIncompatible;
      plan_.operators.push_back(std::move(entry));
    }
    if (finished == vertex.operators.size()) {
      plan_.finished.insert(vertex.id);
    } else if (finished > 0) {
      Refuse(
          "{} {}. Of the operators of \"{}\" only some had finished in it: an operator was added "
          "to "
          "a chain that had ended. Remove it, or give all of them other uids to run them again "
          "from their start.",
          kFailed, options_.path, vertex.name);
      MarkIncompatible(vertex);
    }
    const int max_parallelism = taken_over.value_or(vertex.max_parallelism);
    plan_.max_parallelism[vertex.id] = max_parallelism;
    if (taken_over.has_value() && vertex.parallelism > max_parallelism) {
      MarkIncompatible(vertex);
      too_wide_.push_back(&vertex);
    }
  }

  /// Snapshots of the time when a sink was one operator do not know its committer. What its writer
  /// kept, it published before it finished.
  bool IsCommitterOfFinished(const graph::OperatorDescription& op,
                             const graph::JobVertex& vertex) const {
    return std::any_of(vertex.operators.begin(), vertex.operators.end(),
                       [&](const graph::OperatorDescription& writer) {
                         if (CommitterOperatorId(writer.id, writer.uid) != op.id) return false;
                         const OperatorSnapshot* old = metadata_.FindOperator(writer.id);
                         return old != nullptr && old->fully_finished;
                       });
  }

  /// One problem for all vertices whose parallelism is above what their state allows.
  void RefuseTooWide() {
    if (too_wide_.empty()) return;
    const auto max_of = [this](const graph::JobVertex* vertex) {
      return plan_.max_parallelism.at(vertex->id);
    };
    const graph::JobVertex* const worst =
        *std::min_element(too_wide_.begin(), too_wide_.end(),
                          [&](const auto* a, const auto* b) { return max_of(a) < max_of(b); });
    std::string operators;
    for (const graph::JobVertex* vertex : too_wide_) {
      for (const graph::OperatorDescription& op : vertex->operators) {
        const OperatorSnapshot* old = metadata_.FindOperator(op.id);
        if (old == nullptr || !HasOwnState(*old)) continue;
        operators += fmt::format("{}\"{}\"{}", operators.empty() ? "" : ", ", op.name,
                                 op.uid.empty() ? "" : " (uid \"" + op.uid + "\")");
        if (max_of(vertex) != max_of(worst)) {
          operators += fmt::format(", which allows {}", max_of(vertex));
        }
      }
    }
    Refuse(
        "The state for task {} can not be restored. The maximum parallelism ({}) of the restored "
        "state is lower than the configured parallelism ({}). Please reduce the parallelism of the "
        "task to be lower or equal to the maximum parallelism. The job can run with a parallelism "
        "of at most {}, because of the state of {}.",
        worst->id.ToHex(), max_of(worst), worst->parallelism, max_of(worst), operators);
  }

  void MarkIncompatible(const graph::JobVertex& vertex) {
    for (RestoredOperator& entry : plan_.operators) {
      for (const graph::OperatorDescription& op : vertex.operators) {
        if (entry.id == op.id && entry.old_parallelism != 0) {
          entry.verdict = RestoreVerdict::kIncompatible;
        }
      }
    }
  }

  void CheckInFlightData(const graph::JobGraph& graph, size_t vertex) {
    const bool is_ours = side_.in_flight_data || options_.is_failover;
    for (const std::string& problem : InFlightProblems(metadata_, graph, vertex, is_ours)) {
      Refuse("{} {}. It is an unaligned checkpoint with records in flight to \"{}\", {}.", kFailed,
             options_.path, graph.vertices[vertex].name, problem);
      MarkIncompatible(graph.vertices[vertex]);
    }
  }

  void CheckInputsOfFinished(const graph::JobGraph& graph) {
    for (const graph::JobEdge& edge : graph.edges) {
      const graph::JobVertex& source = graph.vertices[static_cast<size_t>(edge.source_vertex)];
      const graph::JobVertex& target = graph.vertices[static_cast<size_t>(edge.target_vertex)];
      if (plan_.finished.count(target.id) == 0 || plan_.finished.count(source.id) != 0) continue;
      Refuse(
          "{} {}. \"{}\" had finished in it, but its input \"{}\" had not: nobody would take its "
          "records. Give the operators of \"{}\" other uids.",
          kFailed, options_.path, target.name, source.name, target.name);
      MarkIncompatible(target);
    }
  }

  void CheckOperator(const graph::OperatorDescription& op, const OperatorSnapshot& old) {
    const std::vector<KeyGroupRange> missing = MissingKeyGroups(old);
    if (!missing.empty() && !options_.allow_non_restored_state) {
      Refuse(
          "{} {}. It is incomplete: the operator {} has no state for the key groups {} in it.{} "
          "Restore from another snapshot. (A job of Apache Flink whose subtasks ask for state "
          "with their first record only writes none for a subtask without records; if that is "
          "the reason, --allowNonRestoredState starts these key groups empty.)",
          kFailed, options_.path, op.id.ToHex(), RangesText(missing), Describe(old));
    }
  }

  void CheckMaxParallelism(const graph::JobVertex& vertex, const OperatorSnapshot& old,
                           std::optional<int>* taken_over, RestoredOperator* entry) {
    const int old_max = old.max_parallelism;
    const bool fixed = vertex.max_parallelism_configured || taken_over->has_value();
    const int new_max = taken_over->value_or(vertex.max_parallelism);
    if (!fixed || old_max == new_max) {
      *taken_over = old_max;
      return;
    }
    entry->verdict = RestoreVerdict::kIncompatible;
    const auto [known, is_new] = mismatches_.try_emplace({old_max, new_max}, plan_.problems.size());
    if (!is_new) {
      plan_.problems[known->second] += fmt::format(" The same goes for the operator {}.{}",
                                                   old.operator_id.ToHex(), Describe(old));
      return;
    }
    // Apache Flink says so, too, instead of the path.
    Refuse(
        "{} Checkpoint Metadata. Max parallelism mismatch between checkpoint/savepoint state "
        "and new program. Cannot map operator {} with max parallelism {} to new program with "
        "max parallelism {}. This indicates that the program has been changed in a "
        "non-compatible way after the checkpoint/savepoint.{} {} would restore with a maximum "
        "parallelism of {}: set that, or none.",
        kFailed, old.operator_id.ToHex(), old_max, new_max, Describe(old), options_.path, old_max);
  }

  void CheckTypes(const graph::OperatorDescription& op, RestoredOperator* entry) {
    const auto stored = types_.find(op.id);
    const std::optional<KeyedStateHeader> declared = DeclaredTypes(op);
    if (stored == types_.end() || !declared.has_value()) return;
    for (const KeyedStateHeader& header : stored->second) {
      for (TypeConflict& conflict : ConflictsOf(header, *declared)) {
        std::vector<TypeConflict>& known = entry->conflicts;
        if (std::find(known.begin(), known.end(), conflict) != known.end()) continue;
        Refuse("{} {}. {}", kFailed, options_.path, TextOf(conflict, op.name, op.uid));
        known.push_back(std::move(conflict));
      }
    }
  }

  void Drop(const OperatorSnapshot& op) {
    RestoredOperator entry;
    entry.verdict = RestoreVerdict::kDropped;
    entry.id = op.operator_id;
    std::tie(entry.name, entry.uid) = NameAndUid(op);
    entry.state_bytes = BytesOf(op);
    entry.old_parallelism = op.parallelism;
    entry.max_parallelism = op.max_parallelism;
    if (!options_.allow_non_restored_state && !options_.is_failover) {
      Refuse(
          "{} {}. Cannot map checkpoint/savepoint state for operator {} to the new program, "
          "because the operator is not available in the new program. If you want to allow to "
          "skip this, you can set the --allowNonRestoredState option on the CLI.{} Its {} bytes "
          "of state would then be dropped.",
          kFailed, options_.path, op.operator_id.ToHex(), Describe(op), entry.state_bytes);
    }
    plan_.operators.push_back(std::move(entry));
  }

  std::pair<std::string, std::string> NameAndUid(const OperatorSnapshot& op) const {
    std::pair<std::string, std::string> result{op.name, op.uid};
    const auto found = side_.operators.find(op.operator_id);
    if (found == side_.operators.end()) return result;
    if (result.first.empty()) result.first = found->second.name;
    if (result.second.empty()) result.second = found->second.uid;
    return result;
  }

  // A sentence with a blank in front, or nothing when nothing is known.
  std::string Describe(const OperatorSnapshot& op) const {
    const auto [name, uid] = NameAndUid(op);
    if (uid.empty() && name.empty()) return {};
    if (uid.empty()) return fmt::format(" The operator is \"{}\", which had no uid.", name);
    if (name.empty()) return fmt::format(" The operator has the uid \"{}\".", uid);
    return fmt::format(" The operator is \"{}\" with the uid \"{}\".", name, uid);
  }

  template <class... A>
  void Refuse(fmt::format_string<A...> text, A&&... arguments) {
    plan_.problems.push_back(fmt::format(text, std::forward<A>(arguments)...));
  }

  const CheckpointMetadata& metadata_;
  const RestoreOptions& options_;
  const SideFile& side_;
  const StoredTypes& types_;
  std::vector<const graph::JobVertex*> too_wide_;
  // Maximum parallelism of the snapshot and the job, to the position of the problem that says so.
  std::map<std::pair<int, int>, size_t> mismatches_;
  RestorePlan plan_;
};

// What a snapshot of a job looks like before there is one: its operators, those with state marked
// as such, and no bytes.
CheckpointMetadata DescribeAsSnapshot(const graph::JobGraph& graph) {
  CheckpointMetadata metadata;
  for (const SnapshotOperator& op : OperatorsOf(graph)) {
    OperatorSnapshot entry;
    entry.operator_id = op.id;
    entry.name = op.name;
    entry.uid = op.uid;
    entry.parallelism = op.parallelism;
    entry.max_parallelism = op.max_parallelism;
    if (op.stateful) entry.coordinator_state = InlineHandle{"running", ""};
    metadata.operators.push_back(std::move(entry));
  }
  return metadata;
}

}  // namespace

const char* NameOf(RestoreVerdict verdict) {
  switch (verdict) {
    case RestoreVerdict::kMatched:
      return "matched";
    case RestoreVerdict::kNew:
      return "new";
    case RestoreVerdict::kDropped:
      return "dropped";
    case RestoreVerdict::kIncompatible:
      break;
  }
  return "incompatible";
}

RestorePlan MakeRestorePlan(const CheckpointMetadata& metadata, const graph::JobGraph& graph,
                            const RestoreOptions& options, const SideFile& side,
                            const StoredTypes& types) {
  return Planner(metadata, options, side, types).Plan(graph);
}

RestorePlan PlanRestore(const LoadedSnapshot& snapshot, const graph::JobGraph& graph,
                        const RestoreOptions& options) {
  const StatusOr<StoredTypes> types = ReadStoredTypes(snapshot, graph);
  RestorePlan plan =
      MakeRestorePlan(snapshot.metadata, graph, options, ReadSideFile(snapshot.directory),
                      types.ok() ? *types : StoredTypes());
  const auto refuse = [&](const std::string& problem) {
    plan.problems.push_back(fmt::format("{} {}. {}", kFailed, options.path, problem));
  };
  if (!types.ok()) refuse(Message(types.status()));
  for (RestoredOperator& entry : plan.operators) {
    const OperatorSnapshot* const old = snapshot.metadata.FindOperator(entry.id);
    if (old == nullptr || entry.verdict == RestoreVerdict::kDropped) continue;
    const std::string who =
        fmt::format("the operator \"{}\" {}", entry.name,
                    entry.uid.empty() ? "without uid" : "with the uid \"" + entry.uid + "\"");
    const StatusOr<std::string> problem = FormProblemOf(*old, snapshot.directory);
    if (problem.ok() && problem->empty()) continue;
    entry.verdict = RestoreVerdict::kIncompatible;
    // Why something cannot be read is said already.
    if (!problem.ok() && !types.ok()) continue;
    refuse(problem.ok() ? fmt::format("Of {} nothing can be restored: {}.", who, *problem)
                        : Message(With(problem.status(), "the state of {}", who)));
  }
  return plan;
}

RestorePlan PlanRestoreOfRunning(const graph::JobGraph& running, const graph::JobGraph& graph,
                                 const RestoreOptions& options) {
  return MakeRestorePlan(DescribeAsSnapshot(running), graph, options, {}, TypesOfRunning(running));
}

Status ProblemsOf(const RestorePlan& plan) {
  if (plan.problems.empty()) return OkStatus();
  std::string text;
  for (const std::string& problem : plan.problems) text += (text.empty() ? "" : "\n") + problem;
  return FailedPrecondition("{}", text);
}

bool HasOwnState(const OperatorSnapshot& op) {
  if (op.coordinator_state.index() != 0) return true;
  return std::any_of(op.subtasks.begin(), op.subtasks.end(), [](const auto& entry) {
    SubtaskState state = entry.second;
    if (state.managed_operator_state.has_value()) {
      const auto& lists = state.managed_operator_state->states;
      const bool only_mark = std::all_of(
          lists.begin(), lists.end(),
          [](const OperatorStateOffsets& list) { return list.name == kEndOfInputState; });
      if (only_mark) state.managed_operator_state.reset();
    }
    state.finished = false;
    return !state.empty();
  });
}

std::vector<KeyGroupRange> MissingKeyGroups(const OperatorSnapshot& op) {
  const bool keyed = std::any_of(op.subtasks.begin(), op.subtasks.end(),
                                 [](const auto& entry) { return HasKeyedState(entry.second); });
  if (!keyed || op.parallelism < 1 || op.max_parallelism < op.parallelism) return {};
  std::vector<KeyGroupRange> missing;
  for (int i = 0; i < op.parallelism; ++i) {
    const KeyGroupRange wanted = RangeForOperator(op.max_parallelism, op.parallelism, i);
    const auto found = op.subtasks.find(i);
    if (found == op.subtasks.end()) {
      missing.push_back(wanted);
      continue;
    }
    if (!HasKeyedState(found->second)) continue;
    const KeyGroupRange there = KeyGroupsOf(found->second.managed_keyed_state).Intersect(wanted);
    if (there.empty()) {
      missing.push_back(wanted);
      continue;
    }
    if (there.start > wanted.start) missing.push_back({wanted.start, there.start - 1});
    if (there.end < wanted.end) missing.push_back({there.end + 1, wanted.end});
  }
  return missing;
}

}  // namespace flink::snapshot
