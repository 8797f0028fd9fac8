#include <ostream>

#include "cli/command.h"

namespace flink::cli {
namespace {

Status CancelWithSavepoint(const CommandContext& context) {
  std::ostream& out = context.out;
  out << "DEPRECATION WARNING: Cancelling a job with savepoint is deprecated. Use \"stop\" instead."
      << std::endl;
  ASSIGN_OR_RETURN(const JobAndDirectory what, ResolveJobAndDirectory(context.line, "s"));
  ASSIGN_OR_RETURN(const JobId job, ParseJobId(what.job));
  ASSIGN_OR_RETURN(const SavepointFormat format, ParseSavepointFormat(context.line));
  ASSIGN_OR_RETURN(const auto client, ClusterClient::Create(context.config));
  out << "Cancelling job " << job.ToHex() << " with " << ToString(format) << " savepoint to "
      << what.directory.value_or("default savepoint directory") << "." << std::endl;
  const std::string failure = "Could not cancel job " + job.ToHex() + ".";
  const auto trigger = client->TriggerSavepoint(job, what.directory, format, /*cancel_job=*/true);
  if (!trigger.ok()) return Failed(failure, trigger.status());
  ProgressLine progress(context.err, context.on_terminal);
  const auto location =
      client->WaitForSavepoint(job, *trigger, "cancelling the job with a savepoint", progress);
  if (!location.ok()) return Failed(failure, location.status());
  return WriteResult(out,
                     "Cancelled job " + job.ToHex() + ". Savepoint stored in " + *location + ".\n");
}

}  // namespace

Status Cancel(const CommandContext& context) {
  if (context.line.Has("s")) return CancelWithSavepoint(context);
  if (context.line.arguments().empty()) {
    return UsageError("Missing JobID. Specify a JobID to cancel a job.");
  }
  ASSIGN_OR_RETURN(const JobId job, ParseJobId(context.line.arguments().front()));
  ASSIGN_OR_RETURN(const auto client, ClusterClient::Create(context.config));
  context.out << "Cancelling job " << job.ToHex() << "." << std::endl;
  const Status cancelled = client->Cancel(job);
  if (!cancelled.ok()) return Failed("Could not cancel job " + job.ToHex() + ".", cancelled);
  return WriteResult(context.out, "Cancelled job " + job.ToHex() + ".\n");
}

}  // namespace flink::cli
