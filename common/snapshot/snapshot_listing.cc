#include "common/snapshot/snapshot_listing.h"

#include <algorithm>
#include <map>

#include "common/config/options.h"
#include "common/io/file_system.h"
#include "common/snapshot/snapshot_files.h"
#include "common/snapshot/snapshot_journal.h"

namespace flink::snapshot {
namespace {

/// <directory>/<job id>/chk-<n>.
constexpr int kDepthOfCheckpoints = 2;

/// What Flink writes about a snapshot into its metadata is a serialized Java object; the names in
/// it are enough.
bool Says(const CheckpointMetadata& metadata, std::string_view name) {
  return metadata.properties.find(name) != std::string::npos;
}

std::string KindOf(const LoadedSnapshot& snapshot) {
  if (Says(snapshot.metadata, "Suspend Savepoint")) return "stop-savepoint";
  if (Says(snapshot.metadata, "Terminate Savepoint")) return "drain-savepoint";
  if (Says(snapshot.metadata, "SavepointType")) return "savepoint";
  if (Says(snapshot.metadata, "CheckpointType")) return "checkpoint";
  return io::BaseName(snapshot.directory).starts_with("chk-") ? "checkpoint" : "savepoint";
}

std::string FormatOf(const CheckpointMetadata& metadata) {
  bool native = false;
  for (const OperatorSnapshot& op : metadata.operators) {
    for (const auto& [index, state] : op.subtasks) {
      if (state.managed_keyed_state.index() == 0) continue;
      const auto* groups = std::get_if<KeyGroupsHandle>(&state.managed_keyed_state);
      if (groups != nullptr && groups->kind == KeyGroupsHandle::Kind::kSavepoint) {
        return "canonical";
      }
      // Flink before 1.13 had one kind of savepoint, whose form the state backend decided.
      native = native || groups == nullptr || groups->kind != KeyGroupsHandle::Kind::kLegacy;
    }
  }
  if (native || Says(metadata, "NATIVE")) return "native";
  return Says(metadata, "CANONICAL") ? "canonical" : "";
}

/// The directory of a job's checkpoints is named after it.
std::string JobOfCheckpoint(const std::string& directory) {
  if (!io::BaseName(directory).starts_with("chk-")) return "";
  const StatusOr<JobId> job = JobId::FromHex(io::BaseName(io::DirectoryName(directory)));
  return job.ok() ? job->ToHex() : "";
}

/// Collects snapshots, each directory once.
class Search {
 public:
  void Add(const std::string& directory) {
    if (found_.count(directory) != 0) return;
    const StatusOr<LoadedSnapshot> loaded = LoadSnapshot(directory);
    if (!loaded.ok()) {
      // Deleted a moment ago: it is no snapshot any more.
      if (!absl::IsNotFound(loaded.status())) Problem(loaded.status());
      return;
    }
    found_.emplace(directory, Summarize(*loaded, ReadSideFile(directory)));
  }

  /// `complain`: directories that cannot be listed are problems.
  void AddBelow(const std::string& directory, int depth, bool complain) {
    std::vector<Status> unreadable;
    for (const std::string& found : FindSnapshots(directory, depth, &unreadable)) Add(found);
    for (const Status& status : unreadable) {
      (complain ? problems_ : unlisted_).push_back(Message(status));
    }
  }

  void AddJournal(const std::string& directory) {
    const auto entries = ReadJournal(directory);
    if (!entries.ok()) {
      Problem(entries.status());
      return;
    }
    for (const JournalEntry& entry : *entries) {
      AddBelow(entry.path, 1, false);
      const auto found = found_.find(entry.path);
      if (found != found_.end() && found->second.job.empty()) {
        found->second.job = entry.job.ToHex();
      }
    }
  }

  SnapshotListing Finish(std::vector<std::string> directories) {
    SnapshotListing listing;
    for (auto& [directory, summary] : found_) listing.snapshots.push_back(std::move(summary));
    std::stable_sort(listing.snapshots.begin(), listing.snapshots.end(),
                     [](const SnapshotSummary& a, const SnapshotSummary& b) {
                       if (a.time_ms != b.time_ms) return a.time_ms > b.time_ms;
                       return a.checkpoint_id > b.checkpoint_id;
                     });
    listing.problems = std::move(problems_);
    listing.unlisted = std::move(unlisted_);
    listing.directories = std::move(directories);
    return listing;
  }

 private:
  void Problem(const Status& status) { problems_.push_back(Message(status)); }

  std::map<std::string, SnapshotSummary> found_;
  std::vector<std::string> problems_;
  std::vector<std::string> unlisted_;
};

}  // namespace

bool SnapshotSummary::IsOfJob(const JobId& id) const {
  const std::string hex = id.ToHex();
  if (!job.empty()) return job == hex;
  return io::BaseName(directory).starts_with("savepoint-" + hex.substr(0, 6) + "-");
}

SnapshotSummary Summarize(const LoadedSnapshot& snapshot, const SideFile& side) {
  SnapshotSummary summary;
  summary.directory = snapshot.directory;
  summary.job = side.job.has_value() ? side.job->ToHex() : JobOfCheckpoint(snapshot.directory);
  summary.job_name = side.job_name;
  summary.time_ms = side.trigger_timestamp_ms;
  if (summary.time_ms == 0) {
    const StatusOr<io::FileAttributes> file =
        io::AttributesOf(io::JoinPath(snapshot.directory, kMetadataFileName));
    if (file.ok()) summary.time_ms = file->modified_ms;
  }
  summary.kind = side.kind.empty() ? KindOf(snapshot) : side.kind;
  summary.format = FormatOf(snapshot.metadata);
  summary.checkpoint_id = snapshot.metadata.checkpoint_id;
  summary.state_bytes = snapshot.metadata.StateSize();
  for (const OperatorSnapshot& op : snapshot.metadata.operators) {
    summary.parallelism = std::max(summary.parallelism, op.parallelism);
    const auto named = side.operators.find(op.operator_id);
    std::string name = named != side.operators.end() ? named->second.name : op.name;
    if (name.empty()) name = named != side.operators.end() ? named->second.uid : op.uid;
    summary.operators.push_back(name.empty() ? op.operator_id.ToHex() : std::move(name));
  }
  return summary;
}

StatusOr<SnapshotListing> ListKnownSnapshots(const Configuration& configuration) {
  std::vector<std::string> directories;
  for (const ConfigOption& option : {options::kCheckpointDirectory, options::kSavepointDirectory}) {
    const std::string value = configuration.GetString(option);
    if (value.empty()) continue;
    const StatusOr<std::string> path = io::ParsePath(value);
    if (!path.ok()) return With(path.status(), "{}", option.key);
    if (std::find(directories.begin(), directories.end(), *path) == directories.end()) {
      directories.push_back(*path);
    }
  }
  if (directories.empty()) {
    return FailedPrecondition(
        "Neither {} nor {} is set, so it is not known where snapshots are: name the directory with "
        "--dir.",
        options::kCheckpointDirectory.key, options::kSavepointDirectory.key);
  }
  Search search;
  for (const std::string& directory : directories) {
    search.AddBelow(directory, kDepthOfCheckpoints, false);
    search.AddJournal(directory);
  }
  return search.Finish(std::move(directories));
}

StatusOr<SnapshotListing> ListSnapshotsBelow(const std::string& directory) {
  ASSIGN_OR_RETURN(const std::string path, io::ParsePath(directory));
  // A directory that cannot be read at all is an error, one below it a problem.
  RETURN_IF_ERROR(io::ListDirectory(path).status());
  Search search;
  search.AddBelow(path, kMaxSnapshotDepth, true);
  return search.Finish({path});
}

}  // namespace flink::snapshot
