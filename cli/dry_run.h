#pragma once

/// `run --dry-run`: what a program would take over from a snapshot or a running job. Starts
/// nothing; only --against needs a JobManager.

#include "cli/command.h"
#include "cli/packaged_program.h"
#include "flink/pb/graph/v1/job_graph.pb.h"

namespace flink::cli {

/// A usage error when options of the dry run contradict each other or say too little.
Status CheckDryRunOptions(const CommandContext& context);

/// Prints the verdict. OK: the program would be restored; else why it would be refused.
Status DryRun(const CommandContext& context, const PackagedProgram& program,
              const pb::graph::v1::SavepointRestoreSettings& restore);

}  // namespace flink::cli
