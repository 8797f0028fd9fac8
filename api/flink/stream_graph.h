#pragma once

/// The dataflow as the program described it: operators and edges, before chaining.

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "flink/keyed_state_store.h"
#include "flink/operator.h"

namespace flink {

enum class ChainingStrategy {
  kAlways,  ///< May be chained to its input and take outputs into its chain.
  kHead,    ///< Starts a new chain; later operators may join it.
  kNever,
};
enum class Partitioning { kForward, kHash, kRebalance };

struct StreamEdge {
  int source = 0;  ///< Node ids.
  int target = 0;
  int input_index = 0;
  Partitioning partitioning = Partitioning::kForward;
  std::shared_ptr<const EdgeType> type;
};

struct StreamNode {
  int id = 0;  ///< From 1, in order of creation.
  std::string name;
  std::string uid;                 ///< Empty: generated id.
  std::optional<int> parallelism;  ///< Unset: the job's default, decided by the execution attempt.
  std::optional<int> max_parallelism;
  ChainingStrategy chaining = ChainingStrategy::kAlways;
  bool is_sink = false;
  /// Of a sink's committer: the node of its writer, which is its only input. 0: no committer.
  int committer_of = 0;
  bool stateful = false;
  bool keyed = false;
  /// Those of a keyed operator that are known before it is opened, in the order it registers them.
  std::vector<StateDescription> states;
  std::function<std::unique_ptr<Operator>()> make_operator;
  std::function<std::unique_ptr<SourceCoordinator>()> make_coordinator;  ///< Sources only.
};

struct StreamGraph {
  std::string job_name = "Flink Streaming Job";
  std::vector<StreamNode> nodes;  ///< nodes[i].id == i + 1; every edge leads to a later node.
  std::vector<StreamEdge> edges;
  std::optional<int> parallelism;  ///< Environment's own setting.
  std::optional<int> max_parallelism;
  bool chaining = true;
  std::map<std::string, std::string>
      configuration;  ///< Set by the program (checkpointing and so on).
};

}  // namespace flink
