// CheckpointCoordinator: which request starts next, and the periodic schedule.

#include <fmt/core.h>

#include <algorithm>
#include <string>
#include <utility>

#include "common/config/options.h"
#include "jobmanager/checkpoint/checkpoint_coordinator.h"

namespace flink::jobmanager {

using Reason = CheckpointFailureReason;

namespace {

// Savepoints, then what users asked for, then the final checkpoint (it ends the tasks, so whoever
// waits comes before it), then the schedule.
int Rank(const CheckpointRequest& request) {
  if (IsSavepoint(request.kind)) return 0;
  if (request.forced) return 1;
  if (request.kind == SnapshotKind::kFinalCheckpoint) return 3;
  return request.periodic ? 4 : 2;
}

}  // namespace

void CheckpointCoordinator::Enqueue(CheckpointRequest request) {
  if (phase_ == Phase::kShutdown) return Refuse(request, Reason::kCheckpointCoordinatorShutdown);
  if (phase_ == Phase::kSuspended || phase_ == Phase::kDone) {
    return Refuse(request, Reason::kNotAllRequiredTasksRunning);
  }
  if (FinishedTasksForbid()) return Refuse(request, Reason::kNotAllRequiredTasksRunning);
  request.sequence = next_sequence_++;
  if (queue_.size() >= options_.max_queued_requests) {
    const auto periodic = std::find_if(queue_.begin(), queue_.end(),
                                       [](const CheckpointRequest& r) { return r.periodic; });
    if (periodic == queue_.end()) return Refuse(request, Reason::kTooManyCheckpointRequests);
    Refuse(*periodic, Reason::kTooManyCheckpointRequests);
    queue_.erase(periodic);
  }
  queue_.push_back(std::move(request));
}

void CheckpointCoordinator::StartQueued() {
  while (phase_ == Phase::kRunning) {
    const std::optional<size_t> chosen = ChooseRequest();
    if (!chosen) return;
    CheckpointRequest request = std::move(queue_[*chosen]);
    queue_.erase(queue_.begin() + static_cast<std::ptrdiff_t>(*chosen));
    if (IsTerminating(request.kind)) {
      phase_ = Phase::kTerminating;
      StopPeriodic();
      AbortPending(Reason::kCheckpointCoordinatorSuspend);
    }
    Start(std::move(request));
  }
}

std::optional<size_t> CheckpointCoordinator::ChooseRequest() {
  for (const auto& [id, pending] : pending_) {
    // Barriers leave in the order of their ids, so only one attempt is on its way to the sources at
    // a time. Behind the final checkpoint there is nobody left to trigger.
    if (pending.stage <= PendingCheckpoint::Stage::kTriggering ||
        pending.request.kind == SnapshotKind::kFinalCheckpoint) {
      return std::nullopt;
    }
  }
  while (!queue_.empty()) {
    size_t best = 0;
    for (size_t i = 1; i < queue_.size(); ++i) {
      const int rank = Rank(queue_[i]);
      const int best_rank = Rank(queue_[best]);
      if (rank < best_rank || (rank == best_rank && queue_[i].sequence < queue_[best].sequence)) {
        best = i;
      }
    }
    const CheckpointRequest& request = queue_[best];
    if (!MayStart(request)) return std::nullopt;
    if (request.periodic && !IsSavepoint(request.kind) && last_completion_ms_) {
      const int64_t earliest = *last_completion_ms_ + options_.min_pause_ms;
      if (earliest > now_ms_) {
        next_periodic_ms_ = earliest;
        queue_.erase(queue_.begin() + static_cast<std::ptrdiff_t>(best));
        continue;
      }
    }
    return best;
  }
  return std::nullopt;
}

bool CheckpointCoordinator::MayStart(const CheckpointRequest& request) const {
  if (request.forced) return true;
  if (request.kind == SnapshotKind::kFinalCheckpoint) return pending_.empty();
  return pending_.size() < static_cast<size_t>(std::max(1, options_.max_concurrent));
}

void CheckpointCoordinator::Start(CheckpointRequest request) {
  const CheckpointId id = next_id_++;
  PendingCheckpoint& pending =
      pending_.emplace(id, PendingCheckpoint(id, std::move(request), plan_, now_ms_)).first->second;
  if (!pending.request.full) pending.base = ReusableBase();
  if (pending.base != 0) registry_.Pin(id);
  const SnapshotKind kind = pending.request.kind;
  const bool starts_unaligned =
      options_.unaligned && options_.aligned_timeout_ms == 0 && !IsSavepoint(kind);
  statistics_.OnTriggered(id, kind, pending.request.format, starts_unaligned, plan_, now_ms_);
  Emit(checkpoint::StoreNextCheckpointId{next_id_});
  Emit(checkpoint::CreateLocation{id, kind, pending.request.target_dir});
  pending.io_outstanding = true;
}

CheckpointId CheckpointCoordinator::ReusableBase() const {
  const CompletedCheckpoint* latest = store_.Latest();
  if (!options_.incremental || latest == nullptr || IsSavepoint(latest->kind)) return 0;
  // With NO_CLAIM the snapshot may be deleted by its owner after our first checkpoint, and so may
  // the files of a claimed one that are somebody else's.
  const bool may_vanish = latest->claim == ClaimMode::kNoClaim ||
                          (latest->claim == ClaimMode::kClaim && !latest->foreign_files.empty());
  return may_vanish ? 0 : latest->id;
}

int64_t CheckpointCoordinator::PeriodicIntervalMs() const {
  return std::max({*options_.interval_ms, options_.min_pause_ms, int64_t{1}});
}

// Fixed rate: what was due while nobody called is not made up for.
void CheckpointCoordinator::AdvanceSchedule(int64_t& due_ms, int64_t interval_ms) const {
  due_ms += ((now_ms_ - due_ms) / interval_ms + 1) * interval_ms;
}

void CheckpointCoordinator::StartPeriodic(std::optional<int64_t> delay_ms) {
  if (!options_.interval_ms || end_of_data_) return;
  next_periodic_ms_ = now_ms_ + delay_ms.value_or(PeriodicIntervalMs());
}

void CheckpointCoordinator::StopPeriodic() {
  next_periodic_ms_.reset();
  final_retry_ms_.reset();
}

void CheckpointCoordinator::RequestFinal() {
  final_retry_ms_.reset();
  CheckpointRequest request;
  request.kind = SnapshotKind::kFinalCheckpoint;
  request.sequence = next_sequence_++;
  // Not subject to the limit of the queue: without it the job would never end.
  queue_.push_back(std::move(request));
}

void CheckpointCoordinator::RequestPeriodicSavepoint() {
  // They never overlap. To take the missed one later would only move the ones behind it.
  if (PeriodicSavepointUnderWay()) {
    Emit(checkpoint::PeriodicSavepointMissed{0, "The one before it is still under way."});
    return;
  }
  CheckpointRequest request;
  request.kind = SnapshotKind::kSavepoint;
  request.format = options_.periodic_savepoint_format;
  request.periodic = true;
  request.forced = !options_.unaligned;
  request.full = true;
  request.target_dir = options_.periodic_savepoint_directory;
  Enqueue(std::move(request));
}

bool CheckpointCoordinator::PeriodicSavepointUnderWay() const {
  return std::any_of(queue_.begin(), queue_.end(),
                     [](const CheckpointRequest& r) { return r.IsPeriodicSavepoint(); }) ||
         std::any_of(pending_.begin(), pending_.end(),
                     [](const auto& entry) { return entry.second.request.IsPeriodicSavepoint(); });
}

void CheckpointCoordinator::Refuse(const CheckpointRequest& request, Reason reason) {
  if (request.IsPeriodicSavepoint()) {
    Emit(checkpoint::PeriodicSavepointMissed{0, TextOf(reason)});
  }
  if (!request.request) return;
  const std::string detail =
      reason == Reason::kNotAllRequiredTasksRunning ? NotRunningDetail() : "";
  checkpoint::CompleteRequest answer;
  answer.request = *request.request;
  answer.kind = request.kind;
  answer.message = TextOf(reason, detail);
  Emit(std::move(answer));
}

void CheckpointCoordinator::RefuseQueued(Reason reason) {
  std::deque<CheckpointRequest> refused;
  refused.swap(queue_);
  for (const CheckpointRequest& request : refused) Refuse(request, reason);
}

std::string CheckpointCoordinator::TextOf(Reason reason, const std::string& detail) const {
  std::string text = FailureMessage(reason, detail);
  switch (reason) {
    case Reason::kCheckpointExpired:
      text += fmt::format(" It was not complete within {} ms ({}).", options_.timeout_ms,
                          options::kCheckpointingTimeout.key);
      break;
    case Reason::kCheckpointCoordinatorSuspend:
      text += phase_ == Phase::kDone
                  ? " The job is ending."
                  : " A stop of the job began meanwhile, or the job failed and is started again: "
                    "ask for it again when the job is RUNNING.";
      break;
    case Reason::kNotAllRequiredTasksRunning:
      if (phase_ == Phase::kSuspended) {
        text += " Wait until the job is RUNNING.";
      } else if (FinishedTasksForbid()) {
        text += fmt::format(" Set {} to true.", options::kCheckpointsAfterTasksFinish.key);
      }
      break;
    default:
      break;
  }
  return text;
}

std::string CheckpointCoordinator::NotRunningDetail() const {
  if (FinishedTasksForbid() && phase_ != Phase::kSuspended) {
    return "Some tasks of the job have already finished and checkpointing with finished tasks is "
           "not enabled.";
  }
  for (const CheckpointPlan::Vertex& vertex : plan_.vertices) {
    if (!vertex.is_source) continue;
    return "Checkpoint triggering task " + vertex.name + " (1/" +
           std::to_string(vertex.parallelism) + ") of job " + options_.job.ToHex() +
           " is not being executed at the moment. Aborting checkpoint.";
  }
  return "";
}

}  // namespace flink::jobmanager
