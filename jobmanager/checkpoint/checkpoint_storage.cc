#include "jobmanager/checkpoint/checkpoint_storage.h"

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <random>
#include <set>

#include "common/base/failpoint.h"
#include "common/base/logging.h"
#include "common/config/options.h"
#include "common/io/checksum.h"
#include "common/io/file_system.h"
#include "common/snapshot/file_list.h"
#include "common/snapshot/in_flight_plan.h"
#include "common/snapshot/orphans.h"
#include "common/snapshot/snapshot_files.h"
#include "common/snapshot/snapshot_journal.h"
#include "common/snapshot/state_files.h"
#include "common/snapshot/state_handle.h"
#include "flink/pb/cluster/v1/executor.pb.h"
#include "jobmanager/checkpoint/portability.h"

namespace flink::jobmanager {
namespace {

using Json = nlohmann::ordered_json;
using pb::cluster::v1::CheckpointAck;

constexpr int kMakeDirectoryAttempts = 10;

std::string RandomHex(int digits) {
  static thread_local std::mt19937_64 random{std::random_device{}()};
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string text;
  for (int i = 0; i < digits; ++i) text += kDigits[random() % 16];
  return text;
}

bool IsBelow(const std::string& path, const std::string& directory) {
  return path.size() > directory.size() + 1 && path.compare(0, directory.size(), directory) == 0 &&
         path[directory.size()] == '/';
}

// However the two are mounted or linked.
bool IsIn(std::string directory, const std::string& ancestor) {
  while (!io::IsSame(directory, ancestor)) {
    const std::string parent = io::DirectoryName(directory);
    if (parent == directory || parent == ".") return false;
    directory = parent;
  }
  return true;
}

// The names of directories that may have been created just now. What the user owns above them may
// be unreadable, which is no reason to refuse the job.
void FsyncAbove(const std::string& directory) {
  const std::string parent = io::DirectoryName(directory);
  for (const std::string& above : {parent, io::DirectoryName(parent)}) {
    IgnoreError(io::FsyncDirectory(above), "above what we own");
  }
}

Status NoSavepointDirectory(const std::string& target_dir, const Status& cause) {
  return MakeStatus(cause.code(),
                    "Failed to create savepoint directory at {}: {}. Choose a directory that the "
                    "JobManager and the TaskManagers can write.",
                    target_dir, Message(cause));
}

const char* KindName(SnapshotKind kind) {
  switch (kind) {
    case SnapshotKind::kCheckpoint:
      return "checkpoint";
    case SnapshotKind::kFinalCheckpoint:
      return "final-checkpoint";
    case SnapshotKind::kSavepoint:
      return "savepoint";
    case SnapshotKind::kCancelSavepoint:
      return "cancel-savepoint";
    case SnapshotKind::kStopSuspend:
      return "stop-savepoint";
    case SnapshotKind::kStopDrain:
      return "drain-savepoint";
  }
  return "checkpoint";
}

// Files as Flink names them: relative inside a savepoint, so that it can be moved; else as a file:
// URI.
void QualifyStream(snapshot::StreamStateHandle& stream, const std::string& location,
                   bool relative) {
  auto* file = std::get_if<snapshot::FileHandle>(&stream);
  if (file == nullptr) return;
  StatusOr<std::string> path = io::ParsePath(file->path);
  if (!path.ok()) return;  // Carried as it is.
  if (relative && IsBelow(*path, location)) {
    stream = snapshot::RelativeFileHandle{path->substr(location.size() + 1), file->size};
  } else {
    file->path = io::QualifyPath(*path);
  }
}

StatusOr<CheckpointAck> DecodeAck(const std::string& bytes) {
  CheckpointAck ack;
  if (!ack.ParseFromString(bytes)) {
    return DataLoss("an acknowledged state of {} bytes cannot be decoded", bytes.size());
  }
  return ack;
}

using OperatorStates = std::map<OperatorId, snapshot::OperatorSnapshot>;

Status AddAck(const CheckpointAck& ack, int subtask, const std::string& location, bool relative,
              OperatorStates& operators, snapshot::FileChecksums& checksums) {
  for (const auto& op : ack.operators()) {
    OperatorId id;
    std::array<uint8_t, 16> bytes{};
    if (op.operator_id().size() != bytes.size()) {
      return DataLoss("an acknowledgement names an operator id of {} bytes",
                      op.operator_id().size());
    }
    std::copy(op.operator_id().begin(), op.operator_id().end(), bytes.begin());
    id = OperatorId(bytes);
    const auto found = operators.find(id);
    if (found == operators.end()) {
      return DataLoss("an acknowledgement names the operator {}, which the job does not have",
                      id.ToHex());
    }
    snapshot::SubtaskState state;
    if (!op.state().empty()) {
      ASSIGN_OR_RETURN(state, snapshot::DecodeSubtaskState(op.state()));
    }
    snapshot::ForEachStream(state, [&](snapshot::StreamStateHandle& stream) {
      QualifyStream(stream, location, relative);
    });
    if (!state.empty()) found->second.subtasks[subtask] = std::move(state);
    for (const auto& [path, checksum] : op.checksums()) checksums[path] = checksum;
  }
  return OkStatus();
}

void MarkFinished(const CheckpointPlan& plan, const SnapshotOperator& op,
                  snapshot::OperatorSnapshot& entry) {
  if (plan.IsFinished(op.vertex)) {
    entry.fully_finished = true;
    entry.subtasks.clear();
    entry.coordinator_state = {};
    return;
  }
  for (const SubtaskRef& subtask : plan.finished) {
    if (subtask.vertex == op.vertex) entry.subtasks[subtask.subtask].finished = true;
  }
}

Json FileJson(int64_t size, std::optional<uint64_t> checksum) {
  Json entry;
  entry["size"] = size;
  entry["checksum"] = checksum ? Json(fmt::format("{:016x}", *checksum)) : Json();
  return entry;
}

// All files that the metadata names; a file that no task gave a checksum for has only its size.
Json ListFiles(const snapshot::CheckpointMetadata& metadata, const std::string& metadata_bytes,
               const std::string& location, const snapshot::FileChecksums& checksums) {
  Json files = Json::object();
  for (const snapshot::OperatorSnapshot& op : metadata.operators) {
    for (const auto& [index, state] : op.subtasks) {
      snapshot::ForEachStream(state, [&](const snapshot::StreamStateHandle& stream) {
        const StatusOr<std::string> path = snapshot::ResolveStreamPath(stream, location);
        if (!path.ok()) return;  // Inline, or carried as it is.
        const std::string name =
            IsBelow(*path, location) ? path->substr(location.size() + 1) : *path;
        const auto checksum = checksums.find(name);
        // As the metadata names it, so that both are right about a directory that was moved.
        const bool by_name = std::holds_alternative<snapshot::RelativeFileHandle>(stream);
        files[by_name ? name : *path] =
            FileJson(snapshot::StreamSize(stream),
                     checksum == checksums.end() ? std::nullopt : std::optional(checksum->second));
      });
    }
  }
  files[std::string(snapshot::kMetadataFileName)] =
      FileJson(static_cast<int64_t>(metadata_bytes.size()), io::Checksum64(metadata_bytes));
  return files;
}

Json SideFileJson(const checkpoint::PersistMetadata& action, const SnapshotDescription& description,
                  Json files) {
  Json operators = Json::array();
  for (const SnapshotOperator& op : description.operators) {
    operators.push_back({{"id", op.id.ToHex()},
                         {"uid", op.uid},
                         {"name", op.name},
                         {"parallelism", op.parallelism},
                         {"max_parallelism", op.max_parallelism}});
  }
  Json json;
  json["format_version"] = snapshot::kSideFileVersion;
  json["kind"] = KindName(action.kind);
  json["format"] = action.format == SavepointFormat::kCanonical ? "canonical" : "native";
  json["checkpoint_id"] = action.checkpoint;
  json["trigger_timestamp_ms"] = action.trigger_timestamp_ms;
  json["job_id"] = description.job.ToHex();
  json["job_name"] = description.job_name;
  json["operators"] = std::move(operators);
  json["checksum"] = "xxh3-64";
  json["files"] = std::move(files);
  return json;
}

/// What Apache Flink could not restore of a canonical savepoint.
StatusOr<Json> NotPortableJson(const snapshot::CheckpointMetadata& metadata,
                               const std::string& location) {
  Json json = Json::array();
  for (const snapshot::OperatorSnapshot& op : metadata.operators) {
    ASSIGN_OR_RETURN(const auto states, FindNotPortableStates(op, location));
    for (const NotPortableState& state : states) {
      json.push_back(
          {{"operator", op.operator_id.ToHex()}, {"state", state.state}, {"reason", state.reason}});
    }
  }
  return json;
}

}  // namespace

std::string CheckpointStorage::shared_directory() const {
  return io::JoinPath(options_.directory, "shared");
}

Status CheckpointStorage::Prepare() const {
  RETURN_IF_ERROR(LockOwnDirectory());
  for (const char* name : {"shared", "taskowned"}) {
    RETURN_IF_ERROR(io::CreateDirectories(io::JoinPath(options_.directory, name)));
  }
  RETURN_IF_ERROR(io::FsyncDirectory(options_.directory));
  FsyncAbove(options_.directory);
  RETURN_IF_ERROR(io::ProbeWritable(options_.directory));
  if (!options_.is_private) NoteInJournals(options_.directory);
  return OkStatus();
}

Status CheckpointStorage::LockOwnDirectory() const {
  Status locked;
  // Whoever disposes of the last checkpoint of an earlier job removes what is empty and not locked.
  for (int i = 0; i < kMakeDirectoryAttempts; ++i) {
    RETURN_IF_ERROR(io::CreateDirectories(options_.directory));
    if (options_.is_private) return OkStatus();
    locked = Lock(options_.directory, /*exclusive=*/!options_.owns_directory);
    if (!absl::IsNotFound(locked)) break;
  }
  if (!absl::IsAlreadyExists(locked) || options_.owns_directory) return locked;
  return With(locked,
              "another job is writing its checkpoints there; only one can while {} is false",
              options::kCheckpointCreateSubdir.key);
}

Status CheckpointStorage::Lock(const std::string& directory, bool exclusive) const {
  const std::string path = io::JoinPath(directory, snapshot::kLockFileName);
  StatusOr<io::FileLock> lock =
      exclusive ? io::FileLock::Exclusive(path) : io::FileLock::Share(path);
  if (absl::IsAlreadyExists(lock.status()) || absl::IsNotFound(lock.status())) {
    return lock.status();
  }
  if (!lock.ok()) {
    LOG_WARN("\"flink fsck\" will not see that {} is in use: {}", directory,
             Message(lock.status()));
    return OkStatus();
  }
  const std::lock_guard<std::mutex> guard(mutex_);
  locks_.insert_or_assign(directory, *std::move(lock));
  return OkStatus();
}

void CheckpointStorage::ReleaseLock(const std::string& directory) const {
  const std::lock_guard<std::mutex> guard(mutex_);
  locks_.erase(directory);
}

void CheckpointStorage::Unlock(const std::string& directory) const {
  IgnoreError(io::RemoveFile(io::JoinPath(directory, snapshot::kLockFileName)),
              "an empty file does no harm");
  ReleaseLock(directory);
}

void CheckpointStorage::NoteInJournals(const std::string& path) const {
  for (const std::string& journal : options_.journals) {
    // The checkpoints of jobs are looked for where the journal is.
    if (path == options_.directory && (path == journal || io::DirectoryName(path) == journal)) {
      continue;
    }
    const Status noted = snapshot::AppendToJournal(journal, {options_.job, path});
    if (!noted.ok()) {
      LOG_WARN("\"flink savepoint list\" will not know of {}: {}", path, Message(noted));
    }
  }
}

CheckpointId CheckpointStorage::HighestCheckpoint() const {
  CheckpointId highest = 0;
  const auto entries = io::ListDirectory(options_.directory);
  if (!entries.ok()) return highest;  // Prepare says why.
  for (const io::DirectoryEntry& entry : *entries) {
    if (!snapshot::IsCheckpointName(entry.name)) continue;
    const char* digits = entry.name.data() + std::string_view("chk-").size();
    int32_t id = 0;  // A larger one is nobody's.
    const auto [end, error] = std::from_chars(digits, entry.name.data() + entry.name.size(), id);
    if (error == std::errc()) highest = std::max<CheckpointId>(highest, id);
  }
  return highest;
}

std::vector<std::string> CheckpointStorage::OwnSharedFiles() const {
  std::vector<std::string> files;
  if (!options_.owns_directory || !io::Exists(shared_directory())) return files;
  const auto entries = io::ListDirectory(shared_directory());
  if (!entries.ok()) {
    LOG_WARN("{}", Message(entries.status()));
    return files;
  }
  for (const io::DirectoryEntry& entry : *entries) {
    if (!entry.is_directory) files.push_back(io::JoinPath(shared_directory(), entry.name));
  }
  return files;
}

void CheckpointStorage::RemoveEmptyDirectories() const {
  if (!options_.owns_directory) return;
  ReleaseLock(options_.directory);
  const std::string lock = io::JoinPath(options_.directory, snapshot::kLockFileName);
  // A job of the same id may have begun there.
  const StatusOr<io::FileLock> alone = io::FileLock::Exclusive(lock);
  if (absl::IsAlreadyExists(alone.status())) return;
  for (const char* name : {"shared", "taskowned"}) {
    IgnoreError(io::RemoveFile(io::JoinPath(options_.directory, name)), "kept when not empty");
  }
  // Last: whoever finds none begins there.
  IgnoreError(io::RemoveFile(lock), "an empty file does no harm");
  IgnoreError(io::RemoveFile(options_.directory), "kept when not empty");
}

StatusOr<std::string> CheckpointStorage::CreateLocation(CheckpointId checkpoint,
                                                        const std::string& target_dir) const {
  if (target_dir.empty()) {
    std::string location = io::JoinPath(options_.directory, fmt::format("chk-{}", checkpoint));
    RETURN_IF_ERROR(io::CreateDirectories(options_.directory));
    // What is there is somebody else's.
    RETURN_IF_ERROR(io::CreateNewDirectory(location));
    return location;
  }
  // Another directory would not help, so the error stands alone.
  ASSIGN_OR_RETURN(const std::string target, io::ParsePath(target_dir));
  Status last = io::CreateDirectories(target);
  if (last.ok()) FsyncAbove(target);
  for (int i = 0; last.ok() && i < kMakeDirectoryAttempts; ++i) {
    std::string location = io::JoinPath(
        target, fmt::format("savepoint-{}-{}", options_.job.ToHex().substr(0, 6), RandomHex(12)));
    last = io::CreateNewDirectory(location);
    if (absl::IsAlreadyExists(last)) {
      last = OkStatus();
      continue;
    }
    if (!last.ok()) break;
    IgnoreError(Lock(location), "nobody else knows of it");
    return location;
  }
  return NoSavepointDirectory(target_dir,
                              last.ok() ? AlreadyExists("no free name was found") : last);
}

StatusOr<PersistedMetadata> CheckpointStorage::Persist(
    const checkpoint::PersistMetadata& action, const SnapshotDescription& description) const {
  OperatorStates operators;
  std::multimap<JobVertexId, OperatorId> by_vertex;
  for (const SnapshotOperator& op : description.operators) {
    snapshot::OperatorSnapshot& entry = operators[op.id];
    entry.operator_id = op.id;
    entry.parallelism = op.parallelism;
    entry.max_parallelism = op.max_parallelism;
    const auto coordinator = action.coordinators.find(op.id);
    if (coordinator != action.coordinators.end()) {
      entry.coordinator_state =
          snapshot::InlineHandle{"coordinator-" + op.id.ToHex(), coordinator->second};
    }
  }
  const bool relative = IsSavepoint(action.kind);
  snapshot::FileChecksums checksums;
  for (const auto& [ref, subtask] : action.subtasks) {
    ASSIGN_OR_RETURN(const CheckpointAck ack, DecodeAck(subtask.state));
    RETURN_IF_ERROR(AddAck(ack, ref.subtask, action.location, relative, operators, checksums));
  }
  // A subtask that took part without having keyed state must not look like one that is missing.
  for (const SnapshotOperator& op : description.operators) {
    if (!op.keyed) continue;
    for (const auto& [ref, subtask] : action.subtasks) {
      if (ref.vertex == op.vertex) operators[op.id].subtasks.try_emplace(ref.subtask);
    }
  }
  snapshot::CheckpointMetadata metadata;
  metadata.checkpoint_id = action.checkpoint;
  for (const SnapshotOperator& op : description.operators) {
    MarkFinished(action.plan, op, operators[op.id]);
    metadata.operators.push_back(std::move(operators[op.id]));
  }
  ASSIGN_OR_RETURN(const std::string bytes, snapshot::SerializeMetadata(metadata));
  Json side_file =
      SideFileJson(action, description, ListFiles(metadata, bytes, action.location, checksums));
  if (action.format == SavepointFormat::kCanonical) {
    ASSIGN_OR_RETURN(side_file["not_portable"], NotPortableJson(metadata, action.location));
  }
  if (std::any_of(metadata.operators.begin(), metadata.operators.end(),
                  snapshot::HasInFlightData)) {
    side_file[snapshot::kInFlightDataKey] = snapshot::kInFlightDataFormat;
  }
  // Names of jobs and operators need not be UTF-8.
  RETURN_IF_ERROR(io::WriteFileDurably(
      io::JoinPath(action.location, kSideFileName),
      side_file.dump(1, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace)));
  if (relative) NoteInJournals(action.location);
  RETURN_IF_ERROR(
      io::PublishFile(io::JoinPath(action.location, snapshot::kMetadataFileName), bytes));
  // Not before: what is neither locked nor has metadata is an orphan.
  if (relative) Unlock(action.location);
  // The name of the snapshot's directory must be as durable as what is in it.
  RETURN_IF_ERROR(io::FsyncDirectory(io::DirectoryName(action.location)));
  PersistedMetadata persisted;
  const bool addressable = relative || !options_.is_private;
  persisted.external_path =
      addressable ? io::QualifyPath(action.location) : kNotExternallyAddressable;
  persisted.metadata_size = static_cast<int64_t>(bytes.size());
  return persisted;
}

Status CheckpointStorage::DeleteSnapshot(const std::string& location) {
  PassFailpoint("snapshot.delete-begun", location);
  Status first = io::RemoveFile(io::JoinPath(location, snapshot::kMetadataFileName));
  PassFailpoint("snapshot.metadata-deleted", location);
  const Status second = snapshot::RemoveSnapshotDirectory(location);
  if (first.ok()) first = second;
  if (!first.ok())
    LOG_WARN("Could not delete the snapshot {} completely: {}", location, Message(first));
  return first;
}

Status CheckpointStorage::DeleteFiles(const std::vector<std::string>& files) {
  Status first;
  for (const std::string& file : files) {
    const StatusOr<std::string> path = io::ParsePath(file);
    const Status removed = path.ok() ? io::RemoveFile(*path) : path.status();
    if (!removed.ok()) {
      LOG_WARN("Could not delete {}: {}", file, Message(removed));
      if (first.ok()) first = removed;
    }
  }
  return first;
}

Status CheckpointStorage::DeleteExclusiveFiles(const std::string& ack_bytes,
                                               const std::string& location) {
  ASSIGN_OR_RETURN(const CheckpointAck ack, DecodeAck(ack_bytes));
  std::set<std::string> shared;
  std::vector<std::string> files;
  for (const auto& op : ack.operators()) {
    for (const std::string& file : op.shared_files()) {
      const StatusOr<std::string> path = io::ParsePath(file);
      if (path.ok()) shared.insert(*path);
    }
  }
  for (const auto& op : ack.operators()) {
    if (op.state().empty()) continue;
    ASSIGN_OR_RETURN(const snapshot::SubtaskState state, snapshot::DecodeSubtaskState(op.state()));
    snapshot::ForEachStream(state, [&](const snapshot::StreamStateHandle& stream) {
      if (const auto* relative = std::get_if<snapshot::RelativeFileHandle>(&stream)) {
        if (!location.empty()) files.push_back(io::JoinPath(location, relative->path));
      } else if (const auto* file = std::get_if<snapshot::FileHandle>(&stream)) {
        const StatusOr<std::string> path = io::ParsePath(file->path);
        const bool exclusive = path.ok() && !location.empty() && IsBelow(*path, location);
        if (exclusive && shared.count(*path) == 0) files.push_back(*path);
      }
    });
  }
  return DeleteFiles(files);
}

Status PrepareSavepointDirectory(const std::string& target_dir) {
  ASSIGN_OR_RETURN(const std::string target, io::ParsePath(target_dir));
  RETURN_IF_ERROR(io::CreateDirectories(target));
  return io::ProbeWritable(target);
}

std::vector<std::string> FilesOutside(const snapshot::CheckpointMetadata& metadata,
                                      const std::string& directory) {
  std::set<std::string> files;
  for (const snapshot::OperatorSnapshot& op : metadata.operators) {
    for (const auto& [index, state] : op.subtasks) {
      snapshot::ForEachStream(state, [&](const snapshot::StreamStateHandle& stream) {
        const StatusOr<std::string> path = snapshot::ResolveStreamPath(stream, directory);
        if (path.ok() && !IsBelow(*path, directory)) files.insert(*path);
      });
    }
  }
  return {files.begin(), files.end()};
}

std::vector<std::string> FilesOfOthers(const snapshot::LoadedSnapshot& loaded,
                                       const std::vector<std::string>& outside) {
  std::set<std::string> others;
  if (outside.empty()) return {};
  snapshot::LoadedSnapshot real = loaded;
  snapshot::FollowLinks(&real);
  const std::string parent = io::DirectoryName(real.directory);
  const std::string shared = io::JoinPath(parent, "shared");
  std::map<std::string, bool> is_ours;
  for (const std::string& file : outside) {
    const auto [directory, is_new] = is_ours.try_emplace(io::DirectoryName(file));
    if (is_new) directory->second = IsIn(directory->first, shared);
    if (!directory->second) others.insert(file);
  }
  const auto list = [&]() -> StatusOr<std::vector<std::string>> {
    auto beside = snapshot::FindSnapshots(parent, 1, nullptr);
    snapshot::EraseItself(real, &beside);
    return beside;
  };
  const Status all = snapshot::ForEachSnapshot(
      list,
      [&](const std::string& beside, const StatusOr<snapshot::LoadedSnapshot>& other) -> Status {
        RETURN_IF_ERROR(other.status());
        const snapshot::SnapshotFiles files = snapshot::FilesOf(*other);
        if (!files.complete) return FailedPrecondition("{} is not understood", beside);
        for (const std::string& file : outside) {
          if (files.paths.count(file) != 0) others.insert(file);
        }
        return OkStatus();
      });
  if (!all.ok()) return outside;  // Somebody may name any of them.
  return {others.begin(), others.end()};
}

}  // namespace flink::jobmanager
