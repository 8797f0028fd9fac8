#pragma once

/// The side file of a snapshot, `_flink_cpp.json`: what only we need and Flink's `_metadata` does
/// not hold.

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "common/base/ids.h"

namespace flink::snapshot {

inline constexpr const char* kSideFileName = "_flink_cpp.json";

/// Its key and value that say what channel states hold.
inline constexpr const char* kInFlightDataKey = "in_flight_data";
inline constexpr const char* kInFlightDataFormat = "flink-cpp-1";

/// Everything is optional: a snapshot of Flink has no such file.
struct SideFile {
  struct Operator {
    std::string name;
    std::string uid;
  };
  /// "checkpoint", "final-checkpoint", "savepoint", "cancel-savepoint", "stop-savepoint" or
  /// "drain-savepoint".
  std::string kind;
  std::optional<JobId> job;
  std::string job_name;
  /// Since the epoch; 0 when unknown.
  int64_t trigger_timestamp_ms = 0;
  std::map<OperatorId, Operator> operators;
  /// The channel states of the snapshot hold batches as our channels carry them.
  bool in_flight_data = false;
};

/// `directory`: of the snapshot. An empty one when there is no such file or it cannot be read.
SideFile ReadSideFile(const std::string& directory);

}  // namespace flink::snapshot
