#include "taskmanager/executor/deployment_plan.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

#include "taskmanager/network/credit.h"
#include "taskmanager/network/frame.h"
#include "taskmanager/task/wire_ids.h"

namespace flink::taskmanager {
namespace {

struct SubtaskKey {
  int vertex = 0;
  int subtask = 0;
  auto operator<=>(const SubtaskKey&) const = default;
};

class Planner {
 public:
  Planner(const LoadedJob& job, const pb::DeployTasks& command, const std::string& executor_id,
          ExchangeNetwork& network)
      : job_(job),
        graph_(job.job_graph),
        command_(command),
        self_(executor_id),
        network_(network) {}

  StatusOr<std::vector<TaskDeployment>> Plan();

 private:
  struct Parallelism {
    int parallelism = 0;
    int max_parallelism = 0;
    bool finished_before = false;
  };

  Status ReadVertices();
  Status ReadPlacements();
  Status ReadRestores();
  Status MakeTask(SubtaskKey key);
  Status ConnectInputs(int edge_index);
  Status ConnectOutputs(int edge_index);
  StatusOr<int> VertexIndex(const std::string& wire_id) const;
  StatusOr<const StreamNode*> Node(int node_id) const;
  StatusOr<std::shared_ptr<const EdgeType>> TypeOf(const graph::JobEdge& edge) const;
  /// The range of subtasks at the other end of an edge that are connected with `subtask`.
  std::pair<int, int> Connected(const graph::JobEdge& edge, int subtask,
                                int other_parallelism) const;
  const std::string& ExecutorOf(SubtaskKey key) const { return placements_.at(key); }
  bool IsLocal(SubtaskKey key) const { return ExecutorOf(key) == self_; }

  const LoadedJob& job_;
  const graph::JobGraph& graph_;
  const pb::DeployTasks& command_;
  const std::string& self_;
  ExchangeNetwork& network_;
  std::vector<Parallelism> parallelism_;  // by vertex
  std::map<SubtaskKey, std::string> placements_;
  std::map<SubtaskKey, const pb::TaskRestore*> restores_;
  std::map<SubtaskKey, TaskDeployment> tasks_;  // ours
  /// (edge, source subtask, target subtask) -> channel of the target's gate; local targets only.
  std::map<std::tuple<int, int, int>, int> gate_channels_;
};

StatusOr<int> Planner::VertexIndex(const std::string& wire_id) const {
  ASSIGN_OR_RETURN(const JobVertexId id, FromWire<JobVertexId>(wire_id));
  for (size_t i = 0; i < graph_.vertices.size(); ++i) {
    if (graph_.vertices[i].id == id) return static_cast<int>(i);
  }
  return NotFound("the job library has no vertex {}", id.ToHex());
}

StatusOr<const StreamNode*> Planner::Node(int node_id) const {
  const auto& nodes = job_.stream_graph.nodes;
  if (node_id < 1 || static_cast<size_t>(node_id) > nodes.size()) {
    return Internal("the job graph names node {} of {}", node_id, nodes.size());
  }
  return &nodes[static_cast<size_t>(node_id) - 1];
}

Status Planner::ReadVertices() {
  parallelism_.resize(graph_.vertices.size());
  for (const pb::VertexDeployment& v : command_.vertices()) {
    ASSIGN_OR_RETURN(const int index, VertexIndex(v.vertex_id()));
    parallelism_[static_cast<size_t>(index)] = {v.parallelism(), v.max_parallelism(),
                                                v.finished_before()};
  }
  for (size_t i = 0; i < parallelism_.size(); ++i) {
    const Parallelism& p = parallelism_[i];
    if (p.parallelism < 1 || p.max_parallelism < p.parallelism) {
      return InvalidArgument("vertex {} is deployed with parallelism {} and maximum {}",
                             graph_.vertices[i].name, p.parallelism, p.max_parallelism);
    }
  }
  return OkStatus();
}

Status Planner::ReadPlacements() {
  for (const pb::TaskPlacement& placement : command_.placements()) {
    ASSIGN_OR_RETURN(const int vertex, VertexIndex(placement.subtask().vertex_id()));
    placements_[{vertex, placement.subtask().subtask()}] = placement.executor_id();
  }
  for (size_t v = 0; v < parallelism_.size(); ++v) {
    for (int s = 0; s < parallelism_[v].parallelism; ++s) {
      if (placements_.count({static_cast<int>(v), s}) == 0) {
        return InvalidArgument("subtask {} of {} is placed nowhere", s + 1,
                               graph_.vertices[v].name);
      }
    }
  }
  return OkStatus();
}

Status Planner::ReadRestores() {
  for (const pb::TaskRestore& restore : command_.restores()) {
    ASSIGN_OR_RETURN(const int vertex, VertexIndex(restore.subtask().vertex_id()));
    restores_[{vertex, restore.subtask().subtask()}] = &restore;
  }
  return OkStatus();
}

Status Planner::MakeTask(SubtaskKey key) {
  const graph::JobVertex& vertex = graph_.vertices[static_cast<size_t>(key.vertex)];
  TaskDeployment task;
  task.vertex = vertex.id;
  task.vertex_name = vertex.name;
  task.subtask = key.subtask;
  task.parallelism = parallelism_[static_cast<size_t>(key.vertex)].parallelism;
  task.max_parallelism = parallelism_[static_cast<size_t>(key.vertex)].max_parallelism;
  task.restored_checkpoint_id = command_.restored_checkpoint_id();
  task.finished_before = parallelism_[static_cast<size_t>(key.vertex)].finished_before;
  task.inbox = std::make_shared<TaskInbox>();
  task.gate = std::make_shared<InputGate>(task.inbox);
  const auto restored = restores_.find(key);
  if (restored != restores_.end()) {
    task.in_flight = {restored->second->in_flight().begin(), restored->second->in_flight().end()};
  }
  std::map<int, int> index_of_node;
  for (const graph::OperatorDescription& description : vertex.operators) {
    OperatorDeployment op;
    op.description = description;
    ASSIGN_OR_RETURN(op.node, Node(description.node_id));
    index_of_node[description.node_id] = static_cast<int>(task.operators.size());
    if (restored != restores_.end()) {
      for (const pb::OperatorRestore& restore : restored->second->operators()) {
        if (restore.operator_id() == ToWire(description.id)) op.restore = restore;
      }
    }
    task.operators.push_back(std::move(op));
  }
  for (const StreamEdge& edge : job_.stream_graph.edges) {
    const auto source = index_of_node.find(edge.source);
    const auto target = index_of_node.find(edge.target);
    if (source == index_of_node.end() || target == index_of_node.end()) continue;
    task.chained_edges.push_back({source->second, target->second, edge.input_index});
  }
  tasks_.emplace(key, std::move(task));
  return OkStatus();
}

StatusOr<std::shared_ptr<const EdgeType>> Planner::TypeOf(const graph::JobEdge& edge) const {
  for (const StreamEdge& e : job_.stream_graph.edges) {
    if (e.source == edge.source_node && e.target == edge.target_node &&
        e.input_index == edge.input_index) {
      return e.type;
    }
  }
  return Internal("the job graph has an edge from node {} to node {} that the dataflow has not",
                  edge.source_node, edge.target_node);
}

std::pair<int, int> Planner::Connected(const graph::JobEdge& edge, int subtask,
                                       int other_parallelism) const {
  if (edge.ship_strategy == graph::ShipStrategy::kForward) return {subtask, subtask + 1};
  return {0, other_parallelism};
}

Status Planner::ConnectInputs(int edge_index) {
  const graph::JobEdge& edge = graph_.edges[static_cast<size_t>(edge_index)];
  const int sources = parallelism_[static_cast<size_t>(edge.source_vertex)].parallelism;
  const int targets = parallelism_[static_cast<size_t>(edge.target_vertex)].parallelism;
  if (edge.ship_strategy == graph::ShipStrategy::kForward && sources != targets) {
    return InvalidArgument(
        "{} (parallelism {}) forwards to {} (parallelism {}): a forward edge needs the same "
        "parallelism",
        graph_.vertices[static_cast<size_t>(edge.source_vertex)].name, sources,
        graph_.vertices[static_cast<size_t>(edge.target_vertex)].name, targets);
  }
  ASSIGN_OR_RETURN(const std::shared_ptr<const EdgeType> type, TypeOf(edge));
  const auto gate = static_cast<int>(std::count_if(
      graph_.edges.begin(), graph_.edges.begin() + edge_index,
      [&](const graph::JobEdge& earlier) { return earlier.target_vertex == edge.target_vertex; }));
  for (int t = 0; t < targets; ++t) {
    const auto task = tasks_.find({edge.target_vertex, t});
    if (task == tasks_.end()) continue;
    const auto [begin, end] = Connected(edge, t, sources);
    for (int s = begin; s < end; ++s) {
      const int channel = task->second.gate->AddChannel();
      task->second.input_channels.push_back({edge.input_index, type, gate, s - begin});
      gate_channels_[{edge_index, s, t}] = channel;
      if (!IsLocal({edge.source_vertex, s})) {
        network_.RegisterInput(ChannelId(edge_index, s, t), task->second.gate, channel);
      }
    }
  }
  return OkStatus();
}

Status Planner::ConnectOutputs(int edge_index) {
  const graph::JobEdge& edge = graph_.edges[static_cast<size_t>(edge_index)];
  const int sources = parallelism_[static_cast<size_t>(edge.source_vertex)].parallelism;
  const Parallelism& target = parallelism_[static_cast<size_t>(edge.target_vertex)];
  ASSIGN_OR_RETURN(const std::shared_ptr<const EdgeType> type, TypeOf(edge));
  for (int s = 0; s < sources; ++s) {
    const auto task = tasks_.find({edge.source_vertex, s});
    if (task == tasks_.end()) continue;
    OutputDeployment output;
    for (size_t i = 0; i < task->second.operators.size(); ++i) {
      if (task->second.operators[i].description.node_id == edge.source_node) {
        output.source = static_cast<int>(i);
      }
    }
    output.type = type;
    output.keyed = edge.ship_strategy == graph::ShipStrategy::kHash;
    output.target_max_parallelism = target.max_parallelism;
    const auto [begin, end] = Connected(edge, s, target.parallelism);
    for (int t = begin; t < end; ++t) {
      auto credit =
          std::make_shared<OutputCredit>(ChannelWindowBytes(end - begin), task->second.inbox);
      const SubtaskKey peer{edge.target_vertex, t};
      if (IsLocal(peer)) {
        const std::shared_ptr<InputGate>& gate = tasks_.at(peer).gate;
        const int channel = gate_channels_.at({edge_index, s, t});
        gate->SetCreditReturn(channel, credit);
        output.channels.push_back(std::make_unique<LocalOutputChannel>(gate, channel, credit));
        continue;
      }
      const auto address = command_.executor_addresses().find(ExecutorOf(peer));
      if (address == command_.executor_addresses().end()) {
        return InvalidArgument("the address of task executor {} is not known", ExecutorOf(peer));
      }
      output.channels.push_back(network_.MakeOutput(ExecutorOf(peer), address->second,
                                                    ChannelId(edge_index, s, t), credit));
    }
    task->second.outputs.push_back(std::move(output));
  }
  return OkStatus();
}

StatusOr<std::vector<TaskDeployment>> Planner::Plan() {
  RETURN_IF_ERROR(ReadVertices());
  RETURN_IF_ERROR(ReadPlacements());
  RETURN_IF_ERROR(ReadRestores());
  for (const auto& [key, executor] : placements_) {
    if (executor == self_) RETURN_IF_ERROR(MakeTask(key));
  }
  for (size_t e = 0; e < graph_.edges.size(); ++e)
    RETURN_IF_ERROR(ConnectInputs(static_cast<int>(e)));
  for (size_t e = 0; e < graph_.edges.size(); ++e)
    RETURN_IF_ERROR(ConnectOutputs(static_cast<int>(e)));
  std::vector<TaskDeployment> tasks;
  for (auto& [key, task] : tasks_) tasks.push_back(std::move(task));
  return tasks;
}

}  // namespace

StatusOr<std::vector<TaskDeployment>> PlanDeployment(const LoadedJob& job,
                                                     const pb::DeployTasks& command,
                                                     const std::string& executor_id,
                                                     ExchangeNetwork& network) {
  return Planner(job, command, executor_id, network).Plan();
}

}  // namespace flink::taskmanager
