#include "jobmanager/rest/checkpoint_json.h"

#include <limits>

namespace flink::jobmanager {
namespace {

const char* StatusName(CheckpointStatsStatus status) {
  switch (status) {
    case CheckpointStatsStatus::kInProgress:
      return "IN_PROGRESS";
    case CheckpointStatsStatus::kCompleted:
      return "COMPLETED";
    case CheckpointStatsStatus::kFailed:
      return "FAILED";
  }
  return "FAILED";
}

const char* ClassName(CheckpointStatsStatus status) {
  switch (status) {
    case CheckpointStatsStatus::kInProgress:
      return "in_progress";
    case CheckpointStatsStatus::kCompleted:
      return "completed";
    case CheckpointStatsStatus::kFailed:
      return "failed";
  }
  return "failed";
}

Json SummaryJson(const StatsSummary& summary) {
  Json json;
  json["min"] = summary.min();
  json["max"] = summary.max();
  json["avg"] = summary.avg();
  const auto add = [&](const char* name, double p) {
    const std::optional<double> value = summary.Percentile(p);
    if (value.has_value()) {
      json[name] = *value;
    } else {
      json[name] = "NaN";
    }
  };
  add("p50", 0.5);
  add("p90", 0.9);
  add("p95", 0.95);
  add("p99", 0.99);
  add("p999", 0.999);
  return json;
}

// Over the subtasks of one checkpoint Flink keeps no percentiles.
Json SubtaskSummaryJson(const StatsSummary& summary) {
  Json json = {{"min", summary.min()}, {"max", summary.max()}, {"avg", summary.avg()}};
  for (const char* name : {"p50", "p90", "p95", "p99", "p999"}) json[name] = "NaN";
  return json;
}

Json ZeroSummaryJson() {
  Json json = {{"min", 0}, {"max", 0}, {"avg", 0}};
  for (const char* name : {"p50", "p90", "p95", "p99", "p999"}) json[name] = 0.0;
  return json;
}

Json VertexJsonOf(const CheckpointStats& checkpoint, const VertexCheckpointStats& vertex) {
  const bool all = vertex.num_acknowledged == static_cast<int>(vertex.subtasks.size());
  Json json;
  json["id"] = checkpoint.id;
  json["status"] = StatusName(all ? CheckpointStatsStatus::kCompleted : checkpoint.status);
  json["latest_ack_timestamp"] = vertex.latest_ack_timestamp_ms;
  json["checkpointed_size"] = vertex.checkpointed_size;
  json["state_size"] = vertex.state_size;
  json["end_to_end_duration"] =
      vertex.latest_ack_timestamp_ms < 0
          ? -1
          : vertex.latest_ack_timestamp_ms - checkpoint.trigger_timestamp_ms;
  json["alignment_buffered"] = 0;
  json["processed_data"] = vertex.processed_data;
  json["persisted_data"] = vertex.persisted_data;
  json["num_subtasks"] = vertex.subtasks.size();
  json["num_acknowledged_subtasks"] = vertex.num_acknowledged;
  return json;
}

Json OrNull(const std::optional<CheckpointStats>& checkpoint) {
  return checkpoint.has_value() ? CheckpointJson(*checkpoint, false) : Json(nullptr);
}

}  // namespace

Json CheckpointJson(const CheckpointStats& checkpoint, bool with_tasks) {
  const bool savepoint = IsSavepoint(checkpoint.kind);
  Json json;
  json["className"] = ClassName(checkpoint.status);
  json["id"] = checkpoint.id;
  json["status"] = StatusName(checkpoint.status);
  json["is_savepoint"] = savepoint;
  if (savepoint) {
    json["savepointFormat"] =
        checkpoint.format == SavepointFormat::kNative ? "NATIVE" : "CANONICAL";
  } else {
    json["savepointFormat"] = nullptr;
  }
  json["trigger_timestamp"] = checkpoint.trigger_timestamp_ms;
  json["latest_ack_timestamp"] = checkpoint.latest_ack_timestamp_ms;
  json["checkpointed_size"] = checkpoint.checkpointed_size;
  json["state_size"] = checkpoint.state_size;
  json["end_to_end_duration"] = checkpoint.end_to_end_duration_ms();
  json["alignment_buffered"] = 0;
  json["processed_data"] = checkpoint.processed_data;
  json["persisted_data"] = checkpoint.persisted_data;
  json["num_subtasks"] = checkpoint.num_subtasks;
  json["num_acknowledged_subtasks"] = checkpoint.num_acknowledged_subtasks;
  json["checkpoint_type"] = CheckpointTypeName(checkpoint.kind, checkpoint.unaligned);
  json["tasks"] = Json::object();
  if (with_tasks) {
    for (const auto& [id, vertex] : checkpoint.vertices) {
      json["tasks"][id.ToHex()] = VertexJsonOf(checkpoint, vertex);
    }
  }
  if (checkpoint.status == CheckpointStatsStatus::kCompleted) {
    json["external_path"] = checkpoint.external_path;
    json["discarded"] = checkpoint.discarded;
  } else if (checkpoint.status == CheckpointStatsStatus::kFailed) {
    json["failure_timestamp"] = checkpoint.failure_timestamp_ms;
    json["failure_message"] = checkpoint.failure_message;
  }
  return json;
}

Json CheckpointSubtasksJson(const CheckpointStats& checkpoint, const JobVertexId& vertex) {
  const auto found = checkpoint.vertices.find(vertex);
  if (found == checkpoint.vertices.end()) return nullptr;
  const auto since_trigger = [&](const SubtaskCheckpointStats& subtask) {
    return subtask.ack_timestamp_ms - checkpoint.trigger_timestamp_ms;
  };
  const auto over_subtasks = [&](auto value_of) {
    StatsSummary summary;
    for (const SubtaskCheckpointStats& subtask : found->second.subtasks) {
      if (subtask.acknowledged) summary.Add(value_of(subtask));
    }
    return SubtaskSummaryJson(summary);
  };
  const auto over_metric = [&](int64_t SubtaskMetrics::*metric) {
    return over_subtasks([metric](const SubtaskCheckpointStats& s) { return s.metrics.*metric; });
  };
  Json json = VertexJsonOf(checkpoint, found->second);
  Json& summary = json["summary"];
  summary["checkpointed_size"] = over_metric(&SubtaskMetrics::checkpointed_size);
  summary["state_size"] = over_metric(&SubtaskMetrics::state_size);
  summary["end_to_end_duration"] = over_subtasks(since_trigger);
  summary["checkpoint_duration"] = {{"sync", over_metric(&SubtaskMetrics::sync_duration_ms)},
                                    {"async", over_metric(&SubtaskMetrics::async_duration_ms)}};
  summary["alignment"] = {{"buffered", ZeroSummaryJson()},
                          {"processed", over_metric(&SubtaskMetrics::processed_data)},
                          {"persisted", over_metric(&SubtaskMetrics::persisted_data)},
                          {"duration", over_metric(&SubtaskMetrics::alignment_duration_ms)}};
  summary["start_delay"] = over_metric(&SubtaskMetrics::start_delay_ms);
  json["subtasks"] = Json::array();
  for (const SubtaskCheckpointStats& subtask : found->second.subtasks) {
    const size_t index = json["subtasks"].size();
    if (!subtask.acknowledged) {
      json["subtasks"].push_back(
          {{"className", "pending"}, {"index", index}, {"status", "pending_or_failed"}});
      continue;
    }
    const SubtaskMetrics& m = subtask.metrics;
    json["subtasks"].push_back(
        {{"className", "completed"},
         {"index", index},
         {"ack_timestamp", subtask.ack_timestamp_ms},
         {"end_to_end_duration", since_trigger(subtask)},
         {"checkpointed_size", m.checkpointed_size},
         {"state_size", m.state_size},
         {"checkpoint", {{"sync", m.sync_duration_ms}, {"async", m.async_duration_ms}}},
         {"alignment",
          {{"buffered", 0},
           {"processed", m.processed_data},
           {"persisted", m.persisted_data},
           {"duration", m.alignment_duration_ms}}},
         {"start_delay", m.start_delay_ms},
         {"unaligned_checkpoint", m.unaligned},
         {"aborted", false},
         {"status", "completed"}});
  }
  return json;
}

Json CheckpointsJson(const CheckpointStatistics& statistics) {
  const auto& counts = statistics.counts();
  const auto& summary = statistics.summary();
  Json json;
  json["counts"] = {{"restored", counts.restored},
                    {"total", counts.total},
                    {"in_progress", counts.in_progress},
                    {"completed", counts.completed},
                    {"failed", counts.failed}};
  json["summary"] = {{"checkpointed_size", SummaryJson(summary.checkpointed_size)},
                     {"state_size", SummaryJson(summary.state_size)},
                     {"end_to_end_duration", SummaryJson(summary.end_to_end_duration)},
                     {"alignment_buffered", ZeroSummaryJson()},
                     {"processed_data", SummaryJson(summary.processed_data)},
                     {"persisted_data", SummaryJson(summary.persisted_data)}};
  Json latest;
  latest["completed"] = OrNull(statistics.latest_completed());
  latest["savepoint"] = OrNull(statistics.latest_savepoint());
  latest["failed"] = OrNull(statistics.latest_failed());
  latest["restored"] = nullptr;
  if (const auto& restored = statistics.latest_restored(); restored.has_value()) {
    latest["restored"] = {{"id", restored->id},
                          {"restore_timestamp", restored->restore_timestamp_ms},
                          {"is_savepoint", restored->is_savepoint},
                          {"external_path", restored->external_path}};
  }
  json["latest"] = std::move(latest);
  json["history"] = Json::array();
  for (const CheckpointStats* checkpoint : statistics.History()) {
    json["history"].push_back(CheckpointJson(*checkpoint, false));
  }
  return json;
}

Json CheckpointsConfigJson(const JobDetails& job) {
  const CheckpointCoordinatorOptions& c = job.options.checkpointing;
  const bool periodic = c.interval_ms.has_value();
  Json json;
  json["mode"] = periodic && job.options.exactly_once ? "exactly_once" : "at_least_once";
  json["interval"] = c.interval_ms.value_or(std::numeric_limits<int64_t>::max());
  json["timeout"] = c.timeout_ms;
  json["min_pause"] = c.min_pause_ms;
  json["max_concurrent"] = c.max_concurrent;
  json["externalization"]["enabled"] = c.retention != CheckpointRetention::kNoExternalized;
  json["externalization"]["delete_on_cancellation"] =
      c.retention != CheckpointRetention::kRetainOnCancellation;
  json["state_backend"] = job.options.state_backend == "rocksdb" ? "EmbeddedRocksDBStateBackend"
                                                                 : "HashMapStateBackend";
  json["checkpoint_storage"] = job.private_checkpoints || job.options.state_in_metadata
                                   ? "JobManagerCheckpointStorage"
                                   : "FileSystemCheckpointStorage";
  json["unaligned_checkpoints"] = c.unaligned;
  json["tolerable_failed_checkpoints"] = c.tolerable_failures;
  json["aligned_checkpoint_timeout"] = c.aligned_timeout_ms;
  json["checkpoints_after_tasks_finish"] = c.after_tasks_finish;
  json["state_changelog_enabled"] = false;
  json["changelog_periodic_materialization_interval"] = 600000;
  json["changelog_storage"] = "memory";
  return json;
}

}  // namespace flink::jobmanager
