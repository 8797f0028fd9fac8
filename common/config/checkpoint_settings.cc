#include "common/config/checkpoint_settings.h"

#include <algorithm>
#include <array>
#include <cctype>

#include "common/base/logging.h"
#include "common/config/options.h"

namespace flink {
namespace {

struct NamedBackend {
  std::string_view name;  ///< In upper case, without package.
  std::string_view backend;
};

constexpr std::array kBackends = {
    NamedBackend{"HASHMAP", "hashmap"},
    NamedBackend{"ROCKSDB", "rocksdb"},
    NamedBackend{"HASHMAPSTATEBACKENDFACTORY", "hashmap"},
    NamedBackend{"EMBEDDEDROCKSDBSTATEBACKENDFACTORY", "rocksdb"},
    NamedBackend{"ROCKSDBSTATEBACKENDFACTORY", "rocksdb"},
};
/// Names of Flink before 1.13, which joined state and storage.
constexpr std::array kOldBackends = {
    NamedBackend{"FILESYSTEM", "hashmap"},
    NamedBackend{"JOBMANAGER", "hashmap"},
    NamedBackend{"FSSTATEBACKENDFACTORY", "hashmap"},
    NamedBackend{"MEMORYSTATEBACKENDFACTORY", "hashmap"},
};

/// In upper case; a class of Flink's without its package, which was another in each version.
std::string NameIn(const std::string& text) {
  const size_t dot = text.starts_with("org.apache.flink.") ? text.rfind('.') : std::string::npos;
  return UpperCase(dot == std::string::npos ? text : text.substr(dot + 1));
}

}  // namespace

std::string UpperCase(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  return text;
}

StatusOr<std::string> StateBackendFrom(const Configuration& configuration) {
  const std::string text = configuration.GetString(options::kStateBackendType);
  const std::string name = NameIn(text);
  for (const NamedBackend& known : kBackends) {
    if (known.name == name) return std::string(known.backend);
  }
  for (const NamedBackend& known : kOldBackends) {
    if (known.name != name) continue;
    LOG_WARN(
        "{} is \"{}\", an old name: state is kept as by \"{}\"; where checkpoints go is said "
        "by {} and {}",
        options::kStateBackendType.key, text, known.backend, options::kCheckpointDirectory.key,
        options::kCheckpointStorage.key);
    return std::string(known.backend);
  }
  return InvalidArgument("{} is \"{}\"; it must be hashmap or rocksdb",
                         options::kStateBackendType.key, text);
}

StatusOr<bool> ExactlyOnceFrom(const Configuration& configuration) {
  const std::string text = configuration.GetString(options::kCheckpointingMode);
  const std::string name = UpperCase(text);
  if (name == "EXACTLY_ONCE" || name == "AT_LEAST_ONCE") return name == "EXACTLY_ONCE";
  return InvalidArgument("{} is \"{}\"; it must be EXACTLY_ONCE or AT_LEAST_ONCE",
                         options::kCheckpointingMode.key, text);
}

StatusOr<bool> StateInMetadataFrom(const Configuration& configuration) {
  const std::string text = configuration.GetString(options::kCheckpointStorage);
  const std::string name = NameIn(text);
  if (name == "JOBMANAGER" || name == "JOBMANAGERCHECKPOINTSTORAGEFACTORY") return true;
  if (name.empty() || name == "FILESYSTEM" || name == "FILESYSTEMCHECKPOINTSTORAGEFACTORY") {
    return false;
  }
  return InvalidArgument("{} is \"{}\"; it must be filesystem or jobmanager",
                         options::kCheckpointStorage.key, text);
}

StatusOr<uint64_t> InlineThresholdFrom(const Configuration& configuration) {
  ASSIGN_OR_RETURN(const uint64_t threshold,
                   configuration.GetMemorySize(options::kDataInlineThreshold));
  if (threshold > kMaxDataInlineThreshold) {
    return InvalidArgument("{} is {} bytes; it must be at most 1 mb",
                           options::kDataInlineThreshold.key, threshold);
  }
  ASSIGN_OR_RETURN(const bool in_metadata, StateInMetadataFrom(configuration));
  return in_metadata ? kMaxStateInJobManager : threshold;
}

}  // namespace flink
