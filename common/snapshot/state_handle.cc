#include "common/snapshot/state_handle.h"

#include <array>
#include <type_traits>
#include <utility>

#include "common/base/check.h"
#include "common/io/file_system.h"
#include "common/io/readable_file.h"
#include "common/snapshot/java_data.h"
#include "common/snapshot/state_handle_codec.h"

namespace flink::snapshot {
namespace {

/// First byte of an encoded SubtaskState.
constexpr uint8_t kEncodingVersion = 1;
/// The metadata version whose layout the encoding uses.
constexpr int32_t kLayoutVersion = 4;

/// All but the channels'. One walk for both constnesses of `State`.
template <class State, class Fn>
void VisitOwnStreams(State& state, const Fn& fn) {
  for (auto* operator_state : {&state.managed_operator_state, &state.raw_operator_state}) {
    if (*operator_state) fn((*operator_state)->stream);
  }
  for (auto* keyed : {&state.managed_keyed_state, &state.raw_keyed_state}) {
    if (auto* groups = std::get_if<KeyGroupsHandle>(keyed)) fn(groups->stream);
    if (auto* files = std::get_if<IncrementalHandle>(keyed)) {
      fn(files->meta);
      for (auto& file : files->shared_files) fn(file.stream);
      for (auto& file : files->private_files) fn(file.stream);
    }
  }
}

template <class State, class Fn>
void VisitStreams(State& state, const Fn& fn) {
  VisitOwnStreams(state, fn);
  for (auto* channels : {&state.input_channel_state, &state.output_channel_state}) {
    for (auto& channel : *channels) fn(channel.stream);
  }
}

int64_t FileSizeOf(const StreamStateHandle& handle) {
  if (const auto* file = std::get_if<FileHandle>(&handle)) return file->size;
  if (const auto* file = std::get_if<RelativeFileHandle>(&handle)) return file->size;
  return 0;
}

}  // namespace

std::string_view DistributionModeName(DistributionMode mode) {
  static constexpr std::array<std::string_view, 3> kNames = {"SPLIT_DISTRIBUTE", "UNION",
                                                             "BROADCAST"};
  return kNames[static_cast<size_t>(mode)];
}

bool SubtaskState::empty() const {
  return !managed_operator_state && !raw_operator_state && managed_keyed_state.index() == 0 &&
         raw_keyed_state.index() == 0 && input_channel_state.empty() &&
         output_channel_state.empty();
}

KeyGroupRange KeyGroupsOf(const KeyedStateHandle& handle) {
  if (const auto* groups = std::get_if<KeyGroupsHandle>(&handle)) return groups->range();
  if (const auto* files = std::get_if<IncrementalHandle>(&handle)) return files->range();
  if (const auto* opaque = std::get_if<OpaqueKeyedHandle>(&handle)) return opaque->key_groups;
  return {};
}

int64_t StreamSize(const StreamStateHandle& handle) {
  if (const auto* bytes = std::get_if<InlineHandle>(&handle)) {
    return static_cast<int64_t>(bytes->bytes.size());
  }
  if (const auto* segment = std::get_if<FileSegmentHandle>(&handle)) return segment->size;
  return FileSizeOf(handle);
}

int64_t AddSizes(int64_t a, int64_t b) {
  int64_t sum = 0;
  return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

int64_t StateSize(const SubtaskState& state) {
  int64_t total = 0;
  VisitOwnStreams(state, [&total](const StreamStateHandle& handle) {
    total = AddSizes(total, StreamSize(handle));
  });
  // Channels share files: each counts with its own part.
  for (const auto* channels : {&state.input_channel_state, &state.output_channel_state}) {
    for (const ChannelStateHandle& channel : *channels) total = AddSizes(total, channel.size);
  }
  return total;
}

void ForEachStream(const SubtaskState& state,
                   const std::function<void(const StreamStateHandle&)>& fn) {
  VisitStreams(state, fn);
}

void ForEachStream(SubtaskState& state, const std::function<void(StreamStateHandle&)>& fn) {
  VisitStreams(state, fn);
}

bool IsContainedPath(std::string_view path) {
  if (path.empty() || path.front() == '/' || path.find('\0') != std::string_view::npos) {
    return false;
  }
  while (true) {
    const size_t slash = path.find('/');
    if (path.substr(0, slash) == "..") return false;
    if (slash == std::string_view::npos) return true;
    path.remove_prefix(slash + 1);
  }
}

StatusOr<std::string> ResolveStreamPath(const StreamStateHandle& handle,
                                        const std::string& metadata_directory) {
  if (const auto* file = std::get_if<FileHandle>(&handle)) return io::ParsePath(file->path);
  if (const auto* file = std::get_if<RelativeFileHandle>(&handle)) {
    if (IsContainedPath(file->path)) return io::JoinPath(metadata_directory, file->path);
    return DataLoss("the relative path \"{}\" leads out of the snapshot's directory {}", file->path,
                    metadata_directory);
  }
  if (const auto* segment = std::get_if<FileSegmentHandle>(&handle)) {
    return io::ParsePath(segment->path);
  }
  return InvalidArgument("a state handle without a file was asked for its path");
}

Status NestedFormProblem() {
  return FailedPrecondition(
      "a state stream is in the nested key-group form of old Flink releases, which cannot be "
      "read; restore it with Flink 1.13 or later and take a canonical savepoint there");
}

StatusOr<std::string> ReadStream(const StreamStateHandle& handle,
                                 const std::string& metadata_directory) {
  if (std::holds_alternative<std::monostate>(handle) ||
      std::holds_alternative<EmptySegmentHandle>(handle)) {
    return std::string();
  }
  if (const auto* bytes = std::get_if<InlineHandle>(&handle)) return bytes->bytes;
  if (std::holds_alternative<OpaqueStreamHandle>(handle)) return NestedFormProblem();
  ASSIGN_OR_RETURN(const std::string path, ResolveStreamPath(handle, metadata_directory));
  if (const auto* segment = std::get_if<FileSegmentHandle>(&handle)) {
    return io::ReadFileRange(path, static_cast<uint64_t>(segment->start),
                             static_cast<uint64_t>(segment->size));
  }
  ASSIGN_OR_RETURN(const uint64_t size, io::ReadableFileSize(path));
  if (static_cast<int64_t>(size) != FileSizeOf(handle)) {
    return DataLoss("the state file {} has {} bytes, its snapshot says {}", path, size,
                    FileSizeOf(handle));
  }
  return io::ReadFile(path);
}

std::string EncodeSubtaskState(const SubtaskState& state) {
  JavaWriter writer;
  writer.WriteU8(kEncodingVersion);
  writer.WriteBool(state.finished);
  WriteSubtaskState(writer, state);
  FLINK_CHECK(writer.status().ok(), "{}", Message(writer.status()));
  return writer.TakeBytes();
}

StatusOr<SubtaskState> DecodeSubtaskState(std::string_view bytes) {
  JavaReader reader(bytes);
  ASSIGN_OR_RETURN(const uint8_t version, reader.ReadU8("version of a subtask's state"));
  if (version != kEncodingVersion) {
    return reader.Error(0, "expected version {} of a subtask's state, found {}", kEncodingVersion,
                        version);
  }
  ASSIGN_OR_RETURN(const bool finished, reader.ReadBool("finished mark of a subtask"));
  ASSIGN_OR_RETURN(SubtaskState state, ReadSubtaskState(reader, kLayoutVersion));
  RETURN_IF_ERROR(reader.ExpectEnd("a subtask's state"));
  state.finished = finished;
  return state;
}

}  // namespace flink::snapshot
