#pragma once

/// Command-line options by the rules that users of Flink's client know: one dash also introduces a
/// long name, unique prefixes of long names count, "--name=value", "-p4" and "-Dkey=value" are
/// accepted. Value types, no threads.

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"

namespace flink::cli {

struct OptionSpec {
  std::string_view short_name;  ///< Without dash; may be several letters ("cm"); may be empty.
  std::string_view long_name;   ///< May be empty when there is a short name.
  std::string_view value_name;  ///< Empty: the option takes no value.
  std::string_view help;
  bool value_optional = false;
  bool hidden = false;  ///< Accepted, but absent from the help.

  /// The name under which CommandLine knows the option.
  std::string_view key() const { return short_name.empty() ? long_name : short_name; }
};

/// Whether options are also looked for behind the first argument that is none.
enum class OptionScope { kEverywhere, kBeforeArguments };

class CommandLine {
 public:
  /// `specs` must outlive the result. A mistake is kInvalidArgument with the text for the user.
  /// With kBeforeArguments an unknown option is the first argument.
  static StatusOr<CommandLine> Parse(const std::vector<OptionSpec>& specs,
                                     const std::vector<std::string>& tokens, OptionScope scope);

  bool Has(std::string_view key) const { return values_.count(std::string(key)) != 0; }
  /// The first value; none when the option is absent or came without one.
  std::optional<std::string> Value(std::string_view key) const;
  std::vector<std::string> Values(std::string_view key) const;
  const std::vector<std::string>& arguments() const { return arguments_; }

 private:
  friend class CommandLineParser;
  std::map<std::string, std::vector<std::string>> values_;
  std::vector<std::string> arguments_;
};

}  // namespace flink::cli
