#pragma once

/// Which snapshots there are, found on disk: no cluster is asked.

#include <cstdint>
#include <string>
#include <vector>

#include "common/base/ids.h"
#include "common/base/status.h"
#include "common/config/configuration.h"
#include "common/snapshot/metadata.h"
#include "common/snapshot/side_file.h"

namespace flink::snapshot {

struct SnapshotSummary {
  /// Local and absolute.
  std::string directory;
  /// 32 hexadecimal digits; empty when nothing says which job took it.
  std::string job;
  std::string job_name;
  /// When it was triggered, else when its metadata was written; since the epoch.
  int64_t time_ms = 0;
  /// As SideFile::kind; "savepoint" or "checkpoint" for a snapshot of Flink.
  std::string kind;
  /// "canonical" or "native"; empty when there is no keyed state to tell it from.
  std::string format;
  int64_t checkpoint_id = 0;
  int64_t state_bytes = 0;
  /// The largest of its operators.
  int parallelism = 0;
  /// Per operator its name, else its uid, else its id.
  std::vector<std::string> operators;

  bool IsSavepoint() const { return kind != "checkpoint" && kind != "final-checkpoint"; }
  /// Also by the six digits in the name of a savepoint that says nothing else about its job.
  bool IsOfJob(const JobId& id) const;
};

SnapshotSummary Summarize(const LoadedSnapshot& snapshot, const SideFile& side);

struct SnapshotListing {
  /// Newest first.
  std::vector<SnapshotSummary> snapshots;
  /// Snapshots and directories that cannot be read, one line each.
  std::vector<std::string> problems;
  /// Of ListKnownSnapshots: directories that cannot be listed, one line each. Not among the
  /// problems, because a configured directory may be one where others keep theirs, as /tmp.
  std::vector<std::string> unlisted;
  /// Where it was looked.
  std::vector<std::string> directories;
};

/// What the configured directories hold and what their journals name. Their checkpoint directories
/// are searched job by job, a savepoint directory for the savepoints in it.
/// kFailedPrecondition when no directory is configured.
StatusOr<SnapshotListing> ListKnownSnapshots(const Configuration& configuration);
/// Every snapshot below `directory` (a path or file: URI), at any depth. Symbolic links below it
/// are not followed.
StatusOr<SnapshotListing> ListSnapshotsBelow(const std::string& directory);

}  // namespace flink::snapshot
