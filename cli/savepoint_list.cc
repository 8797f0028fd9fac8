#include "cli/savepoint_list.h"

#include <algorithm>
#include <charconv>
#include <ostream>

#include "cli/command.h"
#include "cli/disposed_directory.h"
#include "cli/text_table.h"
#include "common/io/file_system.h"
#include "common/snapshot/snapshot_files.h"

namespace flink::cli {
namespace {

using snapshot::SnapshotListing;
using snapshot::SnapshotSummary;

constexpr size_t kShortJobId = 8;

/// From --dir, else from the configuration. What cannot be read is told, and no reason to fail.
StatusOr<SnapshotListing> FindSnapshots(const CommandContext& context) {
  if (context.line.Values("dir").size() > 1) {
    return UsageError("Provided --dir more than once. Name one directory that holds them all.");
  }
  const auto directory = context.line.Value("dir");
  ASSIGN_OR_RETURN(SnapshotListing listing, directory.has_value()
                                                ? snapshot::ListSnapshotsBelow(*directory)
                                                : snapshot::ListKnownSnapshots(context.config));
  for (const std::string& problem : listing.problems) {
    context.err << "Not listed: " << Printable(problem) << std::endl;
  }
  return listing;
}

std::string Join(const std::vector<std::string>& texts) {
  std::string joined;
  for (const std::string& text : texts) joined += (joined.empty() ? "" : ", ") + text;
  return joined;
}

/// "/a, /b (does not exist)": a mistake in the configuration, or nothing was ever written there.
std::string JoinSearched(std::vector<std::string> directories) {
  for (std::string& directory : directories) {
    if (!io::Exists(directory)) directory += " (does not exist)";
  }
  return Join(directories);
}

StatusOr<size_t> ParseKeep(const CommandLine& line) {
  const auto text = line.Value("keep");
  if (!text.has_value()) {
    return UsageError("Missing --keep. Specify how many of the newest savepoints are kept.");
  }
  size_t keep = 0;
  const auto [end, error] = std::from_chars(text->data(), text->data() + text->size(), keep);
  if (error != std::errc() || end != text->data() + text->size()) {
    return UsageError("Cannot keep \"" + *text + "\" savepoints: --keep takes a number from 0.");
  }
  return keep;
}

/// Disposes through the JobManager, which knows what its jobs may still need; without one here.
class Disposer {
 public:
  static StatusOr<Disposer> Create(const CommandContext& context) {
    Disposer disposer;
    StatusOr<std::unique_ptr<ClusterClient>> client = ClusterClient::Create(context.config);
    Status reached = client.status();
    if (reached.ok()) reached = (*client)->ListJobs().status();
    if (reached.ok()) {
      disposer.client_ = *std::move(client);
    } else if (reached.code() == absl::StatusCode::kUnavailable) {
      context.out << "No JobManager answers, so the files are deleted from here.\n";
    } else {
      return reached;
    }
    return disposer;
  }

  Status Dispose(const std::string& path) {
    if (client_ == nullptr) return snapshot::DisposeSnapshot(path);
    ASSIGN_OR_RETURN(const std::string trigger, client_->TriggerDisposal(path));
    return client_->WaitForDisposal(trigger);
  }

 private:
  std::unique_ptr<ClusterClient> client_;
};

}  // namespace

std::string TypeOf(const SnapshotSummary& summary) {
  std::string what = summary.IsSavepoint() ? "savepoint" : "checkpoint";
  // All checkpoints are native.
  if (summary.format.empty() || !summary.IsSavepoint()) return what;
  return summary.format + " " + what;
}

std::string FormatSnapshots(const std::vector<SnapshotSummary>& snapshots, size_t width) {
  using Align = TextTable::Align;
  TextTable wide({{"PATH"},
                  {"JOB"},
                  {"TIME"},
                  {"TYPE"},
                  {"SIZE", Align::kRight},
                  {"PARALLELISM", Align::kRight},
                  {"OPERATORS", Align::kRight}});
  TextTable narrow({{"TIME"},
                    {"TYPE"},
                    {"SIZE", Align::kRight},
                    {"PAR", Align::kRight},
                    {"OPS", Align::kRight},
                    {"JOB"}});
  for (const SnapshotSummary& s : snapshots) {
    const std::string path = Printable(io::QualifyPath(s.directory));
    const std::string time = FormatTimestamp(s.time_ms);
    const std::string size = FormatBytes(s.state_bytes);
    const std::string parallelism = std::to_string(s.parallelism);
    const std::string operators = std::to_string(s.operators.size());
    const std::string job = s.job.empty() ? "-" : s.job;
    wide.AddRow({path, job, time, TypeOf(s), size, parallelism, operators});
    narrow.AddRow({time, TypeOf(s), size, parallelism, operators, job.substr(0, kShortJobId)},
                  path);
  }
  return width == 0 || wide.Width() <= width ? wide.Format() : narrow.Format();
}

nlohmann::ordered_json SnapshotToJson(const SnapshotSummary& summary) {
  nlohmann::ordered_json json;
  json["path"] = io::QualifyPath(summary.directory);
  json["job_id"] = summary.job;
  json["job_name"] = summary.job_name;
  json["time"] = summary.time_ms;
  json["kind"] = summary.kind;
  json["format"] = summary.format;
  json["checkpoint_id"] = summary.checkpoint_id;
  json["state_bytes"] = summary.state_bytes;
  json["parallelism"] = summary.parallelism;
  json["operators"] = summary.operators;
  return json;
}

std::string DumpJson(const nlohmann::ordered_json& json) {
  return json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

Status SavepointList(const CommandContext& context) {
  const std::vector<std::string>& arguments = context.line.arguments();
  std::optional<JobId> job;
  if (!arguments.empty()) {
    ASSIGN_OR_RETURN(job, ParseJobId(arguments.front()));
  }
  RETURN_IF_ERROR(RefuseArgumentsBeyond(context.line, 1));
  ASSIGN_OR_RETURN(SnapshotListing listing, FindSnapshots(context));
  if (job.has_value()) {
    std::erase_if(listing.snapshots,
                  [&job](const SnapshotSummary& summary) { return !summary.IsOfJob(*job); });
  }
  if (context.line.Has("json")) {
    auto json = nlohmann::ordered_json::array();
    for (const SnapshotSummary& summary : listing.snapshots)
      json.push_back(SnapshotToJson(summary));
    context.out << DumpJson(json) << std::endl;
  } else if (listing.snapshots.empty()) {
    context.out << "No snapshots" << (job.has_value() ? " of job " + job->ToHex() : "") << " in "
                << JoinSearched(listing.directories) << "." << std::endl;
  } else {
    context.out << FormatSnapshots(listing.snapshots, TerminalWidth()) << std::flush;
  }
  return OkStatus();
}

Status SavepointPrune(const CommandContext& context) {
  ASSIGN_OR_RETURN(const size_t keep, ParseKeep(context.line));
  const std::vector<std::string>& arguments = context.line.arguments();
  if (arguments.empty()) {
    return UsageError("Missing JobID. Specify the job whose savepoints are pruned.");
  }
  ASSIGN_OR_RETURN(const JobId job, ParseJobId(arguments.front()));
  RETURN_IF_ERROR(RefuseArgumentsBeyond(context.line, 1));
  ASSIGN_OR_RETURN(SnapshotListing listing, FindSnapshots(context));
  std::vector<SnapshotSummary>& savepoints = listing.snapshots;
  // A savepoint that does not say whose it is must not go by the few digits in its name.
  std::erase_if(savepoints, [&job](const SnapshotSummary& summary) {
    return !summary.IsSavepoint() || summary.job != job.ToHex();
  });
  if (savepoints.empty()) {
    return NotFound("No savepoint of job {} is known in {}. \"flink savepoint list\" shows all.",
                    job.ToHex(), JoinSearched(listing.directories));
  }
  context.out << FormatSnapshots(savepoints, TerminalWidth());
  const size_t kept = std::min(keep, savepoints.size());
  context.out << "Keeping the newest " << kept << " of " << savepoints.size()
              << " savepoints, disposing of " << savepoints.size() - kept << "." << std::endl;
  if (kept == savepoints.size()) return OkStatus();
  ASSIGN_OR_RETURN(Disposer disposer, Disposer::Create(context));
  Status first;
  size_t failed = 0;
  while (savepoints.size() > kept) {
    const std::string path = io::QualifyPath(savepoints.back().directory);
    savepoints.pop_back();
    const DisposedDirectory directory(path);
    const Status disposed = disposer.Dispose(path);
    if (disposed.ok()) {
      context.out << "Savepoint '" << path << "' disposed.\n"
                  << directory.WhatStays() << std::flush;
      continue;
    }
    ++failed;
    if (first.ok())
      first = WithContext(disposed, "Failed to dispose the savepoint '" + path + "'.");
  }
  if (failed <= 1) return first;
  return MakeStatus(first.code(), "{} savepoints were not disposed of. The first: {}", failed,
                    Message(first));
}

}  // namespace flink::cli
