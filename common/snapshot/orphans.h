#pragma once

/// Files and directories of checkpoints and savepoints that nothing refers to, as a crash leaves
/// them.
///
/// What is found has a name that only a cluster gives: anything else is not looked at. It is
/// referred to when any snapshot that can be found names a file of that name (names are unique, and
/// the same wherever a directory is mounted). It is in use while the JobManager that owns its
/// directory holds the lock in it; a JobManager of Flink has none, so what was changed lately is
/// kept too.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "common/base/status.h"

namespace flink::snapshot {

/// In the directory of a job's checkpoints, and of a savepoint that is being taken: held by the
/// JobManager.
inline constexpr const char* kLockFileName = "_flink_cpp_lock";

struct Orphan {
  std::string path;
  /// "unfinished checkpoint", "unfinished savepoint", "shared file", "task-owned file", "stray
  /// file", "temporary file".
  std::string what;
  uint64_t bytes = 0;
  /// Why it must not be deleted now; empty when it may be.
  std::string kept;
  /// When the last change to it was, since the epoch.
  int64_t changed_ms = 0;
  /// The files in a directory; of a file itself.
  std::vector<std::string> files;
};

struct OrphanSearch {
  /// A path or file: URI.
  std::string directory;
  /// Lists the directories of snapshots elsewhere that may name files below it, readable or not,
  /// and why there may be more; called again when one of them has vanished meanwhile. May be empty.
  std::function<std::vector<std::string>(std::vector<Status>* problems)> other_snapshots;
  int64_t now_ms = 0;
  /// What was changed less long ago is kept.
  int64_t min_age_ms = 0;
};

struct OrphanReport {
  /// By path.
  std::vector<Orphan> orphans;
  /// What was not judged, and why: "<path>: <reason>".
  std::vector<std::string> skipped;
};

/// An error when the directory cannot be read; what cannot be read below it is skipped.
StatusOr<OrphanReport> FindOrphans(const OrphanSearch& search);

/// Deletes it, unless it has changed since it was found: then kFailedPrecondition. A directory goes
/// only when nothing else is in it.
Status DeleteOrphan(const Orphan& orphan);

}  // namespace flink::snapshot
