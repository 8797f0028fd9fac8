#include "cli/command.h"

#include <ostream>

#include "cli/text_table.h"
#include "common/config/checkpoint_settings.h"

namespace flink::cli {
namespace {
constexpr char kUsageUrl[] = "flink.cli/usage";
constexpr char kExitUrl[] = "flink.cli/exit";
}  // namespace

Status UsageError(std::string_view text) {
  Status status = InvalidArgument("{}", text);
  status.SetPayload(kUsageUrl, absl::Cord());
  return status;
}

bool IsUsageError(const Status& status) { return status.GetPayload(kUsageUrl).has_value(); }

Status WriteResult(std::ostream& out, const std::string& text) {
  if (out << text << std::flush) return OkStatus();
  return Internal("The output cannot be written. It would have been: {}",
                  text.substr(0, text.find_last_not_of('\n') + 1));
}

Status ExitWith(int code) {
  Status status = MakeStatus(absl::StatusCode::kUnknown, "exit code {}", code);
  status.SetPayload(kExitUrl, absl::Cord(std::to_string(code)));
  return status;
}

std::optional<int> ExitCode(const Status& status) {
  const auto payload = status.GetPayload(kExitUrl);
  if (!payload.has_value()) return std::nullopt;
  return std::stoi(std::string(*payload));
}

StatusOr<JobId> ParseJobId(const std::string& text) {
  StatusOr<JobId> id = JobId::FromHex(text);
  if (id.ok()) return id;
  return UsageError("Cannot parse JobID from \"" + text +
                    "\". The expected format is [0-9a-fA-F]{32}, e.g. "
                    "fd72014d4c864993a2e5a9287b4a9c5d.");
}

Status RefuseArgumentsBeyond(const CommandLine& line, size_t most) {
  if (line.arguments().size() <= most) return OkStatus();
  return UsageError("Provided more arguments than required: \"" +
                    Printable(line.arguments()[most]) + "\" is one too many.");
}

StatusOr<SavepointFormat> ParseSavepointFormat(const CommandLine& line) {
  const std::optional<std::string> typed = line.Value("type");
  if (!typed.has_value()) return SavepointFormat::kCanonical;
  const std::string name = UpperCase(*typed);
  if (name == "CANONICAL") return SavepointFormat::kCanonical;
  if (name == "NATIVE") return SavepointFormat::kNative;
  return FailedPrecondition(
      "Could not parse \"{}\" as the type of a savepoint. Expected one of: [CANONICAL, NATIVE]",
      *typed);
}

Status Failed(std::string_view what, const Status& cause) {
  const bool not_reached = cause.code() == absl::StatusCode::kUnavailable ||
                           cause.code() == absl::StatusCode::kDeadlineExceeded;
  const bool interrupted = cause.code() == absl::StatusCode::kAborted;
  if (cause.ok() || not_reached || interrupted) return cause;
  return WithContext(cause, what);
}

StatusOr<JobAndDirectory> ResolveJobAndDirectory(const CommandLine& line, std::string_view option) {
  JobAndDirectory result;
  const std::optional<std::string> value = line.Value(option);
  if (!line.arguments().empty()) {
    result.job = line.arguments().front();
    result.directory = value;
    return result;
  }
  if (!value.has_value()) return UsageError("Missing JobId");
  result.job = *value;
  return result;
}

}  // namespace flink::cli
