#pragma once

/// KeyedStateBackend: keyed state of one operator subtask, and its snapshots.
///
/// Threading: every method on the task's thread, unless it says otherwise. Files are written by
/// threads of the I/O pool; results come back through Options::post. The backend must be destroyed
/// on the task's thread; it waits there for work of its own that still runs. Errors: Status where
/// the runtime calls; std::runtime_error where typed tables call (the task then fails). Sizes are
/// in bytes.

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/concurrency/mailbox.h"
#include "common/concurrency/worker_pool.h"
#include "common/snapshot/state_handle.h"
#include "flink/keyed_state_store.h"

namespace flink::taskmanager {

/// The program and the restored snapshot disagree about the type of a state: no restart helps.
class StateTypeError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

enum class SnapshotFormat { kNative, kCanonical };

struct KeyedSnapshotRequest {
  int64_t checkpoint_id = 0;
  SnapshotFormat format = SnapshotFormat::kNative;
  /// chk-n, or the directory of the savepoint. Must exist.
  std::string exclusive_directory;
  /// Must exist. Empty for savepoints: all files go to the exclusive directory, with relative
  /// handles.
  std::string shared_directory;
  /// Take over no file of earlier snapshots.
  bool full = false;
};

struct KeyedSnapshotResult {
  /// monostate when the operator has no keyed state registered.
  snapshot::KeyedStateHandle handle;
  /// Absolute paths of files in the shared directory that the handle refers to, written now or
  /// earlier.
  std::vector<std::string> shared_files;
  /// Those of them that were written now.
  std::vector<std::string> written_shared_files;
  /// Of all files: absolute path (shared) or name in the exclusive directory -> XXH3 of the
  /// content.
  std::map<std::string, uint64_t> checksums;
  int64_t written_bytes = 0;
  int64_t state_bytes = 0;
};

/// One source of a restore.
struct KeyedRestoreInput {
  snapshot::KeyedStateHandle handle;
  /// Relative handles are resolved against it; the side file in it says what the files must be.
  std::string base_directory;
};

class KeyedStateBackend : public KeyedStateStore {
 public:
  struct Options {
    /// "rocksdb", or "hashmap": the same store with all state held as objects.
    std::string type = "rocksdb";
    /// Private to this backend; created, and removed at the end.
    std::string directory;
    std::string operator_id;    // 32 hex digits.
    std::string operator_name;  // For messages, as is the next.
    std::string operator_uid;   // Empty: none.
    KeyGroupRange key_groups;
    int max_parallelism = 128;
    /// For block cache, memtables and the objects of the typed tables.
    uint64_t memory_budget_bytes = 256ull << 20;
    std::vector<KeyedRestoreInput> restore;
    /// State streams up to this size stand in the handle itself.
    uint64_t inline_threshold_bytes = 20 << 10;
    /// For the files of snapshots. Outlives the backend. Null: work is done on the task's thread.
    WorkerPool* io_pool = nullptr;
    /// For flushes, which the task may have to wait for and which must not queue behind the files
    /// of a snapshot; outlives the backend. Null: as io_pool.
    WorkerPool* flush_pool = nullptr;
    /// For long work that must not slow the job down; outlives the backend. Null: as io_pool.
    WorkerPool* background_pool = nullptr;
    /// Runs a mail on the task's thread; callable from any thread. Mails may come after the
    /// backend's end.
    std::function<void(Mail)> post;
  };
  /// Called on the task's thread once: the snapshot is durable, or why it failed.
  using SnapshotCallback = std::function<void(StatusOr<KeyedSnapshotResult>)>;

  /// Opens an empty backend or restores one. Blocks. kDataLoss: what was to be restored is damaged.
  static StatusOr<std::unique_ptr<KeyedStateBackend>> Create(Options options);

  /// At the barrier: everything written until now belongs to the snapshot, nothing after. Takes
  /// well below a millisecond, unless the sweep or the flush of an earlier snapshot has to be
  /// finished first. Throws std::runtime_error when an earlier flush failed: the task must then
  /// fail.
  virtual void BeginSnapshot(const KeyedSnapshotRequest& request, SnapshotCallback done) = 0;
  /// Encodes some of the frozen rows. Call between batches, and again at once when idle, as long as
  /// it returns true.
  virtual bool AdvanceSnapshot() = 0;

  /// The files of this checkpoint may be taken over by later ones.
  virtual void NotifyCheckpointComplete(int64_t checkpoint_id) = 0;
  /// Its files are not touched: who collects the acknowledgements deletes them.
  virtual void NotifyCheckpointAborted(int64_t checkpoint_id) = 0;
};

}  // namespace flink::taskmanager
