#pragma once

/// Decides when checkpoints and savepoints of one job start, complete, are declined, or expire.

#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "jobmanager/checkpoint/checkpoint_events.h"
#include "jobmanager/checkpoint/checkpoint_failure_reason.h"
#include "jobmanager/checkpoint/checkpoint_statistics.h"
#include "jobmanager/checkpoint/checkpoint_types.h"
#include "jobmanager/checkpoint/completed_checkpoint_store.h"
#include "jobmanager/checkpoint/pending_checkpoint.h"
#include "jobmanager/checkpoint/shared_state_registry.h"

namespace flink::jobmanager {

/// Settings execution.checkpointing.*; times in milliseconds, defaults are Flink's.
struct CheckpointCoordinatorOptions {
  JobId job;
  /// Absent = no periodic checkpoints; savepoints, manual and the final checkpoint still work.
  std::optional<int64_t> interval_ms;
  int64_t timeout_ms = 600'000;
  int64_t min_pause_ms = 0;
  int max_concurrent = 1;
  int tolerable_failures = 0;
  int num_retained = 1;
  CheckpointRetention retention = CheckpointRetention::kNoExternalized;
  bool unaligned = false;
  int64_t aligned_timeout_ms = 0;  ///< With `unaligned`: how long barriers wait for alignment.
  bool incremental = false;
  /// Absent = no periodic savepoints. They go below `periodic_savepoint_directory`.
  std::optional<int64_t> periodic_savepoint_interval_ms;
  std::string periodic_savepoint_directory;
  SavepointFormat periodic_savepoint_format = SavepointFormat::kCanonical;
  int num_retained_periodic_savepoints = 1;
  /// execution.checkpointing.checkpoints-after-tasks-finish. False: once a subtask has reached the
  /// end of its data, only the final checkpoint is taken.
  bool after_tasks_finish = true;
  size_t max_queued_requests = 1000;
  size_t history_size = 10;
  /// Until a final checkpoint that failed is tried again.
  int64_t final_retry_delay_ms = 1000;
  /// JobStore::NextCheckpointId.
  CheckpointId next_checkpoint_id = 1;
  /// JobStore::Completed, oldest first.
  std::vector<CompletedCheckpoint> completed;
};

/// The checkpoint state machine of one job, across all attempts of the job.
///
/// Pure: performs no I/O, reads no clock, starts no thread. Feed it events; execute the actions it
/// returns, in order. It exists for every job, also when periodic checkpoints are off. Threading:
/// confined to the job's mailbox. Lifetime: owned by the JobMaster; holds no reference to tasks.
/// Errors: never fails. A late or unknown acknowledgement yields DiscardSnapshot, so its files do
/// not leak. Limits: Options::max_concurrent attempts besides forced savepoints;
/// Options::max_queued_requests queued. Times: `now_ms` counts milliseconds since the epoch and
/// never goes backwards.
class CheckpointCoordinator {
 public:
  using Event = checkpoint::Event;
  using Action = checkpoint::Action;

  explicit CheckpointCoordinator(CheckpointCoordinatorOptions options);

  /// Advances the machine by one event.
  /// Ensures: NotifyComplete of n follows MetadataPersisted of n; AddCompleted precedes the
  /// deletion of what it subsumes; every user request gets exactly one CompleteRequest; ids are
  /// never reused.
  std::vector<Action> Step(Event event, int64_t now_ms);

  /// When to send the next Tick; nullopt when nothing is due. Ask after every Step.
  std::optional<int64_t> NextWakeup() const;

  /// The checkpoint a new job attempt restores from; null = start empty.
  const CompletedCheckpoint* LatestRestorable() const { return store_.Latest(); }
  const CompletedCheckpointStore& store() const { return store_; }
  /// The periodic savepoints that are kept, oldest first. They are a queue of their own: never
  /// restored from at a failover, never deleted at the job's end.
  const std::deque<PeriodicSavepoint>& periodic_savepoints() const { return periodic_savepoints_; }
  const CheckpointStatistics& statistics() const { return statistics_; }
  const SharedStateRegistry& registry() const { return registry_; }
  const CheckpointCoordinatorOptions& options() const { return options_; }
  CheckpointId next_checkpoint_id() const { return next_id_; }
  size_t num_pending() const { return pending_.size(); }
  size_t num_queued() const { return queue_.size(); }
  /// Whether the request of a user waits for what is before it, and else the id under which it is
  /// being taken; neither when it has been answered.
  bool IsQueued(RequestId request) const;
  std::optional<CheckpointId> PendingIdOf(RequestId request) const;
  /// True while an answer to CreateLocation or PersistMetadata is outstanding, also of aborted
  /// attempts. A shell that stops delivering events then leaves a directory behind.
  bool AwaitsIo() const;

 private:
  enum class Phase {
    kSuspended,    // The job is not running.
    kRunning,      //
    kTerminating,  // A stop or cancel with savepoint is in progress. Next: kRunning on failure,
                   // kDone.
    kDone,      // The final checkpoint, stop or cancel savepoint succeeded; nothing starts in this
                // attempt.
    kShutdown,  // The job ended.
  };
  // An aborted attempt whose I/O is still out; its files are deleted when the answer arrives.
  struct Aborted {
    std::string location;
  };
  // Whose failure ended an attempt; decides what it means for the job.
  struct Cause {
    CheckpointFailureReason reason = CheckpointFailureReason::kCheckpointDeclined;
    std::string detail;
    std::optional<SubtaskRef> subtask;  // Set for failures of a task.
  };

  /// FailureMessage, and what the user can do.
  std::string TextOf(CheckpointFailureReason reason, const std::string& detail = {}) const;

  // checkpoint_coordinator.cc: events.
  void On(checkpoint::JobRunning& e);
  void On(checkpoint::JobLeftRunning& e);
  void On(checkpoint::Tick& e);
  void On(checkpoint::TriggerSavepoint& e);
  void On(checkpoint::TriggerCheckpoint& e);
  void On(checkpoint::SomeSubtasksEndOfData& e);
  void On(checkpoint::AllSubtasksEndOfData& e);
  void On(checkpoint::IdsTaken& e);
  void On(checkpoint::Restored& e);
  void On(checkpoint::RestoredFromStore& e);
  void On(checkpoint::Shutdown& e);
  void On(checkpoint::LocationCreated& e);
  void On(checkpoint::LocationFailed& e);
  void On(checkpoint::CoordinatorAcked& e);
  void On(checkpoint::CoordinatorFailed& e);
  void On(checkpoint::SubtaskAcked& e);
  void On(checkpoint::SubtaskDeclined& e);
  void On(checkpoint::MetadataPersisted& e);
  void On(checkpoint::PersistFailed& e);

  // checkpoint_requests.cc: the queue and the schedule.
  void Enqueue(CheckpointRequest request);
  void StartQueued();
  std::optional<size_t> ChooseRequest();
  bool MayStart(const CheckpointRequest& request) const;
  void Start(CheckpointRequest request);
  void StartPeriodic(std::optional<int64_t> delay_ms);
  void StopPeriodic();
  void RequestFinal();
  void RequestPeriodicSavepoint();
  bool PeriodicSavepointUnderWay() const;
  void Refuse(const CheckpointRequest& request, CheckpointFailureReason reason);
  /// Nothing but the final checkpoint starts any more.
  bool FinishedTasksForbid() const { return some_end_of_data_ && !options_.after_tasks_finish; }
  void RefuseQueued(CheckpointFailureReason reason);
  std::string NotRunningDetail() const;
  int64_t PeriodicIntervalMs() const;
  void AdvanceSchedule(int64_t& due_ms, int64_t interval_ms) const;

  // checkpoint_completion.cc: how attempts end.
  void BeginTriggering(PendingCheckpoint& pending);
  void FinishSubtasks();
  void TriggerVertex(const PendingCheckpoint& pending, const JobVertexId& vertex);
  checkpoint::TriggerOptions TriggerOptionsOf(const PendingCheckpoint& pending) const;
  void PersistWhenAcked(PendingCheckpoint& pending);
  void Complete(PendingCheckpoint pending, checkpoint::MetadataPersisted& e);
  /// What is pending before `id`, which has completed, and was not forced.
  void AbortSubsumed(CheckpointId id);
  void AddToStore(CompletedCheckpoint checkpoint);
  void RetainPeriodicSavepoint(const PendingCheckpoint& pending);
  void Discard(const CompletedCheckpoint& checkpoint);
  void EnterDone();
  void Abort(CheckpointId id, const Cause& cause);
  /// Deletes what the attempt has written.
  void DiscardAborted(CheckpointId id, const std::string& location);
  /// True when the answer of I/O is that of an aborted attempt, which is discarded now. `location`:
  /// when the attempt did not know it.
  bool AnswersAborted(CheckpointId id, const std::string& location = {});
  void AbortPending(CheckpointFailureReason reason);
  void AfterFailure(const PendingCheckpoint& pending, const Cause& cause);
  void CountFailure(CheckpointId id, const Cause& cause);
  void RememberCompleted(CheckpointId id);
  void Delete(std::vector<std::string> files);
  CheckpointId ReusableBase() const;
  PendingCheckpoint* Find(CheckpointId id);
  void Emit(Action action) { actions_.push_back(std::move(action)); }

  // Constant after construction.
  CheckpointCoordinatorOptions options_;

  // Of the current Step.
  int64_t now_ms_ = 0;
  std::vector<Action> actions_;

  // Across job attempts.
  CheckpointId next_id_ = 1;
  uint64_t next_sequence_ = 0;
  CompletedCheckpointStore store_;
  SharedStateRegistry registry_;
  CheckpointStatistics statistics_;
  std::map<CheckpointId, Aborted> aborted_;
  std::set<CheckpointId> completed_ids_;  // The newest ones: their acknowledgements are duplicates.
  CheckpointId forgotten_completed_up_to_ = 0;  // Ids up to this one may have completed, too.
  std::set<CheckpointId> counted_failures_;
  CheckpointId last_completed_id_ = 0;
  std::optional<int64_t> last_completion_ms_;
  std::deque<PeriodicSavepoint> periodic_savepoints_;
  // When the next one is due. Goes on across attempts: a job that restarts more often than it is to
  // have savepoints still gets them.
  std::optional<int64_t> next_periodic_savepoint_ms_;

  // Of the current job attempt.
  Phase phase_ = Phase::kSuspended;
  CheckpointPlan plan_;
  std::map<CheckpointId, PendingCheckpoint> pending_;
  std::deque<CheckpointRequest> queue_;
  std::optional<int64_t> next_periodic_ms_;
  std::optional<int64_t> final_retry_ms_;
  bool end_of_data_ = false;
  bool some_end_of_data_ = false;
  /// Subtasks that may finish, with the complete checkpoint that has their last snapshot.
  std::map<SubtaskRef, CheckpointId> finishable_;
};

}  // namespace flink::jobmanager
