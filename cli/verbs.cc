#include "cli/verbs.h"

#include <algorithm>

namespace flink::cli {
namespace {

constexpr std::string_view kTypeHelp =
    "Describes the binary format in which a savepoint should be taken. Supported options: "
    "[canonical - a common format for all state backends, allow for changing state backends, "
    "native = a specific format for the chosen state backend, might be faster to take and restore "
    "from.";
constexpr std::string_view kDetachedHelp =
    "Triggering savepoint in detached mode, client and JobManager are decoupled, return the "
    "savepoint "
    "trigger id as the unique identification of the detached savepoint.";

std::vector<OptionSpec> RunOptions() {
  return {
      {"c", "class", "classname",
       "Accepted for compatibility; a job library has a single entry, which needs no name."},
      {"C", "classpath", "url",
       "Accepted for compatibility; a job library names the libraries it needs itself. Must be a "
       "URL "
       "(e.g. file://).",
       false, true},
      {"cm", "claimMode", "arg",
       "Defines how should we restore from the given savepoint. Supported options: [claim - claim "
       "ownership of the savepoint and delete once it is subsumed, no_claim (default) - do not "
       "claim "
       "ownership, the first checkpoint will not reuse any files from the restored one, legacy "
       "(deprecated) - do not assume ownership of the savepoint files, but can reuse some shared "
       "files."},
      {"d", "detached", "", "If present, runs the job in detached mode"},
      {"n", "allowNonRestoredState", "",
       "Allow to skip savepoint state that cannot be restored. You need to allow this if you "
       "removed "
       "an operator from your program that was part of the program when the savepoint was "
       "triggered."},
      {"p", "parallelism", "parallelism",
       "The parallelism with which to run the program. Optional flag to override the default value "
       "specified in the configuration."},
      {"rm", "restoreMode", "arg", "This option is deprecated, please use 'claimMode' instead."},
      {"s", "fromSavepoint", "savepointPath",
       "Path to a savepoint to restore the job from (for example /data/flink/savepoint-1537)."},
      {"sae", "shutdownOnAttachedExit", "",
       "If the job is submitted in attached mode, cancel it when the client is terminated "
       "abruptly, "
       "e.g., in response to a user interrupt, such as typing Ctrl + C."},
      {"", "dry-run", "",
       "Start nothing: print what the program would take over from the savepoint given by -s, or "
       "from the running job given by --against, operator by operator. The exit code is 0 when it "
       "would be restored and 1 when it would be refused."},
      {"", "against", "jobId",
       "With --dry-run: match the program with the latest checkpoint of this running job."},
      {"", "json", "", "With --dry-run: print JSON instead of a table."},
      {"j", "jarfile", "file", "", false, true},
      {"yd", "yarndetached", "", "", false, true},
  };
}

std::vector<OptionSpec> InfoOptions() {
  std::vector<OptionSpec> options = RunOptions();
  for (OptionSpec& option : options) {
    option.hidden = option.short_name != "c" && option.short_name != "p";
  }
  options.push_back({"D", "", "property=value", "", false, true});
  return options;
}

std::vector<OptionSpec> SavepointOptions() {
  return {
      {"d", "dispose", "arg", "Path of savepoint to dispose."},
      {"detached", "detached", "", kDetachedHelp},
      {"j", "jarfile", "file", "Accepted for compatibility; disposal needs no job library."},
      {"status", "status", "triggerId",
       "Says how the savepoint or stop with this trigger id is doing and returns at once. Exit "
       "code "
       "0: completed, 1: failed or not known, 2: in progress."},
      {"type", "type", "arg", kTypeHelp},
  };
}

constexpr OptionSpec kProperty = {"D", "", "property=value",
                                  "A configuration option, as execution.checkpointing.dir=<path>."};
constexpr OptionSpec kJson = {"", "json", "", "Prints JSON."};
constexpr OptionSpec kSearchDirectory = {
    "", "dir", "path", "Searches this directory, at any depth, instead of those configured."};

constexpr std::string_view kSavepointDetails =
    "\"savepoint list\", \"prune\", \"inspect\" and \"verify\" are actions of their own, with "
    "--help "
    "of their own.";
constexpr std::string_view kListDetails =
    "Needs no JobManager and no running job: it reads the directories that "
    "execution.checkpointing.dir and execution.checkpointing.savepoint-dir name, and the journal "
    "in them, which says where savepoints in other directories are. A snapshot that was deleted, "
    "or not completed, is not shown.";
constexpr std::string_view kPruneDetails =
    "Lists the savepoints of the job, keeps the newest n of them and disposes of the others, "
    "oldest first: metadata, then state, then directory. Checkpoints are left alone. Finds "
    "savepoints as \"savepoint list\" does. A running JobManager is asked, since it knows what its "
    "jobs may still need; without one the files are deleted from here.";
constexpr std::string_view kInspectDetails =
    "Shows the operators of a savepoint or checkpoint, with their states, types, key groups, "
    "entries and bytes. Reads snapshots of this system and of Flink 1.8 to 2.1; only what stands "
    "behind values of Kryo, Avro and classes of users in the native state of Flink's heap is "
    "unknown. The path is that of the directory or "
    "of the file _metadata in it, with or without file:. The exit code is 1 when the metadata, or "
    "state that it names, cannot be read.";

constexpr std::string_view kVerifyDetails =
    "Reads every file of a savepoint or checkpoint and compares it with the checksum that was "
    "written with it; needs no cluster. Prints a line for each file that is damaged, missing or "
    "not "
    "readable; the exit code is 1 when there is one. With several paths --json prints an array. "
    "Snapshots of "
    "Apache Flink have no checksums: their "
    "metadata and the sizes of their files are checked.";

constexpr std::string_view kFsckDetails =
    "Lists the checkpoints and savepoints that were never completed, the shared and task-owned "
    "files that no snapshot names, and temporary files, as a crash leaves them, with their bytes; "
    "deletes nothing unless told to. What a snapshot names in or beside the directory, or in the "
    "configured ones, is never listed, nor is anything that no cluster wrote. The files of a job "
    "whose JobManager runs are locked and not judged. What was changed lately is listed and kept, "
    "since a cluster without such locks, as Flink's, may be writing it. The exit code is 0 when "
    "there are no orphans, or none any more, and 1 when there are some or something failed.";

std::vector<OptionSpec> FsckOptions() {
  return {
      {"", "delete", "", "Deletes what was found. Without it nothing is changed."},
      {"", "older-than", "duration",
       "Keeps what was changed less long ago; 10 min by default. Longer than the checkpoints of "
       "the clusters that write there take."},
      kJson,
      kProperty,
  };
}

std::vector<OptionSpec> StopOptions() {
  return {
      {"d", "drain", "",
       "Send MAX_WATERMARK before taking the savepoint and stopping the pipeline."},
      {"detached", "detached", "", kDetachedHelp},
      {"p", "savepointPath", "savepointPath",
       "Path to the savepoint (for example /data/flink/savepoint-1537). If no directory is "
       "specified, "
       "the configured default will be used (\"execution.checkpointing.savepoint-dir\").",
       true},
      {"type", "type", "arg", kTypeHelp},
  };
}

std::vector<OptionSpec> CancelOptions() {
  return {
      {"s", "withSavepoint", "targetDirectory",
       "**DEPRECATION WARNING**: Cancelling a job with savepoint is deprecated. Use \"stop\" "
       "instead.\n"
       "Trigger savepoint and cancel job. The target directory is optional. If no directory is "
       "specified, the configured default directory (execution.checkpointing.savepoint-dir) is "
       "used.",
       true},
      {"type", "type", "arg", "", false, true},
  };
}

const std::vector<OptionSpec>& GenericOptions() {
  static const std::vector<OptionSpec> options = {
      {"D", "", "property=value",
       "Allows specifying multiple generic configuration options. The available options can be "
       "found "
       "in docs/configuration.md"},
      {"e", "executor", "arg", "DEPRECATED: Please use the -t option instead."},
      {"t", "target", "arg",
       "The deployment target for the given application, which is equivalent to the "
       "\"execution.target\" config option. The currently available target is \"remote\"."},
  };
  return options;
}

const std::vector<OptionSpec>& DefaultModeOptions() {
  static const std::vector<OptionSpec> options = {
      {"D", "", "property=value",
       "Allows specifying multiple generic configuration options. The available options can be "
       "found "
       "in docs/configuration.md"},
      {"m", "jobmanager", "arg",
       "Address (host:port) of the JobManager's REST endpoint to which to connect. Use this flag "
       "to "
       "connect to a different JobManager than the one specified in the configuration. Attention: "
       "This option is respected only if the high-availability configuration is NONE."},
      {"z", "zookeeperNamespace", "arg",
       "Namespace to create the Zookeeper sub-paths for high availability mode"},
      {"yid", "yarnapplicationId", "arg", "", false, true},
  };
  return options;
}

constexpr size_t kWidth = 80;
constexpr size_t kLeftPadding = 5;
constexpr size_t kDescriptionPadding = 3;

/// Where the line that starts `text` ends: at a newline, at the last blank that fits, or at the
/// width.
size_t WrapPosition(std::string_view text, size_t from, size_t width) {
  const size_t newline = text.find('\n');
  if (newline != std::string_view::npos && newline <= width) return newline;
  if (text.size() <= width) return text.size();
  for (size_t i = width + 1; i-- > from + 1;) {
    if (text[i] == ' ') return i;
  }
  return width;
}

void AppendWrapped(std::string text, size_t indent, std::string* out) {
  for (size_t from = 0;; from = indent) {
    const size_t end = WrapPosition(text, from, kWidth);
    std::string line = text.substr(0, end);
    line.erase(line.find_last_not_of(' ') + 1);
    *out += line + "\n";
    std::string rest = text.substr(end);
    const size_t begin = rest.find_first_not_of(" \n");
    if (begin == std::string::npos) return;
    text = std::string(indent, ' ') + rest.substr(begin);
  }
}

std::string OptionNames(const OptionSpec& option) {
  std::string names;
  if (!option.short_name.empty()) names += "-" + std::string(option.short_name);
  if (!option.long_name.empty()) {
    names += (names.empty() ? "--" : ",--") + std::string(option.long_name);
  }
  if (!option.value_name.empty()) names += " <" + std::string(option.value_name) + ">";
  return names;
}

std::string OptionBlock(std::string_view title, const std::vector<OptionSpec>& options) {
  size_t widest = 0;
  for (const OptionSpec& option : options) {
    if (!option.hidden) widest = std::max(widest, OptionNames(option).size());
  }
  const size_t indent = kLeftPadding + widest + kDescriptionPadding;
  std::string out = "  " + std::string(title) + "\n";
  for (const OptionSpec& option : options) {
    if (option.hidden) continue;
    std::string line = std::string(kLeftPadding, ' ') + OptionNames(option);
    line.resize(indent, ' ');
    AppendWrapped(line + std::string(option.help), indent, &out);
  }
  return out;
}

}  // namespace

const std::vector<VerbDescription>& Verbs() {
  static const std::vector<VerbDescription> verbs = {
      {"run", "compiles and runs a program", "[OPTIONS] <job-library> <arguments>", RunOptions(),
       OptionScope::kBeforeArguments},
      {"info", "shows the optimized execution plan of the program (JSON)",
       "[OPTIONS] <job-library> <arguments>", InfoOptions(), OptionScope::kBeforeArguments, false},
      {"list",
       "lists running and scheduled programs",
       "[OPTIONS]",
       {{"a", "all", "", "Show all programs and their JobIDs"},
        {"r", "running", "", "Show only running programs and their JobIDs"},
        {"s", "scheduled", "", "Show only scheduled programs and their JobIDs"}}},
      {"stop", "stops a running program with a savepoint (streaming jobs only)",
       "[OPTIONS] <Job ID>", StopOptions()},
      {"cancel", "cancels a running program", "[OPTIONS] <Job ID>", CancelOptions()},
      {"savepoint", "triggers savepoints for a running job or disposes existing ones",
       "[OPTIONS] <Job ID> [<target directory>] | dispose <path>", SavepointOptions(),
       OptionScope::kEverywhere, true, kSavepointDetails},
      {"savepoint list",
       "lists savepoints and checkpoints, newest first",
       "[OPTIONS] [<Job ID>]",
       {kSearchDirectory, kJson, kProperty},
       OptionScope::kEverywhere,
       false,
       kListDetails},
      {"savepoint prune",
       "disposes of all but the newest savepoints of a job",
       "--keep <n> [OPTIONS] <Job ID>",
       {{"", "keep", "n", "How many of the newest savepoints are kept, from 0."}, kSearchDirectory},
       OptionScope::kEverywhere,
       true,
       kPruneDetails},
      {"savepoint inspect",
       "shows what is in a savepoint or checkpoint",
       "[OPTIONS] <path>",
       {kJson},
       OptionScope::kEverywhere,
       false,
       kInspectDetails},
      {"savepoint verify",
       "checks that no file of a savepoint or checkpoint is damaged",
       "[OPTIONS] <path> ...",
       {kJson},
       OptionScope::kEverywhere,
       false,
       kVerifyDetails},
      {"checkpoint",
       "triggers checkpoints for a running job",
       "[OPTIONS] <Job ID>",
       {{"full", "full", "", "Defines whether to trigger this checkpoint as a full one."}}},
      {"fsck", "finds what nothing refers to in a checkpoint or savepoint directory",
       "[OPTIONS] <directory> ...", FsckOptions(), OptionScope::kEverywhere, false, kFsckDetails},
  };
  return verbs;
}

const VerbDescription* FindVerb(std::string_view name) {
  const auto& verbs = Verbs();
  const auto it = std::find_if(verbs.begin(), verbs.end(),
                               [name](const VerbDescription& v) { return v.name == name; });
  return it == verbs.end() ? nullptr : &*it;
}

std::vector<OptionSpec> AcceptedOptions(const VerbDescription& verb) {
  std::vector<OptionSpec> options = verb.options;
  if (verb.talks_to_cluster) {
    options.insert(options.end(), GenericOptions().begin(), GenericOptions().end());
    options.insert(options.end(), DefaultModeOptions().begin() + 1, DefaultModeOptions().end());
  } else if (verb.name.starts_with("savepoint ")) {
    // They ask no cluster, and may be told which one they do not ask.
    for (OptionSpec option : DefaultModeOptions()) {
      const bool there = std::any_of(options.begin(), options.end(), [&](const OptionSpec& known) {
        return known.short_name == option.short_name;
      });
      option.hidden = true;
      if (!there) options.push_back(option);
    }
  }
  options.push_back({"h", "help", "", "", false, true});
  options.push_back({"v", "verbose", "", "", false, true});
  return options;
}

std::string VerbHelp(const VerbDescription& verb) {
  const std::string name(verb.name);
  std::string out = "\nAction \"" + name + "\" " + std::string(verb.sentence) +
                    ".\n\n  Syntax: " + name + " " + std::string(verb.syntax) + "\n";
  if (!verb.details.empty()) AppendWrapped("  " + std::string(verb.details), 2, &out);
  out += OptionBlock("\"" + name + "\" action options:", verb.options);
  if (verb.talks_to_cluster) {
    out += OptionBlock("Options for Generic CLI mode:", GenericOptions()) + "\n" +
           OptionBlock("Options for default mode:", DefaultModeOptions()) + "\n";
  }
  return out + "\n";
}

std::string FullHelp() {
  std::string out =
      "./flink <ACTION> [OPTIONS] [ARGUMENTS]\n\nThe following actions are available:\n";
  for (const VerbDescription& verb : Verbs()) out += VerbHelp(verb);
  return out + "\n";
}

}  // namespace flink::cli
