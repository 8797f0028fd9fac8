// Execution attempts of a JobMaster: how they start, run, fail and are followed by the next one.

#include <algorithm>
#include <utility>

#include "common/base/logging.h"
#include "common/config/options.h"
#include "common/io/file_system.h"
#include "jobmanager/scheduler/job_master.h"

namespace flink::jobmanager {
namespace {

namespace pbc = pb::cluster::v1;

constexpr int kTokenBytes = 16;

}  // namespace

// ---- Start --------------------------------------------------------------------------------------

void JobMaster::Start() {
  if (status_ != JobStatus::kCreated) return;
  StartAttempt(0);
}

void JobMaster::StartAttempt(int number) {
  attempt_ = std::make_unique<JobAttempt>(graph_, number, NowMs());
  deployed_ = false;
  end_of_data_reported_ = false;
  // The first attempt starts with what initialization has read, if anything.
  state_loaded_ = number == 0;
  if (number > 0) {
    ++restarts_;
    restored_.reset();
  }
  phase_ = Phase::kWaitingForSlots;
  TryToPlace();
  if (phase_ == Phase::kWaitingForSlots) {
    LOG_WARN(
        "Job {} ({}) waits for {} slots: {} of {} are free. Start more TaskManagers to let it go "
        "on.",
        job_.graph.name, job_.id.ToHex(), job_.slots(), deps_.slots->free(), deps_.slots->total());
  }
}

void JobMaster::OnSlotsFree() {
  if (phase_ == Phase::kWaitingForSlots) TryToPlace();
}

void JobMaster::TryToPlace() {
  std::vector<SlotShare> shares = std::move(reserved_);
  reserved_.clear();
  if (shares.empty()) {
    StatusOr<std::vector<SlotShare>> allocated = deps_.slots->Allocate(job_.id, job_.slots());
    if (!allocated.ok()) return;
    shares = *std::move(allocated);
  }
  phase_ = Phase::kActive;
  attempt_->Place(job_.id, shares, NowMs());
  StartExecutors();
  if (phase_ != Phase::kActive) return;
  start_timer_ = deps_.main->PostAfter(
      std::chrono::milliseconds(options_.executor_start_timeout_ms), Guarded([](JobMaster& self) {
        self.start_timer_ = 0;
        self.OnStartTimeout();
      }));
  if (!state_loaded_) LoadState();
}

void JobMaster::StopStartTimer() {
  if (start_timer_ != 0) deps_.main->CancelTimer(start_timer_);
  start_timer_ = 0;
}

void JobMaster::OnStartTimeout() {
  if (phase_ != Phase::kActive || attempt_->AllReady()) return;
  Failure failure;
  std::string late;
  for (const auto& [task_manager, executor] : attempt_->executors()) {
    if (!executor.data_address.empty()) continue;
    if (failure.task_manager_id.empty()) failure.task_manager_id = task_manager;
    late += (late.empty() ? "" : ", ") + task_manager;
  }
  failure.message = fmt::format(
      "The task executor on {} was not ready within {} ms. Its log says what it was doing; {} sets "
      "the time.",
      late, options_.executor_start_timeout_ms, options::kSlotRequestTimeout.key);
  failure.class_name = "org.apache.flink.runtime.jobmaster.JobMasterException";
  FailAttempt(failure);
}

void JobMaster::StartExecutors() {
  std::string token;
  for (int i = 0; i < kTokenBytes; ++i) token += static_cast<char>(random_());
  std::vector<std::string> lost;
  for (const auto& [task_manager, executor] : attempt_->executors()) {
    pbc::JobManagerMessage message;
    auto* start = message.mutable_start_executor();
    start->set_library_digest(job_.library_digest);
    auto* settings = start->mutable_settings();
    settings->set_job_id(IdToBytes(job_.id));
    settings->set_attempt(attempt_->number());
    settings->set_job_name(job_.graph.name);
    for (const std::string& argument : job_.arguments) settings->add_arguments(argument);
    settings->mutable_configuration()->insert(configuration_.values().begin(),
                                              configuration_.values().end());
    settings->set_graph_digest(job_.graph_digest);
    settings->set_default_parallelism(options_.default_parallelism);
    settings->set_executor_id(executor.executor_id);
    const SlotShare& share = executor.share;
    settings->set_managed_memory_bytes(share.task_manager_managed_memory /
                                       std::max(1, share.task_manager_slots) *
                                       static_cast<uint64_t>(share.slots));
    settings->set_slots(share.slots);
    settings->set_data_token(token);
    if (!deps_.send(task_manager, std::move(message))) lost.push_back(task_manager);
  }
  // Only now: a failure stops all executors, and one that was never started would not answer.
  for (const std::string& task_manager : lost) {
    OnTaskManagerLost(task_manager, fmt::format("TaskManager {} is not connected.", task_manager));
  }
}

void JobMaster::LoadState() {
  const CompletedCheckpoint* latest = driver_->coordinator().LatestRestorable();
  if (latest == nullptr) {
    state_loaded_ = true;
    LOG_INFO("No checkpoint found to restore from: job {} starts from its beginning.",
             job_.id.ToHex());
    return;
  }
  LOG_INFO("Restoring job {} from checkpoint {} @ {} located at {}.", job_.id.ToHex(), latest->id,
           latest->trigger_timestamp_ms, latest->location);
  deps_.io->Submit([main = deps_.main, self = self_, metadata = latest->metadata,
                    location = latest->location, id = latest->id, graph = graph_,
                    number = attempt_->number(), allow = job_.allow_non_restored_state] {
    auto loaded = std::make_shared<StatusOr<RestoredState>>(RestoredState{});
    const StatusOr<snapshot::LoadedSnapshot> snapshot = snapshot::LoadSnapshot(metadata);
    if (snapshot.ok()) {
      // What the job itself wrote maps to it; state it left behind at its start may still be named.
      const snapshot::RestorePlan plan = snapshot::MakeRestorePlan(
          snapshot->metadata, graph, {location, allow, /*is_failover=*/true});
      const Status problems = ProblemsOf(plan);
      *loaded = problems.ok() ? LoadRestoredState(*snapshot, graph, plan)
                              : StatusOr<RestoredState>(problems);
    } else {
      *loaded = snapshot.status();
    }
    main->Post([self, loaded, id, number] {
      if (*self == nullptr) return;
      JobMaster& master = **self;
      if (master.phase_ != Phase::kActive || master.attempt_->number() != number) return;
      if (!loaded->ok()) {
        Failure failure;
        failure.message =
            fmt::format("Checkpoint {} could not be read: {}", id, Message(loaded->status()));
        // What is damaged or gone will not be there next time.
        failure.retryable = loaded->status().code() != absl::StatusCode::kDataLoss &&
                            loaded->status().code() != absl::StatusCode::kNotFound;
        master.FailAttempt(failure);
        return;
      }
      master.restored_ = *std::move(*loaded);
      master.state_loaded_ = true;
      master.driver_->Feed(checkpoint::RestoredFromStore{id});
      master.DeployWhenReady();
    });
  });
}

void JobMaster::DeployWhenReady() {
  if (phase_ != Phase::kActive || deployed_ || !state_loaded_ || !attempt_->AllReady()) return;
  deployed_ = true;
  StopStartTimer();
  for (const auto& [task_manager, executor] : attempt_->executors()) {
    pbc::ExecutorCommand command;
    *command.mutable_deploy() =
        attempt_->MakeDeployment(task_manager, restored_.has_value() ? &*restored_ : nullptr);
    SendCommand(task_manager, std::move(command));
  }
  restored_.reset();
  attempt_->MarkDeploying(NowMs());
}

void JobMaster::SendCommand(const std::string& task_manager_id, pbc::ExecutorCommand command) {
  pbc::JobManagerMessage message;
  command.set_job_id(IdToBytes(job_.id));
  command.set_attempt(attempt_->number());
  *message.mutable_executor() = std::move(command);
  // A TaskManager that is not connected is reported as lost, which ends the attempt.
  deps_.send(task_manager_id, std::move(message));
}

JobAttempt* JobMaster::CurrentAttempt() {
  const bool has_executors = phase_ == Phase::kActive || phase_ == Phase::kStopping;
  return has_executors ? attempt_.get() : nullptr;
}

// ---- Messages -----------------------------------------------------------------------------------

void JobMaster::OnExecutorMessage(const std::string& task_manager_id,
                                  const pbc::ExecutorMessage& message) {
  if (attempt_ == nullptr || message.attempt() != attempt_->number()) return;  // Stale.
  AttemptExecutor* executor = attempt_->FindExecutor(task_manager_id);
  if (executor == nullptr) return;
  switch (message.message_case()) {
    case pbc::ExecutorMessage::kReady:
      executor->data_address = message.ready().data_address();
      DeployWhenReady();
      break;
    case pbc::ExecutorMessage::kTaskState:
      OnTaskState(task_manager_id, message.task_state());
      break;
    case pbc::ExecutorMessage::kAck:
      driver_->OnAck(message.ack());
      break;
    case pbc::ExecutorMessage::kDecline:
      driver_->OnDecline(message.decline());
      break;
    case pbc::ExecutorMessage::kCoordinatorAck:
      driver_->OnCoordinatorAck(message.coordinator_ack());
      break;
    case pbc::ExecutorMessage::kCoordinatorEvent:
      RelayCoordinatorEvent(message.coordinator_event());
      break;
    case pbc::ExecutorMessage::kEndOfData: {
      const auto& subtask = message.end_of_data().subtask();
      const StatusOr<JobVertexId> vertex = IdFromBytes<JobVertexId>(subtask.vertex_id());
      if (!vertex.ok()) return;
      attempt_->MarkEndOfData(*vertex, subtask.subtask());
      if (phase_ == Phase::kActive && !end_of_data_reported_ && attempt_->AllEndOfData()) {
        end_of_data_reported_ = true;
        driver_->Feed(checkpoint::AllSubtasksEndOfData{});
      } else if (phase_ == Phase::kActive && !end_of_data_reported_) {
        driver_->Feed(checkpoint::SomeSubtasksEndOfData{});
      }
      break;
    }
    case pbc::ExecutorMessage::kFailed: {
      Failure failure;
      failure.message = message.failed().message();
      failure.retryable = message.failed().retryable();
      failure.task_manager_id = task_manager_id;
      FailAttempt(failure);
      break;
    }
    case pbc::ExecutorMessage::kMetrics:
      OnMetrics(message.metrics());
      break;
    case pbc::ExecutorMessage::MESSAGE_NOT_SET:
      break;
  }
}

void JobMaster::OnTaskState(const std::string& task_manager_id,
                            const pbc::TaskStateChanged& change) {
  const StatusOr<JobVertexId> vertex = IdFromBytes<JobVertexId>(change.subtask().vertex_id());
  const std::optional<ExecutionState> state = ParseExecutionState(change.state());
  if (!vertex.ok() || !state.has_value()) {
    LOG_WARN("Job {}: TaskManager {} reported the unknown task state \"{}\"; it is ignored.",
             job_.id.ToHex(), task_manager_id, change.state());
    return;
  }
  SubtaskDetails* subtask = attempt_->Find(*vertex, change.subtask().subtask());
  if (subtask == nullptr) return;
  const ExecutionState before = subtask->state;
  if (!attempt_->Advance(*subtask, *state, NowMs())) return;
  const SubtaskRef ref{*vertex, change.subtask().subtask()};
  LOG_INFO("{} - execution #{} of job {} switched from {} to {}.", TaskName(ref),
           attempt_->number(), job_.id.ToHex(), NameOf(before), NameOf(*state));
  if (phase_ != Phase::kActive) return;
  switch (*state) {
    case ExecutionState::kRunning:
      if (attempt_->All(ExecutionState::kRunning)) OnAllRunning();
      break;
    case ExecutionState::kFinished:
      if (attempt_->All(ExecutionState::kFinished)) OnAllFinished();
      break;
    case ExecutionState::kFailed:
    case ExecutionState::kCanceled: {
      Failure failure;
      failure.message = *state == ExecutionState::kFailed
                            ? change.message()
                            : "The task was cancelled although nobody asked for it.";
      failure.retryable = *state != ExecutionState::kFailed || change.retryable();
      failure.subtask = ref;
      failure.task_manager_id = task_manager_id;
      FailAttempt(failure);
      break;
    }
    default:
      break;
  }
}

void JobMaster::OnAllRunning() {
  TransitionTo(JobStatus::kRunning);
  checkpoint::JobRunning running;
  running.plan = attempt_->MakeCheckpointPlan();
  if (options_.checkpointing.interval_ms.has_value()) {
    running.initial_delay_ms = DrawInitialDelay(*options_.checkpointing.interval_ms,
                                                options_.checkpointing.min_pause_ms, random_);
  }
  driver_->Feed(std::move(running));
  // Some may have been quicker than others.
  if (attempt_->AnyEndOfData()) driver_->Feed(checkpoint::SomeSubtasksEndOfData{});
}

void JobMaster::OnAllFinished() {
  driver_->Feed(checkpoint::JobLeftRunning{.for_good = true});
  SendStop(options_.cancellation_timeout_ms);
  End(JobStatus::kFinished);
}

void JobMaster::RelayCoordinatorEvent(const pbc::CoordinatorEvent& event) {
  if (phase_ != Phase::kActive) return;
  const StatusOr<OperatorId> op = IdFromBytes<OperatorId>(event.operator_id());
  if (!op.ok()) return;
  const JobVertexId* vertex = attempt_->VertexOf(*op);
  if (vertex == nullptr) return;
  const std::string target = event.to_coordinator() ? attempt_->CoordinatorHost(*op)
                                                    : attempt_->HostOf(*vertex, event.subtask());
  if (target.empty()) return;
  pbc::ExecutorCommand command;
  *command.mutable_coordinator_event() = event;
  SendCommand(target, std::move(command));
}

void JobMaster::OnMetrics(const pbc::TaskMetrics& metrics) {
  for (const auto& entry : metrics.subtasks()) {
    const StatusOr<JobVertexId> vertex = IdFromBytes<JobVertexId>(entry.subtask().vertex_id());
    SubtaskDetails* subtask =
        vertex.ok() ? attempt_->Find(*vertex, entry.subtask().subtask()) : nullptr;
    if (subtask == nullptr) continue;
    subtask->metrics = {entry.records_in(), entry.records_out(), entry.bytes_in(),
                        entry.bytes_out()};
  }
}

void JobMaster::OnExecutorExited(const std::string& task_manager_id,
                                 const pbc::ExecutorExited& exited) {
  if (attempt_ == nullptr || exited.attempt() != attempt_->number()) return;
  AttemptExecutor* executor = attempt_->FindExecutor(task_manager_id);
  if (executor == nullptr || executor->gone) return;
  MarkGone(*executor);
  if (phase_ == Phase::kActive && !AllFinishedOn(task_manager_id)) {
    Failure failure;
    failure.message =
        exited.message().empty()
            ? fmt::format("The task executor on TaskManager {} ended with exit code {}, signal {}.",
                          task_manager_id, exited.exit_code(), exited.signal())
            : exited.message();
    failure.class_name = "org.apache.flink.runtime.jobmaster.JobMasterException";
    failure.task_manager_id = task_manager_id;
    FailAttempt(failure);
  }
  ContinueWhenStopped();
}

void JobMaster::OnTaskManagerLost(const std::string& task_manager_id, const std::string& reason) {
  // A reservation without one of its TaskManagers is of no use.
  const bool reserved_there =
      std::any_of(reserved_.begin(), reserved_.end(),
                  [&](const SlotShare& share) { return share.task_manager_id == task_manager_id; });
  if (reserved_there) ReleaseReservation();
  if (attempt_ == nullptr) return;
  AttemptExecutor* executor = attempt_->FindExecutor(task_manager_id);
  if (executor == nullptr || executor->gone) return;
  MarkGone(*executor);
  if (phase_ == Phase::kActive && !AllFinishedOn(task_manager_id)) {
    Failure failure;
    failure.message = reason;
    failure.class_name = "org.apache.flink.runtime.jobmaster.JobMasterException";
    failure.task_manager_id = task_manager_id;
    FailAttempt(failure);
  }
  ContinueWhenStopped();
}

void JobMaster::MarkGone(AttemptExecutor& executor) {
  executor.gone = true;
  deps_.slots->Release(job_.id, executor.share.task_manager_id);
}

bool JobMaster::AllFinishedOn(const std::string& task_manager_id) const {
  if (!deployed_) return false;
  for (const VertexDetails& vertex : attempt_->vertices()) {
    for (const SubtaskDetails& subtask : vertex.subtasks) {
      const bool there = subtask.task_manager_id == task_manager_id;
      if (there && subtask.state != ExecutionState::kFinished) return false;
    }
  }
  return true;
}

// ---- Failure ------------------------------------------------------------------------------------

std::string JobMaster::TaskName(const SubtaskRef& ref) const {
  const VertexDetails* vertex = attempt_ == nullptr ? nullptr : attempt_->FindVertex(ref.vertex);
  if (vertex == nullptr) return ref.vertex.ToHex();
  return fmt::format("{} ({}/{})", vertex->name, ref.subtask + 1, vertex->parallelism);
}

ExceptionEntry JobMaster::EntryOf(const Failure& failure) const {
  ExceptionEntry entry;
  entry.class_name = failure.class_name;
  entry.message = failure.message;
  entry.timestamp_ms = NowMs();
  entry.task_manager_id = failure.task_manager_id;
  if (failure.subtask.has_value()) {
    entry.task_name = fmt::format("{} - execution #{}", TaskName(*failure.subtask),
                                  attempt_ == nullptr ? 0 : attempt_->number());
  }
  if (attempt_ != nullptr && !failure.task_manager_id.empty()) {
    const auto executor = attempt_->executors().find(failure.task_manager_id);
    if (executor != attempt_->executors().end()) {
      entry.location =
          fmt::format("{}:{}", executor->second.share.host, executor->second.share.data_port);
    }
  }
  return entry;
}

void JobMaster::RecordFailure(const Failure& failure) {
  exceptions_.insert(exceptions_.begin(), EntryOf(failure));
  if (exceptions_.size() > options_.exception_history_size) {
    exceptions_.resize(options_.exception_history_size);
  }
  failure_ = exceptions_.front();
}

void JobMaster::FailAfterCheckpoint(const std::string& message,
                                    const std::optional<SubtaskRef>& subtask) {
  Failure failure;
  failure.message = message;
  failure.subtask = subtask;
  failure.class_name = "org.apache.flink.util.FlinkRuntimeException";
  if (subtask.has_value() && attempt_ != nullptr) {
    failure.task_manager_id = attempt_->HostOf(subtask->vertex, subtask->subtask);
  }
  FailAttempt(failure);
}

void JobMaster::FailAttempt(Failure failure) {
  if (phase_ != Phase::kActive) {
    // A consequence of the failure that is being dealt with.
    if (phase_ == Phase::kStopping && next_ != Next::kCancel && !exceptions_.empty()) {
      exceptions_.front().concurrent.push_back(EntryOf(failure));
    }
    return;
  }
  if (failure.subtask.has_value()) {
    SubtaskDetails* subtask = attempt_->Find(failure.subtask->vertex, failure.subtask->subtask);
    if (subtask != nullptr) attempt_->Advance(*subtask, ExecutionState::kFailed, NowMs());
  }
  LOG_WARN("Job {} ({}) attempt {} failed{}: {}", job_.graph.name, job_.id.ToHex(),
           attempt_->number(),
           failure.subtask.has_value() ? " in " + TaskName(*failure.subtask) : std::string(),
           failure.message);
  const Status cause = FailedPrecondition("{}", failure.message);
  if (!pending_stops_.empty()) {
    // Sinks may have committed up to the savepoint: from an earlier checkpoint they would do so
    // twice.
    failure.retryable = false;
    failure.class_name = kStopWithSavepointStoppingException;
    failure.message = StoppingFailedMessage(pending_stops_.front().path, failure.message);
  }
  // Before the coordinator hears of it, because its requests end with it.
  AnswerStop(cause);
  RestartStrategy::Decision decision;
  if (failure.retryable) {
    decision =
        restart_strategy_->OnFailure(NowMs(), std::uniform_real_distribution<>(0, 1)(random_));
  }
  Failure shown = failure;
  if (!decision.can_restart) {
    shown.class_name = "org.apache.flink.runtime.JobException";
    shown.message = fmt::format("Recovery is suppressed by {}. Cause: {}",
                                failure.retryable ? restart_strategy_->Description()
                                                  : "an error that a restart cannot repair",
                                failure.message);
  }
  RecordFailure(shown);
  if (!decision.can_restart) {
    exceptions_.front().task_name.clear();
    exceptions_.front().location.clear();
    exceptions_.front().task_manager_id.clear();
    exceptions_.front().concurrent.push_back(EntryOf(failure));
    TransitionTo(JobStatus::kFailing);
  } else if (status_ == JobStatus::kRunning) {
    TransitionTo(JobStatus::kRestarting);
  }
  restart_at_ms_ = NowMs() + decision.delay_ms;
  phase_ = Phase::kStopping;
  next_ = decision.can_restart ? Next::kRestart : Next::kFail;
  driver_->Feed(checkpoint::JobLeftRunning{});
  StopAttempt(next_, 0);
}

void JobMaster::SendStop(int64_t grace_ms) {
  for (auto& [task_manager, executor] : attempt_->executors()) {
    if (executor.gone) continue;
    pbc::JobManagerMessage message;
    auto* stop = message.mutable_stop_executor();
    stop->set_job_id(IdToBytes(job_.id));
    stop->set_attempt(attempt_->number());
    stop->set_grace_ms(grace_ms);
    if (!deps_.send(task_manager, std::move(message))) MarkGone(executor);
  }
}

void JobMaster::KillExecutors() {
  if (attempt_ != nullptr && !attempt_->AllGone()) SendStop(0);
  checkpoint::Shutdown shutdown;
  shutdown.status = JobStatus::kSuspended;
  driver_->Feed(shutdown);
  ReleaseClaim();
}

void JobMaster::StopAttempt(Next next, int64_t grace_ms) {
  phase_ = Phase::kStopping;
  next_ = next;
  StopStartTimer();
  attempt_->CancelAll(/*gone=*/false, NowMs());
  SendStop(grace_ms);
  ContinueWhenStopped();
}

void JobMaster::ContinueWhenStopped() {
  if (phase_ == Phase::kEnded) {
    ReportEnded();
    return;
  }
  if (phase_ != Phase::kStopping || !attempt_->AllGone()) return;
  attempt_->CancelAll(/*gone=*/true, NowMs());
  if (next_ == Next::kCancel) {
    End(JobStatus::kCanceled);
  } else if (next_ == Next::kFail) {
    End(JobStatus::kFailed);
  } else {
    phase_ = Phase::kBackingOff;
    driver_->RemoveLeftovers(/*job_ended=*/false);
    const int64_t delay = std::max<int64_t>(0, restart_at_ms_ - NowMs());
    restart_timer_ =
        deps_.main->PostAfter(std::chrono::milliseconds(delay), Guarded([](JobMaster& self) {
                                self.restart_timer_ = 0;
                                if (self.phase_ == Phase::kBackingOff)
                                  self.StartAttempt(self.attempt_->number() + 1);
                              }));
  }
}

}  // namespace flink::jobmanager
