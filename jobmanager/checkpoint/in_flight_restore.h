#pragma once

/// Who gets the records that were in flight in an unaligned checkpoint.
///
/// Without a change of parallelism each channel gets back what it held. Else watermarks and
/// idleness stay behind (the producers say them anew), and records go
/// - over a hash edge to all new subtasks whose key groups the old one had: each keeps its own,
/// - over a rebalance edge to old subtask modulo new parallelism.

#include "common/graph/job_graph.h"
#include "common/snapshot/metadata.h"
#include "jobmanager/checkpoint/restored_state.h"

namespace flink::jobmanager {

/// Adds the in-flight data of a vertex (an index in the graph) to `result`. Pure. Precondition:
/// snapshot::InFlightProblems has none.
void DistributeInFlightData(const snapshot::LoadedSnapshot& snapshot, const graph::JobGraph& graph,
                            size_t vertex, int max_parallelism, RestoredState& result);

}  // namespace flink::jobmanager
