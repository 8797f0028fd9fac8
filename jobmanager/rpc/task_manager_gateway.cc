#include "jobmanager/rpc/task_manager_gateway.h"

#include <grpcpp/grpcpp.h>

#include <algorithm>
#include <map>
#include <mutex>
#include <random>
#include <set>
#include <utility>
#include <vector>

#include "common/base/logging.h"
#include "common/config/options.h"
#include "flink/pb/cluster/v1/cluster.grpc.pb.h"
#include "jobmanager/rpc/artifact_stream.h"
#include "jobmanager/rpc/task_manager_session.h"
#include "rpc/channel_factory.h"

namespace flink::jobmanager {

using pb::cluster::v1::ArtifactChunk;
using pb::cluster::v1::FetchArtifactRequest;
using pb::cluster::v1::JobManagerGateway;
using pb::cluster::v1::JobManagerMessage;
using pb::cluster::v1::RegisterTaskManager;
using pb::cluster::v1::TaskManagerMessage;

namespace {

using Session = std::shared_ptr<TaskManagerSession>;

/// How long last messages may take to get out.
constexpr std::chrono::milliseconds kShutdownGrace{500};

TaskManagerInfo InfoOf(const RegisterTaskManager& request) {
  TaskManagerInfo info;
  info.id = request.task_manager_id();
  info.host = request.host();
  info.slots = request.slots();
  info.process_id = request.process_id();
  info.managed_memory_bytes = request.managed_memory_bytes();
  info.physical_memory_bytes = request.physical_memory_bytes();
  info.cpu_cores = request.cpu_cores();
  info.data_port = request.data_port();
  info.version = request.version();
  return info;
}

std::string RandomId() {
  std::random_device random;
  std::string id;
  for (int i = 0; i < 4; ++i) id += fmt::format("{:08x}", random());
  return id;
}

}  // namespace

StatusOr<TaskManagerGatewayOptions> TaskManagerGatewayOptions::FromConfiguration(
    const Configuration& configuration) {
  TaskManagerGatewayOptions out;
  out.configuration = configuration;
  out.bind_host = configuration.GetString(options::kJobManagerBindHost);
  ASSIGN_OR_RETURN(const int64_t port, configuration.GetInt(options::kJobManagerPort));
  if (port < 0 || port > 65535) {
    return InvalidArgument("{} is not a port: {}", options::kJobManagerPort.key, port);
  }
  out.port = static_cast<int>(port);
  ASSIGN_OR_RETURN(out.heartbeat_interval, configuration.GetDuration(options::kHeartbeatInterval));
  ASSIGN_OR_RETURN(out.heartbeat_timeout, configuration.GetDuration(options::kHeartbeatTimeout));
  if (out.heartbeat_interval.count() <= 0 || out.heartbeat_timeout <= out.heartbeat_interval) {
    return InvalidArgument("{} ({} ms) must be larger than {} ({} ms), and both above zero",
                           options::kHeartbeatTimeout.key, out.heartbeat_timeout.count(),
                           options::kHeartbeatInterval.key, out.heartbeat_interval.count());
  }
  return out;
}

/// The sessions. `sessions_` is what the streams know; `visible_` is what the listener knows, which
/// lags behind by the mails in its mailbox. Send uses the latter, so a command meant for a lost
/// session never reaches its successor.
class TaskManagerGateway::State : public TaskManagerSessionOwner,
                                  public std::enable_shared_from_this<State> {
 public:
  State(TaskManagerGatewayOptions gateway_options, Mailbox* mailbox, TaskManagerListener* listener,
        ArtifactProvider artifacts)
      : options(std::move(gateway_options)),
        artifacts_(std::move(artifacts)),
        mailbox_(mailbox),
        listener_(listener) {}

  void Accept(grpc::CallbackServerContext* context, Session* session) {
    *session = TaskManagerSession::Start(shared_from_this(), context,
                                         {options.max_queued_bytes, options.max_unhandled_bytes});
    std::lock_guard lock(mutex_);
    if (closed_) (*session)->Abort();
    connections_.insert(*session);
  }

  void OnRegister(const Session& session, const RegisterTaskManager& request) override;
  void OnSessionMessage(const Session& session, TaskManagerMessage message,
                        uint64_t bytes) override;
  void OnSessionEnd(const Session& session, const std::string& reason) override;

  Session Visible(const std::string& id) {
    std::lock_guard lock(mutex_);
    const auto found = visible_.find(id);
    return found == visible_.end() ? nullptr : found->second;
  }

  StatusOr<std::string> ArtifactPath(const std::string& digest) {
    if (artifacts_ == nullptr) return NotFound("no job library with digest {}", digest);
    return artifacts_(digest);
  }

  void StartHeartbeats() {
    timer_.mailbox().PostAfter(Tick(), [this] { Beat(); });
  }

  /// From here on the listener hears nothing; sessions end when their queues are empty.
  void Close() {
    std::set<Session> connections;
    {
      std::lock_guard lock(mutex_);
      closed_ = true;
      connections = connections_;
      sessions_.clear();
      visible_.clear();
    }
    timer_.CloseAndJoin();
    for (const Session& session : connections) session->FinishSoon();
  }

  TaskManagerGatewayOptions options;
  int port = 0;

 private:
  std::chrono::milliseconds Tick() const {
    return std::max(std::chrono::milliseconds(1),
                    std::min(options.heartbeat_interval, options.heartbeat_timeout / 4));
  }
  void Beat();
  /// Takes the session out of sessions_ and posts OnLost. Needs mutex_.
  void Lose(const Session& session, const std::string& reason);
  bool closed() {
    std::lock_guard lock(mutex_);
    return closed_;
  }

  const ArtifactProvider artifacts_;
  Mailbox* const mailbox_;
  TaskManagerListener* const listener_;

  std::mutex mutex_;  // held while posting, so that mails stand in the order of events
  bool closed_ = false;
  std::set<Session> connections_;            // every stream that is not over
  std::map<std::string, Session> sessions_;  // registered and not ended, by id
  std::map<std::string, Session> visible_;
  int64_t heartbeats_ = 0;
  MailboxThread timer_{"tm-heartbeats"};
};

void TaskManagerGateway::State::OnRegister(const Session& session,
                                           const RegisterTaskManager& request) {
  JobManagerMessage answer;
  std::lock_guard lock(mutex_);
  if (closed_) return;
  std::string problem;
  if (request.task_manager_id().empty()) problem = "the registration names no TaskManager id";
  if (request.slots() <= 0) problem = "the registration offers no slots";
  if (!session->task_manager_id.empty()) problem = "this connection has been registered before";
  if (!problem.empty()) {
    LOG_WARN("Refused TaskManager \"{}\": {}", request.task_manager_id(), problem);
    answer.mutable_refused()->set_reason(problem);
    session->Send(std::move(answer));
    session->FinishSoon();
    return;
  }
  const TaskManagerInfo info = InfoOf(request);
  const auto previous = sessions_.find(info.id);
  if (previous != sessions_.end()) {
    const Session old = previous->second;
    Lose(old, "it has connected again");
    old->Abort();
  }
  session->task_manager_id = info.id;
  sessions_[info.id] = session;
  auto* accepted = answer.mutable_accepted();
  accepted->set_leader_session_id(options.leader_session_id);
  accepted->set_heartbeat_interval_ms(options.heartbeat_interval.count());
  accepted->set_heartbeat_timeout_ms(options.heartbeat_timeout.count());
  session->Send(std::move(answer));
  LOG_INFO("TaskManager {} registered with {} slots, {} MiB of managed memory", info.id, info.slots,
           info.managed_memory_bytes >> 20);
  mailbox_->Post([self = shared_from_this(), session, info] {
    {
      std::lock_guard inner(self->mutex_);
      if (self->closed_) return;
      self->visible_[info.id] = session;
    }
    self->listener_->OnRegistered(info);
  });
}

void TaskManagerGateway::State::OnSessionMessage(const Session& session, TaskManagerMessage message,
                                                 uint64_t bytes) {
  std::lock_guard lock(mutex_);
  const auto current = sessions_.find(session->task_manager_id);
  if (current == sessions_.end() || current->second != session) {
    session->Handled(bytes);
    return;
  }
  mailbox_->Post([self = shared_from_this(), session, bytes, id = session->task_manager_id,
                  mail = std::move(message)]() mutable {
    if (!self->closed()) self->listener_->OnMessage(id, std::move(mail));
    session->Handled(bytes);
  });
}

void TaskManagerGateway::State::OnSessionEnd(const Session& session, const std::string& reason) {
  std::lock_guard lock(mutex_);
  connections_.erase(session);
  Lose(session, reason);
}

void TaskManagerGateway::State::Lose(const Session& session, const std::string& reason) {
  const auto current = sessions_.find(session->task_manager_id);
  if (current == sessions_.end() || current->second != session) return;
  sessions_.erase(current);
  const std::string id = session->task_manager_id;
  const std::string sentence = fmt::format("TaskManager {} is lost: {}", id, reason);
  LOG_WARN("{}", sentence);
  mailbox_->Post([self = shared_from_this(), id, sentence] {
    {
      std::lock_guard inner(self->mutex_);
      if (self->closed_) return;
      self->visible_.erase(id);
    }
    self->listener_->OnLost(id, sentence);
  });
}

void TaskManagerGateway::State::Beat() {
  std::vector<Session> alive;
  std::vector<Session> silent;
  int64_t sequence;
  {
    std::lock_guard lock(mutex_);
    if (closed_) return;
    sequence = ++heartbeats_;
    const auto oldest = TaskManagerSession::Clock::now() - options.heartbeat_timeout;
    for (const Session& session : connections_) {
      if (session->LastHeard() < oldest) {
        silent.push_back(session);
      } else if (!session->task_manager_id.empty()) {
        alive.push_back(session);
      }
    }
  }
  for (const Session& session : silent) {
    OnSessionEnd(session, fmt::format("no heartbeat for {} ms", options.heartbeat_timeout.count()));
    session->Abort();
  }
  for (const Session& session : alive) {
    JobManagerMessage message;
    message.mutable_heartbeat()->set_sequence(sequence);
    session->Send(std::move(message));
  }
  StartHeartbeats();
}

class TaskManagerGateway::Service : public JobManagerGateway::CallbackService {
 public:
  explicit Service(std::shared_ptr<State> state) : state_(std::move(state)) {}

  grpc::ServerBidiReactor<TaskManagerMessage, JobManagerMessage>* Connect(
      grpc::CallbackServerContext* context) override {
    Session session;
    state_->Accept(context, &session);
    return session.get();  // keeps itself alive
  }

  grpc::ServerWriteReactor<ArtifactChunk>* FetchArtifact(
      grpc::CallbackServerContext* /*context*/, const FetchArtifactRequest* request) override {
    return new ArtifactStream(state_->ArtifactPath(request->digest()));
  }

  std::unique_ptr<grpc::Server> server;

 private:
  const std::shared_ptr<State> state_;
};

StatusOr<std::unique_ptr<TaskManagerGateway>> TaskManagerGateway::Start(
    TaskManagerGatewayOptions options, Mailbox* mailbox, TaskManagerListener* listener,
    ArtifactProvider artifacts) {
  if (options.leader_session_id.empty()) options.leader_session_id = RandomId();
  std::unique_ptr<TaskManagerGateway> gateway(new TaskManagerGateway(
      std::make_shared<State>(std::move(options), mailbox, listener, std::move(artifacts))));
  State& state = *gateway->state_;
  gateway->service_ = std::make_unique<Service>(gateway->state_);
  auto server = StartServer(state.options.configuration, state.options.bind_host,
                            state.options.port, gateway->service_.get(), &state.port);
  if (!server.ok()) {
    return Unavailable(
        "the JobManager cannot serve TaskManagers: {}; set {} and {} to a free address",
        Message(server.status()), options::kJobManagerPort.key, options::kJobManagerBindHost.key);
  }
  gateway->service_->server = std::move(server).value();
  state.StartHeartbeats();
  return gateway;
}

TaskManagerGateway::TaskManagerGateway(std::shared_ptr<State> state) : state_(std::move(state)) {}

TaskManagerGateway::~TaskManagerGateway() { Shutdown(); }

bool TaskManagerGateway::Send(const std::string& task_manager_id, JobManagerMessage message) {
  const Session session = state_->Visible(task_manager_id);
  return session != nullptr && session->Send(std::move(message));
}

void TaskManagerGateway::Disconnect(const std::string& task_manager_id, const std::string& reason) {
  const Session session = state_->Visible(task_manager_id);
  if (session == nullptr) return;
  state_->OnSessionEnd(session, reason);
  session->Abort();
}

int TaskManagerGateway::port() const { return state_->port; }

const std::string& TaskManagerGateway::leader_session_id() const {
  return state_->options.leader_session_id;
}

void TaskManagerGateway::Shutdown() {
  if (service_ == nullptr) return;
  state_->Close();
  if (service_->server != nullptr) {
    service_->server->Shutdown(std::chrono::system_clock::now() + kShutdownGrace);
  }
  service_.reset();
}

}  // namespace flink::jobmanager
