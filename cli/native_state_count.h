#pragma once

/// The rows of snapshots that are made of RocksDB files, which only the task executor can read.

#include "common/snapshot/snapshot_inspection.h"

namespace flink::cli {

/// Fills in what InspectSnapshot does not know of such operators, by asking the task-executor
/// beside this program. Without it they stay unknown; what it cannot read becomes a note.
void CountNativeState(snapshot::Inspection* inspection);

}  // namespace flink::cli
