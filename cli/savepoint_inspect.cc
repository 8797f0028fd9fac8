#include <ostream>

#include "cli/command.h"
#include "cli/native_state_count.h"
#include "cli/savepoint_list.h"
#include "cli/text_table.h"
#include "common/io/file_system.h"
#include "common/snapshot/snapshot_inspection.h"

namespace flink::cli {
namespace {

using snapshot::InspectedOperator;
using snapshot::InspectedState;
using snapshot::Inspection;
using Json = nlohmann::ordered_json;

/// More ranges than this make no line that helps.
constexpr size_t kShownRanges = 6;

std::string OrUnknown(const std::optional<int64_t>& number) {
  return number.has_value() ? std::to_string(*number) : "unknown";
}

std::string FormatKeyGroups(const std::vector<KeyGroupRange>& ranges) {
  std::string text;
  for (size_t i = 0; i < ranges.size(); ++i) {
    if (i == kShownRanges) return text + fmt::format(", … ({} ranges)", ranges.size());
    text += fmt::format("{}{}-{}", i == 0 ? "" : ", ", ranges[i].start, ranges[i].end);
  }
  return text;
}

void PrintHeader(std::ostream& out, const Inspection& inspection) {
  const snapshot::SnapshotSummary& summary = inspection.summary;
  out << Printable(io::QualifyPath(summary.directory)) << "\n";
  out << "  " << TypeOf(summary) << ", checkpoint " << summary.checkpoint_id
      << ", metadata version " << inspection.metadata_version << "\n";
  out << "  " << (summary.job.empty() ? "of an unknown job" : "of job " + summary.job);
  if (!summary.job_name.empty()) out << " (" << Printable(summary.job_name) << ")";
  out << ", " << FormatTimestamp(summary.time_ms) << "\n";
  out << "  " << summary.state_bytes << " bytes of state, " << inspection.files << " files, "
      << inspection.operators.size() << " operators\n\n";
}

void PrintOperator(std::ostream& out, const InspectedOperator& op) {
  out << Printable(op.name.empty() ? std::string("Operator") : op.name)
      << (op.uid.empty() ? ", no uid recorded" : ", uid " + Printable(op.uid)) << ", id "
      << op.id.ToHex();
  if (op.bytes == 0 && op.states.empty() && op.keyed_format.empty()) {
    out << ", no state" << (op.finished ? ", finished" : "") << "\n";
    return;
  }
  out << "\n";
  out << "  parallelism " << op.parallelism << " of at most " << op.max_parallelism << ", "
      << op.bytes << " bytes in " << op.files << " files";
  if (op.finished) out << ", finished";
  if (op.coordinator_bytes > 0) out << ", coordinator " << op.coordinator_bytes << " bytes";
  if (op.in_flight_bytes > 0) out << ", in flight " << op.in_flight_bytes << " bytes";
  out << "\n";
  if (!op.keyed_format.empty()) {
    out << "  keyed state (" << op.keyed_format << ")";
    if (!op.key_type.empty()) out << " by " << Printable(op.key_type);
    out << ", key groups " << FormatKeyGroups(op.key_groups) << "\n";
  }
  if (!op.states.empty()) {
    using Align = TextTable::Align;
    TextTable table(
        {{"STATE"}, {"KIND"}, {"TYPE"}, {"ENTRIES", Align::kRight}, {"BYTES", Align::kRight}});
    for (const InspectedState& state : op.states) {
      std::string type = state.type;
      if (!state.namespace_type.empty() && state.kind != "timers") {
        type += " per " + state.namespace_type;
      }
      table.AddRow({Printable(state.name), state.kind, Printable(type), OrUnknown(state.entries),
                    OrUnknown(state.bytes)});
    }
    out << table.Format(2);
  }
  for (const std::string& note : op.notes) out << "  " << Printable(note) << "\n";
}

Json NumberOrNull(const std::optional<int64_t>& number) {
  return number.has_value() ? Json(*number) : Json(nullptr);
}

Json OperatorToJson(const InspectedOperator& op) {
  Json json;
  json["id"] = op.id.ToHex();
  json["uid"] = op.uid;
  json["name"] = op.name;
  json["parallelism"] = op.parallelism;
  json["max_parallelism"] = op.max_parallelism;
  json["finished"] = op.finished;
  json["bytes"] = op.bytes;
  json["files"] = op.files;
  json["coordinator_bytes"] = op.coordinator_bytes;
  json["in_flight_bytes"] = op.in_flight_bytes;
  json["keyed_format"] = op.keyed_format;
  json["key_type"] = op.key_type;
  json["key_groups"] = Json::array();
  for (const KeyGroupRange& range : op.key_groups) {
    json["key_groups"].push_back({range.start, range.end});
  }
  json["states"] = Json::array();
  for (const InspectedState& state : op.states) {
    Json entry;
    entry["name"] = state.name;
    entry["kind"] = state.kind;
    entry["type"] = state.type;
    entry["namespace_type"] = state.namespace_type;
    entry["entries"] = NumberOrNull(state.entries);
    entry["bytes"] = NumberOrNull(state.bytes);
    json["states"].push_back(std::move(entry));
  }
  json["notes"] = op.notes;
  return json;
}

Json InspectionToJson(const Inspection& inspection) {
  Json json = SnapshotToJson(inspection.summary);
  json["metadata_version"] = inspection.metadata_version;
  json["files"] = inspection.files;
  json["operators"] = Json::array();
  for (const InspectedOperator& op : inspection.operators) {
    json["operators"].push_back(OperatorToJson(op));
  }
  return json;
}

}  // namespace

Status SavepointInspect(const CommandContext& context) {
  if (context.line.arguments().empty()) {
    return UsageError("Missing path. Specify the savepoint or checkpoint to look into.");
  }
  RETURN_IF_ERROR(RefuseArgumentsBeyond(context.line, 1));
  const std::string& path = context.line.arguments().front();
  ASSIGN_OR_RETURN(Inspection inspection, snapshot::InspectSnapshot(path));
  CountNativeState(&inspection);
  if (context.line.Has("json")) {
    context.out << DumpJson(InspectionToJson(inspection)) << std::endl;
  } else {
    PrintHeader(context.out, inspection);
    for (const InspectedOperator& op : inspection.operators) PrintOperator(context.out, op);
    context.out.flush();
  }
  if (!inspection.damaged) return OkStatus();
  return DataLoss("{} is damaged or incomplete: some of its state cannot be read, as noted above.",
                  path);
}

}  // namespace flink::cli
