#pragma once

/// ValueTable: the write-back object cache of one state with one value per key.
///
/// A hash table with linear probing; key, value and bookkeeping of an entry stand together in one
/// slot. The slot where an entry wants to be grows with its hash, so growing the table reads and
/// writes memory in order.
///
/// Entry life: absent or present; clean or dirty. Freeze flips an epoch bit, which turns every
/// dirty entry into a frozen one without touching it. Sweep encodes frozen entries; a write to one
/// before its turn first saves its old form. Encoded entries cannot be evicted until OnFlushed.
/// When the table is full it evicts clean entries (a clock with a small use count per entry) and
/// has dirty ones flushed in bulk.
///
/// Threading: the task's thread only. Pointers and references into the table are valid until the
/// next call of Load, Find, Upsert or Erase. Errors: what the serializers and the store throw.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <new>
#include <numeric>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "flink/keyed_state_store.h"
#include "flink/state/key_hash.h"
#include "flink/state/state_key.h"
#include "flink/type_serializer.h"

namespace flink {

template <class K, class V>
class ValueTable final : public StateTableBase {
 public:
  using KeyTraits = StateKeyTraits<K>;

  /// Registers the state and the table. Throws std::runtime_error when a restored state has another
  /// type. `store` must outlive the table's use, and the table the store's.
  ValueTable(KeyedStateStore& store, const std::string& name, StateKind kind = StateKind::kValue)
      : store_(&store), max_parallelism_(store.max_parallelism()) {
    state_id_ = store.RegisterState(Describe(name, kind));
    Allocate(kMinCapacity);
    complete_ = store.IsEmpty(state_id_);
    store.RegisterTable(this);
    if (!complete_) Preload();
  }
  ValueTable(const ValueTable&) = delete;
  ValueTable& operator=(const ValueTable&) = delete;
  ~ValueTable() override {
    for (size_t i = 0; i < capacity_; ++i) {
      if (slots_[i].meta != 0) slots_[i].Destroy();
    }
    std::free(slots_);
  }

  /// What the table registers; known without a store.
  static StateDescription Describe(const std::string& name, StateKind kind = StateKind::kValue) {
    StateDescription description;
    description.name = name;
    description.kind = kind;
    description.key_snapshot = KeyTraits::KeySnapshot();
    description.namespace_snapshot = KeyTraits::NamespaceSnapshot();
    description.value_snapshot = TypeSerializer<V>::Snapshot();
    description.value_type = TypeSerializer<V>::Name();
    return description;
  }

  static uint64_t Hash(const K& key) { return HashKey(key); }

  /// Call some 16 keys ahead of the access.
  void Prefetch(uint64_t hash) const {
    const Slot* const home = &slots_[Home(hash)];
    __builtin_prefetch(home, 1);
    // Probing mostly ends within the next cache line.
    __builtin_prefetch(reinterpret_cast<const char*>(home) + 64, 1);
  }

  /// Makes n keys resident: all misses are fetched together.
  void Load(const K* const* keys, const uint64_t* hashes, size_t n) {
    if (complete_) return;
    misses_.clear();
    constexpr size_t kAhead = 16;
    for (size_t i = 0; i < n && i < kAhead; ++i) Prefetch(hashes[i]);
    for (size_t i = 0; i < n; ++i) {
      if (i + kAhead < n) Prefetch(hashes[i + kAhead]);
      if (Slot* s = Locate(*keys[i], hashes[i])) {
        if ((s->meta & kRefMask) != kRefMask) s->meta += kRefOne;
      } else {
        Insert(*keys[i], hashes[i], kAbsent | kNew | kLoading);
        misses_.push_back({keys[i], hashes[i]});
      }
    }
    if (!misses_.empty()) FetchMisses();
  }

  /// nullptr when the key has no value.
  V* Find(const K& key, uint64_t hash) {
    Slot* s = Locate(key, hash);
    if (s == nullptr) [[unlikely]] {
      if (complete_) return nullptr;
      s = Fetch(key, hash);
    }
    if ((s->meta & kRefMask) == 0) s->meta += kRefOne;
    return (s->meta & kAbsent) != 0 ? nullptr : s->value();
  }

  /// The value to change; V{} when there was none. The entry becomes dirty.
  V& Upsert(const K& key, uint64_t hash) {
    Slot* s = Locate(key, hash);
    if (s == nullptr) [[unlikely]] {
      s = complete_ ? &Insert(key, hash, kAbsent | kNew) : Fetch(key, hash);
    }
    if ((s->meta & kRefMask) == 0) s->meta += kRefOne;
    MarkDirty(*s);
    if ((s->meta & kAbsent) != 0) [[unlikely]] {
      s->meta &= ~kAbsent;
      --absent_;
    }
    return *s->value();
  }

  void Erase(const K& key, uint64_t hash) {
    Slot* s = Locate(key, hash);
    if (s == nullptr) {
      // The store may have it: a row that deletes needs no look at what was there.
      if (!complete_) MarkDirty(Insert(key, hash, kAbsent));
      return;
    }
    if ((s->meta & kAbsent) != 0) return;
    if (IsFrozen(*s)) EncodeFrozen(*s, pending_);
    *s->value() = V{};
    s->meta |= kAbsent;
    ++absent_;
    if ((s->meta & kNew) == 0) {
      MarkDirty(*s);
      return;
    }
    // The store never saw it, so there is nothing to delete there.
    if ((s->meta & kDirty) != 0) {
      s->meta &= ~kDirty;
      --dirty_;
    }
    if (complete_) Remove(static_cast<size_t>(s - slots_));
  }

  int state_id() const override { return state_id_; }

  void Freeze() override {
    frozen_ = dirty_;
    dirty_ = 0;
    unflushed_[epoch_] = true;
    encoded_[epoch_] = 0;
    epoch_ ^= 1;
    dirty_mark_ = kDirty | (epoch_ != 0 ? kDirtyEpoch : 0);
    cursor_ = 0;
    sweeping_ = true;
  }

  bool Sweep(size_t max_rows, EncodedRows& out) override {
    if (!sweeping_) return true;
    TakePending(out);
    for (size_t visited = 0; visited < max_rows && cursor_ < capacity_; ++visited) {
      if (frozen_ == 0 && absent_ * 4 <= size_) {
        cursor_ = capacity_;
        break;
      }
      Slot& s = slots_[cursor_];
      if (IsFrozen(s)) {
        EncodeFrozen(s, out);
      } else if ((s.meta & kAbsent) != 0 && IsEvictable(s)) {
        Remove(cursor_);  // Something else may stand here now.
        continue;
      }
      ++cursor_;
    }
    if (cursor_ < capacity_) return false;
    TakePending(out);
    sweeping_ = false;
    return true;
  }

  void OnFlushed() override {
    // The parity that writers use now is that of the sweep before the last one.
    const unsigned parity = unflushed_[epoch_] ? epoch_ : epoch_ ^ 1;
    unflushed_[parity] = false;
    encoded_[parity] = 0;
  }

  size_t MemoryBytes() const override {
    return capacity_ * sizeof(Slot) + size_ * heap_bytes_ + pending_.arena.size();
  }

  /// Resident entries, also those known to be absent.
  size_t size() const { return size_; }
  size_t dirty_count() const { return dirty_; }
  size_t capacity() const { return capacity_; }

 private:
  // A slot's meta: 48 bits of hash, then flags. 0: empty.
  static constexpr uint64_t kFlagMask = 0xffff;
  static constexpr uint64_t kOccupied = 1;
  static constexpr uint64_t kAbsent = 2;  // Known to have no value; the value object is V{}.
  static constexpr uint64_t kDirty = 4;
  static constexpr uint64_t kDirtyEpoch = 8;    // The epoch in which it became dirty.
  static constexpr uint64_t kFlushing = 16;     // Encoded by a sweep…
  static constexpr uint64_t kFlushParity = 32;  // …of this epoch.
  static constexpr uint64_t kNew = 64;       // The store has no row, and no sweep has encoded one.
  static constexpr uint64_t kLoading = 128;  // Being fetched.
  static constexpr uint64_t kRefOne = 256;   // Recent uses, 0 to 3.
  static constexpr uint64_t kRefMask = 768;

  static constexpr size_t kMinCapacity = 64;
  static constexpr size_t kEvictAtOnce = 16;
  static constexpr size_t kEvictionGroup = 16;
  /// A store with up to so many rows is read into memory as a whole at the start.
  static constexpr uint64_t kPreloadRows = 200'000;

  struct Slot {
    uint64_t meta;
    alignas(K) unsigned char key_bytes[sizeof(K)];
    alignas(V) unsigned char value_bytes[sizeof(V)];

    K* key() { return std::launder(reinterpret_cast<K*>(key_bytes)); }
    V* value() { return std::launder(reinterpret_cast<V*>(value_bytes)); }
    void Destroy() {
      key()->~K();
      value()->~V();
    }
  };
  static_assert(alignof(Slot) <= alignof(std::max_align_t), "over-aligned keys or values");

  struct Miss {
    const K* key;
    uint64_t hash;
  };

  static size_t LimitOf(size_t capacity) { return capacity - capacity / 3; }

  size_t Home(uint64_t hash) const {
    return static_cast<size_t>((static_cast<unsigned __int128>(hash & ~kFlagMask) * capacity_) >>
                               64);
  }
  size_t Next(size_t i) const { return i + 1 == capacity_ ? 0 : i + 1; }
  size_t Distance(size_t from, size_t to) const {
    return to >= from ? to - from : to + capacity_ - from;
  }

  Slot* Locate(const K& key, uint64_t hash) {
    for (size_t i = Home(hash);; i = Next(i)) {
      Slot& s = slots_[i];
      if (s.meta == 0) return nullptr;
      if ((s.meta ^ hash) <= kFlagMask && internal::KeyHash<K>::Equal(*s.key(), key)) return &s;
    }
  }

  bool IsFrozen(const Slot& s) const {
    return (s.meta & kDirty) != 0 && (s.meta & (kDirty | kDirtyEpoch)) != dirty_mark_;
  }
  bool IsEvictable(const Slot& s) const {
    if (s.meta == 0 || (s.meta & (kDirty | kLoading)) != 0) return false;
    return (s.meta & kFlushing) == 0 || !unflushed_[(s.meta & kFlushParity) != 0 ? 1 : 0];
  }

  void MarkDirty(Slot& s) {
    const uint64_t state = s.meta & (kDirty | kDirtyEpoch);
    if (state == dirty_mark_) return;
    if ((state & kDirty) != 0) EncodeFrozen(s, pending_);
    s.meta = (s.meta & ~(kDirty | kDirtyEpoch)) | dirty_mark_;
    ++dirty_;
  }

  void EncodeFrozen(Slot& s, EncodedRows& out) {
    EncodedRows::Row row;
    row.offset = out.arena.size();
    PutRowKey(out.arena, *s.key());
    row.key_size = static_cast<uint32_t>(out.arena.size() - row.offset);
    if ((s.meta & kAbsent) != 0) {
      row.deleted = true;
    } else {
      TypeSerializer<V>::Write(out.arena, *s.value());
      row.value_size = static_cast<uint32_t>(out.arena.size() - row.offset - row.key_size);
    }
    out.rows.push_back(row);
    const unsigned parity = epoch_ ^ 1;
    s.meta &= ~(kDirty | kDirtyEpoch | kNew | kFlushParity);
    s.meta |= kFlushing | (parity != 0 ? kFlushParity : 0);
    ++encoded_[parity];
    --frozen_;
  }

  void TakePending(EncodedRows& out) {
    if (pending_.rows.empty()) return;
    if (out.rows.empty())
      std::swap(out, pending_);
    else
      out.Append(pending_);
    pending_.Clear();
  }

  void PutRowKey(BufferWriter& out, const K& key) const {
    internal::PutKeyGroup(out, KeyTraits::HashCode(key), max_parallelism_);
    KeyTraits::Write(out, key);
  }

  /// REQUIRES that the key is not resident.
  Slot& Insert(const K& key, uint64_t hash, uint64_t flags) {
    if (size_ >= limit_) [[unlikely]]
      MakeRoom();
    size_t i = Home(hash);
    while (slots_[i].meta != 0) i = Next(i);
    Slot& s = slots_[i];
    new (s.key_bytes) K(key);
    new (s.value_bytes) V{};
    s.meta = (hash & ~kFlagMask) | kOccupied | flags;
    ++size_;
    if ((flags & kAbsent) != 0) ++absent_;
    return s;
  }

  Slot* Fetch(const K& key, uint64_t hash) {
    Insert(key, hash, kAbsent | kNew | kLoading);
    misses_.clear();
    misses_.push_back({&key, hash});
    FetchMisses();
    return Locate(key, hash);
  }

  void FetchMisses() {
    row_keys_.Clear();
    row_ends_.clear();
    for (const Miss& m : misses_) {
      PutRowKey(row_keys_, *m.key);
      row_ends_.push_back(row_keys_.size());
    }
    row_views_.clear();
    size_t start = 0;
    for (const size_t end : row_ends_) {
      row_views_.push_back(row_keys_.view().substr(start, end - start));
      start = end;
    }
    fetched_.clear();
    store_->MultiGet(state_id_, row_views_, &fetched_);
    for (size_t i = 0; i < misses_.size(); ++i) {
      Slot* s = Locate(*misses_[i].key, misses_[i].hash);
      s->meta &= ~kLoading;
      if (!fetched_[i].has_value()) continue;
      BufferReader in(*fetched_[i]);
      TypeSerializer<V>::Read(in, *s->value());
      s->meta &= ~(kAbsent | kNew);
      --absent_;
    }
  }

  /// Empties slot i and closes the gap.
  void Remove(size_t i) {
    Slot& s = slots_[i];
    if ((s.meta & kAbsent) != 0)
      --absent_;
    else
      complete_ = false;
    s.Destroy();
    s.meta = 0;
    --size_;
    size_t hole = i;
    for (size_t j = Next(i); slots_[j].meta != 0; j = Next(j)) {
      if (Distance(Home(slots_[j].meta), j) < Distance(hole, j)) continue;
      // The sweep must not miss what moves behind its cursor.
      if (sweeping_ && hole < cursor_ && j >= cursor_ && IsFrozen(slots_[j])) {
        EncodeFrozen(slots_[j], pending_);
      }
      MoveSlot(slots_[j], slots_[hole]);
      slots_[j].meta = 0;
      hole = j;
    }
  }

  static void MoveSlot(Slot& from, Slot& to) {
    new (to.key_bytes) K(std::move(*from.key()));
    new (to.value_bytes) V(std::move(*from.value()));
    to.meta = from.meta;
    from.Destroy();
  }

  void Allocate(size_t capacity) {
    void* memory = std::calloc(capacity, sizeof(Slot));
    if (memory == nullptr) throw std::bad_alloc();
    slots_ = static_cast<Slot*>(memory);
    capacity_ = capacity;
    limit_ = LimitOf(capacity);
    const size_t groups = capacity / kEvictionGroup;
    stride_ = groups * 5 / 8 | 1;
    while (std::gcd(stride_, groups) != 1) stride_ += 2;
    hand_ = 0;
  }

  void Rehash(size_t capacity) {
    Slot* const old = slots_;
    const size_t old_capacity = capacity_;
    Allocate(capacity);
    for (size_t i = 0; i < old_capacity; ++i) {
      Slot& s = old[i];
      if (s.meta == 0) continue;
      if ((s.meta & kAbsent) != 0 && IsEvictable(s)) {
        s.Destroy();
        --absent_;
        --size_;
        continue;
      }
      size_t to = Home(s.meta);
      while (slots_[to].meta != 0) to = Next(to);
      MoveSlot(s, slots_[to]);
    }
    std::free(old);
    cursor_ = 0;
    hand_ = 0;
  }

  /// Mean bytes that an entry holds outside of its slot, from a sample of encoded entries.
  void EstimateHeapBytes() {
    if constexpr (std::is_trivially_destructible_v<K> && std::is_trivially_destructible_v<V>)
      return;
    if (size_ == 0) return;
    BufferWriter bytes;
    size_t sampled = 0;
    size_t i = sample_at_ % capacity_;
    for (size_t looked = 0; looked < capacity_ && sampled < 64; ++looked, i = Next(i)) {
      if (slots_[i].meta == 0) continue;
      PutRowKey(bytes, *slots_[i].key());
      if ((slots_[i].meta & kAbsent) == 0) TypeSerializer<V>::Write(bytes, *slots_[i].value());
      ++sampled;
    }
    sample_at_ = i;
    // Short strings live in the slot; longer things in an allocation of their own, with its
    // overhead.
    const size_t mean = sampled == 0 ? 0 : bytes.size() / sampled;
    heap_bytes_ = mean <= 24 ? 0 : mean + mean / 2 + 32;
  }

  void MakeRoom() {
    if (absent_ > size_ / 2) {
      PurgeAbsent();
      if (size_ < limit_ - limit_ / 4) return;
    }
    size_t allowed = SIZE_MAX;
    if (!store_->keeps_state_in_memory()) {
      if constexpr (!std::is_trivially_destructible_v<K> || !std::is_trivially_destructible_v<V>) {
        if (--until_estimate_ <= 0) {
          EstimateHeapBytes();
          until_estimate_ = 1000;
        }
      }
      const uint64_t share = store_->CacheShareBytes(this);
      allowed = static_cast<size_t>(share / (sizeof(Slot) + sizeof(Slot) / 2 + heap_bytes_));
      allowed += allowed / 2;  // From entries to slots.
      if (allowed < kMinCapacity) allowed = kMinCapacity;
    }
    if (capacity_ < allowed - allowed / 8) {
      until_estimate_ = 0;
      Rehash(capacity_ * 2 > allowed - allowed / 4 ? allowed : capacity_ * 2);
      return;
    }
    limit_ = LimitOf(allowed < capacity_ ? allowed : capacity_);
    while (size_ >= limit_) {
      if (Evict()) continue;
      // Everything here belongs to the batch that is being loaded. Slots that stand empty come
      // first: a table that only doubled here would grow with every such batch.
      if (limit_ < LimitOf(capacity_))
        limit_ = std::min(LimitOf(capacity_), limit_ * 2);
      else
        Rehash(capacity_ * 2);
      return;
    }
    // The share has shrunk, because of timers or another table: they need the memory.
    if (capacity_ / 4 > allowed && size_ < LimitOf(allowed)) Rehash(allowed);
  }

  void PurgeAbsent() {
    for (size_t i = 0; i < capacity_;) {
      if ((slots_[i].meta & kAbsent) != 0 && IsEvictable(slots_[i]))
        Remove(i);
      else
        ++i;
    }
  }

  /// Evicts some clean entries; gets dirty ones flushed when they are too many. False when nothing
  /// can go.
  bool Evict() {
    const bool flushing = unflushed_[0] || unflushed_[1];
    if (dirty_ + frozen_ > size_ / 2 && !flushing) store_->StartFlush(this);
    const size_t busy = dirty_ + frozen_ + encoded_[0] + encoded_[1];
    if (busy + size_ / 16 >= size_ && busy != 0) store_->FlushTable(this);
    if (EvictClean()) return true;
    store_->FlushTable(this);
    return EvictClean();
  }

  bool EvictClean() {
    // The hand jumps through the table in groups of neighbours. Going through it in order would
    // empty it behind the hand and overfill it ahead, where probing then takes for ever.
    const size_t groups = capacity_ / kEvictionGroup;
    size_t evicted = 0;
    // The use counts may have to run down first.
    for (size_t looked = 0; looked < 4 * groups && evicted < kEvictAtOnce; ++looked) {
      __builtin_prefetch(&slots_[(hand_ + stride_) % groups * kEvictionGroup], 1);
      const size_t end = hand_ + 1 == groups ? capacity_ : (hand_ + 1) * kEvictionGroup;
      for (size_t i = hand_ * kEvictionGroup; i < end;) {
        Slot& s = slots_[i];
        if (IsEvictable(s)) {
          if ((s.meta & kRefMask) == 0) {
            Remove(i);  // Something else may stand here now.
            ++evicted;
            continue;
          }
          s.meta -= kRefOne;
        }
        ++i;
      }
      hand_ = (hand_ + stride_) % groups;
    }
    return evicted != 0;
  }

  void Preload() {
    const bool all = store_->keeps_state_in_memory();
    if (!all) {
      const uint64_t rows = store_->EstimatedRows(state_id_);
      if (rows > kPreloadRows || rows * sizeof(Slot) * 3 > store_->CacheShareBytes(this)) return;
    }
    const size_t prefix = internal::KeyGroupPrefixBytes(max_parallelism_);
    complete_ = true;  // Eviction during the scan takes it back.
    store_->Scan(state_id_, [this, prefix](std::string_view key_bytes, std::string_view value) {
      K key{};
      BufferReader in(key_bytes.substr(prefix));
      KeyTraits::Read(in, key);
      Slot& s = Insert(key, HashKey(key), 0);
      BufferReader value_in(value);
      TypeSerializer<V>::Read(value_in, *s.value());
    });
  }

  KeyedStateStore* store_;
  int max_parallelism_;
  int state_id_ = 0;
  Slot* slots_ = nullptr;
  size_t capacity_ = 0;
  size_t limit_ = 0;  // Entries at which MakeRoom is called.
  size_t size_ = 0;
  size_t absent_ = 0;
  /// The table has a value for every key that has one: a miss is final.
  bool complete_ = false;

  unsigned epoch_ = 0;
  uint64_t dirty_mark_ = kDirty;
  size_t dirty_ = 0;        // In this epoch.
  size_t frozen_ = 0;       // Dirty in the epoch before and not encoded yet.
  bool unflushed_[2] = {};  // By parity of the frozen epoch.
  size_t encoded_[2] = {};
  bool sweeping_ = false;
  size_t cursor_ = 0;    // Slots before it have been swept.
  EncodedRows pending_;  // Old forms of frozen entries that were written to.

  size_t hand_ = 0;    // Group where eviction goes on.
  size_t stride_ = 1;  // To the next one; meets every group once in a round.
  size_t heap_bytes_ = 0;
  size_t sample_at_ = 0;
  int until_estimate_ = 0;

  std::vector<Miss> misses_;
  BufferWriter row_keys_;
  std::vector<size_t> row_ends_;
  std::vector<std::string_view> row_views_;
  std::vector<std::optional<std::string>> fetched_;
};

}  // namespace flink
