#include "jobmanager/scheduler/submitted_job.h"

#include <algorithm>

#include "flink/key_group.h"

namespace flink::jobmanager {
namespace {

StatusOr<graph::JobVertex> VertexFromProto(const pb::graph::v1::JobVertex& proto) {
  graph::JobVertex vertex;
  ASSIGN_OR_RETURN(vertex.id, IdFromBytes<JobVertexId>(proto.id()));
  vertex.name = proto.name();
  vertex.parallelism = proto.parallelism();
  vertex.max_parallelism = proto.max_parallelism();
  vertex.max_parallelism_configured = proto.max_parallelism_configured();
  if (vertex.max_parallelism < 1 || vertex.max_parallelism > kMaxMaxParallelism) {
    return InvalidArgument("the maximum parallelism of \"{}\" is {}; it must be between 1 and {}",
                           vertex.name, vertex.max_parallelism, kMaxMaxParallelism);
  }
  if (vertex.parallelism < 1) {
    return InvalidArgument("the parallelism of \"{}\" is {}; it must be at least 1", vertex.name,
                           vertex.parallelism);
  }
  if (vertex.parallelism > vertex.max_parallelism && vertex.max_parallelism_configured) {
    return InvalidArgument(
        "the parallelism {} of \"{}\" is higher than its maximum parallelism {}; lower it or raise "
        "pipeline.max-parallelism",
        vertex.parallelism, vertex.name, vertex.max_parallelism);
  }
  if (proto.operators().empty())
    return InvalidArgument("the vertex \"{}\" has no operators", vertex.name);
  for (const auto& op : proto.operators()) {
    graph::OperatorDescription description;
    description.node_id = op.node_id();
    ASSIGN_OR_RETURN(description.id, IdFromBytes<OperatorId>(op.id()));
    description.name = op.name();
    description.uid = op.uid();
    description.has_coordinator = op.has_coordinator();
    description.stateful = op.stateful();
    description.keyed = op.keyed();
    description.kind = op.kind();
    vertex.operators.push_back(std::move(description));
  }
  return vertex;
}

StatusOr<graph::ShipStrategy> ShipStrategyFromName(const std::string& name) {
  for (const auto strategy : {graph::ShipStrategy::kForward, graph::ShipStrategy::kHash,
                              graph::ShipStrategy::kRebalance}) {
    if (name == graph::ToString(strategy)) return strategy;
  }
  return InvalidArgument("unknown ship strategy \"{}\"", name);
}

ClaimMode ClaimModeFromProto(pb::graph::v1::SavepointRestoreSettings::ClaimMode mode) {
  using Settings = pb::graph::v1::SavepointRestoreSettings;
  if (mode == Settings::CLAIM_MODE_CLAIM) return ClaimMode::kClaim;
  if (mode == Settings::CLAIM_MODE_LEGACY) return ClaimMode::kLegacy;
  return ClaimMode::kNoClaim;
}

}  // namespace

int SubmittedJob::slots() const {
  int slots = 0;
  for (const graph::JobVertex& vertex : graph.vertices) slots = std::max(slots, vertex.parallelism);
  return slots;
}

StatusOr<SubmittedJob> SubmittedJob::FromProto(const pb::graph::v1::JobGraph& proto) {
  SubmittedJob job;
  ASSIGN_OR_RETURN(job.id, IdFromBytes<JobId>(proto.job_id()));
  job.graph.name = proto.name();
  if (proto.vertices().empty()) {
    return InvalidArgument("the job \"{}\" has no operators: it needs at least a source and a sink",
                           proto.name());
  }
  for (const auto& vertex : proto.vertices()) {
    ASSIGN_OR_RETURN(graph::JobVertex converted, VertexFromProto(vertex));
    job.graph.vertices.push_back(std::move(converted));
  }
  const int count = proto.vertices_size();
  for (const auto& edge : proto.edges()) {
    if (edge.source_vertex() < 0 || edge.source_vertex() >= count || edge.target_vertex() < 0 ||
        edge.target_vertex() >= count) {
      return InvalidArgument("an edge of the job \"{}\" names a vertex that it does not have",
                             proto.name());
    }
    graph::JobEdge converted;
    converted.source_vertex = edge.source_vertex();
    converted.target_vertex = edge.target_vertex();
    converted.source_node = edge.source_node();
    converted.target_node = edge.target_node();
    converted.input_index = edge.input_index();
    ASSIGN_OR_RETURN(converted.ship_strategy, ShipStrategyFromName(edge.ship_strategy()));
    job.graph.edges.push_back(converted);
  }
  job.graph.configuration.insert(proto.configuration().begin(), proto.configuration().end());
  job.arguments.assign(proto.arguments().begin(), proto.arguments().end());
  job.graph_digest = proto.digest();
  job.library_name = proto.library_name();
  job.library_digest = proto.library_digest();
  job.restore_path = proto.restore().path();
  job.allow_non_restored_state = proto.restore().allow_non_restored_state();
  job.claim_mode = ClaimModeFromProto(proto.restore().claim_mode());
  return job;
}

}  // namespace flink::jobmanager
