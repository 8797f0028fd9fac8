#pragma once

/// Configuration: the settings of a process or job under Flink's keys, as text, read through typed
/// getters.

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/base/status.h"

namespace flink {

/// A key and its default as it would stand in the file; an empty default means there is none.
struct ConfigOption {
  std::string_view key;
  std::string_view default_value;
};

/// Value type. Externally synchronized. Every lookup also honours the older names of a key (the
/// newer name wins, one warning per older name and process). A getter's error names the key, the
/// bad value and what is accepted.
class Configuration {
 public:
  Configuration() = default;
  explicit Configuration(std::map<std::string, std::string> values) : values_(std::move(values)) {}

  /// Reads <conf_dir>/config.yaml (YAML, nested or dotted keys) and <conf_dir>/flink-conf.yaml
  /// (flat "key: value" lines); where both set a key the latter wins. Neither there: an error.
  static StatusOr<Configuration> LoadFromDirectory(const std::string& conf_dir);
  /// `source` is named in errors.
  static StatusOr<Configuration> ParseYaml(std::string_view text, std::string_view source);
  static StatusOr<Configuration> ParseFlat(std::string_view text, std::string_view source);
  /// The directory of the configuration: $FLINK_CONF_DIR, else `fallback`.
  static std::string ConfDir(const std::string& fallback);

  /// Command-line overrides, "key=value" each (the text after -D); "key" alone sets "true". Like
  /// Set.
  Status ApplyDynamicProperty(std::string_view property);
  Status ApplyDynamicProperties(const std::vector<std::string>& properties);
  /// Every -Dkey=value and "-D key=value" of an argument list; returns the other arguments.
  StatusOr<std::vector<std::string>> ApplyArguments(const std::vector<std::string>& arguments);

  /// Displaces values under every other name, newer or older, of the same key.
  void Set(std::string_view key, std::string_view value);
  /// Under all its names.
  void Remove(std::string_view key);
  /// Takes every value of `other`, which wins.
  void Merge(const Configuration& other);

  bool Contains(std::string_view key) const;
  bool Contains(const ConfigOption& option) const { return Contains(option.key); }
  /// The value as written, under the key or one of its older names.
  std::optional<std::string> Find(std::string_view key) const;

  std::string GetString(std::string_view key, std::string_view fallback) const;
  StatusOr<int64_t> GetInt(std::string_view key, int64_t fallback) const;
  StatusOr<double> GetDouble(std::string_view key, double fallback) const;
  StatusOr<bool> GetBool(std::string_view key, bool fallback) const;
  StatusOr<std::chrono::milliseconds> GetDuration(std::string_view key,
                                                  std::chrono::milliseconds fallback) const;
  /// Bytes.
  StatusOr<uint64_t> GetMemorySize(std::string_view key, uint64_t fallback) const;

  /// By option: its default counts. Without value and default GetString gives "", the others
  /// kNotFound.
  std::string GetString(const ConfigOption& option) const;
  StatusOr<int64_t> GetInt(const ConfigOption& option) const;
  StatusOr<double> GetDouble(const ConfigOption& option) const;
  StatusOr<bool> GetBool(const ConfigOption& option) const;
  StatusOr<std::chrono::milliseconds> GetDuration(const ConfigOption& option) const;
  StatusOr<uint64_t> GetMemorySize(const ConfigOption& option) const;

  /// Elements separated by ';' (or ',' where there is no ';'), trimmed, empty ones dropped.
  std::vector<std::string> GetList(std::string_view key) const;

  /// All values as set, by the name they were set under.
  const std::map<std::string, std::string>& values() const { return values_; }
  /// "key: value" lines with quoting, readable by ParseYaml.
  std::string ToYaml() const;

  bool operator==(const Configuration&) const = default;

 private:
  void Displace(std::string_view key);

  std::map<std::string, std::string> values_;
};

/// "10 s", "500ms", "1 min", "2 h", "1 d", "PT10S"; a bare number is milliseconds. What is longer
/// than a hundred years, as Java's largest number of milliseconds, counts as that: it is never, and
/// can be added to any time.
StatusOr<std::chrono::milliseconds> ParseDuration(std::string_view text);
/// "128mb", "1 gb", "20 kb", "4096"; units are powers of 1024. Bytes.
StatusOr<uint64_t> ParseMemorySize(std::string_view text);

/// A user-facing name and its older ones, newest first.
struct DeprecatedKeys {
  std::string_view key;
  std::vector<std::string_view> older;
};
const std::vector<DeprecatedKeys>& DeprecatedConfigKeys();

}  // namespace flink
