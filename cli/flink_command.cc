#include "cli/flink_command.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <ostream>
#include <string_view>

#include "cli/command.h"
#include "cli/text_table.h"
#include "cli/verbs.h"
#include "common/config/checkpoint_settings.h"

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

/// What names and other programs' errors hold must not play tricks with a terminal.
std::string OneLine(std::string text) {
  const auto is_blank = [](char c) { return c == '\n' || c == '\r' || c == '\t'; };
  std::replace_if(text.begin(), text.end(), is_blank, ' ');
  return Printable(text);
}

int Report(const Status& status, bool verbose, std::ostream& out, std::ostream& err) {
  out.flush();
  if (status.ok() && !out) {
    err << "The output cannot be written." << std::endl;
    return kFailed;
  }
  if (status.ok()) return 0;
  if (const auto code = ExitCode(status)) return *code;
  if (IsUsageError(status)) {
    out << OneLine(Message(status))
        << "\n\nUse the help option (-h or --help) to get help on the command." << std::endl;
    return kFailed;
  }
  std::string text = OneLine(Message(status));
  const std::string_view advice = Advice(text);
  if (!advice.empty() && text.find(advice) == std::string::npos) {
    if (!text.ends_with(".")) text += ".";
    text += " " + std::string(advice);
  }
  err << text << std::endl;
  // Only a stack says more than the message: a JobManager of Flink sends one.
  const std::string details = Details(status);
  if (verbose && details.find("\n\tat ") != std::string::npos) err << details << std::flush;
  return kFailed;
}

Status NoYarn(std::string_view typed) {
  return FailedPrecondition(
      "YARN is not there yet ({}): start a cluster with bin/start-cluster.sh and name it with -m "
      "host:port.",
      typed);
}

/// "host:port" of "http://host:port/"; as in Flink, https: says nothing about encryption.
std::string_view WithoutScheme(std::string_view address) {
  const size_t mark = address.find("://");
  if (mark == std::string_view::npos) return address;
  const std::string scheme = UpperCase(std::string(address.substr(0, mark)));
  if (scheme != "HTTP" && scheme != "HTTPS") return address;
  address.remove_prefix(mark + 3);
  if (address.ends_with("/")) address.remove_suffix(1);
  return address;
}

/// -m host:port, which means the same host for REST and RPC.
Status ApplyJobManagerAddress(const std::string& typed, Configuration* config) {
  const std::string address(WithoutScheme(typed));
  const size_t colon = address.rfind(':');
  const bool has_port = colon != std::string::npos && colon > 0 && colon + 1 < address.size();
  const std::string port = has_port ? address.substr(colon + 1) : "";
  if (!has_port || port.find_first_not_of("0123456789") != std::string::npos ||
      address.find('/') != std::string::npos) {
    return UsageError("Could not parse the JobManager's address \"" + typed +
                      "\". The expected format is host:port, e.g. localhost:8081.");
  }
  constexpr int kMaxPort = 65535;
  int number = 0;
  const auto [end, error] = std::from_chars(port.data(), port.data() + port.size(), number);
  if (error != std::errc() || number < 1 || number > kMaxPort) {
    return UsageError(fmt::format(
        "Could not parse the JobManager's address \"{}\": the port must be within 1..{}.", typed,
        kMaxPort));
  }
  std::string host = address.substr(0, colon);
  if (host.starts_with("[") && host.ends_with("]")) host = host.substr(1, host.size() - 2);
  for (const char* key : {"rest.address", "jobmanager.rpc.address"}) config->Set(key, host);
  config->Set("rest.port", port);
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
  RETURN_IF_ERROR(dynamic->ApplyDynamicProperties(line.Values("D")));
  RETURN_IF_ERROR(config->ApplyDynamicProperties(line.Values("D")));
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
    out << VerbHelp(verb);
    return Report(OkStatus(), false, out, err);
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
    out << FullHelp();
    return Report(OkStatus(), false, out, err);
  }
  if (action == "-v" || action == "--version") {
    out << "Version: " << FLINK_VERSION << "\n";
    return Report(OkStatus(), false, out, err);
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
