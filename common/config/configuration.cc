#include "common/config/configuration.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <mutex>
#include <set>

#include "common/base/logging.h"
#include "common/io/file_system.h"

namespace flink {
namespace {

std::string_view Trim(std::string_view text) {
  const char* spaces = " \t\r\n";
  const size_t begin = text.find_first_not_of(spaces);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(spaces) - begin + 1);
}

bool EqualsIgnoreCase(std::string_view a, std::string_view b) {
  if (a.size() != b.size()) return false;
  for (size_t i = 0; i < a.size(); ++i) {
    if ((a[i] | 0x20) != (b[i] | 0x20)) return false;
  }
  return true;
}

const DeprecatedKeys* OlderNames(std::string_view key) {
  for (const DeprecatedKeys& entry : DeprecatedConfigKeys()) {
    if (entry.key == key) return &entry;
  }
  return nullptr;
}

void WarnOnce(const std::string& text) {
  static std::mutex mutex;
  static std::set<std::string>* warned = new std::set<std::string>;
  std::lock_guard lock(mutex);
  if (warned->insert(text).second) LOG_WARN("{}", text);
}

Status WithKey(std::string_view key, const Status& status) {
  return With(status, "the configuration key \"{}\" has a wrong value", key);
}

Status NoValue(std::string_view key) {
  return NotFound("the configuration key \"{}\" is not set", key);
}

/// A YAML list is one text with the separator of lists.
std::string JoinSequence(const YAML::Node& node) {
  std::string joined;
  for (const YAML::Node& element : node) {
    if (!joined.empty()) joined.push_back(';');
    if (element.IsScalar()) joined += element.Scalar();
  }
  return joined;
}

Status FlattenYaml(const YAML::Node& node, const std::string& prefix, std::string_view source,
                   std::map<std::string, std::string>* values) {
  for (const auto& entry : node) {
    if (!entry.first.IsScalar()) {
      return InvalidArgument("{}:{}: a key is not a text", source, entry.first.Mark().line + 1);
    }
    const std::string key =
        prefix.empty() ? entry.first.Scalar() : prefix + "." + entry.first.Scalar();
    const YAML::Node& value = entry.second;
    if (value.IsMap()) {
      RETURN_IF_ERROR(FlattenYaml(value, key, source, values));
      continue;
    }
    if (value.IsNull()) continue;
    const std::string text = value.IsSequence() ? JoinSequence(value) : value.Scalar();
    if (!values->emplace(key, text).second) {
      return InvalidArgument("{}:{}: the key \"{}\" is there twice", source,
                             entry.first.Mark().line + 1, key);
    }
  }
  return OkStatus();
}

template <class T>
StatusOr<T> ParseNumber(std::string_view text, std::string_view kind) {
  std::string_view trimmed = Trim(text);
  if (!trimmed.empty() && trimmed.front() == '+') trimmed.remove_prefix(1);
  T value{};
  const char* end = trimmed.data() + trimmed.size();
  const std::from_chars_result result = std::from_chars(trimmed.data(), end, value);
  if (result.ec != std::errc() || result.ptr != end) {
    return InvalidArgument("\"{}\" is not {}", text, kind);
  }
  return value;
}

StatusOr<int64_t> ParseInt(std::string_view text) {
  return ParseNumber<int64_t>(text, "a whole number");
}

StatusOr<double> ParseDouble(std::string_view text) {
  return ParseNumber<double>(text, "a number");
}

StatusOr<bool> ParseBool(std::string_view text) {
  const std::string_view trimmed = Trim(text);
  if (EqualsIgnoreCase(trimmed, "true")) return true;
  if (EqualsIgnoreCase(trimmed, "false")) return false;
  return InvalidArgument("\"{}\" is neither true nor false", text);
}

/// The value of `key` through `parse`; the fallback when it is not set.
template <class T, class Parse>
StatusOr<T> Get(const Configuration& configuration, std::string_view key, T fallback, Parse parse) {
  const std::optional<std::string> text = configuration.Find(key);
  if (!text) return fallback;
  StatusOr<T> value = parse(*text);
  if (!value.ok()) return WithKey(key, value.status());
  return value;
}

template <class T, class Parse>
StatusOr<T> GetOption(const Configuration& configuration, const ConfigOption& option, Parse parse) {
  const std::optional<std::string> text = configuration.Find(option.key);
  if (!text && option.default_value.empty()) return NoValue(option.key);
  StatusOr<T> value = parse(text ? std::string_view(*text) : option.default_value);
  if (!value.ok()) return WithKey(option.key, value.status());
  return value;
}

}  // namespace

StatusOr<Configuration> Configuration::LoadFromDirectory(const std::string& conf_dir) {
  const std::string yaml_path = io::JoinPath(conf_dir, "config.yaml");
  const std::string flat_path = io::JoinPath(conf_dir, "flink-conf.yaml");
  Configuration loaded;
  bool any = false;
  if (io::Exists(yaml_path)) {
    ASSIGN_OR_RETURN(const std::string text, io::ReadFile(yaml_path));
    ASSIGN_OR_RETURN(loaded, ParseYaml(text, yaml_path));
    any = true;
  }
  if (io::Exists(flat_path)) {
    ASSIGN_OR_RETURN(const std::string text, io::ReadFile(flat_path));
    ASSIGN_OR_RETURN(const Configuration flat, ParseFlat(text, flat_path));
    loaded.Merge(flat);
    any = true;
  }
  if (!any) {
    return NotFound(
        "no config.yaml in the configuration directory {}; set FLINK_CONF_DIR to the "
        "directory that holds it",
        conf_dir);
  }
  return loaded;
}

StatusOr<Configuration> Configuration::ParseYaml(std::string_view text, std::string_view source) {
  try {
    const YAML::Node root = YAML::Load(std::string(text));
    Configuration parsed;
    if (root.IsNull()) return parsed;
    if (!root.IsMap()) {
      return InvalidArgument("{} does not hold \"key: value\" lines", source);
    }
    RETURN_IF_ERROR(FlattenYaml(root, "", source, &parsed.values_));
    return parsed;
  } catch (const YAML::Exception& e) {
    return InvalidArgument("{}:{}: not valid YAML: {}", source, e.mark.line + 1, e.msg);
  }
}

StatusOr<Configuration> Configuration::ParseFlat(std::string_view text, std::string_view source) {
  Configuration parsed;
  int line_number = 0;
  while (!text.empty()) {
    const size_t end = text.find('\n');
    std::string_view line = text.substr(0, end);
    text = end == std::string_view::npos ? std::string_view() : text.substr(end + 1);
    ++line_number;
    line = Trim(line.substr(0, line.find('#')));
    if (line.empty()) continue;
    const size_t separator = line.find(": ");
    if (separator == std::string_view::npos && line.back() == ':') continue;  // Key without value.
    if (separator == std::string_view::npos || separator == 0) {
      LOG_WARN("{}:{}: ignored, not \"key: value\": {}", source, line_number, line);
      continue;
    }
    parsed.values_[std::string(Trim(line.substr(0, separator)))] =
        std::string(Trim(line.substr(separator + 2)));
  }
  return parsed;
}

std::string Configuration::ConfDir(const std::string& fallback) {
  const char* directory = std::getenv("FLINK_CONF_DIR");
  return directory != nullptr && *directory != '\0' ? directory : fallback;
}

Status Configuration::ApplyDynamicProperty(std::string_view property) {
  return ApplyDynamicProperties({std::string(property)});
}

Status Configuration::ApplyDynamicProperties(const std::vector<std::string>& properties) {
  Configuration overrides;
  for (const std::string_view property : properties) {
    const size_t equals = property.find('=');
    const std::string_view key = Trim(property.substr(0, equals));
    if (key.empty()) {
      return InvalidArgument("-D{} does not set a configuration key; write -Dkey=value", property);
    }
    overrides.values_[std::string(key)] =
        equals == std::string_view::npos ? "true" : Trim(property.substr(equals + 1));
  }
  Merge(overrides);
  return OkStatus();
}

StatusOr<std::vector<std::string>> Configuration::ApplyArguments(
    const std::vector<std::string>& arguments) {
  std::vector<std::string> others;
  std::vector<std::string> properties;
  for (size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    if (argument.compare(0, 2, "-D") != 0) {
      others.push_back(argument);
    } else if (argument.size() > 2) {
      properties.push_back(argument.substr(2));
    } else if (i + 1 < arguments.size()) {
      properties.push_back(arguments[++i]);
    } else {
      return InvalidArgument("-D needs key=value after it");
    }
  }
  RETURN_IF_ERROR(ApplyDynamicProperties(properties));
  return others;
}

void Configuration::Set(std::string_view key, std::string_view value) {
  Displace(key);
  values_[std::string(key)] = std::string(value);
}

void Configuration::Remove(std::string_view key) { Displace(key); }

void Configuration::Merge(const Configuration& other) {
  for (const auto& entry : other.values_) Displace(entry.first);
  for (const auto& entry : other.values_) values_[entry.first] = entry.second;
}

void Configuration::Displace(std::string_view key) {
  values_.erase(std::string(key));
  for (const DeprecatedKeys& names : DeprecatedConfigKeys()) {
    const bool concerned = names.key == key || std::find(names.older.begin(), names.older.end(),
                                                         key) != names.older.end();
    if (!concerned) continue;
    values_.erase(std::string(names.key));
    for (const std::string_view older : names.older) values_.erase(std::string(older));
  }
}

bool Configuration::Contains(std::string_view key) const { return Find(key).has_value(); }

std::optional<std::string> Configuration::Find(std::string_view key) const {
  auto used = values_.find(std::string(key));
  const DeprecatedKeys* names = OlderNames(key);
  if (names == nullptr) return used == values_.end() ? std::nullopt : std::optional(used->second);
  for (const std::string_view older : names->older) {
    const auto found = values_.find(std::string(older));
    if (found == values_.end()) continue;
    if (used != values_.end()) {
      WarnOnce(fmt::format("the configuration key \"{}\" is ignored, because \"{}\" is set, too",
                           older, used->first));
    } else {
      WarnOnce(fmt::format("the configuration key \"{}\" is deprecated; use \"{}\"", older, key));
      used = found;
    }
  }
  return used == values_.end() ? std::nullopt : std::optional(used->second);
}

std::string Configuration::GetString(std::string_view key, std::string_view fallback) const {
  return Find(key).value_or(std::string(fallback));
}

StatusOr<int64_t> Configuration::GetInt(std::string_view key, int64_t fallback) const {
  return Get<int64_t>(*this, key, fallback, ParseInt);
}

StatusOr<double> Configuration::GetDouble(std::string_view key, double fallback) const {
  return Get<double>(*this, key, fallback, ParseDouble);
}

StatusOr<bool> Configuration::GetBool(std::string_view key, bool fallback) const {
  return Get<bool>(*this, key, fallback, ParseBool);
}

StatusOr<std::chrono::milliseconds> Configuration::GetDuration(
    std::string_view key, std::chrono::milliseconds fallback) const {
  return Get<std::chrono::milliseconds>(*this, key, fallback, ParseDuration);
}

StatusOr<uint64_t> Configuration::GetMemorySize(std::string_view key, uint64_t fallback) const {
  return Get<uint64_t>(*this, key, fallback, ParseMemorySize);
}

std::string Configuration::GetString(const ConfigOption& option) const {
  return GetString(option.key, option.default_value);
}

StatusOr<int64_t> Configuration::GetInt(const ConfigOption& option) const {
  return GetOption<int64_t>(*this, option, ParseInt);
}

StatusOr<double> Configuration::GetDouble(const ConfigOption& option) const {
  return GetOption<double>(*this, option, ParseDouble);
}

StatusOr<bool> Configuration::GetBool(const ConfigOption& option) const {
  return GetOption<bool>(*this, option, ParseBool);
}

StatusOr<std::chrono::milliseconds> Configuration::GetDuration(const ConfigOption& option) const {
  return GetOption<std::chrono::milliseconds>(*this, option, ParseDuration);
}

StatusOr<uint64_t> Configuration::GetMemorySize(const ConfigOption& option) const {
  return GetOption<uint64_t>(*this, option, ParseMemorySize);
}

std::vector<std::string> Configuration::GetList(std::string_view key) const {
  const std::string text = GetString(key, "");
  const char separator = text.find(';') != std::string::npos ? ';' : ',';
  std::vector<std::string> elements;
  std::string_view rest = text;
  while (!rest.empty()) {
    const size_t end = rest.find(separator);
    const std::string_view element = Trim(rest.substr(0, end));
    if (!element.empty()) elements.emplace_back(element);
    rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
  }
  return elements;
}

std::string Configuration::ToYaml() const {
  YAML::Emitter out;
  out << YAML::BeginMap;
  for (const auto& entry : values_) {
    out << YAML::Key << entry.first << YAML::Value << YAML::DoubleQuoted << entry.second;
  }
  out << YAML::EndMap;
  return std::string(out.c_str()) + "\n";
}

}  // namespace flink
