#pragma once

/// The settings of checkpoints that the JobManager and the task executors read both: read in one
/// place, so that they cannot understand them differently.

#include <cstdint>
#include <string>

#include "common/base/status.h"
#include "common/config/configuration.h"

namespace flink {

/// What execution.checkpointing.data-inline-threshold may be at most.
inline constexpr uint64_t kMaxDataInlineThreshold = 1 << 20;
/// How large one state may be that stands in `_metadata` because the storage is "jobmanager".
inline constexpr uint64_t kMaxStateInJobManager = 5 << 20;

/// `text` in upper case: names of enumerations may be written in any case, as in Flink.
std::string UpperCase(std::string text);

/// "hashmap" or "rocksdb", from these names in any case, from the class names of Flink's factories
/// for them and from the oldest names ("filesystem", "jobmanager": hashmap, with a warning).
/// kInvalidArgument for all else, as the others here.
StatusOr<std::string> StateBackendFrom(const Configuration& configuration);

/// Of execution.checkpointing.mode.
StatusOr<bool> ExactlyOnceFrom(const Configuration& configuration);

/// Whether execution.checkpointing.storage is "jobmanager": all state stands in `_metadata`.
StatusOr<bool> StateInMetadataFrom(const Configuration& configuration);

/// Up to how many bytes a state stream stands in `_metadata`.
StatusOr<uint64_t> InlineThresholdFrom(const Configuration& configuration);

}  // namespace flink
