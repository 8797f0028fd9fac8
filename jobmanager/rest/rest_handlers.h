#pragma once

/// The handlers of the REST API by topic, and how they reach the dispatcher.

#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "common/concurrency/mailbox.h"
#include "jobmanager/dispatcher/dispatcher.h"
#include "jobmanager/rest/rest_router.h"

namespace flink::jobmanager {

/// Runs questions on the dispatcher's thread while an HTTP thread waits. Thread-safe.
class DispatcherGateway {
 public:
  explicit DispatcherGateway(Dispatcher* dispatcher) : dispatcher_(dispatcher) {}

  /// The answer to a question; 503 when the JobManager shuts down.
  RestResponse Ask(std::function<RestResponse(Dispatcher&)> question) const {
    return AskLater([question = std::move(question)](Dispatcher& dispatcher, auto answer) {
      answer(question(dispatcher));
    });
  }

  /// For questions that are answered later, through the function they are given; the HTTP thread
  /// waits for that.
  using Answer = std::function<void(RestResponse)>;
  RestResponse AskLater(std::function<void(Dispatcher&, Answer)> question) const;

 private:
  Dispatcher* const dispatcher_;
};

/// Parses path parameters; answers 400 with Flink's text when one is malformed.
template <class Id>
std::optional<RestResponse> ParseIdParameter(const RestRequest& request, const std::string& name,
                                             Id* id) {
  const StatusOr<Id> parsed = Id::FromHex(request.parameters.at(name));
  if (parsed.ok()) {
    *id = *parsed;
    return std::nullopt;
  }
  const std::string text = fmt::format("Cannot resolve path parameter ({}) from value \"{}\".",
                                       name, request.parameters.at(name));
  return ErrorResponse(400, "Bad request, could not parse parameters: " + text,
                       "org.apache.flink.runtime.rest.handler.HandlerRequestException: " + text);
}

RestResponse BadQueryResponse(const std::string& name, const std::string& value);
RestResponse BadBodyResponse(const std::string& body_class, const std::string& why);
/// The JSON object in the body ({} when it is empty), or the answer that refuses it.
std::optional<RestResponse> ParseBody(const RestRequest& request, const std::string& body_class,
                                      Json* body);

void AddClusterHandlers(const DispatcherGateway& gateway, RestRouter& router);
void AddJobHandlers(const DispatcherGateway& gateway, RestRouter& router);
void AddOperationHandlers(const DispatcherGateway& gateway, RestRouter& router);
void AddSubmitHandler(const DispatcherGateway& gateway, RestRouter& router);

}  // namespace flink::jobmanager
