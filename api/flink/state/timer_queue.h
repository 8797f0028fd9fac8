#pragma once

/// TimerQueue: the event-time or processing-time timers of a keyed operator. All timers are in
/// memory; the store has their rows for snapshots. A timer is a (time, key) pair and exists at most
/// once.
///
/// Threading: the task's thread only.

#include <algorithm>
#include <cstdint>
#include <limits>
#include <map>
#include <numeric>
#include <string>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "flink/keyed_state_store.h"
#include "flink/state/key_hash.h"
#include "flink/state/state_key.h"
#include "flink/type_serializer.h"

namespace flink {

template <class K>
class TimerQueue final : public StateTableBase {
 public:
  using KeyTraits = StateKeyTraits<K>;
  /// What NextTime returns when there is no timer.
  static constexpr int64_t kNone = std::numeric_limits<int64_t>::max();

  /// `name`: "_timer_state/event_user-timers" and the like (see Event, Processing). Reads the
  /// timers of a restored state. Throws std::runtime_error when it has another key type.
  TimerQueue(KeyedStateStore& store, const std::string& name)
      : store_(&store), max_parallelism_(store.max_parallelism()) {
    state_id_ = store.RegisterState(Describe(name));
    store.RegisterTable(this);
    if (!store.IsEmpty(state_id_)) LoadAll();
  }
  TimerQueue(const TimerQueue&) = delete;
  TimerQueue& operator=(const TimerQueue&) = delete;

  /// What the queue registers; known without a store.
  static StateDescription Describe(const std::string& name) {
    StateDescription description;
    description.name = name;
    description.kind = StateKind::kPriorityQueue;
    description.key_snapshot = KeyTraits::KeySnapshot();
    description.namespace_snapshot = KeyTraits::NamespaceSnapshot();
    description.value_snapshot = internal::CompositeSnapshot(
        "org.apache.flink.streaming.api.operators.TimerSerializerSnapshot", 2, {},
        {description.key_snapshot, description.namespace_snapshot});
    description.value_type = "Timer<" + TypeSerializer<typename PlainKey<K>::Type>::Name() + ">";
    return description;
  }

  /// State names as in Apache Flink. `service`: "user-timers" for functions, "window-timers" for
  /// windows.
  static std::string Event(const std::string& service) { return "_timer_state/event_" + service; }
  static std::string Processing(const std::string& service) {
    return "_timer_state/processing_" + service;
  }

  /// False when it is registered already.
  bool Register(int64_t time_ms, const K& key) {
    if (last_ == nullptr || last_time_ != time_ms) {
      last_ = &timers_[time_ms];
      last_time_ = time_ms;
    }
    if (!last_->insert(key).second) return false;
    ++size_;
    Log(time_ms, key, false);
    return true;
  }
  /// False when there is no such timer.
  bool Delete(int64_t time_ms, const K& key) {
    const auto it = timers_.find(time_ms);
    if (it == timers_.end() || it->second.erase(key) == 0) return false;
    --size_;
    if (it->second.empty()) Drop(it);
    Log(time_ms, key, true);
    return true;
  }
  /// Removes one of the earliest timers if it is due at `limit_ms`.
  bool PopDue(int64_t limit_ms, int64_t* time_ms, K* key) {
    const auto it = timers_.begin();
    if (it == timers_.end() || it->first > limit_ms) return false;
    *time_ms = it->first;
    auto node = it->second.extract(it->second.begin());
    *key = std::move(node.value());
    --size_;
    if (it->second.empty()) Drop(it);
    Log(*time_ms, *key, true);
    return true;
  }
  int64_t NextTime() const { return timers_.empty() ? kNone : timers_.begin()->first; }
  size_t size() const { return size_; }

  int state_id() const override { return state_id_; }
  void Freeze() override {
    std::swap(log_, frozen_);
    log_.Clear();
  }
  bool Sweep(size_t /*max_rows*/, EncodedRows& out) override {
    if (out.rows.empty())
      std::swap(out, frozen_);
    else
      out.Append(frozen_);
    frozen_.Clear();
    return true;
  }
  void OnFlushed() override {}
  size_t MemoryBytes() const override {
    return size_ * (sizeof(K) + 48) + log_.arena.size() + frozen_.arena.size() +
           (log_.rows.size() + frozen_.rows.size()) * sizeof(EncodedRows::Row);
  }

 private:
  struct Hasher {
    size_t operator()(const K& k) const { return HashKey(k); }
  };
  struct Equals {
    bool operator()(const K& a, const K& b) const { return internal::KeyHash<K>::Equal(a, b); }
  };
  using Keys = std::unordered_set<K, Hasher, Equals>;

  template <class T>
  struct PlainKey {
    using Type = T;
  };
  template <class T, class N>
  struct PlainKey<NamespacedKey<T, N>> {
    using Type = T;
  };

  static constexpr uint64_t kSignBit = uint64_t{1} << 63;
  /// The log is tidied, and if that does not help flushed, when it has so many rows.
  static constexpr size_t kMinLogLimit = 1 << 17;

  void Drop(typename std::map<int64_t, Keys>::iterator it) {
    if (last_ == &it->second) last_ = nullptr;
    timers_.erase(it);
  }

  void Log(int64_t time_ms, const K& key, bool deleted) {
    EncodedRows::Row row;
    BufferWriter& arena = log_.arena;
    row.offset = arena.size();
    internal::PutKeyGroup(arena, KeyTraits::HashCode(key), max_parallelism_);
    arena.Put<uint64_t>(static_cast<uint64_t>(time_ms) ^ kSignBit);
    KeyTraits::WriteTimer(arena, key);
    row.key_size = static_cast<uint32_t>(arena.size() - row.offset);
    row.deleted = deleted;
    log_.rows.push_back(row);
    if (log_.rows.size() >= log_limit_) [[unlikely]]
      Tidy();
  }

  /// Entries of one timer alternate between set and deleted. So when the first and the last one
  /// differ nothing has changed in the end.
  void Tidy() {
    std::vector<uint32_t> order(log_.rows.size());
    std::iota(order.begin(), order.end(), 0u);
    std::stable_sort(order.begin(), order.end(), [this](uint32_t a, uint32_t b) {
      return log_.Key(log_.rows[a]) < log_.Key(log_.rows[b]);
    });
    EncodedRows kept;
    for (size_t i = 0; i < order.size();) {
      const EncodedRows::Row& first = log_.rows[order[i]];
      const std::string_view key = log_.Key(first);
      size_t end = i + 1;
      while (end < order.size() && log_.Key(log_.rows[order[end]]) == key) ++end;
      if (log_.rows[order[end - 1]].deleted == first.deleted) {
        EncodedRows::Row row = first;
        row.offset = kept.arena.size();
        kept.arena.PutBytes(key);
        kept.rows.push_back(row);
      }
      i = end;
    }
    log_ = std::move(kept);
    log_limit_ = kMinLogLimit;
    if (log_.rows.size() > kMinLogLimit / 2) store_->StartFlush(this);
    log_limit_ = std::max(kMinLogLimit, log_.rows.size() * 2);
  }

  void LoadAll() {
    const size_t prefix = internal::KeyGroupPrefixBytes(max_parallelism_);
    store_->Scan(state_id_, [this, prefix](std::string_view row_key, std::string_view) {
      BufferReader in(row_key.substr(prefix));
      const auto time_ms = static_cast<int64_t>(in.Get<uint64_t>() ^ kSignBit);
      K key{};
      KeyTraits::ReadTimer(in, key);
      if (timers_[time_ms].insert(std::move(key)).second) ++size_;
    });
  }

  KeyedStateStore* store_;
  int max_parallelism_;
  int state_id_ = 0;
  std::map<int64_t, Keys> timers_;  // No empty sets.
  Keys* last_ = nullptr;            // The set used last, of last_time_.
  int64_t last_time_ = 0;
  size_t size_ = 0;
  EncodedRows log_;     // Changes since the last freeze, in order.
  EncodedRows frozen_;  // Waiting for the sweep.
  size_t log_limit_ = kMinLogLimit;
};

}  // namespace flink
