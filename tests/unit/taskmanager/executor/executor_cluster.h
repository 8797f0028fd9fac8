#pragma once

/// Several TaskExecutors in one process, and a tiny JobManager: it remembers all messages and
/// forwards coordinator events.

#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "common/base/ids.h"
#include "common/io/file_system.h"
#include "common/io/temp_directory.h"
#include "flink/operators/edges.h"
#include "flink/stream_graph.h"
#include "taskmanager/executor/task_executor.h"
#include "taskmanager/task/wire_ids.h"

namespace flink::taskmanager {

inline JobVertexId VertexOf(int node) {
  std::array<uint8_t, 16> bytes{};
  bytes[15] = static_cast<uint8_t>(node);
  return JobVertexId(bytes);
}
inline OperatorId OperatorOf(int node) { return OperatorId(VertexOf(node).bytes()); }

/// Polls; false when the condition did not hold within a minute.
inline bool Until(const std::function<bool()>& condition) {
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!condition()) {
    if (std::chrono::steady_clock::now() > deadline) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  return true;
}

/// Builds stream and job graph of a small dataflow.
class TestJob {
 public:
  /// A vertex of its own; the name of the operator is the vertex's.
  int AddVertex(const std::string& name, int parallelism,
                std::function<std::unique_ptr<Operator>()> make,
                std::function<std::unique_ptr<SourceCoordinator>()> coordinator = nullptr) {
    const int node = AddNode(name, std::move(make));
    job_.stream_graph.nodes.back().make_coordinator = std::move(coordinator);
    graph::JobVertex vertex;
    vertex.id = VertexOf(node);
    vertex.name = name;
    vertex.parallelism = parallelism;
    vertex.operators.push_back(Describe(node));
    job_.job_graph.vertices.push_back(vertex);
    return node;
  }
  /// Into the vertex added last, chained to its last operator.
  int Chain(const std::string& name, std::function<std::unique_ptr<Operator>()> make) {
    const int node = AddNode(name, std::move(make));
    auto& operators = job_.job_graph.vertices.back().operators;
    job_.stream_graph.edges.push_back(
        {operators.back().node_id, node, 0, Partitioning::kForward, nullptr});
    operators.push_back(Describe(node));
    return node;
  }
  void Connect(int source, int target, graph::ShipStrategy strategy,
               std::shared_ptr<const EdgeType> type, int input_index = 0) {
    StreamEdge edge;
    edge.source = source;
    edge.target = target;
    edge.input_index = input_index;
    edge.type = std::move(type);
    job_.stream_graph.edges.push_back(edge);
    graph::JobEdge job_edge;
    job_edge.source_node = source;
    job_edge.target_node = target;
    job_edge.source_vertex = VertexWith(source);
    job_edge.target_vertex = VertexWith(target);
    job_edge.input_index = input_index;
    job_edge.ship_strategy = strategy;
    job_.job_graph.edges.push_back(job_edge);
  }
  /// The operator gets keyed state.
  void SetKeyed(int node) {
    for (graph::JobVertex& v : job_.job_graph.vertices) {
      for (auto& op : v.operators) op.keyed = op.keyed || op.node_id == node;
    }
  }
  const LoadedJob& job() const { return job_; }

 private:
  int AddNode(const std::string& name, std::function<std::unique_ptr<Operator>()> make) {
    StreamNode node;
    node.id = static_cast<int>(job_.stream_graph.nodes.size()) + 1;
    node.name = name;
    node.make_operator = std::move(make);
    job_.stream_graph.nodes.push_back(std::move(node));
    return job_.stream_graph.nodes.back().id;
  }
  graph::OperatorDescription Describe(int node) {
    graph::OperatorDescription d;
    d.node_id = node;
    d.id = OperatorOf(node);
    d.name = job_.stream_graph.nodes[static_cast<size_t>(node) - 1].name;
    return d;
  }
  int VertexWith(int node) const {
    for (size_t v = 0; v < job_.job_graph.vertices.size(); ++v) {
      for (const auto& op : job_.job_graph.vertices[v].operators) {
        if (op.node_id == node) return static_cast<int>(v);
      }
    }
    return -1;
  }
  LoadedJob job_;
};

class ExecutorCluster {
 public:
  ExecutorCluster(LoadedJob job, int executors)
      : job_(std::move(job)), directory_(io::TempDirectory::Create("executors").value()) {
    for (int i = 0; i < executors; ++i) {
      pb::ExecutorSettings settings;
      settings.set_job_id(std::string(16, 'j'));
      settings.set_attempt(1);
      settings.set_job_name("test");
      settings.set_graph_digest(job_.job_graph.Digest());
      settings.set_executor_id(IdOf(i));
      settings.set_work_directory(directory_.File(IdOf(i)));
      settings.set_data_address("localhost");
      settings.set_data_bind_address("localhost");
      settings.set_managed_memory_bytes(64 << 20);
      settings.set_slots(1);
      settings_.push_back(settings);
    }
  }
  ~ExecutorCluster() {
    Broadcast([](pb::ExecutorCommand& c) { c.mutable_cancel(); });
    for (auto& executor : executors_) executor->Shutdown();
  }

  pb::ExecutorSettings& settings(int i) { return settings_[static_cast<size_t>(i)]; }
  TaskExecutor& executor(int i) { return *executors_[static_cast<size_t>(i)]; }
  static std::string IdOf(int i) { return "tm" + std::to_string(i); }

  void Start() {
    for (size_t i = 0; i < settings_.size(); ++i) {
      auto channel = std::make_unique<InMemoryControlChannel>(
          [this, i](const pb::ExecutorMessage& m) { OnMessage(static_cast<int>(i), m); });
      executors_.push_back(std::make_unique<TaskExecutor>(
          settings_[i], [this](const pb::ExecutorSettings&) -> StatusOr<LoadedJob> { return job_; },
          std::move(channel)));
    }
    for (auto& executor : executors_) executor->Start();
  }
  /// Subtask s runs on executor s modulo their number.
  void Deploy(const std::function<void(int executor, pb::DeployTasks&)>& edit = nullptr) {
    Await("ready", [this] { return addresses_.size() == settings_.size(); });
    for (size_t i = 0; i < executors_.size(); ++i) {
      pb::ExecutorCommand command = Command();
      pb::DeployTasks& deploy = *command.mutable_deploy();
      for (const graph::JobVertex& v : job_.job_graph.vertices) {
        pb::VertexDeployment& vd = *deploy.add_vertices();
        vd.set_vertex_id(ToWire(v.id));
        vd.set_parallelism(v.parallelism);
        vd.set_max_parallelism(v.max_parallelism);
        for (int s = 0; s < v.parallelism; ++s) {
          pb::TaskPlacement& placement = *deploy.add_placements();
          *placement.mutable_subtask() = Ref(v.id, s);
          placement.set_executor_id(IdOf(s % static_cast<int>(executors_.size())));
        }
        for (const auto& op : v.operators) {
          const StreamNode& node = job_.stream_graph.nodes[static_cast<size_t>(op.node_id) - 1];
          if (i != 0 || !node.make_coordinator) continue;
          pb::CoordinatorRestore& c = *deploy.add_coordinators();
          c.set_operator_id(ToWire(op.id));
          c.set_vertex_id(ToWire(v.id));
        }
      }
      for (const auto& [executor, address] : addresses_) {
        (*deploy.mutable_executor_addresses())[IdOf(executor)] = address;
      }
      if (edit) edit(static_cast<int>(i), deploy);
      executors_[i]->Deliver(command);
    }
  }
  void StartAndRun() {
    Start();
    Deploy();
    AwaitAll("RUNNING");
  }

  static pb::SubtaskRef Ref(const JobVertexId& vertex, int subtask) {
    pb::SubtaskRef ref;
    ref.set_vertex_id(ToWire(vertex));
    ref.set_subtask(subtask);
    return ref;
  }
  pb::ExecutorCommand Command() const {
    pb::ExecutorCommand command;
    command.set_job_id(settings_[0].job_id());
    command.set_attempt(1);
    return command;
  }
  void Broadcast(const std::function<void(pb::ExecutorCommand&)>& fill) {
    for (auto& executor : executors_) {
      pb::ExecutorCommand command = Command();
      fill(command);
      executor->Deliver(command);
    }
  }
  std::string CheckpointDirectory(int64_t id) const {
    return directory_.File("chk-" + std::to_string(id));
  }
  void Trigger(int64_t id, pb::SnapshotTarget::Kind kind, bool drain = false) {
    const std::string directory = CheckpointDirectory(id);
    ASSERT_TRUE(io::CreateDirectories(directory).ok());
    Broadcast([&](pb::ExecutorCommand& command) {
      pb::TriggerCheckpoint& t = *command.mutable_trigger_checkpoint();
      t.set_checkpoint_id(id);
      t.mutable_target()->set_kind(kind);
      t.mutable_target()->set_exclusive_directory(directory);
      t.mutable_target()->set_drain(drain);
      for (const graph::JobVertex& v : job_.job_graph.vertices) {
        bool is_source = true;
        for (const auto& edge : job_.job_graph.edges) {
          if (job_.job_graph.vertices[static_cast<size_t>(edge.target_vertex)].id == v.id)
            is_source = false;
        }
        for (int s = 0; is_source && s < v.parallelism; ++s) *t.add_subtasks() = Ref(v.id, s);
      }
    });
  }
  void Complete(int64_t id) {
    Broadcast(
        [&](pb::ExecutorCommand& c) { c.mutable_checkpoint_complete()->set_checkpoint_id(id); });
  }
  void Finish(int64_t id) {
    Broadcast([&](pb::ExecutorCommand& c) { c.mutable_finish()->set_checkpoint_id(id); });
  }

  int task_count() const {
    int n = 0;
    for (const auto& v : job_.job_graph.vertices) n += v.parallelism;
    return n;
  }
  void Await(const char* what, const std::function<bool()>& condition) {
    std::unique_lock lock(mutex_);
    const bool ok = changed_.wait_for(lock, std::chrono::seconds(20), condition);
    if (!ok) {
      for (const auto& m : messages_) {
        if (!m.has_metrics()) std::fprintf(stderr, "%s\n", m.ShortDebugString().c_str());
      }
    }
    ASSERT_TRUE(ok) << what;
  }
  int CountState(const std::string& state) const {
    int n = 0;
    for (const auto& m : messages_)
      n += m.has_task_state() && m.task_state().state() == state ? 1 : 0;
    return n;
  }
  void AwaitAll(const std::string& state) {
    Await(state.c_str(), [&] { return CountState(state) == task_count(); });
  }
  void AwaitMessage(const char* what, const std::function<bool(const pb::ExecutorMessage&)>& match,
                    int count = 1) {
    Await(what, [&] {
      int n = 0;
      for (const auto& m : messages_) n += match(m) ? 1 : 0;
      return n >= count;
    });
  }
  void AwaitAcks(int64_t id) {
    AwaitMessage(
        "acks", [&](const auto& m) { return m.has_ack() && m.ack().checkpoint_id() == id; },
        task_count());
  }
  void AwaitEndOfData() {
    AwaitMessage(
        "end of data", [](const auto& m) { return m.has_end_of_data(); }, task_count());
  }
  std::vector<pb::ExecutorMessage> messages() {
    std::lock_guard lock(mutex_);
    return messages_;
  }

 private:
  void OnMessage(int executor, const pb::ExecutorMessage& m) {
    std::lock_guard lock(mutex_);
    messages_.push_back(m);
    if (m.has_ready()) addresses_[executor] = m.ready().data_address();
    if (m.has_coordinator_event()) {
      // To the coordinator on executor 0, or to the reader's executor.
      const auto& event = m.coordinator_event();
      pb::ExecutorCommand command = Command();
      *command.mutable_coordinator_event() = event;
      const size_t to =
          event.to_coordinator() ? 0 : static_cast<size_t>(event.subtask()) % executors_.size();
      executors_[to]->Deliver(command);
    }
    changed_.notify_all();
  }

  const LoadedJob job_;
  io::TempDirectory directory_;
  std::vector<pb::ExecutorSettings> settings_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<pb::ExecutorMessage> messages_;
  std::map<int, std::string> addresses_;
  std::vector<std::unique_ptr<TaskExecutor>> executors_;
};

}  // namespace flink::taskmanager
