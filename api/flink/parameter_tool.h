#pragma once

/// Reads the arguments of a job: --key value, --key=value, or --flag.

#include <charconv>
#include <map>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

namespace flink {

/// Errors are std::invalid_argument with a message for the person at the command line.
class ParameterTool {
 public:
  static ParameterTool FromArgs(const std::vector<std::string>& args) {
    ParameterTool tool;
    for (size_t i = 0; i < args.size(); ++i) {
      const std::string& arg = args[i];
      const size_t dashes = arg.rfind("--", 0) == 0 ? 2 : arg.rfind('-', 0) == 0 ? 1 : 0;
      if (dashes == 0 || arg.size() == dashes) {
        throw std::invalid_argument("argument \"" + arg +
                                    "\" of the job is neither --key nor a value of one");
      }
      const size_t equals = arg.find('=');
      if (equals != std::string::npos) {
        tool.values_[arg.substr(dashes, equals - dashes)] = arg.substr(equals + 1);
      } else if (i + 1 < args.size() && !LooksLikeKey(args[i + 1])) {
        tool.values_[arg.substr(dashes)] = args[i + 1];
        ++i;
      } else {
        tool.values_[arg.substr(dashes)] = "";
      }
    }
    return tool;
  }

  bool Has(const std::string& key) const { return values_.count(key) != 0; }
  std::string Get(const std::string& key, const std::string& otherwise = "") const {
    const auto it = values_.find(key);
    return it == values_.end() ? otherwise : it->second;
  }
  std::string GetRequired(const std::string& key) const {
    const auto it = values_.find(key);
    if (it == values_.end() || it->second.empty()) {
      throw std::invalid_argument("the job needs the argument --" + key + " <value>");
    }
    return it->second;
  }
  int64_t GetLong(const std::string& key, int64_t otherwise) const {
    return GetNumber<int64_t>(key, otherwise);
  }
  int GetInt(const std::string& key, int otherwise) const { return GetNumber<int>(key, otherwise); }
  double GetDouble(const std::string& key, double otherwise) const {
    return GetNumber<double>(key, otherwise);
  }

 private:
  /// A negative number is a value.
  static bool LooksLikeKey(std::string_view arg) {
    return arg.size() > 1 && arg[0] == '-' && (arg[1] < '0' || arg[1] > '9') && arg[1] != '.';
  }
  template <class N>
  N GetNumber(const std::string& key, N otherwise) const {
    const auto it = values_.find(key);
    if (it == values_.end()) return otherwise;
    const std::string& text = it->second;
    N value{};
    const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
    if (result.ec != std::errc() || result.ptr != text.data() + text.size()) {
      throw std::invalid_argument("the argument --" + key + " of the job needs a number, not \"" +
                                  text + "\"");
    }
    return value;
  }

  std::map<std::string, std::string> values_;
};

}  // namespace flink
