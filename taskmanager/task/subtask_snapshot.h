#pragma once

/// SubtaskSnapshot: one checkpoint of one task, from the barrier until all its parts are durable.
///
/// Threading: every method on the task's thread; files are written by the I/O pool, results come
/// back as mail. Ownership: shared by the task and the parts that are under way. Abandon makes late
/// parts do nothing. Errors: the first failed part ends the snapshot with its status. Of a snapshot
/// that was abandoned or failed, the files in the shared directory are deleted here, because no
/// acknowledgement will name them.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "common/base/ids.h"
#include "common/base/status.h"
#include "common/snapshot/state_handle.h"
#include "flink/operator.h"
#include "taskmanager/state/keyed_state_backend.h"
#include "taskmanager/task/in_flight_data.h"
#include "taskmanager/task/task_deployment.h"

namespace flink::taskmanager {

class SubtaskSnapshot : public std::enable_shared_from_this<SubtaskSnapshot> {
 public:
  /// The operators of the acknowledgement, and the sizes, are filled in; or why there is none.
  using Done = std::function<void(StatusOr<pb::CheckpointAck>)>;

  SubtaskSnapshot(const TaskEnvironment& environment, std::shared_ptr<TaskInbox> inbox,
                  int64_t checkpoint_id, const pb::SnapshotTarget& target, Done done);

  /// Operators in order of the chain.
  void AddOperator(const OperatorId& id, std::vector<OperatorListState> list_states);
  /// Begins the snapshot of keyed state of the operator added last.
  void AddKeyedState(KeyedStateBackend& backend);
  /// In-flight data will be added, also after Seal.
  void ExpectInFlightData();
  /// What the channels of the chain's head held; part of the first operator's state.
  void AddInFlightData(std::vector<RecordedChannel> recorded,
                       const std::vector<InputChannelDeployment>& input_channels, int subtask);
  /// No more parts but in-flight data will be added. `done` may be called at once.
  void Seal();
  void Abandon();

  int64_t checkpoint_id() const { return checkpoint_id_; }
  SnapshotKind kind() const { return kind_; }
  const std::string& directory() const { return target_.exclusive_directory(); }

 private:
  struct Part {
    OperatorId id;
    snapshot::SubtaskState state;
    pb::OperatorSubtaskState message;
  };
  bool is_savepoint() const {
    return kind_ == SnapshotKind::kSavepoint || kind_ == SnapshotKind::kSyncSavepoint;
  }
  void WriteListStates(size_t part, std::vector<OperatorListState> list_states);
  /// Writes a file into the exclusive directory, in the background.
  void WriteExclusiveFile(size_t part, const std::string& name, std::string bytes);
  void PartDone(const Status& status);
  void Finish();
  void DiscardSharedFiles();

  const TaskEnvironment& environment_;
  const std::shared_ptr<TaskInbox> inbox_;
  const int64_t checkpoint_id_;
  const pb::SnapshotTarget target_;
  const SnapshotKind kind_;
  Done done_;
  std::vector<Part> parts_;
  int pending_ = 1;  // parts under way, and Seal
  int64_t written_bytes_ = 0;
  bool expects_in_flight_data_ = false;
  int64_t in_flight_bytes_ = 0;
  std::vector<std::string> written_shared_files_;
  Status status_;
};

/// The snapshot kind that operators see.
SnapshotKind KindOf(const pb::SnapshotTarget& target);

}  // namespace flink::taskmanager
