#include "common/snapshot/snapshot_files.h"

#include <algorithm>
#include <cctype>
#include <filesystem>
#include <map>
#include <optional>

#include "common/base/failpoint.h"
#include "common/base/ids.h"
#include "common/base/logging.h"
#include "common/io/file_lock.h"
#include "common/io/file_system.h"
#include "common/snapshot/orphans.h"
#include "common/snapshot/side_file.h"
#include "common/snapshot/snapshot_claim.h"

namespace flink::snapshot {
namespace {

constexpr int kMaxRounds = 10;
constexpr std::string_view kCheckpointPrefix = "chk-";
constexpr std::string_view kSavepointPrefix = "savepoint-";

bool IsHex(std::string_view text) {
  return text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

bool IsBelow(const std::string& path, const std::string& directory) {
  return path.starts_with(directory + "/");
}

/// Where `path` is without the symbolic links on the way to it; as it is when that cannot be told.
std::string Real(const std::string& path) {
  std::error_code error;
  const std::filesystem::path real = std::filesystem::canonical(path, error);
  return error ? path : real.string();
}

/// FilesOf with the real paths of their directories.
std::set<std::string> RealFilesOf(const LoadedSnapshot& snapshot) {
  std::map<std::string, std::string> directories;
  std::set<std::string> files;
  for (const std::string& path : FilesOf(snapshot).paths) {
    const auto [directory, is_new] = directories.try_emplace(io::DirectoryName(path));
    if (is_new) directory->second = Real(directory->first);
    files.insert(io::JoinPath(directory->second, io::BaseName(path)));
  }
  return files;
}

/// The names of the files that other snapshots name. They are unique, and the same however the
/// directory is mounted. An error when one of the snapshots cannot be read.
StatusOr<std::set<std::string>> NamedByOthers(const LoadedSnapshot& snapshot) {
  std::string root = io::DirectoryName(snapshot.directory);
  int depth = 1;
  // Jobs may share with other jobs: one restored in claim mode LEGACY does.
  if (JobId::FromHex(io::BaseName(root)).ok()) {
    root = io::DirectoryName(root);
    depth = 2;
  }
  std::set<std::string> names;
  const auto list = [&]() -> StatusOr<std::vector<std::string>> {
    std::vector<Status> problems;
    std::vector<std::string> snapshots = FindSnapshots(root, depth, &problems);
    if (!problems.empty()) return problems.front();
    EraseItself(snapshot, &snapshots);
    return snapshots;
  };
  const Status all = ForEachSnapshot(
      list, [&names](const std::string& other, const StatusOr<LoadedSnapshot>& loaded) -> Status {
        RETURN_IF_ERROR(loaded.status());
        const SnapshotFiles files = FilesOf(*loaded);
        if (!files.complete)
          return FailedPrecondition("{} has state that is not understood", other);
        for (const std::string& path : files.paths) names.insert(io::BaseName(path));
        return OkStatus();
      });
  RETURN_IF_ERROR(all);
  return names;
}

/// The files of a checkpoint in the `shared` beside it that go with it.
std::vector<std::string> UnsharedFiles(const LoadedSnapshot& snapshot) {
  const std::string& directory = snapshot.directory;
  const std::string shared = io::JoinPath(io::DirectoryName(directory), "shared");
  std::vector<std::string> unshared;
  for (const std::string& path : RealFilesOf(snapshot)) {
    if (IsBelow(path, shared)) unshared.push_back(path);
  }
  if (unshared.empty()) return unshared;
  const StatusOr<std::set<std::string>> others = NamedByOthers(snapshot);
  if (!others.ok()) {
    LOG_WARN("The files of {} in {} are kept, because it is not known who else names them: {}",
             directory, shared, Message(others.status()));
    return {};
  }
  std::erase_if(unshared,
                [&](const std::string& path) { return others->count(io::BaseName(path)) != 0; });
  return unshared;
}

StatusOr<LoadedSnapshot> LoadDoomed(const std::string& pointer) {
  StatusOr<LoadedSnapshot> loaded = LoadSnapshot(pointer);
  if (loaded.ok()) FollowLinks(&*loaded);
  return loaded;
}

/// What a user is told whose snapshot cannot be loaded and is therefore not deleted.
Status NotDisposed(const std::string& pointer, const Status& unreadable) {
  if (absl::IsNotFound(unreadable)) return unreadable;
  const StatusOr<std::string> named = io::ParsePath(pointer);
  // What may not be looked at may be a directory.
  if (named.ok() && io::Exists(*named) && !io::IsDirectory(*named) &&
      io::BaseName(*named) != kMetadataFileName) {
    return InvalidArgument("'{}' is not a savepoint: name its directory, or the file {} in it",
                           pointer, kMetadataFileName);
  }
  return With(unreadable, "it is left as it is, because its metadata cannot be read");
}

/// The files of the snapshot in its directory. An old one is a single file of any name in a
/// directory that may hold another snapshot, whose files these are, too.
std::vector<std::string> FilesInside(const LoadedSnapshot& snapshot) {
  const std::string other = io::JoinPath(snapshot.directory, kMetadataFileName);
  std::set<std::string> kept;
  if (other != snapshot.metadata_file && io::Exists(other)) {
    const StatusOr<LoadedSnapshot> beside = LoadSnapshot(other);
    if (!beside.ok()) return {};
    kept = RealFilesOf(*beside);
    kept.insert({io::JoinPath(snapshot.directory, kSideFileName)});
  }
  std::set<std::string> files = RealFilesOf(snapshot);
  files.insert(io::JoinPath(snapshot.directory, kSideFileName));
  files.insert(io::JoinPath(snapshot.directory, kClaimFileName));
  std::erase_if(files, [&](const std::string& path) {
    return !IsBelow(path, snapshot.directory) || kept.count(path) != 0;
  });
  return {files.begin(), files.end()};
}

/// Nothing is in the directory of a job but what it makes before its first checkpoint.
bool HasNoCheckpoint(const std::string& directory) {
  const auto entries = io::ListDirectory(directory);
  if (!entries.ok()) return false;
  for (const io::DirectoryEntry& entry : *entries) {
    if (entry.name == kLockFileName) continue;
    if (entry.name != "shared" && entry.name != "taskowned") return false;
    const auto files = io::ListDirectory(io::JoinPath(directory, entry.name));
    if (!files.ok() || !files->empty()) return false;
  }
  return true;
}

Status DeleteFilesOf(const LoadedSnapshot& snapshot, const std::vector<std::string>& unshared) {
  const std::string& directory = snapshot.directory;
  const std::vector<std::string> inside = FilesInside(snapshot);
  PassFailpoint("snapshot.delete-begun", directory);
  RETURN_IF_ERROR(io::RemoveFile(snapshot.metadata_file));
  PassFailpoint("snapshot.metadata-deleted", directory);
  Status first;
  const auto keep_first = [&first](const Status& status) {
    if (status.ok()) return;
    LOG_WARN("A snapshot was not deleted completely: {}", Message(status));
    if (first.ok()) first = status;
  };
  for (const std::string& path : unshared) keep_first(io::RemoveFile(path));
  for (const std::string& path : inside) keep_first(io::RemoveFile(path));
  const std::string name = io::BaseName(directory);
  const bool made_by_cluster = IsCheckpointName(name) || IsSavepointName(name);
  if (made_by_cluster && !io::Exists(io::JoinPath(directory, kMetadataFileName))) {
    keep_first(RemoveSnapshotDirectory(directory));
  } else {
    IgnoreError(io::RemoveFile(directory), "the user keeps other files in it");
  }
  const std::string parent = io::DirectoryName(directory);
  if (IsCheckpointName(name)) RemoveEmptyJobDirectory(parent);
  if (IsSavepointName(io::BaseName(parent))) {
    // One that was deleted before this one, which lay in it.
    IgnoreError(io::RemoveFile(parent), "something is in it");
  }
  return first;
}

}  // namespace

SnapshotFiles FilesOf(const LoadedSnapshot& snapshot) {
  SnapshotFiles files;
  for (const OperatorSnapshot& op : snapshot.metadata.operators) {
    for (const auto& [index, state] : op.subtasks) {
      for (const KeyedStateHandle* keyed : {&state.managed_keyed_state, &state.raw_keyed_state}) {
        if (std::holds_alternative<OpaqueKeyedHandle>(*keyed)) files.complete = false;
      }
      ForEachStream(state, [&](const StreamStateHandle& stream) {
        if (std::holds_alternative<OpaqueStreamHandle>(stream)) files.complete = false;
        const StatusOr<std::string> path = ResolveStreamPath(stream, snapshot.directory);
        if (path.ok()) files.paths.insert(*path);
      });
    }
  }
  return files;
}

StatusOr<std::string> LocateFile(const StreamStateHandle& stream, const std::string& directory) {
  ASSIGN_OR_RETURN(std::string path, ResolveStreamPath(stream, directory));
  if (io::Exists(path)) return path;
  const std::string name = io::BaseName(path);
  for (const std::string& place :
       {directory, io::JoinPath(io::DirectoryName(directory), "shared")}) {
    std::string moved = io::JoinPath(place, name);
    if (io::Exists(moved)) return moved;
  }
  return path;
}

std::vector<std::string> FindSnapshots(const std::string& directory, int depth,
                                       std::vector<Status>* problems) {
  std::vector<std::string> found;
  if (io::Exists(io::JoinPath(directory, kMetadataFileName))) found.push_back(directory);
  if (depth == 0) return found;
  const auto entries = io::ListDirectory(directory);
  if (!entries.ok()) {
    if (problems != nullptr && !absl::IsNotFound(entries.status())) {
      problems->push_back(entries.status());
    }
    return found;
  }
  for (const io::DirectoryEntry& entry : *entries) {
    if (!entry.is_directory || entry.name == "shared" || entry.name == "taskowned") continue;
    const std::string path = io::JoinPath(directory, entry.name);
    if (io::IsSymbolicLink(path)) continue;
    const std::vector<std::string> below = FindSnapshots(path, depth - 1, problems);
    found.insert(found.end(), below.begin(), below.end());
  }
  return found;
}

Status ForEachSnapshot(const std::function<StatusOr<std::vector<std::string>>()>& list,
                       const std::function<Status(const std::string& directory,
                                                  const StatusOr<LoadedSnapshot>&)>& fn) {
  std::set<std::string> known;
  for (int round = 0; round < kMaxRounds; ++round) {
    bool vanished = false;
    ASSIGN_OR_RETURN(const std::vector<std::string> snapshots, list());
    for (const std::string& directory : snapshots) {
      if (known.count(directory) != 0) continue;
      const StatusOr<LoadedSnapshot> loaded = LoadSnapshot(directory);
      if (absl::IsNotFound(loaded.status())) {
        vanished = true;
      } else {
        RETURN_IF_ERROR(fn(directory, loaded));
        known.insert(directory);
      }
    }
    if (!vanished) return OkStatus();
  }
  return Unavailable("snapshots vanish while they are read");
}

bool IsCheckpointName(std::string_view name) {
  if (!name.starts_with(kCheckpointPrefix)) return false;
  name.remove_prefix(kCheckpointPrefix.size());
  return !name.empty() && name.find_first_not_of("0123456789") == std::string_view::npos;
}

bool IsSavepointName(std::string_view name) {
  if (!name.starts_with(kSavepointPrefix)) return false;
  name.remove_prefix(kSavepointPrefix.size());
  return name.size() == 19 && name[6] == '-' && IsHex(name.substr(0, 6)) && IsHex(name.substr(7));
}

bool IsStateFileName(std::string_view name) {
  if (name.size() != 36) return false;
  for (size_t i = 0; i < name.size(); ++i) {
    const bool dash = i == 8 || i == 13 || i == 18 || i == 23;
    if (dash ? name[i] != '-' : !std::isxdigit(static_cast<unsigned char>(name[i]))) return false;
  }
  return true;
}

bool IsTemporaryName(std::string_view name) {
  // Ours are dotted and end so; Flink's are of metadata.
  return (name.starts_with(".") && name.ends_with(".tmp")) || name == "._metadata_temp" ||
         name.starts_with("_metadata.inprogress");
}

bool IsGeneratedName(std::string_view name) {
  return IsStateFileName(name) || IsTemporaryName(name) || name == kMetadataFileName ||
         name == kSideFileName || name == kLockFileName || name == kClaimFileName;
}

Status RemoveSnapshotDirectory(const std::string& directory) {
  const auto entries = io::ListDirectory(directory);
  if (!entries.ok()) return absl::IsNotFound(entries.status()) ? OkStatus() : entries.status();
  Status first;
  std::vector<std::string> others;
  for (const io::DirectoryEntry& entry : *entries) {
    if (entry.is_directory || !IsGeneratedName(entry.name)) {
      others.push_back(entry.name);
      continue;
    }
    const Status removed = io::RemoveFile(io::JoinPath(directory, entry.name));
    if (first.ok()) first = removed;
  }
  if (!others.empty()) {
    LOG_WARN("{} stays, because {} is in it{}, which is not of the snapshot.", directory,
             others.front(),
             others.size() == 1 ? "" : fmt::format(", with {} more", others.size() - 1));
  } else if (first.ok()) {
    first = io::RemoveFile(directory);
  }
  return first;
}

void RemoveEmptyJobDirectory(const std::string& directory) {
  if (!JobId::FromHex(io::BaseName(directory)).ok() || !HasNoCheckpoint(directory)) return;
  // A job that begins there takes it first; behind us it finds the directory gone and makes it.
  const StatusOr<io::FileLock> alone =
      io::FileLock::Exclusive(io::JoinPath(directory, kLockFileName));
  if (!alone.ok() || !HasNoCheckpoint(directory)) return;
  for (const char* name : {"shared", "taskowned", kLockFileName}) {
    IgnoreError(io::RemoveFile(io::JoinPath(directory, name)), "not empty any more");
  }
  IgnoreError(io::RemoveFile(directory), "not empty any more");
}

void FollowLinks(LoadedSnapshot* snapshot) {
  snapshot->metadata_file = Real(snapshot->metadata_file);
  snapshot->directory = io::DirectoryName(snapshot->metadata_file);
}

void EraseItself(const LoadedSnapshot& snapshot, std::vector<std::string>* directories) {
  if (io::BaseName(snapshot.metadata_file) == kMetadataFileName) {
    std::erase(*directories, snapshot.directory);
  }
}

std::optional<CheckpointOwner> LivingOwner(const std::string& directory) {
  std::error_code error;
  const std::filesystem::path real = std::filesystem::canonical(directory, error);
  if (error || !IsCheckpointName(real.filename().string())) return std::nullopt;
  CheckpointOwner owner;
  owner.directory = real.parent_path().string();
  owner.lock_file = io::JoinPath(owner.directory, kLockFileName);
  if (!io::IsLocked(owner.lock_file)) return std::nullopt;
  const StatusOr<JobId> job = JobId::FromHex(io::BaseName(owner.directory));
  if (job.ok()) owner.job = *job;
  return owner;
}

Status NotClaimableOf(const CheckpointOwner& owner, const std::string& directory) {
  return AlreadyExists(
      "the checkpoint {} cannot be claimed, because the job {}that took it is running (its lock is "
      "{}). Cancel that job first, or restore with claim mode NO_CLAIM.",
      directory, owner.job ? owner.job->ToHex() + " " : "", owner.lock_file);
}

Status DisposeSnapshot(const std::string& pointer) {
  const StatusOr<LoadedSnapshot> doomed = LoadDoomed(pointer);
  if (!doomed.ok()) return NotDisposed(pointer, doomed.status());
  const LoadedSnapshot& loaded = *doomed;
  if (const std::optional<CheckpointOwner> owner = LivingOwner(loaded.directory)) {
    return FailedPrecondition(
        "{} is a checkpoint of {}, which a JobManager is running and may still need it; cancel the "
        "job first (the lock is {})",
        loaded.directory, owner->job ? "the job " + owner->job->ToHex() : std::string("a job"),
        owner->lock_file);
  }
  const std::vector<std::string> unshared = UnsharedFiles(loaded);
  // Nobody claims it from here until its metadata is gone.
  ASSIGN_OR_RETURN(const std::optional<io::FileLock> turn, TakeTurnToDelete(loaded.metadata_file));
  return DeleteFilesOf(loaded, unshared);
}

Status DeleteClaimedSnapshot(const std::string& pointer) {
  const StatusOr<LoadedSnapshot> loaded = LoadDoomed(pointer);
  if (absl::IsNotFound(loaded.status())) return OkStatus();
  if (!loaded.ok()) {
    // The job deletes the shared files that it knew: nobody is to take the rest for a snapshot.
    ASSIGN_OR_RETURN(std::string path, io::ParsePath(pointer));
    if (io::IsDirectory(path)) path = io::JoinPath(path, kMetadataFileName);
    RETURN_IF_ERROR(io::RemoveFile(path));
    return loaded.status();
  }
  return DeleteFilesOf(*loaded, {});
}

}  // namespace flink::snapshot
