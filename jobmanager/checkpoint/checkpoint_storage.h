#pragma once

/// CheckpointStorage: where the snapshots of one job lie and how they are written and deleted.
///
///   <checkpoint dir>/<job id>/chk-<n>/      exclusive files, `_flink_cpp.json`, `_metadata`
///   <checkpoint dir>/<job id>/shared/       files that several checkpoints name
///   <checkpoint dir>/<job id>/taskowned/
///   <target>/savepoint-<6 hex of job id>-<12 hex>/   a savepoint with everything in it
///
/// The job's directory holds `_flink_cpp_lock`, locked while the job lives, and so does a savepoint
/// until it is complete: others keep off what is locked.
///
/// A snapshot exists when its `_metadata` does, which is written last. `_flink_cpp.json` says what
/// only we need.

#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "common/base/ids.h"
#include "common/base/status.h"
#include "common/graph/job_graph.h"
#include "common/io/file_lock.h"
#include "common/snapshot/metadata.h"
#include "common/snapshot/side_file.h"
#include "common/snapshot/snapshot_operator.h"
#include "jobmanager/checkpoint/checkpoint_events.h"
#include "jobmanager/checkpoint/checkpoint_types.h"

namespace flink::jobmanager {

using snapshot::kSideFileName;
using snapshot::ReadSideFile;
using snapshot::ResolveSnapshotPointer;
using snapshot::SideFile;
using snapshot::SnapshotOperator;
/// external_path of a checkpoint below the JobManager's own work directory.
inline constexpr const char* kNotExternallyAddressable = "<checkpoint-not-externally-addressable>";

/// All that the metadata of a snapshot is made of besides the acknowledgements.
struct SnapshotDescription {
  JobId job;
  std::string job_name;
  /// Sizes of a snapshot's operators come from here, not from the graph the client sent: the
  /// maximum parallelism may have been taken over from a restored snapshot.
  std::vector<SnapshotOperator> operators;
};

struct PersistedMetadata {
  std::string external_path;
  int64_t metadata_size = 0;
};

/// Thread-safe; all functions with I/O block. Paths are local and absolute.
class CheckpointStorage {
 public:
  struct Options {
    JobId job;
    /// Of the job: <configured directory>/<job id>, or without the id when
    /// execution.checkpointing.create-subdir is off.
    std::string directory;
    /// The directory lies in the JobManager's work directory and goes with it.
    bool is_private = false;
    /// The directory is this job's alone and goes with its last file.
    bool owns_directory = true;
    /// The directories in whose journals the snapshots of the job are noted.
    std::vector<std::string> journals;
  };
  explicit CheckpointStorage(Options options) : options_(std::move(options)) {}

  const std::string& directory() const { return options_.directory; }
  bool owns_directory() const { return options_.owns_directory; }
  std::string shared_directory() const;
  bool is_private() const { return options_.is_private; }

  /// Creates the directories, locks them and checks that they can be written. Notes in the journals
  /// where the checkpoints of the job will be. A directory that is not this job's alone must not be
  /// in use by another one.
  Status Prepare() const;
  /// The largest id of the checkpoints in the directory, complete or not; 0: none. They are of
  /// earlier jobs when the directory is not this job's alone.
  CheckpointId HighestCheckpoint() const;
  /// Paths of the files in the shared directory; none when it is not this job's alone.
  std::vector<std::string> OwnSharedFiles() const;
  /// Gives up the lock of the job's directory: whoever sees that the job has ended may claim or
  /// dispose of what it leaves. Or that of a savepoint which was given up.
  void ReleaseLock(const std::string& directory) const;
  /// Removes the directories of the job that are empty.
  void RemoveEmptyDirectories() const;

  /// "chk-<n>" or, with a target, a savepoint directory; new ones.
  StatusOr<std::string> CreateLocation(CheckpointId checkpoint,
                                       const std::string& target_dir) const;
  /// Writes the side file, notes a savepoint in the journals, then writes `_metadata`.
  StatusOr<PersistedMetadata> Persist(const checkpoint::PersistMetadata& action,
                                      const SnapshotDescription& description) const;

  /// Deletes one that the job wrote itself: metadata first, then the rest. Missing files are fine;
  /// other errors are logged and returned.
  static Status DeleteSnapshot(const std::string& location);
  /// Files by path or file: URI.
  static Status DeleteFiles(const std::vector<std::string>& files);
  /// The files of one acknowledgement (see EncodeAck of the JobMaster: a CheckpointAck message)
  /// that lie in `location`.
  static Status DeleteExclusiveFiles(const std::string& ack, const std::string& location);

 private:
  /// A journal that cannot be written is no reason to fail: a warning.
  void NoteInJournals(const std::string& path) const;
  /// Creates and locks the directory of the job.
  Status LockOwnDirectory() const;
  /// Nor is a file system that knows no locks. kAlreadyExists when somebody else has the
  /// `exclusive` one, kNotFound without directory.
  Status Lock(const std::string& directory, bool exclusive = false) const;
  /// Also removes the file of the lock.
  void Unlock(const std::string& directory) const;

  const Options options_;
  mutable std::mutex mutex_;
  /// By directory. Guarded by mutex_.
  mutable std::map<std::string, io::FileLock> locks_;
};

/// Creates the directory and checks that it can be written.
Status PrepareSavepointDirectory(const std::string& target_dir);

/// Local paths of all files of a snapshot that lie outside its directory, sorted, once each.
std::vector<std::string> FilesOutside(const snapshot::CheckpointMetadata& metadata,
                                      const std::string& directory);

/// Of those, the ones that do not come with the snapshot when it is claimed: what lies elsewhere
/// than checkpoints share files with it, as when it is a copy; and what the snapshots beside it
/// name, too, as after the death of a JobManager that had not yet deleted an older checkpoint.
std::vector<std::string> FilesOfOthers(const snapshot::LoadedSnapshot& loaded,
                                       const std::vector<std::string>& outside);

}  // namespace flink::jobmanager
