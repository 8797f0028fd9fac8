#include "jobmanager/checkpoint/job_store.h"

namespace flink::jobmanager {

Status InMemoryJobStore::PutJob(const JobId& job, const std::string& graph) {
  graphs_[job] = graph;
  return OkStatus();
}

Status InMemoryJobStore::RemoveJob(const JobId& job) {
  graphs_.erase(job);
  checkpoints_.erase(job);
  return OkStatus();
}

StatusOr<std::map<JobId, std::string>> InMemoryJobStore::Jobs() { return graphs_; }

StatusOr<CheckpointId> InMemoryJobStore::NextCheckpointId(const JobId& job) {
  return checkpoints_[job].next;
}

Status InMemoryJobStore::SetNextCheckpointId(const JobId& job, CheckpointId next) {
  checkpoints_[job].next = next;
  return OkStatus();
}

Status InMemoryJobStore::AddCompleted(const JobId& job, const CompletedCheckpoint& checkpoint) {
  checkpoints_[job].completed[checkpoint.id] = checkpoint;
  return OkStatus();
}

Status InMemoryJobStore::RemoveCompleted(const JobId& job, CheckpointId checkpoint) {
  checkpoints_[job].completed.erase(checkpoint);
  return OkStatus();
}

StatusOr<std::vector<CompletedCheckpoint>> InMemoryJobStore::Completed(const JobId& job) {
  std::vector<CompletedCheckpoint> result;
  for (const auto& [id, checkpoint] : checkpoints_[job].completed) result.push_back(checkpoint);
  return result;
}

}  // namespace flink::jobmanager
