#pragma once

/// Which states of a canonical savepoint Apache Flink cannot take over, because a type of theirs is
/// not one of its own. They restore here; the side file says so.

#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/snapshot/metadata.h"

namespace flink::jobmanager {

struct NotPortableState {
  std::string state;
  /// "the key is an array", "the class com.acme.MoneySerializerSnapshot is not Flink's".
  std::string reason;
  bool operator==(const NotPortableState&) const = default;
};

/// Of one operator. Reads the head of its first canonical stream; streams with relative paths lie
/// in `directory`.
StatusOr<std::vector<NotPortableState>> FindNotPortableStates(const snapshot::OperatorSnapshot& op,
                                                              const std::string& directory);

}  // namespace flink::jobmanager
