#include <ostream>

#include "cli/command.h"
#include "cli/savepoint_list.h"
#include "cli/text_table.h"
#include "common/base/clock.h"
#include "common/snapshot/orphans.h"

namespace flink::cli {
namespace {

using snapshot::Orphan;
using snapshot::OrphanReport;
using Json = nlohmann::ordered_json;

constexpr std::chrono::milliseconds kDefaultMinAge = std::chrono::minutes(10);

StatusOr<OrphanReport> Search(const CommandContext& context, const std::string& directory) {
  snapshot::OrphanSearch search;
  search.directory = directory;
  search.now_ms = Clock::System().NowMs();
  search.min_age_ms = kDefaultMinAge.count();
  if (const auto age = context.line.Value("older-than")) {
    const StatusOr<std::chrono::milliseconds> parsed = ParseDuration(*age);
    if (!parsed.ok()) return UsageError("--older-than: " + Message(parsed.status()));
    search.min_age_ms = parsed->count();
  }
  search.other_snapshots = [&context] {
    std::vector<std::string> directories;
    const auto known = snapshot::ListKnownSnapshots(context.config);
    if (!known.ok()) return directories;
    for (const auto& summary : known->snapshots) directories.push_back(summary.directory);
    return directories;
  };
  return snapshot::FindOrphans(search);
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
  const std::string& directory = context.line.arguments().front();
  ASSIGN_OR_RETURN(const OrphanReport report, Search(context, directory));
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
