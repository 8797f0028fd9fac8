#pragma once

/// A job as chained vertices: what the client submits and what every process agrees on.

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "common/base/ids.h"

namespace flink::graph {

/// One operator inside a vertex. `node_id` is its place in the stream graph of the job library.
struct OperatorDescription {
  int node_id = 0;
  OperatorId id;
  std::string name;
  std::string uid;  ///< Empty: the id was generated.
  bool has_coordinator = false;
  bool stateful = false;
  bool keyed = false;
  std::string kind;  ///< "Data Source" or "Operator".
  /// Of a keyed operator the type of its key and the states that are known before it is opened, as
  /// the head of a keyed state stream (snapshot::KeyedStateHeader). Empty: not known.
  std::string declared_states;
};

/// A chain of operators that runs as one task; `id` is the head's operator id.
struct JobVertex {
  JobVertexId id;
  std::string name;
  int parallelism = 1;
  int max_parallelism = 128;
  bool max_parallelism_configured = false;
  std::vector<OperatorDescription> operators;
};

enum class ShipStrategy { kForward, kHash, kRebalance };
/// "FORWARD", "HASH" or "REBALANCE".
const char* ToString(ShipStrategy strategy);

/// Indices refer to JobGraph::vertices, nodes to the stream graph.
struct JobEdge {
  int source_vertex = 0;
  int target_vertex = 0;
  int source_node = 0;
  int target_node = 0;
  int input_index = 0;
  ShipStrategy ship_strategy = ShipStrategy::kForward;
};

struct JobGraph {
  std::string name;
  std::vector<JobVertex> vertices;  ///< Topological order.
  std::vector<JobEdge> edges;
  std::map<std::string, std::string> configuration;  ///< What the job itself set.

  /// Hash of all that must agree between client and executors: vertices, operators, edges. Not the
  /// parallelism.
  uint64_t Digest() const;
};

}  // namespace flink::graph
