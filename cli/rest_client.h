#pragma once

/// JSON over HTTP to one JobManager, in the order in which it sends it.

#include <chrono>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "common/base/status.h"

namespace httplib {
class Client;
}

namespace flink::cli {

/// One file part of a multipart request.
struct UploadPart {
  std::string name;
  std::string file_name;
  std::string content_type;
  std::string content;
};

/// Blocking, one thread. An error is kUnavailable when nobody listens there, kDeadlineExceeded when
/// the JobManager cannot be found or does not answer, so that one may be running; kNotFound for
/// HTTP 404, else kInternal; its message is the server's cause in one line, its details the whole.
class RestClient {
 public:
  /// `timeout` bounds each request.
  RestClient(std::string host, int port, std::chrono::milliseconds timeout);
  ~RestClient();
  RestClient(const RestClient&) = delete;
  RestClient& operator=(const RestClient&) = delete;

  StatusOr<nlohmann::ordered_json> Get(const std::string& path);
  /// `body`: an object of texts, numbers and flags; kInvalidArgument when a text is not UTF-8.
  StatusOr<nlohmann::ordered_json> Post(const std::string& path,
                                        const nlohmann::ordered_json& body);
  StatusOr<nlohmann::ordered_json> Patch(const std::string& path);
  StatusOr<nlohmann::ordered_json> PostFiles(const std::string& path,
                                             const std::vector<UploadPart>& parts);

  /// Fails when the host name means nothing; asks the resolver, not the JobManager.
  Status CheckHostName() const;
  std::string address() const;

 private:
  const std::string host_;
  const int port_;
  std::unique_ptr<httplib::Client> http_;
};

}  // namespace flink::cli
