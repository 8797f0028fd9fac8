#pragma once

/// RestRequest, RestResponse and Flink's ways to say that something went wrong.

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/ids.h"
#include "common/base/status.h"
#include "jobmanager/dispatcher/async_operations.h"

namespace flink::jobmanager {

/// Keeps the order in which fields are written.
using Json = nlohmann::ordered_json;

struct RestFile {
  std::string name;  ///< Of the form field.
  std::string file_name;
  std::string content;
};

struct RestRequest {
  std::string method;
  std::string path;                               ///< As asked, without query.
  std::map<std::string, std::string> parameters;  ///< Of the path: ":jobid" -> text.
  std::multimap<std::string, std::string> query;
  std::string body;
  std::vector<RestFile> files;

  std::string Query(const std::string& name, const std::string& fallback = {}) const;
};

struct RestResponse {
  int status = 200;
  std::string body;
};

RestResponse JsonResponse(const Json& json, int status = 200);
/// {"errors":["<class>: <message>"]}, with Flink's RestHandlerException when no class is given.
RestResponse ErrorResponse(int status, const std::string& message, const std::string& cause = {});
RestResponse NotFoundResponse(const std::string& message, const std::string& cause = {});
/// "Internal server error." and what happened.
RestResponse InternalErrorResponse(const std::string& exception);
/// Plain sentences, as our own client shows them.
RestResponse PlainErrorResponse(int status, const std::vector<std::string>& errors);
RestResponse JobNotFoundResponse(const JobId& job);
/// The same of an execution result, for which Flink has another exception.
RestResponse ExecutionResultNotFoundResponse(const JobId& job);
/// No such route: the wording depends on the method.
RestResponse NoRouteResponse(const RestRequest& request);

/// {"class", "stack-trace", "serialized-throwable"} of a failure. `cause`: "<class>: <message>",
/// with causes of its own behind it; or empty.
Json SerializedThrowableJson(const std::string& class_name, const std::string& message,
                             const std::string& cause = {});
/// The bytes a Java client deserializes into org.apache.flink.util.SerializedThrowable.
std::string SerializedThrowableBytes(const std::string& class_name, const std::string& message,
                                     const std::string& stack_trace);
std::string Base64(std::string_view bytes);

/// The state of an asynchronous operation as its poll shows it.
Json OperationJson(OperationKind kind, const Operation& operation);

}  // namespace flink::jobmanager
