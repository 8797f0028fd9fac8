#pragma once

/// Dispatcher: all jobs of a JobManager, from submission to the history of ended ones, and its
/// TaskManagers.

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/clock.h"
#include "common/base/ids.h"
#include "common/base/status.h"
#include "common/concurrency/mailbox.h"
#include "common/concurrency/worker_pool.h"
#include "common/config/configuration.h"
#include "common/io/process_directory.h"
#include "common/snapshot/snapshot_listing.h"
#include "flink/pb/cluster/v1/cluster.pb.h"
#include "flink/pb/graph/v1/job_graph.pb.h"
#include "jobmanager/checkpoint/job_store.h"
#include "jobmanager/dispatcher/artifact_store.h"
#include "jobmanager/dispatcher/async_operations.h"
#include "jobmanager/resource/slot_pool.h"
#include "jobmanager/rpc/task_manager_gateway.h"
#include "jobmanager/scheduler/job_details.h"
#include "jobmanager/scheduler/job_master.h"

namespace flink::jobmanager {

/// Owner of jobs, slots and asynchronous operations.
///
/// Threading: everything runs on the thread of Deps::main, except Create (before anything is posted
/// there), FetchArtifact (any thread) and the destructor (on that thread, or after its mailbox was
/// closed and joined). Ownership: Deps must outlive the dispatcher. Its work directory is removed
/// with it. Times: milliseconds since 1970.
///
/// How a JobManager process is put together:
///   MailboxThread main("jobmanager"); InMemoryJobStore store;
///   dispatcher = Dispatcher::Create(options, {&main.mailbox(), &store});
///   gateway = TaskManagerGateway::Start(..., &main.mailbox(), dispatcher.get(),
///   dispatcher->Artifacts()); main.Post([&] { dispatcher->Connect(gateway.get()); }); rest =
///   RestServer::Start(configuration, dispatcher.get());
/// and taken apart: rest.reset(); main.Post([&] { dispatcher->Shutdown(); }); gateway->Shutdown();
///   main.CloseAndJoin(); dispatcher.reset().
class Dispatcher : public TaskManagerListener {
 public:
  struct Options {
    Configuration configuration;  ///< Of the cluster; a job's own settings win over it.
    std::string version = "0.1.0";
    std::string revision = "unknown";
    size_t max_ended_jobs = 200;  ///< How many ended jobs are remembered.
  };
  struct Deps {
    Mailbox* main = nullptr;
    JobStore* store = nullptr;
    const Clock* clock = &Clock::System();
  };

  static StatusOr<std::unique_ptr<Dispatcher>> Create(Options options, Deps deps);
  /// Waits for file work in progress and removes the work directory.
  ~Dispatcher() override;
  Dispatcher(const Dispatcher&) = delete;
  Dispatcher& operator=(const Dispatcher&) = delete;

  /// From now on messages go through `task_managers`, which must live until Shutdown.
  void Connect(TaskManagerDirectory* task_managers) { task_managers_ = task_managers; }
  /// Tells all TaskManagers to kill the executors of all jobs and sends nothing more. Jobs are not
  /// ended: what they keep on disk stays, except below the work directory.
  void Shutdown();
  /// Where the gateway finds job libraries. Valid as long as the dispatcher.
  ArtifactProvider Artifacts() const;

  // TaskManagerListener.
  void OnRegistered(const TaskManagerInfo& info) override;
  void OnMessage(const std::string& task_manager_id,
                 pb::cluster::v1::TaskManagerMessage message) override;
  void OnLost(const std::string& task_manager_id, const std::string& reason) override;

  /// Runs the job. `library` is the content of its shared library. `done` is called once, on the
  /// main thread: with OK when the job is initialized (its snapshot is read, its directories are
  /// writable, there are slots), else with why it was refused. A job refused after it got an id is
  /// listed as FAILED.
  using SubmitCallback = std::function<void(StatusOr<JobId>)>;
  void SubmitJob(pb::graph::v1::JobGraph graph, std::string library, SubmitCallback done);

  /// What a job with this graph would take over from `job`: from its latest checkpoint or, when it
  /// has none yet, from what it keeps. Starts nothing. `done` is called once, on the main thread:
  /// kNotFound when the job is unknown or has ended.
  using PlanCallback = std::function<void(StatusOr<snapshot::RestorePlan>)>;
  void PlanRestore(const JobId& job, const pb::graph::v1::JobGraph& graph, PlanCallback done);

  /// kNotFound; kFailedPrecondition when it ended as FINISHED or FAILED, with that word as message.
  Status CancelJob(const JobId& job);

  /// Starts an operation whose outcome is polled under the same id (see AsyncOperations); a known
  /// id is not started again. Errors only for what is wrong with the request itself (no target
  /// directory).
  struct SavepointRequest {
    std::optional<std::string> target_directory;
    SavepointFormat format = SavepointFormat::kNative;
    SnapshotKind kind = SnapshotKind::kSavepoint;
    std::string directory_property = "target-directory";  ///< Named when there is no directory.
  };
  Status TriggerSavepoint(const JobId& job, const std::string& trigger_id,
                          const SavepointRequest& request);
  void TriggerCheckpoint(const JobId& job, const std::string& trigger_id, bool full);
  /// How far a savepoint or checkpoint of `job` is that was triggered by one of these.
  struct SnapshotProgress {
    bool waiting = false;                         ///< For the snapshots before it.
    const CheckpointStats* checkpoint = nullptr;  ///< Until the next mail; null when not begun.
  };
  SnapshotProgress ProgressOf(const JobId& job, const Operation& operation);
  void DisposeSavepoint(const std::string& trigger_id, const std::string& path);
  /// The snapshots of a job, running, ended or only noted on disk, that exist and can be restored
  /// from: savepoints and retained checkpoints, newest first. `done` is called once, on the main
  /// thread: kNotFound when nothing is known of the job.
  using SnapshotsCallback = std::function<void(StatusOr<std::vector<snapshot::SnapshotSummary>>)>;
  void ListSnapshots(const JobId& job, SnapshotsCallback done);
  const AsyncOperations& operations() const { return operations_; }
  AsyncOperations& operations() { return operations_; }

  /// Newest picture of a job, running or ended; null when unknown.
  std::shared_ptr<const JobDetails> FindJob(const JobId& job);
  /// All jobs: running ones, then ended ones, oldest first.
  std::vector<std::shared_ptr<const JobDetails>> Jobs();
  const CheckpointStatistics* FindCheckpointStatistics(const JobId& job) const;

  const SlotPool& slots() const { return slots_; }
  const Options& options() const { return options_; }
  const Clock& clock() const { return *deps_.clock; }
  Mailbox& main() { return *deps_.main; }

 private:
  struct EndedJob {
    std::shared_ptr<const JobDetails> details;
    std::unique_ptr<CheckpointStatistics> checkpoints;
  };

  Dispatcher(Options options, Deps deps, io::ProcessDirectory work_directory,
             std::unique_ptr<ArtifactStore> artifacts, int64_t store_ms);

  /// See JobMaster::Deps.
  Status MayRestore(const std::string& directory, const JobId& restored, ClaimMode mode) const;
  /// A mail that does nothing once the dispatcher is gone.
  Mail Guarded(std::function<void(Dispatcher&)> fn) const;
  void OnLibraryStored(const pb::graph::v1::JobGraph& graph, const Status& stored,
                       const SubmitCallback& done);
  StatusOr<std::unique_ptr<JobMaster>> MakeJobMaster(const pb::graph::v1::JobGraph& graph);
  void OnJobEnded(const JobId& id);
  void OfferSlots();
  /// Null when the job has ended or is unknown.
  JobMaster* FindRunning(const JobId& job);

  const Options options_;
  const Deps deps_;
  io::ProcessDirectory work_directory_;
  std::unique_ptr<ArtifactStore> artifacts_;
  TaskManagerDirectory* task_managers_ = nullptr;
  SlotPool slots_;
  AsyncOperations operations_;
  /// Before jobs_: jobs submit work to it until they go, work holds nothing of theirs.
  std::unique_ptr<WorkerPool> io_;
  std::map<JobId, std::unique_ptr<JobMaster>> jobs_;
  std::deque<JobId> ended_order_;
  std::map<JobId, EndedJob> ended_;
  /// Set to null by the destructor; only read on the main thread.
  std::shared_ptr<Dispatcher*> self_;
};

}  // namespace flink::jobmanager
