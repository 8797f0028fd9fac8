#include "jobmanager/checkpoint/checkpoint_statistics.h"

#include <algorithm>
#include <cmath>
#include <utility>

namespace flink::jobmanager {

int64_t CheckpointStats::end_to_end_duration_ms() const {
  if (status == CheckpointStatsStatus::kFailed) return failure_timestamp_ms - trigger_timestamp_ms;
  return latest_ack_timestamp_ms < 0 ? 0 : latest_ack_timestamp_ms - trigger_timestamp_ms;
}

void StatsSummary::Add(int64_t value) {
  min_ = count_ == 0 ? value : std::min(min_, value);
  max_ = count_ == 0 ? value : std::max(max_, value);
  ++count_;
  sum_ += value;
  window_.push_back(value);
  if (window_.size() > kWindow) window_.pop_front();
}

std::optional<double> StatsSummary::Percentile(double p) const {
  if (window_.empty()) return std::nullopt;
  std::vector<int64_t> sorted(window_.begin(), window_.end());
  std::sort(sorted.begin(), sorted.end());
  // Linear interpolation between the closest ranks.
  const double position = p * static_cast<double>(sorted.size() + 1);
  if (position < 1) return static_cast<double>(sorted.front());
  if (position >= static_cast<double>(sorted.size())) return static_cast<double>(sorted.back());
  const double floor = std::floor(position);
  const auto index = static_cast<size_t>(floor);
  const double low = static_cast<double>(sorted[index - 1]);
  const double high = static_cast<double>(sorted[index]);
  return low + (position - floor) * (high - low);
}

void CheckpointStatistics::OnTriggered(CheckpointId id, SnapshotKind kind, SavepointFormat format,
                                       bool unaligned, const CheckpointPlan& plan, int64_t now_ms) {
  CheckpointStats stats;
  stats.id = id;
  stats.kind = kind;
  stats.format = format;
  stats.unaligned = unaligned;
  stats.trigger_timestamp_ms = now_ms;
  stats.num_subtasks = plan.num_subtasks();
  for (const CheckpointPlan::Vertex& vertex : plan.vertices) {
    stats.vertices[vertex.id].subtasks.resize(static_cast<size_t>(vertex.parallelism));
  }
  in_progress_[id] = std::move(stats);
  ++counts_.total;
  ++counts_.in_progress;
  // As Flink shows them: acknowledged, with nothing.
  for (const SubtaskRef& subtask : plan.finished) OnAcknowledged(id, subtask, {}, now_ms);
}

void CheckpointStatistics::OnAcknowledged(CheckpointId id, const SubtaskRef& subtask,
                                          const SubtaskMetrics& metrics, int64_t now_ms) {
  const auto it = in_progress_.find(id);
  if (it == in_progress_.end()) return;
  CheckpointStats& stats = it->second;
  const auto vertex = stats.vertices.find(subtask.vertex);
  if (vertex == stats.vertices.end()) return;
  VertexCheckpointStats& v = vertex->second;
  const auto index = static_cast<size_t>(subtask.subtask);
  if (subtask.subtask < 0 || index >= v.subtasks.size() || v.subtasks[index].acknowledged) return;
  v.subtasks[index] = SubtaskCheckpointStats{true, now_ms, metrics};
  ++v.num_acknowledged;
  v.latest_ack_timestamp_ms = now_ms;
  v.checkpointed_size += metrics.checkpointed_size;
  v.state_size += metrics.state_size;
  v.processed_data += metrics.processed_data;
  v.persisted_data += metrics.persisted_data;
  ++stats.num_acknowledged_subtasks;
  stats.latest_ack_timestamp_ms = now_ms;
  stats.checkpointed_size += metrics.checkpointed_size;
  stats.state_size += metrics.state_size;
  stats.processed_data += metrics.processed_data;
  stats.persisted_data += metrics.persisted_data;
  stats.unaligned = stats.unaligned || metrics.unaligned;
}

void CheckpointStatistics::OnCompleted(CheckpointId id, const std::string& external_path) {
  const auto it = in_progress_.find(id);
  if (it == in_progress_.end()) return;
  CheckpointStats stats = std::move(it->second);
  in_progress_.erase(it);
  stats.status = CheckpointStatsStatus::kCompleted;
  stats.external_path = external_path;
  --counts_.in_progress;
  ++counts_.completed;
  summary_.checkpointed_size.Add(stats.checkpointed_size);
  summary_.state_size.Add(stats.state_size);
  summary_.end_to_end_duration.Add(stats.end_to_end_duration_ms());
  summary_.processed_data.Add(stats.processed_data);
  summary_.persisted_data.Add(stats.persisted_data);
  (IsSavepoint(stats.kind) ? latest_savepoint_ : latest_completed_) = stats;
  Archive(std::move(stats));
}

void CheckpointStatistics::OnFailed(CheckpointId id, const std::string& message, int64_t now_ms) {
  const auto it = in_progress_.find(id);
  if (it == in_progress_.end()) return;
  CheckpointStats stats = std::move(it->second);
  in_progress_.erase(it);
  stats.status = CheckpointStatsStatus::kFailed;
  stats.failure_timestamp_ms = now_ms;
  stats.failure_message = message;
  --counts_.in_progress;
  ++counts_.failed;
  latest_failed_ = stats;
  Archive(std::move(stats));
}

void CheckpointStatistics::OnDiscarded(CheckpointId id) {
  const auto it = ended_.find(id);
  if (it != ended_.end()) it->second.discarded = true;
  if (latest_completed_ && latest_completed_->id == id) latest_completed_->discarded = true;
}

void CheckpointStatistics::OnRestored(RestoredCheckpointStats restored) {
  ++counts_.restored;
  latest_restored_ = std::move(restored);
}

std::vector<const CheckpointStats*> CheckpointStatistics::History() const {
  std::vector<const CheckpointStats*> result;
  for (const auto& [id, stats] : in_progress_) result.push_back(&stats);
  for (const auto& [id, stats] : ended_) result.push_back(&stats);
  std::sort(result.begin(), result.end(),
            [](const CheckpointStats* a, const CheckpointStats* b) { return a->id > b->id; });
  return result;
}

const CheckpointStats* CheckpointStatistics::Find(CheckpointId id) const {
  if (const auto it = in_progress_.find(id); it != in_progress_.end()) return &it->second;
  if (const auto it = ended_.find(id); it != ended_.end()) return &it->second;
  for (const auto* latest : {&latest_completed_, &latest_savepoint_, &latest_failed_}) {
    if (*latest && (*latest)->id == id) return &**latest;
  }
  return nullptr;
}

void CheckpointStatistics::Archive(CheckpointStats stats) {
  const CheckpointId id = stats.id;
  ended_[id] = std::move(stats);
  while (ended_.size() > history_size_) ended_.erase(ended_.begin());
}

}  // namespace flink::jobmanager
