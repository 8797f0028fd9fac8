#include "jobmanager/rest/job_json.h"

#include <gtest/gtest.h>

#include "jobmanager/rest/checkpoint_json.h"
#include "jobmanager/rest/rest_router.h"

namespace flink::jobmanager {
namespace {

std::vector<std::string> Keys(const Json& json) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : json.items()) keys.push_back(key);
  return keys;
}

JobDetails RunningJob() {
  JobDetails job;
  job.id = JobId::FromHex("9fdb7479b9beecaf2e86b6af6f54f1e1").value();
  job.name = "Record job";
  job.status = JobStatus::kRunning;
  job.timestamps[static_cast<size_t>(JobStatus::kInitializing)] = 100;
  job.timestamps[static_cast<size_t>(JobStatus::kCreated)] = 110;
  job.timestamps[static_cast<size_t>(JobStatus::kRunning)] = 150;
  for (const char* id : {"ca88eee0095684d687a1b6495617f957", "239c254b5ff89532b198266322bc819f"}) {
    VertexDetails vertex;
    vertex.id = JobVertexId::FromHex(id).value();
    vertex.name = id[0] == 'c' ? "Source: Numbers" : "Sum -> Text";
    vertex.operator_names = {"Sum", "Text", "Out: Writer"};
    vertex.parallelism = 2;
    vertex.subtasks.resize(2);
    for (SubtaskDetails& subtask : vertex.subtasks) {
      subtask.state = ExecutionState::kRunning;
      subtask.task_manager_id = "localhost:1-a07e62";
      subtask.host = "localhost";
      subtask.timestamps[static_cast<size_t>(ExecutionState::kCreated)] = 110;
      subtask.timestamps[static_cast<size_t>(ExecutionState::kScheduled)] = 112;
      subtask.timestamps[static_cast<size_t>(ExecutionState::kDeploying)] = 120;
      subtask.timestamps[static_cast<size_t>(ExecutionState::kInitializing)] = 130;
      subtask.timestamps[static_cast<size_t>(ExecutionState::kRunning)] = 150;
    }
    job.vertices.push_back(std::move(vertex));
  }
  graph::JobEdge edge;
  edge.target_vertex = 1;
  edge.ship_strategy = graph::ShipStrategy::kHash;
  job.edges = {edge};
  return job;
}

using Names = std::vector<std::string>;

TEST(JobJsonTest, JobHasFlinksFieldsInOrder) {
  const Json json = JobJson(RunningJob(), 1000);
  EXPECT_EQ(Keys(json), (Names{"jid", "name", "isStoppable", "state", "job-type", "start-time",
                               "end-time", "duration", "maxParallelism", "now", "timestamps",
                               "vertices", "status-counts", "plan"}));
  EXPECT_EQ(json["duration"], 900);
  EXPECT_EQ(json["end-time"], -1);
  EXPECT_EQ(json["status-counts"]["RUNNING"], 2);
  const Json& vertex = json["vertices"][0];
  EXPECT_EQ(Keys(vertex),
            (Names{"id", "slotSharingGroupId", "name", "maxParallelism", "parallelism", "status",
                   "start-time", "end-time", "duration", "tasks", "metrics"}));
  EXPECT_EQ(vertex["start-time"], 120);
  EXPECT_EQ(Keys(json["timestamps"]),
            (Names{"CANCELED", "INITIALIZING", "CREATED", "RUNNING", "RECONCILING", "RESTARTING",
                   "FAILED", "SUSPENDED", "CANCELLING", "FAILING", "FINISHED"}));
}

TEST(JobJsonTest, PlanNamesSinksFirstAndTheirInputs) {
  const Json plan = JobPlanJson(RunningJob());
  EXPECT_EQ(Keys(plan), (Names{"jid", "name", "type", "nodes"}));
  EXPECT_EQ(Keys(plan["nodes"][0]), (Names{"id", "parallelism", "operator", "operator_strategy",
                                           "description", "inputs", "optimizer_properties"}));
  EXPECT_EQ(plan["nodes"][0]["description"], "Sum<br/>+- Text<br/>   +- Out: Writer<br/>");
  EXPECT_EQ(plan["nodes"][0]["inputs"][0]["ship_strategy"], "HASH");
  EXPECT_FALSE(plan["nodes"][1].contains("inputs"));
}

TEST(JobJsonTest, OverviewCountsTasks) {
  const Json json = JobsOverviewJson({std::make_shared<JobDetails>(RunningJob())}, 1000);
  EXPECT_EQ(Keys(json["jobs"][0]), (Names{"jid", "name", "start-time", "end-time", "duration",
                                          "state", "last-modification", "tasks"}));
  EXPECT_EQ(json["jobs"][0]["tasks"]["total"], 4);
  EXPECT_EQ(json["jobs"][0]["tasks"]["running"], 4);
}

TEST(JobJsonTest, VertexShowsSubtasksAndHowLongTheyWereInEachState) {
  const JobDetails job = RunningJob();
  const Json json = VertexJson(job, job.vertices[0].id, 1000);
  EXPECT_EQ(Keys(json), (Names{"id", "name", "parallelism", "maxParallelism", "now", "subtasks",
                               "aggregated"}));
  EXPECT_EQ(Keys(json["subtasks"][0]),
            (Names{"subtask", "status", "attempt", "host", "endpoint", "start-time", "end-time",
                   "duration", "metrics", "taskmanager-id", "status-duration", "start_time"}));
  EXPECT_EQ(json["subtasks"][0]["status-duration"].dump(),
            R"({"SCHEDULED":8,"RUNNING":850,"DEPLOYING":10,"INITIALIZING":20,"CREATED":2})");
  EXPECT_TRUE(VertexJson(job, JobVertexId(), 1000).is_null());
}

TEST(JobJsonTest, ExceptionsOfAFailedJob) {
  JobDetails job = RunningJob();
  EXPECT_EQ(JobExceptionsJson(job, 16).dump(),
            R"({"root-exception":null,"timestamp":null,"all-exceptions":[],"truncated":false,)"
            R"("exceptionHistory":{"entries":[],"truncated":false}})");
  ExceptionEntry entry{"org.X", "bad", 7, "Sum (1/2) - execution #0", "localhost:1", "tm", {}};
  job.exceptions = {entry};
  const Json json = JobExceptionsJson(job, 16);
  EXPECT_EQ(json["root-exception"], "org.X: bad\n");
  EXPECT_EQ(json["all-exceptions"][0]["task"], "Sum (1/2)");
  EXPECT_EQ(Keys(json["exceptionHistory"]["entries"][0]),
            (Names{"exceptionName", "stacktrace", "timestamp", "failureLabels", "taskName",
                   "location", "endpoint", "taskManagerId", "concurrentExceptions"}));
}

TEST(JobJsonTest, ExecutionResult) {
  JobDetails job = RunningJob();
  EXPECT_EQ(JobExecutionResultJson(job).dump(), R"({"status":{"id":"IN_PROGRESS"}})");
  job.status = JobStatus::kCanceled;
  job.timestamps[static_cast<size_t>(JobStatus::kCanceled)] = 400;
  EXPECT_EQ(JobExecutionResultJson(job)["job-execution-result"].dump(),
            R"({"id":"9fdb7479b9beecaf2e86b6af6f54f1e1","application-status":"CANCELED",)"
            R"("accumulator-results":{},"net-runtime":300})");
}

TEST(JobJsonTest, MetricsAreTextsAndUnknownOnesAreLeftOut) {
  const auto metrics = JobMetrics(RunningJob(), nullptr, 1000);
  EXPECT_EQ(metrics.size(), 23u);
  EXPECT_EQ(MetricsJson(metrics, "uptime,noSuchMetric").dump(),
            R"([{"id":"uptime","value":"850"}])");
  EXPECT_EQ(MetricsJson(metrics, "").size(), 23u);
}

TEST(CheckpointJsonTest, EmptyStatistics) {
  const Json json = CheckpointsJson(CheckpointStatistics());
  EXPECT_EQ(Keys(json), (Names{"counts", "summary", "latest", "history"}));
  EXPECT_EQ(
      json["summary"]["state_size"].dump(),
      R"({"min":0,"max":0,"avg":0,"p50":"NaN","p90":"NaN","p95":"NaN","p99":"NaN","p999":"NaN"})");
  EXPECT_EQ(json["latest"].dump(),
            R"({"completed":null,"savepoint":null,"failed":null,"restored":null})");
}

TEST(CheckpointJsonTest, CompletedSavepoint) {
  CheckpointStats stats;
  stats.id = 6;
  stats.kind = SnapshotKind::kSavepoint;
  stats.format = SavepointFormat::kNative;
  stats.status = CheckpointStatsStatus::kCompleted;
  stats.external_path = "file:/sp";
  const Json json = CheckpointJson(stats, true);
  EXPECT_EQ(Keys(json),
            (Names{"className", "id", "status", "is_savepoint", "savepointFormat",
                   "trigger_timestamp", "latest_ack_timestamp", "checkpointed_size", "state_size",
                   "end_to_end_duration", "alignment_buffered", "processed_data", "persisted_data",
                   "num_subtasks", "num_acknowledged_subtasks", "checkpoint_type", "tasks",
                   "external_path", "discarded"}));
  EXPECT_EQ(json["savepointFormat"], "NATIVE");
}

// Order, nesting and the absence of percentiles as recorded of Flink 1.20.
TEST(CheckpointJsonTest, SubtasksOfAVertexWithWhatTheyMeasured) {
  const JobVertexId id = JobVertexId::FromHex("239c254b5ff89532b198266322bc819f").value();
  CheckpointPlan plan;
  plan.vertices.push_back({id, 2, true, "Source: Numbers"});
  CheckpointStatistics statistics;
  statistics.OnTriggered(11, SnapshotKind::kCheckpoint, SavepointFormat::kNative, false, plan, 100);
  SubtaskMetrics metrics;
  metrics.checkpointed_size = 3296;
  metrics.sync_duration_ms = 3;
  metrics.async_duration_ms = 7;
  metrics.alignment_duration_ms = 4;
  metrics.start_delay_ms = 5;
  statistics.OnAcknowledged(11, {id, 1}, metrics, 116);
  const Json json = CheckpointSubtasksJson(*statistics.Find(11), id);
  EXPECT_EQ(
      json["subtasks"].dump(),
      R"([{"className":"pending","index":0,"status":"pending_or_failed"},)"
      R"({"className":"completed","index":1,"ack_timestamp":116,"end_to_end_duration":16,)"
      R"("checkpointed_size":3296,"state_size":0,"checkpoint":{"sync":3,"async":7},)"
      R"("alignment":{"buffered":0,"processed":0,"persisted":0,"duration":4},)"
      R"("start_delay":5,"unaligned_checkpoint":false,"aborted":false,"status":"completed"}])");
  EXPECT_EQ(json["summary"]["checkpoint_duration"]["sync"].dump(),
            R"({"min":3,"max":3,"avg":3,"p50":"NaN","p90":"NaN","p95":"NaN","p99":"NaN",)"
            R"("p999":"NaN"})");
  EXPECT_EQ(Keys(json["summary"]), (Names{"checkpointed_size", "state_size", "end_to_end_duration",
                                          "checkpoint_duration", "alignment", "start_delay"}));
  EXPECT_EQ(json["num_acknowledged_subtasks"], 1);
  EXPECT_TRUE(CheckpointSubtasksJson(*statistics.Find(11), JobVertexId()).is_null());
}

TEST(CheckpointJsonTest, ConfigOfAJobWithoutPeriodicCheckpoints) {
  JobDetails job = RunningJob();
  job.private_checkpoints = true;
  const Json json = CheckpointsConfigJson(job);
  EXPECT_EQ(json["mode"], "at_least_once");
  EXPECT_EQ(json["interval"], 9223372036854775807);
  EXPECT_EQ(json["checkpoint_storage"], "JobManagerCheckpointStorage");
}

TEST(RestResponseTest, SerializedThrowableStartsAsFlinksDoes) {
  // The first bytes of a recorded answer of Apache Flink.
  const Json json = SerializedThrowableJson("java.io.IOException", "broken");
  const std::string text = json["serialized-throwable"];
  EXPECT_EQ(text.compare(0, 88,
                         "rO0ABXNyAClvcmcuYXBhY2hlLmZsaW5rLnV0aWwuU2VyaWFsaXplZFRocm93YWJsZWUWnf"
                         "UfpxPzAgADTAAZZnVs",
                         0, 88),
            0);
  const std::string bytes = SerializedThrowableBytes("C", "m", "trace");
  EXPECT_EQ(bytes.size(), 378u + 4 + 100 + 8 + 4 + 1);
  EXPECT_EQ(bytes.substr(378, 4), std::string("\x74\x00\x01m", 4));
}

TEST(RestResponseTest, Base64Pads) {
  EXPECT_EQ(Base64(""), "");
  EXPECT_EQ(Base64("a"), "YQ==");
  EXPECT_EQ(Base64("ab"), "YWI=");
  EXPECT_EQ(Base64("abc"), "YWJj");
}

TEST(RestResponseTest, OperationsAsFlinkPollsThem) {
  Operation operation;
  EXPECT_EQ(OperationJson(OperationKind::kSavepoint, operation).dump(),
            R"({"status":{"id":"IN_PROGRESS"},"operation":null})");
  operation.completed = true;
  operation.location = "file:/sp";
  operation.checkpoint_id = 8;
  EXPECT_EQ(OperationJson(OperationKind::kSavepoint, operation).dump(),
            R"({"status":{"id":"COMPLETED"},"operation":{"location":"file:/sp"}})");
  EXPECT_EQ(OperationJson(OperationKind::kCheckpoint, operation).dump(),
            R"({"status":{"id":"COMPLETED"},"operation":{"checkpointId":8}})");
  EXPECT_EQ(OperationJson(OperationKind::kDisposal, operation).dump(),
            R"({"status":{"id":"COMPLETED"},"operation":{}})");
  operation.failure = OperationFailure{"X", "y"};
  EXPECT_TRUE(
      OperationJson(OperationKind::kCheckpoint, operation)["operation"].contains("failureCause"));
  EXPECT_TRUE(
      OperationJson(OperationKind::kSavepoint, operation)["operation"].contains("failure-cause"));
}

TEST(RestRouterTest, PrefixSlashesAndParameters) {
  RestRouter router;
  router.Add("GET", "/jobs/:jobid", [](const RestRequest& r) {
    return RestResponse{200, r.parameters.at("jobid")};
  });
  router.Add("GET", "/jobs/overview", [](const RestRequest&) { return RestResponse{200, "all"}; });
  const auto get = [&](const std::string& method, const std::string& path) {
    RestRequest request;
    request.method = method;
    request.path = path;
    return router.Route(request);
  };
  EXPECT_EQ(get("GET", "/v1/jobs/x").body, "x");
  EXPECT_EQ(get("GET", "//jobs/overview/").body, "all");
  EXPECT_EQ(get("GET", "/frobnicate").body,
            R"({"errors":["Unable to load requested file /frobnicate."]})");
  EXPECT_EQ(get("POST", "/jobs/x").status, 404);
  EXPECT_EQ(get("DELETE", "/jobs/x").body, R"({"errors":["Not found: /jobs/x"]})");
}

}  // namespace
}  // namespace flink::jobmanager
