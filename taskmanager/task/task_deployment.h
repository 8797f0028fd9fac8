#pragma once

/// TaskDeployment: all that one task needs to know and to hold, made by the control thread and
/// moved into the task.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "common/base/ids.h"
#include "common/concurrency/worker_pool.h"
#include "common/graph/job_graph.h"
#include "flink/pb/cluster/v1/executor.pb.h"
#include "flink/stream_graph.h"
#include "taskmanager/network/input_gate.h"
#include "taskmanager/network/output_channel.h"
#include "taskmanager/network/task_inbox.h"

namespace flink::taskmanager {

namespace pb = ::flink::pb::cluster::v1;

/// What all tasks of an executor share; outlives them. Immutable.
struct TaskEnvironment {
  std::string job_id;  ///< 32 hex digits.
  std::string job_name;
  int attempt = 0;
  std::map<std::string, std::string> configuration;
  std::string work_directory;
  std::string state_backend = "hashmap";
  uint64_t keyed_memory_bytes = 64ull << 20;  ///< Of each keyed operator subtask.
  uint64_t inline_threshold_bytes = 20 << 10;
  bool state_in_metadata = false;  ///< A larger state fails its snapshot.
  bool exactly_once = true;
  /// See KeyedStateBackend::Options.
  WorkerPool* io_pool = nullptr;
  WorkerPool* flush_pool = nullptr;
  WorkerPool* background_pool = nullptr;
  /// Takes a message for the JobManager. Any thread; messages of one thread keep their order.
  std::function<void(pb::ExecutorMessage)> report;
};

struct OperatorDeployment {
  graph::OperatorDescription description;
  const StreamNode* node = nullptr;  ///< In the job's stream graph, which outlives the task.
  pb::OperatorRestore restore;
};

/// An edge inside the chain; indices of `operators`.
struct ChainedEdge {
  int source = 0;
  int target = 0;
  int input_index = 0;
};

/// An exchange that leaves the chain.
struct OutputDeployment {
  int source = 0;  ///< Index of `operators`.
  std::shared_ptr<const EdgeType> type;
  int target_max_parallelism = 1;
  bool keyed = false;
  std::vector<std::unique_ptr<OutputChannel>> channels;
};

/// One channel of the gate, by index.
struct InputChannelDeployment {
  int input_index = 0;
  std::shared_ptr<const EdgeType> type;
  // As Flink numbers the channels of a task, whose every incoming edge is a gate.
  int gate = 0;
  int gate_channel = 0;
};

struct TaskDeployment {
  JobVertexId vertex;
  std::string vertex_name;
  int subtask = 0;
  int parallelism = 1;
  int max_parallelism = 128;
  int64_t restored_checkpoint_id = 0;
  /// All subtasks of the vertex had finished in the snapshot: its operators do nothing any more.
  bool finished_before = false;
  std::vector<OperatorDeployment>
      operators;  ///< Head first; every chained edge leads to a later one.
  std::vector<ChainedEdge> chained_edges;
  std::vector<OutputDeployment> outputs;
  std::shared_ptr<TaskInbox> inbox;
  std::shared_ptr<InputGate> gate;
  std::vector<InputChannelDeployment> input_channels;
  std::vector<pb::InFlightRestore> in_flight;  ///< In the order in which it is to be processed.
};

}  // namespace flink::taskmanager
