#pragma once

/// CheckpointMetadata: the content of a snapshot's `_metadata` file. Reads Flink's versions 2 to 6,
/// writes version 4, which every Flink from 1.16 on reads.

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/ids.h"
#include "common/base/status.h"
#include "common/snapshot/state_handle.h"

namespace flink::snapshot {

inline constexpr std::string_view kMetadataFileName = "_metadata";
inline constexpr int32_t kMetadataVersion = 4;

/// State of a master hook. We never write one; a snapshot of Flink may have some.
struct MasterState {
  int32_t version = 0;
  std::string identifier;
  std::string bytes;
  bool operator==(const MasterState&) const = default;
};

struct OperatorSnapshot {
  OperatorId operator_id;
  /// Versions 5 and 6 only; empty when unknown. Not written.
  std::string name;
  std::string uid;
  int32_t parallelism = 0;
  int32_t max_parallelism = 0;
  /// monostate or InlineHandle.
  StreamStateHandle coordinator_state;
  /// By subtask index. Subtasks without state may be missing.
  std::map<int, SubtaskState> subtasks;
  /// All subtasks had finished: no state, and not run again after a restore.
  bool fully_finished = false;

  /// True when some subtask or the coordinator has state.
  bool HasState() const;
  bool operator==(const OperatorSnapshot&) const = default;
};

struct CheckpointMetadata {
  /// The version that was read; writing always uses kMetadataVersion.
  int32_t version = kMetadataVersion;
  int64_t checkpoint_id = 0;
  std::vector<MasterState> master_states;
  std::vector<OperatorSnapshot> operators;
  /// A serialized Java object, passed through; empty is written as Java's null.
  std::string properties;

  const OperatorSnapshot* FindOperator(const OperatorId& id) const;
  /// Bytes of all state.
  int64_t StateSize() const;
  bool operator==(const CheckpointMetadata&) const = default;
};

/// The bytes of a `_metadata` file. Fails only for what the format cannot hold (a text over 65535
/// bytes, a negative id), naming it.
StatusOr<std::string> SerializeMetadata(const CheckpointMetadata& metadata);
/// kDataLoss with offset and what was expected there. Never trusts a count.
StatusOr<CheckpointMetadata> ParseMetadata(std::string_view bytes);

/// The directory of a snapshot that a user points at: the directory itself or its `_metadata`, as
/// path or file: URI. Errors have Flink's texts and name the pointer.
StatusOr<std::string> ResolveSnapshotPointer(std::string_view pointer);

/// A snapshot on disk: where it is and what it says.
struct LoadedSnapshot {
  std::string directory;
  /// `_metadata` in it, or what the user pointed at instead.
  std::string metadata_file;
  CheckpointMetadata metadata;
};
/// `pointer`: the snapshot's directory or its `_metadata` file, as path or file: URI. Errors name
/// the pointer.
StatusOr<LoadedSnapshot> LoadSnapshot(std::string_view pointer);

}  // namespace flink::snapshot
