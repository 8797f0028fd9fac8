#pragma once

/// A restore plan as REST answers it and `flink run --dry-run --json` prints it.

#include <nlohmann/json.hpp>

#include "common/snapshot/restore_plan.h"

namespace flink::snapshot {

/// {"snapshot", "checkpoint-id", "restorable", "operators": [{"verdict", "id", "uid", "name",
/// "state-bytes", "old-parallelism", "parallelism", "max-parallelism"}], "problems"}. Texts that
/// are no UTF-8 are the caller's to replace when it writes the JSON down.
nlohmann::ordered_json ToJson(const RestorePlan& plan);

}  // namespace flink::snapshot
