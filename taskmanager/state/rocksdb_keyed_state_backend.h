#pragma once

/// RocksDbKeyedStateBackend: rows in RocksDB, written in bulk from the dirty entries of the typed
/// tables.
///
/// A flush job is a set of encoded rows, and perhaps a snapshot to be taken right behind them.
/// Flush jobs run one after the other on the I/O pool, so that a snapshot contains exactly what was
/// frozen for it; bringing its files to the checkpoint directory is separate work that does not
/// hold up later flushes.

#include <atomic>
#include <condition_variable>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "common/snapshot/keyed_state_header.h"
#include "common/snapshot/state_types.h"
#include "taskmanager/state/keyed_state_backend.h"
#include "taskmanager/state/rocksdb_store.h"
#include "taskmanager/state/snapshot_writer.h"

namespace flink::taskmanager {

class RocksDbKeyedStateBackend final : public KeyedStateBackend {
 public:
  static StatusOr<std::unique_ptr<KeyedStateBackend>> Create(Options options);
  ~RocksDbKeyedStateBackend() override;

  KeyGroupRange key_groups() const override { return options_.key_groups; }
  int max_parallelism() const override { return options_.max_parallelism; }
  int RegisterState(const StateDescription& description) override;
  void RegisterTable(StateTableBase* table) override;
  void MultiGet(int state_id, const std::vector<std::string_view>& keys,
                std::vector<std::optional<std::string>>* values) override;
  void Scan(
      int state_id,
      const std::function<void(std::string_view key, std::string_view value)>& visit) override;
  bool IsEmpty(int state_id) const override { return states_[static_cast<size_t>(state_id)].empty; }
  uint64_t EstimatedRows(int state_id) const override;
  void FlushTable(StateTableBase* table) override;
  void StartFlush(StateTableBase* table) override;
  uint64_t cache_budget_bytes() const override { return cache_budget_; }
  uint64_t CacheShareBytes(const StateTableBase* table) const override;
  bool keeps_state_in_memory() const override { return in_memory_; }

  void BeginSnapshot(const KeyedSnapshotRequest& request, SnapshotCallback done) override;
  bool AdvanceSnapshot() override;
  void NotifyCheckpointComplete(int64_t checkpoint_id) override;
  void NotifyCheckpointAborted(int64_t checkpoint_id) override;

 private:
  struct State {
    snapshot::StateMetaInfo info;
    rocksdb::ColumnFamilyHandle* family = nullptr;
    bool registered = false;
    bool empty = true;
  };
  struct StateRows {
    rocksdb::ColumnFamilyHandle* family = nullptr;
    /// Several of bounded size: one that grows without bound is copied as a whole now and then.
    std::vector<EncodedRows> sets;
  };
  /// What an I/O thread needs to take and write a snapshot.
  struct SnapshotJob {
    uint64_t number = 0;
    KeyedSnapshotRequest request;
    std::string header;
    std::vector<std::string> states;  // By state id.
    UploadedFiles reusable;
    /// Set by the task when the result has become useless.
    std::shared_ptr<std::atomic<bool>> cancelled = std::make_shared<std::atomic<bool>>(false);
  };
  struct FlushJob {
    std::vector<StateRows> rows;
    std::optional<SnapshotJob> snapshot;
  };
  struct SnapshotOutcome {
    uint64_t number = 0;
    int64_t checkpoint_id = 0;
    StatusOr<KeyedSnapshotResult> result;
    UploadedFiles uploaded;
  };
  /// What the task's side remembers of a flush job.
  struct PendingFlush {
    std::vector<StateTableBase*> tables;
  };
  /// A snapshot whose rows are being swept.
  struct SweepInProgress {
    SnapshotJob job;
    size_t table = 0;
    std::vector<StateRows> rows;
  };
  /// Expires with the backend; mails that come later look at it.
  struct Liveness {};

  explicit RocksDbKeyedStateBackend(Options options);
  Status Open();

  // The task's side.
  std::string WithOperator(const std::string& what) const;
  [[noreturn]] void Throw(const std::string& what) const;
  void ThrowIfFailed() const;
  void CheckKeyType(const StateDescription& description);
  void CheckTypesAreReadable(const StateDescription& description) const;
  void CheckSameState(const State& restored, const StateDescription& description,
                      const snapshot::StateMetaInfo& wanted) const;
  void Refuse(const std::optional<snapshot::TypeConflict>& conflict) const;
  StatusOr<std::string> Header() const;
  EncodedRows& RowsOf(StateTableBase* table, std::vector<StateRows>& rows) const;
  void FinishSweep();
  void Submit(FlushJob job, std::vector<StateTableBase*> tables);
  /// Blocks until at most `outstanding` flush jobs are left, then tells the tables.
  void WaitForFlushes(size_t outstanding);
  void TakeFlushes();
  /// Calls back for finished snapshots; from a mail only, never inside a call of the operator.
  void TakeOutcomes();
  void PostCompletions();
  UploadedFiles ReusableFiles() const;
  bool IsQueue(const StateTableBase& table) const;

  // On I/O threads, or on the task's when there is no pool.
  static void RunOn(WorkerPool* pool, Mail work);
  void RunNextFlush();
  Status RunFlush(FlushJob& job);
  void Capture(SnapshotJob job);
  StatusOr<KeyedSnapshotResult> CanonicalSnapshot(const SnapshotJob& job,
                                                  const std::string& directory);
  void Report(SnapshotOutcome outcome);

  Options options_;
  bool in_memory_;
  uint64_t cache_budget_ = 0;
  std::string backend_id_;
  std::unique_ptr<RocksDbStore> store_;
  std::string key_serializer_;
  std::vector<State> states_;
  std::vector<StateTableBase*> tables_;
  size_t value_tables_ = 0;
  std::optional<SweepInProgress> sweep_;
  std::deque<PendingFlush> pending_flushes_;
  std::map<uint64_t, SnapshotCallback> callbacks_;
  /// By number; of snapshots whose outcome has not been taken.
  std::map<uint64_t, std::pair<int64_t, std::shared_ptr<std::atomic<bool>>>> cancellations_;
  uint64_t next_snapshot_ = 1;
  std::map<int64_t, UploadedFiles> uploaded_;  // By checkpoint that is not known to be complete.
  int64_t confirmed_checkpoint_ = 0;
  UploadedFiles confirmed_;
  TableChecksums table_checksums_;
  Status failure_;  // Of a flush: the state in memory is more than the store can give back.
  std::shared_ptr<Liveness> alive_ = std::make_shared<Liveness>();
  std::vector<rocksdb::Slice> slices_;
  std::vector<rocksdb::PinnableSlice> pinned_;
  std::vector<rocksdb::Status> statuses_;

  std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by mutex_:
  std::deque<FlushJob> queue_;
  bool flush_running_ = false;
  size_t work_running_ = 0;
  size_t flushes_done_ = 0;  // Not taken by TakeFlushes yet.
  Status flush_failure_;
  std::vector<SnapshotOutcome> outcomes_;
};

}  // namespace flink::taskmanager
