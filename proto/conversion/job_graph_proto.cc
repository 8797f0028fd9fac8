#include "proto/conversion/job_graph_proto.h"

#include <algorithm>
#include <optional>
#include <string>

#include "flink/key_group.h"

namespace flink::graph {
namespace {

template <class Id>
std::string IdBytes(const Id& id) {
  const auto& bytes = id.bytes();
  return std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size());
}

template <class Id>
StatusOr<Id> IdFromBytes(const std::string& bytes, const std::string& owner) {
  std::array<uint8_t, 16> id{};
  if (bytes.size() != id.size()) {
    return InvalidArgument("the id of {} has {} bytes instead of 16", owner, bytes.size());
  }
  std::copy(bytes.begin(), bytes.end(), id.begin());
  return Id(id);
}

std::optional<ShipStrategy> ParseShipStrategy(const std::string& text) {
  for (const ShipStrategy s :
       {ShipStrategy::kForward, ShipStrategy::kHash, ShipStrategy::kRebalance}) {
    if (text == ToString(s)) return s;
  }
  return std::nullopt;
}

StatusOr<OperatorDescription> OperatorFromProto(const pb::graph::v1::Operator& message) {
  OperatorDescription op;
  op.node_id = message.node_id();
  ASSIGN_OR_RETURN(op.id, IdFromBytes<OperatorId>(message.id(), "operator " + message.name()));
  op.name = message.name();
  op.uid = message.uid();
  op.has_coordinator = message.has_coordinator();
  op.stateful = message.stateful();
  op.keyed = message.keyed();
  op.kind = message.kind();
  op.declared_states = message.declared_states();
  return op;
}

StatusOr<JobVertex> VertexFromProto(const pb::graph::v1::JobVertex& message) {
  JobVertex vertex;
  vertex.name = message.name();
  ASSIGN_OR_RETURN(vertex.id, IdFromBytes<JobVertexId>(message.id(), "vertex " + message.name()));
  vertex.parallelism = message.parallelism();
  vertex.max_parallelism = message.max_parallelism();
  vertex.max_parallelism_configured = message.max_parallelism_configured();
  if (vertex.max_parallelism < 1 || vertex.max_parallelism > kMaxMaxParallelism) {
    return InvalidArgument(
        "the maximum parallelism of vertex \"{}\" is {}; it must be within 1..{}", vertex.name,
        vertex.max_parallelism, kMaxMaxParallelism);
  }
  if (vertex.parallelism < 1) {
    return InvalidArgument("the parallelism of vertex \"{}\" is {}; it must be at least 1",
                           vertex.name, vertex.parallelism);
  }
  if (vertex.parallelism > vertex.max_parallelism) {
    return InvalidArgument(
        "the parallelism {} of vertex \"{}\" is higher than its maximum parallelism {}; lower it "
        "or raise "
        "pipeline.max-parallelism",
        vertex.parallelism, vertex.name, vertex.max_parallelism);
  }
  if (message.operators().empty()) {
    return InvalidArgument("vertex \"{}\" has no operators", vertex.name);
  }
  for (const auto& op : message.operators()) {
    ASSIGN_OR_RETURN(OperatorDescription description, OperatorFromProto(op));
    vertex.operators.push_back(std::move(description));
  }
  return vertex;
}

bool HasNode(const JobVertex& vertex, int node) {
  return std::any_of(vertex.operators.begin(), vertex.operators.end(),
                     [node](const OperatorDescription& op) { return op.node_id == node; });
}

StatusOr<JobEdge> EdgeFromProto(const pb::graph::v1::JobEdge& message, const JobGraph& graph) {
  JobEdge edge;
  edge.source_vertex = message.source_vertex();
  edge.target_vertex = message.target_vertex();
  edge.source_node = message.source_node();
  edge.target_node = message.target_node();
  edge.input_index = message.input_index();
  const int count = static_cast<int>(graph.vertices.size());
  if (edge.source_vertex < 0 || edge.source_vertex >= edge.target_vertex ||
      edge.target_vertex >= count || edge.input_index < 0) {
    return InvalidArgument(
        "edge {} -> {} does not lead from an earlier to a later one of {} vertices",
        edge.source_vertex, edge.target_vertex, count);
  }
  const JobVertex& source = graph.vertices[static_cast<size_t>(edge.source_vertex)];
  const JobVertex& target = graph.vertices[static_cast<size_t>(edge.target_vertex)];
  if (!HasNode(source, edge.source_node) || !HasNode(target, edge.target_node)) {
    return InvalidArgument("the edge from \"{}\" to \"{}\" names an operator that they do not have",
                           source.name, target.name);
  }
  const auto strategy = ParseShipStrategy(message.ship_strategy());
  if (!strategy.has_value()) {
    return InvalidArgument("unknown ship strategy \"{}\" from \"{}\" to \"{}\"",
                           message.ship_strategy(), source.name, target.name);
  }
  edge.ship_strategy = *strategy;
  return edge;
}

}  // namespace

pb::graph::v1::JobGraph ToProto(const JobGraph& graph) {
  pb::graph::v1::JobGraph message;
  message.set_name(graph.name);
  for (const JobVertex& vertex : graph.vertices) {
    auto* v = message.add_vertices();
    v->set_id(IdBytes(vertex.id));
    v->set_name(vertex.name);
    v->set_parallelism(vertex.parallelism);
    v->set_max_parallelism(vertex.max_parallelism);
    v->set_max_parallelism_configured(vertex.max_parallelism_configured);
    for (const OperatorDescription& op : vertex.operators) {
      auto* o = v->add_operators();
      o->set_node_id(op.node_id);
      o->set_id(IdBytes(op.id));
      o->set_name(op.name);
      o->set_uid(op.uid);
      o->set_has_coordinator(op.has_coordinator);
      o->set_stateful(op.stateful);
      o->set_keyed(op.keyed);
      o->set_kind(op.kind);
      o->set_declared_states(op.declared_states);
    }
  }
  for (const JobEdge& edge : graph.edges) {
    auto* e = message.add_edges();
    e->set_source_vertex(edge.source_vertex);
    e->set_target_vertex(edge.target_vertex);
    e->set_source_node(edge.source_node);
    e->set_target_node(edge.target_node);
    e->set_input_index(edge.input_index);
    e->set_ship_strategy(ToString(edge.ship_strategy));
  }
  for (const auto& entry : graph.configuration) {
    (*message.mutable_configuration())[entry.first] = entry.second;
  }
  message.set_digest(graph.Digest());
  return message;
}

StatusOr<JobGraph> FromProto(const pb::graph::v1::JobGraph& message) {
  JobGraph graph;
  graph.name = message.name();
  if (message.vertices().empty()) {
    return InvalidArgument("the job \"{}\" has no operators: it needs at least a source and a sink",
                           message.name());
  }
  for (const auto& v : message.vertices()) {
    ASSIGN_OR_RETURN(JobVertex vertex, VertexFromProto(v));
    graph.vertices.push_back(std::move(vertex));
  }
  for (const auto& e : message.edges()) {
    ASSIGN_OR_RETURN(const JobEdge edge, EdgeFromProto(e, graph));
    graph.edges.push_back(edge);
  }
  graph.configuration.insert(message.configuration().begin(), message.configuration().end());
  return graph;
}

}  // namespace flink::graph
