// Savepoints, stops, checkpoints and disposals: triggered by POST, polled by GET.

#include <random>

#include "jobmanager/rest/checkpoint_json.h"
#include "jobmanager/rest/rest_handlers.h"

namespace flink::jobmanager {
namespace {

constexpr char kSavepointBody[] = "SavepointTriggerRequestBody";
constexpr char kStopBody[] = "StopWithSavepointRequestBody";
constexpr char kCheckpointBody[] = "CheckpointTriggerRequestBody";
constexpr char kDisposalBody[] = "SavepointDisposalRequest";

using TriggerId = Id128<struct TriggerIdTag>;

std::string NewTriggerId() {
  static thread_local std::mt19937_64 random{std::random_device{}()};
  return fmt::format("{:016x}{:016x}", random(), random());
}

RestResponse Accepted(const std::string& trigger_id, int status = 202) {
  return JsonResponse({{"request-id", trigger_id}}, status);
}

// Reads fields of a request body and remembers the first that is wrong.
class BodyReader {
 public:
  BodyReader(const Json& body, std::string body_class)
      : body_(body), body_class_(std::move(body_class)) {}

  std::optional<std::string> Text(const char* name) {
    const auto found = body_.find(name);
    if (found == body_.end() || found->is_null()) return std::nullopt;
    if (found->is_string()) return found->get<std::string>();
    Refuse(fmt::format("{} must be a text", name));
    return std::nullopt;
  }
  bool Bool(const char* name) {
    const auto found = body_.find(name);
    if (found == body_.end() || found->is_null()) return false;
    if (found->is_boolean()) return found->get<bool>();
    if (found->is_string() && (*found == "true" || *found == "false")) return *found == "true";
    Refuse(fmt::format("{}: only \"true\" or \"false\" recognized", name));
    return false;
  }
  /// One of `values`; the first when absent.
  std::string Enum(const char* name, const std::vector<std::string>& values) {
    const std::optional<std::string> text = Text(name);
    if (!text.has_value()) return values.front();
    for (const std::string& value : values) {
      if (*text == value) return value;
    }
    std::string all;
    for (const std::string& value : values) all += (all.empty() ? "" : ", ") + value;
    Refuse(fmt::format("{} \"{}\": not one of the values accepted for Enum class: [{}]", name,
                       *text, all));
    return values.front();
  }
  std::string TriggerIdOrNew() {
    const std::optional<std::string> text = Text("triggerId");
    if (!text.has_value()) return NewTriggerId();
    const StatusOr<TriggerId> id = TriggerId::FromHex(*text);
    if (id.ok()) return id->ToHex();
    Refuse("triggerId: " + Message(id.status()));
    return {};
  }
  void Refuse(const std::string& why) {
    if (!refusal_.has_value()) refusal_ = BadBodyResponse(body_class_, why);
  }
  const std::optional<RestResponse>& refusal() const { return refusal_; }

 private:
  const Json& body_;
  const std::string body_class_;
  std::optional<RestResponse> refusal_;
};

SavepointFormat FormatOf(BodyReader& reader) {
  return reader.Enum("formatType", {"CANONICAL", "NATIVE"}) == "NATIVE"
             ? SavepointFormat::kNative
             : SavepointFormat::kCanonical;
}

RestResponse Start(const DispatcherGateway& gateway, const JobId& job,
                   const std::string& trigger_id, const Dispatcher::SavepointRequest& savepoint) {
  return gateway.Ask([&](Dispatcher& dispatcher) {
    const Status started = dispatcher.TriggerSavepoint(job, trigger_id, savepoint);
    return started.ok() ? Accepted(trigger_id) : ErrorResponse(400, Message(started));
  });
}

RestResponse PostSavepoint(const DispatcherGateway& gateway, const RestRequest& request) {
  JobId job;
  Json body;
  if (auto refused = ParseIdParameter(request, "jobid", &job)) return *refused;
  if (auto refused = ParseBody(request, kSavepointBody, &body)) return *refused;
  BodyReader reader(body, kSavepointBody);
  Dispatcher::SavepointRequest savepoint;
  savepoint.target_directory = reader.Text("target-directory");
  savepoint.kind =
      reader.Bool("cancel-job") ? SnapshotKind::kCancelSavepoint : SnapshotKind::kSavepoint;
  savepoint.format = FormatOf(reader);
  const std::string trigger_id = reader.TriggerIdOrNew();
  if (reader.refusal().has_value()) return *reader.refusal();
  return Start(gateway, job, trigger_id, savepoint);
}

RestResponse PostStop(const DispatcherGateway& gateway, const RestRequest& request) {
  JobId job;
  Json body;
  if (auto refused = ParseIdParameter(request, "jobid", &job)) return *refused;
  if (auto refused = ParseBody(request, kStopBody, &body)) return *refused;
  BodyReader reader(body, kStopBody);
  Dispatcher::SavepointRequest savepoint;
  savepoint.target_directory = reader.Text("targetDirectory");
  savepoint.directory_property = "targetDirectory";
  savepoint.kind = reader.Bool("drain") ? SnapshotKind::kStopDrain : SnapshotKind::kStopSuspend;
  savepoint.format = FormatOf(reader);
  const std::string trigger_id = reader.TriggerIdOrNew();
  if (reader.refusal().has_value()) return *reader.refusal();
  return Start(gateway, job, trigger_id, savepoint);
}

RestResponse PostCheckpoint(const DispatcherGateway& gateway, const RestRequest& request) {
  JobId job;
  Json body;
  if (auto refused = ParseIdParameter(request, "jobid", &job)) return *refused;
  if (auto refused = ParseBody(request, kCheckpointBody, &body)) return *refused;
  BodyReader reader(body, kCheckpointBody);
  const std::string type = reader.Enum("checkpointType", {"CONFIGURED", "FULL", "INCREMENTAL"});
  const std::string trigger_id = reader.TriggerIdOrNew();
  if (reader.refusal().has_value()) return *reader.refusal();
  if (type == "INCREMENTAL") {
    return InternalErrorResponse(
        "java.lang.IllegalStateException: Flink does not support triggering incremental checkpoint "
        "explicitly. See "
        "FLINK-33723.\n");
  }
  return gateway.Ask([&](Dispatcher& dispatcher) {
    dispatcher.TriggerCheckpoint(job, trigger_id, type == "FULL");
    return Accepted(trigger_id);
  });
}

RestResponse PostDisposal(const DispatcherGateway& gateway, const RestRequest& request) {
  Json body;
  if (auto refused = ParseBody(request, kDisposalBody, &body)) return *refused;
  BodyReader reader(body, kDisposalBody);
  const std::optional<std::string> path = reader.Text("savepoint-path");
  if (reader.refusal().has_value()) return *reader.refusal();
  if (!path.has_value()) {
    return ErrorResponse(400, "Field savepoint-path must not be omitted or be null.");
  }
  const std::string trigger_id = NewTriggerId();
  return gateway.Ask([&](Dispatcher& dispatcher) {
    dispatcher.DisposeSavepoint(trigger_id, *path);
    return Accepted(trigger_id, 200);
  });
}

/// What a poll says of an operation.
using OperationAnswer = RestResponse (*)(Dispatcher& dispatcher, OperationKind kind,
                                         const JobId& job, const Operation& operation);

RestResponse Outcome(Dispatcher&, OperationKind kind, const JobId&, const Operation& operation) {
  return JsonResponse(OperationJson(kind, operation));
}

/// Our own: the entry of the checkpoint history that belongs to this trigger.
RestResponse Progress(Dispatcher& dispatcher, OperationKind, const JobId& job,
                      const Operation& operation) {
  const Dispatcher::SnapshotProgress progress = dispatcher.ProgressOf(job, operation);
  Json json;
  json["waiting"] = progress.waiting;
  json["checkpoint"] =
      progress.checkpoint == nullptr ? Json(nullptr) : CheckpointJson(*progress.checkpoint, false);
  return JsonResponse(json);
}

RestResponse Poll(const DispatcherGateway& gateway, const RestRequest& request, OperationKind kind,
                  OperationAnswer answer) {
  JobId job;
  TriggerId trigger;
  if (kind != OperationKind::kDisposal) {
    if (auto refused = ParseIdParameter(request, "jobid", &job)) return *refused;
  }
  if (auto refused = ParseIdParameter(request, "triggerid", &trigger)) return *refused;
  const std::string id = trigger.ToHex();
  return gateway.Ask([&](Dispatcher& dispatcher) {
    const Operation* operation =
        dispatcher.operations().Find(kind, job, id, dispatcher.clock().NowMs());
    if (operation != nullptr) return answer(dispatcher, kind, job, *operation);
    if (kind == OperationKind::kDisposal) {
      return NotFoundResponse("Operation not found under key: " + id);
    }
    return ErrorResponse(
        404, fmt::format("There is no {} operation with triggerId={} for job {}.",
                         kind == OperationKind::kSavepoint ? "savepoint" : "checkpoint", id,
                         job.ToHex()));
  });
}

}  // namespace

void AddOperationHandlers(const DispatcherGateway& gateway, RestRouter& router) {
  const auto post = [&](const char* path,
                        RestResponse (*handler)(const DispatcherGateway&, const RestRequest&)) {
    router.Add("POST", path, [gateway, handler](const RestRequest& request) {
      return handler(gateway, request);
    });
  };
  post("/jobs/:jobid/savepoints", PostSavepoint);
  post("/jobs/:jobid/stop", PostStop);
  post("/jobs/:jobid/checkpoints", PostCheckpoint);
  post("/savepoint-disposal", PostDisposal);
  const auto poll = [&](const char* path, OperationKind kind, OperationAnswer answer) {
    router.Add("GET", path, [gateway, kind, answer](const RestRequest& request) {
      return Poll(gateway, request, kind, answer);
    });
  };
  poll("/jobs/:jobid/savepoints/:triggerid", OperationKind::kSavepoint, Outcome);
  poll("/jobs/:jobid/savepoints/:triggerid/progress", OperationKind::kSavepoint, Progress);
  poll("/jobs/:jobid/checkpoints/:triggerid", OperationKind::kCheckpoint, Outcome);
  poll("/jobs/:jobid/checkpoints/:triggerid/progress", OperationKind::kCheckpoint, Progress);
  poll("/savepoint-disposal/:triggerid", OperationKind::kDisposal, Outcome);
}

}  // namespace flink::jobmanager
