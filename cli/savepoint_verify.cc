#include <algorithm>
#include <ostream>
#include <thread>
#include <utility>
#include <vector>

#include "cli/command.h"
#include "cli/savepoint_list.h"
#include "cli/text_table.h"
#include "common/concurrency/worker_pool.h"
#include "common/io/file_system.h"
#include "common/snapshot/file_list.h"
#include "common/snapshot/file_verifier.h"
#include "common/snapshot/metadata.h"
#include "common/snapshot/state_files.h"

namespace flink::cli {
namespace {

using snapshot::SnapshotFile;

struct Verification {
  std::string name;  ///< The URI of its directory, or of the single file that it is.
  bool has_checksums = false;
  bool only_sizes = false;  ///< It has none, and is readable without.
  size_t files = 0;
  int64_t bytes = 0;  ///< Of the files that are as they should be.
  std::vector<std::pair<std::string, Status>> problems;  ///< Local path, what is wrong.
};

/// The state files by the word of the side file alone: what is left when the metadata cannot be
/// read.
std::vector<SnapshotFile> ListedFiles(const snapshot::FileList& list,
                                      const std::string& directory) {
  std::vector<SnapshotFile> files;
  for (const auto& [name, entry] : list.files) {
    if (name == snapshot::kMetadataFileName || list.version < 2) continue;
    SnapshotFile file;
    file.path = name.starts_with("/") ? name : io::JoinPath(directory, name);
    file.size = entry.size;
    file.checksum = entry.checksum;
    files.push_back(std::move(file));
  }
  return files;
}

StatusOr<Verification> Verify(const std::string& pointer) {
  Verification result;
  ASSIGN_OR_RETURN(const std::string directory, snapshot::ResolveSnapshotPointer(pointer));
  ASSIGN_OR_RETURN(const std::string path, io::ParsePath(pointer));
  std::string metadata = io::JoinPath(directory, snapshot::kMetadataFileName);
  result.name = io::QualifyPath(directory);
  if (path != directory && path != metadata) {
    // An old savepoint is a single file, whatever its name.
    metadata = path;
    result.name = io::QualifyPath(path);
  }
  const auto list = snapshot::LoadFileList(directory);
  result.has_checksums = list.ok() && list->has_value();
  std::vector<SnapshotFile> files;
  const auto loaded = snapshot::LoadSnapshot(pointer);
  result.files = 1;
  result.only_sizes = loaded.ok() && list.ok() && !list->has_value();
  if (loaded.ok()) {
    result.bytes = static_cast<int64_t>(io::FileSize(metadata).value_or(0));
    auto named = snapshot::StateFilesOf(*loaded);
    if (named.ok()) {
      files = *std::move(named);
    } else {
      result.problems.emplace_back(metadata, named.status());
    }
  } else {
    result.problems.emplace_back(metadata, loaded.status());
    if (result.has_checksums) files = ListedFiles(**list, directory);
  }
  result.files += files.size();
  WorkerPool pool("verify", static_cast<int>(std::max(1u, std::thread::hardware_concurrency())));
  snapshot::FileVerifier verifier(&pool);
  verifier.Start(files);
  for (size_t i = 0; i < files.size(); ++i) {
    const Status& status = verifier.Results()[i];
    if (status.ok()) {
      result.bytes += files[i].size;
    } else {
      result.problems.emplace_back(files[i].path, status);
    }
  }
  return result;
}

using Json = nlohmann::ordered_json;

Json ToJson(const Verification& result) {
  Json json;
  json["path"] = result.name;
  json["checksums"] = result.has_checksums;
  json["files"] = result.files;
  json["bytes"] = result.bytes;
  json["intact"] = result.problems.empty();
  json["problems"] = Json::array();
  for (const auto& [file, problem] : result.problems) {
    json["problems"].push_back({{"file", io::QualifyPath(file)}, {"problem", Message(problem)}});
  }
  return json;
}

std::string Files(size_t count) {
  return fmt::format("{} {}", count, count == 1 ? "file" : "files");
}

void Print(const Verification& result, std::ostream& out) {
  for (const auto& [file, problem] : result.problems) out << Printable(Message(problem)) << "\n";
  if (result.only_sizes) {
    out << "The snapshot has no checksums, as those of Apache Flink: its metadata and the sizes "
           "of its files were checked.\n";
  }
  if (result.problems.empty()) {
    out << "Verified " << Files(result.files) << " with " << result.bytes << " bytes in "
        << Printable(result.name) << ": no damage found.\n";
  }
  out.flush();
}

Status Verdict(const Verification& result) {
  if (result.problems.empty()) return OkStatus();
  const size_t count = result.problems.size();
  // The rest could not be looked at, for want of permission, say.
  const auto damaged = static_cast<size_t>(
      std::count_if(result.problems.begin(), result.problems.end(), [](const auto& entry) {
        return absl::IsDataLoss(entry.second) || absl::IsNotFound(entry.second);
      }));
  const std::string which =
      fmt::format("{} of {} of the snapshot {}", count, Files(result.files), result.name);
  if (damaged == 0) {
    return MakeStatus(result.problems.front().second.code(),
                      "{} cannot be read: whether it is intact is not known.", which);
  }
  return DataLoss("{} {} {}: it cannot be restored.", which, count == 1 ? "is" : "are",
                  damaged == count ? "damaged or missing" : "damaged, missing or not readable");
}

/// Of one that is not there at all.
Verification NotFoundAt(const std::string& pointer, const Status& reason) {
  Verification result;
  const StatusOr<std::string> path = io::ParsePath(pointer);
  result.name = path.ok() ? io::QualifyPath(*path) : pointer;
  result.problems.emplace_back(path.ok() ? *path : pointer, reason);
  return result;
}

}  // namespace

Status SavepointVerify(const CommandContext& context) {
  const std::vector<std::string>& paths = context.line.arguments();
  if (paths.empty()) {
    return UsageError("Missing path. Specify the savepoints or checkpoints to verify.");
  }
  const bool json = context.line.Has("json");
  const bool several = paths.size() > 1;
  Json all = Json::array();
  Status first;
  size_t bad = 0;
  for (const std::string& path : paths) {
    const StatusOr<Verification> result = Verify(path);
    const Status verdict = result.ok() ? Verdict(*result) : result.status();
    if (json) all.push_back(ToJson(result.ok() ? *result : NotFoundAt(path, verdict)));
    if (result.ok() && !json) Print(*result, context.out);
    if (verdict.ok()) continue;
    if (++bad == 1) first = verdict;
    if (several) context.err << Printable(Message(verdict)) << std::endl;
  }
  if (json) context.out << DumpJson(several ? all : all.front()) << std::endl;
  if (!several || bad == 0) return first;
  return MakeStatus(first.code(), "{} of {} snapshots are not intact.", bad, paths.size());
}

}  // namespace flink::cli
