#include "api/graph/job_graph_builder.h"

#include <deque>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "api/graph/state_info.h"
#include "common/config/options.h"
#include "common/graph/operator_id.h"

namespace flink::graph {
namespace {

const StreamNode& NodeOf(const StreamGraph& g, int id) {
  return g.nodes[static_cast<size_t>(id) - 1];
}

/// Unset when it is left to the execution attempt.
std::optional<int> ParallelismSetting(const StreamGraph& g, const StreamNode& node) {
  return node.parallelism.has_value() ? node.parallelism : g.parallelism;
}

/// The edges of each node by its id.
struct Adjacency {
  explicit Adjacency(const StreamGraph& g) : in(g.nodes.size() + 1), out(g.nodes.size() + 1) {
    for (const StreamEdge& e : g.edges) {
      in[static_cast<size_t>(e.target)].push_back(&e);
      out[static_cast<size_t>(e.source)].push_back(&e);
    }
  }
  std::vector<std::vector<const StreamEdge*>> in;
  std::vector<std::vector<const StreamEdge*>> out;
};

bool SameParallelism(const StreamGraph& g, const StreamEdge& e) {
  return ParallelismSetting(g, NodeOf(g, e.source)) == ParallelismSetting(g, NodeOf(g, e.target));
}

bool IsChainable(const StreamGraph& g, const Adjacency& edges, const StreamEdge& e) {
  // Whatever is said about chaining: a committer must have what its writer finished for a
  // checkpoint in its own snapshot of that checkpoint, and hear of the same completed ones. In one
  // task that holds by itself; in two it would not with unaligned or at-least-once checkpoints, nor
  // when one of them has finished.
  if (NodeOf(g, e.target).committer_of != 0) return true;
  return g.chaining && e.partitioning == Partitioning::kForward &&
         edges.in[static_cast<size_t>(e.target)].size() == 1 && SameParallelism(g, e) &&
         NodeOf(g, e.source).chaining != ChainingStrategy::kNever &&
         NodeOf(g, e.target).chaining == ChainingStrategy::kAlways;
}

ShipStrategy ShipStrategyOf(const StreamGraph& g, const StreamEdge& e) {
  switch (e.partitioning) {
    case Partitioning::kHash:
      return ShipStrategy::kHash;
    case Partitioning::kRebalance:
      return ShipStrategy::kRebalance;
    case Partitioning::kForward:
      break;
  }
  return SameParallelism(g, e) ? ShipStrategy::kForward : ShipStrategy::kRebalance;
}

int CountChainableOutputs(const StreamGraph& g, const Adjacency& edges, size_t node) {
  int count = 0;
  for (const StreamEdge* e : edges.out[node]) {
    const bool counts = NodeOf(g, e->target).committer_of == 0;
    count += counts && IsChainable(g, edges, *e) ? 1 : 0;
  }
  return count;
}

/// Ids by node id (index 0 is unused), in the order that Flink's documentation of uids implies:
/// breadth first from the sources, a node when all its inputs have theirs. Committers of sinks get
/// theirs last and count nowhere: snapshots of the time before there were any match by the
/// generated ids of the other operators.
StatusOr<std::vector<OperatorId>> AssignIds(const StreamGraph& g, const Adjacency& edges,
                                            const JobGraphOptions& options) {
  std::vector<OperatorId> ids(g.nodes.size() + 1);
  std::vector<bool> has_id(g.nodes.size() + 1);
  std::map<OperatorId, int> owner;
  std::deque<int> queue;
  for (const StreamNode& n : g.nodes) {
    if (edges.in[static_cast<size_t>(n.id)].empty()) queue.push_back(n.id);
  }
  const auto assign = [&](const StreamNode& n, const OperatorId& id) -> Status {
    ids[static_cast<size_t>(n.id)] = id;
    has_id[static_cast<size_t>(n.id)] = true;
    const auto [it, is_new] = owner.emplace(id, n.id);
    if (is_new) return OkStatus();
    return InvalidArgument(
        "operators \"{}\" and \"{}\" have the same id (uid \"{}\"): every uid must be unique",
        NodeOf(g, it->second).name, n.name, n.uid);
  };
  while (!queue.empty()) {
    const auto at = static_cast<size_t>(queue.front());
    queue.pop_front();
    if (has_id[at] || NodeOf(g, static_cast<int>(at)).committer_of != 0) continue;
    std::vector<OperatorId> inputs;
    for (const StreamEdge* e : edges.in[at]) {
      if (has_id[static_cast<size_t>(e->source)])
        inputs.push_back(ids[static_cast<size_t>(e->source)]);
    }
    if (inputs.size() != edges.in[at].size()) continue;  // Comes again with its last input.
    const StreamNode& n = g.nodes[at - 1];
    if (n.uid.empty() && !options.auto_generate_uids) {
      return InvalidArgument(
          "operator \"{}\" has no uid, which pipeline.auto-generate-uids: false demands: call "
          "Uid(...) on it",
          n.name);
    }
    RETURN_IF_ERROR(assign(n, n.uid.empty()
                                  ? GeneratedOperatorId(static_cast<int>(owner.size()),
                                                        CountChainableOutputs(g, edges, at), inputs)
                                  : OperatorIdFromUid(n.uid)));
    for (const StreamEdge* e : edges.out[at]) queue.push_back(e->target);
  }
  for (const StreamNode& n : g.nodes) {
    if (n.committer_of == 0) continue;
    const StreamNode& writer = NodeOf(g, n.committer_of);
    RETURN_IF_ERROR(
        assign(n, CommitterOperatorId(ids[static_cast<size_t>(writer.id)], writer.uid)));
  }
  return ids;
}

class Builder {
 public:
  Builder(const StreamGraph& g, const JobGraphOptions& options)
      : g_(g), options_(options), edges_(g), vertex_of_(g.nodes.size() + 1, -1) {}

  StatusOr<JobGraph> Build() {
    if (g_.nodes.empty()) {
      return InvalidArgument("the job \"{}\" has no operators: its program adds no source",
                             g_.job_name);
    }
    if (options_.max_parallelism.value_or(1) > kMaxMaxParallelism) {
      return InvalidArgument("{} is {}; it must be within 1..{}, or -1 to derive it",
                             options::kMaxParallelism.key, *options_.max_parallelism,
                             kMaxMaxParallelism);
    }
    ASSIGN_OR_RETURN(ids_, AssignIds(g_, edges_, options_));
    job_.name = g_.job_name;
    job_.configuration = g_.configuration;
    for (const StreamNode& n : g_.nodes) {
      const auto& in = edges_.in[static_cast<size_t>(n.id)];
      if (in.size() == 1 && IsChainable(g_, edges_, *in[0])) continue;
      RETURN_IF_ERROR(AddVertex(n));
    }
    for (const StreamEdge& e : g_.edges) AddEdge(e);
    return std::move(job_);
  }

 private:
  Status AddVertex(const StreamNode& head) {
    JobVertex vertex;
    vertex.id = JobVertexId(ids_[static_cast<size_t>(head.id)].bytes());
    vertex.name = AddChain(head, vertex);
    vertex.parallelism = ParallelismSetting(g_, head).value_or(options_.default_parallelism);
    std::optional<int> max =
        head.max_parallelism.has_value() ? head.max_parallelism : g_.max_parallelism;
    if (!max.has_value()) max = options_.max_parallelism;
    vertex.max_parallelism_configured = max.has_value();
    vertex.max_parallelism = max.has_value() ? *max : DefaultMaxParallelism(vertex.parallelism);
    if (vertex.parallelism > kMaxMaxParallelism) {
      return InvalidArgument("vertex {}: its parallelism is {}; it must be within 1..{}",
                             vertex.name, vertex.parallelism, kMaxMaxParallelism);
    }
    if (vertex.parallelism > vertex.max_parallelism) {
      return InvalidArgument(
          "vertex {}: its parallelism {} is higher than its maximum parallelism {}; lower the "
          "parallelism or raise "
          "the maximum (which only works for a job that starts without state)",
          vertex.name, vertex.parallelism, vertex.max_parallelism);
    }
    job_.vertices.push_back(std::move(vertex));
    return OkStatus();
  }

  /// Adds the operator and all that are chained to it, depth first; returns the name of that part
  /// of the chain.
  std::string AddChain(const StreamNode& n, JobVertex& vertex) {
    vertex_of_[static_cast<size_t>(n.id)] = static_cast<int>(job_.vertices.size());
    OperatorDescription op;
    op.node_id = n.id;
    op.id = ids_[static_cast<size_t>(n.id)];
    op.name = n.name;
    op.uid = n.uid;
    op.has_coordinator = static_cast<bool>(n.make_coordinator);
    op.stateful = n.stateful;
    op.keyed = n.keyed;
    op.kind = KindOf(n);
    op.declared_states = EncodeStates(n.states);
    vertex.operators.push_back(std::move(op));
    std::vector<std::string> chained;
    for (const StreamEdge* e : edges_.out[static_cast<size_t>(n.id)]) {
      if (IsChainable(g_, edges_, *e)) chained.push_back(AddChain(NodeOf(g_, e->target), vertex));
    }
    if (chained.empty()) return n.name;
    if (chained.size() == 1) return n.name + " -> " + chained[0];
    std::string names;
    for (const std::string& c : chained) names += (names.empty() ? "" : ", ") + c;
    return n.name + " -> (" + names + ")";
  }

  void AddEdge(const StreamEdge& e) {
    if (IsChainable(g_, edges_, e)) return;
    JobEdge edge;
    edge.source_vertex = vertex_of_[static_cast<size_t>(e.source)];
    edge.target_vertex = vertex_of_[static_cast<size_t>(e.target)];
    edge.source_node = e.source;
    edge.target_node = e.target;
    edge.input_index = e.input_index;
    edge.ship_strategy = ShipStrategyOf(g_, e);
    job_.edges.push_back(edge);
  }

 public:
  static const char* KindOf(const StreamNode& n) {
    // A sink's writer is an operator like others, as in the plans of Flink 2.
    return n.make_coordinator ? "Data Source" : "Operator";
  }

 private:
  const StreamGraph& g_;
  const JobGraphOptions& options_;
  const Adjacency edges_;
  std::vector<int> vertex_of_;
  std::vector<OperatorId> ids_;
  JobGraph job_;
};

std::string Quoted(const std::string& text) {
  return nlohmann::json(text).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace

StatusOr<JobGraph> BuildJobGraph(const StreamGraph& stream_graph, const JobGraphOptions& options) {
  return Builder(stream_graph, options).Build();
}

std::vector<std::string> StatefulOperatorsWithoutUid(const StreamGraph& stream_graph) {
  std::vector<std::string> names;
  for (const StreamNode& n : stream_graph.nodes) {
    // A committer gets its uid with its writer.
    if (n.stateful && n.uid.empty() && n.committer_of == 0) names.push_back(n.name);
  }
  return names;
}

std::string PlanJson(const StreamGraph& g, int default_parallelism) {
  const Adjacency edges(g);
  std::string json = "{\n  \"nodes\" : [ ";
  for (const StreamNode& n : g.nodes) {
    if (n.id != 1) json += ", ";
    json += "{\n    \"id\" : " + std::to_string(n.id);
    json += ",\n    \"type\" : " + Quoted(n.name);
    json += ",\n    \"pact\" : " + Quoted(Builder::KindOf(n));
    json += ",\n    \"contents\" : " + Quoted(n.name);
    json += ",\n    \"parallelism\" : " +
            std::to_string(ParallelismSetting(g, n).value_or(default_parallelism));
    const auto& in = edges.in[static_cast<size_t>(n.id)];
    for (size_t i = 0; i < in.size(); ++i) {
      json += i == 0 ? ",\n    \"predecessors\" : [ " : ", ";
      json += "{\n      \"id\" : " + std::to_string(in[i]->source);
      json += std::string(",\n      \"ship_strategy\" : \"") + ToString(ShipStrategyOf(g, *in[i])) +
              "\"";
      json += ",\n      \"side\" : \"second\"\n    }";
    }
    if (!in.empty()) json += " ]";
    json += "\n  }";
  }
  return json + " ]\n}";
}

}  // namespace flink::graph
