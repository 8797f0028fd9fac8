#include "taskmanager/task/subtask_snapshot.h"

#include <utility>

#include "common/base/logging.h"
#include "common/config/options.h"
#include "common/io/checksum.h"
#include "common/io/file_system.h"
#include "common/snapshot/operator_state_stream.h"
#include "taskmanager/state/snapshot_writer.h"

namespace flink::taskmanager {

SnapshotKind KindOf(const pb::SnapshotTarget& target) {
  switch (target.kind()) {
    case pb::SnapshotTarget::KIND_SAVEPOINT:
      return SnapshotKind::kSavepoint;
    case pb::SnapshotTarget::KIND_SYNC_SAVEPOINT:
      return SnapshotKind::kSyncSavepoint;
    case pb::SnapshotTarget::KIND_FINAL:
      return SnapshotKind::kFinal;
    default:
      return SnapshotKind::kCheckpoint;
  }
}

SubtaskSnapshot::SubtaskSnapshot(const TaskEnvironment& environment,
                                 std::shared_ptr<TaskInbox> inbox, int64_t checkpoint_id,
                                 const pb::SnapshotTarget& target, Done done)
    : environment_(environment),
      inbox_(std::move(inbox)),
      checkpoint_id_(checkpoint_id),
      target_(target),
      kind_(KindOf(target)),
      done_(std::move(done)) {}

void SubtaskSnapshot::AddOperator(const OperatorId& id,
                                  std::vector<OperatorListState> list_states) {
  parts_.emplace_back();
  parts_.back().id = id;
  if (!list_states.empty()) WriteListStates(parts_.size() - 1, std::move(list_states));
}

void SubtaskSnapshot::WriteListStates(size_t part, std::vector<OperatorListState> list_states) {
  std::vector<snapshot::OperatorState> states;
  for (OperatorListState& list : list_states) {
    snapshot::OperatorState state;
    state.name = std::move(list.name);
    state.mode = list.is_union ? snapshot::DistributionMode::kUnion
                               : snapshot::DistributionMode::kSplitDistribute;
    state.serializer = std::move(list.element_serializer_snapshot);
    state.elements = std::move(list.elements);
    states.push_back(std::move(state));
  }
  StatusOr<snapshot::OperatorStateStream> stream = snapshot::WriteOperatorStateStream(states);
  if (!stream.ok()) {
    if (status_.ok()) status_ = stream.status();
    return;
  }
  Part& p = parts_[part];
  // Of no other snapshot, so that it is clear who needs the file.
  const std::string name = RandomUuid();
  const int64_t size = static_cast<int64_t>(stream->bytes.size());
  if (stream->bytes.size() <= environment_.inline_threshold_bytes) {
    snapshot::InlineHandle handle;
    handle.name = name;
    handle.bytes = std::move(stream->bytes);
    written_bytes_ += size;
    p.state.managed_operator_state = stream->MakeHandle(std::move(handle));
    return;
  }
  snapshot::StreamStateHandle handle;
  const std::string path = io::JoinPath(target_.exclusive_directory(), name);
  if (is_savepoint()) {
    handle = snapshot::RelativeFileHandle{name, size};
  } else {
    handle = snapshot::FileHandle{path, size};
  }
  p.state.managed_operator_state = stream->MakeHandle(std::move(handle));
  WriteExclusiveFile(part, name, std::move(stream->bytes));
}

void SubtaskSnapshot::WriteExclusiveFile(size_t part, const std::string& name, std::string bytes) {
  const std::string path = io::JoinPath(target_.exclusive_directory(), name);
  written_bytes_ += static_cast<int64_t>(bytes.size());
  ++pending_;
  auto write = [self = shared_from_this(), part, name, path, bytes = std::move(bytes)] {
    const Status status = io::PublishFile(path, bytes);
    const uint64_t checksum = io::Checksum64(bytes);
    self->inbox_->mailbox().Post([self, part, name, checksum, status] {
      (*self->parts_[part].message.mutable_checksums())[name] = checksum;
      self->PartDone(status);
    });
  };
  if (environment_.io_pool == nullptr) return write();
  if (!environment_.io_pool->Submit(std::move(write)))
    PartDone(Cancelled("the executor is ending"));
}

void SubtaskSnapshot::AddKeyedState(KeyedStateBackend& backend) {
  KeyedSnapshotRequest request;
  request.checkpoint_id = checkpoint_id_;
  request.format = target_.format() == pb::SnapshotTarget::FORMAT_CANONICAL
                       ? SnapshotFormat::kCanonical
                       : SnapshotFormat::kNative;
  request.exclusive_directory = target_.exclusive_directory();
  request.shared_directory = target_.shared_directory();
  request.full = target_.full();
  ++pending_;
  const size_t part = parts_.size() - 1;
  backend.BeginSnapshot(
      request, [self = shared_from_this(), part](StatusOr<KeyedSnapshotResult> result) {
        if (!result.ok()) return self->PartDone(result.status());
        Part& p = self->parts_[part];
        p.state.managed_keyed_state = std::move(result->handle);
        for (std::string& file : result->shared_files) p.message.add_shared_files(std::move(file));
        for (const auto& [file, checksum] : result->checksums) {
          (*p.message.mutable_checksums())[file] = checksum;
        }
        std::move(result->written_shared_files.begin(), result->written_shared_files.end(),
                  std::back_inserter(self->written_shared_files_));
        self->written_bytes_ += result->written_bytes;
        self->PartDone(OkStatus());
      });
}

void SubtaskSnapshot::ExpectInFlightData() {
  expects_in_flight_data_ = true;
  ++pending_;
}

void SubtaskSnapshot::Abandon() {
  done_ = nullptr;
  if (std::exchange(expects_in_flight_data_, false)) PartDone(OkStatus());
}

void SubtaskSnapshot::AddInFlightData(std::vector<RecordedChannel> recorded,
                                      const std::vector<InputChannelDeployment>& input_channels,
                                      int subtask) {
  expects_in_flight_data_ = false;
  Part& head = parts_.at(0);
  const std::string name = RandomUuid();
  StoredInFlightData stored = StoreInFlightData(std::move(recorded), input_channels, subtask,
                                                io::JoinPath(target_.exclusive_directory(), name),
                                                environment_.inline_threshold_bytes);
  for (const snapshot::ChannelStateHandle& handle : stored.handles) in_flight_bytes_ += handle.size;
  head.state.input_channel_state = std::move(stored.handles);
  if (stored.file_bytes.empty()) {
    written_bytes_ += in_flight_bytes_;
  } else {
    WriteExclusiveFile(0, name, std::move(stored.file_bytes));
  }
  PartDone(OkStatus());
}

void SubtaskSnapshot::Seal() { PartDone(OkStatus()); }

void SubtaskSnapshot::PartDone(const Status& status) {
  if (status_.ok()) status_ = status;
  --pending_;
  if (pending_ > 0) return;
  if (done_ == nullptr || !status_.ok()) DiscardSharedFiles();
  if (done_ != nullptr) Finish();
}

void SubtaskSnapshot::DiscardSharedFiles() {
  if (written_shared_files_.empty()) return;
  auto remove = [files = std::exchange(written_shared_files_, {})] {
    for (const std::string& file : files) {
      if (Status status = io::RemoveFile(file); !status.ok()) LOG_WARN("{}", Message(status));
    }
  };
  if (environment_.io_pool == nullptr || !environment_.io_pool->Submit(remove)) remove();
}

void SubtaskSnapshot::Finish() {
  const Done done = std::exchange(done_, nullptr);
  if (!status_.ok()) return done(status_);
  pb::CheckpointAck ack;
  ack.set_checkpoint_id(checkpoint_id_);
  int64_t state_bytes = 0;
  Status too_large;
  for (Part& p : parts_) {
    pb::OperatorSubtaskState& message = *ack.add_operators();
    message = std::move(p.message);
    message.set_operator_id(p.id.bytes().data(), p.id.bytes().size());
    if (p.state.empty()) continue;
    message.set_state(snapshot::EncodeSubtaskState(p.state));
    state_bytes += snapshot::StateSize(p.state);
    snapshot::ForEachStream(std::as_const(p.state), [&](const snapshot::StreamStateHandle& handle) {
      if (!std::holds_alternative<snapshot::InlineHandle>(handle) &&
          environment_.state_in_metadata && too_large.ok()) {
        too_large = ResourceExhausted(
            "Size of the state is larger than the maximum permitted memory-backed state. Size={}, "
            "maxSize={}. Consider using a different checkpoint storage: set {} to filesystem",
            StreamSize(handle), environment_.inline_threshold_bytes,
            options::kCheckpointStorage.key);
      }
    });
  }
  if (!too_large.ok()) {
    DiscardSharedFiles();
    return done(too_large);
  }
  ack.set_state_bytes(state_bytes);
  ack.set_checkpointed_bytes(written_bytes_);
  ack.set_persisted_bytes(in_flight_bytes_);
  done(std::move(ack));
}

}  // namespace flink::taskmanager
