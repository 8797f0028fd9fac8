// CheckpointCoordinator: how an attempt reaches the tasks, completes, or is aborted.

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "jobmanager/checkpoint/checkpoint_coordinator.h"

namespace flink::jobmanager {

using Reason = CheckpointFailureReason;
using Stage = PendingCheckpoint::Stage;

namespace {
// Ids whose late acknowledgements are recognised as repeated.
constexpr size_t kRememberedCompletions = 10'000;
}  // namespace

void CheckpointCoordinator::BeginTriggering(PendingCheckpoint& pending) {
  pending.stage = Stage::kTriggering;
  for (const CheckpointPlan::Coordinator& coordinator : pending.plan.coordinators) {
    if (pending.coordinators_left.count(coordinator.op) == 0) continue;
    Emit(checkpoint::TriggerCoordinator{pending.id, coordinator.op, TriggerOptionsOf(pending)});
  }
  for (const CheckpointPlan::Vertex& vertex : pending.plan.vertices) {
    if (pending.VertexReady(vertex.id)) TriggerVertex(pending, vertex.id);
  }
  if (!pending.coordinators_left.empty()) return;
  pending.stage = Stage::kAcknowledging;
  PersistWhenAcked(pending);
}

void CheckpointCoordinator::TriggerVertex(const PendingCheckpoint& pending,
                                          const JobVertexId& vertex) {
  std::vector<int32_t> subtasks = pending.plan.ToTrigger(vertex);
  if (subtasks.empty()) return;
  Emit(checkpoint::TriggerSources{pending.id, vertex, std::move(subtasks),
                                  TriggerOptionsOf(pending)});
}

checkpoint::TriggerOptions CheckpointCoordinator::TriggerOptionsOf(
    const PendingCheckpoint& pending) const {
  checkpoint::TriggerOptions options;
  options.kind = pending.request.kind;
  options.format = pending.request.format;
  if (options_.unaligned && !IsSavepoint(pending.request.kind)) {
    options.aligned_timeout_ms = options_.aligned_timeout_ms;
  }
  options.location = pending.location;
  options.trigger_timestamp_ms = pending.trigger_timestamp_ms;
  options.base = pending.base;
  return options;
}

void CheckpointCoordinator::PersistWhenAcked(PendingCheckpoint& pending) {
  if (pending.stage != Stage::kAcknowledging || !pending.AllAcked()) return;
  pending.stage = Stage::kPersisting;
  pending.io_outstanding = true;
  checkpoint::PersistMetadata persist;
  persist.checkpoint = pending.id;
  persist.kind = pending.request.kind;
  persist.format = pending.request.format;
  persist.location = pending.location;
  persist.trigger_timestamp_ms = pending.trigger_timestamp_ms;
  persist.plan = pending.plan;
  persist.coordinators = std::move(pending.coordinators);
  for (const CheckpointPlan::Coordinator& coordinator : pending.plan.coordinators) {
    if (pending.plan.IsFinished(coordinator.vertex)) persist.coordinators.erase(coordinator.op);
  }
  persist.subtasks = std::move(pending.subtasks);
  Emit(std::move(persist));
}

void CheckpointCoordinator::Complete(PendingCheckpoint pending, checkpoint::MetadataPersisted& e) {
  const CheckpointId id = pending.id;
  const SnapshotKind kind = pending.request.kind;
  RememberCompleted(id);
  statistics_.OnCompleted(id, e.external_path);
  if (pending.request.IsPeriodicSavepoint()) {
    RetainPeriodicSavepoint(pending);
  } else {
    if (id > last_completed_id_) {
      last_completed_id_ = id;
      counted_failures_.clear();
    }
    last_completion_ms_ = now_ms_;
  }
  if (!IsSavepoint(kind)) {
    CompletedCheckpoint completed;
    completed.id = id;
    completed.kind = kind;
    completed.location = pending.location;
    completed.external_path = e.external_path;
    completed.metadata = std::move(e.metadata);
    completed.shared_files = registry_.FilesOf(id);
    completed.foreign_files = registry_.ForeignOf(completed.shared_files);
    completed.trigger_timestamp_ms = pending.trigger_timestamp_ms;
    completed.completion_timestamp_ms = now_ms_;
    completed.state_size = pending.state_size;
    AddToStore(std::move(completed));
  }
  if (!IsSavepoint(kind) || IsStop(kind)) {
    Emit(checkpoint::NotifyComplete{id, kind});
    AbortSubsumed(id);
  }
  if (kind == SnapshotKind::kCheckpoint && options_.after_tasks_finish) {
    for (const SubtaskRef& subtask : pending.end_of_data) {
      if (plan_.finished.count(subtask) == 0) finishable_[subtask] = id;
    }
  }
  Delete(registry_.Unpin(id));
  if (pending.request.request) {
    checkpoint::CompleteRequest answer;
    answer.request = *pending.request.request;
    answer.ok = true;
    answer.checkpoint = id;
    answer.kind = kind;
    answer.path = e.external_path;
    Emit(std::move(answer));
  }
  if (kind == SnapshotKind::kCancelSavepoint) Emit(checkpoint::CancelJob{});
  if (IsTerminating(kind) || kind == SnapshotKind::kFinalCheckpoint) EnterDone();
}

void CheckpointCoordinator::AbortSubsumed(CheckpointId id) {
  std::vector<CheckpointId> subsumed;
  for (const auto& [other, attempt] : pending_) {
    if (other < id && !attempt.request.forced) subsumed.push_back(other);
  }
  for (const CheckpointId other : subsumed) {
    Abort(other, Cause{Reason::kCheckpointSubsumed, "", {}});
  }
}

void CheckpointCoordinator::FinishSubtasks() {
  // Behind the end of all data the final checkpoint finishes everybody.
  if (end_of_data_) return;
  std::map<CheckpointId, std::vector<SubtaskRef>> by_checkpoint;
  for (auto it = finishable_.begin(); it != finishable_.end();) {
    const SubtaskRef subtask = it->first;
    const bool awaited = std::any_of(pending_.begin(), pending_.end(), [&](const auto& entry) {
      return entry.second.subtasks_left.count(subtask) != 0;
    });
    if (awaited) {
      ++it;
      continue;
    }
    by_checkpoint[it->second].push_back(subtask);
    plan_.finished.insert(subtask);
    it = finishable_.erase(it);
  }
  for (auto& [id, subtasks] : by_checkpoint) {
    Emit(checkpoint::FinishSubtasks{id, std::move(subtasks)});
  }
}

void CheckpointCoordinator::AddToStore(CompletedCheckpoint completed) {
  Emit(checkpoint::AddCompleted{completed});
  for (const CompletedCheckpoint& subsumed : store_.Add(std::move(completed))) {
    Emit(checkpoint::RemoveCompleted{subsumed.id});
    Discard(subsumed);
  }
}

void CheckpointCoordinator::RetainPeriodicSavepoint(const PendingCheckpoint& pending) {
  periodic_savepoints_.push_back({pending.id, pending.location});
  const auto retained = static_cast<size_t>(std::max(1, options_.num_retained_periodic_savepoints));
  while (periodic_savepoints_.size() > retained) {
    Emit(checkpoint::DisposePeriodicSavepoint{std::move(periodic_savepoints_.front())});
    periodic_savepoints_.pop_front();
  }
}

void CheckpointCoordinator::Discard(const CompletedCheckpoint& dropped) {
  if (dropped.owned()) {
    Emit(checkpoint::DiscardCheckpoint{dropped});
    statistics_.OnDiscarded(dropped.id);
  }
  Delete(registry_.Unregister(dropped.id));
}

void CheckpointCoordinator::EnterDone() {
  phase_ = Phase::kDone;
  StopPeriodic();
  RefuseQueued(Reason::kCheckpointCoordinatorSuspend);
}

void CheckpointCoordinator::Abort(CheckpointId id, const Cause& cause) {
  const auto it = pending_.find(id);
  if (it == pending_.end()) return;
  const PendingCheckpoint pending = std::move(it->second);
  pending_.erase(it);
  const std::string message = TextOf(cause.reason, cause.detail);
  statistics_.OnFailed(id, message, now_ms_);
  if (pending.stage != Stage::kCreatingLocation) {
    Emit(checkpoint::AbortCheckpoint{id, last_completed_id_});
  }
  if (pending.io_outstanding) {
    // The directory is still being written to. Whoever dies meanwhile may leave a snapshot there,
    // and then a whole one: all its files are deleted when the answer arrives.
    aborted_[id] = Aborted{pending.location};
  } else {
    DiscardAborted(id, pending.location);
  }
  if (pending.request.IsPeriodicSavepoint()) {
    Emit(checkpoint::PeriodicSavepointMissed{id, message});
  }
  if (pending.request.request) {
    checkpoint::CompleteRequest answer;
    answer.request = *pending.request.request;
    answer.checkpoint = id;
    answer.kind = pending.request.kind;
    answer.message = message;
    Emit(std::move(answer));
  }
  AfterFailure(pending, cause);
}

void CheckpointCoordinator::DiscardAborted(CheckpointId id, const std::string& location) {
  if (!location.empty()) Emit(checkpoint::DiscardPending{id, location});
  Delete(registry_.Unregister(id));
  Delete(registry_.Unpin(id));
}

bool CheckpointCoordinator::AnswersAborted(CheckpointId id, const std::string& location) {
  const auto found = aborted_.find(id);
  if (found == aborted_.end()) return false;
  DiscardAborted(id, location.empty() ? found->second.location : location);
  aborted_.erase(found);
  return true;
}

void CheckpointCoordinator::AbortPending(Reason reason) {
  while (!pending_.empty()) Abort(pending_.begin()->first, Cause{reason, "", {}});
}

void CheckpointCoordinator::AfterFailure(const PendingCheckpoint& pending, const Cause& cause) {
  const SnapshotKind kind = pending.request.kind;
  if (pending.request.IsPeriodicSavepoint()) return;
  // Behind the barrier of a drain the operators have ended, so the tasks cannot go on.
  const bool drained = kind == SnapshotKind::kStopDrain && phase_ == Phase::kTerminating &&
                       pending.stage != Stage::kCreatingLocation;
  if (drained || (cause.subtask && IsStop(kind))) {
    Emit(checkpoint::FailJob{TextOf(cause.reason, cause.detail), cause.subtask});
  } else if (cause.subtask || !IsSavepoint(kind)) {
    CountFailure(pending.id, cause);
  }
  if (IsTerminating(kind) && phase_ == Phase::kTerminating) {
    phase_ = Phase::kRunning;
    StartPeriodic(std::nullopt);
    if (end_of_data_) RequestFinal();
  } else if (kind == SnapshotKind::kFinalCheckpoint && phase_ == Phase::kRunning) {
    final_retry_ms_ = now_ms_ + options_.final_retry_delay_ms;
  }
}

void CheckpointCoordinator::CountFailure(CheckpointId id, const Cause& cause) {
  if (!CountsAsFailure(cause.reason) || id < last_completed_id_) return;
  counted_failures_.insert(id);
  if (counted_failures_.size() <= static_cast<size_t>(options_.tolerable_failures)) return;
  counted_failures_.clear();
  std::string message =
      "Exceeded checkpoint tolerable failure threshold. The latest checkpoint failed due to ";
  message += MessageOf(cause.reason);
  message +=
      ", view the Checkpoint History tab or the Job Manager log to find out why continuous "
      "checkpoints failed.";
  if (!cause.detail.empty()) message += " Cause: " + cause.detail;
  Emit(checkpoint::FailJob{std::move(message), cause.subtask});
}

void CheckpointCoordinator::RememberCompleted(CheckpointId id) {
  completed_ids_.insert(id);
  while (completed_ids_.size() > kRememberedCompletions) {
    forgotten_completed_up_to_ = *completed_ids_.begin();
    completed_ids_.erase(completed_ids_.begin());
  }
}

void CheckpointCoordinator::Delete(std::vector<std::string> files) {
  if (!files.empty()) Emit(checkpoint::DeleteFiles{std::move(files)});
}

}  // namespace flink::jobmanager
