#include "jobmanager/checkpoint/completed_checkpoint_store.h"

#include <algorithm>
#include <utility>

namespace flink::jobmanager {

CompletedCheckpointStore::CompletedCheckpointStore(int num_retained)
    : num_retained_(static_cast<size_t>(std::max(1, num_retained))) {}

std::vector<CompletedCheckpoint> CompletedCheckpointStore::Add(CompletedCheckpoint checkpoint) {
  entries_.push_back(std::move(checkpoint));
  const CheckpointId latest = entries_.back().id;
  CheckpointId latest_not_savepoint = 0;
  for (const CompletedCheckpoint& entry : entries_) {
    if (!IsSavepoint(entry.kind)) latest_not_savepoint = entry.id;
  }
  std::vector<CompletedCheckpoint> subsumed;
  for (auto it = entries_.begin(); it != entries_.end() && entries_.size() > num_retained_;) {
    if (it->id == latest || it->id == latest_not_savepoint) {
      ++it;
      continue;
    }
    subsumed.push_back(std::move(*it));
    it = entries_.erase(it);
  }
  return subsumed;
}

std::vector<CompletedCheckpoint> CompletedCheckpointStore::Shutdown(JobStatus status,
                                                                    CheckpointRetention retention) {
  std::vector<CompletedCheckpoint> discarded;
  const CompletedCheckpoint* kept = KeptAtEnd(status);
  for (CompletedCheckpoint& entry : entries_) {
    const bool goes = entry.owned() && &entry != kept && DiscardsOn(retention, status);
    if (goes) discarded.push_back(std::move(entry));
  }
  entries_.clear();
  return discarded;
}

const CompletedCheckpoint* CompletedCheckpointStore::KeptAtEnd(JobStatus status) const {
  const CompletedCheckpoint* latest = Latest();
  if (latest == nullptr || latest->claim != ClaimMode::kClaim) return nullptr;
  return status == JobStatus::kFinished ? nullptr : latest;
}

const CompletedCheckpoint* CompletedCheckpointStore::Latest() const {
  return entries_.empty() ? nullptr : &entries_.back();
}

const CompletedCheckpoint* CompletedCheckpointStore::Find(CheckpointId id) const {
  for (const CompletedCheckpoint& entry : entries_) {
    if (entry.id == id) return &entry;
  }
  return nullptr;
}

bool DiscardsOn(CheckpointRetention retention, JobStatus status) {
  switch (status) {
    case JobStatus::kFinished:
      return true;
    case JobStatus::kCanceled:
      return retention != CheckpointRetention::kRetainOnCancellation;
    case JobStatus::kFailed:
      return retention == CheckpointRetention::kNoExternalized;
    default:
      return false;
  }
}

}  // namespace flink::jobmanager
