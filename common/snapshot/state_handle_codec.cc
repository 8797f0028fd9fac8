#include "common/snapshot/state_handle_codec.h"

#include <utility>

namespace flink::snapshot {
namespace {

// Tags of stream handles.
constexpr uint8_t kNull = 0;
constexpr uint8_t kInline = 1;
constexpr uint8_t kFile = 2;
constexpr uint8_t kNestedKeyGroups = 3;
constexpr uint8_t kRelativeFile = 6;
constexpr uint8_t kFileSegment = 15;
constexpr uint8_t kEmptySegment = 16;

// Tags of operator-state handles.
constexpr uint8_t kOperatorState = 4;
constexpr uint8_t kFileMergingOperatorState = 17;

// Tags of keyed handles beside KeyGroupsHandle::Kind.
constexpr uint8_t kIncrementalOld = 5;
constexpr uint8_t kChangelogOld = 8;
constexpr uint8_t kChangelogInline = 9;
constexpr uint8_t kChangelogFilesOld = 10;
constexpr uint8_t kIncremental = 11;
constexpr uint8_t kChangelogFiles = 13;
constexpr uint8_t kChangelog = 14;

/// Handles nest; real files at most three deep.
constexpr int kMaxDepth = 16;

StatusOr<StreamStateHandle> ReadStream(JavaReader& reader, int depth);
StatusOr<KeyedStateHandle> ReadKeyed(JavaReader& reader, int depth);

StatusOr<std::vector<int64_t>> ReadOffsets(JavaReader& reader) {
  ASSIGN_OR_RETURN(const int32_t n, reader.ReadCount("number of offsets", 8));
  std::vector<int64_t> offsets(static_cast<size_t>(n));
  for (int64_t& offset : offsets) {
    ASSIGN_OR_RETURN(offset, reader.ReadI64("offset"));
  }
  return offsets;
}

void WriteOffsets(JavaWriter& writer, const std::vector<int64_t>& offsets) {
  writer.WriteI32(static_cast<int32_t>(offsets.size()));
  for (const int64_t offset : offsets) writer.WriteI64(offset);
}

StatusOr<int64_t> ReadSize(JavaReader& reader, std::string_view what) {
  const size_t at = reader.offset();
  ASSIGN_OR_RETURN(const int64_t size, reader.ReadI64(what));
  if (size < 0) return reader.Error(at, "expected {}, found {}", what, size);
  return size;
}

StatusOr<StreamStateHandle> ReadFileSegment(JavaReader& reader) {
  FileSegmentHandle segment;
  ASSIGN_OR_RETURN(segment.start, ReadSize(reader, "start of a file segment"));
  ASSIGN_OR_RETURN(segment.size, ReadSize(reader, "size of a file segment"));
  ASSIGN_OR_RETURN(segment.scope, reader.ReadI32("scope of a file segment"));
  ASSIGN_OR_RETURN(segment.path, reader.ReadUtf("path of a file segment"));
  ASSIGN_OR_RETURN(segment.logical_file_id, reader.ReadUtf("logical file id"));
  return StreamStateHandle(std::move(segment));
}

StatusOr<StreamStateHandle> ReadNestedKeyGroups(JavaReader& reader, size_t start, int depth) {
  RETURN_IF_ERROR(reader.ReadI32("first key group").status());
  RETURN_IF_ERROR(ReadOffsets(reader).status());
  RETURN_IF_ERROR(ReadStream(reader, depth + 1).status());
  return StreamStateHandle(OpaqueStreamHandle{std::string(reader.Since(start))});
}

StatusOr<StreamStateHandle> ReadStream(JavaReader& reader, int depth) {
  const size_t at = reader.offset();
  if (depth > kMaxDepth) return reader.Error(at, "state handles nest deeper than {}", kMaxDepth);
  ASSIGN_OR_RETURN(const uint8_t tag, reader.ReadU8("kind of a stream handle"));
  switch (tag) {
    case kNull:
      return StreamStateHandle();
    case kInline: {
      InlineHandle handle;
      ASSIGN_OR_RETURN(handle.name, reader.ReadUtf("name of an inline handle"));
      ASSIGN_OR_RETURN(const std::string_view bytes, reader.ReadSizedBytes("inline bytes"));
      handle.bytes = std::string(bytes);
      return StreamStateHandle(std::move(handle));
    }
    case kFile: {
      FileHandle handle;
      ASSIGN_OR_RETURN(handle.size, ReadSize(reader, "size of a state file"));
      ASSIGN_OR_RETURN(handle.path, reader.ReadUtf("path of a state file"));
      return StreamStateHandle(std::move(handle));
    }
    case kRelativeFile: {
      RelativeFileHandle handle;
      ASSIGN_OR_RETURN(handle.path, reader.ReadUtf("path of a state file"));
      if (!IsContainedPath(handle.path)) {
        return reader.Error(at, "the relative path \"{}\" leads out of the snapshot's directory",
                            handle.path);
      }
      ASSIGN_OR_RETURN(handle.size, ReadSize(reader, "size of a state file"));
      return StreamStateHandle(std::move(handle));
    }
    case kNestedKeyGroups:
      return ReadNestedKeyGroups(reader, at, depth);
    case kFileSegment:
      return ReadFileSegment(reader);
    case kEmptySegment:
      return StreamStateHandle(EmptySegmentHandle{});
    default:
      return reader.Error(
          at, "expected the kind of a stream handle (0, 1, 2, 3, 6, 15, 16), found {}", tag);
  }
}

struct StreamWriter {
  JavaWriter& writer;

  void operator()(const std::monostate&) { writer.WriteU8(kNull); }
  void operator()(const InlineHandle& h) {
    writer.WriteU8(kInline);
    writer.WriteUtf(h.name);
    writer.WriteSizedBytes(h.bytes);
  }
  void operator()(const FileHandle& h) {
    writer.WriteU8(kFile);
    writer.WriteI64(h.size);
    writer.WriteUtf(h.path);
  }
  void operator()(const RelativeFileHandle& h) {
    writer.WriteU8(kRelativeFile);
    writer.WriteUtf(h.path);
    writer.WriteI64(h.size);
  }
  void operator()(const FileSegmentHandle& h) {
    writer.WriteU8(kFileSegment);
    writer.WriteI64(h.start);
    writer.WriteI64(h.size);
    writer.WriteI32(h.scope);
    writer.WriteUtf(h.path);
    writer.WriteUtf(h.logical_file_id);
  }
  void operator()(const EmptySegmentHandle&) { writer.WriteU8(kEmptySegment); }
  void operator()(const OpaqueStreamHandle& h) { writer.WriteBytes(h.encoded); }
};

// Operator state.

StatusOr<OperatorStateOffsets> ReadOperatorStateOffsets(JavaReader& reader) {
  OperatorStateOffsets state;
  ASSIGN_OR_RETURN(state.name, reader.ReadUtf("name of an operator state"));
  const size_t at = reader.offset();
  ASSIGN_OR_RETURN(const uint8_t mode, reader.ReadU8("distribution mode"));
  if (mode > 2) return reader.Error(at, "expected a distribution mode (0, 1, 2), found {}", mode);
  state.mode = static_cast<DistributionMode>(mode);
  ASSIGN_OR_RETURN(state.offsets, ReadOffsets(reader));
  return state;
}

StatusOr<std::optional<OperatorStateHandle>> ReadOperatorState(JavaReader& reader) {
  size_t at = reader.offset();
  ASSIGN_OR_RETURN(const int32_t present, reader.ReadI32("presence of operator state"));
  if (present == 0) return std::optional<OperatorStateHandle>();
  if (present != 1) return reader.Error(at, "expected 0 or 1 operator state, found {}", present);
  at = reader.offset();
  ASSIGN_OR_RETURN(const uint8_t tag, reader.ReadU8("kind of an operator-state handle"));
  if (tag == kNull) return std::optional<OperatorStateHandle>();
  if (tag != kOperatorState && tag != kFileMergingOperatorState) {
    return reader.Error(at, "expected the kind of an operator-state handle (0, 4, 17), found {}",
                        tag);
  }
  OperatorStateHandle handle;
  ASSIGN_OR_RETURN(const int32_t n, reader.ReadCount("number of operator states", 7));
  for (int32_t i = 0; i < n; ++i) {
    ASSIGN_OR_RETURN(OperatorStateOffsets state, ReadOperatorStateOffsets(reader));
    handle.states.push_back(std::move(state));
  }
  if (tag == kFileMergingOperatorState) {
    OperatorStateHandle::FileMerging merging;
    ASSIGN_OR_RETURN(merging.task_owned_directory, reader.ReadUtf("task-owned directory"));
    ASSIGN_OR_RETURN(merging.shared_directory, reader.ReadUtf("shared directory"));
    ASSIGN_OR_RETURN(merging.is_empty, reader.ReadBool("emptiness of merged operator state"));
    handle.file_merging = std::move(merging);
  }
  ASSIGN_OR_RETURN(handle.stream, ReadStreamHandle(reader));
  return std::optional<OperatorStateHandle>(std::move(handle));
}

void WriteOperatorState(JavaWriter& writer, const std::optional<OperatorStateHandle>& handle) {
  writer.WriteI32(handle ? 1 : 0);
  if (!handle) return;
  writer.WriteU8(handle->file_merging ? kFileMergingOperatorState : kOperatorState);
  writer.WriteI32(static_cast<int32_t>(handle->states.size()));
  for (const OperatorStateOffsets& state : handle->states) {
    writer.WriteUtf(state.name);
    writer.WriteU8(static_cast<uint8_t>(state.mode));
    WriteOffsets(writer, state.offsets);
  }
  if (handle->file_merging) {
    writer.WriteUtf(handle->file_merging->task_owned_directory);
    writer.WriteUtf(handle->file_merging->shared_directory);
    writer.WriteBool(handle->file_merging->is_empty);
  }
  WriteStreamHandle(writer, handle->stream);
}

// Keyed state.

/// A range as files hold it: first group and number of groups.
StatusOr<KeyGroupRange> ReadKeyGroups(JavaReader& reader) {
  const size_t at = reader.offset();
  ASSIGN_OR_RETURN(const int32_t start, reader.ReadI32("first key group"));
  ASSIGN_OR_RETURN(const int32_t count, reader.ReadI32("number of key groups"));
  if (start < 0 || count < 0 || count > kMaxMaxParallelism || start > kMaxMaxParallelism - count) {
    return reader.Error(at, "expected a range of key groups below {}, found {} from {}",
                        kMaxMaxParallelism, count, start);
  }
  return KeyGroupRange{start, start + count - 1};
}

StatusOr<KeyedStateHandle> ReadKeyGroupsHandle(JavaReader& reader, uint8_t tag, int depth) {
  KeyGroupsHandle handle;
  handle.kind = static_cast<KeyGroupsHandle::Kind>(tag);
  const size_t at = reader.offset();
  ASSIGN_OR_RETURN(handle.start_key_group, reader.ReadI32("first key group"));
  ASSIGN_OR_RETURN(handle.offsets, ReadOffsets(reader));
  if (handle.start_key_group < 0 || handle.offsets.size() > kMaxMaxParallelism ||
      handle.start_key_group > kMaxMaxParallelism - static_cast<int>(handle.offsets.size())) {
    return reader.Error(at, "expected a range of key groups below {}, found {} from {}",
                        kMaxMaxParallelism, handle.offsets.size(), handle.start_key_group);
  }
  ASSIGN_OR_RETURN(handle.stream, ReadStream(reader, depth + 1));
  if (handle.kind == KeyGroupsHandle::Kind::kKeyGroups) {
    ASSIGN_OR_RETURN(handle.state_handle_id, reader.ReadUtf("state handle id"));
  }
  return KeyedStateHandle(std::move(handle));
}

StatusOr<std::vector<LocalFile>> ReadLocalFiles(JavaReader& reader, int depth) {
  ASSIGN_OR_RETURN(const int32_t n, reader.ReadCount("number of files", 3));
  std::vector<LocalFile> files;
  for (int32_t i = 0; i < n; ++i) {
    LocalFile file;
    const size_t at = reader.offset();
    ASSIGN_OR_RETURN(file.local_name, reader.ReadUtf("local name of a file"));
    // A file of this name is made when the state is restored.
    if (!IsContainedPath(file.local_name) || file.local_name == "." ||
        file.local_name.find('/') != std::string::npos) {
      return reader.Error(at, "expected the name of a file, found \"{}\"", file.local_name);
    }
    ASSIGN_OR_RETURN(file.stream, ReadStream(reader, depth + 1));
    files.push_back(std::move(file));
  }
  return files;
}

void WriteLocalFiles(JavaWriter& writer, const std::vector<LocalFile>& files) {
  writer.WriteI32(static_cast<int32_t>(files.size()));
  for (const LocalFile& file : files) {
    writer.WriteUtf(file.local_name);
    WriteStreamHandle(writer, file.stream);
  }
}

StatusOr<KeyedStateHandle> ReadIncremental(JavaReader& reader, bool legacy, int depth) {
  IncrementalHandle handle;
  handle.legacy = legacy;
  ASSIGN_OR_RETURN(handle.checkpoint_id, reader.ReadI64("checkpoint id"));
  ASSIGN_OR_RETURN(handle.backend_id, reader.ReadUtf("backend id"));
  ASSIGN_OR_RETURN(const KeyGroupRange range, ReadKeyGroups(reader));
  handle.start_key_group = range.start;
  handle.key_group_count = range.size();
  if (!legacy) {
    ASSIGN_OR_RETURN(handle.checkpointed_size, reader.ReadI64("checkpointed size"));
  }
  ASSIGN_OR_RETURN(handle.meta, ReadStream(reader, depth + 1));
  ASSIGN_OR_RETURN(handle.shared_files, ReadLocalFiles(reader, depth));
  ASSIGN_OR_RETURN(handle.private_files, ReadLocalFiles(reader, depth));
  if (!legacy) {
    ASSIGN_OR_RETURN(handle.state_handle_id, reader.ReadUtf("state handle id"));
  }
  return KeyedStateHandle(std::move(handle));
}

Status SkipKeyedList(JavaReader& reader, int depth) {
  ASSIGN_OR_RETURN(const int32_t n, reader.ReadCount("number of keyed handles", 1));
  for (int32_t i = 0; i < n; ++i) RETURN_IF_ERROR(ReadKeyed(reader, depth + 1).status());
  return OkStatus();
}

Status SkipChangelog(JavaReader& reader, uint8_t tag, int depth) {
  RETURN_IF_ERROR(reader.ReadI64("checkpointed size").status());
  RETURN_IF_ERROR(SkipKeyedList(reader, depth));
  RETURN_IF_ERROR(SkipKeyedList(reader, depth));
  RETURN_IF_ERROR(reader.ReadI64("materialization id").status());
  if (tag == kChangelog) RETURN_IF_ERROR(reader.ReadI64("checkpoint id").status());
  return reader.ReadUtf("state handle id").status();
}

Status SkipChangelogInline(JavaReader& reader) {
  RETURN_IF_ERROR(reader.ReadI64("first sequence number").status());
  RETURN_IF_ERROR(reader.ReadI64("last sequence number").status());
  ASSIGN_OR_RETURN(const int32_t n, reader.ReadCount("number of changes", 8));
  for (int32_t i = 0; i < n; ++i) {
    RETURN_IF_ERROR(reader.ReadI32("key group of a change").status());
    RETURN_IF_ERROR(reader.ReadSizedBytes("change").status());
  }
  return reader.ReadUtf("state handle id").status();
}

Status SkipChangelogFiles(JavaReader& reader, uint8_t tag, int depth) {
  ASSIGN_OR_RETURN(const int32_t n, reader.ReadCount("number of changelog files", 9));
  for (int32_t i = 0; i < n; ++i) {
    RETURN_IF_ERROR(reader.ReadI64("offset in a changelog file").status());
    RETURN_IF_ERROR(ReadStream(reader, depth + 1).status());
  }
  RETURN_IF_ERROR(reader.ReadI64("state size").status());
  RETURN_IF_ERROR(reader.ReadI64("checkpointed size").status());
  RETURN_IF_ERROR(reader.ReadUtf("state handle id").status());
  if (tag == kChangelogFiles) RETURN_IF_ERROR(reader.ReadUtf("storage identifier").status());
  return OkStatus();
}

StatusOr<KeyedStateHandle> ReadKeyed(JavaReader& reader, int depth) {
  const size_t at = reader.offset();
  if (depth > kMaxDepth) return reader.Error(at, "state handles nest deeper than {}", kMaxDepth);
  ASSIGN_OR_RETURN(const uint8_t tag, reader.ReadU8("kind of a keyed-state handle"));
  switch (tag) {
    case kNull:
      return KeyedStateHandle();
    case static_cast<uint8_t>(KeyGroupsHandle::Kind::kLegacy):
    case static_cast<uint8_t>(KeyGroupsHandle::Kind::kSavepoint):
    case static_cast<uint8_t>(KeyGroupsHandle::Kind::kKeyGroups):
      return ReadKeyGroupsHandle(reader, tag, depth);
    case kIncrementalOld:
    case kIncremental:
      return ReadIncremental(reader, tag == kIncrementalOld, depth);
    case kChangelogOld:
    case kChangelog:
    case kChangelogInline:
    case kChangelogFilesOld:
    case kChangelogFiles:
      break;
    default:
      return reader.Error(
          at, "expected the kind of a keyed-state handle (0, 3, 5, 7 to 14), found {}", tag);
  }
  OpaqueKeyedHandle handle;
  ASSIGN_OR_RETURN(handle.key_groups, ReadKeyGroups(reader));
  if (tag == kChangelogInline) {
    RETURN_IF_ERROR(SkipChangelogInline(reader));
  } else if (tag == kChangelogFilesOld || tag == kChangelogFiles) {
    RETURN_IF_ERROR(SkipChangelogFiles(reader, tag, depth));
  } else {
    RETURN_IF_ERROR(SkipChangelog(reader, tag, depth));
  }
  handle.encoded = std::string(reader.Since(at));
  return KeyedStateHandle(std::move(handle));
}

struct KeyedWriter {
  JavaWriter& writer;

  void operator()(const std::monostate&) { writer.WriteU8(kNull); }
  void operator()(const KeyGroupsHandle& h) {
    writer.WriteU8(static_cast<uint8_t>(h.kind));
    writer.WriteI32(h.start_key_group);
    WriteOffsets(writer, h.offsets);
    WriteStreamHandle(writer, h.stream);
    if (h.kind == KeyGroupsHandle::Kind::kKeyGroups) writer.WriteUtf(h.state_handle_id);
  }
  void operator()(const IncrementalHandle& h) {
    writer.WriteU8(h.legacy ? kIncrementalOld : kIncremental);
    writer.WriteI64(h.checkpoint_id);
    writer.WriteUtf(h.backend_id);
    writer.WriteI32(h.start_key_group);
    writer.WriteI32(h.key_group_count);
    if (!h.legacy) writer.WriteI64(h.checkpointed_size);
    WriteStreamHandle(writer, h.meta);
    WriteLocalFiles(writer, h.shared_files);
    WriteLocalFiles(writer, h.private_files);
    if (!h.legacy) writer.WriteUtf(h.state_handle_id);
  }
  void operator()(const OpaqueKeyedHandle& h) { writer.WriteBytes(h.encoded); }
};

// Channel state.

StatusOr<ChannelStateHandle> ReadChannel(JavaReader& reader, int32_t version, bool input) {
  ChannelStateHandle handle;
  const size_t at = reader.offset();
  uint8_t tag = input ? 1 : 2;
  if (version >= 6) {
    ASSIGN_OR_RETURN(tag, reader.ReadU8("kind of a channel-state handle"));
    const uint8_t plain = input ? 1 : 2;
    const uint8_t merged = input ? 3 : 4;
    if (tag != plain && tag != merged) {
      return reader.Error(at, "expected the kind of a channel-state handle ({} or {}), found {}",
                          plain, merged, tag);
    }
  }
  ASSIGN_OR_RETURN(handle.subtask, reader.ReadI32("subtask of a channel"));
  if (tag >= 3) {
    ASSIGN_OR_RETURN(handle.size, ReadSize(reader, "size of channel state"));
    ASSIGN_OR_RETURN(handle.stream, ReadStreamHandle(reader));
    ASSIGN_OR_RETURN(const std::string_view packed, reader.ReadSizedBytes("channel offsets"));
    handle.merged_offsets = std::string(packed);
    return handle;
  }
  ASSIGN_OR_RETURN(handle.gate_or_partition, reader.ReadI32("gate or partition of a channel"));
  ASSIGN_OR_RETURN(handle.channel, reader.ReadI32("index of a channel"));
  ASSIGN_OR_RETURN(handle.offsets, ReadOffsets(reader));
  ASSIGN_OR_RETURN(handle.size, ReadSize(reader, "size of channel state"));
  ASSIGN_OR_RETURN(handle.stream, ReadStreamHandle(reader));
  return handle;
}

StatusOr<std::vector<ChannelStateHandle>> ReadChannels(JavaReader& reader, int32_t version,
                                                       bool input) {
  ASSIGN_OR_RETURN(const int32_t n, reader.ReadCount("number of channel states", 17));
  std::vector<ChannelStateHandle> channels;
  for (int32_t i = 0; i < n; ++i) {
    ASSIGN_OR_RETURN(ChannelStateHandle channel, ReadChannel(reader, version, input));
    channels.push_back(std::move(channel));
  }
  return channels;
}

void WriteChannels(JavaWriter& writer, const std::vector<ChannelStateHandle>& channels) {
  writer.WriteI32(static_cast<int32_t>(channels.size()));
  for (const ChannelStateHandle& channel : channels) {
    if (channel.merged_offsets) {
      writer.Fail(InvalidArgument(
          "the channel state of subtask {} is in the merged form of Flink 2.1, which metadata "
          "version 4 cannot hold",
          channel.subtask));
    }
    writer.WriteI32(channel.subtask);
    writer.WriteI32(channel.gate_or_partition);
    writer.WriteI32(channel.channel);
    WriteOffsets(writer, channel.offsets);
    writer.WriteI64(channel.size);
    WriteStreamHandle(writer, channel.stream);
  }
}

}  // namespace

void WriteStreamHandle(JavaWriter& writer, const StreamStateHandle& handle) {
  std::visit(StreamWriter{writer}, handle);
}

StatusOr<StreamStateHandle> ReadStreamHandle(JavaReader& reader) { return ReadStream(reader, 0); }

void WriteSubtaskState(JavaWriter& writer, const SubtaskState& state) {
  WriteOperatorState(writer, state.managed_operator_state);
  WriteOperatorState(writer, state.raw_operator_state);
  std::visit(KeyedWriter{writer}, state.managed_keyed_state);
  std::visit(KeyedWriter{writer}, state.raw_keyed_state);
  WriteChannels(writer, state.input_channel_state);
  WriteChannels(writer, state.output_channel_state);
}

StatusOr<SubtaskState> ReadSubtaskState(JavaReader& reader, int32_t version) {
  SubtaskState state;
  if (version == 2) {
    RETURN_IF_ERROR(reader.ReadI64("duration").status());
    RETURN_IF_ERROR(reader.ExpectI32(0, "number of legacy states"));
  }
  ASSIGN_OR_RETURN(state.managed_operator_state, ReadOperatorState(reader));
  ASSIGN_OR_RETURN(state.raw_operator_state, ReadOperatorState(reader));
  ASSIGN_OR_RETURN(state.managed_keyed_state, ReadKeyed(reader, 0));
  ASSIGN_OR_RETURN(state.raw_keyed_state, ReadKeyed(reader, 0));
  if (version >= 3) {
    ASSIGN_OR_RETURN(state.input_channel_state, ReadChannels(reader, version, true));
    ASSIGN_OR_RETURN(state.output_channel_state, ReadChannels(reader, version, false));
  }
  return state;
}

}  // namespace flink::snapshot
