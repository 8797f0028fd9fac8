#pragma once

/// Events the CheckpointCoordinator is fed with and the actions it answers with.
///
/// Flow of attempt n: StoreNextCheckpointId, CreateLocation -> LocationCreated ->
/// TriggerCoordinator per source coordinator -> CoordinatorAcked -> TriggerSources in the same step
/// -> SubtaskAcked from every subtask -> PersistMetadata -> MetadataPersisted -> AddCompleted,
/// RemoveCompleted, NotifyComplete, CompleteRequest, DiscardCheckpoint.

#include <map>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "jobmanager/checkpoint/checkpoint_failure_reason.h"
#include "jobmanager/checkpoint/checkpoint_types.h"
#include "jobmanager/scheduler/states.h"

namespace flink::checkpoint {

using jobmanager::CheckpointFailureReason;
using jobmanager::CheckpointId;
using jobmanager::CheckpointPlan;
using jobmanager::CompletedCheckpoint;
using jobmanager::JobStatus;
using jobmanager::RequestId;
using jobmanager::SavepointFormat;
using jobmanager::SnapshotKind;
using jobmanager::SubtaskRef;
using jobmanager::SubtaskSnapshot;

// ---- Events -------------------------------------------------------------------------------------

/// Every subtask of a (new) job attempt is RUNNING.
struct JobRunning {
  CheckpointPlan plan;
  /// Until the first periodic checkpoint; a random value in [min-pause, interval]. Absent =
  /// interval.
  std::optional<int64_t> initial_delay_ms;
};
/// Some subtask left RUNNING, or the job is being cancelled or failed over. Aborts everything.
struct JobLeftRunning {
  bool for_good = false;  ///< The job ends: who waits is told what Shutdown says.
};
/// Time passed; send one at NextWakeup().
struct Tick {};
/// A user asked for a savepoint, or for stop or cancel with savepoint.
struct TriggerSavepoint {
  RequestId request = 0;
  std::string target_dir;  ///< Resolved: explicit directory or the configured default.
  SavepointFormat format = SavepointFormat::kCanonical;
  SnapshotKind kind = SnapshotKind::kSavepoint;  ///< REQUIRES IsSavepoint(kind).
};
/// A user asked for a checkpoint.
struct TriggerCheckpoint {
  RequestId request = 0;
  bool full = false;  ///< Reuses no file of earlier checkpoints.
};
/// Some subtask of the attempt has reached end of data, and not all have.
struct SomeSubtasksEndOfData {};
/// Every subtask of the attempt has reached end of data.
struct AllSubtasksEndOfData {};
/// The job was started from a snapshot that this coordinator does not hold yet. `snapshot.claim` is
/// kNoClaim, kClaim or kLegacy. Send before the first JobRunning.
struct Restored {
  CompletedCheckpoint snapshot;
};
/// Ids up to this one have been used where the job keeps its checkpoints. Send before Restored.
struct IdsTaken {
  CheckpointId highest = 0;
};
/// A job attempt was restored from an entry of the completed store (failover).
struct RestoredFromStore {
  CheckpointId checkpoint = 0;
};
/// The job ended in this status (FINISHED, CANCELED, FAILED, or SUSPENDED); nothing is triggered
/// afterwards.
struct Shutdown {
  JobStatus status = JobStatus::kSuspended;
};

struct LocationCreated {
  CheckpointId checkpoint = 0;
  std::string location;
};
struct LocationFailed {
  CheckpointId checkpoint = 0;
  std::string message;
};
struct CoordinatorAcked {
  CheckpointId checkpoint = 0;
  OperatorId op;
  std::string state;
};
struct CoordinatorFailed {
  CheckpointId checkpoint = 0;
  OperatorId op;
  std::string message;
};
struct SubtaskAcked {
  CheckpointId checkpoint = 0;
  SubtaskRef subtask;
  SubtaskSnapshot snapshot;
};
struct SubtaskDeclined {
  CheckpointId checkpoint = 0;
  SubtaskRef subtask;
  CheckpointFailureReason reason = CheckpointFailureReason::kCheckpointDeclined;
  std::string message;
};
struct MetadataPersisted {
  CheckpointId checkpoint = 0;
  std::string external_path;
  std::string metadata;  ///< Opaque handle kept in the completed store.
};
struct PersistFailed {
  CheckpointId checkpoint = 0;
  std::string message;
};

using Event =
    std::variant<JobRunning, JobLeftRunning, Tick, TriggerSavepoint, TriggerCheckpoint,
                 SomeSubtasksEndOfData, AllSubtasksEndOfData, IdsTaken, Restored, RestoredFromStore,
                 Shutdown, LocationCreated, LocationFailed, CoordinatorAcked, CoordinatorFailed,
                 SubtaskAcked, SubtaskDeclined, MetadataPersisted, PersistFailed>;

// ---- Actions ------------------------------------------------------------------------------------

/// JobStore::SetNextCheckpointId, before anything that carries the id.
struct StoreNextCheckpointId {
  CheckpointId next = 1;
};
/// Create the directory off-thread: chk-<n> below the checkpoint directory when `target_dir` is
/// empty, else savepoint-<job>-<random> below `target_dir`. Answer LocationCreated or
/// LocationFailed, exactly one.
struct CreateLocation {
  CheckpointId checkpoint = 0;
  SnapshotKind kind = SnapshotKind::kCheckpoint;
  std::string target_dir;
};
/// Common part of both triggers; travels with the barrier.
struct TriggerOptions {
  SnapshotKind kind = SnapshotKind::kCheckpoint;
  SavepointFormat format = SavepointFormat::kNative;  ///< Only for savepoints.
  /// Milliseconds after the trigger until barriers overtake records; nullopt: never. Savepoints
  /// are always aligned.
  std::optional<int64_t> aligned_timeout_ms;
  std::string location;
  int64_t trigger_timestamp_ms = 0;
  /// The only checkpoint whose shared files this one may name again; they are kept until it is
  /// resolved. 0 = full snapshot. A task that does not hold that checkpoint's file list uploads
  /// everything.
  CheckpointId base = 0;
};
/// Ask a source coordinator for its bytes. Answer CoordinatorAcked or CoordinatorFailed.
struct TriggerCoordinator {
  CheckpointId checkpoint = 0;
  OperatorId op;
  TriggerOptions options;
};
/// Send the trigger to these subtasks, after everything sent to them before.
struct TriggerSources {
  CheckpointId checkpoint = 0;
  JobVertexId vertex;
  std::vector<int32_t> subtasks;
  TriggerOptions options;
};
/// Tell all subtasks and source coordinators that the attempt is void.
struct AbortCheckpoint {
  CheckpointId checkpoint = 0;
  CheckpointId latest_completed = 0;
};
/// Write `_metadata` durably, last and by rename, off-thread. Answer MetadataPersisted or
/// PersistFailed.
struct PersistMetadata {
  CheckpointId checkpoint = 0;
  SnapshotKind kind = SnapshotKind::kCheckpoint;
  SavepointFormat format = SavepointFormat::kNative;
  std::string location;
  int64_t trigger_timestamp_ms = 0;
  CheckpointPlan plan;
  std::map<OperatorId, std::string> coordinators;
  std::map<SubtaskRef, SubtaskSnapshot> subtasks;
};
/// JobStore::AddCompleted. When it fails, the actions behind it must not be executed.
struct AddCompleted {
  CompletedCheckpoint checkpoint;
};
/// JobStore::RemoveCompleted; deletes no file.
struct RemoveCompleted {
  CheckpointId checkpoint = 0;
};
/// Delete a completed checkpoint: metadata first, then its directory. Its shared files come as
/// DeleteFiles.
struct DiscardCheckpoint {
  CompletedCheckpoint checkpoint;
};
/// Delete the directory of an attempt that did not complete, with what the job has written there.
struct DiscardPending {
  CheckpointId checkpoint = 0;
  std::string location;
};
/// Delete the oldest periodic savepoint: enough newer ones are complete. What another job was
/// started from stays.
struct DisposePeriodicSavepoint {
  jobmanager::PeriodicSavepoint savepoint;
};
/// A periodic savepoint was due and is not there; the job goes on. `checkpoint` is 0 when it was
/// not even started.
struct PeriodicSavepointMissed {
  CheckpointId checkpoint = 0;
  std::string message;
};
/// A late or unknown acknowledgement: delete the exclusive files that `state` names, and `files`
/// (those of its shared files that no checkpoint uses). Missing files are fine.
struct DiscardSnapshot {
  CheckpointId checkpoint = 0;
  SubtaskRef subtask;
  std::string state;
  std::vector<std::string> files;
};
/// Delete shared files that nothing references any more.
struct DeleteFiles {
  std::vector<std::string> files;
};
/// Tell all subtasks and source coordinators that n is complete. For kFinalCheckpoint, kStopSuspend
/// and kStopDrain the tasks commit and finish.
struct NotifyComplete {
  CheckpointId checkpoint = 0;
  SnapshotKind kind = SnapshotKind::kCheckpoint;
};
/// Subtasks at the end of their data whose last snapshot is in complete checkpoint n: they commit
/// it and finish, while the job goes on.
struct FinishSubtasks {
  CheckpointId checkpoint = 0;
  std::vector<SubtaskRef> subtasks;
};
/// Answer the user. `ok` false: `message` says why. A stop is answered to the user only once the
/// job is FINISHED.
struct CompleteRequest {
  RequestId request = 0;
  bool ok = false;
  CheckpointId checkpoint = 0;  ///< 0 when none was started.
  SnapshotKind kind = SnapshotKind::kCheckpoint;
  std::string path;
  std::string message;
};
/// Cancel-with-savepoint succeeded: cancel the job now.
struct CancelJob {};
/// Fail the job attempt; the restart strategy decides what follows.
struct FailJob {
  std::string message;
  std::optional<SubtaskRef> subtask;  ///< Whose failure it was, when known.
};

using Action =
    std::variant<StoreNextCheckpointId, CreateLocation, TriggerCoordinator, TriggerSources,
                 AbortCheckpoint, PersistMetadata, AddCompleted, RemoveCompleted, DiscardCheckpoint,
                 DiscardPending, DisposePeriodicSavepoint, PeriodicSavepointMissed, DiscardSnapshot,
                 DeleteFiles, NotifyComplete, FinishSubtasks, CompleteRequest, CancelJob, FailJob>;

}  // namespace flink::checkpoint
