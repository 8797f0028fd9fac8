#pragma once

/// The claim on a snapshot: a file in its directory that says which job owns it (claim mode CLAIM)
/// and may delete it, so that no second job, of this cluster or of another one that shares the
/// directory, claims it as well. Its process holds a lock on the file: a claim ends when the job
/// gives it up, when the snapshot is deleted, or when the process ends, however it ends. On a file
/// system without locks it stands until somebody deletes the file.
///
/// And the opposite: a job that may go back to a snapshot which is not its own holds it, so that
/// nobody deletes or claims it meanwhile.

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/ids.h"
#include "common/base/status.h"
#include "common/io/file_lock.h"
#include "common/snapshot/metadata.h"

namespace flink::snapshot {

inline constexpr const char* kClaimFileName = "_flink_cpp_claim.json";

struct SnapshotClaim {
  JobId job;
  std::string job_name;
  std::string host;
  int64_t process = 0;
};

/// The turn of the directory of a snapshot. Whether a snapshot is claimed or held changes only in
/// the turn, so whoever looks and then acts takes it before. None on a file system that locks no
/// directories, as NFS. An error naming the directory when somebody else does not give it up.
StatusOr<std::optional<io::FileLock>> TakeTurn(
    const std::string& directory, std::chrono::milliseconds patience = io::kLockPatience);

/// The turn in which the snapshot with this metadata may be deleted. `owner`: the job that deletes
/// it, whose own claim does not matter. kAlreadyExists while somebody else has claimed it,
/// kFailedPrecondition while somebody holds it.
StatusOr<std::optional<io::FileLock>> TakeTurnToDelete(
    const std::string& metadata_file, const std::optional<JobId>& owner = std::nullopt);

/// The claim that stands on the snapshot in `directory`. kFailedPrecondition naming the file when
/// it cannot be read.
StatusOr<std::optional<SnapshotClaim>> FindClaim(const std::string& directory);

/// Claims the snapshot with this metadata for a job of this process, durably, for as long as the
/// lock is held. kAlreadyExists naming the holder and what to do when a claim stands;
/// kFailedPrecondition while somebody holds the snapshot.
StatusOr<io::FileLock> ClaimSnapshot(const std::string& metadata_file, const JobId& job,
                                     const std::string& job_name);
/// Removes the file of a claim of this job whose lock was given up, if it is there.
Status RemoveClaim(const std::string& directory, const JobId& job);

/// Why a snapshot with this claim cannot be restored from or deleted, and what to do:
/// kAlreadyExists.
Status ClaimedBy(const SnapshotClaim& claim, const std::string& directory);

/// Holds the snapshot for as long as the lock is there, a shared one on its metadata: nothing is
/// written, and the end of the process ends it. No lock on a file system without any. kNotFound
/// when the snapshot has been deleted, kAlreadyExists when it is claimed.
StatusOr<std::optional<io::FileLock>> HoldSnapshot(const LoadedSnapshot& snapshot);

/// kFailedPrecondition, saying what to do, while anybody holds it. `what` is to be done to it:
/// "deleted". Whoever then does it takes the turn of the directory before.
Status CheckNotHeld(const std::string& metadata_file, std::string_view what);

}  // namespace flink::snapshot
