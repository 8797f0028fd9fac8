#pragma once

/// State handles: where the bytes of a snapshot are. Plain values, as Flink's `_metadata` holds
/// them.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "common/base/status.h"
#include "flink/key_group.h"

namespace flink::snapshot {

/// Bytes that stand in the metadata itself. The name only has to be unique.
struct InlineHandle {
  std::string name;
  std::string bytes;
  bool operator==(const InlineHandle&) const = default;
};
/// A file by its absolute path or URI; `size` in bytes.
struct FileHandle {
  std::string path;
  int64_t size = 0;
  bool operator==(const FileHandle&) const = default;
};
/// A file by its path below the directory that holds `_metadata`.
struct RelativeFileHandle {
  std::string path;
  int64_t size = 0;
  bool operator==(const RelativeFileHandle&) const = default;
};
/// A part of a file of Flink's file merging.
struct FileSegmentHandle {
  int64_t start = 0;
  int64_t size = 0;
  int32_t scope = 0;  // 0 exclusive, 1 shared
  std::string path;
  std::string logical_file_id;
  bool operator==(const FileSegmentHandle&) const = default;
};
struct EmptySegmentHandle {
  bool operator==(const EmptySegmentHandle&) const = default;
};
/// A kind that is carried but not interpreted: its bytes with the leading tag.
struct OpaqueStreamHandle {
  std::string encoded;
  bool operator==(const OpaqueStreamHandle&) const = default;
};
/// monostate: there is no stream.
using StreamStateHandle = std::variant<std::monostate, InlineHandle, FileHandle, RelativeFileHandle,
                                       FileSegmentHandle, EmptySegmentHandle, OpaqueStreamHandle>;

enum class DistributionMode : uint8_t { kSplitDistribute = 0, kUnion = 1, kBroadcast = 2 };
/// "SPLIT_DISTRIBUTE", "UNION", "BROADCAST".
std::string_view DistributionModeName(DistributionMode mode);

/// One operator state in a stream: an absolute offset per list element, or the one offset of a
/// broadcast state.
struct OperatorStateOffsets {
  std::string name;
  DistributionMode mode = DistributionMode::kSplitDistribute;
  std::vector<int64_t> offsets;
  bool operator==(const OperatorStateOffsets&) const = default;
};
struct OperatorStateHandle {
  /// Only with Flink's file merging.
  struct FileMerging {
    std::string task_owned_directory;
    std::string shared_directory;
    bool is_empty = false;
    bool operator==(const FileMerging&) const = default;
  };
  std::vector<OperatorStateOffsets> states;
  StreamStateHandle stream;
  std::optional<FileMerging> file_merging;
  bool operator==(const OperatorStateHandle&) const = default;
};

/// One stream with an absolute offset per key group (0: group without entries in a savepoint).
struct KeyGroupsHandle {
  enum class Kind : uint8_t {
    kLegacy = 3,      // read only
    kSavepoint = 7,   // canonical format
    kKeyGroups = 12,  // native full snapshot; has a state_handle_id
  };
  Kind kind = Kind::kSavepoint;
  int32_t start_key_group = 0;
  std::vector<int64_t> offsets;
  StreamStateHandle stream;
  std::string state_handle_id;

  KeyGroupRange range() const {
    return {start_key_group, start_key_group + static_cast<int32_t>(offsets.size()) - 1};
  }
  bool operator==(const KeyGroupsHandle&) const = default;
};
struct LocalFile {
  std::string local_name;
  StreamStateHandle stream;
  bool operator==(const LocalFile&) const = default;
};
/// The files of a RocksDB instance.
struct IncrementalHandle {
  bool legacy = false;  // tag 5: no checkpointed_size, no state_handle_id
  int64_t checkpoint_id = 0;
  std::string backend_id;
  int32_t start_key_group = 0;
  int32_t key_group_count = 0;
  int64_t checkpointed_size = 0;
  StreamStateHandle meta;
  std::vector<LocalFile> shared_files;
  std::vector<LocalFile> private_files;
  std::string state_handle_id;

  KeyGroupRange range() const { return {start_key_group, start_key_group + key_group_count - 1}; }
  bool operator==(const IncrementalHandle&) const = default;
};
/// A changelog handle: carried (leading tag included), not interpreted.
struct OpaqueKeyedHandle {
  std::string encoded;
  KeyGroupRange key_groups;
  bool operator==(const OpaqueKeyedHandle&) const = default;
};
/// monostate: no keyed state.
using KeyedStateHandle =
    std::variant<std::monostate, KeyGroupsHandle, IncrementalHandle, OpaqueKeyedHandle>;

/// Records in flight of one channel (unaligned checkpoints).
struct ChannelStateHandle {
  int32_t subtask = 0;
  int32_t gate_or_partition = 0;
  int32_t channel = 0;
  std::vector<int64_t> offsets;
  int64_t size = 0;
  StreamStateHandle stream;
  /// Version 6 only: several channels packed into one handle, kept as bytes.
  std::optional<std::string> merged_offsets;
  bool operator==(const ChannelStateHandle&) const = default;
};

/// All state of one subtask of one operator.
struct SubtaskState {
  /// The subtask had finished before the snapshot; it then has no state.
  bool finished = false;
  std::optional<OperatorStateHandle> managed_operator_state;
  std::optional<OperatorStateHandle> raw_operator_state;
  KeyedStateHandle managed_keyed_state;
  KeyedStateHandle raw_keyed_state;
  std::vector<ChannelStateHandle> input_channel_state;
  std::vector<ChannelStateHandle> output_channel_state;

  bool empty() const;
  bool operator==(const SubtaskState&) const = default;
};

/// The key groups a handle covers; empty for monostate.
KeyGroupRange KeyGroupsOf(const KeyedStateHandle& handle);
/// Bytes behind the handle, inline ones included; 0 for opaque ones.
int64_t StreamSize(const StreamStateHandle& handle);
/// Bytes of all streams of a subtask.
int64_t StateSize(const SubtaskState& state);
/// Calls `fn` for every stream, including metas and empty ones.
void ForEachStream(const SubtaskState& state,
                   const std::function<void(const StreamStateHandle&)>& fn);
void ForEachStream(SubtaskState& state, const std::function<void(StreamStateHandle&)>& fn);

/// The local path of the file of a handle; relative ones lie in `metadata_directory`. Error for a
/// handle without file.
StatusOr<std::string> ResolveStreamPath(const StreamStateHandle& handle,
                                        const std::string& metadata_directory);
/// Of an OpaqueStreamHandle that is to be read.
Status NestedFormProblem();
/// All bytes behind a handle. A file whose size differs from the handle's is an error that names
/// it.
StatusOr<std::string> ReadStream(const StreamStateHandle& handle,
                                 const std::string& metadata_directory);

/// One SubtaskState as bytes, for messages between processes of this release.
/// Precondition: no name or path is longer than 65535 bytes.
std::string EncodeSubtaskState(const SubtaskState& state);
/// kDataLoss naming the offset.
StatusOr<SubtaskState> DecodeSubtaskState(std::string_view bytes);

}  // namespace flink::snapshot
