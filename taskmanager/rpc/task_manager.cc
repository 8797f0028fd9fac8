#include "taskmanager/rpc/task_manager.h"

#include <unistd.h>

#include <algorithm>
#include <future>
#include <random>
#include <thread>

#include "common/base/logging.h"
#include "common/config/options.h"
#include "common/io/file_system.h"
#include "rpc/channel_factory.h"
#include "rpc/server_process.h"

namespace flink::taskmanager {

using pb::cluster::v1::JobManagerMessage;
using pb::cluster::v1::RegistrationAccepted;
using pb::cluster::v1::TaskManagerMessage;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

namespace {

constexpr milliseconds kFirstReconnectDelay{20};
constexpr milliseconds kMaxReconnectDelay{1000};
constexpr milliseconds kRefusedDelay{10'000};
constexpr milliseconds kFirstWarningAfter{2000};
constexpr milliseconds kWarningInterval{30'000};
constexpr int kWorkers = 2;

uint64_t PhysicalMemoryBytes() {
  const long pages = sysconf(_SC_PHYS_PAGES);
  const long size = sysconf(_SC_PAGESIZE);
  return pages > 0 && size > 0 ? static_cast<uint64_t>(pages) * static_cast<uint64_t>(size) : 0;
}

std::string NewId(const std::string& host) {
  std::random_device random;
  return fmt::format("{}:{}-{:06x}", host, getpid(), random() & 0xffffffu);
}

StatusOr<int> GetPort(const Configuration& configuration, const ConfigOption& option) {
  ASSIGN_OR_RETURN(const int64_t port, configuration.GetInt(option));
  if (port < 0 || port > 65535) return InvalidArgument("{} is not a port: {}", option.key, port);
  return static_cast<int>(port);
}

}  // namespace

StatusOr<TaskManagerOptions> TaskManagerOptions::FromConfiguration(
    const Configuration& configuration) {
  TaskManagerOptions out;
  out.configuration = configuration;
  out.job_manager_host = configuration.GetString(options::kJobManagerAddress);
  ASSIGN_OR_RETURN(out.job_manager_port, GetPort(configuration, options::kJobManagerPort));
  if (out.job_manager_port == 0) {
    return InvalidArgument("{} must be the JobManager's port, not 0", options::kJobManagerPort.key);
  }
  const std::string host = configuration.GetString(options::kTaskManagerHost);
  if (!host.empty()) out.host = host;
  out.bind_host = configuration.GetString(options::kTaskManagerBindHost);
  out.id = configuration.GetString(options::kTaskManagerResourceId);
  ASSIGN_OR_RETURN(const int64_t slots, configuration.GetInt(options::kTaskManagerSlots));
  if (slots < 1 || slots > 4096) {
    return InvalidArgument("{} must be between 1 and 4096, not {}", options::kTaskManagerSlots.key,
                           slots);
  }
  out.slots = static_cast<int>(slots);
  if (configuration.Contains(options::kTaskManagerManagedMemory)) {
    ASSIGN_OR_RETURN(out.managed_memory_bytes,
                     configuration.GetMemorySize(options::kTaskManagerManagedMemory));
  } else {
    ASSIGN_OR_RETURN(const uint64_t process,
                     configuration.GetMemorySize(options::kTaskManagerProcessMemory));
    ASSIGN_OR_RETURN(const double fraction,
                     configuration.GetDouble(options::kTaskManagerManagedFraction));
    if (!(fraction >= 0 && fraction < 1)) {
      return InvalidArgument("{} must be at least 0 and below 1, not {}",
                             options::kTaskManagerManagedFraction.key, fraction);
    }
    out.managed_memory_bytes = static_cast<uint64_t>(static_cast<double>(process) * fraction);
  }
  ASSIGN_OR_RETURN(out.data_port, GetPort(configuration, options::kTaskManagerDataPort));
  out.tmp_directories = ParseTmpDirectories(configuration.GetString(options::kTmpDirectories));
  ASSIGN_OR_RETURN(out.heartbeat_interval, configuration.GetDuration(options::kHeartbeatInterval));
  ASSIGN_OR_RETURN(out.heartbeat_timeout, configuration.GetDuration(options::kHeartbeatTimeout));
  if (out.heartbeat_interval.count() <= 0 || out.heartbeat_timeout <= out.heartbeat_interval) {
    return InvalidArgument("{} ({} ms) must be larger than {} ({} ms), and both above zero",
                           options::kHeartbeatTimeout.key, out.heartbeat_timeout.count(),
                           options::kHeartbeatInterval.key, out.heartbeat_interval.count());
  }
  return out;
}

StatusOr<std::unique_ptr<TaskManager>> TaskManager::Start(TaskManagerOptions options,
                                                          std::function<void()> on_registered) {
  if (options.id.empty()) options.id = NewId(options.host);
  if (options.executor_path.empty()) {
    ASSIGN_OR_RETURN(const std::string binaries, OwnBinaryDirectory());
    options.executor_path = io::JoinPath(binaries, "task-executor");
  }
  if (access(options.executor_path.c_str(), X_OK) != 0) {
    return NotFound("there is no executable {}; it must lie beside the taskmanager binary",
                    options.executor_path);
  }
  std::unique_ptr<TaskManager> self(new TaskManager(std::move(options)));
  ASSIGN_OR_RETURN(LocalDirectories directories,
                   LocalDirectories::Create(self->options_.tmp_directories));
  self->directories_ = std::make_unique<LocalDirectories>(std::move(directories));
  self->on_registered_ = std::move(on_registered);
  self->channel_ = CreateChannel(self->options_.configuration, self->options_.job_manager_host,
                                 self->options_.job_manager_port);
  self->workers_ = std::make_unique<WorkerPool>("tm-io", kWorkers);
  self->main_ = std::make_shared<MailboxThread>("taskmanager");
  self->artifacts_ = std::make_unique<ArtifactCache>(self->directories_->ArtifactDirectory(),
                                                     &self->main_->mailbox(), self->workers_.get());
  self->main_->Post([p = self.get()] {
    LOG_INFO("TaskManager {} with {} slots registers at the JobManager {}", p->options_.id,
             p->options_.slots, p->JobManagerName());
    p->waiting_since_ = steady_clock::now();
    p->Connect();
    p->ScheduleTick();
  });
  return self;
}

TaskManager::~TaskManager() {
  if (main_ == nullptr) return;
  artifacts_->Cancel();
  std::promise<void> empty;
  main_->Post([this, &empty] {
    on_empty_ = [&empty] { empty.set_value(); };
    Shutdown();
  });
  empty.get_future().wait();
  workers_->Shutdown();
  main_->CloseAndJoin();
}

void TaskManager::Shutdown() {
  shutting_down_ = true;
  KillAllExecutors();
  if (connection_ != nullptr) connection_->Abort();
  if (executors_.empty() && connection_ == nullptr && on_empty_ != nullptr) {
    std::exchange(on_empty_, nullptr)();
  }
}

std::string TaskManager::JobManagerName() const {
  return fmt::format("{}:{}", options_.job_manager_host, options_.job_manager_port);
}

// ---- The line to the JobManager ----

void TaskManager::Connect() {
  if (shutting_down_ || connection_ != nullptr) return;
  const uint64_t number = ++connection_number_;
  last_heard_ = steady_clock::now();
  JobManagerConnection::Callbacks callbacks;
  callbacks.on_message = [this, main = main_, number](JobManagerMessage message) {
    main->Post([this, number, mail = std::move(message)]() mutable {
      if (number == connection_number_ && connection_ != nullptr) {
        OnMessage(connection_, std::move(mail));
      }
    });
  };
  callbacks.on_end = [this, main = main_, number](const Status& status) {
    main->Post([this, number, status] { OnConnectionEnd(number, status); });
  };
  connection_ = JobManagerConnection::Open(channel_, std::move(callbacks));
  TaskManagerMessage message;
  auto* registration = message.mutable_register_task_manager();
  registration->set_task_manager_id(options_.id);
  registration->set_host(options_.host);
  registration->set_slots(options_.slots);
  registration->set_process_id(getpid());
  registration->set_managed_memory_bytes(options_.managed_memory_bytes);
  registration->set_physical_memory_bytes(PhysicalMemoryBytes());
  registration->set_cpu_cores(static_cast<int>(std::thread::hardware_concurrency()));
  registration->set_data_port(options_.data_port);
  registration->set_version(FLINK_VERSION);
  connection_->Send(std::move(message));
}

void TaskManager::OnMessage(const std::shared_ptr<JobManagerConnection>& from,
                            JobManagerMessage message) {
  last_heard_ = steady_clock::now();
  switch (message.message_case()) {
    case JobManagerMessage::kAccepted:
      OnAccepted(message.accepted());
      break;
    case JobManagerMessage::kRefused:
      LOG_ERROR("The JobManager {} refused this TaskManager: {}; trying again in {} s",
                JobManagerName(), message.refused().reason(), kRefusedDelay.count() / 1000);
      reconnect_delay_ = kRefusedDelay;
      from->Abort();
      break;
    case JobManagerMessage::kStartExecutor:
      StartExecutor(std::move(*message.mutable_start_executor()));
      break;
    case JobManagerMessage::kStopExecutor: {
      const auto& stop = message.stop_executor();
      StopExecutors(stop.job_id(), stop.attempt(), milliseconds(stop.grace_ms()));
      break;
    }
    case JobManagerMessage::kExecutor:
      SendCommand(message.executor());
      break;
    case JobManagerMessage::kHeartbeat:
    case JobManagerMessage::MESSAGE_NOT_SET:
      break;
  }
}

void TaskManager::OnAccepted(const RegistrationAccepted& accepted) {
  if (accepted.heartbeat_interval_ms() > 0 && accepted.heartbeat_timeout_ms() > 0) {
    options_.heartbeat_interval = milliseconds(accepted.heartbeat_interval_ms());
    options_.heartbeat_timeout = milliseconds(accepted.heartbeat_timeout_ms());
    ScheduleTick();
  }
  // The JobManager takes them for lost and may start their successors at any moment.
  if (!executors_.empty()) {
    LOG_WARN("Killing {} task executors of the earlier session", executors_.size());
  }
  KillAllExecutors();
  registered_ = true;
  waiting_logged_ = false;
  reconnect_delay_ = milliseconds(0);
  LOG_INFO("Registered at the JobManager {} (session {})", JobManagerName(),
           accepted.leader_session_id());
  if (on_registered_ != nullptr) on_registered_();
}

void TaskManager::OnConnectionEnd(uint64_t connection_number, const Status& status) {
  if (connection_number != connection_number_) return;
  connection_ = nullptr;
  if (shutting_down_) {
    Shutdown();
    return;
  }
  const Time now = steady_clock::now();
  if (std::exchange(registered_, false)) {
    lost_at_ = now;
    waiting_since_ = now;
    LOG_WARN("Lost the JobManager {}: {}; {} task executors are kept for at most {} ms",
             JobManagerName(), status.ok() ? "it closed the connection" : Message(status),
             executors_.size(), options_.heartbeat_timeout.count());
  }
  const milliseconds delay = std::max(reconnect_delay_, kFirstReconnectDelay);
  reconnect_delay_ = std::min(kMaxReconnectDelay, delay * 2);
  main_->mailbox().PostAfter(delay, [this] { Connect(); });
}

void TaskManager::ScheduleTick() {
  const milliseconds period =
      std::min({options_.heartbeat_interval, options_.heartbeat_timeout / 4, kFirstWarningAfter});
  main_->mailbox().CancelTimer(tick_timer_);
  tick_timer_ = main_->mailbox().PostAfter(std::max(period, milliseconds(1)), [this] { Tick(); });
}

void TaskManager::Tick() {
  if (shutting_down_) return;
  const Time now = steady_clock::now();
  if (connection_ != nullptr && now - last_heard_ > options_.heartbeat_timeout) {
    if (registered_) {
      LOG_WARN("No heartbeat from the JobManager {} for {} ms", JobManagerName(),
               options_.heartbeat_timeout.count());
      KillAllExecutors();
    }
    last_heard_ = now;
    connection_->Abort();
  } else if (registered_ && connection_ != nullptr) {
    TaskManagerMessage message;
    message.mutable_heartbeat()->set_sequence(++heartbeats_);
    connection_->Send(std::move(message));
  }
  if (!registered_) {
    if (now - lost_at_ > options_.heartbeat_timeout && !executors_.empty()) {
      LOG_WARN("No JobManager for {} ms: killing {} task executors",
               options_.heartbeat_timeout.count(), executors_.size());
      KillAllExecutors();
    }
    WarnOfWaiting(now);
  }
  ScheduleTick();
}

void TaskManager::WarnOfWaiting(Time now) {
  if (now - waiting_since_ < kFirstWarningAfter) return;
  if (waiting_logged_ && now - last_warning_ < kWarningInterval) return;
  waiting_logged_ = true;
  last_warning_ = now;
  LOG_WARN("Still waiting for the JobManager at {} ({} and {} say where it is)", JobManagerName(),
           options::kJobManagerAddress.key, options::kJobManagerPort.key);
}

}  // namespace flink::taskmanager
