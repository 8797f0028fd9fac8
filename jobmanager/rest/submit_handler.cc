// POST /jobs: a JobGraph and its library as multipart/form-data.

#include "flink/pb/graph/v1/job_graph.pb.h"
#include "jobmanager/rest/rest_handlers.h"

namespace flink::jobmanager {
namespace {

const RestFile* FindFile(const RestRequest& request, const std::string& name) {
  for (const RestFile& file : request.files) {
    if (file.name == name || file.file_name == name) return &file;
  }
  return nullptr;
}

// HTTP status of a refused submission: whose mistake it was.
int StatusOfRefusal(const Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kFailedPrecondition:
      return 400;
    default:
      return 500;
  }
}

RestResponse Submit(const DispatcherGateway& gateway, const RestRequest& request) {
  const RestFile* form = FindFile(request, "request");
  const Json body = Json::parse(form == nullptr ? request.body : form->content, nullptr,
                                /*allow_exceptions=*/false);
  const std::string graph_name =
      body.is_object() && body.contains("jobGraphFileName") && body["jobGraphFileName"].is_string()
          ? body["jobGraphFileName"].get<std::string>()
          : std::string();
  if (graph_name.empty()) {
    return ErrorResponse(400, "The jobGraphFileName field must not be omitted or be null.");
  }
  const RestFile* graph_file = FindFile(request, graph_name);
  const RestFile* library = nullptr;
  if (body.contains("jobJarFileNames") && body["jobJarFileNames"].is_array()) {
    for (const Json& name : body["jobJarFileNames"]) {
      if (name.is_string() && library == nullptr)
        library = FindFile(request, name.get<std::string>());
    }
  }
  if (graph_file == nullptr || library == nullptr) {
    return PlainErrorResponse(
        400,
        {fmt::format("The request has no file part for {}.",
                     graph_file == nullptr ? "the job graph " + graph_name : "the job library")});
  }
  pb::graph::v1::JobGraph graph;
  if (!graph.ParseFromString(graph_file->content)) {
    return PlainErrorResponse(
        400, {"The job graph cannot be read: it is not a JobGraph message of this version. Use "
              "the flink command of the same release as the JobManager."});
  }
  return gateway.AskLater(
      [&graph, library](Dispatcher& dispatcher, DispatcherGateway::Answer answer) {
        dispatcher.SubmitJob(
            std::move(graph), library->content,
            [answer = std::move(answer)](const StatusOr<JobId>& id) {
              if (id.ok()) {
                answer(JsonResponse({{"jobUrl", "/jobs/" + id->ToHex()}}, 202));
              } else {
                answer(PlainErrorResponse(StatusOfRefusal(id.status()), {Message(id.status())}));
              }
            });
      });
}

}  // namespace

void AddSubmitHandler(const DispatcherGateway& gateway, RestRouter& router) {
  router.Add("POST", "/jobs",
             [gateway](const RestRequest& request) { return Submit(gateway, request); });
}

}  // namespace flink::jobmanager
