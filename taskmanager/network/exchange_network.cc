#include "taskmanager/network/exchange_network.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <unistd.h>

#include <chrono>
#include <condition_variable>
#include <map>
#include <mutex>
#include <thread>
#include <unordered_map>
#include <vector>

#include "common/base/logging.h"
#include "common/concurrency/mailbox.h"
#include "taskmanager/network/connection.h"
#include "taskmanager/network/remote_channel.h"

namespace flink::taskmanager {
namespace {

constexpr std::string_view kUnixPrefix = "unix:";
constexpr size_t kMaxUnixPath = 104;
constexpr auto kFinishTimeout = std::chrono::seconds(1);

bool IsLoopback(const std::string& host) {
  return host.empty() || host == "localhost" || host == "::1" || host.rfind("127.", 0) == 0;
}

struct HostAndPort {
  std::string host;
  std::string port;
};
StatusOr<HostAndPort> ParseHostAndPort(const std::string& address) {
  const size_t colon = address.rfind(':');
  if (colon == std::string::npos || colon + 1 == address.size()) {
    return InvalidArgument("bad data address of a task executor: \"{}\"", address);
  }
  return HostAndPort{address.substr(0, colon), address.substr(colon + 1)};
}

}  // namespace

// Everything but the members before Start belongs to the I/O thread once that runs.
class ExchangeNetwork::Io final : public Connection::Handler {
 public:
  Io(Options options, std::function<void(Status)> on_lost)
      : options_(std::move(options)),
        on_lost_(std::move(on_lost)),
        io_(std::make_shared<asio::io_context>(1)),
        work_(asio::make_work_guard(*io_)),
        acceptor_(*io_),
        resolver_(*io_) {}
  ~Io() override { Shutdown(); }

  StatusOr<std::string> Listen();
  void RegisterInput(uint64_t id, std::shared_ptr<InputGate> gate, int channel);
  std::unique_ptr<OutputChannel> MakeOutput(const std::string& executor_id,
                                            const std::string& address, uint64_t id,
                                            std::shared_ptr<OutputCredit> credit);
  void Start();
  void ExpectEnd() {
    asio::post(*io_, [this] { ending_ = true; });
  }
  void Finish();
  void Shutdown();

  Status OnFrame(Connection& connection, const FrameHeader& header, FrameBytes payload) override;
  void OnReadTurnOver() override;
  void OnClosed(Connection& connection, const Status& reason) override;

 private:
  struct Input {
    std::shared_ptr<InputGate> gate;
    int channel = 0;
    std::shared_ptr<RemoteCreditReturn> credit;
    const Connection* connection = nullptr;  // that brought the first element
    uint32_t next_sequence = 0;
  };
  struct Peer {
    std::string address;
    std::shared_ptr<Connection> connection;
  };

  StatusOr<std::string> ListenUnix();
  StatusOr<std::string> ListenTcp();
  void Accept();
  void Connect(const Peer& peer);
  void OnConnected(const std::shared_ptr<Connection>& connection, const std::error_code& error);
  Status OnHello(Connection& connection, std::string_view payload);
  Status OnElement(Connection& connection, const FrameHeader& header, FrameBytes payload);
  void Welcome(Connection& connection);

  const Options options_;
  const std::function<void(Status)> on_lost_;
  const std::shared_ptr<asio::io_context> io_;
  asio::executor_work_guard<asio::io_context::executor_type> work_;
  asio::basic_socket_acceptor<asio::generic::stream_protocol> acceptor_;
  asio::ip::tcp::resolver resolver_;
  std::string socket_file_;
  std::unordered_map<uint64_t, Input> inputs_;
  std::unordered_map<uint64_t, std::shared_ptr<OutputCredit>> outputs_;
  std::vector<std::shared_ptr<InputGate>> to_announce_;  // fed in this turn of reading
  std::map<std::string, Peer> peers_;                    // by executor id; those we send to
  std::vector<std::shared_ptr<Connection>> accepted_;
  bool started_ = false;
  bool ending_ = false;

  std::mutex mutex_;
  std::condition_variable closed_;
  int open_connections_ = 0;  // guarded by mutex_
  std::thread thread_;
};

StatusOr<std::string> ExchangeNetwork::Io::Listen() {
  StatusOr<std::string> address = std::string();
  const std::string path = options_.work_directory + "/data.sock";
  if (IsLoopback(options_.public_address) && path.size() <= kMaxUnixPath) {
    address = ListenUnix();
  } else {
    address = ListenTcp();
  }
  RETURN_IF_ERROR(address.status());
  thread_ = std::thread([this] {
    SetCurrentThreadName("exchange-io");
    io_->run();
  });
  asio::post(*io_, [this] { Accept(); });
  return address;
}

StatusOr<std::string> ExchangeNetwork::Io::ListenUnix() {
  socket_file_ = options_.work_directory + "/data.sock";
  ::unlink(socket_file_.c_str());
  std::error_code error;
  const asio::local::stream_protocol::endpoint endpoint(socket_file_);
  acceptor_.open(asio::generic::stream_protocol(AF_UNIX, 0), error);
  if (!error) acceptor_.bind(endpoint, error);
  if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
  if (error)
    return Unavailable("cannot listen for records on {}: {}", socket_file_, error.message());
  return std::string(kUnixPrefix) + socket_file_;
}

StatusOr<std::string> ExchangeNetwork::Io::ListenTcp() {
  std::error_code error;
  const std::string host = options_.bind_address.empty() ? "0.0.0.0" : options_.bind_address;
  const auto found = resolver_.resolve(host, "0", asio::ip::tcp::resolver::passive, error);
  if (error || found.empty()) {
    return Unavailable("cannot resolve the address to listen on for records, {}: {}", host,
                       error.message());
  }
  const asio::ip::tcp::endpoint endpoint = found.begin()->endpoint();
  acceptor_.open(asio::generic::stream_protocol(endpoint.protocol().family(), IPPROTO_TCP), error);
  if (!error) acceptor_.bind(endpoint, error);
  if (!error) acceptor_.listen(asio::socket_base::max_listen_connections, error);
  if (error) return Unavailable("cannot listen for records on {}: {}", host, error.message());
  const auto bound = acceptor_.local_endpoint(error);
  if (error) return Unavailable("cannot listen for records on {}: {}", host, error.message());
  asio::ip::tcp::endpoint tcp;
  std::memcpy(tcp.data(), bound.data(), bound.size());
  tcp.resize(bound.size());
  const std::string& public_host = options_.public_address.empty() ? host : options_.public_address;
  return fmt::format("{}:{}", public_host, tcp.port());
}

void ExchangeNetwork::Io::RegisterInput(uint64_t id, std::shared_ptr<InputGate> gate, int channel) {
  Input input;
  input.credit = std::make_shared<RemoteCreditReturn>(id);
  gate->SetCreditReturn(channel, input.credit);
  input.gate = std::move(gate);
  input.channel = channel;
  inputs_.emplace(id, std::move(input));
}

std::unique_ptr<OutputChannel> ExchangeNetwork::Io::MakeOutput(
    const std::string& executor_id, const std::string& address, uint64_t id,
    std::shared_ptr<OutputCredit> credit) {
  Peer& peer = peers_[executor_id];
  if (peer.connection == nullptr) {
    peer.address = address;
    peer.connection = std::make_shared<Connection>(io_, *this, executor_id);
  }
  outputs_.emplace(id, credit);
  return std::make_unique<RemoteOutputChannel>(peer.connection, id, std::move(credit));
}

void ExchangeNetwork::Io::Start() {
  asio::post(*io_, [this] {
    started_ = true;
    for (const auto& [id, peer] : peers_) Connect(peer);
    for (const auto& connection : accepted_) {
      if (!connection->ended() && !connection->peer_id().empty()) Welcome(*connection);
    }
  });
}

void ExchangeNetwork::Io::Accept() {
  auto connection = std::make_shared<Connection>(io_, *this, "");
  acceptor_.async_accept(connection->socket(), [this, connection](const std::error_code& error) {
    if (error) {
      if (error != asio::error::operation_aborted) {
        on_lost_(
            Unavailable("cannot accept connections of other task executors: {}", error.message()));
      }
      return;
    }
    // Accepted before the acceptor was closed, told after it.
    if (!acceptor_.is_open()) return;
    {
      std::lock_guard lock(mutex_);
      ++open_connections_;
    }
    accepted_.push_back(connection);
    connection->Start();
    Accept();
  });
}

void ExchangeNetwork::Io::Connect(const Peer& peer) {
  const std::shared_ptr<Connection> connection = peer.connection;
  {
    std::lock_guard lock(mutex_);
    ++open_connections_;
  }
  auto connected = [this, connection](const std::error_code& error) {
    OnConnected(connection, error);
  };
  if (peer.address.rfind(kUnixPrefix, 0) == 0) {
    const std::string path = peer.address.substr(kUnixPrefix.size());
    if (path.size() > kMaxUnixPath) {
      return connection->Fail(InvalidArgument("socket path too long: {}", path));
    }
    connection->socket().async_connect(asio::local::stream_protocol::endpoint(path), connected);
    return;
  }
  const StatusOr<HostAndPort> parsed = ParseHostAndPort(peer.address);
  if (!parsed.ok()) return connection->Fail(parsed.status());
  resolver_.async_resolve(
      parsed->host, parsed->port,
      [connection, connected](const std::error_code& error,
                              const asio::ip::tcp::resolver::results_type& found) {
        if (connection->ended()) return;
        if (error || found.empty()) return connected(error ? error : asio::error::host_not_found);
        connection->socket().async_connect(found.begin()->endpoint(), connected);
      });
}

void ExchangeNetwork::Io::OnConnected(const std::shared_ptr<Connection>& connection,
                                      const std::error_code& error) {
  if (connection->ended()) return;
  if (error) return connection->Fail(Unavailable("cannot connect: {}", error.message()));
  const int one = 1;  // Fails on a unix socket, which does not delay anyway.
  ::setsockopt(connection->socket().native_handle(), IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  connection->Start();
  BufferWriter hello;
  BeginFrame(hello);
  EncodeHello(options_.self, hello);
  FrameHeader header;
  header.type = FrameType::kHello;
  if (Status status = FinishFrame(header, hello); !status.ok()) return connection->Fail(status);
  connection->SendNow(hello);
}

Status ExchangeNetwork::Io::OnFrame(Connection& connection, const FrameHeader& header,
                                    FrameBytes payload) {
  switch (header.type) {
    case FrameType::kHello:
      return OnHello(connection, payload.view());
    case FrameType::kWelcome:
      connection.AllowWriting();
      return OkStatus();
    case FrameType::kCredit: {
      const auto found = outputs_.find(header.channel);
      if (found == outputs_.end()) return DataLoss("credit for unknown channel {}", header.channel);
      found->second->Return(header.value);
      return OkStatus();
    }
    default:
      return OnElement(connection, header, std::move(payload));
  }
}

void ExchangeNetwork::Io::OnReadTurnOver() {
  for (const auto& gate : to_announce_) gate->Announce();
  to_announce_.clear();
}

Status ExchangeNetwork::Io::OnHello(Connection& connection, std::string_view payload) {
  ASSIGN_OR_RETURN(const Hello hello, DecodeHello(payload));
  if (hello.job_id != options_.self.job_id || hello.attempt != options_.self.attempt ||
      hello.token != options_.self.token) {
    // A stray or stale peer is no failure of ours: its id stays empty, see OnClosed.
    return FailedPrecondition("task executor {} belongs to another job or attempt",
                              hello.executor_id);
  }
  connection.set_peer_id(hello.executor_id);
  if (started_) Welcome(connection);
  return OkStatus();
}

void ExchangeNetwork::Io::Welcome(Connection& connection) {
  BufferWriter frame;
  FrameHeader header;
  header.type = FrameType::kWelcome;
  MakeControlFrame(header, frame);
  connection.SendNow(frame);
  if (!connection.ended()) connection.AllowWriting();
}

Status ExchangeNetwork::Io::OnElement(Connection& connection, const FrameHeader& header,
                                      FrameBytes payload) {
  const auto found = inputs_.find(header.channel);
  if (found == inputs_.end() || connection.peer_id().empty()) {
    return DataLoss("data for unknown channel {}", header.channel);
  }
  Input& input = found->second;
  if (input.connection == nullptr) {
    input.connection = &connection;
    input.credit->set_connection(connection.shared_from_this());
  }
  if (input.connection != &connection || header.sequence != input.next_sequence) {
    return DataLoss("channel {} continues with frame {} instead of {}", header.channel,
                    header.sequence, input.next_sequence);
  }
  ++input.next_sequence;
  ASSIGN_OR_RETURN(StreamElement element, ElementOfFrame(header, std::move(payload)));
  input.gate->Push(input.channel, std::move(element), true);
  if (std::find(to_announce_.begin(), to_announce_.end(), input.gate) == to_announce_.end()) {
    to_announce_.push_back(input.gate);
  }
  return OkStatus();
}

void ExchangeNetwork::Io::OnClosed(Connection& connection, const Status& reason) {
  {
    std::lock_guard lock(mutex_);
    --open_connections_;
    closed_.notify_all();
  }
  if (reason.ok() || ending_) return;
  if (connection.peer_id().empty()) {
    LOG_WARN("refused a connection to the record exchange: {}", Message(reason));
    return;
  }
  on_lost_(Unavailable("lost connection to task executor {}: {}", connection.peer_id(),
                       Message(reason)));
}

void ExchangeNetwork::Io::Finish() {
  if (!thread_.joinable()) return;
  asio::post(*io_, [this] {
    ending_ = true;
    for (const auto& [id, peer] : peers_) peer.connection->CloseGracefully();
    for (const auto& connection : accepted_) connection->CloseGracefully();
  });
  {
    std::unique_lock lock(mutex_);
    closed_.wait_for(lock, kFinishTimeout, [this] { return open_connections_ <= 0; });
  }
  Shutdown();
}

void ExchangeNetwork::Io::Shutdown() {
  if (!thread_.joinable()) return;
  asio::post(*io_, [this] {
    ending_ = true;
    std::error_code ignored;
    acceptor_.close(ignored);
    resolver_.cancel();
    for (const auto& [id, peer] : peers_) peer.connection->Fail(Cancelled("shut down"));
    for (const auto& connection : accepted_) connection->Fail(Cancelled("shut down"));
    work_.reset();
  });
  thread_.join();
  inputs_.clear();
  outputs_.clear();
  to_announce_.clear();
  peers_.clear();
  accepted_.clear();
  if (!socket_file_.empty()) ::unlink(socket_file_.c_str());
}

ExchangeNetwork::ExchangeNetwork(Options options, std::function<void(Status)> on_lost)
    : io_(std::make_unique<Io>(std::move(options), std::move(on_lost))) {}
ExchangeNetwork::~ExchangeNetwork() = default;
StatusOr<std::string> ExchangeNetwork::Listen() { return io_->Listen(); }
void ExchangeNetwork::RegisterInput(uint64_t channel_id, std::shared_ptr<InputGate> gate,
                                    int channel) {
  io_->RegisterInput(channel_id, std::move(gate), channel);
}
std::unique_ptr<OutputChannel> ExchangeNetwork::MakeOutput(const std::string& executor_id,
                                                           const std::string& address,
                                                           uint64_t channel_id,
                                                           std::shared_ptr<OutputCredit> credit) {
  return io_->MakeOutput(executor_id, address, channel_id, std::move(credit));
}
void ExchangeNetwork::Start() { io_->Start(); }
void ExchangeNetwork::ExpectEnd() { io_->ExpectEnd(); }
void ExchangeNetwork::Finish() { io_->Finish(); }
void ExchangeNetwork::Shutdown() { io_->Shutdown(); }

}  // namespace flink::taskmanager
