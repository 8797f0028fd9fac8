#include <algorithm>
#include <nlohmann/json.hpp>
#include <ostream>
#include <thread>
#include <utility>
#include <vector>

#include "cli/command.h"
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
  std::string directory;
  bool has_checksums = false;
  size_t files = 0;
  int64_t bytes = 0;  ///< Of the files that are as they should be.
  std::vector<std::pair<std::string, std::string>> problems;  ///< File and what is wrong.
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
  ASSIGN_OR_RETURN(result.directory, snapshot::ResolveSnapshotPointer(pointer));
  const auto list = snapshot::LoadFileList(result.directory);
  result.has_checksums = list.ok() && list->has_value();
  std::vector<SnapshotFile> files;
  const auto loaded = snapshot::LoadSnapshot(pointer);
  const std::string metadata = io::JoinPath(result.directory, snapshot::kMetadataFileName);
  result.files = 1;
  if (loaded.ok()) {
    result.bytes = static_cast<int64_t>(io::FileSize(metadata).value_or(0));
    auto named = snapshot::StateFilesOf(*loaded);
    if (named.ok()) {
      files = *std::move(named);
    } else {
      result.problems.emplace_back(metadata, Message(named.status()));
    }
  } else {
    result.problems.emplace_back(metadata, Message(loaded.status()));
    if (result.has_checksums) files = ListedFiles(**list, result.directory);
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
      result.problems.emplace_back(files[i].path, Message(status));
    }
  }
  return result;
}

void PrintJson(const Verification& result, std::ostream& out) {
  nlohmann::ordered_json json;
  json["path"] = result.directory;
  json["checksums"] = result.has_checksums;
  json["files"] = result.files;
  json["bytes"] = result.bytes;
  json["intact"] = result.problems.empty();
  json["problems"] = nlohmann::ordered_json::array();
  for (const auto& [file, text] : result.problems) {
    json["problems"].push_back({{"file", file}, {"problem", text}});
  }
  out << json.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) << std::endl;
}

}  // namespace

Status SavepointVerify(const CommandContext& context) {
  if (context.line.arguments().size() != 1) {
    return UsageError("Missing path. Specify the directory of one savepoint or checkpoint.");
  }
  ASSIGN_OR_RETURN(const Verification result, Verify(context.line.arguments().front()));
  std::ostream& out = context.out;
  if (context.line.Has("json")) {
    PrintJson(result, out);
  } else {
    for (const auto& [file, text] : result.problems) out << text << "\n";
    if (!result.has_checksums) {
      out << "The snapshot has no checksums, as those of Apache Flink: its metadata and the sizes "
             "of its files were checked.\n";
    }
    if (result.problems.empty()) {
      out << "Verified " << result.files << " files with " << result.bytes << " bytes in "
          << result.directory << ": no damage found.\n";
    }
    out.flush();
  }
  if (result.problems.empty()) return OkStatus();
  return MakeStatus(absl::StatusCode::kDataLoss,
                    "{} of {} files of the snapshot {} are damaged or missing: it cannot be "
                    "restored.",
                    result.problems.size(), result.files, result.directory);
}

}  // namespace flink::cli
