#include "rpc/channel_factory.h"

#include <arpa/inet.h>
#include <grpc/support/log.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <mutex>

#include "common/base/logging.h"

namespace flink {
namespace {

/// gRPC prints to stderr in its own format; a refused connection is several lines there, none of
/// them an error, and is reported by us anyway. An error may be all that is heard of an assertion
/// that ends the process.
void LogGrpc(gpr_log_func_args* args) {
  const char* message = args->message == nullptr ? "" : args->message;
  if (args->severity == GPR_LOG_SEVERITY_ERROR) {
    LOG_ERROR("grpc: {} ({}:{})", message, args->file, args->line);
  } else {
    LOG_DEBUG("grpc: {}", message);
  }
}

void RouteGrpcLog() {
  static std::once_flag once;
  std::call_once(once, [] { gpr_set_log_function(&LogGrpc); });
}

std::string HostPort(const std::string& host, int port) {
  const bool ipv6 = host.find(':') != std::string::npos && host.front() != '[';
  return ipv6 ? fmt::format("[{}]:{}", host, port) : fmt::format("{}:{}", host, port);
}

/// The operating system's reason why bind_host:port cannot be listened on; empty when it can. gRPC
/// tells none.
std::string BindProblem(const std::string& host, int port) {
  addrinfo hints{};
  hints.ai_flags = AI_PASSIVE;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int error = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &found);
  if (error != 0) return gai_strerror(error);
  std::string problem;
  for (const addrinfo* a = found; a != nullptr && problem.empty(); a = a->ai_next) {
    const int fd = socket(a->ai_family, a->ai_socktype | SOCK_CLOEXEC, a->ai_protocol);
    if (fd < 0) continue;
    const int on = 1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, a->ai_addr, a->ai_addrlen) != 0 || listen(fd, 1) != 0) problem = strerror(errno);
    close(fd);
  }
  freeaddrinfo(found);
  return problem;
}

std::shared_ptr<grpc::ChannelCredentials> ClientCredentials(
    const Configuration& /*configuration*/) {
  return grpc::InsecureChannelCredentials();
}

std::shared_ptr<grpc::ServerCredentials> ListenerCredentials(
    const Configuration& /*configuration*/) {
  return grpc::InsecureServerCredentials();
}

}  // namespace

std::shared_ptr<grpc::Channel> CreateChannel(const Configuration& configuration,
                                             const std::string& host, int port) {
  RouteGrpcLog();
  grpc::ChannelArguments arguments;
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 20);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 20);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 500);
  arguments.SetInt(GRPC_ARG_DNS_MIN_TIME_BETWEEN_RESOLUTIONS_MS, 100);
  // Channels to the same address must not share a connection: each has a life of its own.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetMaxReceiveMessageSize(kMaxRpcMessageBytes);
  arguments.SetMaxSendMessageSize(kMaxRpcMessageBytes);
  return grpc::CreateCustomChannel(HostPort(host, port), ClientCredentials(configuration),
                                   arguments);
}

StatusOr<std::unique_ptr<grpc::Server>> StartServer(const Configuration& configuration,
                                                    const std::string& bind_host, int port,
                                                    grpc::Service* service, int* bound_port) {
  RouteGrpcLog();
  // "localhost" may stand for two addresses, of which gRPC would be content with one.
  const std::string host = bind_host == "localhost" ? "127.0.0.1" : bind_host;
  const std::string problem = BindProblem(host, port);
  if (!problem.empty()) {
    return Unavailable("cannot listen on {}: {}", HostPort(bind_host, port), problem);
  }
  grpc::ServerBuilder builder;
  // Otherwise a second process on the same port would start and take half of the connections.
  builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
  builder.SetMaxReceiveMessageSize(kMaxRpcMessageBytes);
  builder.SetMaxSendMessageSize(kMaxRpcMessageBytes);
  *bound_port = 0;
  builder.AddListeningPort(HostPort(host, port), ListenerCredentials(configuration), bound_port);
  builder.RegisterService(service);
  std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  if (server == nullptr || *bound_port == 0) {
    return Unavailable("cannot listen on {}: the port is in use", HostPort(bind_host, port));
  }
  return server;
}

Status FromGrpc(const grpc::Status& status) {
  if (status.ok()) return OkStatus();
  return MakeStatus(static_cast<absl::StatusCode>(status.error_code()), "{}",
                    status.error_message());
}

grpc::Status ToGrpc(const Status& status) {
  if (status.ok()) return grpc::Status::OK;
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), Message(status));
}

}  // namespace flink
