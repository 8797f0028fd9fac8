#pragma once

/// The job graph as a wire message and back. Pure functions, thread-safe.

#include "common/base/status.h"
#include "common/graph/job_graph.h"
#include "flink/pb/graph/v1/job_graph.pb.h"

namespace flink::graph {

/// Name, vertices, edges, configuration and digest. The job id, the arguments, the library and the
/// restore settings are the caller's to fill in.
pb::graph::v1::JobGraph ToProto(const JobGraph& graph);

/// Checks what a receiver relies on: ids of 16 bytes, parallelism within 1..max parallelism,
/// max parallelism within 1..32768, edges that lead from an earlier vertex to a later one, known
/// ship strategies. kInvalidArgument names what is wrong. The digest is for the executors to
/// compare.
StatusOr<JobGraph> FromProto(const pb::graph::v1::JobGraph& message);

}  // namespace flink::graph
