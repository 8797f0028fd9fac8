#pragma once

/// What must survive a JobManager: job graphs, checkpoint id counters, completed checkpoints.

#include <map>
#include <string>
#include <vector>

#include "common/base/ids.h"
#include "common/base/status.h"
#include "jobmanager/checkpoint/checkpoint_types.h"

namespace flink::jobmanager {

/// Store of recoverable jobs. An implementation for high availability persists each call before it
/// returns.
///
/// Threading: implementations are thread-safe unless they say otherwise.
/// Errors: Unavailable when the backing service cannot be reached; the caller keeps its old state.
class JobStore {
 public:
  virtual ~JobStore() = default;

  /// Adds or replaces a job; `graph` is opaque.
  virtual Status PutJob(const JobId& job, const std::string& graph) = 0;
  /// Forgets the job, its counter and its completed checkpoints. Removing an absent job succeeds.
  virtual Status RemoveJob(const JobId& job) = 0;
  virtual StatusOr<std::map<JobId, std::string>> Jobs() = 0;

  /// The id the next checkpoint of the job gets; 1 for a job that has none yet.
  virtual StatusOr<CheckpointId> NextCheckpointId(const JobId& job) = 0;
  virtual Status SetNextCheckpointId(const JobId& job, CheckpointId next) = 0;

  /// Completed checkpoints of a job, oldest first.
  virtual Status AddCompleted(const JobId& job, const CompletedCheckpoint& checkpoint) = 0;
  virtual Status RemoveCompleted(const JobId& job, CheckpointId checkpoint) = 0;
  virtual StatusOr<std::vector<CompletedCheckpoint>> Completed(const JobId& job) = 0;
};

/// Keeps everything in memory: jobs do not survive the JobManager. Not thread-safe: one owner.
class InMemoryJobStore : public JobStore {
 public:
  Status PutJob(const JobId& job, const std::string& graph) override;
  Status RemoveJob(const JobId& job) override;
  StatusOr<std::map<JobId, std::string>> Jobs() override;
  StatusOr<CheckpointId> NextCheckpointId(const JobId& job) override;
  Status SetNextCheckpointId(const JobId& job, CheckpointId next) override;
  Status AddCompleted(const JobId& job, const CompletedCheckpoint& checkpoint) override;
  Status RemoveCompleted(const JobId& job, CheckpointId checkpoint) override;
  StatusOr<std::vector<CompletedCheckpoint>> Completed(const JobId& job) override;

 private:
  struct Checkpoints {
    CheckpointId next = 1;
    std::map<CheckpointId, CompletedCheckpoint> completed;
  };
  std::map<JobId, std::string> graphs_;
  std::map<JobId, Checkpoints> checkpoints_;
};

}  // namespace flink::jobmanager
