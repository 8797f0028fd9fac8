#pragma once

/// The boundary between typed state tables (flink/state/*.h, compiled into the job library) and the
/// state backend (in the task executor). A typed table holds objects in a write-back cache; the
/// store holds bytes.
///
/// Threading: everything here is called on the task's thread.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "flink/buffer.h"
#include "flink/key_group.h"

namespace flink {

enum class StateKind { kValue, kList, kMap, kReducing, kAggregating, kPriorityQueue };

/// Serializer snapshots are versioned snapshot bytes (TypeSerializer<T>::Snapshot()).
struct StateDescription {
  std::string name;
  StateKind kind = StateKind::kValue;
  std::string key_snapshot;
  std::string namespace_snapshot;
  std::string value_snapshot;
  std::string value_type;  ///< For messages: "Tuple2<String,Integer>".
};

/// Rows encoded from a cache: key bytes are the backend's row keys (key group prefix, key,
/// namespace). Memory is one arena, rows refer into it. In no particular order; of several rows
/// with one key the last one counts.
struct EncodedRows {
  struct Row {
    uint64_t offset = 0;  ///< Of the key in `arena`; the value follows the key.
    uint32_t key_size = 0;
    uint32_t value_size = 0;
    bool deleted = false;
  };
  BufferWriter arena;
  std::vector<Row> rows;

  void Clear() {
    arena.Clear();
    rows.clear();
  }
  /// Appends the rows of `other`.
  void Append(const EncodedRows& other) {
    const uint64_t base = arena.size();
    arena.PutBytes(other.arena.view());
    rows.reserve(rows.size() + other.rows.size());
    for (Row r : other.rows) {
      r.offset += base;
      rows.push_back(r);
    }
  }

  std::string_view Key(const Row& r) const { return arena.view().substr(r.offset, r.key_size); }
  std::string_view Value(const Row& r) const {
    return arena.view().substr(r.offset + r.key_size, r.value_size);
  }
};

/// The runtime's view of a typed table with dirty entries.
class StateTableBase {
 public:
  virtual ~StateTableBase() = default;
  virtual int state_id() const = 0;
  /// At a barrier: all dirty entries belong to the snapshot. Later writes to such an entry first
  /// save its old form. O(1) or nearly so. REQUIRES that no earlier freeze is still being swept.
  virtual void Freeze() = 0;
  /// Appends frozen rows until about `max_rows` slots were visited. True when all frozen rows have
  /// been appended.
  virtual bool Sweep(size_t max_rows, EncodedRows& out) = 0;
  /// The rows of the oldest completed sweep that was not flushed yet are in the store: their
  /// entries may be evicted from now on. At most two sweeps are unflushed at any time.
  virtual void OnFlushed() = 0;
  /// Bytes of memory held by the table.
  virtual size_t MemoryBytes() const = 0;
};

class KeyedStateStore {
 public:
  virtual ~KeyedStateStore() = default;

  virtual KeyGroupRange key_groups() const = 0;
  virtual int max_parallelism() const = 0;

  /// Registers (or finds again after a restore) a state; throws std::runtime_error when a restored
  /// state of this name has another type, naming both. Returns the id for the calls below.
  virtual int RegisterState(const StateDescription& description) = 0;
  /// The table takes part in snapshots from now on. Not owned; must outlive the store's use in
  /// snapshots.
  virtual void RegisterTable(StateTableBase* table) = 0;

  /// values->at(i) is empty when key i has no row.
  virtual void MultiGet(int state_id, const std::vector<std::string_view>& keys,
                        std::vector<std::optional<std::string>>* values) = 0;
  /// Calls `visit` for each row of the state in unsigned byte order of the keys, for key groups of
  /// this subtask.
  virtual void Scan(
      int state_id,
      const std::function<void(std::string_view key, std::string_view value)>& visit) = 0;
  /// True when the state had no rows at Open and none were flushed since: a miss in the cache is
  /// then final, without a look into the store.
  virtual bool IsEmpty(int state_id) const = 0;
  /// Rows of the state in the store, roughly; the maximum when unknown.
  virtual uint64_t EstimatedRows(int /*state_id*/) const { return UINT64_MAX; }
  /// Writes all dirty rows of `table` to the store now (cache pressure) and calls OnFlushed; waits
  /// for a flush that is under way first.
  virtual void FlushTable(StateTableBase* table) = 0;
  /// As FlushTable, but may return as soon as the rows are encoded; OnFlushed then comes later,
  /// between two batches.
  virtual void StartFlush(StateTableBase* table) { FlushTable(table); }

  /// Bytes that all tables of this store together may hold as objects.
  virtual uint64_t cache_budget_bytes() const = 0;
  /// Of these the bytes for one table; may change when tables are registered. `table` as it was
  /// registered.
  virtual uint64_t CacheShareBytes(const StateTableBase* /*table*/) const {
    return cache_budget_bytes();
  }
  /// True when tables hold the whole state as objects from the start and evict nothing.
  virtual bool keeps_state_in_memory() const { return false; }
};

}  // namespace flink
