#include "common/config/options_without_effect.h"

#include <mutex>
#include <set>

#include "common/base/logging.h"

namespace flink {
namespace {

/// The name under which the option is set; empty when it is not.
std::string_view NameInUse(const Configuration& configuration, std::string_view key) {
  if (configuration.values().contains(std::string(key))) return key;
  for (const DeprecatedKeys& names : DeprecatedConfigKeys()) {
    if (names.key != key) continue;
    for (const std::string_view older : names.older) {
      if (configuration.values().contains(std::string(older))) return older;
    }
  }
  return {};
}

}  // namespace

std::vector<std::string> WarningsOfNoEffect(const Configuration& configuration) {
  std::vector<std::string> warnings;
  for (const OptionWithoutEffect& known : options::kWithoutEffect) {
    const std::string_view name = NameInUse(configuration, known.option.key);
    if (name.empty()) continue;
    const std::string& value = configuration.values().at(std::string(name));
    if (value == known.option.default_value) continue;
    warnings.push_back(fmt::format("the configuration key \"{}\" ({}) has no effect here: {}", name,
                                   value, known.instead));
  }
  return warnings;
}

void LogOptionsWithoutEffect(const Configuration& configuration) {
  static std::mutex mutex;
  static std::set<std::string>* logged = new std::set<std::string>;
  std::lock_guard lock(mutex);
  for (const std::string& warning : WarningsOfNoEffect(configuration)) {
    if (logged->insert(warning).second) LOG_WARN("{}", warning);
  }
}

}  // namespace flink
