#include "jobmanager/checkpoint/checkpoint_coordinator.h"

#include <algorithm>
#include <utility>

#include "common/base/check.h"

namespace flink::jobmanager {

using Reason = CheckpointFailureReason;

CheckpointCoordinator::CheckpointCoordinator(CheckpointCoordinatorOptions options)
    : options_(std::move(options)),
      next_id_(options_.next_checkpoint_id),
      store_(options_.num_retained),
      statistics_(options_.history_size),
      forgotten_completed_up_to_(options_.next_checkpoint_id - 1) {
  for (CompletedCheckpoint& recovered : options_.completed) {
    registry_.Register(recovered.id, recovered.foreign_files, false);
    registry_.Register(recovered.id, recovered.shared_files, recovered.owned());
    next_id_ = std::max(next_id_, recovered.id + 1);
    last_completed_id_ = std::max(last_completed_id_, recovered.id);
    store_.Recover(std::move(recovered));
  }
  options_.completed.clear();
}

std::vector<checkpoint::Action> CheckpointCoordinator::Step(Event event, int64_t now_ms) {
  now_ms_ = std::max(now_ms_, now_ms);
  actions_.clear();
  std::visit([this](auto& e) { On(e); }, event);
  if (phase_ == Phase::kRunning) {
    FinishSubtasks();
    StartQueued();
  }
  return std::move(actions_);
}

std::optional<int64_t> CheckpointCoordinator::NextWakeup() const {
  std::optional<int64_t> next;
  const auto consider = [&next](std::optional<int64_t> at) {
    if (at && (!next || *at < *next)) next = at;
  };
  consider(next_periodic_ms_);
  consider(final_retry_ms_);
  if (phase_ == Phase::kRunning && !end_of_data_) consider(next_periodic_savepoint_ms_);
  for (const auto& [id, pending] : pending_) {
    consider(pending.trigger_timestamp_ms + options_.timeout_ms);
  }
  return next;
}

bool CheckpointCoordinator::IsQueued(RequestId request) const {
  return std::any_of(queue_.begin(), queue_.end(),
                     [request](const CheckpointRequest& r) { return r.request == request; });
}

std::optional<CheckpointId> CheckpointCoordinator::PendingIdOf(RequestId request) const {
  for (const auto& [id, pending] : pending_) {
    if (pending.request.request == request) return id;
  }
  return std::nullopt;
}

bool CheckpointCoordinator::AwaitsIo() const {
  if (!aborted_.empty()) return true;
  return std::any_of(pending_.begin(), pending_.end(),
                     [](const auto& entry) { return entry.second.io_outstanding; });
}

PendingCheckpoint* CheckpointCoordinator::Find(CheckpointId id) {
  const auto it = pending_.find(id);
  return it == pending_.end() ? nullptr : &it->second;
}

void CheckpointCoordinator::On(checkpoint::JobRunning& e) {
  if (phase_ != Phase::kSuspended) return;
  plan_ = std::move(e.plan);
  end_of_data_ = false;
  some_end_of_data_ = false;
  finishable_.clear();
  phase_ = Phase::kRunning;
  StartPeriodic(e.initial_delay_ms);
  if (options_.periodic_savepoint_interval_ms && !next_periodic_savepoint_ms_) {
    next_periodic_savepoint_ms_ = now_ms_ + *options_.periodic_savepoint_interval_ms;
  }
}

void CheckpointCoordinator::On(checkpoint::JobLeftRunning& e) {
  if (phase_ == Phase::kSuspended || phase_ == Phase::kShutdown) return;
  phase_ = Phase::kSuspended;
  end_of_data_ = false;
  StopPeriodic();
  const Reason reason =
      e.for_good ? Reason::kCheckpointCoordinatorShutdown : Reason::kCheckpointCoordinatorSuspend;
  AbortPending(reason);
  RefuseQueued(reason);
}

void CheckpointCoordinator::On(checkpoint::Tick&) {
  std::vector<CheckpointId> expired;
  for (const auto& [id, pending] : pending_) {
    if (pending.trigger_timestamp_ms + options_.timeout_ms <= now_ms_) expired.push_back(id);
  }
  for (const CheckpointId id : expired) Abort(id, Cause{Reason::kCheckpointExpired, "", {}});
  if (phase_ != Phase::kRunning) return;
  if (final_retry_ms_ && *final_retry_ms_ <= now_ms_) RequestFinal();
  if (next_periodic_savepoint_ms_ && *next_periodic_savepoint_ms_ <= now_ms_ && !end_of_data_) {
    AdvanceSchedule(*next_periodic_savepoint_ms_, *options_.periodic_savepoint_interval_ms);
    RequestPeriodicSavepoint();
  }
  if (next_periodic_ms_ && *next_periodic_ms_ <= now_ms_) {
    AdvanceSchedule(*next_periodic_ms_, PeriodicIntervalMs());
    const bool queued = std::any_of(queue_.begin(), queue_.end(), [](const CheckpointRequest& r) {
      return r.periodic && !IsSavepoint(r.kind);
    });
    if (!queued) {
      CheckpointRequest request;
      request.periodic = true;
      Enqueue(std::move(request));
    }
  }
}

void CheckpointCoordinator::On(checkpoint::TriggerSavepoint& e) {
  FLINK_CHECK(IsSavepoint(e.kind), "a savepoint request needs a savepoint kind");
  CheckpointRequest request;
  request.kind = e.kind;
  request.format = e.format;
  // A stop or cancel runs alone, so nothing could subsume it anyway.
  request.forced = !options_.unaligned || IsTerminating(e.kind);
  request.full = true;
  request.request = e.request;
  request.target_dir = std::move(e.target_dir);
  if (!IsTerminating(e.kind) || phase_ != Phase::kRunning) {
    Enqueue(std::move(request));
    return;
  }
  if (FinishedTasksForbid()) return Refuse(request, Reason::kNotAllRequiredTasksRunning);
  // From here on no other barrier starts; what is under way or waiting is aborted first.
  phase_ = Phase::kTerminating;
  StopPeriodic();
  AbortPending(Reason::kCheckpointCoordinatorSuspend);
  RefuseQueued(Reason::kCheckpointCoordinatorSuspend);
  Start(std::move(request));
}

void CheckpointCoordinator::On(checkpoint::TriggerCheckpoint& e) {
  CheckpointRequest request;
  request.full = e.full;
  request.request = e.request;
  Enqueue(std::move(request));
}

void CheckpointCoordinator::On(checkpoint::SomeSubtasksEndOfData&) {
  if (phase_ != Phase::kRunning && phase_ != Phase::kTerminating) return;
  some_end_of_data_ = true;
  if (!FinishedTasksForbid()) return;
  RefuseQueued(Reason::kNotAllRequiredTasksRunning);
}

void CheckpointCoordinator::On(checkpoint::AllSubtasksEndOfData&) {
  if (end_of_data_ || (phase_ != Phase::kRunning && phase_ != Phase::kTerminating)) return;
  checkpoint::SomeSubtasksEndOfData some;
  On(some);
  end_of_data_ = true;
  StopPeriodic();
  queue_.erase(
      std::remove_if(queue_.begin(), queue_.end(),
                     [](const CheckpointRequest& r) { return r.periodic && !IsSavepoint(r.kind); }),
      queue_.end());
  // A stop in progress ends the tasks itself; if it fails, the final checkpoint is requested then.
  if (phase_ == Phase::kRunning) RequestFinal();
}

void CheckpointCoordinator::On(checkpoint::IdsTaken& e) {
  if (phase_ == Phase::kShutdown || e.highest < next_id_) return;
  next_id_ = e.highest + 1;
  Emit(checkpoint::StoreNextCheckpointId{next_id_});
}

void CheckpointCoordinator::On(checkpoint::Restored& e) {
  if (phase_ == Phase::kShutdown) return;
  CompletedCheckpoint& snapshot = e.snapshot;
  next_id_ = std::max(next_id_, snapshot.id + 1);
  Emit(checkpoint::StoreNextCheckpointId{next_id_});
  registry_.Register(snapshot.id, snapshot.foreign_files, false);
  registry_.Register(snapshot.id, snapshot.shared_files, snapshot.owned());
  RestoredCheckpointStats stats;
  stats.id = snapshot.id;
  stats.restore_timestamp_ms = now_ms_;
  stats.is_savepoint = !snapshot.owned();
  stats.external_path = snapshot.external_path;
  statistics_.OnRestored(std::move(stats));
  AddToStore(std::move(snapshot));
}

void CheckpointCoordinator::On(checkpoint::RestoredFromStore& e) {
  const CompletedCheckpoint* snapshot = store_.Find(e.checkpoint);
  if (snapshot == nullptr) return;
  RestoredCheckpointStats stats;
  stats.id = snapshot->id;
  stats.restore_timestamp_ms = now_ms_;
  stats.is_savepoint = !snapshot->owned();
  stats.external_path = snapshot->external_path;
  statistics_.OnRestored(std::move(stats));
}

void CheckpointCoordinator::On(checkpoint::Shutdown& e) {
  if (phase_ == Phase::kShutdown) return;
  phase_ = Phase::kShutdown;
  StopPeriodic();
  AbortPending(Reason::kCheckpointCoordinatorShutdown);
  RefuseQueued(Reason::kCheckpointCoordinatorShutdown);
  for (const CompletedCheckpoint& dropped : store_.Shutdown(e.status, options_.retention)) {
    Discard(dropped);
  }
}

void CheckpointCoordinator::On(checkpoint::LocationCreated& e) {
  if (AnswersAborted(e.checkpoint, e.location)) return;
  PendingCheckpoint* pending = Find(e.checkpoint);
  if (pending == nullptr || pending->stage != PendingCheckpoint::Stage::kCreatingLocation) return;
  pending->io_outstanding = false;
  pending->location = std::move(e.location);
  BeginTriggering(*pending);
}

void CheckpointCoordinator::On(checkpoint::LocationFailed& e) {
  if (AnswersAborted(e.checkpoint)) return;
  PendingCheckpoint* pending = Find(e.checkpoint);
  if (pending == nullptr || pending->stage != PendingCheckpoint::Stage::kCreatingLocation) return;
  pending->io_outstanding = false;
  Abort(e.checkpoint, Cause{Reason::kIoException, std::move(e.message), {}});
}

void CheckpointCoordinator::On(checkpoint::CoordinatorAcked& e) {
  PendingCheckpoint* pending = Find(e.checkpoint);
  if (pending == nullptr) return;
  if (pending->AckCoordinator(e.op, std::move(e.state)) !=
      PendingCheckpoint::AckResult::kAccepted) {
    return;
  }
  for (const CheckpointPlan::Coordinator& coordinator : pending->plan.coordinators) {
    // Triggered in this very step: split assignments sent later come after the barrier.
    if (coordinator.op == e.op && pending->VertexReady(coordinator.vertex)) {
      TriggerVertex(*pending, coordinator.vertex);
    }
  }
  if (pending->coordinators_left.empty()) {
    pending->stage = PendingCheckpoint::Stage::kAcknowledging;
    PersistWhenAcked(*pending);
  }
}

void CheckpointCoordinator::On(checkpoint::CoordinatorFailed& e) {
  PendingCheckpoint* pending = Find(e.checkpoint);
  if (pending == nullptr || pending->coordinators_left.count(e.op) == 0) return;
  Abort(e.checkpoint, Cause{Reason::kTriggerCheckpointFailure, std::move(e.message), {}});
}

void CheckpointCoordinator::On(checkpoint::SubtaskAcked& e) {
  PendingCheckpoint* pending = Find(e.checkpoint);
  if (pending != nullptr) {
    const SubtaskMetrics metrics = e.snapshot.metrics;
    const std::vector<std::string> shared_files = e.snapshot.shared_files;
    switch (pending->AckSubtask(e.subtask, std::move(e.snapshot))) {
      case PendingCheckpoint::AckResult::kDuplicate:
        return;
      case PendingCheckpoint::AckResult::kAccepted:
        // A savepoint is self-contained and belongs to the user: nothing of it is counted.
        if (!IsSavepoint(pending->request.kind)) registry_.Register(e.checkpoint, shared_files);
        statistics_.OnAcknowledged(e.checkpoint, e.subtask, metrics, now_ms_);
        PersistWhenAcked(*pending);
        return;
      case PendingCheckpoint::AckResult::kUnknown:
        break;
    }
  } else if (completed_ids_.count(e.checkpoint) != 0 || aborted_.count(e.checkpoint) != 0 ||
             e.checkpoint <= forgotten_completed_up_to_) {
    // Repeated: deleting what it names would destroy a snapshot that is complete, or is about to be
    // when nobody is left to delete it.
    return;
  }
  Emit(checkpoint::DiscardSnapshot{e.checkpoint, e.subtask, std::move(e.snapshot.state),
                                   registry_.Unreferenced(e.snapshot.shared_files)});
}

void CheckpointCoordinator::On(checkpoint::SubtaskDeclined& e) {
  PendingCheckpoint* pending = Find(e.checkpoint);
  if (pending == nullptr || pending->stage == PendingCheckpoint::Stage::kCreatingLocation) return;
  Abort(e.checkpoint, Cause{e.reason, std::move(e.message), e.subtask});
}

void CheckpointCoordinator::On(checkpoint::MetadataPersisted& e) {
  if (AnswersAborted(e.checkpoint)) return;
  const auto it = pending_.find(e.checkpoint);
  if (it == pending_.end() || it->second.stage != PendingCheckpoint::Stage::kPersisting) return;
  PendingCheckpoint pending = std::move(it->second);
  pending_.erase(it);
  Complete(std::move(pending), e);
}

void CheckpointCoordinator::On(checkpoint::PersistFailed& e) {
  if (AnswersAborted(e.checkpoint)) return;
  PendingCheckpoint* pending = Find(e.checkpoint);
  if (pending == nullptr || pending->stage != PendingCheckpoint::Stage::kPersisting) return;
  pending->io_outstanding = false;
  Abort(e.checkpoint, Cause{Reason::kFinalizeCheckpointFailure, std::move(e.message), {}});
}

}  // namespace flink::jobmanager
