#pragma once

/// What every verb is given, and the texts that they share.

#include <iosfwd>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "cli/cluster_client.h"
#include "cli/command_line.h"
#include "cli/error_text.h"
#include "common/base/ids.h"
#include "common/base/status.h"
#include "common/config/configuration.h"

namespace flink::cli {

struct CommandContext {
  const CommandLine& line;
  const Configuration& config;   ///< File and command line merged.
  const Configuration& dynamic;  ///< -D only.
  std::ostream& out;
  std::ostream& err;
  bool on_terminal = false;  ///< A person watches both streams.
};

/// Each verb prints its progress and returns what went wrong. A usage error is one that the help of
/// the verb answers; it goes to stdout, as all Flink's argument errors do.
Status Run(const CommandContext& context);
Status Info(const CommandContext& context);
Status List(const CommandContext& context);
Status Cancel(const CommandContext& context);
Status Stop(const CommandContext& context);
Status Savepoint(const CommandContext& context);
Status SavepointList(const CommandContext& context);
Status SavepointPrune(const CommandContext& context);
Status SavepointInspect(const CommandContext& context);
Status SavepointVerify(const CommandContext& context);
Status Checkpoint(const CommandContext& context);
Status Fsck(const CommandContext& context);

Status UsageError(std::string_view text);
bool IsUsageError(const Status& status);

/// Prints the result of a command. An error that says the same when nobody can read it, as on a
/// full disk: it may be the only place where it is told.
Status WriteResult(std::ostream& out, const std::string& text);

/// Ends the command with this exit code (not 0) and says nothing more.
Status ExitWith(int code);
std::optional<int> ExitCode(const Status& status);

/// A usage error unless `text` is 32 hexadecimal digits.
StatusOr<JobId> ParseJobId(const std::string& text);

/// A usage error when there are more than `most` arguments: what is dropped silently is taken for
/// done.
Status RefuseArgumentsBeyond(const CommandLine& line, size_t most);

/// The value of -type in any case; canonical when absent.
StatusOr<SavepointFormat> ParseSavepointFormat(const CommandLine& line);

/// Puts what failed before why it failed. That there is no cluster needs no such introduction, nor
/// that the user interrupted it.
Status Failed(std::string_view what, const Status& cause);

/// The job id and target directory of verbs whose option may have swallowed the id: a positional
/// argument is the id, without one the option's value is.
struct JobAndDirectory {
  std::string job;
  std::optional<std::string> directory;
};
StatusOr<JobAndDirectory> ResolveJobAndDirectory(const CommandLine& line, std::string_view option);

}  // namespace flink::cli
