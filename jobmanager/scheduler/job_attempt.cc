#include "jobmanager/scheduler/job_attempt.h"

#include <algorithm>
#include <set>

#include "jobmanager/scheduler/submitted_job.h"

namespace flink::jobmanager {

using pb::cluster::v1::DeployTasks;

namespace {

void AddCoordinator(const OperatorId& op, const JobVertexId& vertex, const RestoredState* restored,
                    DeployTasks* deploy) {
  auto* coordinator = deploy->add_coordinators();
  coordinator->set_operator_id(IdToBytes(op));
  coordinator->set_vertex_id(IdToBytes(vertex));
  if (restored == nullptr) return;
  const auto state = restored->coordinators.find(op);
  if (state == restored->coordinators.end()) return;
  coordinator->set_has_state(true);
  coordinator->set_state(state->second);
}

/// What the subtask is restored from, if it had state.
void AddRestore(const SubtaskPosition& key, const pb::cluster::v1::SubtaskRef& subtask,
                const RestoredState& restored, DeployTasks* deploy) {
  const auto state = restored.subtasks.find(key);
  if (state == restored.subtasks.end()) return;
  auto* restore = deploy->add_restores();
  *restore->mutable_subtask() = subtask;
  for (const auto& op : state->second) *restore->add_operators() = op;
  const auto in_flight = restored.in_flight.find(key);
  if (in_flight == restored.in_flight.end()) return;
  for (const auto& channel : in_flight->second) *restore->add_in_flight() = channel;
}

}  // namespace

JobAttempt::JobAttempt(const graph::JobGraph& graph, int number, int64_t now_ms)
    : graph_(graph), number_(number) {
  for (const graph::JobVertex& vertex : graph_.vertices) {
    VertexDetails details;
    details.id = vertex.id;
    details.name = vertex.name;
    details.parallelism = vertex.parallelism;
    details.max_parallelism = vertex.max_parallelism;
    for (const auto& op : vertex.operators) details.operator_names.push_back(op.name);
    details.subtasks.resize(static_cast<size_t>(vertex.parallelism));
    for (SubtaskDetails& subtask : details.subtasks) {
      subtask.attempt = number;
      subtask.timestamps[static_cast<size_t>(ExecutionState::kCreated)] = now_ms;
    }
    vertices_.push_back(std::move(details));
  }
}

void JobAttempt::Place(const JobId& job, const std::vector<SlotShare>& shares, int64_t now_ms) {
  std::vector<const SlotShare*> slots;
  for (int round = 0; true; ++round) {
    const size_t before = slots.size();
    for (const SlotShare& share : shares) {
      if (share.slots > round) slots.push_back(&share);
    }
    if (slots.size() == before) break;
  }
  for (const SlotShare& share : shares) {
    AttemptExecutor& executor = executors_[share.task_manager_id];
    executor.share = share;
    executor.executor_id =
        share.task_manager_id + "/" + job.ToHex() + "/" + std::to_string(number_);
  }
  for (VertexDetails& vertex : vertices_) {
    for (size_t i = 0; i < vertex.subtasks.size(); ++i) {
      SubtaskDetails& subtask = vertex.subtasks[i];
      subtask.task_manager_id = slots.at(i)->task_manager_id;
      subtask.host = slots.at(i)->host;
      subtask.data_port = slots.at(i)->data_port;
      Advance(subtask, ExecutionState::kScheduled, now_ms);
    }
  }
}

AttemptExecutor* JobAttempt::FindExecutor(const std::string& task_manager_id) {
  const auto found = executors_.find(task_manager_id);
  return found == executors_.end() ? nullptr : &found->second;
}

bool JobAttempt::AllReady() const {
  return std::all_of(executors_.begin(), executors_.end(), [](const auto& entry) {
    return !entry.second.gone && !entry.second.data_address.empty();
  });
}

bool JobAttempt::AllGone() const {
  return std::all_of(executors_.begin(), executors_.end(),
                     [](const auto& entry) { return entry.second.gone; });
}

DeployTasks JobAttempt::MakeDeployment(const std::string& task_manager_id,
                                       const RestoredState* restored) const {
  DeployTasks deploy;
  for (const VertexDetails& vertex : vertices_) {
    auto* target = deploy.add_vertices();
    target->set_vertex_id(IdToBytes(vertex.id));
    target->set_parallelism(vertex.parallelism);
    target->set_max_parallelism(vertex.max_parallelism);
    target->set_finished_before(restored != nullptr && restored->finished.count(vertex.id) != 0);
    for (size_t i = 0; i < vertex.subtasks.size(); ++i) {
      const SubtaskDetails& subtask = vertex.subtasks[i];
      auto* placement = deploy.add_placements();
      placement->mutable_subtask()->set_vertex_id(IdToBytes(vertex.id));
      placement->mutable_subtask()->set_subtask(static_cast<int>(i));
      placement->set_executor_id(executors_.at(subtask.task_manager_id).executor_id);
      if (restored == nullptr || subtask.task_manager_id != task_manager_id) continue;
      AddRestore({vertex.id, static_cast<int>(i)}, placement->subtask(), *restored, &deploy);
    }
  }
  for (const auto& [id, executor] : executors_) {
    (*deploy.mutable_executor_addresses())[executor.executor_id] = executor.data_address;
  }
  if (restored != nullptr) deploy.set_restored_checkpoint_id(restored->checkpoint_id);
  for (const graph::JobVertex& vertex : graph_.vertices) {
    if (HostOf(vertex.id, 0) != task_manager_id) continue;
    for (const auto& op : vertex.operators) {
      if (op.has_coordinator) AddCoordinator(op.id, vertex.id, restored, &deploy);
    }
  }
  return deploy;
}

void JobAttempt::MarkDeploying(int64_t now_ms) {
  for (VertexDetails& vertex : vertices_) {
    for (SubtaskDetails& subtask : vertex.subtasks)
      Advance(subtask, ExecutionState::kDeploying, now_ms);
  }
}

SubtaskDetails* JobAttempt::Find(const JobVertexId& vertex, int subtask) {
  for (VertexDetails& details : vertices_) {
    if (details.id != vertex) continue;
    if (subtask < 0 || subtask >= details.parallelism) return nullptr;
    return &details.subtasks[static_cast<size_t>(subtask)];
  }
  return nullptr;
}

const VertexDetails* JobAttempt::FindVertex(const JobVertexId& vertex) const {
  for (const VertexDetails& details : vertices_) {
    if (details.id == vertex) return &details;
  }
  return nullptr;
}

std::string JobAttempt::HostOf(const JobVertexId& vertex, int subtask) const {
  const VertexDetails* details = FindVertex(vertex);
  if (details == nullptr || subtask < 0 || subtask >= details->parallelism) return {};
  return details->subtasks[static_cast<size_t>(subtask)].task_manager_id;
}

const JobVertexId* JobAttempt::VertexOf(const OperatorId& op) const {
  for (const graph::JobVertex& vertex : graph_.vertices) {
    for (const auto& candidate : vertex.operators) {
      if (candidate.id == op) return &vertex.id;
    }
  }
  return nullptr;
}

std::string JobAttempt::CoordinatorHost(const OperatorId& op) const {
  const JobVertexId* vertex = VertexOf(op);
  return vertex == nullptr ? std::string() : HostOf(*vertex, 0);
}

bool JobAttempt::Advance(SubtaskDetails& subtask, ExecutionState to, int64_t now_ms) {
  using E = ExecutionState;
  static constexpr std::array<E, 6> kPath = {E::kCreated,      E::kScheduled, E::kDeploying,
                                             E::kInitializing, E::kRunning,   E::kFinished};
  const auto enter = [&](E state) {
    subtask.state = state;
    subtask.timestamps[static_cast<size_t>(state)] = now_ms;
  };
  if (subtask.state == to) return false;
  if (CanTransition(subtask.state, to)) {
    enter(to);
    return true;
  }
  auto from = std::find(kPath.begin(), kPath.end(), subtask.state);
  const auto target = std::find(kPath.begin(), kPath.end(), to);
  if (from == kPath.end() || target == kPath.end() || target < from) return false;
  while (from != target) enter(*++from);
  return true;
}

void JobAttempt::CancelAll(bool gone, int64_t now_ms) {
  for (VertexDetails& vertex : vertices_) {
    for (SubtaskDetails& subtask : vertex.subtasks) {
      if (IsTerminal(subtask.state)) continue;
      if (!Advance(subtask, ExecutionState::kCanceling, now_ms) || gone) {
        Advance(subtask, ExecutionState::kCanceled, now_ms);
      }
    }
  }
}

bool JobAttempt::All(ExecutionState state) const {
  for (const VertexDetails& vertex : vertices_) {
    for (const SubtaskDetails& subtask : vertex.subtasks) {
      if (subtask.state != state) return false;
    }
  }
  return true;
}

void JobAttempt::MarkEndOfData(const JobVertexId& vertex, int subtask) {
  if (Find(vertex, subtask) != nullptr) end_of_data_.insert({vertex, subtask});
}

bool JobAttempt::AllEndOfData() const {
  size_t total = 0;
  for (const VertexDetails& vertex : vertices_) total += vertex.subtasks.size();
  return end_of_data_.size() == total;
}

CheckpointPlan JobAttempt::MakeCheckpointPlan() const {
  CheckpointPlan plan;
  std::set<int> targets;
  for (const graph::JobEdge& edge : graph_.edges) targets.insert(edge.target_vertex);
  for (size_t i = 0; i < graph_.vertices.size(); ++i) {
    const graph::JobVertex& vertex = graph_.vertices[i];
    CheckpointPlan::Vertex planned;
    planned.id = vertex.id;
    planned.parallelism = vertex.parallelism;
    planned.is_source = targets.count(static_cast<int>(i)) == 0;
    planned.name = vertex.name;
    plan.vertices.push_back(std::move(planned));
    for (const auto& op : vertex.operators) {
      if (!op.has_coordinator) continue;
      CheckpointPlan::Coordinator coordinator;
      coordinator.op = op.id;
      coordinator.vertex = vertex.id;
      plan.coordinators.push_back(coordinator);
    }
  }
  for (const graph::JobEdge& edge : graph_.edges) {
    plan.edges.push_back({static_cast<size_t>(edge.source_vertex),
                          static_cast<size_t>(edge.target_vertex),
                          edge.ship_strategy == graph::ShipStrategy::kForward});
  }
  return plan;
}

}  // namespace flink::jobmanager
