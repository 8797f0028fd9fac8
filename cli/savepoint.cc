#include <ostream>

#include "cli/command.h"
#include "cli/disposed_directory.h"

namespace flink::cli {
namespace {

constexpr char kIgnoringArguments[] =
    "Provided more arguments than required. Ignoring not needed arguments.\n";

Status Dispose(const CommandContext& context, const std::string& path) {
  ASSIGN_OR_RETURN(const auto client, ClusterClient::Create(context.config));
  std::ostream& out = context.out;
  out << "Disposing savepoint '" << path << "'.\nWaiting for response..." << std::endl;
  const std::string failure = "Failed to dispose the savepoint '" + path + "'.";
  const DisposedDirectory directory(path);
  const auto trigger = client->TriggerDisposal(path);
  if (!trigger.ok()) return Failed(failure, trigger.status());
  const Status disposed = client->WaitForDisposal(*trigger);
  if (!disposed.ok()) return Failed(failure, disposed);
  return WriteResult(out, "Savepoint '" + path + "' disposed.\n" + directory.WhatStays());
}

Status TriggerDetached(const CommandContext& context, ClusterClient* client, const JobId& job,
                       const std::optional<std::string>& directory, SavepointFormat format) {
  const std::string id = job.ToHex();
  context.out << "Triggering savepoint in detached mode for job " << id << "." << std::endl;
  const auto trigger = client->TriggerSavepoint(job, directory, format, /*cancel_job=*/false);
  if (!trigger.ok()) {
    return Failed("Triggering a detached savepoint for the job " + id + " failed.",
                  trigger.status());
  }
  return WriteResult(context.out,
                     "Successfully trigger manual savepoint, triggerId: " + *trigger + "\n");
}

/// A mistyped id must not look like a savepoint that failed.
StatusOr<std::string> ParseTriggerId(const std::string& text) {
  const auto id = Id128<struct TriggerIdTag>::FromHex(text);
  if (id.ok()) return id->ToHex();
  return UsageError("Cannot parse trigger id from \"" + text +
                    "\". The expected format is [0-9a-fA-F]{32}, as savepoint -detached and stop "
                    "-detached print it.");
}

/// One question, answered by the exit code, too.
Status ShowStatus(const CommandContext& context, const std::string& typed_trigger_id) {
  constexpr int kInProgress = 2;
  if (context.line.arguments().empty()) {
    return UsageError(
        "Missing JobID. Specify the trigger id and the Job ID: savepoint --status "
        "<triggerId> <Job ID>.");
  }
  ASSIGN_OR_RETURN(const std::string trigger_id, ParseTriggerId(typed_trigger_id));
  ASSIGN_OR_RETURN(const JobId job, ParseJobId(context.line.arguments().front()));
  RETURN_IF_ERROR(RefuseArgumentsBeyond(context.line, 1));
  ASSIGN_OR_RETURN(const auto client, ClusterClient::Create(context.config));
  const auto location = client->PollSavepoint(job, trigger_id);
  if (location.status().code() == absl::StatusCode::kNotFound) return location.status();
  if (!location.ok()) return Failed("Savepoint failed.", location.status());
  if (location->has_value()) {
    return WriteResult(context.out, "Savepoint completed. Path: " + **location + "\n");
  }
  const auto progress = client->SavepointProgress(job, trigger_id);
  context.out << "Savepoint in progress"
              << (progress.ok() && progress->has_value() ? ": " + ToString(**progress) : "")
              << ".\n";
  return ExitWith(kInProgress);
}

}  // namespace

Status Savepoint(const CommandContext& context) {
  const CommandLine& line = context.line;
  if (const auto path = line.Value("d")) {
    // As Flink, whose stdout this has; what is dropped silently would be taken for done.
    if (!line.arguments().empty()) context.err << kIgnoringArguments << std::flush;
    return Dispose(context, *path);
  }
  if (const auto trigger_id = line.Value("status")) return ShowStatus(context, *trigger_id);
  const std::vector<std::string>& arguments = line.arguments();
  if (!arguments.empty() && arguments[0] == "dispose") {
    if (arguments.size() < 2) {
      return UsageError("Missing path. Specify the savepoint: savepoint dispose <path>.");
    }
    RETURN_IF_ERROR(RefuseArgumentsBeyond(line, 2));
    return Dispose(context, arguments[1]);
  }
  ASSIGN_OR_RETURN(const SavepointFormat format, ParseSavepointFormat(line));
  if (arguments.empty()) {
    return UsageError("Missing JobID. Specify a Job ID to trigger a savepoint.");
  }
  ASSIGN_OR_RETURN(const JobId job, ParseJobId(arguments[0]));
  std::optional<std::string> directory;
  if (arguments.size() >= 2) directory = arguments[1];
  ASSIGN_OR_RETURN(const auto client, ClusterClient::Create(context.config));
  std::ostream& out = context.out;
  if (arguments.size() >= 3) {
    out << kIgnoringArguments;
  }
  if (line.Has("detached")) return TriggerDetached(context, client.get(), job, directory, format);

  const std::string id = job.ToHex();
  out << "Triggering savepoint for job " << id << ".\nWaiting for response..." << std::endl;
  const std::string failure = "Failed to trigger a savepoint for the job " + id + ".";
  const auto trigger = client->TriggerSavepoint(job, directory, format, /*cancel_job=*/false);
  if (!trigger.ok()) return Failed(failure, trigger.status());
  ProgressLine progress(context.err, context.on_terminal);
  const auto location = client->WaitForSavepoint(job, *trigger, "the savepoint", progress);
  if (!location.ok()) return Failed(failure, location.status());
  return WriteResult(
      out, "Savepoint completed. Path: " + *location +
               "\nYou can resume your program from this savepoint with the run command.\n");
}

}  // namespace flink::cli
