#include "jobmanager/dispatcher/dispatcher.h"

#include <algorithm>
#include <cstdlib>
#include <random>
#include <set>
#include <utility>

#include "common/base/logging.h"
#include "common/config/checkpoint_settings.h"
#include "common/config/options.h"
#include "common/config/options_without_effect.h"
#include "common/io/file_system.h"
#include "common/snapshot/snapshot_files.h"
#include "common/snapshot/snapshot_journal.h"
#include "jobmanager/checkpoint/checkpoint_storage.h"

namespace flink::jobmanager {
namespace {

namespace pbc = pb::cluster::v1;

constexpr int kIoThreads = 4;
constexpr char kCheckpointException[] = "org.apache.flink.runtime.checkpoint.CheckpointException";

// The first of io.tmp.dirs, else the operating system's.
std::string TemporaryParent(const Configuration& configuration) {
  const std::string directories = configuration.GetString(options::kTmpDirectories);
  std::string first = directories.substr(0, directories.find_first_of(",:;"));
  if (!first.empty()) return first;
  const char* variable = std::getenv("TMPDIR");
  return variable != nullptr && *variable != '\0' ? variable : "/tmp";
}

OperationFailure JobNotFound(const JobId& job) {
  return {"org.apache.flink.runtime.messages.FlinkJobNotFoundException",
          fmt::format("Could not find Flink job ({})", job.ToHex())};
}

}  // namespace

StatusOr<std::unique_ptr<Dispatcher>> Dispatcher::Create(Options options, Deps deps) {
  StatusOr<io::ProcessDirectory> created =
      io::ProcessDirectory::Create("flink-cpp-jm", TemporaryParent(options.configuration));
  if (!created.ok()) return With(created.status(), "{}", options::kTmpDirectories.key);
  io::ProcessDirectory work = *std::move(created);
  for (const char* name : {"artifacts", "checkpoints"}) {
    RETURN_IF_ERROR(io::CreateDirectories(work.File(name)));
  }
  ASSIGN_OR_RETURN(const std::chrono::milliseconds store_duration,
                   options.configuration.GetDuration(options::kRestAsyncStoreDuration));
  auto artifacts = std::make_unique<ArtifactStore>(work.File("artifacts"));
  return std::unique_ptr<Dispatcher>(new Dispatcher(std::move(options), deps, std::move(work),
                                                    std::move(artifacts), store_duration.count()));
}

Dispatcher::Dispatcher(Options options, Deps deps, io::ProcessDirectory work_directory,
                       std::unique_ptr<ArtifactStore> artifacts, int64_t store_ms)
    : options_(std::move(options)),
      deps_(deps),
      work_directory_(std::move(work_directory)),
      artifacts_(std::move(artifacts)),
      operations_(store_ms),
      io_(std::make_unique<WorkerPool>("jm-io", kIoThreads)),
      self_(std::make_shared<Dispatcher*>(this)) {}

Dispatcher::~Dispatcher() {
  *self_ = nullptr;
  jobs_.clear();
  io_->Shutdown();
}

void Dispatcher::Shutdown() {
  for (const auto& [id, job] : jobs_) job->KillExecutors();
  // Without a JobMaster nobody takes the end of the executors for a failure of the job.
  jobs_.clear();
  task_managers_ = nullptr;
}

ArtifactProvider Dispatcher::Artifacts() const {
  return [store = artifacts_.get()](const std::string& digest) { return store->Find(digest); };
}

Mail Dispatcher::Guarded(std::function<void(Dispatcher&)> fn) const {
  return [self = self_, fn = std::move(fn)] {
    if (*self != nullptr) fn(**self);
  };
}

// ---- TaskManagers -------------------------------------------------------------------------------

void Dispatcher::OnRegistered(const TaskManagerInfo& info) {
  slots_.Register(info, deps_.clock->NowMs());
  OfferSlots();
}

void Dispatcher::OnMessage(const std::string& task_manager_id, pbc::TaskManagerMessage message) {
  slots_.Heard(task_manager_id, deps_.clock->NowMs());
  const bool exited = message.has_executor_exited();
  if (!exited && !message.has_executor()) return;
  const StatusOr<JobId> id =
      IdFromBytes<JobId>(exited ? message.executor_exited().job_id() : message.executor().job_id());
  if (!id.ok()) return;
  const auto job = jobs_.find(*id);
  if (job == jobs_.end()) return;  // Of a job that has ended.
  if (exited) {
    job->second->OnExecutorExited(task_manager_id, message.executor_exited());
    OfferSlots();
  } else {
    job->second->OnExecutorMessage(task_manager_id, message.executor());
  }
}

void Dispatcher::OnLost(const std::string& task_manager_id, const std::string& reason) {
  slots_.Remove(task_manager_id);
  for (const auto& [id, job] : jobs_) job->OnTaskManagerLost(task_manager_id, reason);
  OfferSlots();
}

void Dispatcher::OfferSlots() {
  for (const auto& [id, job] : jobs_) job->OnSlotsFree();
}

// ---- Submission ---------------------------------------------------------------------------------

void Dispatcher::SubmitJob(pb::graph::v1::JobGraph graph, std::string library,
                           SubmitCallback done) {
  const StatusOr<JobId> id = IdFromBytes<JobId>(graph.job_id());
  if (!id.ok()) {
    done(id.status());
    return;
  }
  if (jobs_.count(*id) != 0 || ended_.count(*id) != 0) {
    done(AlreadyExists("a job with the id {} has already been submitted", id->ToHex()));
    return;
  }
  auto shared_graph = std::make_shared<pb::graph::v1::JobGraph>(std::move(graph));
  auto shared_library = std::make_shared<std::string>(std::move(library));
  io_->Submit([main = deps_.main, self = self_, artifacts = artifacts_.get(), shared_graph,
               shared_library, done = std::move(done)] {
    const Status stored = artifacts->Put(shared_graph->library_digest(), *shared_library);
    main->Post([self, shared_graph, stored, done] {
      if (*self != nullptr) (*self)->OnLibraryStored(*shared_graph, stored, done);
    });
  });
}

void Dispatcher::OnLibraryStored(const pb::graph::v1::JobGraph& graph, const Status& stored,
                                 const SubmitCallback& done) {
  if (!stored.ok()) {
    done(stored);
    return;
  }
  StatusOr<std::unique_ptr<JobMaster>> made = MakeJobMaster(graph);
  if (made.ok() && jobs_.count((*made)->id()) != 0) {
    made = AlreadyExists("a job with the id {} has already been submitted", (*made)->id().ToHex());
  }
  Status kept = made.status();
  if (kept.ok()) kept = deps_.store->PutJob((*made)->id(), graph.SerializeAsString());
  if (!kept.ok()) {
    artifacts_->Release(graph.library_digest());
    done(kept);
    return;
  }
  JobMaster* job = made->get();
  const JobId id = job->id();
  LOG_INFO("Received job {} ({}).", job->job().graph.name, id.ToHex());
  jobs_[id] = *std::move(made);
  job->Initialize([this, id, done](const Status& status) {
    if (!status.ok()) {
      done(status);
      return;
    }
    done(id);
    // In a mail of its own: the client hears of the job before it runs.
    deps_.main->Post(Guarded([id](Dispatcher& dispatcher) {
      const auto found = dispatcher.jobs_.find(id);
      if (found != dispatcher.jobs_.end()) found->second->Start();
    }));
  });
}

StatusOr<std::unique_ptr<JobMaster>> Dispatcher::MakeJobMaster(
    const pb::graph::v1::JobGraph& graph) {
  ASSIGN_OR_RETURN(SubmittedJob job, SubmittedJob::FromProto(graph));
  Configuration configuration = options_.configuration;
  configuration.Merge(Configuration(job.graph.configuration));
  LogOptionsWithoutEffect(configuration);
  if (job.restore_path.empty()) {
    job.restore_path = configuration.GetString(options::kRestorePath);
    ASSIGN_OR_RETURN(const bool ignore,
                     configuration.GetBool(options::kRestoreIgnoreUnclaimedState));
    job.allow_non_restored_state = job.allow_non_restored_state || ignore;
  }
  using Settings = pb::graph::v1::SavepointRestoreSettings;
  if (graph.restore().claim_mode() == Settings::CLAIM_MODE_UNSPECIFIED) {
    const std::string mode = UpperCase(configuration.GetString(options::kRestoreClaimMode));
    if (mode == "CLAIM") job.claim_mode = ClaimMode::kClaim;
    if (mode == "LEGACY") job.claim_mode = ClaimMode::kLegacy;
  }
  JobMaster::Deps deps;
  deps.main = deps_.main;
  deps.io = io_.get();
  deps.clock = deps_.clock;
  deps.store = deps_.store;
  deps.slots = &slots_;
  deps.send = [this](const std::string& task_manager_id, pbc::JobManagerMessage message) {
    return task_managers_ != nullptr && task_managers_->Send(task_manager_id, std::move(message));
  };
  deps.may_restore = [this](const std::string& directory, const JobId& restored, ClaimMode mode) {
    return MayRestore(directory, restored, mode);
  };
  deps.uses_snapshot = [this](const std::string& directory) {
    return std::any_of(jobs_.begin(), jobs_.end(), [&](const auto& entry) {
      return entry.second->Uses(directory) || entry.second->Claims(directory);
    });
  };
  deps.private_checkpoint_directory = work_directory_.File("checkpoints");
  // Where those look who know the cluster's configuration, and who know the job's own.
  std::set<std::string> journals;
  const Configuration& effective = configuration;
  for (const Configuration* source : {&options_.configuration, &effective}) {
    if (const auto directory = snapshot::JournalDirectory(*source)) journals.insert(*directory);
  }
  deps.journals.assign(journals.begin(), journals.end());
  deps.on_ended = [this](const JobId& id) { OnJobEnded(id); };
  deps.random_seed = std::random_device{}();
  return JobMaster::Create(std::move(job), std::move(configuration), std::move(deps));
}

Status Dispatcher::MayRestore(const std::string& directory, const JobId& restored,
                              ClaimMode mode) const {
  const bool claim = mode == ClaimMode::kClaim;
  for (const auto& [id, job] : jobs_) {
    if (id == restored || IsTerminal(job->status())) continue;
    const bool claimed = job->Claims(directory);
    if (!claimed && !(claim && job->Uses(directory))) continue;
    return AlreadyExists(
        "the snapshot {} cannot be {}, because the job {} (\"{}\") {}.", directory,
        claim ? "claimed" : "used", id.ToHex(), job->job().graph.name,
        claimed ? "has claimed it and deletes it when it does not need it any more. Cancel that "
                  "job first"
                : "may still restore from it. Cancel that job first, or restore with claim mode "
                  "NO_CLAIM");
  }
  if (!claim) return OkStatus();
  const std::optional<snapshot::CheckpointOwner> owner = snapshot::LivingOwner(directory);
  if (!owner.has_value() || owner->job == restored) return OkStatus();
  // Without subdirectories the lock is that of the one job that keeps its checkpoints there.
  const auto job = jobs_.find(restored);
  if (!owner->job.has_value() && job != jobs_.end() &&
      io::IsSame(job->second->checkpoint_directory(), owner->directory)) {
    return OkStatus();
  }
  return snapshot::NotClaimableOf(*owner, directory);
}

void Dispatcher::PlanRestore(const JobId& job, const pb::graph::v1::JobGraph& graph,
                             PlanCallback done) {
  const JobMaster* master = FindRunning(job);
  if (master == nullptr) {
    done(NotFound("Could not find Flink job ({})", job.ToHex()));
    return;
  }
  const StatusOr<SubmittedJob> submitted = SubmittedJob::FromProto(graph);
  if (!submitted.ok()) {
    done(submitted.status());
    return;
  }
  snapshot::RestoreOptions options;
  options.path = "of the running job " + job.ToHex();
  options.allow_non_restored_state = submitted->allow_non_restored_state;
  const std::string latest = master->LatestSnapshot();
  if (latest.empty()) {
    done(snapshot::PlanRestoreOfRunning(master->running_graph(), submitted->graph, options));
    return;
  }
  io_->Submit([main = deps_.main, self = self_, latest, options, graph = submitted->graph,
               done = std::move(done)] {
    auto plan = std::make_shared<StatusOr<snapshot::RestorePlan>>(snapshot::RestorePlan());
    const StatusOr<snapshot::LoadedSnapshot> loaded = snapshot::LoadSnapshot(latest);
    if (loaded.ok()) {
      *plan = snapshot::PlanRestore(*loaded, graph, options);
    } else {
      *plan = loaded.status();
    }
    main->Post([self, plan, done] {
      if (*self != nullptr) done(std::move(*plan));
    });
  });
}

void Dispatcher::OnJobEnded(const JobId& id) {
  const auto found = jobs_.find(id);
  if (found == jobs_.end()) return;
  JobMaster& job = *found->second;
  EndedJob ended;
  ended.details = std::make_shared<const JobDetails>(job.Details());
  ended.checkpoints = std::make_unique<CheckpointStatistics>(job.checkpoint_statistics());
  ended_[id] = std::move(ended);
  ended_order_.push_back(id);
  while (ended_order_.size() > options_.max_ended_jobs) {
    ended_.erase(ended_order_.front());
    ended_order_.pop_front();
  }
  artifacts_->Release(job.job().library_digest);
  const Status removed = deps_.store->RemoveJob(id);
  if (!removed.ok()) LOG_WARN("Job {} stays recorded: {}", id.ToHex(), Message(removed));
  jobs_.erase(found);
  OfferSlots();
}

// ---- Requests -----------------------------------------------------------------------------------

Status Dispatcher::CancelJob(const JobId& job) {
  const auto running = jobs_.find(job);
  if (running != jobs_.end()) return running->second->Cancel();
  const auto ended = ended_.find(job);
  if (ended == ended_.end()) return NotFound("Could not find Flink job ({})", job.ToHex());
  const JobStatus status = ended->second.details->status;
  if (status == JobStatus::kCanceled) return OkStatus();
  return FailedPrecondition("{}", NameOf(status));
}

JobMaster* Dispatcher::FindRunning(const JobId& job) {
  const auto found = jobs_.find(job);
  if (found == jobs_.end() || IsTerminal(found->second->status())) return nullptr;
  return found->second.get();
}

Status Dispatcher::TriggerSavepoint(const JobId& job, const std::string& trigger_id,
                                    const SavepointRequest& request) {
  constexpr OperationKind kKind = OperationKind::kSavepoint;
  const int64_t now = deps_.clock->NowMs();
  JobMaster* master = FindRunning(job);
  std::string target = request.target_directory.value_or("");
  if (target.empty()) {
    // Also of a job that has ended: its user must hear that, not that something is not configured.
    const std::shared_ptr<const JobDetails> known = FindJob(job);
    target = known != nullptr ? known->options.savepoint_directory
                              : options_.configuration.GetString(options::kSavepointDirectory);
  }
  if (target.empty()) {
    return InvalidArgument("Config key [{}] is not set. Property [{}] must be provided.",
                           options::kSavepointDirectory.key, request.directory_property);
  }
  if (!operations_.Start(kKind, job, trigger_id, now)) return OkStatus();
  if (master == nullptr) {
    operations_.Fail(kKind, job, trigger_id, JobNotFound(job), now);
    return OkStatus();
  }
  const RequestId asked = master->TriggerSavepoint(
      target, request.format, request.kind,
      [this, job, trigger_id](const StatusOr<std::string>& path) {
        const int64_t done_ms = deps_.clock->NowMs();
        if (path.ok()) {
          operations_.Succeed(kKind, job, trigger_id, *path, 0, done_ms);
          return;
        }
        operations_.Fail(kKind, job, trigger_id,
                         {IsStoppingFailure(path.status()) ? kStopWithSavepointStoppingException
                                                           : kCheckpointException,
                          Message(path.status())},
                         done_ms);
      });
  operations_.SetRequest(kKind, job, trigger_id, asked);
  return OkStatus();
}

void Dispatcher::TriggerCheckpoint(const JobId& job, const std::string& trigger_id, bool full) {
  constexpr OperationKind kKind = OperationKind::kCheckpoint;
  const int64_t now = deps_.clock->NowMs();
  if (!operations_.Start(kKind, job, trigger_id, now)) return;
  JobMaster* master = FindRunning(job);
  if (master == nullptr) {
    operations_.Fail(kKind, job, trigger_id, JobNotFound(job), now);
    return;
  }
  const RequestId asked =
      master->TriggerCheckpoint(full, [this, job, trigger_id](const StatusOr<CheckpointId>& id) {
        const int64_t done_ms = deps_.clock->NowMs();
        if (id.ok()) {
          operations_.Succeed(kKind, job, trigger_id, {}, *id, done_ms);
        } else {
          operations_.Fail(kKind, job, trigger_id, {kCheckpointException, Message(id.status())},
                           done_ms);
        }
      });
  operations_.SetRequest(kKind, job, trigger_id, asked);
}

Dispatcher::SnapshotProgress Dispatcher::ProgressOf(const JobId& job, const Operation& operation) {
  SnapshotProgress progress;
  const auto found = jobs_.find(job);
  if (operation.completed || operation.request == 0 || found == jobs_.end()) return progress;
  const CheckpointCoordinator& coordinator = found->second->checkpoint_coordinator();
  progress.waiting = coordinator.IsQueued(operation.request);
  const std::optional<CheckpointId> id = coordinator.PendingIdOf(operation.request);
  if (id.has_value()) progress.checkpoint = coordinator.statistics().Find(*id);
  return progress;
}

void Dispatcher::DisposeSavepoint(const std::string& trigger_id, const std::string& path) {
  static constexpr OperationKind kKind = OperationKind::kDisposal;
  if (!operations_.Start(kKind, JobId(), trigger_id, deps_.clock->NowMs())) return;
  const auto finish = [trigger_id, path](Dispatcher& dispatcher, const Status& status) {
    const int64_t now = dispatcher.deps_.clock->NowMs();
    if (status.ok()) {
      dispatcher.operations_.Succeed(kKind, JobId(), trigger_id, path, 0, now);
    } else {
      dispatcher.operations_.Fail(
          kKind, JobId(), trigger_id,
          {"org.apache.flink.util.FlinkException",
           fmt::format("Could not dispose savepoint {}.\nCaused by: java.io.IOException: {}", path,
                       Message(status))},
          now);
    }
  };
  const StatusOr<std::string> directory = ResolveSnapshotPointer(path);
  for (const auto& [id, job] : jobs_) {
    if (!directory.ok() || !job->Uses(*directory)) continue;
    finish(*this, FailedPrecondition("the job {} ({}) may still need it; cancel the job first",
                                     job->job().graph.name, id.ToHex()));
    return;
  }
  io_->Submit([main = deps_.main, self = self_, path, finish] {
    const Status disposed = snapshot::DisposeSnapshot(path);
    main->Post([self, finish, disposed] {
      if (*self != nullptr) finish(**self, disposed);
    });
  });
}

void Dispatcher::ListSnapshots(const JobId& job, SnapshotsCallback done) {
  const std::shared_ptr<const JobDetails> details = FindJob(job);
  Configuration where = options_.configuration;
  if (details != nullptr) {
    const JobOptions& own = details->options;
    const std::string& savepoints = own.savepoint_directory.empty()
                                        ? own.checkpointing.periodic_savepoint_directory
                                        : own.savepoint_directory;
    where.Set(options::kCheckpointDirectory.key, own.checkpoint_directory);
    where.Set(options::kSavepointDirectory.key, savepoints);
  }
  io_->Submit([main = deps_.main, self = self_, job, known = details != nullptr, where,
               done = std::move(done)] {
    StatusOr<snapshot::SnapshotListing> listing = snapshot::ListKnownSnapshots(where);
    std::vector<snapshot::SnapshotSummary> snapshots;
    // An error says that no directory is configured, so there is nothing.
    if (listing.ok()) snapshots = std::move(listing->snapshots);
    std::erase_if(snapshots, [&job](const auto& s) { return !s.IsOfJob(job); });
    main->Post([self, job, known, snapshots = std::move(snapshots), done]() mutable {
      if (*self == nullptr) return;
      if (!known && snapshots.empty()) {
        done(NotFound("Job {} not found", job.ToHex()));
      } else {
        done(std::move(snapshots));
      }
    });
  });
}

// ---- Pictures -----------------------------------------------------------------------------------

std::shared_ptr<const JobDetails> Dispatcher::FindJob(const JobId& job) {
  const auto running = jobs_.find(job);
  if (running != jobs_.end()) return std::make_shared<const JobDetails>(running->second->Details());
  const auto ended = ended_.find(job);
  return ended == ended_.end() ? nullptr : ended->second.details;
}

std::vector<std::shared_ptr<const JobDetails>> Dispatcher::Jobs() {
  std::vector<std::shared_ptr<const JobDetails>> jobs;
  for (const auto& [id, job] : jobs_) {
    jobs.push_back(std::make_shared<const JobDetails>(job->Details()));
  }
  std::stable_sort(jobs.begin(), jobs.end(),
                   [](const auto& a, const auto& b) { return a->start_ms() < b->start_ms(); });
  for (const JobId& id : ended_order_) jobs.push_back(ended_.at(id).details);
  return jobs;
}

const CheckpointStatistics* Dispatcher::FindCheckpointStatistics(const JobId& job) const {
  const auto running = jobs_.find(job);
  if (running != jobs_.end()) return &running->second->checkpoint_statistics();
  const auto ended = ended_.find(job);
  return ended == ended_.end() ? nullptr : ended->second.checkpoints.get();
}

}  // namespace flink::jobmanager
