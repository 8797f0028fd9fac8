#pragma once

/// Which files belong to which snapshot, and how snapshots are deleted.

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/ids.h"
#include "common/base/status.h"
#include "common/snapshot/metadata.h"

namespace flink::snapshot {

/// The files that a snapshot names.
struct SnapshotFiles {
  /// Local paths.
  std::set<std::string> paths;
  /// False when the snapshot has state of a kind that is carried but not interpreted: it may name
  /// more.
  bool complete = true;
};
SnapshotFiles FilesOf(const LoadedSnapshot& snapshot);

/// The path of the file behind a handle. One whose absolute path is of another machine is looked
/// for beside the metadata and where checkpoints share files.
StatusOr<std::string> LocateFile(const StreamStateHandle& stream, const std::string& directory);

/// Deep enough for every snapshot below a directory, and an end in any case.
inline constexpr int kMaxSnapshotDepth = 64;

/// The directories with a `_metadata` at most `depth` levels below `directory` (0: itself), sorted.
/// Does not follow symbolic links, nor look into the directories that checkpoints share. What
/// cannot be listed is added to `problems` unless that is null.
std::vector<std::string> FindSnapshots(const std::string& directory, int depth,
                                       std::vector<Status>* problems);

/// Calls `fn` for every snapshot that `list` finds, once each (again for those that it could not
/// read): when one has vanished since it was listed, another may be there by now that names its
/// files, and all are listed again.
/// An error of either ends it; so does kUnavailable when it does not come to rest.
Status ForEachSnapshot(
    const std::function<StatusOr<std::vector<std::string>>()>& list,
    const std::function<Status(const std::string& directory, const StatusOr<LoadedSnapshot>&)>& fn);

/// "chk-<n>" and "savepoint-<6 hex>-<12 hex>": names that only a cluster gives to its directories.
bool IsCheckpointName(std::string_view name);
bool IsSavepointName(std::string_view name);
/// The same of files: of state (a UUID); of a file that is not yet complete; of any in the
/// directory of a snapshot.
bool IsStateFileName(std::string_view name);
bool IsTemporaryName(std::string_view name);
bool IsGeneratedName(std::string_view name);

/// Deletes the files of a cluster from a directory that a cluster made for a snapshot, and the
/// directory when nothing else is in it: what anybody else has put there stays, with a warning.
/// Fine if it is not there.
Status RemoveSnapshotDirectory(const std::string& directory);

/// Deletes the directory of the checkpoints of a job (it bears the job's id), with `shared` and
/// `taskowned`, if no job lives there and no file is left; else nothing.
void RemoveEmptyJobDirectory(const std::string& directory);

/// Makes `directory` and `metadata_file` of the snapshot those that symbolic links lead to.
void FollowLinks(LoadedSnapshot* snapshot);

/// Takes the directory of `snapshot` out, unless it holds another snapshot besides.
void EraseItself(const LoadedSnapshot& snapshot, std::vector<std::string>* directories);

/// Who may restore from a checkpoint, or delete it.
struct CheckpointOwner {
  std::string directory;  ///< Where the job keeps its checkpoints.
  std::string lock_file;
  std::optional<JobId> job;  ///< Unknown without `execution.checkpointing.create-subdir`.
};
/// The job to whose checkpoints the one in `directory` belongs, while a JobManager runs that job.
/// By the lock beside the checkpoint, however that is mounted or linked.
std::optional<CheckpointOwner> LivingOwner(const std::string& directory);
/// Why no other job can claim the checkpoint in `directory` while this owner lives, and what to do.
Status NotClaimableOf(const CheckpointOwner& owner, const std::string& directory);

/// Deletes the snapshot that a user points at: `_metadata`, then the files that it names, then its
/// directory unless something that is not of the snapshot is left in it. A symbolic link that leads
/// to it stays: it is not of the snapshot, and may be made to lead to another. Shared files of a
/// checkpoint go when no other snapshot of the same checkpoint directory names them. Metadata that
/// cannot be read is an error, so that nothing else is deleted by mistake; so is metadata that
/// cannot be deleted, and the snapshot stays whole. So is one that a job has claimed or holds, or
/// that its living owner may need. Later errors are logged, and the first is
/// returned.
Status DisposeSnapshot(const std::string& pointer);

/// The same for a job that has claimed the snapshot: its claim does not matter, and the files
/// outside the snapshot's directory are left to the job. A snapshot that is gone is fine.
Status DeleteClaimedSnapshot(const std::string& pointer);

}  // namespace flink::snapshot
