#pragma once

/// JobAttempt: one execution attempt of a job: where each subtask runs and what state it is in.

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "common/base/ids.h"
#include "common/graph/job_graph.h"
#include "flink/pb/cluster/v1/executor.pb.h"
#include "jobmanager/checkpoint/restored_state.h"
#include "jobmanager/resource/slot_pool.h"
#include "jobmanager/scheduler/job_details.h"

namespace flink::jobmanager {

/// The task executor process of the attempt on one TaskManager.
struct AttemptExecutor {
  SlotShare share;
  std::string executor_id;
  std::string data_address;  ///< Empty until it is ready.
  bool gone = false;
};

/// Pure. Confined to the main thread.
class JobAttempt {
 public:
  /// Nothing is placed yet. `graph` carries the parallelism and maximum parallelism of this
  /// attempt.
  JobAttempt(const graph::JobGraph& graph, int number, int64_t now_ms);

  int number() const { return number_; }

  /// Subtask i of every vertex goes to slot i; the slots of the TaskManagers are dealt in turn, so
  /// that vertices of lower parallelism are spread, too.
  void Place(const JobId& job, const std::vector<SlotShare>& shares, int64_t now_ms);
  bool placed() const { return !executors_.empty(); }

  std::map<std::string, AttemptExecutor>& executors() { return executors_; }
  const std::map<std::string, AttemptExecutor>& executors() const { return executors_; }
  /// Null when the attempt has no executor there.
  AttemptExecutor* FindExecutor(const std::string& task_manager_id);
  bool AllReady() const;
  bool AllGone() const;

  /// What the executor on one TaskManager is told to run.
  pb::cluster::v1::DeployTasks MakeDeployment(const std::string& task_manager_id,
                                              const RestoredState* restored) const;
  void MarkDeploying(int64_t now_ms);

  const std::vector<VertexDetails>& vertices() const { return vertices_; }
  /// Null when there is no such subtask.
  SubtaskDetails* Find(const JobVertexId& vertex, int subtask);
  const VertexDetails* FindVertex(const JobVertexId& vertex) const;
  /// The TaskManager that hosts a subtask; empty when none does.
  std::string HostOf(const JobVertexId& vertex, int subtask) const;
  /// Where the coordinator of a source runs: with subtask 0 of its vertex. Empty: unknown operator.
  std::string CoordinatorHost(const OperatorId& op) const;
  const JobVertexId* VertexOf(const OperatorId& op) const;

  /// Moves a subtask on, through the states between if it skipped some. False when the state cannot
  /// be reached.
  bool Advance(SubtaskDetails& subtask, ExecutionState to, int64_t now_ms);
  /// Everything that has not ended: to CANCELING (`gone` false) or CANCELED.
  void CancelAll(bool gone, int64_t now_ms);

  bool All(ExecutionState state) const;
  void MarkEndOfData(const JobVertexId& vertex, int subtask);
  bool AllEndOfData() const;
  bool AnyEndOfData() const { return !end_of_data_.empty(); }

  CheckpointPlan MakeCheckpointPlan() const;

 private:
  const graph::JobGraph graph_;
  const int number_;
  std::vector<VertexDetails> vertices_;
  std::map<std::string, AttemptExecutor> executors_;  // By TaskManager.
  std::set<SubtaskPosition> end_of_data_;
};

}  // namespace flink::jobmanager
