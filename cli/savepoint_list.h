#pragma once

/// How snapshots are listed.

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "common/snapshot/snapshot_listing.h"

namespace flink::cli {

/// One line a snapshot; where that does not fit into `width` columns (0: no limit), the path on a
/// line of its own.
std::string FormatSnapshots(const std::vector<snapshot::SnapshotSummary>& snapshots, size_t width);
nlohmann::ordered_json SnapshotToJson(const snapshot::SnapshotSummary& summary);
/// Indented; bytes that are no UTF-8 replaced.
std::string DumpJson(const nlohmann::ordered_json& json);

/// "canonical savepoint", "checkpoint".
std::string TypeOf(const snapshot::SnapshotSummary& summary);

}  // namespace flink::cli
