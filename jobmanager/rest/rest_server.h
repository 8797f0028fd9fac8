#pragma once

/// RestServer: Flink's REST API over HTTP.

#include <memory>
#include <string>

#include "common/base/status.h"
#include "common/config/configuration.h"

namespace flink::jobmanager {

class Dispatcher;

/// Handlers run on HTTP threads; each posts its question to the dispatcher's main thread and waits
/// for the answer.
class RestServer {
 public:
  /// Binds rest.bind-address : rest.bind-port (else rest.port) and serves. A port list or range is
  /// tried in order. An address in use is an error that names it and the key to change.
  /// `dispatcher` must outlive the server. Any thread.
  static StatusOr<std::unique_ptr<RestServer>> Start(const Configuration& configuration,
                                                     Dispatcher* dispatcher);
  /// Stops serving and waits for requests in progress. Not on the main thread, which must still run
  /// its mailbox.
  ~RestServer();
  RestServer(const RestServer&) = delete;
  RestServer& operator=(const RestServer&) = delete;

  int port() const;

 private:
  struct Impl;
  explicit RestServer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace flink::jobmanager
