#pragma once

/// TaskExecutor: one job attempt's part on one TaskManager: job library, tasks, record exchange,
/// source coordinators.
///
/// Threading: one control thread owns everything below and never blocks on user code: the library
/// is loaded, tasks run and coordinators run on threads of their own, which only post to it.
/// Deliver from any thread. Ownership: the executor owns the LoadedJob, the TaskEnvironment and the
/// I/O pool, the ExchangeNetwork, the Tasks and the CoordinatorHosts. Each task's thread owns its
/// chain (see task.h). Release: when tasks finish, are cancelled or fail, each frees its chain
/// itself; the executor ends when all tasks have (a failed one makes it wait for CancelTasks, or to
/// be killed). Shutdown then takes down tasks, coordinators, network, pool.
/// Fencing: a command of another job or attempt is dropped.
/// Errors: what cannot go on is reported as ExecutorFailed, a task's failure as TaskStateChanged.
/// Neither ends the process.

#include <cstdint>
#include <future>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "common/base/status.h"
#include "common/concurrency/mailbox.h"
#include "common/concurrency/worker_pool.h"
#include "taskmanager/executor/control_channel.h"
#include "taskmanager/executor/coordinator_host.h"
#include "taskmanager/executor/loaded_job.h"
#include "taskmanager/network/exchange_network.h"
#include "taskmanager/task/task.h"
#include "taskmanager/task/task_deployment.h"

namespace flink::taskmanager {

class TaskExecutor {
 public:
  TaskExecutor(pb::ExecutorSettings settings, JobLoader loader,
               std::unique_ptr<ControlChannel> channel);
  /// Shutdown, with tasks cancelled.
  ~TaskExecutor();
  TaskExecutor(const TaskExecutor&) = delete;
  TaskExecutor& operator=(const TaskExecutor&) = delete;

  /// Begins to load the job; ExecutorReady or ExecutorFailed follows.
  void Start();
  void Deliver(pb::ExecutorCommand command);
  /// Blocks until all tasks have finished or been cancelled.
  void WaitUntilEnded();
  /// Says goodbye to peers, releases everything, and sees that all messages have left. Repeatable.
  void Shutdown();

 private:
  struct Subtask {
    std::unique_ptr<Task> task;
    bool terminal = false;
  };
  using SubtaskKey = std::pair<std::string, int>;  // vertex or operator id as in messages, subtask

  // The control thread.
  Status MakeEnvironment();
  void OnLoaded(StatusOr<LoadedJob> job);
  Status GetReady(StatusOr<LoadedJob> job);
  void Handle(const pb::ExecutorCommand& command);
  void Deploy(const pb::DeployTasks& command);
  Status DeployTasks(const pb::DeployTasks& command);
  Status StartCoordinator(const pb::CoordinatorRestore& restore, const pb::DeployTasks& command);
  void Trigger(const pb::TriggerCheckpoint& command);
  void Route(const pb::CoordinatorEvent& event);
  void Cancel();
  void Finish(const pb::FinishTasks& command);
  void OnReport(pb::ExecutorMessage message);
  void OnTaskState(const pb::TaskStateChanged& state);
  void EndIfDone();
  void Fail(const Status& status, bool user_error, bool retryable);
  void Send(pb::ExecutorMessage message);
  void SendMetrics();
  void ScheduleMetrics();

  const pb::ExecutorSettings settings_;
  const JobLoader loader_;
  const std::unique_ptr<ControlChannel> channel_;
  std::promise<void> ended_promise_;
  std::shared_future<void> ended_;

  std::unique_ptr<WorkerPool> io_pool_;
  std::unique_ptr<WorkerPool> flush_pool_;
  std::unique_ptr<WorkerPool> background_pool_;
  LoadedJob job_;
  TaskEnvironment environment_;
  std::unique_ptr<ExchangeNetwork> network_;
  std::map<SubtaskKey, Subtask> tasks_;
  std::map<SubtaskKey, Task*> tasks_of_sources_;  // by operator id of the head
  std::map<std::string, std::unique_ptr<CoordinatorHost>> coordinators_;
  size_t terminal_tasks_ = 0;
  bool loaded_ = false;
  bool deployed_ = false;
  bool failed_ = false;
  bool ending_ = false;  // cancelled, or finishing
  bool ended_reported_ = false;

  bool shut_down_ = false;  // the owner's thread
  std::thread loader_thread_;
  MailboxThread control_;
};

}  // namespace flink::taskmanager
