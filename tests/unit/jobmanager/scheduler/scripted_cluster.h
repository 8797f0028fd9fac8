#pragma once

/// TaskManagers that follow a script, for tests of JobMaster and Dispatcher. They answer every
/// order at once, through the mailbox, as well-behaved executors would; a test changes what they do
/// by the switches.

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "common/concurrency/mailbox.h"
#include "common/io/file_system.h"
#include "common/snapshot/keyed_state_header.h"
#include "common/snapshot/serializer_snapshot.h"
#include "common/snapshot/state_handle.h"
#include "flink/pb/cluster/v1/cluster.pb.h"
#include "flink/pb/graph/v1/job_graph.pb.h"
#include "jobmanager/rpc/task_manager_gateway.h"
#include "jobmanager/scheduler/submitted_job.h"

namespace flink::jobmanager {

/// As tasks name files, but known beforehand.
inline std::string StateFileName(int subtask) {
  return fmt::format("00000000-0000-4000-8000-{:012d}", subtask);
}

class ScriptedCluster : public TaskManagerDirectory {
 public:
  using Deliver = std::function<void(const std::string&, pb::cluster::v1::TaskManagerMessage)>;

  ScriptedCluster(Mailbox* mailbox, Deliver deliver)
      : mailbox_(mailbox), deliver_(std::move(deliver)) {}

  // Switches.
  bool start_executors = true;
  bool run_tasks = true;
  bool finish_at_once = false;  // Every task reports the end of its data when it runs.
  bool ack_checkpoints = true;
  bool finish_tasks = true;
  bool exit_on_stop = true;
  std::string shared_file;  // Named by every acknowledgement, unless empty.
  std::set<std::string> disconnected;

  // What was seen.
  std::vector<pb::cluster::v1::StartExecutor> started;
  std::map<std::string, pb::cluster::v1::DeployTasks>
      deployed;  // Of the last attempt, by TaskManager.
  std::vector<pb::cluster::v1::StopExecutor> stopped;
  std::vector<int64_t> completed;
  std::vector<pb::cluster::v1::CoordinatorEvent> coordinator_events;
  pb::cluster::v1::SnapshotTarget last_target;

  bool Send(const std::string& task_manager, pb::cluster::v1::JobManagerMessage message) override {
    if (disconnected.count(task_manager) != 0) return false;
    if (message.has_start_executor()) OnStart(task_manager, message.start_executor());
    if (message.has_stop_executor()) OnStop(task_manager, message.stop_executor());
    if (message.has_executor()) OnCommand(task_manager, message.executor());
    return true;
  }
  void Disconnect(const std::string&, const std::string&) override {}

  /// A message of the executor of the current attempt.
  void FromExecutor(const std::string& task_manager, pb::cluster::v1::ExecutorMessage message) {
    message.set_job_id(job_id_);
    message.set_attempt(attempt_);
    pb::cluster::v1::TaskManagerMessage wrapped;
    *wrapped.mutable_executor() = std::move(message);
    mailbox_->Post([this, task_manager, wrapped] { deliver_(task_manager, wrapped); });
  }
  void TaskState(const std::string& task_manager, const pb::cluster::v1::SubtaskRef& subtask,
                 const std::string& state, bool retryable = true) {
    pb::cluster::v1::ExecutorMessage message;
    auto* change = message.mutable_task_state();
    *change->mutable_subtask() = subtask;
    change->set_state(state);
    if (state == "FAILED") change->set_message("Sum (1/2): thrown on purpose");
    change->set_retryable(retryable);
    FromExecutor(task_manager, std::move(message));
  }
  void Exit(const std::string& task_manager, int signal, const std::string& text) {
    pb::cluster::v1::TaskManagerMessage wrapped;
    auto* exited = wrapped.mutable_executor_exited();
    exited->set_job_id(job_id_);
    exited->set_attempt(attempt_);
    exited->set_signal(signal);
    exited->set_message(text);
    mailbox_->Post([this, task_manager, wrapped] { deliver_(task_manager, wrapped); });
  }
  /// The first subtask of the job that runs on a TaskManager.
  pb::cluster::v1::SubtaskRef AnySubtaskOn(const std::string& task_manager) const {
    return SubtasksOn(task_manager).front();
  }
  std::vector<pb::cluster::v1::SubtaskRef> SubtasksOn(const std::string& task_manager) const {
    std::vector<pb::cluster::v1::SubtaskRef> subtasks;
    for (const auto& placement : deployed.at(task_manager).placements()) {
      if (placement.executor_id().compare(0, task_manager.size() + 1, task_manager + "/") == 0) {
        subtasks.push_back(placement.subtask());
      }
    }
    return subtasks;
  }

 private:
  void OnStart(const std::string& task_manager, const pb::cluster::v1::StartExecutor& start) {
    if (start.settings().attempt() != attempt_ || job_id_.empty()) deployed.clear();
    started.push_back(start);
    job_id_ = start.settings().job_id();
    attempt_ = start.settings().attempt();
    executors_.insert({task_manager, attempt_});
    if (!start_executors) return;
    pb::cluster::v1::ExecutorMessage ready;
    ready.mutable_ready()->set_data_address("unix:/" + task_manager);
    FromExecutor(task_manager, std::move(ready));
  }
  void OnStop(const std::string& task_manager, const pb::cluster::v1::StopExecutor& stop) {
    stopped.push_back(stop);
    // Nothing answers for an executor that was never started.
    if (!exit_on_stop || executors_.erase({task_manager, stop.attempt()}) == 0) return;
    Exit(task_manager, stop.grace_ms() == 0 ? 9 : 0, "");
  }
  void OnCommand(const std::string& task_manager, const pb::cluster::v1::ExecutorCommand& command) {
    if (command.has_deploy()) OnDeploy(task_manager, command.deploy());
    if (command.has_trigger_coordinator())
      OnTriggerCoordinator(task_manager, command.trigger_coordinator());
    if (command.has_trigger_checkpoint()) OnTrigger(command.trigger_checkpoint());
    if (command.has_checkpoint_complete()) {
      completed.push_back(command.checkpoint_complete().checkpoint_id());
    }
    if (command.has_coordinator_event()) coordinator_events.push_back(command.coordinator_event());
    if (command.has_cancel()) {
      for (const auto& subtask : SubtasksOn(task_manager))
        TaskState(task_manager, subtask, "CANCELED");
    }
    if (command.has_finish() && finish_tasks) {
      for (const auto& subtask : SubtasksOn(task_manager))
        TaskState(task_manager, subtask, "FINISHED");
    }
  }
  void OnDeploy(const std::string& task_manager, const pb::cluster::v1::DeployTasks& deploy) {
    deployed[task_manager] = deploy;
    if (!run_tasks) return;
    for (const auto& subtask : SubtasksOn(task_manager)) {
      TaskState(task_manager, subtask, "INITIALIZING");
      TaskState(task_manager, subtask, "RUNNING");
      if (!finish_at_once) continue;
      pb::cluster::v1::ExecutorMessage end;
      *end.mutable_end_of_data()->mutable_subtask() = subtask;
      FromExecutor(task_manager, std::move(end));
    }
  }
  void OnTriggerCoordinator(const std::string& task_manager,
                            const pb::cluster::v1::TriggerCoordinator& trigger) {
    pb::cluster::v1::ExecutorMessage ack;
    ack.mutable_coordinator_ack()->set_checkpoint_id(trigger.checkpoint_id());
    ack.mutable_coordinator_ack()->set_operator_id(trigger.operator_id());
    ack.mutable_coordinator_ack()->set_state("splits");
    FromExecutor(task_manager, std::move(ack));
  }
  // The barrier has reached everybody.
  /// The stream of a subtask that has registered no state.
  static std::string EmptyKeyedState() {
    snapshot::KeyedStateHeader header;
    header.key_serializer = snapshot::SimpleSerializerSnapshot(
        "org.apache.flink.api.common.typeutils.base.LongSerializer$LongSerializerSnapshot");
    return snapshot::SerializeKeyedStateHeader(header).value();
  }
  void OnTrigger(const pb::cluster::v1::TriggerCheckpoint& trigger) {
    last_target = trigger.target();
    if (!ack_checkpoints) return;
    for (const auto& [task_manager, deploy] : deployed) {
      for (const auto& subtask : SubtasksOn(task_manager)) {
        pb::cluster::v1::ExecutorMessage message;
        auto* ack = message.mutable_ack();
        ack->set_checkpoint_id(trigger.checkpoint_id());
        *ack->mutable_subtask() = subtask;
        auto* op = ack->add_operators();
        op->set_operator_id(subtask.vertex_id());  // The head of the chain.
        if (!shared_file.empty()) op->add_shared_files(shared_file);
        const std::string name = StateFileName(subtask.subtask());
        const std::string file = io::JoinPath(trigger.target().exclusive_directory(), name);
        const std::string bytes = EmptyKeyedState();
        IgnoreError(io::WriteFileDurably(file, bytes), "the test looks");
        snapshot::SubtaskState state;
        snapshot::KeyGroupsHandle keyed;
        keyed.kind = snapshot::KeyGroupsHandle::Kind::kKeyGroups;
        const KeyGroupRange range =
            RangeForOperator(128, ParallelismOf(deploy, subtask.vertex_id()), subtask.subtask());
        keyed.start_key_group = range.start;
        keyed.offsets.assign(static_cast<size_t>(range.size()), 0);
        keyed.stream = snapshot::FileHandle{file, static_cast<int64_t>(bytes.size())};
        keyed.state_handle_id = "00000000-0000-0000-0000-000000000000";
        state.managed_keyed_state = keyed;
        op->set_state(snapshot::EncodeSubtaskState(state));
        (*op->mutable_checksums())[name] = 42;
        ack->set_state_bytes(static_cast<int64_t>(bytes.size()));
        ack->set_checkpointed_bytes(static_cast<int64_t>(bytes.size()));
        FromExecutor(task_manager, std::move(message));
      }
    }
  }
  static int ParallelismOf(const pb::cluster::v1::DeployTasks& deploy, const std::string& vertex) {
    for (const auto& v : deploy.vertices()) {
      if (v.vertex_id() == vertex) return v.parallelism();
    }
    return 1;
  }

  Mailbox* const mailbox_;
  const Deliver deliver_;
  std::string job_id_;
  int attempt_ = 0;
  std::set<std::pair<std::string, int>> executors_;  // TaskManager and attempt.
};

inline std::string TestId(char fill) { return std::string(16, fill); }

/// Source -> keyed Sum, both with this parallelism.
inline pb::graph::v1::JobGraph TestGraph(int parallelism, char job = 'j') {
  pb::graph::v1::JobGraph graph;
  graph.set_job_id(TestId(job));
  graph.set_name("Word count");
  const auto add = [&](char id, const char* name, const char* uid, bool source) {
    auto* vertex = graph.add_vertices();
    vertex->set_id(TestId(id));
    vertex->set_name(name);
    vertex->set_parallelism(parallelism);
    vertex->set_max_parallelism(128);
    auto* op = vertex->add_operators();
    op->set_node_id(graph.vertices_size());
    op->set_id(TestId(id));
    op->set_name(name);
    op->set_uid(uid);
    op->set_has_coordinator(source);
    op->set_stateful(true);
    op->set_keyed(!source);
    op->set_kind(source ? "Data Source" : "Operator");
  };
  add('a', "Source: Lines", "source", true);
  add('b', "Sum", "count", false);
  auto* edge = graph.add_edges();
  edge->set_source_vertex(0);
  edge->set_target_vertex(1);
  edge->set_source_node(1);
  edge->set_target_node(2);
  edge->set_ship_strategy("HASH");
  return graph;
}

inline TaskManagerInfo TestTaskManager(const std::string& id, int slots) {
  TaskManagerInfo info;
  info.id = id;
  info.host = "localhost";
  info.slots = slots;
  info.managed_memory_bytes = 1000;
  return info;
}

}  // namespace flink::jobmanager
