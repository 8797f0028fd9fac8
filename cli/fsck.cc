#include <fmt/format.h>

#include <map>
#include <ostream>
#include <set>
#include <utility>

#include "cli/command.h"
#include "cli/savepoint_list.h"
#include "cli/text_table.h"
#include "common/base/clock.h"
#include "common/io/file_system.h"
#include "common/snapshot/orphans.h"
#include "common/snapshot/snapshot_files.h"
#include "common/snapshot/snapshot_listing.h"

namespace flink::cli {
namespace {

using snapshot::Orphan;
using snapshot::OrphanReport;
using Json = nlohmann::ordered_json;

constexpr std::chrono::milliseconds kDefaultMinAge = std::chrono::minutes(10);

/// What the configuration and the directories of the command line hold; `problems`: why that may
/// not be all.
std::vector<std::string> OtherSnapshots(const CommandContext& context,
                                        std::vector<Status>* problems) {
  std::vector<std::string> directories;
  const auto known = snapshot::ListKnownSnapshots(context.config);
  if (known.ok()) {
    for (const auto& summary : known->snapshots) directories.push_back(summary.directory);
    for (const auto* unread : {&known->problems, &known->unlisted}) {
      for (const std::string& problem : *unread) problems->push_back(Internal("{}", problem));
    }
  } else if (!absl::IsFailedPrecondition(known.status())) {  // Else none is configured.
    problems->push_back(known.status());
  }
  const std::vector<std::string>& named = context.line.arguments();
  // A single one is searched anyway.
  if (named.size() < 2) return directories;
  for (const std::string& directory : named) {
    const StatusOr<std::string> path = io::ParsePath(directory);
    if (!path.ok()) continue;  // The search of it says so.
    for (std::string& found :
         snapshot::FindSnapshots(*path, snapshot::kMaxSnapshotDepth, problems)) {
      directories.push_back(std::move(found));
    }
  }
  return directories;
}

/// In all directories together; what lies in two of them counts once.
StatusOr<OrphanReport> Search(const CommandContext& context) {
  snapshot::OrphanSearch search;
  search.now_ms = Clock::System().NowMs();
  search.min_age_ms = kDefaultMinAge.count();
  if (const auto age = context.line.Value("older-than")) {
    const StatusOr<std::chrono::milliseconds> parsed = ParseDuration(*age);
    if (!parsed.ok()) return UsageError("--older-than: " + Message(parsed.status()));
    search.min_age_ms = parsed->count();
  }
  search.other_snapshots = [&context](std::vector<Status>* problems) {
    return OtherSnapshots(context, problems);
  };
  OrphanReport all;
  std::map<std::string, size_t> positions;
  std::set<std::string> skipped;
  for (const std::string& directory : context.line.arguments()) {
    search.directory = directory;
    ASSIGN_OR_RETURN(OrphanReport report, snapshot::FindOrphans(search));
    for (Orphan& orphan : report.orphans) {
      const auto [known, is_new] = positions.try_emplace(orphan.path, all.orphans.size());
      if (is_new) {
        all.orphans.push_back(std::move(orphan));
      } else if (all.orphans[known->second].kept.empty()) {
        // What one search has a reason to keep is kept.
        all.orphans[known->second].kept = std::move(orphan.kept);
      }
    }
    for (std::string& reason : report.skipped) {
      if (skipped.insert(reason).second) all.skipped.push_back(std::move(reason));
    }
  }
  return all;
}

void Print(std::ostream& out, const OrphanReport& report) {
  TextTable table({{"BYTES", TextTable::Align::kRight}, {"WHAT"}, {"PATH"}});
  for (const Orphan& orphan : report.orphans) {
    table.AddRow({std::to_string(orphan.bytes), orphan.what, Printable(orphan.path)},
                 orphan.kept.empty() ? "" : "kept: " + Printable(orphan.kept));
  }
  if (!report.orphans.empty()) out << table.Format();
  for (const std::string& skipped : report.skipped) {
    out << "Not judged: " << Printable(skipped) << "\n";
  }
}

Json ToJson(const OrphanReport& report) {
  Json json;
  json["orphans"] = Json::array();
  for (const Orphan& orphan : report.orphans) {
    Json entry;
    entry["path"] = orphan.path;
    entry["what"] = orphan.what;
    entry["bytes"] = orphan.bytes;
    entry["kept"] = orphan.kept;
    json["orphans"].push_back(std::move(entry));
  }
  json["not_judged"] = report.skipped;
  return json;
}

struct Total {
  int orphans = 0;
  uint64_t bytes = 0;
  void Add(const Orphan& orphan) {
    ++orphans;
    bytes += orphan.bytes;
  }
  std::string Text() const {
    return fmt::format("{} {} of {}", orphans, orphans == 1 ? "orphan" : "orphans",
                       FormatBytes(static_cast<int64_t>(bytes)));
  }
};

}  // namespace

Status Fsck(const CommandContext& context) {
  if (context.line.arguments().empty()) {
    return UsageError("Missing directory. Specify a checkpoint or savepoint directory.");
  }
  const std::string directory = fmt::format("{}", fmt::join(context.line.arguments(), ", "));
  ASSIGN_OR_RETURN(const OrphanReport report, Search(context));
  const bool json = context.line.Has("json");
  if (json) {
    context.out << DumpJson(ToJson(report)) << std::endl;
  } else {
    Print(context.out, report);
  }
  Total deletable, deleted, left;
  Status first;
  for (const Orphan& orphan : report.orphans) {
    if (orphan.kept.empty()) deletable.Add(orphan);
    Status gone = FailedPrecondition("{}: {}", orphan.path, orphan.kept);
    if (orphan.kept.empty() && context.line.Has("delete")) gone = DeleteOrphan(orphan);
    (gone.ok() ? deleted : left).Add(orphan);
    if (first.ok()) first = gone;
  }
  if (!json && deleted.orphans > 0) context.out << "Deleted " << deleted.Text() << ".\n";
  if (left.orphans == 0) {
    if (!json && deleted.orphans == 0) context.out << "No orphans in " << directory << ".\n";
    return OkStatus();
  }
  if (context.line.Has("delete")) {
    return FailedPrecondition("{} in {} not deleted. {}", left.Text(), directory, Message(first));
  }
  if (deletable.orphans == 0) {
    return FailedPrecondition("{} in {}, none of which may be deleted now.", left.Text(),
                              directory);
  }
  return FailedPrecondition("{} in {}; --delete removes {}.", left.Text(), directory,
                            deletable.Text());
}

}  // namespace flink::cli
