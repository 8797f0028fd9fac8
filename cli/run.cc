#include <sys/random.h>

#include <ostream>

#include "cli/command.h"
#include "cli/dry_run.h"
#include "cli/job_graph_texts.h"
#include "cli/packaged_program.h"
#include "cli/pause.h"
#include "common/config/checkpoint_settings.h"
#include "common/config/options.h"
#include "common/config/options_without_effect.h"
#include "common/io/absolute_path.h"
#include "common/io/checksum.h"
#include "common/io/file_system.h"
#include "proto/conversion/job_graph_proto.h"

namespace flink::cli {
namespace {

using pb::graph::v1::SavepointRestoreSettings;
using std::chrono::milliseconds;

/// Tells the executors what relative paths of the program refer to.
constexpr char kWorkingDirectoryKey[] = "client.working-directory";

/// `key` is the configuration key that the mode comes from; empty for an option.
StatusOr<SavepointRestoreSettings::ClaimMode> ParseClaimMode(const std::string& typed,
                                                             std::string_view key) {
  const std::string name = UpperCase(typed);
  if (name == "CLAIM") return SavepointRestoreSettings::CLAIM_MODE_CLAIM;
  if (name == "NO_CLAIM") return SavepointRestoreSettings::CLAIM_MODE_NO_CLAIM;
  if (name == "LEGACY") return SavepointRestoreSettings::CLAIM_MODE_LEGACY;
  return FailedPrecondition(
      "{}Could not parse \"{}\" as a claim mode. Expected one of: [CLAIM, NO_CLAIM, LEGACY]",
      key.empty() ? "" : fmt::format("{}: ", key), typed);
}

StatusOr<SavepointRestoreSettings> RestoreSettings(const CommandContext& context) {
  const CommandLine& line = context.line;
  const Configuration& config = context.config;
  SavepointRestoreSettings settings;
  const std::optional<std::string> typed_path = line.Value("s");
  // Such an option is a script's variable that was never set; to start from scratch then would lose
  // the state that was asked for. An empty key of a configuration means none.
  if (typed_path.has_value() && typed_path->empty()) {
    return FailedPrecondition(
        "Empty checkpoint pointer: -s needs the path of a savepoint or checkpoint; leave it out to "
        "start without state.");
  }
  settings.set_path(typed_path.value_or(config.GetString(options::kRestorePath)));
  ASSIGN_OR_RETURN(const bool ignore, config.GetBool(options::kRestoreIgnoreUnclaimedState));
  settings.set_allow_non_restored_state(line.Has("n") || ignore);
  if (line.Has("rm")) {
    context.out << "The option 'restoreMode' is deprecated. Please use 'claimMode' instead.\n";
  }
  std::optional<std::string> mode = line.Value("cm");
  if (!mode.has_value()) mode = line.Value("rm");
  const std::string_view key = mode.has_value() ? "" : options::kRestoreClaimMode.key;
  ASSIGN_OR_RETURN(
      const auto claim_mode,
      ParseClaimMode(mode.value_or(config.GetString(options::kRestoreClaimMode)), key));
  settings.set_claim_mode(claim_mode);
  if (claim_mode == SavepointRestoreSettings::CLAIM_MODE_LEGACY && !settings.path().empty()) {
    context.out
        << "Warning: The LEGACY restore mode is deprecated, please use CLAIM or NO_CLAIM mode "
           "instead.\n";
  }
  return settings;
}

StatusOr<JobId> RandomJobId() {
  std::array<uint8_t, 16> bytes{};
  if (getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size())) {
    return Internal("the system gives no random numbers for the id of the job");
  }
  return JobId(bytes);
}

void WarnOfMissingUids(const StreamGraph& graph, std::ostream& err) {
  for (const std::string& name : graph::StatefulOperatorsWithoutUid(graph)) {
    err << "WARNING: Stateful operator '" << name
        << "' has no uid: after a change of the program a savepoint may not find its state again. "
           "Give it a name for life with Uid(\"...\")."
        << std::endl;
  }
}

/// What the JobManager gets: the program's graph under the settings of the command line.
StatusOr<pb::graph::v1::JobGraph> MakeSubmission(const CommandContext& context,
                                                 const PackagedProgram& program,
                                                 const std::string& library,
                                                 SavepointRestoreSettings restore) {
  ASSIGN_OR_RETURN(const JobId id, RandomJobId());
  pb::graph::v1::JobGraph message = graph::ToProto(program.job_graph);
  message.set_job_id(std::string(id.bytes().begin(), id.bytes().end()));
  for (const std::string& argument : program.arguments) message.add_arguments(argument);
  // What the program itself sets is in the map already and wins, as in Flink.
  message.mutable_configuration()->insert(context.dynamic.values().begin(),
                                          context.dynamic.values().end());
  // These shape the graph, and the executors must come to the same one whatever the cluster's own
  // say.
  for (const ConfigOption& option : {options::kOperatorChaining, options::kMaxParallelism}) {
    message.mutable_configuration()->insert(
        {std::string(option.key), context.config.GetString(option)});
  }
  // Whatever the program says: this is what its vertices without a parallelism have got.
  (*message.mutable_configuration())[std::string(options::kDefaultParallelism.key)] =
      std::to_string(program.options.default_parallelism);
  (*message.mutable_configuration())[kWorkingDirectoryKey] = program.working_directory;
  message.set_library_name(program.library_name);
  message.set_library_digest(fmt::format("{:016x}", io::Checksum64(library)));
  *message.mutable_restore() = std::move(restore);
  // Relative paths are those of whoever typed them.
  message.mutable_restore()->set_path(io::AbsolutePath(message.restore().path()));
  for (const ConfigOption& option : {options::kCheckpointDirectory, options::kSavepointDirectory,
                                     options::kPeriodicSavepointDirectory, options::kRestorePath}) {
    Configuration typed(std::map<std::string, std::string>(message.configuration().begin(),
                                                           message.configuration().end()));
    const std::optional<std::string> path = typed.Find(option.key);
    if (!path.has_value() || io::AbsolutePath(*path) == *path) continue;
    typed.Set(option.key, io::AbsolutePath(*path));
    message.mutable_configuration()->clear();
    message.mutable_configuration()->insert(typed.values().begin(), typed.values().end());
  }
  RETURN_IF_ERROR(CheckTexts(message));
  return message;
}

/// A job that cannot even be set up (a savepoint that does not fit, say) was never "submitted" to
/// its user.
Status WaitForInitialization(ClusterClient* client, const JobId& job) {
  std::string state;
  for (Backoff backoff(milliseconds(100)); true; backoff.Wait()) {
    ASSIGN_OR_RETURN(state, client->JobState(job));
    if (state != "INITIALIZING") break;
  }
  if (state != "FAILED") return OkStatus();
  ASSIGN_OR_RETURN(const auto result, client->ExecutionResult(job));
  if (!result.has_value()) return OkStatus();
  constexpr std::string_view kInitialization = "JobInitializationException";
  if (result->failure_trace.find(kInitialization) == std::string::npos &&
      !result->failure_class.ends_with(kInitialization)) {
    return OkStatus();
  }
  return WithDetails(Internal("{}", CauseText(result->failure_trace)), result->failure_trace);
}

Status FailureOf(const JobId& job, const JobResult& result) {
  if (result.application_status == "SUCCEEDED") return OkStatus();
  const std::string cause = result.application_status == "CANCELED"
                                ? std::string("Job was cancelled.")
                                : CauseText(result.failure_trace);
  return WithDetails(Internal("Job failed (JobID: {}): {}", job.ToHex(), cause),
                     result.failure_trace);
}

/// Until every task has its state: damage in the files of a snapshot shows only then.
Status WaitForRestore(ClusterClient* client, const JobId& job) {
  for (Backoff backoff(milliseconds(100)); true; backoff.Wait()) {
    ASSIGN_OR_RETURN(const std::string state, client->JobState(job));
    if (state == "RUNNING") return OkStatus();
    ASSIGN_OR_RETURN(const auto result, client->ExecutionResult(job));
    if (result.has_value()) return FailureOf(job, *result);
  }
}

Status PrintResult(ClusterClient* client, const JobId& job, const JobResult& result,
                   std::ostream& out) {
  const std::string id = job.ToHex();
  RETURN_IF_ERROR(FailureOf(job, result));
  out << "Program execution finished\nJob with JobID " << id
      << " has finished.\nJob Runtime: " << result.net_runtime << " ms\n";
  if (result.has_accumulators) {
    ASSIGN_OR_RETURN(const auto accumulators, client->Accumulators(job));
    out << "Accumulator Results: \n";
    for (const Accumulator& a : accumulators) {
      out << "- " << a.name << " (" << a.type << "): " << a.value << "\n";
    }
    out << "\n";
  }
  out << "\n";
  return OkStatus();
}

Status WaitForEnd(const CommandContext& context, ClusterClient* client, const JobId& job) {
  const std::string id = job.ToHex();
  const InterruptGuard guard;
  for (Backoff backoff(milliseconds(100)); !guard.interrupted(); backoff.Wait()) {
    const auto result = client->ExecutionResult(job);
    if (!result.ok()) {
      return WithContext(result.status(), "Lost sight of job " + id + ", which had been submitted");
    }
    if (result->has_value()) return PrintResult(client, job, **result, context.out);
  }
  if (context.line.Has("sae")) {
    RETURN_IF_ERROR(Failed("Could not cancel job " + id + ".", client->Cancel(job)));
    return MakeStatus(absl::StatusCode::kAborted, "Interrupted: cancelled job {}.", id);
  }
  return MakeStatus(
      absl::StatusCode::kAborted,
      "Interrupted: job {} goes on without this client. \"flink list\" shows it, \"flink "
      "cancel {}\" ends it.",
      id, id);
}

}  // namespace

Status Run(const CommandContext& context) {
  RETURN_IF_ERROR(CheckDryRunOptions(context));
  ASSIGN_OR_RETURN(SavepointRestoreSettings restore, RestoreSettings(context));
  ASSIGN_OR_RETURN(const PackagedProgram program, LoadProgram(context));
  if (!program.has_job()) return OkStatus();
  if (context.line.Has("dry-run")) return DryRun(context, program, restore);
  WarnOfMissingUids(program.stream_graph, context.err);
  for (const std::string& warning : WarningsOfNoEffect(context.dynamic)) {
    context.err << "WARNING: " << warning << std::endl;
  }
  ASSIGN_OR_RETURN(std::string library, io::ReadFile(program.library_path));
  ASSIGN_OR_RETURN(const pb::graph::v1::JobGraph submission,
                   MakeSubmission(context, program, library, std::move(restore)));
  std::array<uint8_t, 16> id_bytes{};
  std::copy(submission.job_id().begin(), submission.job_id().end(), id_bytes.begin());
  const JobId job(id_bytes);

  ASSIGN_OR_RETURN(const auto client, ClusterClient::Create(context.config));
  const std::string failure = "Failed to execute job '" + program.job_graph.name + "'.";
  const Status submitted =
      client->Submit(submission.SerializeAsString(), std::move(library), program.library_name);
  if (!submitted.ok()) return Failed(failure, submitted);
  const Status initialized = WaitForInitialization(client.get(), job);
  if (!initialized.ok()) return Failed(failure, initialized);
  // The job runs whether or not this can be told, and is looked after all the same.
  Status told = WriteResult(context.out, "Job has been submitted with JobID " + job.ToHex() + "\n");
  if (!context.line.Has("d")) {
    RETURN_IF_ERROR(WaitForEnd(context, client.get(), job));
  } else if (!submission.restore().path().empty()) {
    RETURN_IF_ERROR(WaitForRestore(client.get(), job));
  }
  return told;
}

}  // namespace flink::cli
