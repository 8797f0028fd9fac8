#include "cli/flink_command.h"

#include <algorithm>
#include <map>
#include <ostream>
#include <string_view>

#include "cli/command.h"
#include "cli/verbs.h"

namespace flink::cli {
namespace {

constexpr int kFailed = 1;
constexpr int kCouldNotBegin = 31;

using Action = Status (*)(const CommandContext&);

Action FindAction(std::string_view verb) {
  static const std::map<std::string_view, Action> actions = {
      {"run", Run},
      {"info", Info},
      {"list", List},
      {"cancel", Cancel},
      {"stop", Stop},
      {"savepoint", Savepoint},
      {"savepoint list", SavepointList},
      {"savepoint prune", SavepointPrune},
      {"savepoint inspect", SavepointInspect},
      {"savepoint verify", SavepointVerify},
      {"checkpoint", Checkpoint},
      {"fsck", Fsck}};
  return actions.at(verb);
}

std::string OneLine(std::string text) {
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

int Report(const Status& status, bool verbose, std::ostream& out, std::ostream& err) {
  out.flush();
  if (status.ok()) return 0;
  if (const auto code = ExitCode(status)) return *code;
  if (IsUsageError(status)) {
    out << Message(status) << "\n\nUse the help option (-h or --help) to get help on the command."
        << std::endl;
    return kFailed;
  }
  std::string text = OneLine(Message(status));
  const std::string_view advice = Advice(text);
  if (!advice.empty() && text.find(advice) == std::string::npos) {
    if (!text.ends_with(".")) text += ".";
    text += " " + std::string(advice);
  }
  err << text << std::endl;
  const std::string details = Details(status);
  // There is not always more to say.
  if (verbose && text.find(OneLine(details)) == std::string::npos) err << details << std::endl;
  return kFailed;
}

Status NoYarn(std::string_view typed) {
  return FailedPrecondition(
      "YARN is not there yet ({}): start a cluster with bin/start-cluster.sh and name it with -m "
      "host:port.",
      typed);
}

/// -m host:port, which means the same host for REST and RPC.
Status ApplyJobManagerAddress(const std::string& address, Configuration* config) {
  const size_t colon = address.rfind(':');
  const bool has_port = colon != std::string::npos && colon > 0 && colon + 1 < address.size() &&
                        address.find_first_not_of("0123456789", colon + 1) == std::string::npos;
  if (!has_port) {
    return UsageError("Could not parse the JobManager's address \"" + address +
                      "\". The expected format is host:port, e.g. localhost:8081.");
  }
  std::string host = address.substr(0, colon);
  if (host.starts_with("[") && host.ends_with("]")) host = host.substr(1, host.size() - 2);
  for (const char* key : {"rest.address", "jobmanager.rpc.address"}) config->Set(key, host);
  config->Set("rest.port", address.substr(colon + 1));
  return OkStatus();
}

Status CheckTarget(const CommandLine& line) {
  for (const char* key : {"t", "e"}) {
    const auto target = line.Value(key);
    if (!target.has_value() || *target == "remote") continue;
    if (target->starts_with("yarn")) return NoYarn("-t " + *target);
    return FailedPrecondition(
        "The deployment target \"{}\" is not there yet: use -t remote (the default), a cluster "
        "started by bin/start-cluster.sh.",
        *target);
  }
  if (line.Has("yd")) return NoYarn("-yd");
  if (const auto application = line.Value("yid")) return NoYarn("-yid " + *application);
  if (line.Value("m") == "yarn-cluster") return NoYarn("-m yarn-cluster");
  return OkStatus();
}

Status ApplyOptions(const CommandLine& line, Configuration* config, Configuration* dynamic) {
  RETURN_IF_ERROR(CheckTarget(line));
  for (const std::string& property : line.Values("D")) {
    RETURN_IF_ERROR(dynamic->ApplyDynamicProperty(property));
    RETURN_IF_ERROR(config->ApplyDynamicProperty(property));
  }
  if (const auto name = line.Value("z")) config->Set("high-availability.cluster-id", *name);
  if (const auto address = line.Value("m")) return ApplyJobManagerAddress(*address, config);
  return OkStatus();
}

int Execute(const VerbDescription& verb, const std::vector<std::string>& tokens,
            const std::string& conf_dir, std::ostream& out, std::ostream& err, bool on_terminal) {
  const std::vector<OptionSpec> specs = AcceptedOptions(verb);
  const auto line = CommandLine::Parse(specs, tokens, verb.scope);
  if (!line.ok()) return Report(UsageError(Message(line.status())), false, out, err);
  if (line->Has("h")) {
    out << VerbHelp(verb) << std::flush;
    return 0;
  }
  auto config = Configuration::LoadFromDirectory(Configuration::ConfDir(conf_dir));
  if (!config.ok()) {
    err << OneLine(Message(config.status())) << std::endl;
    return kCouldNotBegin;
  }
  Configuration dynamic;
  const bool verbose = line->Has("v");
  const Status applied = ApplyOptions(*line, &*config, &dynamic);
  if (!applied.ok()) return Report(applied, verbose, out, err);
  const CommandContext context{*line, *config, dynamic, out, err, on_terminal};
  return Report(FindAction(verb.name)(context), verbose, out, err);
}

}  // namespace

int FlinkMain(const std::vector<std::string>& arguments, const std::string& conf_dir,
              std::ostream& out, std::ostream& err, bool on_terminal) {
  if (arguments.empty()) {
    out << FullHelp() << "Please specify an action." << std::endl;
    return kFailed;
  }
  const std::string& action = arguments.front();
  if (action == "-h" || action == "--help") {
    out << FullHelp() << std::flush;
    return 0;
  }
  if (action == "-v" || action == "--version") {
    out << "Version: " << FLINK_VERSION << std::endl;
    return 0;
  }
  // "savepoint list" is a verb of two words.
  const VerbDescription* verb =
      arguments.size() > 1 ? FindVerb(action + " " + arguments[1]) : nullptr;
  const ptrdiff_t words = verb != nullptr ? 2 : 1;
  if (verb == nullptr) verb = FindVerb(action);
  if (verb == nullptr) {
    out << "\"" << action
        << "\" is not a valid action.\n\nValid actions are \"run\", \"list\", \"info\", "
        << "\"savepoint\", \"checkpoint\", \"stop\", \"cancel\", or \"fsck\".\n\n"
        << "Specify the version option (-v or --version) to print Flink version.\n\n"
        << "Specify the help option (-h or --help) to get help on the command." << std::endl;
    return kFailed;
  }
  return Execute(*verb, {arguments.begin() + words, arguments.end()}, conf_dir, out, err,
                 on_terminal);
}

}  // namespace flink::cli
