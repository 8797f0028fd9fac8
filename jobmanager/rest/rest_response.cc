#include "jobmanager/rest/rest_response.h"

#include "common/snapshot/java_data.h"

namespace flink::jobmanager {
namespace {

constexpr char kRestHandlerException[] =
    "org.apache.flink.runtime.rest.handler.RestHandlerException";
constexpr char kNotFoundException[] = "org.apache.flink.runtime.rest.NotFoundException";
constexpr char kCompletionException[] = "java.util.concurrent.CompletionException";
constexpr char kJobNotFoundException[] =
    "org.apache.flink.runtime.messages.FlinkJobNotFoundException";

// Class descriptions of org.apache.flink.util.SerializedThrowable and its superclasses, up to the
// message.
constexpr std::string_view kThrowablePrefix =
    "aced0005737200296f72672e6170616368652e666c696e6b2e7574696c2e53657269616c697a65645468726f77"
    "61626c6565169df51fa713f30200034c001966756c6c537472696e676966696564537461636b54726163657400"
    "124c6a6176612f6c616e672f537472696e673b4c00166f726967696e616c4572726f72436c6173734e616d6571"
    "007e00015b001373657269616c697a6564457863657074696f6e7400025b42787200136a6176612e6c616e672e"
    "457863657074696f6ed0fd1f3e1a3b1cc4020000787200136a6176612e6c616e672e5468726f7761626c65d5c6"
    "35273977b8cb0300044c000563617573657400154c6a6176612f6c616e672f5468726f7761626c653b4c000d64"
    "657461696c4d65737361676571007e00015b000a737461636b547261636574001e5b4c6a6176612f6c616e672f"
    "537461636b5472616365456c656d656e743b4c001473757070726573736564457863657074696f6e737400104c"
    "6a6176612f7574696c2f4c6973743b787070";
// An empty stack trace and an empty list of suppressed exceptions.
constexpr std::string_view kThrowableMiddle =
    "7572001e5b4c6a6176612e6c616e672e537461636b5472616365456c656d656e743b02462a3c3cfd2239020000"
    "7870000000007372001f6a6176612e7574696c2e436f6c6c656374696f6e7324456d7074794c6973747ab817b4"
    "3ca79ede020000787078";

std::string FromHex(std::string_view hex) {
  const auto digit = [](char c) { return c <= '9' ? c - '0' : c - 'a' + 10; };
  std::string bytes;
  for (size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes += static_cast<char>(digit(hex[i]) * 16 + digit(hex[i + 1]));
  }
  return bytes;
}

// A string object of Java's object stream.
void WriteJavaString(const std::string& text, snapshot::JavaWriter& out) {
  const std::string bytes = snapshot::ToModifiedUtf8(text);
  if (bytes.size() <= snapshot::kMaxUtfBytes) {
    out.WriteU8(0x74);
    out.WriteU16(static_cast<uint16_t>(bytes.size()));
  } else {
    out.WriteU8(0x7c);
    out.WriteI64(static_cast<int64_t>(bytes.size()));
  }
  out.WriteBytes(bytes);
}

std::string Exception(const std::string& class_name, const std::string& message,
                      const std::string& cause) {
  std::string text = class_name + ": " + message + "\n";
  if (!cause.empty()) text += "Caused by: " + cause + "\n";
  return text;
}

std::string JobNotFoundText(const JobId& job) {
  return fmt::format("{}: Could not find Flink job ({})", kJobNotFoundException, job.ToHex());
}

}  // namespace

std::string RestRequest::Query(const std::string& name, const std::string& fallback) const {
  const auto found = query.find(name);
  return found == query.end() ? fallback : found->second;
}

RestResponse JsonResponse(const Json& json, int status) {
  return {status, json.dump(-1, ' ', false, Json::error_handler_t::replace)};
}

RestResponse PlainErrorResponse(int status, const std::vector<std::string>& errors) {
  return JsonResponse({{"errors", errors}}, status);
}

RestResponse ErrorResponse(int status, const std::string& message, const std::string& cause) {
  return PlainErrorResponse(status, {Exception(kRestHandlerException, message, cause)});
}

RestResponse NotFoundResponse(const std::string& message, const std::string& cause) {
  return PlainErrorResponse(404, {Exception(kNotFoundException, message, cause)});
}

RestResponse InternalErrorResponse(const std::string& exception) {
  return PlainErrorResponse(
      500, {"Internal server error.",
            "<Exception on server side:\n" + exception + "\nEnd of exception on server side>"});
}

RestResponse JobNotFoundResponse(const JobId& job) {
  return NotFoundResponse(fmt::format("Job {} not found", job.ToHex()), JobNotFoundText(job));
}

RestResponse NoRouteResponse(const RestRequest& request) {
  if (request.method == "GET") {
    return PlainErrorResponse(404, {"Unable to load requested file " + request.path + "."});
  }
  return PlainErrorResponse(404, {"Not found: " + request.path});
}

std::string Base64(std::string_view bytes) {
  static constexpr char kAlphabet[] =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (size_t i = 0; i < bytes.size(); i += 3) {
    const auto byte = [&](size_t k) {
      return k < bytes.size() ? static_cast<uint32_t>(static_cast<uint8_t>(bytes[k])) : 0u;
    };
    const uint32_t group = byte(i) << 16 | byte(i + 1) << 8 | byte(i + 2);
    text += kAlphabet[group >> 18];
    text += kAlphabet[group >> 12 & 63];
    text += i + 1 < bytes.size() ? kAlphabet[group >> 6 & 63] : '=';
    text += i + 2 < bytes.size() ? kAlphabet[group & 63] : '=';
  }
  return text;
}

std::string SerializedThrowableBytes(const std::string& class_name, const std::string& message,
                                     const std::string& stack_trace) {
  snapshot::JavaWriter out;
  out.WriteBytes(FromHex(kThrowablePrefix));
  WriteJavaString(message, out);
  out.WriteBytes(FromHex(kThrowableMiddle));
  WriteJavaString(stack_trace, out);
  WriteJavaString(class_name, out);
  out.WriteU8(0x70);
  return out.TakeBytes();
}

RestResponse ExecutionResultNotFoundResponse(const JobId& job) {
  const std::string text = JobNotFoundText(job);
  return ErrorResponse(404, text,
                       fmt::format("{}: {}\nCaused by: {}", kCompletionException, text, text));
}

Json SerializedThrowableJson(const std::string& class_name, const std::string& message,
                             const std::string& cause) {
  const std::string trace = Exception(class_name, message, cause);
  Json json;
  json["class"] = class_name;
  json["stack-trace"] = trace;
  json["serialized-throwable"] = Base64(SerializedThrowableBytes(class_name, message, trace));
  return json;
}

namespace {

/// What is answered later arrives wrapped in Flink, but for disposals.
Json FailureJson(OperationKind kind, const OperationFailure& failure) {
  if (kind == OperationKind::kDisposal) {
    return SerializedThrowableJson(failure.class_name, failure.message);
  }
  const std::string cause = failure.class_name + ": " + failure.message;
  return SerializedThrowableJson(kCompletionException, cause, cause);
}

}  // namespace

Json OperationJson(OperationKind kind, const Operation& operation) {
  Json json;
  json["status"]["id"] = operation.completed ? "COMPLETED" : "IN_PROGRESS";
  if (!operation.completed) {
    json["operation"] = nullptr;
    return json;
  }
  Json result = Json::object();
  if (operation.failure.has_value()) {
    const char* key = kind == OperationKind::kCheckpoint ? "failureCause" : "failure-cause";
    result[key] = FailureJson(kind, *operation.failure);
  } else if (kind == OperationKind::kSavepoint) {
    result["location"] = operation.location;
  } else if (kind == OperationKind::kCheckpoint) {
    result["checkpointId"] = operation.checkpoint_id;
  }
  json["operation"] = std::move(result);
  return json;
}

}  // namespace flink::jobmanager
