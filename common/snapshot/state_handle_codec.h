#pragma once

/// How `_metadata` encodes state handles, and what a file that may be damaged must not make of
/// them. Internal to common/snapshot.

#include <cstdint>
#include <string_view>

#include "common/base/status.h"
#include "common/snapshot/java_data.h"
#include "common/snapshot/state_handle.h"

namespace flink::snapshot {

void WriteStreamHandle(JavaWriter& writer, const StreamStateHandle& handle);
StatusOr<StreamStateHandle> ReadStreamHandle(JavaReader& reader);

/// The six parts of a subtask's state in the layout of versions 3 to 5. `finished` is not in it.
void WriteSubtaskState(JavaWriter& writer, const SubtaskState& state);
/// `version`: of the metadata file, 2 to 6.
StatusOr<SubtaskState> ReadSubtaskState(JavaReader& reader, int32_t version);

/// True for a path that stays below the directory it is relative to.
bool IsContainedPath(std::string_view path);
/// The sum of two sizes, or the largest number.
int64_t AddSizes(int64_t a, int64_t b);

}  // namespace flink::snapshot
