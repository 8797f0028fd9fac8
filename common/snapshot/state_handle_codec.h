#pragma once

/// How `_metadata` encodes state handles. Internal to common/snapshot.

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

}  // namespace flink::snapshot
