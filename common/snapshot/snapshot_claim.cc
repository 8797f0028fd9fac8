#include "common/snapshot/snapshot_claim.h"

#include <unistd.h>

#include <climits>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "common/base/logging.h"
#include "common/io/file_system.h"

namespace flink::snapshot {
namespace {

using Json = nlohmann::ordered_json;

std::string PathIn(const std::string& directory) { return io::JoinPath(directory, kClaimFileName); }

std::string HostName() {
  char name[HOST_NAME_MAX + 1] = {};
  return gethostname(name, sizeof(name) - 1) == 0 ? name : "";
}

std::string TextOf(const Json& json, const char* key) {
  const auto found = json.find(key);
  return found != json.end() && found->is_string() ? found->get<std::string>() : std::string();
}

StatusOr<SnapshotClaim> ReadClaim(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text, io::ReadFile(path));
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  SnapshotClaim claim;
  const StatusOr<JobId> job = JobId::FromHex(json.is_object() ? TextOf(json, "job_id") : "");
  if (!job.ok() || !json.contains("process") || !json["process"].is_number_integer()) {
    return FailedPrecondition(
        "{} cannot be read: it should say which job has claimed the snapshot. If no job has, "
        "delete it.",
        path);
  }
  claim.job = *job;
  claim.job_name = TextOf(json, "job_name");
  claim.host = TextOf(json, "host");
  claim.process = json["process"].get<int64_t>();
  return claim;
}

}  // namespace

StatusOr<std::optional<io::FileLock>> TakeTurn(const std::string& directory,
                                               std::chrono::milliseconds patience) {
  StatusOr<io::FileLock> turn = io::FileLock::OfDirectory(directory, patience);
  if (turn.ok()) return std::optional<io::FileLock>(*std::move(turn));
  if (absl::IsAlreadyExists(turn.status())) return turn.status();
  return std::optional<io::FileLock>();
}

StatusOr<std::optional<io::FileLock>> TakeTurnToDelete(const std::string& metadata_file,
                                                       const std::optional<JobId>& owner) {
  const std::string directory = io::DirectoryName(metadata_file);
  ASSIGN_OR_RETURN(std::optional<io::FileLock> turn, TakeTurn(directory));
  ASSIGN_OR_RETURN(const std::optional<SnapshotClaim> claim, FindClaim(directory));
  if (claim.has_value() && claim->job != owner) return ClaimedBy(*claim, directory);
  RETURN_IF_ERROR(CheckNotHeld(metadata_file, "deleted"));
  return turn;
}

StatusOr<std::optional<SnapshotClaim>> FindClaim(const std::string& directory) {
  const std::string path = PathIn(directory);
  if (!io::IsLocked(path)) return std::optional<SnapshotClaim>();
  ASSIGN_OR_RETURN(SnapshotClaim claim, ReadClaim(path));
  return std::optional<SnapshotClaim>(std::move(claim));
}

StatusOr<io::FileLock> ClaimSnapshot(const std::string& metadata_file, const JobId& job,
                                     const std::string& job_name) {
  const std::string directory = io::DirectoryName(metadata_file);
  ASSIGN_OR_RETURN(const std::optional<io::FileLock> turn, TakeTurn(directory));
  ASSIGN_OR_RETURN(const std::optional<SnapshotClaim> standing, FindClaim(directory));
  if (standing.has_value()) return ClaimedBy(*standing, directory);
  RETURN_IF_ERROR(CheckNotHeld(metadata_file, "claimed"));
  const std::string path = PathIn(directory);
  if (io::Exists(path)) {
    LOG_WARN("The claim in {} was made by a job that is gone; it is replaced.", path);
    RETURN_IF_ERROR(io::RemoveFile(path));
  }
  const Json json = {
      {"job_id", job.ToHex()}, {"job_name", job_name}, {"host", HostName()}, {"process", getpid()}};
  // Locked before it bears the name by which others see it.
  const std::string temporary =
      io::JoinPath(directory, fmt::format(".claim-{}-{}.tmp", getpid(), job.ToHex()));
  RETURN_IF_ERROR(io::WriteFileDurably(
      temporary, json.dump(1, ' ', false, Json::error_handler_t::replace), path));
  StatusOr<io::FileLock> lock = io::FileLock::Share(temporary);
  std::error_code error;
  if (lock.ok()) std::filesystem::create_hard_link(temporary, path, error);
  RETURN_IF_ERROR(io::RemoveFile(temporary));
  if (!lock.ok()) return lock.status();
  if (error == std::errc::file_exists) {  // Somebody was quicker.
    ASSIGN_OR_RETURN(const SnapshotClaim winner, ReadClaim(path));
    return ClaimedBy(winner, directory);
  }
  if (error) return Unavailable("cannot create {}: {}", path, error.message());
  RETURN_IF_ERROR(io::FsyncDirectory(directory));
  return lock;
}

Status RemoveClaim(const std::string& directory, const JobId& job) {
  const std::string path = PathIn(directory);
  if (!io::Exists(path)) return OkStatus();
  ASSIGN_OR_RETURN(const std::optional<io::FileLock> turn, TakeTurn(directory));
  if (!io::Exists(path)) return OkStatus();
  ASSIGN_OR_RETURN(const SnapshotClaim claim, ReadClaim(path));
  return claim.job == job ? io::RemoveFile(path) : OkStatus();
}

Status ClaimedBy(const SnapshotClaim& claim, const std::string& directory) {
  return AlreadyExists(
      "The snapshot {} was claimed by the job {} (\"{}\") of the JobManager with process id {} on "
      "host {}, which deletes it when it does not need it any more. Cancel that job first. If that "
      "process is gone for good, delete {}.",
      directory, claim.job.ToHex(), claim.job_name, claim.process, claim.host, PathIn(directory));
}

StatusOr<std::optional<io::FileLock>> HoldSnapshot(const LoadedSnapshot& snapshot) {
  ASSIGN_OR_RETURN(const std::optional<io::FileLock> turn, TakeTurn(snapshot.directory));
  ASSIGN_OR_RETURN(const std::optional<SnapshotClaim> claim, FindClaim(snapshot.directory));
  if (claim.has_value()) return ClaimedBy(*claim, snapshot.directory);
  StatusOr<io::FileLock> lock = io::FileLock::ShareExisting(snapshot.metadata_file);
  // Also where there are no turns, and somebody may have been deleting it.
  if (absl::IsNotFound(lock.status()) || !io::Exists(snapshot.metadata_file)) {
    return NotFound("the snapshot {} was deleted a moment ago", snapshot.metadata_file);
  }
  if (lock.ok()) return std::optional<io::FileLock>(*std::move(lock));
  // Whoever locks it may be about to delete it.
  if (absl::IsAlreadyExists(lock.status())) return lock.status();
  LOG_WARN("Other clusters will not see that {} is still needed: {}", snapshot.directory,
           Message(lock.status()));
  return std::optional<io::FileLock>();
}

Status CheckNotHeld(const std::string& metadata_file, std::string_view what) {
  if (!io::IsLocked(metadata_file, /*if_unknown=*/false)) return OkStatus();
  return FailedPrecondition(
      "The snapshot {} cannot be {} now, because a job that was restored from it may have to go "
      "back to it: cancel that job, or wait for its first checkpoint (in claim mode LEGACY for its "
      "end).",
      metadata_file, what);
}

}  // namespace flink::snapshot
