#pragma once

/// Vocabulary of checkpointing inside the JobManager: kinds, plan, properties, acknowledged state.

#include <compare>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "common/base/ids.h"

namespace flink::jobmanager {

/// Positive, strictly increasing within a job, shared by checkpoints and savepoints. 0 = none.
using CheckpointId = int64_t;
/// Chosen by the caller of a user request; answered by exactly one CompleteRequest.
using RequestId = uint64_t;

/// What a snapshot is for.
enum class SnapshotKind {
  kCheckpoint,       ///< Periodic or requested by the user; enters the completed store.
  kFinalCheckpoint,  ///< Taken once after every subtask reached end of data; its notification ends
                     ///< the tasks.
  kSavepoint,        ///< Intermediate: the job goes on, no side effect is committed.
  kCancelSavepoint,  ///< Followed by cancelling the job; no side effect is committed.
  kStopSuspend,      ///< Stop without draining: its notification commits and ends the tasks.
  kStopDrain,        ///< As kStopSuspend, after the maximum watermark was emitted.
};

enum class SavepointFormat { kCanonical, kNative };

/// execution.checkpointing.externalized-checkpoint-retention.
enum class CheckpointRetention { kNoExternalized, kDeleteOnCancellation, kRetainOnCancellation };

/// execution.state-recovery.claim-mode. kOwn marks a snapshot that this job wrote itself.
enum class ClaimMode { kOwn, kNoClaim, kClaim, kLegacy };

/// True for every kind written to a user's directory and never kept in the completed store.
inline bool IsSavepoint(SnapshotKind kind) {
  return kind != SnapshotKind::kCheckpoint && kind != SnapshotKind::kFinalCheckpoint;
}
/// Stop with savepoint: the only savepoints that are notified as complete.
inline bool IsStop(SnapshotKind kind) {
  return kind == SnapshotKind::kStopSuspend || kind == SnapshotKind::kStopDrain;
}
/// Stop or cancel with savepoint: no later barrier starts after it.
inline bool IsTerminating(SnapshotKind kind) {
  return IsStop(kind) || kind == SnapshotKind::kCancelSavepoint;
}
/// CHECKPOINT, SAVEPOINT or SYNC_SAVEPOINT, as `checkpoint_type` spells them.
const char* CheckpointTypeName(SnapshotKind kind, bool unaligned);

/// One subtask of one execution vertex.
struct SubtaskRef {
  JobVertexId vertex;
  int32_t subtask = 0;
  auto operator<=>(const SubtaskRef&) const = default;
};

/// Everything that takes part in the checkpoints of one job attempt. A subtask at the end of its
/// data stays alive until a checkpoint behind it is complete (its side effects are committed then);
/// what has finished since neither is triggered nor acknowledges.
struct CheckpointPlan {
  struct Vertex {
    JobVertexId id;
    int32_t parallelism = 1;
    bool is_source = false;
    std::string name;
  };
  struct Coordinator {
    OperatorId op;       ///< The source operator.
    JobVertexId vertex;  ///< The vertex whose subtasks are triggered once it has acknowledged.
  };
  /// Indices of `vertices`. Pointwise: subtask i feeds subtask i only.
  struct Edge {
    size_t source = 0;
    size_t target = 0;
    bool pointwise = false;
  };
  std::vector<Vertex> vertices;
  std::vector<Coordinator> coordinators;
  std::vector<Edge> edges;
  std::set<SubtaskRef> finished;

  /// All subtasks of the vertex have finished.
  bool IsFinished(const JobVertexId& vertex) const;
  /// The subtasks of a vertex that hear of a checkpoint from the JobManager: those that run and
  /// have nobody in front of them that does.
  std::vector<int32_t> ToTrigger(const JobVertexId& vertex) const;

  int32_t num_subtasks() const {
    int32_t n = 0;
    for (const Vertex& v : vertices) n += v.parallelism;
    return n;
  }
};

/// What one subtask measured while it took its snapshot. Sizes in bytes.
struct SubtaskMetrics {
  int64_t checkpointed_size = 0;  ///< Newly written.
  int64_t state_size = 0;         ///< Full size of the snapshot.
  int64_t sync_duration_ms = 0;
  int64_t async_duration_ms = 0;
  int64_t alignment_duration_ms = 0;
  int64_t start_delay_ms = 0;
  int64_t processed_data = 0;
  int64_t persisted_data = 0;
  bool unaligned = false;
};

/// A snapshot of one subtask as the task reported it. Every file it names was durable before.
struct SubtaskSnapshot {
  std::string state;  ///< Opaque to the coordinator.
  std::vector<std::string>
      shared_files;  ///< Files outside the checkpoint's own directory, new or reused.
  SubtaskMetrics metrics;
  bool end_of_data = false;  ///< Taken behind the end of the subtask's data.
  bool finished = false;     ///< It had finished before it was restored, and has no state.
};

/// A periodic savepoint that is complete and belongs to the retained ones.
struct PeriodicSavepoint {
  CheckpointId id = 0;
  std::string location;  ///< savepoint-…, as LocationCreated gave it.
};

/// A snapshot whose metadata is durable.
struct CompletedCheckpoint {
  CheckpointId id = 0;
  SnapshotKind kind = SnapshotKind::kCheckpoint;
  ClaimMode claim = ClaimMode::kOwn;
  std::string
      location;  ///< Exclusive directory (chk-<n> or savepoint-…), as LocationCreated gave it.
  std::string external_path;  ///< What users see and pass to -s.
  /// As MetadataPersisted gave it, or the metadata file of a snapshot that a user pointed at: what
  /// it is loaded from.
  std::string metadata;
  std::vector<std::string> shared_files;
  /// Those of shared_files that belong to somebody else and are never deleted (claim mode LEGACY).
  std::vector<std::string> foreign_files;
  int64_t trigger_timestamp_ms = 0;
  int64_t completion_timestamp_ms = 0;
  int64_t state_size = 0;

  /// False for a foreign snapshot (NO_CLAIM, LEGACY) and for savepoints written by this job.
  bool owned() const {
    return claim == ClaimMode::kClaim || (claim == ClaimMode::kOwn && !IsSavepoint(kind));
  }
};

}  // namespace flink::jobmanager
