#include "jobmanager/rest/rest_handlers.h"

namespace flink::jobmanager {

RestResponse DispatcherGateway::AskLater(std::function<void(Dispatcher&, Answer)> question) const {
  auto promise = std::make_shared<std::promise<RestResponse>>();
  std::future<RestResponse> future = promise->get_future();
  const bool posted = dispatcher_->main().Post(
      [dispatcher = dispatcher_, question = std::move(question), promise]() mutable {
        // The question and whatever keeps the answer hold the promise; when all are dropped the
        // client is told.
        question(*dispatcher, [held = std::move(promise)](RestResponse response) {
          held->set_value(std::move(response));
        });
      });
  promise.reset();
  RestResponse closing = PlainErrorResponse(503, {"The JobManager is shutting down."});
  if (!posted) return closing;
  try {
    return future.get();
  } catch (const std::future_error&) {
    return closing;
  }
}

RestResponse BadQueryResponse(const std::string& name, const std::string& value) {
  const std::string text =
      fmt::format("Cannot resolve query parameter ({}) from value \"{}\".", name, value);
  return ErrorResponse(400, "Bad request, could not parse parameters: " + text,
                       "org.apache.flink.runtime.rest.handler.HandlerRequestException: " + text);
}

RestResponse BadBodyResponse(const std::string& body_class, const std::string& why) {
  return ErrorResponse(
      400, fmt::format("Request did not match expected format {}.", body_class),
      "org.apache.flink.shaded.jackson2.com.fasterxml.jackson.databind.JsonMappingException: " +
          why);
}

std::optional<RestResponse> ParseBody(const RestRequest& request, const std::string& body_class,
                                      Json* body) {
  *body = Json::object();
  if (request.body.empty()) return std::nullopt;
  Json parsed = Json::parse(request.body, nullptr, /*allow_exceptions=*/false);
  if (parsed.is_discarded()) return BadBodyResponse(body_class, "the body is not JSON");
  if (!parsed.is_object()) return BadBodyResponse(body_class, "the body is not a JSON object");
  *body = std::move(parsed);
  return std::nullopt;
}

}  // namespace flink::jobmanager
