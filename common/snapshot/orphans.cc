#include "common/snapshot/orphans.h"

#include <algorithm>
#include <set>
#include <string_view>

#include "common/base/ids.h"
#include "common/io/file_lock.h"
#include "common/io/file_system.h"
#include "common/snapshot/metadata.h"
#include "common/snapshot/snapshot_files.h"

namespace flink::snapshot {
namespace {

constexpr char kShared[] = "shared";
constexpr char kTaskOwned[] = "taskowned";

class Finder {
 public:
  explicit Finder(const OrphanSearch& search) : search_(search) {}

  StatusOr<OrphanReport> Find() {
    ASSIGN_OR_RETURN(const std::string asked, io::ParsePath(search_.directory));
    RETURN_IF_ERROR(io::ListDirectory(asked).status());
    root_ = asked;
    // Lock and references of a part of a job's directory are those of the whole.
    const std::string name = io::BaseName(asked);
    if (IsCheckpointName(name) || name == kShared || name == kTaskOwned) {
      root_ = io::DirectoryName(asked);
    }
    // Files first: one that a snapshot names later was not there before that snapshot began.
    Visit(root_, 0);
    CollectReferences();
    Judge();
    std::erase_if(report_.orphans, [&asked](const Orphan& orphan) {
      return orphan.path != asked && !orphan.path.starts_with(asked == "/" ? asked : asked + "/");
    });
    std::sort(report_.orphans.begin(), report_.orphans.end(),
              [](const Orphan& a, const Orphan& b) { return a.path < b.path; });
    return std::move(report_);
  }

 private:
  void Skip(const std::string& path, std::string_view reason) {
    report_.skipped.push_back(fmt::format("{}: {}", path, reason));
  }

  /// The entries that are no links; nothing, with a note, when the directory cannot be read.
  std::vector<io::DirectoryEntry> List(const std::string& directory) {
    auto entries = io::ListDirectory(directory);
    if (!entries.ok()) {
      if (!absl::IsNotFound(entries.status())) Skip(directory, Message(entries.status()));
      return {};
    }
    std::erase_if(*entries, [&directory](const io::DirectoryEntry& entry) {
      return io::IsSymbolicLink(io::JoinPath(directory, entry.name));
    });
    return *std::move(entries);
  }

  void Visit(const std::string& directory, int depth) {
    const std::string name = io::BaseName(directory);
    if (io::IsLocked(io::JoinPath(directory, kLockFileName))) {
      Skip(directory, "a running JobManager uses it");
      return;
    }
    const bool snapshot = io::Exists(io::JoinPath(directory, kMetadataFileName));
    if (!snapshot && (IsCheckpointName(name) || IsSavepointName(name))) {
      AddUnfinished(directory, IsCheckpointName(name), depth);
      return;
    }
    bool has_snapshots = false;
    const std::vector<io::DirectoryEntry> entries = List(directory);
    for (const io::DirectoryEntry& entry : entries) {
      const std::string path = io::JoinPath(directory, entry.name);
      if (!entry.is_directory) {
        if (IsTemporaryName(entry.name)) AddFile(path, "temporary file");
        if (snapshot && IsStateFileName(entry.name)) AddFile(path, "stray file");
        continue;
      }
      if (entry.name == kShared || entry.name == kTaskOwned) continue;
      has_snapshots = has_snapshots || io::Exists(io::JoinPath(path, kMetadataFileName));
      if (depth < kMaxSnapshotDepth) Visit(path, depth + 1);
    }
    VisitShared(directory, entries, has_snapshots, depth);
  }

  /// The directories of `directory` whose files belong to several snapshots.
  void VisitShared(const std::string& directory, const std::vector<io::DirectoryEntry>& entries,
                   bool has_snapshots, int depth) {
    for (const io::DirectoryEntry& entry : entries) {
      if (!entry.is_directory) continue;
      const std::string path = io::JoinPath(directory, entry.name);
      if (entry.name == kShared) VisitFiles(path, "shared file", depth + 1);
      if (entry.name != kTaskOwned) continue;
      // A sink may name its files inside its state, where only it can read.
      if (!has_snapshots) {
        VisitFiles(path, "task-owned file", depth + 1);
      } else if (!List(path).empty()) {
        Skip(path, "the snapshots beside it may need it");
      }
    }
  }

  void VisitFiles(const std::string& directory, const char* what, int depth) {
    for (const io::DirectoryEntry& entry : List(directory)) {
      const std::string path = io::JoinPath(directory, entry.name);
      if (entry.is_directory && depth < kMaxSnapshotDepth) {
        VisitFiles(path, what, depth + 1);
      } else if (IsTemporaryName(entry.name)) {
        AddFile(path, "temporary file");
      } else if (IsStateFileName(entry.name)) {
        AddFile(path, what);
      }
    }
  }

  void AddFile(const std::string& path, const char* what) {
    const StatusOr<io::FileAttributes> attributes = io::AttributesOf(path);
    if (!attributes.ok() || attributes->type != io::FileAttributes::Type::kFile) return;
    Orphan& orphan = candidates_.emplace_back();
    orphan.path = path;
    orphan.what = what;
    orphan.bytes = attributes->size;
    orphan.changed_ms = attributes->changed_ms;
    orphan.files = {path};
  }

  void AddUnfinished(const std::string& directory, bool checkpoint, int depth) {
    Orphan orphan;
    orphan.path = directory;
    orphan.what = checkpoint ? "unfinished checkpoint" : "unfinished savepoint";
    const StatusOr<io::FileAttributes> own = io::AttributesOf(directory);
    if (!own.ok()) return;
    orphan.changed_ms = own->changed_ms;
    bool holds_others = false;
    for (const io::DirectoryEntry& entry : List(directory)) {
      const std::string path = io::JoinPath(directory, entry.name);
      if (entry.is_directory && (IsCheckpointName(entry.name) || IsSavepointName(entry.name))) {
        // Which the user had taken into this one: it stays for them.
        holds_others = true;
        if (depth < kMaxSnapshotDepth) Visit(path, depth + 1);
        continue;
      }
      const StatusOr<io::FileAttributes> attributes = io::AttributesOf(path);
      if (entry.is_directory || !IsGeneratedName(entry.name) || !attributes.ok()) {
        Skip(directory,
             fmt::format("it has no metadata, but holds {}, which no cluster wrote", entry.name));
        return;
      }
      orphan.bytes += attributes->size;
      orphan.changed_ms = std::max(orphan.changed_ms, attributes->changed_ms);
      orphan.files.push_back(path);
    }
    if (!holds_others) {
      candidates_.push_back(std::move(orphan));
      return;
    }
    for (const std::string& path : orphan.files) AddFile(path, "stray file");
  }

  std::vector<std::string> ListSnapshots() {
    std::vector<Status> problems;
    std::vector<std::string> snapshots = FindSnapshots(root_, kMaxSnapshotDepth, &problems);
    // The jobs beside one may share its files.
    if (JobId::FromHex(io::BaseName(root_)).ok()) {
      for (std::string& beside : FindSnapshots(io::DirectoryName(root_), 2, &problems)) {
        snapshots.push_back(std::move(beside));
      }
    }
    if (search_.other_snapshots) {
      for (std::string& other : search_.other_snapshots(&problems)) {
        snapshots.push_back(std::move(other));
      }
    }
    for (const Status& problem : problems) unknown_ = Message(problem);
    return snapshots;
  }

  void CollectReferences() {
    std::set<std::string> unreadable;
    const Status all =
        ForEachSnapshot([this] { return ListSnapshots(); },
                        [&](const std::string& directory, const StatusOr<LoadedSnapshot>& loaded) {
                          if (!loaded.ok()) {
                            unknown_ = Message(loaded.status());
                            if (unreadable.insert(directory).second) Skip(directory, unknown_);
                            return OkStatus();
                          }
                          const SnapshotFiles files = FilesOf(*loaded);
                          if (!files.complete)
                            unknown_ = directory + " has state that is not understood";
                          for (const std::string& path : files.paths)
                            names_.insert(io::BaseName(path));
                          return OkStatus();
                        });
    if (!all.ok()) unknown_ = Message(all);
  }

  bool IsNamed(const Orphan& candidate) const {
    return std::any_of(
        candidate.files.begin(), candidate.files.end(),
        [this](const std::string& path) { return names_.count(io::BaseName(path)) != 0; });
  }

  void Judge() {
    for (Orphan& orphan : candidates_) {
      if (IsNamed(orphan)) continue;
      const int64_t age_ms = search_.now_ms - orphan.changed_ms;
      if (!unknown_.empty() && orphan.what != "temporary file") {
        orphan.kept = "a snapshot that cannot be read may need it (" + unknown_ + ")";
      } else if (age_ms < search_.min_age_ms) {
        orphan.kept = fmt::format("changed {} s ago, something may be writing it",
                                  std::max<int64_t>(0, age_ms) / 1000);
      }
      report_.orphans.push_back(std::move(orphan));
    }
  }

  const OrphanSearch& search_;
  std::string root_;
  std::vector<Orphan> candidates_;
  std::set<std::string> names_;
  /// Why not all names are known; empty when they are.
  std::string unknown_;
  OrphanReport report_;
};

}  // namespace

StatusOr<OrphanReport> FindOrphans(const OrphanSearch& search) { return Finder(search).Find(); }

Status DeleteOrphan(const Orphan& orphan) {
  const bool directory = orphan.files.size() != 1 || orphan.files[0] != orphan.path;
  for (const std::string& path : orphan.files) {
    const StatusOr<io::FileAttributes> now = io::AttributesOf(path);
    if (absl::IsNotFound(now.status())) continue;
    RETURN_IF_ERROR(now.status());
    // Not its other attributes: those change when a hard link to the file is deleted, too.
    if (now->modified_ms > orphan.changed_ms) {
      return FailedPrecondition("{} has changed meanwhile and was left alone", path);
    }
  }
  if (directory && io::Exists(io::JoinPath(orphan.path, kMetadataFileName))) {
    return FailedPrecondition("{} has become a snapshot and was left alone", orphan.path);
  }
  for (const std::string& path : orphan.files) RETURN_IF_ERROR(io::RemoveFile(path));
  return directory ? io::RemoveFile(orphan.path) : OkStatus();
}

}  // namespace flink::snapshot
