#pragma once

/// CheckpointStorage: where the snapshots of one job lie and how they are written and deleted.
///
///   <checkpoint dir>/<job id>/chk-<n>/      exclusive files, `_flink_cpp.json`, `_metadata`
///   <checkpoint dir>/<job id>/shared/       files that several checkpoints name
///   <checkpoint dir>/<job id>/taskowned/
///   <target>/savepoint-<6 hex of job id>-<12 hex>/   a savepoint with everything in it
///
/// A snapshot exists when its `_metadata` does, which is written last. `_flink_cpp.json` says what
/// only we need.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/base/ids.h"
#include "common/base/status.h"
#include "common/graph/job_graph.h"
#include "common/snapshot/metadata.h"
#include "common/snapshot/side_file.h"
#include "jobmanager/checkpoint/checkpoint_events.h"
#include "jobmanager/checkpoint/checkpoint_types.h"

namespace flink::jobmanager {

using snapshot::kSideFileName;
using snapshot::ReadSideFile;
using snapshot::ResolveSnapshotPointer;
using snapshot::SideFile;
/// external_path of a checkpoint below the JobManager's own work directory.
inline constexpr const char* kNotExternallyAddressable = "<checkpoint-not-externally-addressable>";

/// What is written about an operator. Sizes of a snapshot's operators come from here, not from the
/// graph the client sent: the maximum parallelism may have been taken over from a restored
/// snapshot.
struct SnapshotOperator {
  OperatorId id;
  std::string name;
  std::string uid;
  JobVertexId vertex;
  int parallelism = 1;
  int max_parallelism = 128;
};

/// All that the metadata of a snapshot is made of besides the acknowledgements.
struct SnapshotDescription {
  JobId job;
  std::string job_name;
  std::vector<SnapshotOperator> operators;
};

struct PersistedMetadata {
  std::string external_path;
  int64_t metadata_size = 0;
};

/// Immutable, thread-safe; all functions with I/O block. Paths are local and absolute.
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
  };
  explicit CheckpointStorage(Options options) : options_(std::move(options)) {}

  const std::string& directory() const { return options_.directory; }
  std::string shared_directory() const;
  bool is_private() const { return options_.is_private; }

  /// Creates the directories and checks that they can be written.
  Status Prepare() const;
  /// Paths of the files in the shared directory; none when it is not this job's alone.
  std::vector<std::string> OwnSharedFiles() const;
  /// Removes the directories of the job that are empty.
  void RemoveEmptyDirectories() const;

  /// "chk-<n>" or, with a target, a new savepoint directory.
  StatusOr<std::string> CreateLocation(CheckpointId checkpoint,
                                       const std::string& target_dir) const;
  /// Writes the side file, then `_metadata`.
  StatusOr<PersistedMetadata> Persist(const checkpoint::PersistMetadata& action,
                                      const SnapshotDescription& description) const;

  /// Deletes metadata first, then the rest. Missing files are fine; other errors are logged and
  /// returned.
  static Status DeleteSnapshot(const std::string& location);
  /// Files by path or file: URI.
  static Status DeleteFiles(const std::vector<std::string>& files);
  /// The files of one acknowledgement (see EncodeAck of the JobMaster: a CheckpointAck message)
  /// that lie in `location`.
  static Status DeleteExclusiveFiles(const std::string& ack, const std::string& location);

 private:
  const Options options_;
};

/// Deletes a savepoint the user points at: it must have readable metadata, so that nothing else is
/// deleted by mistake.
Status DisposeSnapshot(const std::string& pointer);

/// Local paths of all files of a snapshot that lie outside its directory, sorted, once each.
std::vector<std::string> FilesOutside(const snapshot::CheckpointMetadata& metadata,
                                      const std::string& directory);

}  // namespace flink::jobmanager
