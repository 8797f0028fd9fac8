#pragma once

/// Drives one operator by hand: records, watermarks, the clock, snapshots, restores.

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "flink/keyed_state_store.h"
#include "flink/operator.h"

namespace flink::testing {

/// A clock that stands still until it is moved.
class ManualTimeService final : public ProcessingTimeService {
 public:
  int64_t NowMs() const override { return now_ms_; }
  void RegisterTimer(int64_t time_ms, std::function<void()> callback) override {
    timers_.emplace(time_ms, std::move(callback));
  }
  void AdvanceTo(int64_t now_ms) {
    now_ms_ = now_ms;
    while (!timers_.empty() && timers_.begin()->first <= now_ms_) {
      auto callback = std::move(timers_.begin()->second);
      timers_.erase(timers_.begin());
      callback();
    }
  }
  /// The earliest registered time.
  std::optional<int64_t> NextMs() const {
    if (timers_.empty()) return std::nullopt;
    return timers_.begin()->first;
  }

 private:
  int64_t now_ms_ = 1'000'000;
  std::multimap<int64_t, std::function<void()>> timers_;
};

/// Rows by state name.
using KeyedRows = std::map<std::string, std::map<std::string, std::string>>;

class MemoryKeyedStateStore final : public KeyedStateStore {
 public:
  explicit MemoryKeyedStateStore(KeyedRows rows = {}) : rows_(std::move(rows)) {}

  KeyGroupRange key_groups() const override { return {0, 127}; }
  int max_parallelism() const override { return 128; }
  int RegisterState(const StateDescription& description) override {
    for (size_t i = 0; i < names_.size(); ++i) {
      if (names_[i] == description.name) return static_cast<int>(i);
    }
    names_.push_back(description.name);
    return static_cast<int>(names_.size()) - 1;
  }
  void RegisterTable(StateTableBase* table) override { tables_.push_back(table); }
  void MultiGet(int state_id, const std::vector<std::string_view>& keys,
                std::vector<std::optional<std::string>>* values) override {
    const auto& rows = Rows(state_id);
    for (const std::string_view key : keys) {
      const auto it = rows.find(std::string(key));
      if (it == rows.end())
        values->push_back(std::nullopt);
      else
        values->push_back(it->second);
    }
  }
  void Scan(int state_id,
            const std::function<void(std::string_view, std::string_view)>& visit) override {
    for (const auto& [key, value] : Rows(state_id)) visit(key, value);
  }
  bool IsEmpty(int state_id) const override {
    const auto it = rows_.find(names_[static_cast<size_t>(state_id)]);
    return it == rows_.end() || it->second.empty();
  }
  void FlushTable(StateTableBase* table) override {
    EncodedRows out;
    table->Freeze();
    while (!table->Sweep(1000, out)) {
    }
    auto& rows = Rows(table->state_id());
    for (const EncodedRows::Row& r : out.rows) {
      if (r.deleted)
        rows.erase(std::string(out.Key(r)));
      else
        rows[std::string(out.Key(r))] = std::string(out.Value(r));
    }
    table->OnFlushed();
  }
  uint64_t cache_budget_bytes() const override { return 64 << 20; }

  KeyedRows Snapshot() {
    for (StateTableBase* t : tables_) FlushTable(t);
    return rows_;
  }
  const std::vector<std::string>& state_names() const { return names_; }

 private:
  std::map<std::string, std::string>& Rows(int id) {
    return rows_[names_[static_cast<size_t>(id)]];
  }

  KeyedRows rows_;
  std::vector<std::string> names_;
  std::vector<StateTableBase*> tables_;
};

/// What a snapshot of one operator holds.
struct OperatorSnapshot {
  KeyedRows keyed;
  std::map<std::string, std::vector<std::string>> lists;
};

class TestOperatorContext final : public OperatorContext {
 public:
  std::string job = "00112233445566778899aabbccddeeff";
  std::string id = "e5a72f353fc1e6bbf3bd96a41384998c";
  std::string name = "operator";
  int attempt_number = 1;
  int subtask = 0;
  int subtasks = 1;
  bool restored = false;
  std::map<std::string, std::vector<std::string>> lists;
  std::vector<std::string> sent_to_coordinator;
  ManualTimeService time;
  MemoryKeyedStateStore store;

  const std::string& job_id() const override { return job; }
  const std::string& job_name() const override { return name; }
  int attempt() const override { return attempt_number; }
  const std::string& operator_id() const override { return id; }
  const std::string& operator_name() const override { return name; }
  int subtask_index() const override { return subtask; }
  int parallelism() const override { return subtasks; }
  int max_parallelism() const override { return 128; }
  ProcessingTimeService& time_service() override { return time; }
  KeyedStateStore* keyed_state() override { return &store; }
  bool is_restored() const override { return restored; }
  int64_t restored_checkpoint_id() const override { return restored ? 1 : 0; }
  const std::vector<std::string>& RestoredListState(const std::string& state) const override {
    static const std::vector<std::string> none;
    const auto it = lists.find(state);
    return it == lists.end() ? none : it->second;
  }
  void SendToCoordinator(std::string payload) override {
    sent_to_coordinator.push_back(std::move(payload));
  }
  const std::string& work_directory() const override { return name; }
  std::string ConfigurationValue(const std::string& /*key*/) const override { return ""; }

  void Restore(const OperatorSnapshot& snapshot) {
    restored = true;
    store = MemoryKeyedStateStore(snapshot.keyed);
    lists = snapshot.lists;
  }
};

/// Keeps what it gets.
template <class T>
class RecordingPort final : public InputPort {
 public:
  std::vector<T> records;
  std::vector<int64_t> timestamps;  ///< kNoTimestamp where a record has none.
  std::vector<int64_t> watermarks;
  std::vector<bool> idle;
  std::vector<std::string> order;  ///< "3 records", "watermark 5", "end".
  int ends = 0;

  void ProcessBatch(BatchBase& base) override {
    auto& batch = static_cast<Batch<T>&>(base);
    for (size_t i = 0; i < batch.size(); ++i) timestamps.push_back(batch.TimestampAt(i));
    records.insert(records.end(), batch.records.begin(), batch.records.end());
    order.push_back(std::to_string(batch.size()) + " records");
  }
  void ProcessWatermark(int64_t watermark_ms) override {
    watermarks.push_back(watermark_ms);
    order.push_back("watermark " + std::to_string(watermark_ms));
  }
  void ProcessIdle(bool is_idle) override { idle.push_back(is_idle); }
  void EndOfInput() override {
    ++ends;
    order.push_back("end");
  }
  void Flush() override {}
  std::vector<T> Take() {
    std::vector<T> taken;
    taken.swap(records);
    return taken;
  }
};

/// An operator with its context and what it emits.
template <class In, class Out>
class OperatorHarness {
 public:
  explicit OperatorHarness(std::unique_ptr<Operator> op) : operator_(std::move(op)) {
    if (operator_->output() != nullptr) operator_->output()->AddTarget(&out);
  }

  TestOperatorContext context;
  RecordingPort<Out> out;

  Operator& op() { return *operator_; }
  void Open() { operator_->Open(context); }
  void Process(std::vector<In> records, const std::vector<int64_t>& timestamps = {}) {
    Batch<In> batch;
    batch.records = std::move(records);
    batch.timestamps = timestamps;
    operator_->input(0)->ProcessBatch(batch);
    operator_->input(0)->Flush();
  }
  void Watermark(int64_t watermark_ms) { operator_->input(0)->ProcessWatermark(watermark_ms); }
  void EndOfInput() {
    Watermark(kMaxWatermark);
    operator_->input(0)->EndOfInput();
  }
  OperatorSnapshot Snapshot(int64_t checkpoint_id = 1,
                            SnapshotKind kind = SnapshotKind::kCheckpoint) {
    operator_->PrepareSnapshot(checkpoint_id);
    SnapshotContext snapshot;
    snapshot.checkpoint_id = checkpoint_id;
    snapshot.kind = kind;
    operator_->SnapshotState(snapshot);
    OperatorSnapshot result;
    result.keyed = context.store.Snapshot();
    for (const OperatorListState& s : snapshot.list_states) result.lists[s.name] = s.elements;
    return result;
  }

 private:
  std::unique_ptr<Operator> operator_;
};

}  // namespace flink::testing
