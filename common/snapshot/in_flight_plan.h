#pragma once

/// Whether a job can take over the records that were in flight in an unaligned checkpoint. Pure
/// functions.
///
/// Incoming edge g of a vertex is gate g of its subtasks; its channel c comes from subtask c of the
/// producer. At an unchanged parallelism of both sides each channel gets back what it held; else a
/// forward edge is refused, because who is next to whom is lost.

#include <string>
#include <vector>

#include "common/graph/job_graph.h"
#include "common/snapshot/metadata.h"

namespace flink::snapshot {

/// An incoming edge, seen from a snapshot.
struct InFlightEdge {
  graph::ShipStrategy strategy = graph::ShipStrategy::kForward;
  int producers = 1;  ///< Parallelism in the job.
  // In the snapshot as in the job.
  bool same_producers = false;
  bool same_consumers = false;
};

bool HasInFlightData(const OperatorSnapshot& op);

/// The gates of a vertex (an index in the graph), in order.
std::vector<InFlightEdge> InFlightEdges(const CheckpointMetadata& metadata,
                                        const graph::JobGraph& graph, size_t vertex);

/// Why the records in flight of a vertex cannot be taken over, as ends of a sentence about it;
/// empty when they can. `is_ours`: what they consist of was written by this system.
std::vector<std::string> InFlightProblems(const CheckpointMetadata& metadata,
                                          const graph::JobGraph& graph, size_t vertex,
                                          bool is_ours);

}  // namespace flink::snapshot
