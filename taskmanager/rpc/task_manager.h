#pragma once

/// TaskManager: offers its slots to a JobManager, runs one task executor process per job and
/// attempt for it, and carries messages between the two.

#include <chrono>
#include <compare>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/base/status.h"
#include "common/concurrency/mailbox.h"
#include "common/concurrency/worker_pool.h"
#include "common/config/configuration.h"
#include "common/io/temp_directory.h"
#include "flink/pb/cluster/v1/cluster.pb.h"
#include "taskmanager/rpc/artifact_cache.h"
#include "taskmanager/rpc/executor_process.h"
#include "taskmanager/rpc/job_manager_connection.h"
#include "taskmanager/rpc/local_directories.h"

namespace flink::taskmanager {

struct TaskManagerOptions {
  /// Reads Flink's keys; the managed memory is taskmanager.memory.managed.size, else the fraction
  /// taskmanager.memory.managed.fraction of taskmanager.memory.process.size. An error names the
  /// key.
  static StatusOr<TaskManagerOptions> FromConfiguration(const Configuration& configuration);

  std::string id;  // empty: "<host>:<pid>-<6 hex>"
  std::string job_manager_host = "localhost";
  int job_manager_port = 6123;
  std::string host = "localhost";       // under which peers reach this machine
  std::string bind_host = "localhost";  // that executors listen on
  int slots = 1;
  uint64_t managed_memory_bytes = 0;
  int data_port = 0;
  std::vector<std::string> tmp_directories;              // empty: $TMPDIR, else /tmp
  std::chrono::milliseconds heartbeat_interval{10'000};  // until the JobManager says another
  std::chrono::milliseconds heartbeat_timeout{50'000};
  std::string executor_path;  // empty: task-executor beside the running binary
  Configuration configuration;
};

/// Everything happens on one thread, "taskmanager"; processes and streams have threads of their own
/// that post to it.
///
/// A registration begins a session, of which all executors are part. When the stream ends the
/// session is over for the JobManager, which takes the executors for lost. Here they are kept, so
/// that a commit they were told to make can still complete, until the next registration is
/// accepted, by the same JobManager or another, or the heartbeat timeout has passed; then they are
/// killed. They never speak to a later session: messages and exit reports of an executor go to the
/// stream on which it was ordered, or nowhere.
class TaskManager {
 public:
  /// `on_registered` is called on the TaskManager's thread at every accepted registration.
  static StatusOr<std::unique_ptr<TaskManager>> Start(TaskManagerOptions options,
                                                      std::function<void()> on_registered);
  /// Kills and reaps all executors, ends the stream and removes all directories. Not from its own
  /// thread.
  ~TaskManager();
  TaskManager(const TaskManager&) = delete;
  TaskManager& operator=(const TaskManager&) = delete;

  const std::string& id() const { return options_.id; }
  /// Directories this TaskManager made.
  std::vector<std::string> directories() const { return directories_->paths(); }

 private:
  using Time = std::chrono::steady_clock::time_point;
  struct ExecutorKey {
    uint64_t session;    // number of the connection that ordered it
    std::string job_id;  // 16 bytes
    int attempt;
    auto operator<=>(const ExecutorKey&) const = default;
  };

  struct Executor {
    pb::cluster::v1::ExecutorSettings settings;
    std::string library_digest;
    bool has_library = false;  // a use of the digest in artifacts_ to be released
    std::shared_ptr<JobManagerConnection> connection;  // that ordered it
    io::TempDirectory work_directory;
    std::unique_ptr<ExecutorProcess> process;  // null while the library is being fetched
    std::vector<std::string> early_commands;   // until there is a process
    bool stopping = false;                     // its end is expected
    bool finished = false;                     // nothing more is reported
  };

  explicit TaskManager(TaskManagerOptions options) : options_(std::move(options)) {}

  // The line to the JobManager.
  void Connect();
  void OnMessage(const std::shared_ptr<JobManagerConnection>& from,
                 pb::cluster::v1::JobManagerMessage message);
  void OnConnectionEnd(uint64_t connection_number, const Status& status);
  void OnAccepted(const pb::cluster::v1::RegistrationAccepted& accepted);
  void Tick();
  /// Replaces the tick that is scheduled.
  void ScheduleTick();
  void WarnOfWaiting(Time now);
  std::string JobManagerName() const;

  // Executors.
  void StartExecutor(pb::cluster::v1::StartExecutor order);
  void OnLibrary(const ExecutorKey& key, const std::shared_ptr<Executor>& executor,
                 const StatusOr<std::string>& path);
  Status LaunchExecutor(const ExecutorKey& key, const std::shared_ptr<Executor>& executor,
                        const std::string& library_path);
  /// Those of this session.
  void StopExecutors(const std::string& job_id, int attempt, std::chrono::milliseconds grace);
  void StopExecutor(const ExecutorKey& key, const std::shared_ptr<Executor>& executor,
                    std::chrono::milliseconds grace);
  void KillAllExecutors();
  void SendCommand(const pb::cluster::v1::ExecutorCommand& command);
  void OnExecutorExit(const ExecutorKey& key, const std::shared_ptr<Executor>& executor,
                      const ExecutorExit& exit);
  /// Reports the end, unless the session is over, and lets go of everything the executor had.
  void RemoveExecutor(const ExecutorKey& key, const std::shared_ptr<Executor>& executor,
                      pb::cluster::v1::ExecutorExited report);
  std::string ExecutorName(const Executor& executor) const;
  void Shutdown();

  TaskManagerOptions options_;
  std::function<void()> on_registered_;
  std::unique_ptr<LocalDirectories> directories_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<ArtifactCache> artifacts_;

  std::shared_ptr<JobManagerConnection> connection_;  // null between streams
  uint64_t connection_number_ = 0;
  bool registered_ = false;
  bool waiting_logged_ = false;
  Time waiting_since_{};
  Time last_warning_{};
  Time last_heard_{};
  Time lost_at_{};  // end of the last session
  std::chrono::milliseconds reconnect_delay_{0};
  int64_t heartbeats_ = 0;
  Mailbox::TimerId tick_timer_ = 0;
  std::map<ExecutorKey, std::shared_ptr<Executor>> executors_;
  bool shutting_down_ = false;
  std::function<void()> on_empty_;  // set by Shutdown

  std::unique_ptr<WorkerPool> workers_;  // fetch libraries, remove directories
  std::shared_ptr<MailboxThread>
      main_;  // shared with streams, which may still be posting when they end
};

}  // namespace flink::taskmanager
