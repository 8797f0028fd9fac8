#include "jobmanager/scheduler/checkpoint_driver.h"

#include <algorithm>
#include <set>
#include <utility>

#include "common/base/failpoint.h"
#include "common/base/logging.h"
#include "common/io/file_system.h"
#include "common/snapshot/snapshot_claim.h"
#include "common/snapshot/snapshot_files.h"
#include "jobmanager/scheduler/submitted_job.h"

namespace flink::jobmanager {
namespace {

namespace cp = checkpoint;
using pb::cluster::v1::ExecutorCommand;
using pb::cluster::v1::SnapshotTarget;

constexpr size_t kRememberedLocations = 64;
constexpr size_t kRememberedDiscards = 1000;

SnapshotTarget::Kind KindToProto(SnapshotKind kind) {
  switch (kind) {
    case SnapshotKind::kCheckpoint:
      return SnapshotTarget::KIND_CHECKPOINT;
    case SnapshotKind::kFinalCheckpoint:
      return SnapshotTarget::KIND_FINAL;
    case SnapshotKind::kSavepoint:
    case SnapshotKind::kCancelSavepoint:
      return SnapshotTarget::KIND_SAVEPOINT;
    case SnapshotKind::kStopSuspend:
    case SnapshotKind::kStopDrain:
      return SnapshotTarget::KIND_SYNC_SAVEPOINT;
  }
  return SnapshotTarget::KIND_CHECKPOINT;
}

SnapshotTarget MakeTarget(const cp::TriggerOptions& options, const CheckpointStorage& storage) {
  SnapshotTarget target;
  target.set_kind(KindToProto(options.kind));
  target.set_format(options.format == SavepointFormat::kCanonical ? SnapshotTarget::FORMAT_CANONICAL
                                                                  : SnapshotTarget::FORMAT_NATIVE);
  target.set_exclusive_directory(options.location);
  if (!IsSavepoint(options.kind)) target.set_shared_directory(storage.shared_directory());
  target.set_full(options.base == 0);
  target.set_drain(options.kind == SnapshotKind::kStopDrain);
  return target;
}

CheckpointFailureReason ReasonFromName(const std::string& name) {
  for (int i = 0; i < kCheckpointFailureReasonCount; ++i) {
    const auto reason = static_cast<CheckpointFailureReason>(i);
    if (NameOf(reason) == name) return reason;
  }
  return CheckpointFailureReason::kCheckpointDeclined;
}

template <class Ref>
std::optional<SubtaskRef> RefFromProto(const Ref& ref) {
  const StatusOr<JobVertexId> vertex = IdFromBytes<JobVertexId>(ref.vertex_id());
  if (!vertex.ok()) return std::nullopt;
  return SubtaskRef{*vertex, ref.subtask()};
}

}  // namespace

void CheckpointDriver::Discards::Discard(const CompletedCheckpoint& checkpoint) {
  Retry();
  const Status refused = TryToDiscard(checkpoint);
  if (refused.ok()) return;
  LOG_WARN(
      "Job {} does not need {} any more, but it stays, with the files that it shares: {} It is "
      "tried again behind later checkpoints and when the job ends; then it is yours to dispose of.",
      job_.ToHex(), checkpoint.location, Message(refused));
  refused_.push_back(checkpoint);
}

void CheckpointDriver::Discards::Retry() {
  if (refused_.empty()) return;
  std::erase_if(refused_, [this](const CompletedCheckpoint& c) { return TryToDiscard(c).ok(); });
  DeleteShared(std::exchange(withheld_, {}));
}

void CheckpointDriver::Discards::DeleteShared(const std::vector<std::string>& files) {
  std::set<std::string> kept;
  for (const CompletedCheckpoint& checkpoint : refused_) {
    kept.insert(checkpoint.shared_files.begin(), checkpoint.shared_files.end());
  }
  std::vector<std::string> unneeded;
  for (const std::string& file : files) {
    (kept.count(file) != 0 ? withheld_ : unneeded).push_back(file);
  }
  IgnoreError(CheckpointStorage::DeleteFiles(unneeded), "logged");
}

Status CheckpointDriver::Discards::TryToDiscard(const CompletedCheckpoint& checkpoint) const {
  const bool own = checkpoint.claim == ClaimMode::kOwn;
  ASSIGN_OR_RETURN(const std::optional<io::FileLock> turn,
                   snapshot::TakeTurnToDelete(
                       own ? io::JoinPath(checkpoint.location, snapshot::kMetadataFileName)
                           : checkpoint.metadata,
                       job_));
  if (own) {
    IgnoreError(CheckpointStorage::DeleteSnapshot(checkpoint.location),
                "logged; a rest on disk does no harm");
    return OkStatus();
  }
  const Status deleted = snapshot::DeleteClaimedSnapshot(checkpoint.metadata);
  if (!deleted.ok()) {
    LOG_WARN("The claimed snapshot {} was not deleted completely: {}", checkpoint.location,
             Message(deleted));
  }
  return OkStatus();
}

CheckpointDriver::CheckpointDriver(CheckpointCoordinatorOptions options,
                                   std::shared_ptr<const CheckpointStorage> storage, Deps deps)
    : deps_(deps),
      storage_(std::move(storage)),
      coordinator_(std::move(options)),
      discards_(std::make_shared<Discards>(coordinator_.options().job)),
      self_(std::make_shared<CheckpointDriver*>(this)) {
  ListShared([](CheckpointDriver& self, std::vector<std::string> files) {
    self.shared_before_ = {files.begin(), files.end()};
  });
}

CheckpointDriver::~CheckpointDriver() {
  *self_ = nullptr;
  if (wakeup_ != 0) deps_.main->CancelTimer(wakeup_);
  if (deletions_.size() < 2) return;
  deletions_.pop_front();  // It is on the pool already, and so in front of the others.
  // With the locks of the directories in which they delete.
  deps_.io->Submit([first = first_deletion_, rest = std::move(deletions_), storage = storage_] {
    first.wait();
    for (const std::function<void()>& deletion : rest) deletion();
  });
}

int64_t CheckpointDriver::NowMs() {
  last_now_ms_ = std::max(last_now_ms_, deps_.clock->NowMs());
  return last_now_ms_;
}

void CheckpointDriver::Feed(cp::Event event) {
  events_.push_back(std::move(event));
  if (feeding_) return;
  feeding_ = true;
  while (!events_.empty()) {
    cp::Event next = std::move(events_.front());
    events_.pop_front();
    for (cp::Action& action : coordinator_.Step(std::move(next), NowMs())) {
      if (!std::visit([this](auto& a) { return Execute(a); }, action)) break;
    }
  }
  feeding_ = false;
  ScheduleWakeup();
}

void CheckpointDriver::ScheduleWakeup() {
  if (wakeup_ != 0) deps_.main->CancelTimer(wakeup_);
  wakeup_ = 0;
  const std::optional<int64_t> at = coordinator_.NextWakeup();
  if (!at.has_value()) return;
  const int64_t delay = std::max<int64_t>(0, *at - NowMs());
  // Far enough to be never, near enough for the arithmetic of the timer.
  constexpr int64_t kLongestDelay = int64_t{1000} * 3600 * 24 * 365;
  wakeup_ = deps_.main->PostAfter(std::chrono::milliseconds(std::min(delay, kLongestDelay)),
                                  [self = self_] {
                                    if (*self == nullptr) return;
                                    (*self)->wakeup_ = 0;
                                    (*self)->Feed(cp::Tick{});
                                  });
}

RequestId CheckpointDriver::TriggerSavepoint(std::string target_dir, SavepointFormat format,
                                             SnapshotKind kind, Answer answer) {
  const RequestId request = ++last_request_;
  answers_[request] = std::move(answer);
  cp::TriggerSavepoint event;
  event.request = request;
  event.target_dir = std::move(target_dir);
  event.format = format;
  event.kind = kind;
  Feed(std::move(event));
  return request;
}

RequestId CheckpointDriver::TriggerCheckpoint(bool full, Answer answer) {
  const RequestId request = ++last_request_;
  answers_[request] = std::move(answer);
  cp::TriggerCheckpoint event;
  event.request = request;
  event.full = full;
  Feed(event);
  return request;
}

void CheckpointDriver::OnAck(const pb::cluster::v1::CheckpointAck& ack) {
  const std::optional<SubtaskRef> ref = RefFromProto(ack.subtask());
  if (!ref.has_value()) return;
  cp::SubtaskAcked event;
  event.checkpoint = ack.checkpoint_id();
  event.subtask = *ref;
  event.snapshot.state = ack.SerializeAsString();
  event.snapshot.end_of_data = ack.end_of_data();
  event.snapshot.finished = ack.finished_before();
  std::set<std::string> shared;
  for (const auto& op : ack.operators()) {
    for (const std::string& file : op.shared_files()) {
      const StatusOr<std::string> path = io::ParsePath(file);
      shared.insert(path.ok() ? *path : file);
    }
  }
  event.snapshot.shared_files.assign(shared.begin(), shared.end());
  SubtaskMetrics& metrics = event.snapshot.metrics;
  metrics.checkpointed_size = ack.checkpointed_bytes();
  metrics.state_size = ack.state_bytes();
  metrics.sync_duration_ms = ack.sync_duration_ms();
  metrics.async_duration_ms = ack.async_duration_ms();
  metrics.alignment_duration_ms = ack.alignment_duration_ms();
  metrics.start_delay_ms = ack.start_delay_ms();
  metrics.persisted_data = ack.persisted_bytes();
  metrics.unaligned = ack.unaligned();
  Feed(std::move(event));
}

void CheckpointDriver::OnDecline(const pb::cluster::v1::CheckpointDecline& decline) {
  const std::optional<SubtaskRef> ref = RefFromProto(decline.subtask());
  if (!ref.has_value()) return;
  cp::SubtaskDeclined event;
  event.checkpoint = decline.checkpoint_id();
  event.subtask = *ref;
  event.reason = ReasonFromName(decline.reason());
  event.message = decline.message();
  Feed(std::move(event));
}

void CheckpointDriver::OnCoordinatorAck(const pb::cluster::v1::CoordinatorAck& ack) {
  const StatusOr<OperatorId> op = IdFromBytes<OperatorId>(ack.operator_id());
  if (!op.ok()) return;
  cp::CoordinatorAcked event;
  event.checkpoint = ack.checkpoint_id();
  event.op = *op;
  event.state = ack.state();
  Feed(std::move(event));
}

void CheckpointDriver::RemoveClaim(const std::string& directory) {
  Delete([directory, job = coordinator_.options().job] {
    const Status removed = snapshot::RemoveClaim(directory, job);
    if (!removed.ok()) LOG_WARN("The file of a claim stays: {}", Message(removed));
  });
}

void CheckpointDriver::RemoveLeftovers(bool job_ended) {
  Delete([locations = std::exchange(discarded_, {}), discards = discards_] {
    discards->Retry();
    for (const std::string& location : locations) {
      if (!io::Exists(location)) continue;
      IgnoreError(CheckpointStorage::DeleteSnapshot(location), "logged; it does no harm on disk");
    }
  });
  ListShared([job_ended](CheckpointDriver& self, std::vector<std::string> files) {
    // The next attempt may have begun meanwhile; what it writes is named later.
    if (self.deps_.host->CurrentAttempt() != nullptr) return;
    std::erase_if(files, [&](const std::string& f) { return self.shared_before_.count(f) != 0; });
    self.Delete([job_ended, storage = self.storage_, discards = self.discards_,
                 unnamed = self.coordinator_.registry().Unreferenced(files)] {
      discards->DeleteShared(unnamed);
      if (job_ended) storage->RemoveEmptyDirectories();
    });
  });
}

// ---- File work ----------------------------------------------------------------------------------

void CheckpointDriver::RunIo(std::function<cp::Event()> work) {
  ++running_io_;
  deps_.io->Submit([main = deps_.main, self = self_, work = std::move(work)] {
    cp::Event event = work();
    main->Post([self, event = std::move(event)]() mutable {
      if (*self == nullptr) return;
      --(*self)->running_io_;
      (*self)->Feed(std::move(event));
      (*self)->OnIoDone();
    });
  });
}

void CheckpointDriver::Delete(std::function<void()> work) {
  deletions_.push_back(std::move(work));
  if (deletions_.size() == 1) StartDeletion();
}

void CheckpointDriver::StartDeletion() {
  auto done = std::make_shared<std::promise<void>>();
  first_deletion_ = done->get_future().share();
  deps_.io->Submit([main = deps_.main, self = self_, work = deletions_.front(), done] {
    work();
    done->set_value();
    main->Post([self] {
      if (*self == nullptr) return;
      CheckpointDriver& driver = **self;
      driver.deletions_.pop_front();
      if (!driver.deletions_.empty()) driver.StartDeletion();
      driver.OnIoDone();
    });
  });
}

void CheckpointDriver::OnIoDone() {
  if (idle()) deps_.host->OnCheckpointDriverIdle();
}

void CheckpointDriver::ListShared(
    std::function<void(CheckpointDriver&, std::vector<std::string> files)> then) {
  ++running_io_;
  deps_.io->Submit([main = deps_.main, self = self_, storage = storage_, then = std::move(then)] {
    std::vector<std::string> files = storage->OwnSharedFiles();
    main->Post([self, files = std::move(files), then]() mutable {
      if (*self == nullptr) return;
      CheckpointDriver& driver = **self;
      --driver.running_io_;
      then(driver, std::move(files));
      driver.OnIoDone();
    });
  });
}

// ---- Actions ------------------------------------------------------------------------------------

bool CheckpointDriver::Execute(cp::StoreNextCheckpointId& action) {
  const Status stored = deps_.store->SetNextCheckpointId(coordinator_.options().job, action.next);
  if (stored.ok()) return true;
  deps_.host->FailAfterCheckpoint("The next checkpoint id could not be stored: " + Message(stored),
                                  std::nullopt);
  return false;
}

bool CheckpointDriver::Execute(cp::CreateLocation& action) {
  RunIo([storage = storage_, action]() -> cp::Event {
    StatusOr<std::string> location = storage->CreateLocation(action.checkpoint, action.target_dir);
    if (location.ok()) PassFailpoint("checkpoint.location-created", *location);
    if (location.ok()) return cp::LocationCreated{action.checkpoint, *std::move(location)};
    return cp::LocationFailed{action.checkpoint, Message(location.status())};
  });
  return true;
}

bool CheckpointDriver::Execute(cp::TriggerCoordinator& action) {
  JobAttempt* attempt = deps_.host->CurrentAttempt();
  const std::string host = attempt == nullptr ? std::string() : attempt->CoordinatorHost(action.op);
  if (host.empty()) {
    Feed(cp::CoordinatorFailed{action.checkpoint, action.op, "its executor has gone"});
    return true;
  }
  ExecutorCommand command;
  command.mutable_trigger_coordinator()->set_checkpoint_id(action.checkpoint);
  command.mutable_trigger_coordinator()->set_operator_id(IdToBytes(action.op));
  deps_.host->SendCommand(host, std::move(command));
  return true;
}

bool CheckpointDriver::Execute(cp::TriggerSources& action) {
  JobAttempt* attempt = deps_.host->CurrentAttempt();
  if (attempt == nullptr) return true;
  PassFailpoint("checkpoint.triggered", action.options.location);
  locations_[action.checkpoint] = action.options.location;
  while (locations_.size() > kRememberedLocations) locations_.erase(locations_.begin());
  std::map<std::string, ExecutorCommand> commands;
  for (const int32_t i : action.subtasks) {
    auto* trigger = commands[attempt->HostOf(action.vertex, i)].mutable_trigger_checkpoint();
    auto* subtask = trigger->add_subtasks();
    subtask->set_vertex_id(IdToBytes(action.vertex));
    subtask->set_subtask(i);
  }
  for (auto& [task_manager, command] : commands) {
    auto* trigger = command.mutable_trigger_checkpoint();
    trigger->set_checkpoint_id(action.checkpoint);
    trigger->set_timestamp_ms(action.options.trigger_timestamp_ms);
    if (action.options.aligned_timeout_ms) {
      trigger->set_aligned_timeout_ms(*action.options.aligned_timeout_ms);
    }
    *trigger->mutable_target() = MakeTarget(action.options, *storage_);
    deps_.host->SendCommand(task_manager, std::move(command));
  }
  LOG_INFO("Triggering checkpoint {} (type={}) @ {} for job {}.", action.checkpoint,
           CheckpointTypeName(action.options.kind, action.options.aligned_timeout_ms == 0),
           action.options.trigger_timestamp_ms, coordinator_.options().job.ToHex());
  return true;
}

bool CheckpointDriver::Execute(cp::AbortCheckpoint& action) {
  ExecutorCommand command;
  command.mutable_checkpoint_aborted()->set_checkpoint_id(action.checkpoint);
  Broadcast(command);
  return true;
}

bool CheckpointDriver::Execute(cp::PersistMetadata& action) {
  PassFailpoint("checkpoint.all-acked", action.location);
  const int64_t started_ms = NowMs();
  ++running_io_;
  deps_.io->Submit([main = deps_.main, self = self_, storage = storage_, action = std::move(action),
                    description = deps_.host->DescribeSnapshot(), started_ms] {
    const StatusOr<PersistedMetadata> persisted = storage->Persist(action, description);
    main->Post([self, persisted, id = action.checkpoint, location = action.location, started_ms] {
      if (*self == nullptr) return;
      CheckpointDriver& driver = **self;
      --driver.running_io_;
      if (persisted.ok()) {
        PassFailpoint("checkpoint.persisted", location);
        driver.Feed(cp::MetadataPersisted{id, persisted->external_path, location});
        driver.LogCompleted(id, started_ms);
      } else {
        driver.Feed(cp::PersistFailed{id, Message(persisted.status())});
      }
      driver.OnIoDone();
    });
  });
  return true;
}

void CheckpointDriver::LogCompleted(CheckpointId checkpoint, int64_t persist_started_ms) {
  const CheckpointStats* stats = coordinator_.statistics().Find(checkpoint);
  if (stats == nullptr || stats->status != CheckpointStatsStatus::kCompleted) return;
  const int64_t now = NowMs();
  LOG_INFO(
      "Completed checkpoint {} for job {} ({} bytes, checkpointDuration={} ms, finalizationTime={} "
      "ms).",
      checkpoint, coordinator_.options().job.ToHex(), stats->state_size,
      now - stats->trigger_timestamp_ms, now - persist_started_ms);
  const bool savepoint = IsSavepoint(stats->kind);
  if (savepoint || coordinator_.options().retention != CheckpointRetention::kNoExternalized) {
    LOG_INFO("{} {} of job {} was written to {}.", savepoint ? "Savepoint" : "Checkpoint",
             checkpoint, coordinator_.options().job.ToHex(), stats->external_path);
  }
}

bool CheckpointDriver::Execute(cp::AddCompleted& action) {
  const Status added = deps_.store->AddCompleted(coordinator_.options().job, action.checkpoint);
  PassFailpoint("checkpoint.added", action.checkpoint.location);
  if (added.ok()) {
    deps_.host->OnCheckpointAdded();
    return true;
  }
  deps_.host->FailAfterCheckpoint(
      fmt::format("Checkpoint {} could not be recorded: {}", action.checkpoint.id, Message(added)),
      std::nullopt);
  return false;
}

bool CheckpointDriver::Execute(cp::RemoveCompleted& action) {
  const Status removed =
      deps_.store->RemoveCompleted(coordinator_.options().job, action.checkpoint);
  if (!removed.ok())
    LOG_WARN("Checkpoint {} stays recorded: {}", action.checkpoint, Message(removed));
  return true;
}

bool CheckpointDriver::Execute(cp::DiscardCheckpoint& action) {
  Delete([checkpoint = std::move(action.checkpoint), discards = discards_] {
    discards->Discard(checkpoint);
  });
  return true;
}

bool CheckpointDriver::Execute(cp::DiscardPending& action) {
  if (action.location.empty()) return true;
  const JobAttempt* attempt = deps_.host->CurrentAttempt();
  if (attempt != nullptr && !attempt->AllGone()) {
    discarded_.push_back(action.location);
    if (discarded_.size() > kRememberedDiscards) discarded_.pop_front();
  }
  Delete([location = action.location, storage = storage_] {
    IgnoreError(CheckpointStorage::DeleteSnapshot(location), "logged; a rest on disk does no harm");
    storage->ReleaseLock(location);
  });
  return true;
}

bool CheckpointDriver::Execute(cp::DisposePeriodicSavepoint& action) {
  const std::string& location = action.savepoint.location;
  const std::string job = coordinator_.options().job.ToHex();
  if (deps_.host->IsRestoreSource(location)) {
    LOG_WARN(
        "Periodic savepoint {} of job {} at {} is old, but stays, because a job was started from "
        "it. Dispose of "
        "it yourself when you do not need it any more.",
        action.savepoint.id, job, location);
    return true;
  }
  LOG_INFO("Disposing of periodic savepoint {} of job {} at {}: {} newer retained.",
           action.savepoint.id, job, location,
           coordinator_.options().num_retained_periodic_savepoints);
  Delete([location] {
    // As a user's, because a job of another JobManager may have claimed it.
    const Status disposed = snapshot::DisposeSnapshot(location);
    if (!disposed.ok()) {
      LOG_WARN("Periodic savepoint {} not disposed of: {}", location, Message(disposed));
    }
  });
  return true;
}

bool CheckpointDriver::Execute(cp::PeriodicSavepointMissed& action) {
  LOG_WARN("Periodic savepoint{} of job {} was not taken: {} The next one is tried in time.",
           action.checkpoint == 0 ? "" : fmt::format(" {}", action.checkpoint),
           coordinator_.options().job.ToHex(), action.message);
  return true;
}

bool CheckpointDriver::Execute(cp::DiscardSnapshot& action) {
  const auto location = locations_.find(action.checkpoint);
  Delete([state = std::move(action.state), files = std::move(action.files),
          directory = location == locations_.end() ? std::string() : location->second,
          discards = discards_] {
    IgnoreError(CheckpointStorage::DeleteExclusiveFiles(state, directory), "logged");
    discards->DeleteShared(files);
  });
  return true;
}

bool CheckpointDriver::Execute(cp::DeleteFiles& action) {
  Delete(
      [files = std::move(action.files), own = storage_->shared_directory(), discards = discards_] {
        discards->DeleteShared(files);
        // Where an earlier job, whose checkpoint this one claimed, had shared them.
        std::set<std::string> shared;
        for (const std::string& file : files) shared.insert(io::DirectoryName(file));
        for (const std::string& directory : shared) {
          if (io::BaseName(directory) == "shared" && !io::IsSame(directory, own)) {
            snapshot::RemoveEmptyJobDirectory(io::DirectoryName(directory));
          }
        }
      });
  return true;
}

bool CheckpointDriver::Execute(cp::NotifyComplete& action) {
  PassFailpoint("checkpoint.notify");
  ExecutorCommand complete;
  complete.mutable_checkpoint_complete()->set_checkpoint_id(action.checkpoint);
  Broadcast(complete);
  if (action.kind == SnapshotKind::kFinalCheckpoint || IsStop(action.kind)) {
    PassFailpoint("stop.savepoint-durable");
    ExecutorCommand finish;
    finish.mutable_finish()->set_checkpoint_id(action.checkpoint);
    Broadcast(finish);
  }
  return true;
}

bool CheckpointDriver::Execute(cp::FinishSubtasks& action) {
  JobAttempt* attempt = deps_.host->CurrentAttempt();
  if (attempt == nullptr) return true;
  std::map<std::string, ExecutorCommand> commands;
  for (const SubtaskRef& ref : action.subtasks) {
    auto* finish = commands[attempt->HostOf(ref.vertex, ref.subtask)].mutable_finish();
    finish->set_checkpoint_id(action.checkpoint);
    auto* subtask = finish->add_subtasks();
    subtask->set_vertex_id(IdToBytes(ref.vertex));
    subtask->set_subtask(ref.subtask);
  }
  for (auto& [task_manager, command] : commands) {
    deps_.host->SendCommand(task_manager, std::move(command));
  }
  return true;
}

bool CheckpointDriver::Execute(cp::CompleteRequest& action) {
  const auto found = answers_.find(action.request);
  if (found == answers_.end()) return true;
  const Answer answer = std::move(found->second);
  answers_.erase(found);
  answer(action);
  return true;
}

bool CheckpointDriver::Execute(cp::CancelJob&) {
  deps_.host->CancelAfterSavepoint();
  return true;
}

bool CheckpointDriver::Execute(cp::FailJob& action) {
  deps_.host->FailAfterCheckpoint(action.message, action.subtask);
  return true;
}

void CheckpointDriver::Broadcast(const ExecutorCommand& command) {
  JobAttempt* attempt = deps_.host->CurrentAttempt();
  if (attempt == nullptr) return;
  for (const auto& [task_manager, executor] : attempt->executors()) {
    if (!executor.gone) deps_.host->SendCommand(task_manager, command);
  }
}

}  // namespace flink::jobmanager
