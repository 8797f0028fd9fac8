#include <ostream>

#include "api/graph/job_graph_builder.h"
#include "cli/command.h"
#include "cli/packaged_program.h"

namespace flink::cli {

Status Info(const CommandContext& context) {
  ASSIGN_OR_RETURN(const PackagedProgram program, LoadProgram(context));
  if (!program.has_job()) {
    return FailedPrecondition(
        "\"{}\" describes no job: its entry function added no source. Add sources and sinks to the "
        "environment that it is given.",
        program.library_name);
  }
  context.out << "----------------------- Execution Plan -----------------------\n"
              << graph::PlanJson(program.stream_graph, program.options.default_parallelism)
              << "\n--------------------------------------------------------------\n\n"
              << "No description provided.\n";
  return OkStatus();
}

}  // namespace flink::cli
