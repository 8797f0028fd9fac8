#include "cli/cluster_client.h"

#include <utility>

#include "cli/error_text.h"
#include "cli/text_table.h"
#include "common/config/options.h"
#include "common/io/absolute_path.h"

namespace flink::cli {
namespace {

using Json = nlohmann::ordered_json;
using std::chrono::milliseconds;
using Clock = std::chrono::steady_clock;

std::string TextAt(const Json& object, const char* key) {
  const auto it = object.find(key);
  return it != object.end() && it->is_string() ? it->get<std::string>() : std::string();
}

int64_t NumberAt(const Json& object, const char* key) {
  const auto it = object.find(key);
  return it != object.end() && it->is_number() ? it->get<int64_t>() : 0;
}

std::string StatusAt(const Json& answer) {
  const auto it = answer.find("status");
  return it != answer.end() && it->is_object() ? TextAt(*it, "id") : std::string();
}

/// The error inside a completed operation; OK when there is none.
Status OperationFailure(const Json& operation) {
  for (const char* key : {"failure-cause", "failureCause"}) {
    const auto it = operation.find(key);
    if (it == operation.end() || !it->is_object()) continue;
    const std::string trace = TextAt(*it, "stack-trace");
    std::string cause = CauseText(trace);
    if (cause.empty()) cause = CauseText(TextAt(*it, "class"));
    return WithDetails(Internal("{}", cause), trace);
  }
  return OkStatus();
}

StatusOr<std::string> TriggerId(const StatusOr<Json>& answer) {
  if (!answer.ok()) return answer.status();
  std::string id = TextAt(*answer, "request-id");
  if (id.empty()) return Internal("the JobManager's answer has no request-id");
  return id;
}

/// The JobManager has another working directory than whoever typed the path.
Json OptionalPath(const std::optional<std::string>& path) {
  return path.has_value() ? Json(io::AbsolutePath(*path)) : Json(nullptr);
}

std::string JobPath(const JobId& job) { return "/v1/jobs/" + job.ToHex(); }

/// A variable of a shell that is not set must not send the savepoint elsewhere.
Status CheckDirectory(const std::optional<std::string>& directory) {
  if (directory != "") return OkStatus();
  return InvalidArgument(
      "The target directory is empty: nothing was triggered. Leave it out to use the cluster's.");
}

}  // namespace

const char* ToString(SavepointFormat format) {
  return format == SavepointFormat::kNative ? "NATIVE" : "CANONICAL";
}

std::string ToString(const SnapshotProgress& progress) {
  if (progress.waiting) return "waits for the snapshots before it";
  return fmt::format("{} of {} subtasks acknowledged, {}", progress.acknowledged, progress.subtasks,
                     FormatBytes(progress.bytes));
}

StatusOr<std::unique_ptr<ClusterClient>> ClusterClient::Create(const Configuration& config) {
  ASSIGN_OR_RETURN(const int64_t port, config.GetInt(options::kRestPort));
  if (port < 1 || port > 65535) {
    return FailedPrecondition("rest.port is {}; it must be within 1..65535", port);
  }
  ASSIGN_OR_RETURN(const milliseconds timeout, config.GetDuration(options::kClientTimeout));
  auto rest = std::make_unique<RestClient>(config.GetString(options::kRestAddress),
                                           static_cast<int>(port), timeout);
  RETURN_IF_ERROR(rest->CheckHostName());
  return std::unique_ptr<ClusterClient>(new ClusterClient(std::move(rest), timeout));
}

StatusOr<std::vector<JobOverview>> ClusterClient::ListJobs() {
  ASSIGN_OR_RETURN(const Json answer, rest_->Get("/v1/jobs/overview"));
  std::vector<JobOverview> jobs;
  const auto list = answer.find("jobs");
  if (list == answer.end()) return Internal("the JobManager's answer has no jobs");
  for (const Json& job : *list) {
    jobs.push_back({TextAt(job, "jid"), TextAt(job, "name"), TextAt(job, "state"),
                    NumberAt(job, "start-time")});
  }
  return jobs;
}

StatusOr<std::string> ClusterClient::JobState(const JobId& job) {
  ASSIGN_OR_RETURN(const Json answer, rest_->Get(JobPath(job) + "/status"));
  return TextAt(answer, "status");
}

StatusOr<std::optional<JobResult>> ClusterClient::ExecutionResult(const JobId& job) {
  ASSIGN_OR_RETURN(const Json answer, rest_->Get(JobPath(job) + "/execution-result"));
  if (StatusAt(answer) != "COMPLETED") return std::optional<JobResult>();
  const auto found = answer.find("job-execution-result");
  if (found == answer.end()) return Internal("the JobManager's answer has no execution result");
  JobResult result;
  result.application_status = TextAt(*found, "application-status");
  result.net_runtime = NumberAt(*found, "net-runtime");
  const auto accumulators = found->find("accumulator-results");
  result.has_accumulators = accumulators != found->end() && !accumulators->empty();
  const auto failure = found->find("failure-cause");
  if (failure != found->end() && failure->is_object()) {
    result.failure_class = TextAt(*failure, "class");
    result.failure_trace = TextAt(*failure, "stack-trace");
  }
  return std::optional<JobResult>(std::move(result));
}

StatusOr<std::vector<Accumulator>> ClusterClient::Accumulators(const JobId& job) {
  ASSIGN_OR_RETURN(const Json answer, rest_->Get(JobPath(job) + "/accumulators"));
  std::vector<Accumulator> accumulators;
  const auto list = answer.find("user-task-accumulators");
  if (list == answer.end()) return accumulators;
  for (const Json& a : *list) {
    accumulators.push_back({TextAt(a, "name"), TextAt(a, "type"), TextAt(a, "value")});
  }
  return accumulators;
}

Status ClusterClient::Submit(std::string graph, std::string library,
                             const std::string& library_name) {
  const Json request = {{"jobGraphFileName", "file_0"}, {"jobJarFileNames", {"file_1"}}};
  std::vector<UploadPart> parts;
  parts.push_back({"request", "", "application/json", request.dump()});
  parts.push_back({"file_0", "job.graph", "application/octet-stream", std::move(graph)});
  parts.push_back({"file_1", library_name, "application/octet-stream", std::move(library)});
  return rest_->PostFiles("/v1/jobs", parts).status();
}

StatusOr<Json> ClusterClient::PlanRestore(const JobId& job, std::string graph) {
  std::vector<UploadPart> parts;
  parts.push_back({"graph", "job.graph", "application/octet-stream", std::move(graph)});
  return rest_->PostFiles(JobPath(job) + "/restore-plan", parts);
}

Status ClusterClient::Cancel(const JobId& job) {
  return rest_->Patch(JobPath(job) + "?mode=cancel").status();
}

StatusOr<std::string> ClusterClient::TriggerSavepoint(const JobId& job,
                                                      const std::optional<std::string>& directory,
                                                      SavepointFormat format, bool cancel_job) {
  RETURN_IF_ERROR(CheckDirectory(directory));
  return TriggerId(
      rest_->Post(JobPath(job) + "/savepoints", {{"target-directory", OptionalPath(directory)},
                                                 {"cancel-job", cancel_job},
                                                 {"formatType", ToString(format)}}));
}

StatusOr<std::string> ClusterClient::TriggerStop(const JobId& job,
                                                 const std::optional<std::string>& directory,
                                                 SavepointFormat format, bool drain) {
  RETURN_IF_ERROR(CheckDirectory(directory));
  return TriggerId(
      rest_->Post(JobPath(job) + "/stop", {{"targetDirectory", OptionalPath(directory)},
                                           {"drain", drain},
                                           {"formatType", ToString(format)}}));
}

StatusOr<std::string> ClusterClient::TriggerCheckpoint(const JobId& job, bool full) {
  return TriggerId(rest_->Post(JobPath(job) + "/checkpoints",
                               {{"checkpointType", full ? "FULL" : "CONFIGURED"}}));
}

StatusOr<std::string> ClusterClient::TriggerDisposal(const std::string& path) {
  return TriggerId(
      rest_->Post("/v1/savepoint-disposal", {{"savepoint-path", io::AbsolutePath(path)}}));
}

StatusOr<std::optional<Json>> ClusterClient::PollOperation(const std::string& path) {
  ASSIGN_OR_RETURN(const Json answer, rest_->Get(path));
  if (StatusAt(answer) != "COMPLETED") return std::optional<Json>();
  const auto operation = answer.find("operation");
  if (operation == answer.end() || !operation->is_object()) {
    return std::optional<Json>(Json::object());
  }
  RETURN_IF_ERROR(OperationFailure(*operation));
  return std::optional<Json>(*operation);
}

StatusOr<Json> ClusterClient::WaitForOperation(const std::string& path, const Waiting& waiting) {
  const auto deadline = Clock::now() + timeout_;
  for (Backoff backoff(milliseconds(200)); true; backoff.Wait()) {
    ASSIGN_OR_RETURN(std::optional<Json> result, PollOperation(path));
    if (result.has_value()) return *std::move(result);
    if (waiting.guard != nullptr && waiting.guard->interrupted()) {
      return MakeStatus(absl::StatusCode::kAborted,
                        "Interrupted: {} goes on without this client, {}.", waiting.what,
                        waiting.hint);
    }
    if (Clock::now() >= deadline) {
      return MakeStatus(absl::StatusCode::kDeadlineExceeded,
                        "no result after {} s (client.timeout); {} goes on, {}",
                        std::chrono::duration<double>(timeout_).count(), waiting.what,
                        waiting.hint);
    }
    if (waiting.meanwhile) waiting.meanwhile();
  }
}

StatusOr<std::optional<std::string>> ClusterClient::PollSavepoint(const JobId& job,
                                                                  const std::string& trigger_id) {
  ASSIGN_OR_RETURN(const std::optional<Json> result,
                   PollOperation(JobPath(job) + "/savepoints/" + trigger_id));
  if (!result.has_value()) return std::optional<std::string>();
  return std::optional<std::string>(TextAt(*result, "location"));
}

StatusOr<std::optional<SnapshotProgress>> ClusterClient::Progress(const std::string& operation) {
  ASSIGN_OR_RETURN(const Json answer, rest_->Get(operation + "/progress"));
  SnapshotProgress progress;
  const auto waiting = answer.find("waiting");
  progress.waiting = waiting != answer.end() && *waiting == true;
  const auto snapshot = answer.find("checkpoint");
  if (snapshot != answer.end() && snapshot->is_object()) {
    progress.subtasks = NumberAt(*snapshot, "num_subtasks");
    progress.acknowledged = NumberAt(*snapshot, "num_acknowledged_subtasks");
    progress.bytes = NumberAt(*snapshot, "state_size");
  } else if (!progress.waiting) {
    return std::optional<SnapshotProgress>();
  }
  return std::optional<SnapshotProgress>(progress);
}

StatusOr<std::optional<SnapshotProgress>> ClusterClient::SavepointProgress(
    const JobId& job, const std::string& trigger_id) {
  return Progress(JobPath(job) + "/savepoints/" + trigger_id);
}

void ClusterClient::ShowProgress(const std::string& operation, ProgressLine& progress) {
  if (!progress.visible()) return;
  // Decoration: when the question fails, the operation's own answer says why.
  const auto found = Progress(operation);
  if (found.ok() && found->has_value()) progress.Show(ToString(**found));
}

StatusOr<std::string> ClusterClient::WaitForSavepoint(const JobId& job,
                                                      const std::string& trigger_id,
                                                      const std::string& what,
                                                      ProgressLine& progress) {
  const std::string operation = JobPath(job) + "/savepoints/" + trigger_id;
  const InterruptGuard guard;
  const auto result = WaitForOperation(
      operation,
      {what,
       fmt::format("\"flink savepoint --status {} {}\" says how it ends", trigger_id, job.ToHex()),
       [&] { ShowProgress(operation, progress); }, &guard});
  progress.Clear();
  if (!result.ok()) return result.status();
  return TextAt(*result, "location");
}

StatusOr<int64_t> ClusterClient::WaitForCheckpoint(const JobId& job, const std::string& trigger_id,
                                                   ProgressLine& progress) {
  const std::string operation = JobPath(job) + "/checkpoints/" + trigger_id;
  const InterruptGuard guard;
  const auto result =
      WaitForOperation(operation, {"the checkpoint", "the JobManager's log says how it ends",
                                   [&] { ShowProgress(operation, progress); }, &guard});
  progress.Clear();
  if (!result.ok()) return result.status();
  return NumberAt(*result, "checkpointId");
}

Status ClusterClient::WaitForDisposal(const std::string& trigger_id) {
  Status status =
      WaitForOperation("/v1/savepoint-disposal/" + trigger_id,
                       {"the disposal", "the JobManager's log says how it ends", {}, nullptr})
          .status();
  const std::string trace = Details(status);
  const size_t cause = trace.find("\nCaused by: ");
  if (!absl::IsInternal(status) || cause == std::string::npos) return status;
  return WithDetails(
      MakeStatus(status.code(), "{}", CauseText(std::string_view(trace).substr(cause))), trace);
}

}  // namespace flink::cli
