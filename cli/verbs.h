#pragma once

/// The verbs of the client: names, options and help.

#include <string>
#include <string_view>
#include <vector>

#include "cli/command_line.h"

namespace flink::cli {

struct VerbDescription {
  std::string_view name;      ///< One word or two: "savepoint list".
  std::string_view sentence;  ///< What stands in the help after the name.
  std::string_view syntax;    ///< Without the name.
  std::vector<OptionSpec> options;
  OptionScope scope = OptionScope::kEverywhere;
  bool talks_to_cluster = true;   ///< Has the options that say which cluster.
  std::string_view details = {};  ///< Paragraphs that stand between syntax and options.
};

/// In the order of the help.
const std::vector<VerbDescription>& Verbs();
/// Null when there is no such verb.
const VerbDescription* FindVerb(std::string_view name);
/// Everything that the verb accepts: its own options, those that choose the cluster, and -h and -v.
std::vector<OptionSpec> AcceptedOptions(const VerbDescription& verb);

/// The help of one verb and of all.
std::string VerbHelp(const VerbDescription& verb);
std::string FullHelp();

}  // namespace flink::cli
