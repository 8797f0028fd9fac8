#include <ostream>

#include "cli/command.h"

namespace flink::cli {

Status Stop(const CommandContext& context) {
  const CommandLine& line = context.line;
  ASSIGN_OR_RETURN(const JobAndDirectory what, ResolveJobAndDirectory(line, "p"));
  ASSIGN_OR_RETURN(const JobId job, ParseJobId(what.job));
  ASSIGN_OR_RETURN(const SavepointFormat format, ParseSavepointFormat(line));
  ASSIGN_OR_RETURN(const auto client, ClusterClient::Create(context.config));
  const bool detached = line.Has("detached");
  const std::string id = job.ToHex();
  std::ostream& out = context.out;
  out << (line.Has("d") ? "Draining" : "Suspending") << " job \"" << id << "\" with a "
      << ToString(format) << " savepoint.\n";
  out << "Triggering stop-with-savepoint " << (detached ? "in detached mode " : "") << "for job "
      << id << ".\n";
  if (!detached) out << "Waiting for response...\n";
  out.flush();

  const std::string failure = fmt::format("Could not stop with a {} job \"{}\".",
                                          detached ? "detached savepoint" : "savepoint", id);
  const auto trigger = client->TriggerStop(job, what.directory, format, line.Has("d"));
  if (!trigger.ok()) return Failed(failure, trigger.status());
  if (detached) {
    return WriteResult(
        out,
        "Successfully trigger stop-with-savepoint in detached mode, triggerId: " + *trigger + "\n");
  }
  ProgressLine progress(context.err, context.on_terminal);
  const auto location =
      client->WaitForSavepoint(job, *trigger, "stopping the job with a savepoint", progress);
  if (!location.ok()) return Failed(failure, location.status());
  return WriteResult(out, "Savepoint completed. Path: " + *location + "\n");
}

}  // namespace flink::cli
