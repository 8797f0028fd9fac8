#pragma once

/// CheckpointDriver: carries out what the CheckpointCoordinator of a job decides.

#include <deque>
#include <functional>
#include <future>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/base/status.h"
#include "common/concurrency/mailbox.h"
#include "common/concurrency/worker_pool.h"
#include "flink/pb/cluster/v1/executor.pb.h"
#include "jobmanager/checkpoint/checkpoint_coordinator.h"
#include "jobmanager/checkpoint/checkpoint_storage.h"
#include "jobmanager/checkpoint/job_store.h"
#include "jobmanager/scheduler/job_attempt.h"

namespace flink::jobmanager {

/// What the driver needs of its JobMaster. All calls on the main thread.
class CheckpointDriverHost {
 public:
  virtual ~CheckpointDriverHost() = default;
  /// To the executor of the current attempt on a TaskManager.
  virtual void SendCommand(const std::string& task_manager_id,
                           pb::cluster::v1::ExecutorCommand command) = 0;
  /// Null when no attempt is running.
  virtual JobAttempt* CurrentAttempt() = 0;
  virtual SnapshotDescription DescribeSnapshot() const = 0;
  virtual void CancelAfterSavepoint() = 0;
  /// A job, this one or another, was started from the snapshot in `directory` and has no checkpoint
  /// of its own yet.
  virtual bool IsRestoreSource(const std::string& directory) const = 0;
  virtual void FailAfterCheckpoint(const std::string& message,
                                   const std::optional<SubtaskRef>& subtask) = 0;
  /// A checkpoint of the job has joined those it may go back to.
  virtual void OnCheckpointAdded() = 0;
  /// The last file work that was under way is done.
  virtual void OnCheckpointDriverIdle() = 0;
};

/// Threading: main thread; blocking file work runs on the pool. Ownership: host, mailbox, pool,
/// clock and store must outlive it; deletions that are left when it goes are still done, and
/// reported to nobody.
class CheckpointDriver {
 public:
  struct Deps {
    Mailbox* main = nullptr;
    WorkerPool* io = nullptr;
    const Clock* clock = nullptr;
    JobStore* store = nullptr;
    CheckpointDriverHost* host = nullptr;
  };
  using Answer = std::function<void(const checkpoint::CompleteRequest&)>;

  CheckpointDriver(CheckpointCoordinatorOptions options,
                   std::shared_ptr<const CheckpointStorage> storage, Deps deps);
  ~CheckpointDriver();
  CheckpointDriver(const CheckpointDriver&) = delete;
  CheckpointDriver& operator=(const CheckpointDriver&) = delete;

  /// Steps the coordinator and executes its actions; an event fed by an action is taken after the
  /// others.
  void Feed(checkpoint::Event event);

  /// What is asked for; its answer may have come already.
  RequestId TriggerSavepoint(std::string target_dir, SavepointFormat format, SnapshotKind kind,
                             Answer answer);
  RequestId TriggerCheckpoint(bool full, Answer answer);

  // Messages of executors of the current attempt.
  void OnAck(const pb::cluster::v1::CheckpointAck& ack);
  void OnDecline(const pb::cluster::v1::CheckpointDecline& decline);
  void OnCoordinatorAck(const pb::cluster::v1::CoordinatorAck& ack);

  /// The executors have gone: deletes what no acknowledgement has named and never will. That is
  /// what is in the directories of attempts that were discarded while tasks may still have been
  /// writing into them, and the shared files that no checkpoint names. After the end of the job its
  /// directories go, too, when they are empty.
  void RemoveLeftovers(bool job_ended);
  /// Behind the deletions that were decided before.
  void RemoveClaim(const std::string& directory);
  /// No file work is under way and the coordinator waits for none.
  bool idle() const { return running_io_ == 0 && deletions_.empty() && !coordinator_.AwaitsIo(); }

  const CheckpointCoordinator& coordinator() const { return coordinator_; }
  const CheckpointStorage& storage() const { return *storage_; }

 private:
  // One per action; false when the actions behind it must not be executed.
  bool Execute(checkpoint::StoreNextCheckpointId& action);
  bool Execute(checkpoint::CreateLocation& action);
  bool Execute(checkpoint::TriggerCoordinator& action);
  bool Execute(checkpoint::TriggerSources& action);
  bool Execute(checkpoint::AbortCheckpoint& action);
  bool Execute(checkpoint::PersistMetadata& action);
  bool Execute(checkpoint::AddCompleted& action);
  bool Execute(checkpoint::RemoveCompleted& action);
  bool Execute(checkpoint::DiscardCheckpoint& action);
  bool Execute(checkpoint::DiscardPending& action);
  bool Execute(checkpoint::DisposePeriodicSavepoint& action);
  bool Execute(checkpoint::PeriodicSavepointMissed& action);
  bool Execute(checkpoint::DiscardSnapshot& action);
  bool Execute(checkpoint::DeleteFiles& action);
  bool Execute(checkpoint::NotifyComplete& action);
  bool Execute(checkpoint::FinishSubtasks& action);
  bool Execute(checkpoint::CompleteRequest& action);
  bool Execute(checkpoint::CancelJob& action);
  bool Execute(checkpoint::FailJob& action);

  int64_t NowMs();
  void ScheduleWakeup();
  /// Deletes what no checkpoint of the job needs any more, unless another job does: that stays
  /// until the other job, too, can do without it. Externally synchronized; blocks.
  class Discards {
   public:
    explicit Discards(const JobId& job) : job_(job) {}
    void Discard(const CompletedCheckpoint& checkpoint);
    /// Shared files; those that a checkpoint that stays names are deleted with it.
    void DeleteShared(const std::vector<std::string>& files);
    /// Tries again what was refused.
    void Retry();

   private:
    /// An error when somebody else needs it.
    Status TryToDiscard(const CompletedCheckpoint& checkpoint) const;

    JobId job_;
    std::vector<CompletedCheckpoint> refused_;
    std::vector<std::string> withheld_;  // Files of theirs that the job does not need.
  };

  /// Runs `work` on the pool and feeds the event it returns.
  void RunIo(std::function<checkpoint::Event()> work);
  /// Deletions run one after the other, in order.
  void Delete(std::function<void()> work);
  void StartDeletion();
  void OnIoDone();
  /// `then` gets the paths of the shared files that this job may delete: none when the directory is
  /// not this job's alone.
  void ListShared(std::function<void(CheckpointDriver&, std::vector<std::string> files)> then);
  void Broadcast(const pb::cluster::v1::ExecutorCommand& command);
  void LogCompleted(CheckpointId checkpoint, int64_t persist_started_ms);

  const Deps deps_;
  const std::shared_ptr<const CheckpointStorage> storage_;
  CheckpointCoordinator coordinator_;
  std::deque<checkpoint::Event> events_;
  bool feeding_ = false;
  int64_t last_now_ms_ = 0;
  Mailbox::TimerId wakeup_ = 0;
  RequestId last_request_ = 0;
  std::map<RequestId, Answer> answers_;
  std::map<CheckpointId, std::string> locations_;  // Of attempts that have one, newest few.
  std::deque<std::string> discarded_;              // While executors ran, newest few.
  std::set<std::string> shared_before_;            // Shared files of an earlier job of this id.
  int running_io_ = 0;
  std::deque<std::function<void()>> deletions_;  // The first one runs.
  std::shared_future<void> first_deletion_;
  /// Only for deletions, of which one runs at a time; they may outlive the driver.
  const std::shared_ptr<Discards> discards_;
  /// Null once the driver is gone; read on the main thread only.
  std::shared_ptr<CheckpointDriver*> self_;
};

}  // namespace flink::jobmanager
