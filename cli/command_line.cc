#include "cli/command_line.h"

#include <algorithm>
#include <utility>

namespace flink::cli {

std::optional<std::string> CommandLine::Value(std::string_view key) const {
  const auto it = values_.find(std::string(key));
  if (it == values_.end() || it->second.empty()) return std::nullopt;
  return it->second.front();
}

std::vector<std::string> CommandLine::Values(std::string_view key) const {
  const auto it = values_.find(std::string(key));
  return it == values_.end() ? std::vector<std::string>() : it->second;
}

/// One pass over the tokens. `open_` is the option that may still take the next token as its value.
class CommandLineParser {
 public:
  CommandLineParser(const std::vector<OptionSpec>& specs, OptionScope scope)
      : specs_(specs), scope_(scope) {}

  StatusOr<CommandLine> Parse(const std::vector<std::string>& tokens) {
    for (const std::string& token : tokens) RETURN_IF_ERROR(Take(token));
    RETURN_IF_ERROR(CloseOption());
    return std::move(result_);
  }

 private:
  static std::string_view WithoutDashes(std::string_view token) {
    token.remove_prefix(token.starts_with("--") ? 2 : token.starts_with("-") ? 1 : 0);
    return token;
  }
  static bool IsNumber(std::string_view token) {
    token.remove_prefix(token.starts_with("-") ? 1 : 0);
    return !token.empty() && token.find_first_not_of("0123456789.") == std::string_view::npos;
  }

  const OptionSpec* FindShort(std::string_view name) const {
    const auto it = std::find_if(specs_.begin(), specs_.end(), [name](const OptionSpec& o) {
      return !name.empty() && o.short_name == name;
    });
    return it == specs_.end() ? nullptr : &*it;
  }
  /// The exact long name alone, else every long name that begins so.
  std::vector<const OptionSpec*> FindLong(std::string_view name) const {
    std::vector<const OptionSpec*> found;
    for (const OptionSpec& option : specs_) {
      if (option.long_name.empty() || name.empty()) continue;
      if (option.long_name == name) return {&option};
      if (option.long_name.starts_with(name)) found.push_back(&option);
    }
    return found;
  }

  bool LooksLikeOption(std::string_view token) const {
    if (!token.starts_with("-") || token.size() < 2) return false;
    const std::string_view name = WithoutDashes(token);
    const std::string_view stem = name.substr(0, name.find('='));
    if (!FindLong(stem).empty()) return true;
    if (token.starts_with("--")) return false;
    return FindShort(stem) != nullptr || FindShort(stem.substr(0, 1)) != nullptr;
  }

  Status Take(const std::string& token) {
    if (only_arguments_) {
      result_.arguments_.push_back(token);
      return OkStatus();
    }
    if (token == "--") {
      only_arguments_ = true;
      return CloseOption();
    }
    if (open_ != nullptr && (!LooksLikeOption(token) || IsNumber(token))) {
      result_.values_[std::string(open_->key())].push_back(token);
      open_ = nullptr;
      return OkStatus();
    }
    if (token.starts_with("--")) return TakeLong(token);
    if (token.starts_with("-") && token.size() > 1) return TakeShort(token);
    return TakeArgument(token);
  }

  Status TakeArgument(const std::string& token) {
    RETURN_IF_ERROR(CloseOption());
    const bool dashed = token.starts_with("-") && token.size() > 1;
    if (dashed && scope_ == OptionScope::kEverywhere) {
      return InvalidArgument("Unrecognized option: {}", token);
    }
    result_.arguments_.push_back(token);
    only_arguments_ = scope_ == OptionScope::kBeforeArguments;
    return OkStatus();
  }

  Status TakeLong(const std::string& token) {
    const std::string_view name = WithoutDashes(token);
    const size_t equals = name.find('=');
    const auto found = FindLong(name.substr(0, equals));
    if (found.empty()) return TakeArgument(token);
    if (found.size() > 1) {
      std::string names;
      for (const OptionSpec* option : found) {
        names += (names.empty() ? "'" : ", '") + std::string(option->long_name) + "'";
      }
      return InvalidArgument("Ambiguous option: '{}'  (could be: {})",
                             token.substr(0, token.find('=')), names);
    }
    if (equals == std::string_view::npos) return Open(*found.front());
    if (found.front()->value_name.empty()) return TakeArgument(token);
    return OpenWithValue(*found.front(), name.substr(equals + 1));
  }

  Status TakeShort(const std::string& token) {
    const std::string_view name = WithoutDashes(token);
    const size_t equals = name.find('=');
    const std::string_view stem = name.substr(0, equals);
    if (const OptionSpec* option = FindShort(stem); option != nullptr) {
      if (equals == std::string_view::npos) return Open(*option);
      if (option->value_name.empty()) return TakeArgument(token);
      return OpenWithValue(*option, name.substr(equals + 1));
    }
    // As in Flink, one letter behind one dash is never the begin of a long name.
    if (stem.size() > 1 && !FindLong(stem).empty()) return TakeLong(token);
    // "-p4" and "-Dkey=value": a one-letter option with its value attached; "-rs": flags in a row.
    for (size_t i = 0; i < name.size(); ++i) {
      const OptionSpec* option = FindShort(name.substr(i, 1));
      if (option == nullptr)
        return TakeArgument(i == 0 ? token : "-" + std::string(name.substr(i)));
      if (!option->value_name.empty() && i + 1 < name.size()) {
        return OpenWithValue(*option, name.substr(i + 1));
      }
      RETURN_IF_ERROR(Open(*option));
    }
    return OkStatus();
  }

  Status Open(const OptionSpec& option) {
    RETURN_IF_ERROR(CloseOption());
    result_.values_[std::string(option.key())];
    open_ = option.value_name.empty() ? nullptr : &option;
    return OkStatus();
  }
  Status OpenWithValue(const OptionSpec& option, std::string_view value) {
    RETURN_IF_ERROR(CloseOption());
    result_.values_[std::string(option.key())].emplace_back(value);
    return OkStatus();
  }
  Status CloseOption() {
    const OptionSpec* option = std::exchange(open_, nullptr);
    if (option == nullptr || option->value_optional) return OkStatus();
    return InvalidArgument("Missing argument for option: {}", option->key());
  }

  const std::vector<OptionSpec>& specs_;
  const OptionScope scope_;
  const OptionSpec* open_ = nullptr;
  bool only_arguments_ = false;
  CommandLine result_;
};

StatusOr<CommandLine> CommandLine::Parse(const std::vector<OptionSpec>& specs,
                                         const std::vector<std::string>& tokens,
                                         OptionScope scope) {
  return CommandLineParser(specs, scope).Parse(tokens);
}

}  // namespace flink::cli
