#include "common/snapshot/snapshot_journal.h"

#include <nlohmann/json.hpp>

#include "common/config/options.h"
#include "common/io/file_system.h"

namespace flink::snapshot {
namespace {

using Json = nlohmann::ordered_json;

std::optional<JournalEntry> ParseLine(std::string_view line) {
  const Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return std::nullopt;
  const auto job = json.find("job");
  const auto path = json.find("path");
  const bool whole =
      job != json.end() && job->is_string() && path != json.end() && path->is_string();
  if (!whole) return std::nullopt;
  const StatusOr<JobId> id = JobId::FromHex(job->get<std::string>());
  const StatusOr<std::string> local = io::ParsePath(path->get<std::string>());
  if (!id.ok() || !local.ok()) return std::nullopt;
  return JournalEntry{*id, *local};
}

}  // namespace

Status AppendToJournal(const std::string& directory, const JournalEntry& entry) {
  Json json;
  json["job"] = entry.job.ToHex();
  json["path"] = io::QualifyPath(entry.path);
  RETURN_IF_ERROR(io::CreateDirectories(directory));
  const std::string line = json.dump(-1, ' ', false, Json::error_handler_t::replace);
  // The newline in front ends a line that a crash may have cut off.
  return io::AppendDurably(io::JoinPath(directory, kJournalFileName), fmt::format("\n{}\n", line));
}

StatusOr<std::vector<JournalEntry>> ReadJournal(const std::string& directory) {
  std::vector<JournalEntry> entries;
  const StatusOr<std::string> text = io::ReadFile(io::JoinPath(directory, kJournalFileName));
  if (absl::IsNotFound(text.status())) return entries;
  if (!text.ok()) return text.status();
  std::string_view rest = *text;
  // What follows the last newline is being written, or was cut off.
  for (size_t end = rest.find('\n'); end != std::string_view::npos; end = rest.find('\n')) {
    std::optional<JournalEntry> entry = ParseLine(rest.substr(0, end));
    if (entry.has_value()) entries.push_back(*std::move(entry));
    rest.remove_prefix(end + 1);
  }
  return entries;
}

std::optional<std::string> JournalDirectory(const Configuration& configuration) {
  for (const ConfigOption& option : {options::kCheckpointDirectory, options::kSavepointDirectory}) {
    const std::string value = configuration.GetString(option);
    if (value.empty()) continue;
    const StatusOr<std::string> path = io::ParsePath(value);
    if (path.ok()) return *path;
  }
  return std::nullopt;
}

}  // namespace flink::snapshot
