#pragma once

/// Counts, latest and history of a job's checkpoint attempts, as GET /jobs/:jobid/checkpoints shows
/// them.

#include <deque>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "jobmanager/checkpoint/checkpoint_types.h"

namespace flink::jobmanager {

enum class CheckpointStatsStatus { kInProgress, kCompleted, kFailed };

struct SubtaskCheckpointStats {
  bool acknowledged = false;
  int64_t ack_timestamp_ms = -1;
  SubtaskMetrics metrics;
};

struct VertexCheckpointStats {
  std::vector<SubtaskCheckpointStats> subtasks;
  int num_acknowledged = 0;
  int64_t latest_ack_timestamp_ms = -1;
  int64_t checkpointed_size = 0;
  int64_t state_size = 0;
  int64_t processed_data = 0;
  int64_t persisted_data = 0;
};

/// One attempt. Fields follow the REST names; -1 = not yet.
struct CheckpointStats {
  CheckpointId id = 0;
  SnapshotKind kind = SnapshotKind::kCheckpoint;
  SavepointFormat format = SavepointFormat::kCanonical;  ///< Only for savepoints.
  bool unaligned = false;
  CheckpointStatsStatus status = CheckpointStatsStatus::kInProgress;
  int64_t trigger_timestamp_ms = 0;
  int64_t latest_ack_timestamp_ms = -1;
  int64_t checkpointed_size = 0;
  int64_t state_size = 0;
  int64_t processed_data = 0;
  int64_t persisted_data = 0;
  int num_subtasks = 0;
  int num_acknowledged_subtasks = 0;
  std::map<JobVertexId, VertexCheckpointStats> vertices;
  // Completed only.
  std::string external_path;
  bool discarded = false;
  // Failed only.
  int64_t failure_timestamp_ms = -1;
  std::string failure_message;

  /// From trigger to the last acknowledgement, or to the failure. In progress: to the last
  /// acknowledgement so far; 0 before the first.
  int64_t end_to_end_duration_ms() const;
};

struct RestoredCheckpointStats {
  CheckpointId id = 0;
  int64_t restore_timestamp_ms = 0;
  bool is_savepoint = false;
  std::string external_path;
};

/// Distribution of one quantity over the completed checkpoints. Percentiles cover the last
/// `kWindow` values.
class StatsSummary {
 public:
  static constexpr size_t kWindow = 10'000;

  void Add(int64_t value);
  int64_t count() const { return count_; }
  int64_t min() const { return min_; }
  int64_t max() const { return max_; }
  int64_t avg() const { return count_ == 0 ? 0 : sum_ / count_; }
  /// `p` in (0,1]; nullopt when empty, which REST shows as "NaN".
  std::optional<double> Percentile(double p) const;

 private:
  int64_t count_ = 0;
  int64_t sum_ = 0;
  int64_t min_ = 0;
  int64_t max_ = 0;
  std::deque<int64_t> window_;
};

/// Pure. Threading: confined to the job's mailbox; REST gets a copy.
class CheckpointStatistics {
 public:
  struct Counts {
    int64_t restored = 0;
    int64_t total = 0;
    int64_t in_progress = 0;
    int64_t completed = 0;
    int64_t failed = 0;
  };
  struct Summary {
    StatsSummary checkpointed_size, state_size, end_to_end_duration, processed_data, persisted_data;
  };

  explicit CheckpointStatistics(size_t history_size = 10) : history_size_(history_size) {}

  // Recording: done by the coordinator.
  void OnTriggered(CheckpointId id, SnapshotKind kind, SavepointFormat format, bool unaligned,
                   const CheckpointPlan& plan, int64_t now_ms);
  void OnAcknowledged(CheckpointId id, const SubtaskRef& subtask, const SubtaskMetrics& metrics,
                      int64_t now_ms);
  void OnCompleted(CheckpointId id, const std::string& external_path);
  void OnFailed(CheckpointId id, const std::string& message, int64_t now_ms);
  void OnDiscarded(CheckpointId id);
  void OnRestored(RestoredCheckpointStats restored);

  const Counts& counts() const { return counts_; }
  const Summary& summary() const { return summary_; }
  /// Newest first: those in progress and the last `history_size` ended ones, by id.
  std::vector<const CheckpointStats*> History() const;
  /// In history, in progress, or one of the latest; null when unknown.
  const CheckpointStats* Find(CheckpointId id) const;

  const std::optional<CheckpointStats>& latest_completed() const { return latest_completed_; }
  const std::optional<CheckpointStats>& latest_savepoint() const { return latest_savepoint_; }
  const std::optional<CheckpointStats>& latest_failed() const { return latest_failed_; }
  const std::optional<RestoredCheckpointStats>& latest_restored() const { return latest_restored_; }

 private:
  void Archive(CheckpointStats stats);

  size_t history_size_;
  Counts counts_;
  Summary summary_;
  std::map<CheckpointId, CheckpointStats> in_progress_;
  std::map<CheckpointId, CheckpointStats> ended_;
  std::optional<CheckpointStats> latest_completed_;
  std::optional<CheckpointStats> latest_savepoint_;
  std::optional<CheckpointStats> latest_failed_;
  std::optional<RestoredCheckpointStats> latest_restored_;
};

}  // namespace flink::jobmanager
