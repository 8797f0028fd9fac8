#pragma once

/// JobMaster: runs one job, from initialization over any number of execution attempts to its end.

#include <functional>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/base/status.h"
#include "common/concurrency/mailbox.h"
#include "common/concurrency/worker_pool.h"
#include "common/config/configuration.h"
#include "common/io/file_lock.h"
#include "flink/pb/cluster/v1/cluster.pb.h"
#include "jobmanager/checkpoint/checkpoint_storage.h"
#include "jobmanager/checkpoint/job_store.h"
#include "jobmanager/checkpoint/restored_state.h"
#include "jobmanager/resource/slot_pool.h"
#include "jobmanager/scheduler/checkpoint_driver.h"
#include "jobmanager/scheduler/job_attempt.h"
#include "jobmanager/scheduler/job_details.h"
#include "jobmanager/scheduler/job_options.h"
#include "jobmanager/scheduler/restart_strategy.h"
#include "jobmanager/scheduler/submitted_job.h"

namespace flink::jobmanager {

inline constexpr char kStopWithSavepointStoppingException[] =
    "org.apache.flink.runtime.scheduler.stopwithsavepoint.StopWithSavepointStoppingException";
/// Whether a stop failed so: its savepoint is complete, and its job failed behind it.
bool IsStoppingFailure(const Status& answer);

/// Life of an attempt: slots -> StartExecutor on every TaskManager used -> ExecutorReady from all
/// -> DeployTasks -> all tasks RUNNING. A failure of any task, executor or TaskManager ends the
/// attempt: its executors are killed, and when all have gone the restart strategy's delay passes
/// and the next attempt begins from the latest checkpoint.
///
/// The job is RUNNING when all its tasks are. A first attempt that fails before that leaves the job
/// CREATED, a later one RESTARTING, for as long as restarts are allowed.
///
/// Threading: main thread only. Ownership: Deps must outlive it. Destroying it tells nobody
/// anything. Errors: never fails as an object; the job does, and says why in its details.
class JobMaster : private CheckpointDriverHost {
 public:
  struct Deps {
    Mailbox* main = nullptr;
    WorkerPool* io = nullptr;
    const Clock* clock = nullptr;
    JobStore* store = nullptr;
    SlotPool* slots = nullptr;
    /// False when the TaskManager is not connected.
    std::function<bool(const std::string& task_manager_id,
                       pb::cluster::v1::JobManagerMessage message)>
        send;
    /// Why a job must not start from the snapshot in `directory` with this claim mode: another job
    /// claimed it or, when it is to be claimed, may still restore from it.
    std::function<Status(const std::string& directory, const JobId& job, ClaimMode)> may_restore;
    /// Asks all jobs whether they claimed a snapshot or may still restore from it.
    std::function<bool(const std::string& directory)> uses_snapshot;
    /// For checkpoints of jobs that configure no directory.
    std::string private_checkpoint_directory;
    /// Directories with the journals that note the snapshots of the job.
    std::vector<std::string> journals;
    /// The job has ended, its executors have gone and its files are settled. Called from a mail of
    /// its own: the callee may destroy the JobMaster.
    std::function<void(const JobId& job)> on_ended;
    uint64_t random_seed = 0;
  };
  using SavepointAnswer = std::function<void(StatusOr<std::string> path)>;
  using CheckpointAnswer = std::function<void(StatusOr<CheckpointId>)>;

  /// `configuration`: effective, of cluster and job. Fails when it cannot be understood.
  static StatusOr<std::unique_ptr<JobMaster>> Create(SubmittedJob job, Configuration configuration,
                                                     Deps deps);
  ~JobMaster() override;

  /// Reserves slots, checks directories, reads the snapshot to restore from and plans the restore.
  /// `done` is called once; a failed or cancelled job has then ended.
  void Initialize(std::function<void(Status)> done);
  /// After a successful Initialize: schedules the first attempt.
  void Start();

  /// OK also when the job is being cancelled or was; kFailedPrecondition (message: the state) when
  /// it ended otherwise.
  Status Cancel();
  /// The request by which the coordinator knows it.
  RequestId TriggerSavepoint(const std::string& target_dir, SavepointFormat format,
                             SnapshotKind kind, SavepointAnswer answer);
  RequestId TriggerCheckpoint(bool full, CheckpointAnswer answer);

  void OnExecutorMessage(const std::string& task_manager_id,
                         const pb::cluster::v1::ExecutorMessage& message);
  void OnExecutorExited(const std::string& task_manager_id,
                        const pb::cluster::v1::ExecutorExited& exited);
  void OnTaskManagerLost(const std::string& task_manager_id, const std::string& reason);
  /// Slots may be free; only a job that waits for them looks.
  void OnSlotsFree();
  /// The JobManager goes down: tells the TaskManagers to kill the executors and deletes what
  /// snapshots in progress have written. To be destroyed next.
  void KillExecutors();

  const JobId& id() const { return job_.id; }
  const std::string& checkpoint_directory() const { return storage_->directory(); }
  JobStatus status() const { return status_; }
  const SubmittedJob& job() const { return job_; }
  const JobOptions& options() const { return options_; }
  JobDetails Details() const;
  const CheckpointStatistics& checkpoint_statistics() const {
    return driver_->coordinator().statistics();
  }
  const CheckpointCoordinator& checkpoint_coordinator() const { return driver_->coordinator(); }
  /// True when a snapshot at `directory` may still be needed by this job. May look at the disk, as
  /// one directory has many paths.
  bool Uses(const std::string& directory) const;
  /// True when this job claimed the snapshot at `directory` and has not ended.
  bool Claims(const std::string& directory) const;
  /// What this job took over at its start; null when it started without state.
  const std::shared_ptr<const snapshot::RestorePlan>& restore_plan() const { return restore_plan_; }
  /// The picture to match another program against: what the latest checkpoint is loaded from, or
  /// nothing when there is none yet; and the graph that is running.
  std::string LatestSnapshot() const;
  const graph::JobGraph& running_graph() const { return graph_; }

 private:
  enum class Phase {
    kInitializing,
    kWaitingForSlots,
    kActive,      // Executors are starting or running.
    kStopping,    // Waiting for the executors of the attempt to go.
    kBackingOff,  // Waiting for the restart delay.
    kEnded,
  };
  enum class Next { kRestart, kFail, kCancel };
  struct Failure {
    std::string message;
    std::string class_name = "org.apache.flink.util.FlinkException";
    bool retryable = true;
    std::optional<SubtaskRef> subtask;
    std::string task_manager_id;
  };
  struct InitialRestore {
    snapshot::RestorePlan plan;
    RestoredState state;
    CompletedCheckpoint snapshot;
    std::optional<io::FileLock> hold;
  };

  JobMaster(SubmittedJob job, Configuration configuration, JobOptions options, Deps deps);

  // CheckpointDriverHost.
  void SendCommand(const std::string& task_manager_id,
                   pb::cluster::v1::ExecutorCommand command) override;
  JobAttempt* CurrentAttempt() override;
  SnapshotDescription DescribeSnapshot() const override;
  void CancelAfterSavepoint() override;
  bool IsRestoreSource(const std::string& directory) const override;
  void FailAfterCheckpoint(const std::string& message,
                           const std::optional<SubtaskRef>& subtask) override;
  void OnCheckpointAdded() override;
  void OnCheckpointDriverIdle() override { ReportEnded(); }

  // job_master.cc: the job.
  void TransitionTo(JobStatus to);
  void OnInitialized(StatusOr<std::optional<InitialRestore>> restore,
                     const std::function<void(Status)>& done);
  void ClaimSnapshot(std::optional<InitialRestore> restore,
                     const std::function<void(Status)>& done);
  void TakeOver(InitialRestore initial);
  static StatusOr<std::optional<InitialRestore>> PrepareOnPool(
      const CheckpointStorage& storage, const std::string& periodic_savepoints,
      const SubmittedJob& job, const graph::JobGraph& graph);
  void ReleaseReservation();
  void End(JobStatus status);
  void ReleaseClaim();
  void ReportEnded();
  std::string StoppingFailedMessage(const std::string& savepoint, const std::string& cause) const;
  void AnswerStop(const Status& failure);

  // job_attempt_lifecycle.cc: attempts.
  void StartAttempt(int number);
  void TryToPlace();
  void StartExecutors();
  void StopStartTimer();
  void OnStartTimeout();
  void LoadState();
  void DeployWhenReady();
  void OnTaskState(const std::string& task_manager_id,
                   const pb::cluster::v1::TaskStateChanged& change);
  void OnAllRunning();
  void OnAllFinished();
  void RelayCoordinatorEvent(const pb::cluster::v1::CoordinatorEvent& event);
  void OnMetrics(const pb::cluster::v1::TaskMetrics& metrics);
  void FailAttempt(Failure failure);
  void RecordFailure(const Failure& failure);
  ExceptionEntry EntryOf(const Failure& failure) const;
  void StopAttempt(Next next, int64_t grace_ms);
  void SendStop(int64_t grace_ms);
  void MarkGone(AttemptExecutor& executor);
  /// Every task there has committed and ended, so that its executor may go before the others'.
  bool AllFinishedOn(const std::string& task_manager_id) const;
  void ContinueWhenStopped();
  std::string TaskName(const SubtaskRef& ref) const;

  /// A mail that runs only while this object lives.
  Mail Guarded(std::function<void(JobMaster&)> fn) const;
  int64_t NowMs() const { return deps_.clock->NowMs(); }

  const SubmittedJob job_;
  const Configuration configuration_;
  const JobOptions options_;
  const Deps deps_;
  std::shared_ptr<const CheckpointStorage> storage_;
  std::unique_ptr<CheckpointDriver> driver_;
  std::unique_ptr<RestartStrategy> restart_strategy_;
  std::mt19937_64 random_;

  graph::JobGraph graph_;  // Maximum parallelism may be taken over from a snapshot.
  JobStatus status_ = JobStatus::kInitializing;
  std::array<int64_t, kJobStatusCount> timestamps_{};
  Phase phase_ = Phase::kInitializing;
  Next next_ = Next::kRestart;
  bool removed_leftovers_ = false;  // After the end.
  bool reported_ended_ = false;

  std::vector<SlotShare> reserved_;
  std::optional<RestoredState> restored_;  // Of the current attempt; absent: starts empty.
  bool state_loaded_ = false;
  std::shared_ptr<const snapshot::RestorePlan> restore_plan_;
  std::string claimed_;  // Directory of the snapshot that is claimed; empty: none.
  std::optional<io::FileLock> claim_lock_;
  std::optional<io::FileLock> hold_;  // On a snapshot that is not this job's and may be needed.
  std::unique_ptr<JobAttempt> attempt_;
  bool deployed_ = false;
  bool end_of_data_reported_ = false;
  int64_t restart_at_ms_ = 0;
  Mailbox::TimerId restart_timer_ = 0;
  Mailbox::TimerId start_timer_ = 0;  // Until all executors must be ready.
  int64_t restarts_ = 0;
  std::vector<ExceptionEntry> exceptions_;  // Newest first.
  std::optional<ExceptionEntry> failure_;

  /// A stop that has its savepoint and waits for the tasks to finish.
  struct PendingStop {
    std::string path;
    SavepointAnswer answer;
  };
  std::vector<PendingStop> pending_stops_;

  std::shared_ptr<JobMaster*> self_;
};

}  // namespace flink::jobmanager
