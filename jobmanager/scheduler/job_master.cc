#include "jobmanager/scheduler/job_master.h"

#include <algorithm>
#include <utility>

#include "common/base/check.h"
#include "common/base/failpoint.h"
#include "common/base/logging.h"
#include "common/config/options.h"
#include "common/io/file_system.h"
#include "common/snapshot/snapshot_claim.h"

namespace flink::jobmanager {
namespace {

StatusOr<std::shared_ptr<const CheckpointStorage>> MakeStorage(const SubmittedJob& job,
                                                               const JobOptions& options,
                                                               const std::string& private_directory,
                                                               std::vector<std::string> journals) {
  CheckpointStorage::Options storage;
  storage.journals = std::move(journals);
  storage.job = job.id;
  storage.is_private = options.checkpoint_directory.empty();
  if (storage.is_private) {
    storage.directory = io::JoinPath(private_directory, job.id.ToHex());
  } else {
    const StatusOr<std::string> parsed = io::ParsePath(options.checkpoint_directory);
    if (!parsed.ok()) return With(parsed.status(), "{}", options::kCheckpointDirectory.key);
    storage.owns_directory = options.create_subdirectory;
    storage.directory =
        options.create_subdirectory ? io::JoinPath(*parsed, job.id.ToHex()) : *parsed;
  }
  return std::make_shared<const CheckpointStorage>(std::move(storage));
}

constexpr char kStoppingFailureUrl[] = "flink.jobmanager/stopping-failure";

/// A job whose savepoints have nowhere to go is better refused than found out at its first stop.
Status ProbeSavepointDirectory(const std::string& configured) {
  if (configured.empty()) return OkStatus();
  return With(PrepareSavepointDirectory(configured),
              "savepoints cannot be written to {} (set {} to a directory that all processes of the "
              "cluster can write)",
              configured, options::kSavepointDirectory.key);
}

/// OK when the job restores nothing or its snapshot fits it. Blocks.
Status CheckRestorePlan(const SubmittedJob& job) {
  if (job.restore_path.empty()) return OkStatus();
  ASSIGN_OR_RETURN(const snapshot::LoadedSnapshot loaded, snapshot::LoadSnapshot(job.restore_path));
  return ProblemsOf(
      snapshot::PlanRestore(loaded, job.graph, {job.restore_path, job.allow_non_restored_state}));
}

SnapshotKind KindOfSnapshot(const SideFile& side, const std::string& directory) {
  if (side.kind == "checkpoint" || side.kind == "final-checkpoint")
    return SnapshotKind::kCheckpoint;
  if (!side.kind.empty()) return SnapshotKind::kSavepoint;
  return io::BaseName(directory).compare(0, 4, "chk-") == 0 ? SnapshotKind::kCheckpoint
                                                            : SnapshotKind::kSavepoint;
}

CompletedCheckpoint AsCompleted(const snapshot::LoadedSnapshot& loaded, const SideFile& side,
                                ClaimMode claim) {
  CompletedCheckpoint completed;
  completed.id = loaded.metadata.checkpoint_id;
  completed.kind = KindOfSnapshot(side, loaded.directory);
  completed.claim = claim;
  completed.location = loaded.directory;
  completed.external_path = io::QualifyPath(loaded.directory);
  completed.metadata = loaded.metadata_file;
  completed.shared_files = FilesOutside(loaded.metadata, loaded.directory);
  completed.foreign_files = FilesOfOthers(loaded, completed.shared_files);
  completed.state_size = loaded.metadata.StateSize();
  return completed;
}

}  // namespace

StatusOr<std::unique_ptr<JobMaster>> JobMaster::Create(SubmittedJob job,
                                                       Configuration configuration, Deps deps) {
  StatusOr<JobOptions> options = JobOptions::FromConfiguration(configuration);
  if (!options.ok()) return With(options.status(), "the job \"{}\" cannot be run", job.graph.name);
  ASSIGN_OR_RETURN(std::shared_ptr<const CheckpointStorage> storage,
                   MakeStorage(job, *options, deps.private_checkpoint_directory, deps.journals));
  ASSIGN_OR_RETURN(const CheckpointId next_id, deps.store->NextCheckpointId(job.id));
  ASSIGN_OR_RETURN(std::vector<CompletedCheckpoint> completed, deps.store->Completed(job.id));

  std::unique_ptr<JobMaster> master(new JobMaster(std::move(job), std::move(configuration),
                                                  *std::move(options), std::move(deps)));
  CheckpointCoordinatorOptions coordinator = master->options_.checkpointing;
  coordinator.job = master->job_.id;
  coordinator.next_checkpoint_id = next_id;
  coordinator.completed = std::move(completed);
  master->storage_ = storage;
  CheckpointDriver::Deps driver;
  driver.main = master->deps_.main;
  driver.io = master->deps_.io;
  driver.clock = master->deps_.clock;
  driver.store = master->deps_.store;
  driver.host = master.get();
  master->driver_ = std::make_unique<CheckpointDriver>(std::move(coordinator), storage, driver);
  return master;
}

JobMaster::JobMaster(SubmittedJob job, Configuration configuration, JobOptions options, Deps deps)
    : job_(std::move(job)),
      configuration_(std::move(configuration)),
      options_(std::move(options)),
      deps_(std::move(deps)),
      restart_strategy_(RestartStrategy::Create(options_.restart)),
      random_(deps_.random_seed),
      graph_(job_.graph),
      self_(std::make_shared<JobMaster*>(this)) {
  timestamps_[static_cast<size_t>(JobStatus::kInitializing)] = NowMs();
}

JobMaster::~JobMaster() {
  *self_ = nullptr;
  if (restart_timer_ != 0) deps_.main->CancelTimer(restart_timer_);
  StopStartTimer();
}

Mail JobMaster::Guarded(std::function<void(JobMaster&)> fn) const {
  return [self = self_, fn = std::move(fn)] {
    if (*self != nullptr) fn(**self);
  };
}

void JobMaster::TransitionTo(JobStatus to) {
  if (status_ == to) return;
  FLINK_CHECK(CanTransition(status_, to), "job {} from {} to {}", job_.id.ToHex(), NameOf(status_),
              NameOf(to));
  LOG_INFO("Job {} ({}) switched from state {} to {}.", job_.graph.name, job_.id.ToHex(),
           NameOf(status_), NameOf(to));
  status_ = to;
  timestamps_[static_cast<size_t>(to)] = NowMs();
}

// ---- Initialization -----------------------------------------------------------------------------

void JobMaster::Initialize(std::function<void(Status)> done) {
  StatusOr<std::vector<SlotShare>> slots = deps_.slots->Allocate(job_.id, job_.slots());
  if (!slots.ok()) {
    // More slots would not help a job that its snapshot does not fit, so that is said first.
    deps_.io->Submit([main = deps_.main, self = self_, job = job_, refused = slots.status(),
                      done = std::move(done)] {
      const Status fits = CheckRestorePlan(job);
      main->Post([self, status = fits.ok() ? refused : fits, done] {
        if (*self != nullptr) (*self)->OnInitialized(status, done);
      });
    });
    return;
  }
  reserved_ = *std::move(slots);
  if (storage_->is_private() && options_.checkpointing.interval_ms.has_value()) {
    LOG_WARN(
        "Job {} ({}) takes checkpoints, but {} is not set: they are kept in the JobManager's work "
        "directory and are "
        "lost with it.",
        job_.graph.name, job_.id.ToHex(), options::kCheckpointDirectory.key);
  }
  deps_.io->Submit([main = deps_.main, self = self_, storage = storage_, job = job_,
                    savepoint_directory = options_.savepoint_directory,
                    periodic_savepoints = options_.checkpointing.periodic_savepoint_directory,
                    done = std::move(done)] {
    const Status writable = ProbeSavepointDirectory(savepoint_directory);
    auto restore = std::make_shared<StatusOr<std::optional<InitialRestore>>>(
        writable.ok() ? PrepareOnPool(*storage, periodic_savepoints, job, job.graph) : writable);
    main->Post([self, restore, taken = storage->HighestCheckpoint(), done] {
      if (*self == nullptr) return;
      (*self)->driver_->Feed(checkpoint::IdsTaken{taken});
      (*self)->OnInitialized(std::move(*restore), done);
    });
  });
}

StatusOr<std::optional<JobMaster::InitialRestore>> JobMaster::PrepareOnPool(
    const CheckpointStorage& storage, const std::string& periodic_savepoints,
    const SubmittedJob& job, const graph::JobGraph& graph) {
  const Status prepared = storage.Prepare();
  if (!prepared.ok()) {
    return With(prepared,
                "checkpoints cannot be written to {} (set {} to a directory that all processes of "
                "the cluster can write)",
                storage.directory(), options::kCheckpointDirectory.key);
  }
  if (!periodic_savepoints.empty()) {
    const Status writable = PrepareSavepointDirectory(periodic_savepoints);
    if (!writable.ok()) {
      return With(writable,
                  "periodic savepoints cannot be written to {} (set {} to a directory that all "
                  "processes of the cluster can write)",
                  periodic_savepoints, options::kPeriodicSavepointDirectory.key);
    }
  }
  if (job.restore_path.empty()) return std::optional<InitialRestore>();
  ASSIGN_OR_RETURN(const snapshot::LoadedSnapshot loaded, snapshot::LoadSnapshot(job.restore_path));
  InitialRestore restore;
  if (job.claim_mode != ClaimMode::kClaim) {  // Else it is claimed below.
    ASSIGN_OR_RETURN(restore.hold, snapshot::HoldSnapshot(loaded));
  }
  restore.plan =
      snapshot::PlanRestore(loaded, graph, {job.restore_path, job.allow_non_restored_state});
  RETURN_IF_ERROR(ProblemsOf(restore.plan));
  ASSIGN_OR_RETURN(restore.state, LoadRestoredState(loaded, graph, restore.plan));
  restore.snapshot = AsCompleted(loaded, ReadSideFile(loaded.directory), job.claim_mode);
  return std::optional<InitialRestore>(std::move(restore));
}

void JobMaster::OnInitialized(StatusOr<std::optional<InitialRestore>> restore,
                              const std::function<void(Status)>& done) {
  if (status_ == JobStatus::kCancelling) {
    End(JobStatus::kCanceled);
    done(Cancelled("The job \"{}\" was cancelled before it started.", job_.graph.name));
    return;
  }
  if (!restore.ok()) {
    Failure failure;
    failure.class_name = "org.apache.flink.runtime.client.JobInitializationException";
    failure.message = Message(restore.status());
    RecordFailure(failure);
    LOG_ERROR("Job {} ({}) could not be started: {}", job_.graph.name, job_.id.ToHex(),
              failure.message);
    End(JobStatus::kFailed);
    done(restore.status());
    return;
  }
  if (restore->has_value() && claimed_.empty()) {
    const std::string& directory = (*restore)->snapshot.location;
    const Status allowed =
        deps_.may_restore ? deps_.may_restore(directory, job_.id, job_.claim_mode) : OkStatus();
    if (!allowed.ok()) {
      restore = allowed;
      OnInitialized(std::move(restore), done);
      return;
    }
    if (job_.claim_mode == ClaimMode::kClaim) {
      ClaimSnapshot(*std::move(restore), done);
      return;
    }
  }
  if (restore->has_value()) TakeOver(**std::move(restore));
  TransitionTo(JobStatus::kCreated);
  done(OkStatus());
}

void JobMaster::ClaimSnapshot(std::optional<InitialRestore> restore,
                              const std::function<void(Status)>& done) {
  const std::string directory = restore->snapshot.location;
  const std::string metadata = restore->snapshot.metadata;
  // From here on no other job of this JobManager gets it; the file keeps those of others away.
  claimed_ = directory;
  auto shared = std::make_shared<std::optional<InitialRestore>>(std::move(restore));
  deps_.io->Submit([main = deps_.main, self = self_, directory, metadata, id = job_.id,
                    name = job_.graph.name, shared, done] {
    auto claimed =
        std::make_shared<StatusOr<io::FileLock>>(snapshot::ClaimSnapshot(metadata, id, name));
    if (claimed->ok() && !io::Exists(metadata)) {
      *claimed = NotFound("the snapshot {} was deleted a moment ago", metadata);
      IgnoreError(snapshot::RemoveClaim(directory, id), "a claim without lock does not count");
    }
    main->Post([self, claimed, shared, done] {
      if (*self == nullptr) return;
      JobMaster& master = **self;
      if (claimed->ok()) {
        master.claim_lock_ = *std::move(*claimed);
        master.OnInitialized(std::move(*shared), done);
      } else {
        master.OnInitialized(claimed->status(), done);
      }
    });
  });
}

void JobMaster::TakeOver(InitialRestore initial) {
  LOG_INFO("Starting job {} from savepoint {} ({} non restored state).", job_.id.ToHex(),
           job_.restore_path, job_.allow_non_restored_state ? "allowing" : "not allowing");
  for (const snapshot::RestoredOperator& op : initial.plan.operators) {
    if (op.verdict != snapshot::RestoreVerdict::kDropped) continue;
    LOG_INFO("Skipping savepoint state for operator {}.", op.id.ToHex());
  }
  for (graph::JobVertex& vertex : graph_.vertices) {
    const auto max = initial.plan.max_parallelism.find(vertex.id);
    if (max != initial.plan.max_parallelism.end()) vertex.max_parallelism = max->second;
  }
  restore_plan_ = std::make_shared<const snapshot::RestorePlan>(std::move(initial.plan));
  checkpoint::Restored event;
  event.snapshot = std::move(initial.snapshot);
  driver_->Feed(std::move(event));
  PassFailpoint("job.restore-accepted", job_.restore_path);
  LOG_INFO("Reset the checkpoint ID of job {} to {}.", job_.id.ToHex(),
           driver_->coordinator().next_checkpoint_id());
  restored_ = std::move(initial.state);
  // Behind Feed: the restored snapshot joins those the job may go back to as a checkpoint does, and
  // OnCheckpointAdded would give up what holds it.
  hold_ = std::move(initial.hold);
}

void JobMaster::OnCheckpointAdded() {
  // In claim mode LEGACY later checkpoints go on using the files.
  if (job_.claim_mode == ClaimMode::kNoClaim) hold_.reset();
}

void JobMaster::ReleaseReservation() {
  for (const SlotShare& share : reserved_) deps_.slots->Release(job_.id, share.task_manager_id);
  reserved_.clear();
}

// ---- User requests ------------------------------------------------------------------------------

Status JobMaster::Cancel() {
  switch (status_) {
    case JobStatus::kCanceled:
    case JobStatus::kCancelling:
      return OkStatus();
    case JobStatus::kFinished:
    case JobStatus::kFailed:
    case JobStatus::kSuspended:
      return FailedPrecondition("{}", NameOf(status_));
    default:
      break;
  }
  const bool initializing = status_ == JobStatus::kInitializing;
  TransitionTo(JobStatus::kCancelling);
  if (initializing) return OkStatus();  // Ends when the work on the pool is done.
  driver_->Feed(checkpoint::JobLeftRunning{.for_good = true});
  if (phase_ == Phase::kActive) {
    pb::cluster::v1::ExecutorCommand cancel;
    cancel.mutable_cancel();
    for (const auto& [task_manager, executor] : attempt_->executors()) {
      if (!executor.gone) SendCommand(task_manager, cancel);
    }
    StopAttempt(Next::kCancel, options_.cancellation_timeout_ms);
  } else if (phase_ == Phase::kStopping) {
    next_ = Next::kCancel;
  } else {
    End(JobStatus::kCanceled);
  }
  return OkStatus();
}

void JobMaster::CancelAfterSavepoint() {
  IgnoreError(Cancel(), "a job that ended meanwhile needs no cancelling");
}

bool JobMaster::IsRestoreSource(const std::string& directory) const {
  return deps_.uses_snapshot && deps_.uses_snapshot(directory);
}

RequestId JobMaster::TriggerSavepoint(const std::string& target_dir, SavepointFormat format,
                                      SnapshotKind kind, SavepointAnswer answer) {
  return driver_->TriggerSavepoint(
      target_dir, format, kind,
      [this, kind, answer = std::move(answer)](const checkpoint::CompleteRequest& request) {
        if (!request.ok) {
          answer(FailedPrecondition("{}", request.message));
        } else if (IsStop(kind) && status_ != JobStatus::kFinished) {
          pending_stops_.push_back({request.path, answer});
        } else {
          answer(request.path);
        }
      });
}

RequestId JobMaster::TriggerCheckpoint(bool full, CheckpointAnswer answer) {
  return driver_->TriggerCheckpoint(
      full, [answer = std::move(answer)](const checkpoint::CompleteRequest& request) {
        if (request.ok) {
          answer(request.checkpoint);
        } else {
          answer(FailedPrecondition("{}", request.message));
        }
      });
}

std::string JobMaster::StoppingFailedMessage(const std::string& savepoint,
                                             const std::string& cause) const {
  return fmt::format(
      "A savepoint has been created at: {}, but the corresponding job {} failed during stopping. "
      "The savepoint is consistent, but might have uncommitted transactions. If you want to commit "
      "the transaction please restart a job from this savepoint. Cause: {}",
      savepoint, job_.id.ToHex(), cause);
}

bool IsStoppingFailure(const Status& answer) {
  return answer.GetPayload(kStoppingFailureUrl).has_value();
}

void JobMaster::AnswerStop(const Status& failure) {
  std::vector<PendingStop> stops;
  stops.swap(pending_stops_);
  for (const PendingStop& stop : stops) {
    if (failure.ok()) {
      stop.answer(stop.path);
    } else {
      Status stopping =
          FailedPrecondition("{}", StoppingFailedMessage(stop.path, Message(failure)));
      stopping.SetPayload(kStoppingFailureUrl, absl::Cord());
      stop.answer(std::move(stopping));
    }
  }
}

bool JobMaster::Uses(const std::string& directory) const {
  if (status_ == JobStatus::kInitializing && !job_.restore_path.empty()) {
    // Not in the store yet.
    const StatusOr<std::string> source = ResolveSnapshotPointer(job_.restore_path);
    if (source.ok() && io::IsSame(*source, directory)) return true;
  }
  const CompletedCheckpointStore& store = driver_->coordinator().store();
  return std::any_of(store.All().begin(), store.All().end(), [&](const CompletedCheckpoint& c) {
    // The job has a checkpoint of its own, and goes back to that.
    if (c.claim == ClaimMode::kNoClaim && &c != store.Latest()) return false;
    return io::IsSame(c.location, directory);
  });
}

bool JobMaster::Claims(const std::string& directory) const {
  return !claimed_.empty() && io::IsSame(claimed_, directory);
}

std::string JobMaster::LatestSnapshot() const {
  const CompletedCheckpoint* latest = driver_->coordinator().LatestRestorable();
  return latest == nullptr ? std::string() : latest->metadata;
}

// ---- The end ------------------------------------------------------------------------------------

void JobMaster::End(JobStatus status) {
  if (restart_timer_ != 0) deps_.main->CancelTimer(restart_timer_);
  restart_timer_ = 0;
  TransitionTo(status);
  phase_ = Phase::kEnded;
  ReleaseReservation();
  restored_.reset();
  AnswerStop(status == JobStatus::kFinished
                 ? OkStatus()
                 : FailedPrecondition("the job ended as {}", NameOf(status)));
  const CompletedCheckpoint* kept = driver_->coordinator().store().KeptAtEnd(status);
  if (kept != nullptr) {
    LOG_WARN(
        "The snapshot {} that job {} ({}) had claimed stays and is yours again: the job is {} and "
        "has taken no checkpoint since.",
        kept->external_path, job_.id.ToHex(), job_.graph.name, NameOf(status));
  }
  checkpoint::Shutdown shutdown;
  shutdown.status = status;
  driver_->Feed(shutdown);
  ReleaseClaim();
  // Without a directory of its own the next job would take it, and what is still to be deleted may
  // bear the names of that job's checkpoints.
  if (storage_->owns_directory()) storage_->ReleaseLock(storage_->directory());
  ReportEnded();
}

void JobMaster::ReleaseClaim() {
  // At once: whoever sees that the job has ended may claim the snapshot.
  hold_.reset();
  if (claimed_.empty()) return;
  claim_lock_.reset();
  driver_->RemoveClaim(claimed_);
  claimed_.clear();
}

void JobMaster::ReportEnded() {
  if (phase_ != Phase::kEnded || reported_ended_ || !driver_->idle()) return;
  if (attempt_ != nullptr && !attempt_->AllGone()) return;
  if (!std::exchange(removed_leftovers_, true)) {
    driver_->RemoveLeftovers(/*job_ended=*/true);
    return;  // Comes back when that is done.
  }
  reported_ended_ = true;
  storage_->ReleaseLock(storage_->directory());
  deps_.main->Post(Guarded([](JobMaster& self) {
    // The callee may destroy `self`.
    const std::function<void(const JobId&)> on_ended = self.deps_.on_ended;
    const JobId id = self.id();
    if (on_ended) on_ended(id);
  }));
}

// ---- Pictures -----------------------------------------------------------------------------------

JobDetails JobMaster::Details() const {
  JobDetails details;
  details.id = job_.id;
  details.name = job_.graph.name;
  details.status = status_;
  details.timestamps = timestamps_;
  details.taken_ms = NowMs();
  details.edges = graph_.edges;
  details.vertices =
      attempt_ != nullptr ? attempt_->vertices() : JobAttempt(graph_, 0, 0).vertices();
  details.restarts = restarts_;
  details.exceptions = exceptions_;
  details.failure = failure_;
  details.options = options_;
  details.private_checkpoints = storage_->is_private();
  details.restore_plan = restore_plan_;
  return details;
}

SnapshotDescription JobMaster::DescribeSnapshot() const {
  SnapshotDescription description;
  description.job = job_.id;
  description.job_name = job_.graph.name;
  description.operators = snapshot::OperatorsOf(graph_);
  return description;
}

}  // namespace flink::jobmanager
