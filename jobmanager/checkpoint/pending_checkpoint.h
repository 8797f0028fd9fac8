#pragma once

/// One checkpoint attempt that has an id and has neither completed nor been aborted.

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "jobmanager/checkpoint/checkpoint_types.h"

namespace flink::jobmanager {

/// A request for a snapshot, from the schedule or a user.
struct CheckpointRequest {
  SnapshotKind kind = SnapshotKind::kCheckpoint;
  SavepointFormat format = SavepointFormat::kNative;
  bool periodic = false;
  bool forced = false;  ///< Ignores the limit of concurrent checkpoints and is not subsumed.
  bool full = false;
  std::optional<RequestId> request;
  std::string target_dir;
  uint64_t sequence = 0;  ///< Order of arrival.

  bool IsPeriodicSavepoint() const { return periodic && IsSavepoint(kind); }
};

/// Pure data with the bookkeeping of acknowledgements; the coordinator owns it and decides.
class PendingCheckpoint {
 public:
  enum class Stage {
    kCreatingLocation,  ///< CreateLocation is out. Next: kTriggering.
    kTriggering,        ///< Source coordinators are out. Next: kAcknowledging.
    kAcknowledging,     ///< Every source is triggered. Next: kPersisting.
    kPersisting,        ///< PersistMetadata is out.
  };
  enum class AckResult { kAccepted, kDuplicate, kUnknown };

  PendingCheckpoint(CheckpointId checkpoint, CheckpointRequest from,
                    const CheckpointPlan& checkpoint_plan, int64_t now_ms);

  /// Unknown also before its vertex could have been triggered. Takes `snapshot` only when accepted.
  AckResult AckSubtask(const SubtaskRef& subtask, SubtaskSnapshot&& snapshot);
  AckResult AckCoordinator(const OperatorId& op, std::string state);
  /// True when no coordinator of this vertex is outstanding.
  bool VertexReady(const JobVertexId& vertex) const;
  bool AllAcked() const { return coordinators_left.empty() && subtasks_left.empty(); }

  CheckpointId id = 0;
  CheckpointRequest request;
  CheckpointPlan plan;
  Stage stage = Stage::kCreatingLocation;
  int64_t trigger_timestamp_ms = 0;
  bool io_outstanding = false;  ///< CreateLocation or PersistMetadata is not answered yet.
  std::string location;
  CheckpointId base = 0;
  std::set<OperatorId> coordinators_left;
  std::set<SubtaskRef> subtasks_left;
  std::map<OperatorId, std::string> coordinators;
  std::map<SubtaskRef, SubtaskSnapshot> subtasks;  ///< Handed over when persisting starts.
  std::vector<SubtaskRef> end_of_data;             ///< Those that had processed all their input.
  int64_t state_size = 0;
};

}  // namespace flink::jobmanager
