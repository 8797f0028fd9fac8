#include "cli/dry_run.h"

#include <algorithm>
#include <array>
#include <map>
#include <ostream>
#include <vector>

#include "cli/job_graph_texts.h"
#include "cli/savepoint_list.h"
#include "common/config/options.h"
#include "common/snapshot/restore_plan_json.h"
#include "common/snapshot/snapshot_claim.h"
#include "common/snapshot/snapshot_files.h"
#include "proto/conversion/job_graph_proto.h"

namespace flink::cli {
namespace {

using Json = nlohmann::ordered_json;
using pb::graph::v1::SavepointRestoreSettings;

/// The plan that the JobManager would make, from the files alone.
StatusOr<Json> PlanFromFiles(const PackagedProgram& program,
                             const SavepointRestoreSettings& restore) {
  ASSIGN_OR_RETURN(const snapshot::LoadedSnapshot loaded, snapshot::LoadSnapshot(restore.path()));
  snapshot::RestorePlan plan = snapshot::PlanRestore(
      loaded, program.job_graph, {restore.path(), restore.allow_non_restored_state()});
  // Also lest a JobManager takes the look at the locks for a lock.
  const auto turn = snapshot::TakeTurn(loaded.directory);
  if (!turn.ok()) plan.problems.push_back(Message(turn.status()));
  const auto claim = snapshot::FindClaim(loaded.directory);
  if (!claim.ok()) {
    plan.problems.push_back(Message(claim.status()));
  } else if (claim->has_value()) {
    plan.problems.push_back(Message(snapshot::ClaimedBy(**claim, loaded.directory)));
  } else if (restore.claim_mode() == SavepointRestoreSettings::CLAIM_MODE_CLAIM) {
    const Status held = snapshot::CheckNotHeld(loaded.metadata_file, "claimed");
    if (!held.ok()) plan.problems.push_back(Message(held));
    if (const auto owner = snapshot::LivingOwner(loaded.directory)) {
      plan.problems.push_back(Message(snapshot::NotClaimableOf(*owner, loaded.directory)));
    }
  }
  return snapshot::ToJson(plan);
}

StatusOr<Json> PlanAgainstJob(const CommandContext& context, const PackagedProgram& program,
                              SavepointRestoreSettings restore) {
  ASSIGN_OR_RETURN(const JobId job, ParseJobId(context.line.Value("against").value_or("")));
  ASSIGN_OR_RETURN(const auto client, ClusterClient::Create(context.config));
  pb::graph::v1::JobGraph message = graph::ToProto(program.job_graph);
  message.set_job_id(std::string(job.bytes().begin(), job.bytes().end()));
  *message.mutable_restore() = std::move(restore);
  RETURN_IF_ERROR(CheckTexts(message));
  ASSIGN_OR_RETURN(Json plan, client->PlanRestore(job, message.SerializeAsString()));
  for (const char* key : {"operators", "problems"}) {
    if (!plan.is_object() || !plan.contains(key) || !plan[key].is_array()) {
      return Internal("The JobManager's answer has no {}.", key);
    }
  }
  return plan;
}

/// The plan comes with the names of REST documents; what the other commands print has underscores.
Json WithUnderscores(const Json& json) {
  if (!json.is_structured()) return json;
  Json result = json.is_array() ? Json::array() : Json::object();
  for (const auto& [key, value] : json.items()) {
    if (json.is_array()) {
      result.push_back(WithUnderscores(value));
      continue;
    }
    std::string name = key;
    std::replace(name.begin(), name.end(), '-', '_');
    result[name] = WithUnderscores(value);
  }
  return result;
}

/// "128", or "2 -> 4" for what changes.
std::string Change(int64_t before, int64_t now) {
  if (before == 0 || now == 0 || before == now) return std::to_string(std::max(before, now));
  return fmt::format("{} -> {}", before, now);
}

void PrintTable(const Json& plan, std::ostream& out) {
  constexpr size_t kColumns = 6;
  std::vector<std::array<std::string, kColumns>> rows = {
      {"VERDICT", "OPERATOR", "UID", "STATE BYTES", "PARALLELISM", "MAX"}};
  std::map<std::string, int> counts;
  for (const Json& op : plan["operators"]) {
    const std::string verdict = op.value("verdict", "");
    ++counts[verdict];
    const std::string name = op.value("name", "");
    const std::string uid = op.value("uid", "");
    rows.push_back(
        {verdict, name.empty() ? "?" : name, uid.empty() ? "(" + op.value("id", "") + ")" : uid,
         verdict == "new" ? "-" : std::to_string(op.value("state-bytes", int64_t{0})),
         Change(op.value("old-parallelism", int64_t{0}), op.value("parallelism", int64_t{0})),
         std::to_string(op.value("max-parallelism", int64_t{0}))});
  }
  std::array<size_t, kColumns> widths{};
  for (const auto& row : rows) {
    for (size_t i = 0; i < kColumns; ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  for (const auto& row : rows) {
    std::string line;
    for (size_t i = 0; i < kColumns; ++i) {
      line += row[i] + std::string(widths[i] - row[i].size() + 2, ' ');
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out << line << "\n";
  }
  out << fmt::format("{} matched, {} new, {} dropped, {} incompatible.\n", counts["matched"],
                     counts["new"], counts["dropped"], counts["incompatible"]);
}

}  // namespace

Status CheckDryRunOptions(const CommandContext& context) {
  const CommandLine& line = context.line;
  if (!line.Has("dry-run")) {
    for (const char* option : {"against", "json"}) {
      if (line.Has(option)) return UsageError(fmt::format("--{} needs --dry-run.", option));
    }
    return OkStatus();
  }
  if (line.Has("against") && line.Has("s")) {
    return UsageError("--dry-run takes either -s or --against, not both.");
  }
  const bool configured = !context.config.GetString(options::kRestorePath).empty();
  if (!line.Has("against") && !line.Has("s") && !configured) {
    return UsageError(
        "--dry-run needs a savepoint (-s path) or a running job (--against jobId) to match the "
        "program with.");
  }
  return OkStatus();
}

Status DryRun(const CommandContext& context, const PackagedProgram& program,
              const SavepointRestoreSettings& restore) {
  const StatusOr<Json> plan = context.line.Has("against")
                                  ? PlanAgainstJob(context, program, restore)
                                  : PlanFromFiles(program, restore);
  if (!plan.ok()) return plan.status();
  const Json& problems = (*plan)["problems"];
  if (context.line.Has("json")) {
    context.out << DumpJson(WithUnderscores(*plan)) << "\n";
  } else {
    std::string snapshot = plan->value("snapshot", "");
    // "of the running job ..." in sentences about its checkpoint.
    if (context.line.Has("against") && snapshot.starts_with("of ")) snapshot.erase(0, 3);
    context.out << "Restoring \"" << program.job_graph.name << "\" from " << snapshot << ":\n";
    PrintTable(*plan, context.out);
    for (const Json& problem : problems) context.out << "* " << problem.get<std::string>() << "\n";
    if (problems.empty()) context.out << "The program would be restored.\n";
  }
  context.out << std::flush;
  if (problems.empty()) return OkStatus();
  return FailedPrecondition(
      "The program would be refused: {} found.",
      problems.size() == 1 ? "1 problem" : fmt::format("{} problems", problems.size()));
}

}  // namespace flink::cli
