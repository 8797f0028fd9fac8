#include "common/snapshot/snapshot_files.h"

#include <algorithm>
#include <optional>

#include "common/base/failpoint.h"
#include "common/base/ids.h"
#include "common/base/logging.h"
#include "common/io/file_system.h"
#include "common/snapshot/side_file.h"
#include "common/snapshot/snapshot_claim.h"

namespace flink::snapshot {
namespace {

constexpr std::string_view kCheckpointPrefix = "chk-";
constexpr std::string_view kSavepointPrefix = "savepoint-";

bool IsHex(std::string_view text) {
  return text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

bool IsBelow(const std::string& path, const std::string& directory) {
  return path.starts_with(directory + "/");
}

/// The names of the files that snapshots other than `directory` name. They are unique, and the same
/// however the directory is mounted. An error when one of the snapshots cannot be read.
StatusOr<std::set<std::string>> NamedByOthers(const std::string& directory) {
  std::string root = io::DirectoryName(directory);
  int depth = 1;
  // Jobs may share with other jobs: one restored in claim mode LEGACY does.
  if (JobId::FromHex(io::BaseName(root)).ok()) {
    root = io::DirectoryName(root);
    depth = 2;
  }
  std::vector<Status> problems;
  const std::vector<std::string> snapshots = FindSnapshots(root, depth, &problems);
  if (!problems.empty()) return problems.front();
  std::set<std::string> names;
  for (const std::string& other : snapshots) {
    if (other == directory) continue;
    const StatusOr<LoadedSnapshot> loaded = LoadSnapshot(other);
    if (absl::IsNotFound(loaded.status())) continue;  // Deleted a moment ago.
    if (!loaded.ok()) return loaded.status();
    const SnapshotFiles files = FilesOf(*loaded);
    if (!files.complete) return FailedPrecondition("{} has state that is not understood", other);
    for (const std::string& path : files.paths) names.insert(io::BaseName(path));
  }
  return names;
}

/// The files of a checkpoint in the `shared` beside it that go with it.
std::vector<std::string> UnsharedFiles(const SnapshotFiles& files, const std::string& directory) {
  const std::string shared = io::JoinPath(io::DirectoryName(directory), "shared");
  std::vector<std::string> unshared;
  for (const std::string& path : files.paths) {
    if (IsBelow(path, shared)) unshared.push_back(path);
  }
  if (unshared.empty()) return unshared;
  const StatusOr<std::set<std::string>> others = NamedByOthers(directory);
  if (!others.ok()) {
    LOG_WARN("The files of {} in {} are kept, because it is not known who else names them: {}",
             directory, shared, Message(others.status()));
    return {};
  }
  std::erase_if(unshared,
                [&](const std::string& path) { return others->count(io::BaseName(path)) != 0; });
  return unshared;
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

Status DisposeSnapshot(const std::string& pointer) {
  ASSIGN_OR_RETURN(const std::string directory, ResolveSnapshotPointer(pointer));
  const StatusOr<LoadedSnapshot> loaded = LoadSnapshot(directory);
  if (!loaded.ok()) {
    return With(loaded.status(), "{} is left as it is, because its metadata cannot be read",
                pointer);
  }
  ASSIGN_OR_RETURN(const std::optional<SnapshotClaim> claim, FindClaim(directory));
  if (claim.has_value()) return ClaimedBy(*claim, directory);
  const SnapshotFiles files = FilesOf(*loaded);
  std::vector<std::string> doomed = UnsharedFiles(files, directory);
  for (const std::string& path : files.paths) {
    if (IsBelow(path, directory)) doomed.push_back(path);
  }
  doomed.push_back(io::JoinPath(directory, kSideFileName));
  doomed.push_back(io::JoinPath(directory, kClaimFileName));
  PassFailpoint("snapshot.delete-begun", directory);
  RETURN_IF_ERROR(io::RemoveFile(io::JoinPath(directory, kMetadataFileName)));
  PassFailpoint("snapshot.metadata-deleted", directory);
  Status first;
  const auto keep_first = [&first](const Status& status) {
    if (status.ok()) return;
    LOG_WARN("A snapshot was not deleted completely: {}", Message(status));
    if (first.ok()) first = status;
  };
  for (const std::string& path : doomed) keep_first(io::RemoveFile(path));
  const std::string name = io::BaseName(directory);
  if (IsCheckpointName(name) || IsSavepointName(name)) {
    keep_first(io::RemoveAll(directory));
  } else {
    IgnoreError(io::RemoveFile(directory), "the user keeps other files in it");
  }
  return first;
}

}  // namespace flink::snapshot
