#pragma once

/// The FIFO of completed checkpoints a job can fail over to.

#include <deque>
#include <optional>
#include <utility>
#include <vector>

#include "jobmanager/checkpoint/checkpoint_types.h"
#include "jobmanager/scheduler/states.h"

namespace flink::jobmanager {

/// Keeps the newest `num_retained` checkpoints, oldest first, and says which ones are subsumed.
///
/// Pure: what it drops, the caller deletes. Threading: confined to the job's mailbox.
/// A savepoint is in it only when the job was restored from it.
class CompletedCheckpointStore {
 public:
  explicit CompletedCheckpointStore(int num_retained);

  /// Appends a checkpoint newer than all others. Returns the subsumed ones, oldest first; the
  /// caller deletes the files of those it owns. The latest entry and the latest non-savepoint entry
  /// are never subsumed.
  std::vector<CompletedCheckpoint> Add(CompletedCheckpoint checkpoint);

  /// Appends an entry read back after a restart of the JobManager; subsumes nothing until the next
  /// Add.
  void Recover(CompletedCheckpoint checkpoint) { entries_.push_back(std::move(checkpoint)); }

  /// Empties the store at the job's end. Returns the entries whose files are to be deleted, by
  /// `retention`. SUSPENDED returns none; nor does any end but FINISHED return a claimed snapshot
  /// that no later checkpoint has replaced: nobody else has that state.
  std::vector<CompletedCheckpoint> Shutdown(JobStatus status, CheckpointRetention retention);

  /// The claimed snapshot that is kept at such an end of the job; null when there is none.
  const CompletedCheckpoint* KeptAtEnd(JobStatus status) const;

  /// The entry to fail over to; null when empty.
  const CompletedCheckpoint* Latest() const;
  const CompletedCheckpoint* Find(CheckpointId id) const;
  const std::deque<CompletedCheckpoint>& All() const { return entries_; }
  size_t size() const { return entries_.size(); }

 private:
  const size_t num_retained_;
  std::deque<CompletedCheckpoint> entries_;
};

/// True when a job's own checkpoints are deleted at its end in `status`.
bool DiscardsOn(CheckpointRetention retention, JobStatus status);

}  // namespace flink::jobmanager
