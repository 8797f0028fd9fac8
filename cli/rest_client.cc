#include "cli/rest_client.h"

#include <httplib.h>
#include <netdb.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "cli/error_text.h"
#include "cli/text_table.h"

namespace flink::cli {
namespace {

using Json = nlohmann::ordered_json;

struct Resolved {
  explicit Resolved(const std::string& host, int port) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    error = getaddrinfo(host.c_str(), std::to_string(port).c_str(), &hints, &addresses);
  }
  ~Resolved() {
    if (addresses != nullptr) freeaddrinfo(addresses);
  }
  Resolved(const Resolved&) = delete;
  Resolved& operator=(const Resolved&) = delete;

  int error = 0;  ///< Of getaddrinfo.
  addrinfo* addresses = nullptr;
};

/// 0 when somebody listens at the address, else errno.
int ConnectProblem(const addrinfo& address) {
  constexpr int kWaitMs = 1000;
  const int fd = ::socket(address.ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) return errno;
  int error = ::connect(fd, address.ai_addr, address.ai_addrlen) == 0 ? 0 : errno;
  if (error == EINPROGRESS) {
    pollfd waiting{fd, POLLOUT, 0};
    socklen_t size = sizeof(error);
    if (::poll(&waiting, 1, kWaitMs) <= 0) {
      error = ETIMEDOUT;
    } else if (::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0) {
      error = errno;
    }
  }
  ::close(fd);
  return error;
}

bool IsIpv6Loopback(const addrinfo& address) {
  if (address.ai_family != AF_INET6) return false;
  sockaddr_in6 typed{};
  std::memcpy(&typed, address.ai_addr, sizeof(typed));
  return IN6_IS_ADDR_LOOPBACK(&typed.sin6_addr);
}

/// Why a connection failed: ECONNREFUSED only when nobody listens at any address of the host.
/// Where the host cannot be reached, a JobManager may well be running.
int ConnectProblem(const std::string& host, int port) {
  const Resolved resolved(host, port);
  int worst = ECONNREFUSED;
  for (const addrinfo* a = resolved.addresses; a != nullptr; a = a->ai_next) {
    const int error = ConnectProblem(*a);
    // Without IPv6 "localhost" may still have such an address: nothing listens there. Of another
    // host that says nothing.
    const bool no_ipv6 = IsIpv6Loopback(*a) && (error == EADDRNOTAVAIL || error == EAFNOSUPPORT);
    if (error != ECONNREFUSED && !no_ipv6) worst = error;
  }
  return resolved.addresses == nullptr ? EHOSTUNREACH : worst;
}

std::string_view Describe(httplib::Error error) {
  switch (error) {
    case httplib::Error::Connection:
      return "no connection could be made";
    case httplib::Error::ConnectionTimeout:
      return "the connection timed out";
    case httplib::Error::Read:
      return "no answer came";
    case httplib::Error::Write:
      return "the request could not be sent";
    default:
      return "the connection broke";
  }
}

Status TransportError(httplib::Error error, const std::string& host, int port) {
  std::string reason(Describe(error));
  bool nobody = false;
  if (error == httplib::Error::Connection) {
    const int problem = ConnectProblem(host, port);
    nobody = problem == ECONNREFUSED;
    // 0: somebody has begun to listen meanwhile.
    if (nobody) reason = "connection refused";
    if (!nobody && problem != 0) reason = std::strerror(problem);
  }
  return MakeStatus(
      nobody ? absl::StatusCode::kUnavailable : absl::StatusCode::kDeadlineExceeded,
      "Could not connect to the JobManager at {}:{}: {}. Is a cluster running there? Start one "
      "with bin/start-cluster.sh, or name another one with -m host:port.",
      host, port, reason);
}

Status ServerError(const httplib::Response& response, const Json& body) {
  std::string text;
  for (const Json& error : body["errors"]) {
    if (!error.is_string()) continue;
    text += (text.empty() ? "" : "\n") + error.get<std::string>();
  }
  const absl::StatusCode code =
      response.status == 404 ? absl::StatusCode::kNotFound : absl::StatusCode::kInternal;
  std::string cause = CauseText(text);
  if (cause.empty()) cause = fmt::format("the JobManager answered with HTTP {}.", response.status);
  return WithDetails(MakeStatus(code, "{}", cause), text);
}

StatusOr<Json> Answer(const httplib::Result& result, const std::string& host, int port) {
  if (!result) return TransportError(result.error(), host, port);
  Json body = Json::parse(result->body, nullptr, /*allow_exceptions=*/false);
  if (body.is_object() && body.contains("errors")) return ServerError(*result, body);
  if (body.is_discarded() || result->status >= 400) {
    return Internal(
        "{}:{} answered with HTTP {} and something other than JSON: no JobManager seems to listen "
        "there. "
        "Check rest.address and rest.port, or -m.",
        host, port, result->status);
  }
  return body;
}

constexpr char kJson[] = "application/json; charset=UTF-8";

}  // namespace

RestClient::RestClient(std::string host, int port, std::chrono::milliseconds timeout)
    : host_(std::move(host)), port_(port), http_(std::make_unique<httplib::Client>(host_, port)) {
  http_->set_keep_alive(true);
  http_->set_tcp_nodelay(true);
  http_->set_connection_timeout(timeout);
  http_->set_read_timeout(timeout);
  http_->set_write_timeout(timeout);
}

RestClient::~RestClient() = default;

std::string RestClient::address() const { return host_ + ":" + std::to_string(port_); }

Status RestClient::CheckHostName() const {
  const Resolved resolved(host_, port_);
  if (resolved.error == 0) return OkStatus();
  return MakeStatus(absl::StatusCode::kDeadlineExceeded,
                    "Unknown host \"{}\" ({}). Check rest.address in conf/config.yaml, or -m.",
                    host_, gai_strerror(resolved.error));
}

StatusOr<Json> RestClient::Get(const std::string& path) {
  return Answer(http_->Get(path), host_, port_);
}

StatusOr<Json> RestClient::Post(const std::string& path, const Json& body) {
  for (const auto& [name, value] : body.items()) {
    if (!value.is_string() || IsUtf8(value.get_ref<const std::string&>())) continue;
    return InvalidArgument("\"{}\" is not UTF-8, so the JobManager cannot be told.",
                           Printable(value.get_ref<const std::string&>()));
  }
  return Answer(http_->Post(path, body.dump(), kJson), host_, port_);
}

StatusOr<Json> RestClient::Patch(const std::string& path) {
  return Answer(http_->Patch(path, "{}", kJson), host_, port_);
}

StatusOr<Json> RestClient::PostFiles(const std::string& path,
                                     const std::vector<UploadPart>& parts) {
  httplib::MultipartFormDataItems items;
  for (const UploadPart& part : parts) {
    items.push_back({part.name, part.content, part.file_name, part.content_type});
  }
  return Answer(http_->Post(path, items), host_, port_);
}

}  // namespace flink::cli
