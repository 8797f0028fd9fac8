// The part of TaskManager that deals with executors.
#include <algorithm>
#include <cstdlib>
#include <utility>

#include "common/base/failpoint.h"
#include "common/base/ids.h"
#include "common/base/logging.h"
#include "common/io/file_system.h"
#include "taskmanager/rpc/task_manager.h"

namespace flink::taskmanager {

using pb::cluster::v1::ExecutorCommand;
using pb::cluster::v1::ExecutorExited;
using pb::cluster::v1::ExecutorMessage;
using pb::cluster::v1::TaskManagerMessage;
using std::chrono::milliseconds;

namespace {

constexpr size_t kJobIdBytes = 16;

std::string Hex(const std::string& bytes) {
  std::string out;
  for (const char c : bytes) out += fmt::format("{:02x}", static_cast<unsigned char>(c));
  return out;
}

/// Heaps of transparent huge pages, which large state wants; a user's own setting stands.
std::vector<std::string> ExecutorEnvironment() {
  if (getenv("GLIBC_TUNABLES") != nullptr) return {};
  return {"GLIBC_TUNABLES=glibc.malloc.hugetlb=1"};
}

/// What one executor says, on its way to the JobManager. Runs on the executor's thread.
void Relay(const std::shared_ptr<JobManagerConnection>& connection, const std::string& job_id,
           int attempt, const std::string& bytes, ExecutorProcess::Token token) {
  TaskManagerMessage message;
  ExecutorMessage* relayed = message.mutable_executor();
  if (!relayed->ParseFromString(bytes)) {
    LOG_ERROR("Dropped a message of the task executor of job {} that cannot be read", Hex(job_id));
    return;
  }
  if (relayed->job_id() != job_id || relayed->attempt() != attempt) {
    LOG_WARN("Dropped a message of the task executor of job {} under another job or attempt",
             Hex(job_id));
    return;
  }
  if (relayed->has_ack()) PassFailpoint("taskmanager.ack-relay");
  connection->Send(std::move(message), std::move(token));
}

}  // namespace

std::string TaskManager::ExecutorName(const Executor& executor) const {
  return fmt::format("Task executor of job {} ({}, attempt {}) on TaskManager {}",
                     Hex(executor.settings.job_id()), executor.settings.job_name(),
                     executor.settings.attempt(), options_.id);
}

void TaskManager::StartExecutor(pb::cluster::v1::StartExecutor order) {
  const ExecutorKey key{connection_number_, order.settings().job_id(), order.settings().attempt()};
  auto executor = std::make_shared<Executor>();
  executor->settings = std::move(*order.mutable_settings());
  executor->library_digest = order.library_digest();
  executor->connection = connection_;
  if (key.job_id.size() != kJobIdBytes) {
    LOG_ERROR("Dropped an order to start a task executor without a job id");
    return;
  }
  if (executors_.count(key) != 0) {
    LOG_WARN("{} is there already", ExecutorName(*executor));
    return;
  }
  // A new attempt says that the earlier ones are over.
  StopExecutors(key.job_id, key.attempt - 1, milliseconds(0));
  executors_[key] = executor;
  artifacts_->Fetch(
      channel_, executor->library_digest,
      [this, key, executor](const StatusOr<std::string>& path) { OnLibrary(key, executor, path); });
}

void TaskManager::OnLibrary(const ExecutorKey& key, const std::shared_ptr<Executor>& executor,
                            const StatusOr<std::string>& path) {
  executor->has_library = path.ok();
  if (executor->finished) {
    if (path.ok()) artifacts_->Release(executor->library_digest);
    return;
  }
  Status status = path.status();
  if (status.ok()) status = LaunchExecutor(key, executor, *path);
  if (status.ok()) return;
  ExecutorExited report;
  report.set_exit_code(1);
  report.set_message(
      fmt::format("{} could not be started: {}", ExecutorName(*executor), Message(status)));
  RemoveExecutor(key, executor, std::move(report));
}

Status TaskManager::LaunchExecutor(const ExecutorKey& key,
                                   const std::shared_ptr<Executor>& executor,
                                   const std::string& library_path) {
  const std::string prefix = fmt::format("{}-{}", Hex(key.job_id).substr(0, 8), key.attempt);
  ASSIGN_OR_RETURN(executor->work_directory, directories_->CreateWorkDirectory(prefix));
  auto& settings = executor->settings;
  settings.set_library_path(library_path);
  settings.set_work_directory(executor->work_directory.path());
  settings.set_data_bind_address(options_.bind_host);
  settings.set_data_address(options_.host);
  ExecutorProcess::Options process_options;
  process_options.binary = options_.executor_path;
  process_options.environment = ExecutorEnvironment();
  ExecutorProcess::Callbacks callbacks;
  callbacks.on_message = [connection = executor->connection, key](const std::string& bytes,
                                                                  ExecutorProcess::Token token) {
    Relay(connection, key.job_id, key.attempt, bytes, std::move(token));
  };
  // Weak: the process belongs to the executor that this would keep alive.
  callbacks.on_exit = [this, key,
                       weak = std::weak_ptr<Executor>(executor)](const ExecutorExit& exit) {
    main_->Post([this, key, weak, exit] {
      if (const auto ended = weak.lock()) OnExecutorExit(key, ended, exit);
    });
  };
  ASSIGN_OR_RETURN(executor->process,
                   ExecutorProcess::Start(std::move(process_options), std::move(callbacks)));
  LOG_INFO("{} runs as process {}", ExecutorName(*executor), executor->process->pid());
  executor->process->Send(settings.SerializeAsString());
  for (std::string& command : executor->early_commands) {
    executor->process->Send(std::move(command));
  }
  executor->early_commands.clear();
  return OkStatus();
}

void TaskManager::SendCommand(const ExecutorCommand& command) {
  const auto found = executors_.find({connection_number_, command.job_id(), command.attempt()});
  if (found == executors_.end()) return;  // it has ended, and its end has been reported
  Executor& executor = *found->second;
  if (executor.process == nullptr) {
    executor.early_commands.push_back(command.SerializeAsString());
  } else {
    executor.process->Send(command.SerializeAsString());
  }
}

void TaskManager::StopExecutors(const std::string& job_id, int attempt, milliseconds grace) {
  std::vector<std::pair<ExecutorKey, std::shared_ptr<Executor>>> found;
  for (const auto& [key, executor] : executors_) {
    const bool of_session = key.session == connection_number_;
    if (of_session && key.job_id == job_id && key.attempt <= attempt)
      found.emplace_back(key, executor);
  }
  for (const auto& [key, executor] : found) StopExecutor(key, executor, grace);
}

void TaskManager::StopExecutor(const ExecutorKey& key, const std::shared_ptr<Executor>& executor,
                               milliseconds grace) {
  executor->stopping = true;
  if (executor->process == nullptr) {
    ExecutorExited report;
    report.set_message(ExecutorName(*executor) + " was stopped before it ran");
    RemoveExecutor(key, executor, std::move(report));
  } else if (grace.count() <= 0) {
    executor->process->Kill();
  } else {
    main_->mailbox().PostAfter(grace, [weak = std::weak_ptr<Executor>(executor)] {
      const auto late = weak.lock();
      if (late != nullptr && late->process != nullptr) late->process->Kill();
    });
  }
}

void TaskManager::KillAllExecutors() {
  const auto all = executors_;
  for (const auto& [key, executor] : all) StopExecutor(key, executor, milliseconds(0));
}

void TaskManager::OnExecutorExit(const ExecutorKey& key, const std::shared_ptr<Executor>& executor,
                                 const ExecutorExit& exit) {
  if (executor->finished) return;
  ExecutorExited report;
  report.set_exit_code(exit.exit_code);
  report.set_signal(exit.signal);
  report.set_message(fmt::format("{} {}", ExecutorName(*executor), exit.Sentence()));
  const bool clean = exit.signal == 0 && exit.exit_code == 0 && exit.problem.empty();
  if (clean || executor->stopping) {
    report.set_message(ExecutorName(*executor) + (clean ? " has ended" : " was stopped"));
    executor->stopping = true;
  }
  RemoveExecutor(key, executor, std::move(report));
}

void TaskManager::RemoveExecutor(const ExecutorKey& key, const std::shared_ptr<Executor>& executor,
                                 ExecutorExited report) {
  executor->finished = true;
  executors_.erase(key);
  if (executor->has_library) artifacts_->Release(executor->library_digest);
  if (executor->stopping) {
    LOG_INFO("{}", report.message());
  } else {
    LOG_WARN("{}", report.message());
  }
  report.set_job_id(key.job_id);
  report.set_attempt(key.attempt);
  report.set_expected(executor->stopping);
  TaskManagerMessage message;
  *message.mutable_executor_exited() = std::move(report);
  executor->process.reset();
  // The directory of a large state takes long to remove; heartbeats go on meanwhile.
  workers_->Submit([directory = std::move(executor->work_directory)] {});
  executor->connection->Send(std::move(message));
  if (shutting_down_) Shutdown();
}

}  // namespace flink::taskmanager
