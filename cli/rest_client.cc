#include "cli/rest_client.h"

#include <httplib.h>
#include <netdb.h>
#include <sys/socket.h>

#include <utility>

#include "cli/error_text.h"

namespace flink::cli {
namespace {

using Json = nlohmann::json;

std::string_view Describe(httplib::Error error) {
  switch (error) {
    case httplib::Error::Connection:
      return "connection refused";
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

Status TransportError(httplib::Error error, const std::string& address) {
  const bool nobody = error == httplib::Error::Connection;
  return MakeStatus(
      nobody ? absl::StatusCode::kUnavailable : absl::StatusCode::kDeadlineExceeded,
      "Could not connect to the JobManager at {}: {}. Is a cluster running there? Start one with "
      "bin/start-cluster.sh, or name another one with -m host:port.",
      address, Describe(error));
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

StatusOr<Json> Answer(const httplib::Result& result, const std::string& address) {
  if (!result) return TransportError(result.error(), address);
  Json body = Json::parse(result->body, nullptr, /*allow_exceptions=*/false);
  if (body.is_object() && body.contains("errors")) return ServerError(*result, body);
  if (body.is_discarded() || result->status >= 400) {
    return Internal(
        "{} answered with HTTP {} and something other than JSON: no JobManager seems to listen "
        "there. "
        "Check rest.address and rest.port, or -m.",
        address, result->status);
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
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const int error = getaddrinfo(host_.c_str(), nullptr, &hints, &found);
  if (error != 0) {
    return MakeStatus(absl::StatusCode::kDeadlineExceeded,
                      "Unknown host \"{}\" ({}). Check rest.address in conf/config.yaml, or -m.",
                      host_, gai_strerror(error));
  }
  freeaddrinfo(found);
  return OkStatus();
}

StatusOr<Json> RestClient::Get(const std::string& path) {
  return Answer(http_->Get(path), address());
}

StatusOr<Json> RestClient::Post(const std::string& path, const Json& body) {
  return Answer(http_->Post(path, body.dump(), kJson), address());
}

StatusOr<Json> RestClient::Patch(const std::string& path) {
  return Answer(http_->Patch(path, "{}", kJson), address());
}

StatusOr<Json> RestClient::PostFiles(const std::string& path,
                                     const std::vector<UploadPart>& parts) {
  httplib::MultipartFormDataItems items;
  for (const UploadPart& part : parts) {
    items.push_back({part.name, part.content, part.file_name, part.content_type});
  }
  return Answer(http_->Post(path, items), address());
}

}  // namespace flink::cli
