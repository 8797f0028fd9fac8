#include "common/snapshot/metadata.h"

#include <array>
#include <utility>

#include "common/io/file_system.h"
#include "common/io/readable_file.h"
#include "common/snapshot/java_data.h"
#include "common/snapshot/java_object.h"
#include "common/snapshot/state_files.h"
#include "common/snapshot/state_handle_codec.h"

namespace flink::snapshot {
namespace {

constexpr int32_t kMagic = 0x4960672D;
constexpr int32_t kMasterMagic = static_cast<int32_t>(0xC96B1696u);
constexpr int32_t kOldestVersion = 2;
constexpr int32_t kNewestVersion = 6;
/// A larger file is something else, and would fill the memory.
constexpr uint64_t kMaxMetadataBytes = uint64_t{1} << 31;
/// Beyond this the number is damage rather than a release to come.
constexpr int32_t kLastPlausibleVersion = 99;
/// Head of a Java object stream.
constexpr int32_t kJavaObjectMagic = static_cast<int32_t>(0xACED0005u);
/// Instead of the number of subtasks: the operator had finished.
constexpr int32_t kFullyFinished = -1;
/// Java's serialized null.
constexpr std::string_view kNullProperties("\xAC\xED\x00\x05\x70", 5);

StatusOr<MasterState> ReadMasterState(JavaReader& reader) {
  RETURN_IF_ERROR(reader.ExpectI32(kMasterMagic, "magic number of a master state"));
  const size_t at = reader.offset() + 4;
  ASSIGN_OR_RETURN(const std::string_view body, reader.ReadSizedBytes("master state"));
  JavaReader inner(body, at);
  MasterState state;
  ASSIGN_OR_RETURN(state.version, inner.ReadI32("version of a master state"));
  ASSIGN_OR_RETURN(state.identifier, inner.ReadUtf("name of a master state"));
  ASSIGN_OR_RETURN(const std::string_view bytes, inner.ReadSizedBytes("bytes of a master state"));
  RETURN_IF_ERROR(inner.ExpectEnd("a master state"));
  state.bytes = std::string(bytes);
  return state;
}

void WriteMasterState(JavaWriter& writer, const MasterState& state) {
  JavaWriter body;
  body.WriteI32(state.version);
  body.WriteUtf(state.identifier);
  body.WriteSizedBytes(state.bytes);
  writer.WriteI32(kMasterMagic);
  writer.WriteSizedBytes(body.bytes());
  writer.Fail(body.status());
}

Status ReadSubtasks(JavaReader& reader, int32_t version, int32_t count,
                    OperatorSnapshot* snapshot) {
  for (int32_t i = 0; i < count; ++i) {
    const size_t at = reader.offset();
    ASSIGN_OR_RETURN(const int32_t coded_index, reader.ReadI32("subtask index"));
    const bool finished = coded_index < 0;
    if (finished && version < 3) {
      return reader.Error(at, "expected a subtask index, found {}", coded_index);
    }
    // A finished subtask is coded as -(index + 1), which is the complement.
    const int32_t index = finished ? ~coded_index : coded_index;
    if (index >= snapshot->parallelism) {
      return reader.Error(at, "expected a subtask index below the parallelism {}, found {}",
                          snapshot->parallelism, index);
    }
    SubtaskState state;
    if (finished) {
      state.finished = true;
    } else {
      ASSIGN_OR_RETURN(state, ReadSubtaskState(reader, version));
    }
    if (!snapshot->subtasks.emplace(index, std::move(state)).second) {
      return reader.Error(at, "subtask {} is there twice", index);
    }
  }
  return OkStatus();
}

Status CheckParallelism(const JavaReader& reader, size_t at, const OperatorSnapshot& snapshot) {
  if (snapshot.parallelism >= 1 && snapshot.max_parallelism >= snapshot.parallelism &&
      snapshot.max_parallelism <= kMaxMaxParallelism) {
    return OkStatus();
  }
  return reader.Error(at, "expected 1 <= parallelism <= max parallelism <= {}, found {} and {}",
                      kMaxMaxParallelism, snapshot.parallelism, snapshot.max_parallelism);
}

StatusOr<OperatorSnapshot> ReadOperator(JavaReader& reader, int32_t version) {
  OperatorSnapshot snapshot;
  if (version >= 5) {
    ASSIGN_OR_RETURN(snapshot.name, reader.ReadUtf("operator name"));
    ASSIGN_OR_RETURN(snapshot.uid, reader.ReadUtf("operator uid"));
  }
  ASSIGN_OR_RETURN(const std::string_view id_bytes, reader.ReadBytes(16, "operator id"));
  std::array<uint8_t, 16> id{};
  for (size_t i = 0; i < id.size(); ++i) id[i] = static_cast<uint8_t>(id_bytes[i]);
  snapshot.operator_id = OperatorId(id);
  size_t at = reader.offset();
  ASSIGN_OR_RETURN(snapshot.parallelism, reader.ReadI32("parallelism"));
  ASSIGN_OR_RETURN(snapshot.max_parallelism, reader.ReadI32("max parallelism"));
  RETURN_IF_ERROR(CheckParallelism(reader, at, snapshot));
  if (version >= 3) {
    at = reader.offset();
    ASSIGN_OR_RETURN(snapshot.coordinator_state, ReadStreamHandle(reader));
    if (snapshot.coordinator_state.index() > 1) {
      return reader.Error(at, "expected no coordinator state (0) or inline bytes (1)");
    }
  } else {
    RETURN_IF_ERROR(reader.ExpectI32(1, "chain length"));
  }
  at = reader.offset();
  ASSIGN_OR_RETURN(const int32_t count, reader.ReadI32("number of subtasks"));
  if (count == kFullyFinished && version >= 3) {
    if (snapshot.coordinator_state.index() != 0) {
      return reader.Error(at, "a finished operator has coordinator state");
    }
    snapshot.fully_finished = true;
    return snapshot;
  }
  if (count < 0 || count > snapshot.parallelism) {
    return reader.Error(at, "expected at most {} subtasks, found {}", snapshot.parallelism, count);
  }
  RETURN_IF_ERROR(ReadSubtasks(reader, version, count, &snapshot));
  return snapshot;
}

void WriteOperator(JavaWriter& writer, const OperatorSnapshot& snapshot) {
  for (const uint8_t byte : snapshot.operator_id.bytes()) writer.WriteU8(byte);
  writer.WriteI32(snapshot.parallelism);
  writer.WriteI32(snapshot.max_parallelism);
  if (snapshot.coordinator_state.index() > 1 ||
      (snapshot.fully_finished && snapshot.coordinator_state.index() != 0)) {
    writer.Fail(InvalidArgument(
        "operator {}: coordinator state must be inline bytes, or absent when it has finished",
        snapshot.operator_id.ToHex()));
  }
  WriteStreamHandle(writer, snapshot.coordinator_state);
  if (snapshot.fully_finished) {
    writer.WriteI32(kFullyFinished);
    return;
  }
  writer.WriteI32(static_cast<int32_t>(snapshot.subtasks.size()));
  for (const auto& entry : snapshot.subtasks) {
    writer.WriteI32(entry.second.finished ? ~entry.first : entry.first);
    if (!entry.second.finished) WriteSubtaskState(writer, entry.second);
  }
}

Status CheckMagic(int32_t magic) {
  if (magic == kMagic) return OkStatus();
  if (magic == kJavaObjectMagic) {
    return FailedPrecondition(
        "this is a serialized Java object, as the savepoints of Flink 1.0 are, which cannot be "
        "read");
  }
  return DataLoss(
      "Unexpected magic number. This can have multiple reasons: (1) You are trying to load a Flink "
      "1.0 savepoint, which is not supported by this version of Flink. (2) The file you were "
      "pointing to is not a savepoint at all. (3) The savepoint file has been corrupted.");
}

Status CheckVersion(int32_t version) {
  if (version >= kOldestVersion && version <= kNewestVersion) return OkStatus();
  if (version == 0 || version == 1) {
    return FailedPrecondition(
        "this is a savepoint of Flink {} (metadata version {}, a single file), which cannot be "
        "read: take a new one with a Flink release from 1.3 to 1.10 that was started from it",
        version == 0 ? "1.1" : "1.2", version);
  }
  if (version > kNewestVersion && version <= kLastPlausibleVersion) {
    return FailedPrecondition(
        "expected a metadata version from {} to {}, found {}: a newer Flink than 2.1 wrote it",
        kOldestVersion, kNewestVersion, version);
  }
  return DataLoss("expected a metadata version from {} to {}, found {}", kOldestVersion,
                  kNewestVersion, version);
}

StatusOr<CheckpointMetadata> ReadBody(JavaReader& reader) {
  CheckpointMetadata metadata;
  ASSIGN_OR_RETURN(const int32_t magic, reader.ReadI32("magic number of snapshot metadata"));
  RETURN_IF_ERROR(CheckMagic(magic));
  ASSIGN_OR_RETURN(metadata.version, reader.ReadI32("metadata version"));
  RETURN_IF_ERROR(CheckVersion(metadata.version));
  size_t at = reader.offset();
  ASSIGN_OR_RETURN(metadata.checkpoint_id, reader.ReadI64("checkpoint id"));
  if (metadata.checkpoint_id < 0) {
    return reader.Error(at, "expected a checkpoint id, found {}", metadata.checkpoint_id);
  }
  ASSIGN_OR_RETURN(const int32_t masters, reader.ReadCount("number of master states", 18));
  for (int32_t i = 0; i < masters; ++i) {
    ASSIGN_OR_RETURN(MasterState state, ReadMasterState(reader));
    metadata.master_states.push_back(std::move(state));
  }
  ASSIGN_OR_RETURN(const int32_t operators, reader.ReadCount("number of operators", 28));
  for (int32_t i = 0; i < operators; ++i) {
    ASSIGN_OR_RETURN(OperatorSnapshot snapshot, ReadOperator(reader, metadata.version));
    metadata.operators.push_back(std::move(snapshot));
  }
  if (metadata.version < 4) {
    RETURN_IF_ERROR(reader.ExpectEnd("snapshot metadata"));
    return metadata;
  }
  at = reader.offset();
  RETURN_IF_ERROR(SkipJavaObjectStream(reader));
  metadata.properties = std::string(reader.Since(at));
  RETURN_IF_ERROR(reader.ExpectEnd("snapshot metadata"));
  return metadata;
}

}  // namespace

bool OperatorSnapshot::HasState() const {
  if (coordinator_state.index() != 0) return true;
  for (const auto& entry : subtasks) {
    if (!entry.second.empty()) return true;
  }
  return false;
}

const OperatorSnapshot* CheckpointMetadata::FindOperator(const OperatorId& id) const {
  for (const OperatorSnapshot& snapshot : operators) {
    if (snapshot.operator_id == id) return &snapshot;
  }
  return nullptr;
}

int64_t CheckpointMetadata::StateSize() const {
  int64_t total = 0;
  for (const OperatorSnapshot& snapshot : operators) {
    total = AddSizes(total, StreamSize(snapshot.coordinator_state));
    for (const auto& entry : snapshot.subtasks) {
      total = AddSizes(total, snapshot::StateSize(entry.second));
    }
  }
  return total;
}

StatusOr<std::string> SerializeMetadata(const CheckpointMetadata& metadata) {
  if (metadata.checkpoint_id < 0) {
    return InvalidArgument("checkpoint id {} cannot be written", metadata.checkpoint_id);
  }
  JavaWriter writer;
  writer.WriteI32(kMagic);
  writer.WriteI32(kMetadataVersion);
  writer.WriteI64(metadata.checkpoint_id);
  writer.WriteI32(static_cast<int32_t>(metadata.master_states.size()));
  for (const MasterState& state : metadata.master_states) WriteMasterState(writer, state);
  writer.WriteI32(static_cast<int32_t>(metadata.operators.size()));
  for (const OperatorSnapshot& snapshot : metadata.operators) WriteOperator(writer, snapshot);
  writer.WriteBytes(metadata.properties.empty() ? kNullProperties
                                                : std::string_view(metadata.properties));
  if (!writer.status().ok()) {
    return With(writer.status(), "the metadata of checkpoint {} cannot be written",
                metadata.checkpoint_id);
  }
  return writer.TakeBytes();
}

StatusOr<CheckpointMetadata> ParseMetadata(std::string_view bytes) {
  JavaReader reader(bytes);
  StatusOr<CheckpointMetadata> metadata = ReadBody(reader);
  if (!metadata.ok()) return With(metadata.status(), "not readable as snapshot metadata");
  return metadata;
}

namespace {

struct SnapshotLocation {
  std::string directory;
  std::string metadata_file;
};

StatusOr<SnapshotLocation> Locate(std::string_view pointer) {
  const StatusOr<std::string> parsed = io::ParsePath(pointer);
  if (!parsed.ok()) {
    if (pointer.find("://") != std::string_view::npos) {
      return InvalidArgument("Cannot access file system for checkpoint/savepoint path '{}': {}.",
                             pointer, Message(parsed.status()));
    }
    return InvalidArgument(
        "Checkpoint/savepoint path '{}' is not a valid file URI. Either the pointer path is "
        "invalid, or the checkpoint was created by a different state backend.",
        pointer);
  }
  // An answer that is no "not found" is told as it is: a directory may be there and not readable.
  const Status there = io::FileSize(*parsed).status();
  if (there.code() == absl::StatusCode::kNotFound) {
    return NotFound(
        "Cannot find checkpoint or savepoint file/directory '{}' on file system 'file'.", pointer);
  }
  RETURN_IF_ERROR(there);
  SnapshotLocation location;
  if (!io::IsDirectory(*parsed)) {
    location.directory = io::DirectoryName(*parsed);
    location.metadata_file = *parsed;
    return location;
  }
  location.directory = *parsed;
  location.metadata_file = io::JoinPath(*parsed, kMetadataFileName);
  const Status metadata = io::FileSize(location.metadata_file).status();
  if (metadata.code() == absl::StatusCode::kNotFound) {
    return NotFound(
        "Cannot find meta data file '_metadata' in directory '{}'. Please try to load the "
        "checkpoint/savepoint directly from the metadata file instead of the directory.",
        pointer);
  }
  RETURN_IF_ERROR(metadata);
  return location;
}

}  // namespace

StatusOr<std::string> ResolveSnapshotPointer(std::string_view pointer) {
  ASSIGN_OR_RETURN(const SnapshotLocation location, Locate(pointer));
  return location.directory;
}

StatusOr<LoadedSnapshot> LoadSnapshot(std::string_view pointer) {
  ASSIGN_OR_RETURN(const SnapshotLocation location, Locate(pointer));
  const std::string& path = location.metadata_file;
  ASSIGN_OR_RETURN(const uint64_t size, io::ReadableFileSize(path));
  if (size > kMaxMetadataBytes) {
    return DataLoss("{}: {} bytes are more than the metadata of a snapshot has", path, size);
  }
  ASSIGN_OR_RETURN(const std::string bytes, io::ReadFile(path));
  // Old savepoints are single files in directories that hold anything.
  if (io::BaseName(path) == kMetadataFileName) RETURN_IF_ERROR(CheckMetadata(path, bytes));
  StatusOr<CheckpointMetadata> metadata = ParseMetadata(bytes);
  if (!metadata.ok()) return With(metadata.status(), "{}", path);
  LoadedSnapshot loaded;
  loaded.directory = location.directory;
  loaded.metadata_file = location.metadata_file;
  loaded.metadata = *std::move(metadata);
  return loaded;
}

}  // namespace flink::snapshot
