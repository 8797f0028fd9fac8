#include <ostream>

#include "cli/command.h"

namespace flink::cli {

Status Checkpoint(const CommandContext& context) {
  if (context.line.arguments().empty()) {
    return UsageError("Missing JobID. Specify a Job ID to manipulate a checkpoint.");
  }
  ASSIGN_OR_RETURN(const JobId job, ParseJobId(context.line.arguments().front()));
  ASSIGN_OR_RETURN(const auto client, ClusterClient::Create(context.config));
  const bool full = context.line.Has("full");
  const std::string id = job.ToHex();
  std::ostream& out = context.out;
  out << "Triggering checkpoint for job " << id << ".\nWaiting for response..." << std::endl;
  const std::string failure = "Failed to trigger a checkpoint for the job " + id + ".";
  const auto trigger = client->TriggerCheckpoint(job, full);
  if (!trigger.ok()) return Failed(failure, trigger.status());
  ProgressLine progress(context.err, context.on_terminal);
  const auto checkpoint = client->WaitForCheckpoint(job, *trigger, progress);
  if (!checkpoint.ok()) return Failed(failure, checkpoint.status());
  return WriteResult(
      out,
      fmt::format("Checkpoint{}{} for job {} completed.\nYou can resume your program from this "
                  "checkpoint with the run command.\n",
                  full ? "(FULL) " : " ", *checkpoint, id));
}

}  // namespace flink::cli
