#include "taskmanager/executor/task_executor.h"

#include <chrono>
#include <exception>

#include "common/base/logging.h"
#include "common/config/checkpoint_settings.h"
#include "common/config/configuration.h"
#include "common/config/options.h"
#include "common/io/file_system.h"
#include "taskmanager/executor/deployment_plan.h"
#include "taskmanager/task/wire_ids.h"

namespace flink::taskmanager {
namespace {

constexpr std::chrono::milliseconds kMetricsInterval{1000};
constexpr uint64_t kLeastKeyedMemory = 1 << 20;
/// A job that uses all cores keeps more than four fifths of them while a savepoint is written.
constexpr int kBackgroundNiceness = 13;

bool IsTerminal(const std::string& state) {
  return state == "FINISHED" || state == "CANCELED" || state == "FAILED";
}

}  // namespace

TaskExecutor::TaskExecutor(pb::ExecutorSettings settings, JobLoader loader,
                           std::unique_ptr<ControlChannel> channel)
    : settings_(std::move(settings)),
      loader_(std::move(loader)),
      channel_(std::move(channel)),
      ended_(ended_promise_.get_future()),
      control_("control") {}

TaskExecutor::~TaskExecutor() { Shutdown(); }

void TaskExecutor::Start() {
  loader_thread_ = std::thread([this] {
    SetCurrentThreadName("job-loader");
    StatusOr<LoadedJob> job = Internal("the job was not loaded");
    try {
      job = loader_(settings_);
    } catch (const std::exception& e) {
      job = Internal("the program of job {} threw: {}", settings_.job_name(), e.what());
    } catch (...) {
      job = Internal("the program of job {} threw something unknown", settings_.job_name());
    }
    // Mails are move-only, the result as well.
    control_.Post([this, job = std::move(job)]() mutable { OnLoaded(std::move(job)); });
  });
}

void TaskExecutor::Deliver(pb::ExecutorCommand command) {
  control_.Post([this, command = std::move(command)] { Handle(command); });
}

void TaskExecutor::WaitUntilEnded() { ended_.wait(); }

void TaskExecutor::Shutdown() {
  if (shut_down_) return;
  shut_down_ = true;
  if (loader_thread_.joinable()) loader_thread_.join();
  control_.Post([this] { Cancel(); });
  control_.CloseAndJoin();
  // From here on nobody posts to the control thread with effect, and its state is this thread's.
  for (auto& [key, subtask] : tasks_) subtask.task->Join();
  coordinators_.clear();
  if (network_ != nullptr) network_->Finish();
  tasks_.clear();
  network_.reset();
  for (WorkerPool* pool : {flush_pool_.get(), io_pool_.get(), background_pool_.get()}) {
    if (pool != nullptr) pool->Shutdown();
  }
  channel_->Flush();
}

// ---- Start
// -----------------------------------------------------------------------------------------------------------

void TaskExecutor::OnLoaded(StatusOr<LoadedJob> job) {
  if (ending_) return;
  // A library that cannot be loaded, or gives another dataflow, will not do better next time.
  const bool user_error = !job.ok() || job->job_graph.Digest() != settings_.graph_digest();
  const Status status = GetReady(std::move(job));
  if (!status.ok()) Fail(status, user_error, !user_error);
}

Status TaskExecutor::GetReady(StatusOr<LoadedJob> job) {
  RETURN_IF_ERROR(job.status());
  job_ = std::move(job).value();
  if (job_.job_graph.Digest() != settings_.graph_digest()) {
    std::string vertices;
    for (const graph::JobVertex& vertex : job_.job_graph.vertices) {
      vertices += fmt::format("{}vertex \"{}\" ({})", vertices.empty() ? "" : ", ", vertex.name,
                              vertex.id.ToHex());
    }
    return FailedPrecondition(
        "the library gives another dataflow than the client's for job {}: {}. The program must "
        "build the same "
        "dataflow from the same arguments on every machine: submit the job again with the library "
        "that is "
        "deployed",
        settings_.job_name(), vertices);
  }
  RETURN_IF_ERROR(MakeEnvironment());
  RETURN_IF_ERROR(io::CreateDirectories(settings_.work_directory()));
  ExchangeNetwork::Options options;
  options.self = {settings_.job_id(), settings_.attempt(), settings_.data_token(),
                  settings_.executor_id()};
  options.bind_address = settings_.data_bind_address();
  options.public_address = settings_.data_address();
  options.work_directory = settings_.work_directory();
  network_ = std::make_unique<ExchangeNetwork>(std::move(options), [this](Status status) {
    control_.Post([this, status = std::move(status)] {
      if (!ending_) Fail(status, /*user_error=*/false, /*retryable=*/true);
    });
  });
  ASSIGN_OR_RETURN(const std::string address, network_->Listen());
  loaded_ = true;
  pb::ExecutorMessage message;
  message.mutable_ready()->set_data_address(address);
  Send(std::move(message));
  return OkStatus();
}

Status TaskExecutor::MakeEnvironment() {
  const Configuration config(std::map<std::string, std::string>(settings_.configuration().begin(),
                                                                settings_.configuration().end()));
  ASSIGN_OR_RETURN(const JobId job_id, FromWire<JobId>(settings_.job_id()));
  ASSIGN_OR_RETURN(const int64_t transfer_threads, config.GetInt(options::kRocksDbTransferThreads));
  const int threads = static_cast<int>(std::max<int64_t>(transfer_threads, 1));
  ASSIGN_OR_RETURN(environment_.inline_threshold_bytes, InlineThresholdFrom(config));
  ASSIGN_OR_RETURN(environment_.state_in_metadata, StateInMetadataFrom(config));
  io_pool_ = std::make_unique<WorkerPool>("snapshot-io", threads);
  flush_pool_ = std::make_unique<WorkerPool>("state-flush", threads);
  background_pool_ = std::make_unique<WorkerPool>("savepoint-io", threads, kBackgroundNiceness);
  environment_.job_id = job_id.ToHex();
  environment_.job_name = settings_.job_name();
  environment_.attempt = settings_.attempt();
  environment_.configuration = config.values();
  environment_.work_directory = settings_.work_directory();
  ASSIGN_OR_RETURN(environment_.state_backend, StateBackendFrom(config));
  ASSIGN_OR_RETURN(environment_.exactly_once, ExactlyOnceFrom(config));
  environment_.io_pool = io_pool_.get();
  environment_.flush_pool = flush_pool_.get();
  environment_.background_pool = background_pool_.get();
  environment_.report = [this](pb::ExecutorMessage message) {
    control_.Post([this, message = std::move(message)]() mutable { OnReport(std::move(message)); });
  };
  uint64_t keyed_operators = 0;
  for (const graph::JobVertex& vertex : job_.job_graph.vertices) {
    for (const graph::OperatorDescription& op : vertex.operators)
      keyed_operators += op.keyed ? 1 : 0;
  }
  // A slot holds one subtask of each vertex: its memory is shared by the keyed operators of the
  // job.
  const uint64_t shares = std::max<uint64_t>(keyed_operators, 1) *
                          static_cast<uint64_t>(std::max(settings_.slots(), 1));
  environment_.keyed_memory_bytes =
      std::max(settings_.managed_memory_bytes() / shares, kLeastKeyedMemory);
  return OkStatus();
}

// ---- Commands
// --------------------------------------------------------------------------------------------------------

void TaskExecutor::Handle(const pb::ExecutorCommand& command) {
  if (command.job_id() != settings_.job_id() || command.attempt() != settings_.attempt()) {
    LOG_WARN("dropped a command for attempt {}; this is attempt {}", command.attempt(),
             settings_.attempt());
    return;
  }
  switch (command.command_case()) {
    case pb::ExecutorCommand::kDeploy:
      return Deploy(command.deploy());
    case pb::ExecutorCommand::kTriggerCheckpoint:
      return Trigger(command.trigger_checkpoint());
    case pb::ExecutorCommand::kTriggerCoordinator: {
      const auto found = coordinators_.find(command.trigger_coordinator().operator_id());
      if (found != coordinators_.end()) {
        found->second->Snapshot(command.trigger_coordinator().checkpoint_id());
      }
      return;
    }
    case pb::ExecutorCommand::kCheckpointComplete:
      for (auto& [key, subtask] : tasks_) {
        subtask.task->NotifyCheckpointComplete(command.checkpoint_complete().checkpoint_id());
      }
      return;
    case pb::ExecutorCommand::kCheckpointAborted:
      for (auto& [key, subtask] : tasks_) {
        subtask.task->NotifyCheckpointAborted(command.checkpoint_aborted().checkpoint_id());
      }
      return;
    case pb::ExecutorCommand::kCancel:
      return Cancel();
    case pb::ExecutorCommand::kCoordinatorEvent:
      return Route(command.coordinator_event());
    case pb::ExecutorCommand::kFinish:
      return Finish(command.finish());
    case pb::ExecutorCommand::COMMAND_NOT_SET:
      return;
  }
}

void TaskExecutor::Deploy(const pb::DeployTasks& command) {
  if (ending_ || failed_) return;
  if (!loaded_ || deployed_) {
    return Fail(FailedPrecondition("tasks of job {} were deployed {}", settings_.job_name(),
                                   loaded_ ? "twice" : "before the job was loaded"),
                false, true);
  }
  const Status status = DeployTasks(command);
  if (!status.ok()) {
    // None of them was started.
    tasks_of_sources_.clear();
    tasks_.clear();
    Fail(With(status, "cannot deploy the tasks of job {}", settings_.job_name()), false, true);
  }
}

Status TaskExecutor::DeployTasks(const pb::DeployTasks& command) {
  deployed_ = true;
  ASSIGN_OR_RETURN(std::vector<TaskDeployment> plan,
                   PlanDeployment(job_, command, settings_.executor_id(), *network_));
  for (TaskDeployment& deployment : plan) {
    const bool is_source = deployment.input_channels.empty();
    auto task = std::make_unique<Task>(std::move(deployment), environment_);
    if (is_source) tasks_of_sources_[{task->head_operator_id(), task->subtask()}] = task.get();
    Subtask& subtask = tasks_[{ToWire(task->vertex()), task->subtask()}];
    subtask.task = std::move(task);
  }
  for (const pb::CoordinatorRestore& restore : command.coordinators()) {
    RETURN_IF_ERROR(StartCoordinator(restore, command));
  }
  network_->Start();
  for (auto& [key, subtask] : tasks_) subtask.task->Start();
  ScheduleMetrics();
  return OkStatus();
}

Status TaskExecutor::StartCoordinator(const pb::CoordinatorRestore& restore,
                                      const pb::DeployTasks& command) {
  ASSIGN_OR_RETURN(const OperatorId id, FromWire<OperatorId>(restore.operator_id()));
  int parallelism = 0;
  for (const pb::VertexDeployment& v : command.vertices()) {
    if (v.vertex_id() == restore.vertex_id()) parallelism = v.parallelism();
  }
  for (const graph::JobVertex& vertex : job_.job_graph.vertices) {
    for (const graph::OperatorDescription& op : vertex.operators) {
      if (op.id != id) continue;
      const size_t node = static_cast<size_t>(op.node_id) - 1;
      if (node >= job_.stream_graph.nodes.size() ||
          !job_.stream_graph.nodes[node].make_coordinator) {
        break;
      }
      auto host = std::make_unique<CoordinatorHost>(id, op.name, parallelism, environment_.report);
      host->Start(job_.stream_graph.nodes[node].make_coordinator, restore.has_state(),
                  restore.state());
      coordinators_[restore.operator_id()] = std::move(host);
      return OkStatus();
    }
  }
  return NotFound("operator {} of the job has no source coordinator", id.ToHex());
}

void TaskExecutor::Trigger(const pb::TriggerCheckpoint& command) {
  auto barrier = std::make_shared<CheckpointBarrier>();
  barrier->checkpoint_id = command.checkpoint_id();
  barrier->timestamp_ms = command.timestamp_ms();
  if (command.has_aligned_timeout_ms()) barrier->aligned_timeout_ms = command.aligned_timeout_ms();
  barrier->target = command.target().SerializeAsString();
  for (const pb::SubtaskRef& ref : command.subtasks()) {
    const auto found = tasks_.find({ref.vertex_id(), ref.subtask()});
    if (found != tasks_.end()) found->second.task->TriggerCheckpoint(barrier);
  }
}

void TaskExecutor::Route(const pb::CoordinatorEvent& event) {
  if (event.to_coordinator()) {
    const auto found = coordinators_.find(event.operator_id());
    if (found != coordinators_.end()) found->second->HandleEvent(event.subtask(), event.payload());
    return;
  }
  const auto found = tasks_of_sources_.find({event.operator_id(), event.subtask()});
  if (found != tasks_of_sources_.end()) found->second->HandleCoordinatorEvent(event.payload());
}

void TaskExecutor::Cancel() {
  ending_ = true;
  if (network_ != nullptr) network_->ExpectEnd();
  for (auto& [key, subtask] : tasks_) subtask.task->Cancel();
  EndIfDone();
}

void TaskExecutor::Finish(const pb::FinishTasks& command) {
  for (const pb::SubtaskRef& ref : command.subtasks()) {
    const auto found = tasks_.find({ref.vertex_id(), ref.subtask()});
    if (found != tasks_.end()) found->second.task->Finish(command.checkpoint_id());
  }
  if (command.subtasks_size() != 0) return;
  ending_ = true;
  if (network_ != nullptr) network_->ExpectEnd();
  for (auto& [key, subtask] : tasks_) subtask.task->Finish(command.checkpoint_id());
  EndIfDone();
}

// ---- Reports
// ---------------------------------------------------------------------------------------------------------

void TaskExecutor::OnReport(pb::ExecutorMessage message) {
  const bool is_state = message.has_task_state();
  const pb::TaskStateChanged state = is_state ? message.task_state() : pb::TaskStateChanged();
  Send(std::move(message));
  if (is_state) OnTaskState(state);
}

void TaskExecutor::OnTaskState(const pb::TaskStateChanged& state) {
  if (!IsTerminal(state.state())) return;
  const auto found = tasks_.find({state.subtask().vertex_id(), state.subtask().subtask()});
  if (found == tasks_.end() || found->second.terminal) return;
  found->second.terminal = true;
  ++terminal_tasks_;
  EndIfDone();
}

void TaskExecutor::EndIfDone() {
  if (!ending_ || ended_reported_ || terminal_tasks_ < tasks_.size()) return;
  if (deployed_) SendMetrics();
  ended_reported_ = true;
  ended_promise_.set_value();
}

void TaskExecutor::Fail(const Status& status, bool user_error, bool retryable) {
  if (failed_) return;
  failed_ = true;
  LOG_ERROR("{}", Message(status));
  pb::ExecutorMessage message;
  message.mutable_failed()->set_message(Message(status));
  message.mutable_failed()->set_user_error(user_error);
  message.mutable_failed()->set_retryable(retryable);
  Send(std::move(message));
}

void TaskExecutor::Send(pb::ExecutorMessage message) {
  message.set_job_id(settings_.job_id());
  message.set_attempt(settings_.attempt());
  channel_->Send(message);
}

void TaskExecutor::ScheduleMetrics() {
  control_.mailbox().PostAfter(kMetricsInterval, [this] {
    if (ended_reported_) return;
    SendMetrics();
    ScheduleMetrics();
  });
}

void TaskExecutor::SendMetrics() {
  pb::ExecutorMessage message;
  pb::TaskMetrics& metrics = *message.mutable_metrics();
  for (const auto& [key, subtask] : tasks_) {
    const TaskCounters& counters = subtask.task->counters();
    pb::SubtaskMetrics& m = *metrics.add_subtasks();
    *m.mutable_subtask() = subtask.task->ref();
    m.set_records_in(counters.records_in.load(std::memory_order_relaxed));
    m.set_records_out(counters.records_out.load(std::memory_order_relaxed));
    m.set_bytes_in(counters.bytes_in.load(std::memory_order_relaxed));
    m.set_bytes_out(counters.bytes_out.load(std::memory_order_relaxed));
    m.set_watermark_ms(counters.watermark_ms.load(std::memory_order_relaxed));
  }
  Send(std::move(message));
}

}  // namespace flink::taskmanager
