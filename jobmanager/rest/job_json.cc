#include "jobmanager/rest/job_json.h"

#include <algorithm>
#include <array>
#include <set>
#include <sstream>

#include "jobmanager/checkpoint/checkpoint_statistics.h"

namespace flink::jobmanager {
namespace {

using E = ExecutionState;
using J = JobStatus;

constexpr std::array<J, kJobStatusCount> kTimestampOrder = {
    J::kCanceled, J::kInitializing, J::kCreated,    J::kRunning, J::kReconciling, J::kRestarting,
    J::kFailed,   J::kSuspended,    J::kCancelling, J::kFailing, J::kFinished};
constexpr std::array<E, kExecutionStateCount> kCountOrder = {
    E::kScheduled,   E::kFinished,  E::kRunning, E::kCanceling,    E::kCanceled,
    E::kReconciling, E::kDeploying, E::kFailed,  E::kInitializing, E::kCreated};
constexpr std::array<E, 5> kDurationOrder = {E::kScheduled, E::kRunning, E::kDeploying,
                                             E::kInitializing, E::kCreated};

std::string Lower(std::string_view text) {
  std::string lower(text);
  for (char& c : lower) c = static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  return lower;
}

Json CountsJson(const std::vector<E>& states) {
  Json json;
  for (const E state : kCountOrder) {
    json[std::string(NameOf(state))] = std::count(states.begin(), states.end(), state);
  }
  return json;
}

std::vector<E> StatesOf(const VertexDetails& vertex) {
  std::vector<E> states;
  for (const SubtaskDetails& subtask : vertex.subtasks) states.push_back(subtask.state);
  return states;
}

Json IoJson(const IoMetrics& metrics) {
  Json json;
  json["read-bytes"] = metrics.bytes_in;
  json["read-bytes-complete"] = true;
  json["write-bytes"] = metrics.bytes_out;
  json["write-bytes-complete"] = true;
  json["read-records"] = metrics.records_in;
  json["read-records-complete"] = true;
  json["write-records"] = metrics.records_out;
  json["write-records-complete"] = true;
  json["accumulated-backpressured-time"] = 0;
  json["accumulated-idle-time"] = 0;
  json["accumulated-busy-time"] = 0.0;
  return json;
}

struct Span {
  int64_t start = -1;
  int64_t end = -1;
  int64_t duration = -1;
};

Span SpanOf(const VertexDetails& vertex, int64_t now_ms) {
  Span span;
  bool ended = !vertex.subtasks.empty();
  int64_t last = -1;
  for (const SubtaskDetails& subtask : vertex.subtasks) {
    const int64_t start = subtask.start_ms();
    if (start >= 0) span.start = span.start < 0 ? start : std::min(span.start, start);
    if (subtask.end_ms() < 0) ended = false;
    last = std::max(last, subtask.end_ms());
  }
  if (span.start < 0) return span;
  if (ended) span.end = last;
  span.duration = (ended ? last : now_ms) - span.start;
  return span;
}

Json VertexSummaryJson(const JobDetails& job, const VertexDetails& vertex, int64_t now_ms) {
  const Span span = SpanOf(vertex, now_ms);
  IoMetrics sum;
  for (const SubtaskDetails& subtask : vertex.subtasks) {
    sum.records_in += subtask.metrics.records_in;
    sum.records_out += subtask.metrics.records_out;
    sum.bytes_in += subtask.metrics.bytes_in;
    sum.bytes_out += subtask.metrics.bytes_out;
  }
  Json json;
  json["id"] = vertex.id.ToHex();
  json["slotSharingGroupId"] = job.id.ToHex();  // There is one group per job.
  json["name"] = vertex.name;
  json["maxParallelism"] = vertex.max_parallelism;
  json["parallelism"] = vertex.parallelism;
  json["status"] = NameOf(vertex.state());
  json["start-time"] = span.start;
  json["end-time"] = span.end;
  json["duration"] = span.duration;
  json["tasks"] = CountsJson(StatesOf(vertex));
  json["metrics"] = IoJson(sum);
  return json;
}

// "Sum<br/>+- Text<br/>   +- Out: Writer<br/>"
std::string DescriptionOf(const VertexDetails& vertex) {
  std::string text;
  for (size_t i = 0; i < vertex.operator_names.size(); ++i) {
    if (i > 0) text += std::string(3 * (i - 1), ' ') + "+- ";
    text += vertex.operator_names[i] + "<br/>";
  }
  return text;
}

// How long the attempt was in a state; 0 when it never was.
int64_t DurationIn(const SubtaskDetails& subtask, E state, int64_t now_ms) {
  const int64_t entered = subtask.timestamps[static_cast<size_t>(state)];
  if (entered == 0) return 0;
  if (subtask.state == state) return now_ms - entered;
  int64_t left = now_ms;
  static constexpr std::array<E, 9> kOrder = {E::kCreated,      E::kScheduled, E::kDeploying,
                                              E::kInitializing, E::kRunning,   E::kCanceling,
                                              E::kFinished,     E::kCanceled,  E::kFailed};
  const auto position = std::find(kOrder.begin(), kOrder.end(), state);
  for (auto later = position + 1; later < kOrder.end(); ++later) {
    const int64_t at = subtask.timestamps[static_cast<size_t>(*later)];
    if (at != 0) left = std::min(left, at);
  }
  return std::max<int64_t>(0, left - entered);
}

Json SubtaskJson(const SubtaskDetails& subtask, int index, int64_t now_ms) {
  const int64_t start = subtask.start_ms();
  const int64_t end = subtask.end_ms();
  const bool assigned = !subtask.task_manager_id.empty();
  Json json;
  json["subtask"] = index;
  json["status"] = NameOf(subtask.state);
  json["attempt"] = subtask.attempt;
  json["host"] = assigned ? subtask.host : "(unassigned)";
  json["endpoint"] =
      assigned ? fmt::format("{}:{}", subtask.host, subtask.data_port) : "(unassigned)";
  json["start-time"] = start;
  json["end-time"] = end;
  json["duration"] = start < 0 ? -1 : (end < 0 ? now_ms : end) - start;
  json["metrics"] = IoJson(subtask.metrics);
  json["taskmanager-id"] = assigned ? subtask.task_manager_id : "(unassigned)";
  Json durations;
  for (const E state : kDurationOrder) {
    durations[std::string(NameOf(state))] = DurationIn(subtask, state, now_ms);
  }
  json["status-duration"] = std::move(durations);
  json["start_time"] = start;
  return json;
}

Json AggregateJson(std::vector<int64_t> values) {
  std::sort(values.begin(), values.end());
  const auto at = [&](double p) {
    if (values.empty()) return int64_t{0};
    return values[std::min(values.size() - 1,
                           static_cast<size_t>(p * static_cast<double>(values.size())))];
  };
  int64_t sum = 0;
  for (const int64_t value : values) sum += value;
  const int64_t count = static_cast<int64_t>(values.size());
  Json json;
  json["p25"] = at(0.25);
  json["min"] = at(0);
  json["avg"] = count == 0 ? 0 : sum / count;
  json["median"] = at(0.5);
  json["max"] = at(1);
  json["sum"] = sum;
  json["p95"] = at(0.95);
  json["p75"] = at(0.75);
  return json;
}

Json AggregatedJson(const VertexDetails& vertex, int64_t now_ms) {
  const auto metric = [&](auto get) {
    std::vector<int64_t> values;
    for (const SubtaskDetails& subtask : vertex.subtasks) values.push_back(get(subtask.metrics));
    return AggregateJson(std::move(values));
  };
  const auto zero = [](const IoMetrics&) { return int64_t{0}; };
  Json metrics;
  metrics["write-records"] = metric([](const IoMetrics& m) { return m.records_out; });
  metrics["accumulated-backpressured-time"] = metric(zero);
  metrics["accumulated-idle-time"] = metric(zero);
  metrics["write-bytes"] = metric([](const IoMetrics& m) { return m.bytes_out; });
  metrics["read-bytes"] = metric([](const IoMetrics& m) { return m.bytes_in; });
  metrics["read-records"] = metric([](const IoMetrics& m) { return m.records_in; });
  metrics["accumulated-busy-time"] = metric(zero);
  Json durations;
  for (const E state : {E::kCreated, E::kRunning, E::kInitializing, E::kScheduled, E::kDeploying}) {
    std::vector<int64_t> values;
    for (const SubtaskDetails& subtask : vertex.subtasks) {
      values.push_back(DurationIn(subtask, state, now_ms));
    }
    durations[std::string(NameOf(state))] = AggregateJson(std::move(values));
  }
  Json json;
  json["metrics"] = std::move(metrics);
  json["status-duration"] = std::move(durations);
  return json;
}

std::string TraceOf(const ExceptionEntry& entry) {
  return entry.class_name + ": " + entry.message + "\n";
}

Json ExceptionJson(const ExceptionEntry& entry, bool nested) {
  Json json;
  json["exceptionName"] = entry.class_name;
  json["stacktrace"] = TraceOf(entry);
  json["timestamp"] = entry.timestamp_ms;
  json["failureLabels"] = Json::object();
  if (!entry.task_name.empty()) json["taskName"] = entry.task_name;
  if (!entry.location.empty()) {
    json["location"] = entry.location;
    json["endpoint"] = entry.location;
  }
  if (!entry.task_manager_id.empty()) json["taskManagerId"] = entry.task_manager_id;
  if (nested) return json;
  json["concurrentExceptions"] = Json::array();
  for (const ExceptionEntry& other : entry.concurrent) {
    json["concurrentExceptions"].push_back(ExceptionJson(other, true));
  }
  return json;
}

Json TaskFailureJson(const ExceptionEntry& entry) {
  const auto or_unassigned = [](const std::string& text) {
    return text.empty() ? std::string("(unassigned)") : text;
  };
  Json json;
  json["exception"] = TraceOf(entry);
  json["task"] = entry.task_name.substr(0, entry.task_name.find(" - execution #"));
  json["location"] = or_unassigned(entry.location);
  json["endpoint"] = or_unassigned(entry.location);
  json["timestamp"] = entry.timestamp_ms;
  json["taskManagerId"] = or_unassigned(entry.task_manager_id);
  return json;
}

}  // namespace

Json JobsJson(const JobDetailsList& jobs) {
  Json list = Json::array();
  for (const auto& job : jobs) {
    list.push_back({{"id", job->id.ToHex()}, {"status", NameOf(job->status)}});
  }
  return {{"jobs", std::move(list)}};
}

Json JobsOverviewJson(const JobDetailsList& jobs, int64_t now_ms) {
  Json list = Json::array();
  for (const auto& job : jobs) {
    std::vector<E> states;
    for (const VertexDetails& vertex : job->vertices) {
      const std::vector<E> of_vertex = StatesOf(vertex);
      states.insert(states.end(), of_vertex.begin(), of_vertex.end());
    }
    Json tasks;
    for (const E state : {E::kRunning, E::kCanceling, E::kCanceled}) {
      tasks[Lower(NameOf(state))] = std::count(states.begin(), states.end(), state);
    }
    tasks["total"] = states.size();
    for (const E state : {E::kCreated, E::kScheduled, E::kDeploying, E::kReconciling, E::kFinished,
                          E::kInitializing, E::kFailed}) {
      tasks[Lower(NameOf(state))] = std::count(states.begin(), states.end(), state);
    }
    const int64_t end = job->end_ms();
    Json json;
    json["jid"] = job->id.ToHex();
    json["name"] = job->name;
    json["start-time"] = job->start_ms();
    json["end-time"] = end;
    json["duration"] = (end < 0 ? now_ms : end) - job->start_ms();
    json["state"] = NameOf(job->status);
    json["last-modification"] = job->last_modification_ms();
    json["tasks"] = std::move(tasks);
    list.push_back(std::move(json));
  }
  return {{"jobs", std::move(list)}};
}

Json JobPlanJson(const JobDetails& job) {
  Json nodes = Json::array();
  for (size_t v = job.vertices.size(); v-- > 0;) {  // Sinks first.
    const VertexDetails& vertex = job.vertices[v];
    Json node;
    node["id"] = vertex.id.ToHex();
    node["parallelism"] = vertex.parallelism;
    node["operator"] = "";
    node["operator_strategy"] = "";
    node["description"] = DescriptionOf(vertex);
    Json inputs = Json::array();
    for (const graph::JobEdge& edge : job.edges) {
      if (edge.target_vertex != static_cast<int>(v)) continue;
      inputs.push_back({{"num", inputs.size()},
                        {"id", job.vertices[static_cast<size_t>(edge.source_vertex)].id.ToHex()},
                        {"ship_strategy", graph::ToString(edge.ship_strategy)},
                        {"exchange", "pipelined_bounded"}});
    }
    if (!inputs.empty()) node["inputs"] = std::move(inputs);
    node["optimizer_properties"] = Json::object();
    nodes.push_back(std::move(node));
  }
  Json plan;
  plan["jid"] = job.id.ToHex();
  plan["name"] = job.name;
  plan["type"] = "STREAMING";
  plan["nodes"] = std::move(nodes);
  return plan;
}

Json JobJson(const JobDetails& job, int64_t now_ms) {
  const int64_t end = job.end_ms();
  Json json;
  json["jid"] = job.id.ToHex();
  json["name"] = job.name;
  json["isStoppable"] = false;
  json["state"] = NameOf(job.status);
  json["job-type"] = "STREAMING";
  json["start-time"] = job.start_ms();
  json["end-time"] = end;
  json["duration"] = (end < 0 ? now_ms : end) - job.start_ms();
  json["maxParallelism"] = job.max_parallelism;
  json["now"] = now_ms;
  Json timestamps;
  for (const J status : kTimestampOrder) {
    timestamps[std::string(NameOf(status))] = job.timestamps[static_cast<size_t>(status)];
  }
  json["timestamps"] = std::move(timestamps);
  json["vertices"] = Json::array();
  std::vector<E> states;
  for (const VertexDetails& vertex : job.vertices) {
    json["vertices"].push_back(VertexSummaryJson(job, vertex, now_ms));
    states.push_back(vertex.state());
  }
  json["status-counts"] = CountsJson(states);
  json["plan"] = JobPlanJson(job);
  return json;
}

Json JobConfigJson(const JobDetails& job) {
  Json config;
  config["execution-mode"] = "PIPELINED";
  config["restart-strategy"] = "Cluster level default restart strategy";
  config["job-parallelism"] = job.options.default_parallelism;
  config["object-reuse-mode"] = job.options.object_reuse;
  config["user-config"] = Json::object();
  Json json;
  json["jid"] = job.id.ToHex();
  json["name"] = job.name;
  json["execution-config"] = std::move(config);
  return json;
}

Json JobExceptionsJson(const JobDetails& job, size_t max) {
  Json json;
  json["root-exception"] = nullptr;
  json["timestamp"] = nullptr;
  json["all-exceptions"] = Json::array();
  if (!job.exceptions.empty()) {
    const ExceptionEntry& root = job.exceptions.front();
    json["root-exception"] = TraceOf(root);
    json["timestamp"] = root.timestamp_ms;
    if (!root.task_name.empty()) json["all-exceptions"].push_back(TaskFailureJson(root));
    for (const ExceptionEntry& entry : root.concurrent) {
      if (!entry.task_name.empty()) json["all-exceptions"].push_back(TaskFailureJson(entry));
    }
  }
  json["truncated"] = false;
  Json entries = Json::array();
  for (const ExceptionEntry& entry : job.exceptions) {
    if (entries.size() < max) entries.push_back(ExceptionJson(entry, false));
  }
  json["exceptionHistory"]["entries"] = std::move(entries);
  json["exceptionHistory"]["truncated"] = job.exceptions.size() > max;
  return json;
}

Json JobExecutionResultJson(const JobDetails& job) {
  Json json;
  if (!IsTerminal(job.status)) {
    json["status"]["id"] = "IN_PROGRESS";
    return json;
  }
  json["status"]["id"] = "COMPLETED";
  const char* application_status = "UNKNOWN";
  if (job.status == J::kFinished) application_status = "SUCCEEDED";
  if (job.status == J::kFailed) application_status = "FAILED";
  if (job.status == J::kCanceled) application_status = "CANCELED";
  Json result;
  result["id"] = job.id.ToHex();
  result["application-status"] = application_status;
  result["accumulator-results"] = Json::object();
  result["net-runtime"] = job.end_ms() - job.start_ms();
  if (job.status == J::kFailed && job.failure.has_value()) {
    result["failure-cause"] =
        SerializedThrowableJson(job.failure->class_name, job.failure->message);
  }
  json["job-execution-result"] = std::move(result);
  return json;
}

Json AccumulatorsJson() {
  Json json;
  json["job-accumulators"] = Json::array();
  json["user-task-accumulators"] = Json::array();
  json["serialized-user-task-accumulators"] = Json::object();
  return json;
}

Json VertexJson(const JobDetails& job, const JobVertexId& id, int64_t now_ms) {
  for (const VertexDetails& vertex : job.vertices) {
    if (vertex.id != id) continue;
    Json json;
    json["id"] = vertex.id.ToHex();
    json["name"] = vertex.name;
    json["parallelism"] = vertex.parallelism;
    json["maxParallelism"] = vertex.max_parallelism;
    json["now"] = now_ms;
    json["subtasks"] = Json::array();
    for (size_t i = 0; i < vertex.subtasks.size(); ++i) {
      json["subtasks"].push_back(SubtaskJson(vertex.subtasks[i], static_cast<int>(i), now_ms));
    }
    json["aggregated"] = AggregatedJson(vertex, now_ms);
    return json;
  }
  return nullptr;
}

std::vector<std::pair<std::string, std::string>> JobMetrics(const JobDetails& job,
                                                            const CheckpointStatistics* checkpoints,
                                                            int64_t now_ms) {
  const CheckpointStatistics none;
  const CheckpointStatistics& stats = checkpoints == nullptr ? none : *checkpoints;
  const auto& counts = stats.counts();
  const auto& last = stats.latest_completed();
  const auto of_last = [&](auto get) { return std::to_string(last.has_value() ? get(*last) : -1); };
  const auto time_in = [&](J status) {
    return std::to_string(
        job.status == status ? now_ms - job.timestamps[static_cast<size_t>(status)] : 0);
  };
  const int64_t running_since = job.timestamps[static_cast<size_t>(J::kRunning)];
  const bool running = job.status == J::kRunning;
  return {
      {"numberOfFailedCheckpoints", std::to_string(counts.failed)},
      {"cancellingTime", time_in(J::kCancelling)},
      {"lastCheckpointSize", of_last([](const CheckpointStats& c) { return c.checkpointed_size; })},
      {"lastCheckpointExternalPath", last.has_value() ? last->external_path : "n/a"},
      {"totalNumberOfCheckpoints", std::to_string(counts.total)},
      {"lastCompletedCheckpointId", of_last([](const CheckpointStats& c) { return c.id; })},
      {"lastCheckpointRestoreTimestamp",
       std::to_string(stats.latest_restored().has_value()
                          ? stats.latest_restored()->restore_timestamp_ms
                          : -1)},
      {"failingTime", time_in(J::kFailing)},
      {"runningTime", time_in(J::kRunning)},
      {"uptime", std::to_string(running ? now_ms - running_since : 0)},
      {"restartingTime", time_in(J::kRestarting)},
      {"initializingTime", time_in(J::kInitializing)},
      {"numberOfInProgressCheckpoints", std::to_string(counts.in_progress)},
      {"downtime", time_in(J::kRestarting)},
      {"lastCheckpointProcessedData",
       of_last([](const CheckpointStats& c) { return c.processed_data; })},
      {"numberOfCompletedCheckpoints", std::to_string(counts.completed)},
      {"numRestarts", std::to_string(job.restarts)},
      {"deployingTime", "0"},
      {"lastCheckpointFullSize", of_last([](const CheckpointStats& c) { return c.state_size; })},
      {"fullRestarts", std::to_string(job.restarts)},
      {"createdTime", time_in(J::kCreated)},
      {"lastCheckpointDuration",
       of_last([](const CheckpointStats& c) { return c.end_to_end_duration_ms(); })},
      {"lastCheckpointPersistedData",
       of_last([](const CheckpointStats& c) { return c.persisted_data; })},
  };
}

Json MetricsJson(const std::vector<std::pair<std::string, std::string>>& metrics,
                 const std::string& names) {
  std::set<std::string> wanted;
  std::istringstream list(names);
  for (std::string name; std::getline(list, name, ',');) wanted.insert(name);
  Json json = Json::array();
  for (const auto& [name, value] : metrics) {
    if (wanted.empty()) {
      json.push_back({{"id", name}});
    } else if (wanted.count(name) != 0) {
      json.push_back({{"id", name}, {"value", value}});
    }
  }
  return json;
}

}  // namespace flink::jobmanager
