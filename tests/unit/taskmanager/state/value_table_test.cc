#include "flink/state/value_table.h"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <utility>

#include "flink/state/timer_queue.h"
#include "flink/state/value_state.h"

namespace flink {
namespace {

/// Rows in a map. Flushes are applied at once, unless `hold_flushes`.
class MemoryStore final : public KeyedStateStore {
 public:
  explicit MemoryStore(uint64_t budget, int max_parallelism = 128)
      : budget_(budget), max_parallelism_(max_parallelism) {}

  KeyGroupRange key_groups() const override { return {0, max_parallelism_ - 1}; }
  int max_parallelism() const override { return max_parallelism_; }
  int RegisterState(const StateDescription& d) override {
    const auto [it, added] = ids_.emplace(d.name, static_cast<int>(ids_.size()));
    descriptions[d.name] = d;
    if (added) rows_.emplace_back();
    return it->second;
  }
  void RegisterTable(StateTableBase* table) override { table_ = table; }
  void MultiGet(int id, const std::vector<std::string_view>& keys,
                std::vector<std::optional<std::string>>* values) override {
    values->clear();
    ++multi_gets;
    for (const std::string_view key : keys) {
      ++gets;
      const auto it = rows(id).find(std::string(key));
      values->push_back(it == rows(id).end() ? std::nullopt
                                             : std::optional<std::string>(it->second));
    }
  }
  void Scan(int id, const std::function<void(std::string_view, std::string_view)>& visit) override {
    for (const auto& [key, value] : rows(id)) visit(key, value);
  }
  bool IsEmpty(int id) const override { return rows_[static_cast<size_t>(id)].empty(); }
  void FlushTable(StateTableBase* table) override {
    ++flushes;
    FinishFlush();
    table->Freeze();
    sweeping_ = true;
    FinishFlush();
  }
  uint64_t cache_budget_bytes() const override { return budget_; }
  void set_budget(uint64_t bytes) { budget_ = bytes; }
  bool keeps_state_in_memory() const override { return in_memory; }

  void Freeze() {
    FinishFlush();
    table_->Freeze();
    sweeping_ = true;
  }
  /// True while there is more to sweep.
  bool Step(size_t slots) {
    if (!sweeping_) return false;
    if (!table_->Sweep(slots, swept_)) return true;
    sweeping_ = false;
    Apply();
    return false;
  }
  void FinishFlush() {
    while (Step(1 << 20)) {
    }
  }
  std::map<std::string, std::string>& rows(int id) { return rows_[static_cast<size_t>(id)]; }

  std::map<std::string, StateDescription> descriptions;
  size_t gets = 0;
  size_t multi_gets = 0;
  size_t flushes = 0;
  bool in_memory = false;

 private:
  void Apply() {
    for (const EncodedRows::Row& row : swept_.rows) {
      const std::string key(swept_.Key(row));
      if (row.deleted)
        rows(table_->state_id()).erase(key);
      else
        rows(table_->state_id())[key] = std::string(swept_.Value(row));
    }
    swept_.Clear();
    table_->OnFlushed();
  }

  uint64_t budget_;
  int max_parallelism_;
  std::map<std::string, int> ids_;
  std::vector<std::map<std::string, std::string>> rows_;
  StateTableBase* table_ = nullptr;
  bool sweeping_ = false;
  EncodedRows swept_;
};

template <class K>
std::string RowKey(const K& key, int max_parallelism = 128) {
  BufferWriter out;
  internal::PutKeyGroup(out, StateKeyTraits<K>::HashCode(key), max_parallelism);
  StateKeyTraits<K>::Write(out, key);
  return out.TakeString();
}
template <class V>
std::string Encoded(const V& value) {
  BufferWriter out;
  TypeSerializer<V>::Write(out, value);
  return out.TakeString();
}

int64_t MakeKey(int64_t i, const int64_t*) { return i; }
std::string MakeKey(int64_t i, const std::string*) {
  return "a key of some length " + std::to_string(i);
}
int64_t MakeValue(int64_t i, const int64_t*) { return i; }
std::string MakeValue(int64_t i, const std::string*) {
  return std::string(static_cast<size_t>(i % 60), 'x') + std::to_string(i);
}

/// Random operations against a model; freezes are swept in small steps with writes in between, and
/// what reaches the store must be the model as it was at the freeze.
template <class K, class V>
void RunAgainstModel(uint64_t seed, uint64_t budget, int64_t keys, int operations) {
  MemoryStore store(budget);
  ValueTable<K, V> table(store, "s");
  std::map<int64_t, V> model;
  std::map<int64_t, V> frozen;
  bool sweeping = false;
  std::mt19937_64 random(seed);
  const auto check_frozen = [&] {
    std::map<std::string, std::string> expected;
    for (const auto& [k, v] : frozen) {
      expected[RowKey(MakeKey(k, static_cast<K*>(nullptr)))] = Encoded(v);
    }
    ASSERT_EQ(store.rows(table.state_id()), expected);
  };
  for (int op = 0; op < operations; ++op) {
    const auto k = static_cast<int64_t>(random() % static_cast<uint64_t>(keys));
    const K key = MakeKey(k, static_cast<K*>(nullptr));
    const uint64_t hash = table.Hash(key);
    const size_t flushes = store.flushes;
    switch (random() % 16) {
      case 0:
      case 1: {
        table.Erase(key, hash);
        if (store.flushes != flushes) sweeping = false;
        model.erase(k);
        break;
      }
      case 2:
      case 3:
      case 4: {
        const V* v = table.Find(key, hash);
        const auto it = model.find(k);
        ASSERT_EQ(v != nullptr, it != model.end()) << "key " << k << " op " << op;
        if (v != nullptr) {
          ASSERT_EQ(*v, it->second);
        }
        break;
      }
      case 5: {
        std::vector<K> batch;
        batch.reserve(40);
        for (int i = 0; i < 40; ++i) {
          batch.push_back(MakeKey(static_cast<int64_t>(random() % static_cast<uint64_t>(keys)),
                                  static_cast<K*>(nullptr)));
        }
        std::vector<const K*> pointers;
        std::vector<uint64_t> hashes;
        for (const K& b : batch) {
          pointers.push_back(&b);
          hashes.push_back(table.Hash(b));
        }
        table.Load(pointers.data(), hashes.data(), batch.size());
        break;
      }
      case 6: {
        if (sweeping) {
          sweeping = store.Step(1 + random() % 200);
          if (!sweeping && store.flushes == flushes) check_frozen();
        } else if (random() % 50 == 0) {
          store.Freeze();
          frozen = model;
          sweeping = true;
        }
        break;
      }
      default: {
        V& v = table.Upsert(key, hash);
        const auto it = model.find(k);
        ASSERT_EQ(v, it == model.end() ? V{} : it->second) << "key " << k << " op " << op;
        v = model[k] = MakeValue(op, static_cast<V*>(nullptr));
      }
    }
    // A flush for lack of space ends the sweep, and its rows are newer than the freeze.
    if (store.flushes != flushes) sweeping = false;
  }
  store.FinishFlush();
  store.Freeze();
  store.FinishFlush();
  frozen = model;
  check_frozen();
}

TEST(ValueTable, AgreesWithModelWhenAllFits) {
  RunAgainstModel<int64_t, int64_t>(1, 1 << 30, 5000, 400'000);
  RunAgainstModel<std::string, std::string>(2, 1 << 30, 3000, 150'000);
}

TEST(ValueTable, AgreesWithModelUnderEviction) {
  for (uint64_t seed = 1; seed <= 5; ++seed) {
    RunAgainstModel<int64_t, int64_t>(seed, 40'000, 5000, 150'000);
    RunAgainstModel<std::string, std::string>(seed, 100'000, 3000, 60'000);
    RunAgainstModel<int64_t, std::string>(seed, 1, 500, 30'000);
  }
}

TEST(ValueTable, StaysWithinItsBudget) {
  MemoryStore store(1 << 20);
  ValueTable<int64_t, int64_t> table(store, "s");
  for (int64_t i = 0; i < 500'000; ++i) table.Upsert(i, table.Hash(i)) = i;
  EXPECT_LE(table.MemoryBytes(), size_t{1} << 20);
  EXPECT_GT(table.MemoryBytes(), size_t{1} << 19);
  for (int64_t i = 0; i < 500'000; i += 777) {
    const int64_t* v = table.Find(i, table.Hash(i));
    ASSERT_NE(v, nullptr);
    ASSERT_EQ(*v, i);
  }
}

TEST(ValueTable, DoesNotGrowWhenTimersTakeItsShare) {
  MemoryStore store(1 << 20);
  ValueTable<int64_t, int64_t> table(store, "s");
  const auto load = [&table](int64_t begin, int64_t end) {
    int64_t keys[64];
    const int64_t* pointers[64];
    uint64_t hashes[64];
    for (int64_t first = begin; first < end; first += 64) {
      for (int i = 0; i < 64; ++i) {
        keys[i] = first + i;
        pointers[i] = &keys[i];
        hashes[i] = table.Hash(keys[i]);
      }
      table.Load(pointers, hashes, 64);
      for (int i = 0; i < 64; ++i) table.Upsert(keys[i], hashes[i]) += keys[i];
    }
  };
  load(0, 64'000);
  store.set_budget(0);
  load(0, 64'000);
  EXPECT_LE(table.capacity(), 512u);
  for (int64_t i = 0; i < 64'000; i += 777) {
    const int64_t* v = table.Find(i, table.Hash(i));
    ASSERT_NE(v, nullptr);
    ASSERT_EQ(*v, 2 * i);
  }
}

TEST(ValueTable, DoesNotAskTheStoreWhileItHasEverything) {
  MemoryStore store(64 << 20);
  ValueTable<int64_t, int64_t> table(store, "s");
  for (int64_t i = 0; i < 1000; ++i) table.Upsert(i, table.Hash(i)) = i;
  store.Freeze();
  store.FinishFlush();
  for (int64_t i = 0; i < 2000; ++i) table.Upsert(i, table.Hash(i)) += 1;
  EXPECT_EQ(store.gets, 0u);
}

TEST(ValueTable, FetchesTheMissesOfABatchTogether) {
  MemoryStore store(3000);
  {
    ValueTable<int64_t, int64_t> table(store, "s");
    for (int64_t i = 0; i < 1000; ++i) table.Upsert(i, table.Hash(i)) = i;
    store.Freeze();
    store.FinishFlush();
  }
  ValueTable<int64_t, int64_t> table(store, "s");
  store.multi_gets = 0;
  store.gets = 0;
  std::vector<int64_t> keys = {900, 901, 902, 902, 5000};
  std::vector<const int64_t*> pointers;
  std::vector<uint64_t> hashes;
  for (const int64_t& k : keys) {
    pointers.push_back(&k);
    hashes.push_back(table.Hash(k));
  }
  table.Load(pointers.data(), hashes.data(), keys.size());
  EXPECT_EQ(store.multi_gets, 1u);
  EXPECT_EQ(store.gets, 4u);
  EXPECT_EQ(*table.Find(902, table.Hash(902)), 902);
  EXPECT_EQ(table.Find(5000, table.Hash(5000)), nullptr);
  EXPECT_EQ(store.multi_gets, 1u);
}

TEST(ValueTable, ReadsEverythingAtTheStartWhenStateStaysInMemory) {
  MemoryStore store(1000);
  {
    ValueTable<int64_t, int64_t> table(store, "s");
    for (int64_t i = 0; i < 1000; ++i) table.Upsert(i, table.Hash(i)) = i * 3;
    store.Freeze();
    store.FinishFlush();
  }
  store.in_memory = true;
  store.gets = 0;
  ValueTable<int64_t, int64_t> table(store, "s");
  for (int64_t i = 0; i < 1000; ++i) ASSERT_EQ(*table.Find(i, table.Hash(i)), i * 3);
  EXPECT_EQ(table.Find(1000, table.Hash(1000)), nullptr);
  EXPECT_EQ(store.gets, 0u);
}

TEST(ValueTable, RowKeysAreThoseOfFlink) {
  MemoryStore store(1 << 20, 4);
  ValueTable<int64_t, int64_t> table(store, "s");
  table.Upsert(1, table.Hash(1)) = 1;
  store.Freeze();
  store.FinishFlush();
  ASSERT_EQ(store.rows(0).size(), 1u);
  const auto& [key, value] = *store.rows(0).begin();
  // Key group, key, void namespace.
  EXPECT_EQ(key.size(), 10u);
  EXPECT_EQ(key.substr(1), std::string("\0\0\0\0\0\0\0\1\0", 9));
  EXPECT_EQ(value, std::string("\0\0\0\0\0\0\0\1", 8));
  using Windowed = NamespacedKey<std::string, std::string>;
  const std::string row = RowKey(Windowed{"ab", "c"}, 200);
  EXPECT_EQ(row.substr(2), std::string("\3ab\3\2c\2"));
}

TEST(ValueTable, ErasedKeysDoNotStayForEver) {
  MemoryStore store(64 << 20);
  ValueTable<int64_t, int64_t> table(store, "s");
  for (int round = 0; round < 10; ++round) {
    for (int64_t i = round * 10'000; i < (round + 1) * 10'000; ++i) {
      table.Upsert(i, table.Hash(i)) = 1;
    }
    store.Freeze();
    store.FinishFlush();
    for (int64_t i = round * 10'000; i < (round + 1) * 10'000; ++i) {
      table.Erase(i, table.Hash(i));
    }
  }
  EXPECT_LE(table.size(), 40'000u);
  store.Freeze();
  store.FinishFlush();
  EXPECT_TRUE(store.rows(0).empty());
}

TEST(ValueState, HandleActsOnTheCurrentKey) {
  MemoryStore store(1 << 20);
  ValueTable<std::string, int64_t> table(store, "s");
  KeyContext<std::string> context;
  ValueState<int64_t> state = MakeValueState(&table, &context);
  const std::string a = "a";
  const std::string b = "b";
  context.Set(a);
  EXPECT_EQ(state.Get(), nullptr);
  state.Update(5);
  context.Set(b);
  EXPECT_EQ(state.Value(7), 7);
  state.Mutable() += 2;
  context.Set(a);
  EXPECT_EQ(state.Value(), 5);
  state.Clear();
  EXPECT_EQ(state.Get(), nullptr);
  context.Set(b);
  EXPECT_EQ(*state.Get(), 2);
}

TEST(TimerQueue, FiresInOrderAndEachTimerOnce) {
  MemoryStore store(1 << 20);
  TimerQueue<std::string> timers(store, TimerQueue<std::string>::Event("user-timers"));
  EXPECT_EQ(timers.NextTime(), TimerQueue<std::string>::kNone);
  EXPECT_TRUE(timers.Register(30, "a"));
  EXPECT_TRUE(timers.Register(-10, "b"));
  EXPECT_TRUE(timers.Register(20, "a"));
  EXPECT_FALSE(timers.Register(20, "a"));
  EXPECT_TRUE(timers.Register(25, "c"));
  EXPECT_TRUE(timers.Delete(25, "c"));
  EXPECT_FALSE(timers.Delete(25, "c"));
  EXPECT_EQ(timers.NextTime(), -10);
  int64_t time = 0;
  std::string key;
  ASSERT_TRUE(timers.PopDue(20, &time, &key));
  EXPECT_EQ(time, -10);
  EXPECT_EQ(key, "b");
  ASSERT_TRUE(timers.PopDue(20, &time, &key));
  EXPECT_EQ(time, 20);
  EXPECT_FALSE(timers.PopDue(20, &time, &key));
  EXPECT_EQ(timers.size(), 1u);
}

TEST(TimerQueue, RowsFollowTheTimers) {
  MemoryStore store(1 << 20);
  const std::string name = TimerQueue<int64_t>::Processing("user-timers");
  std::map<std::pair<int64_t, int64_t>, bool> model;
  std::mt19937_64 random(3);
  {
    TimerQueue<int64_t> timers(store, name);
    for (int i = 0; i < 600'000; ++i) {
      const auto time = static_cast<int64_t>(random() % 100) - 50;
      const auto key = static_cast<int64_t>(random() % 100);
      if (random() % 2 == 0) {
        const bool before = std::exchange(model[{time, key}], true);
        EXPECT_EQ(timers.Register(time, key), !before);
      } else {
        const bool before = std::exchange(model[{time, key}], false);
        EXPECT_EQ(timers.Delete(time, key), before);
      }
      if (i % 50'000 == 0) {
        store.Freeze();
        store.FinishFlush();
      }
    }
    store.Freeze();
    store.FinishFlush();
  }
  TimerQueue<int64_t> restored(store, name);
  std::map<std::pair<int64_t, int64_t>, bool> found;
  int64_t time = 0;
  int64_t key = 0;
  int64_t last = -1000;
  while (restored.PopDue(1000, &time, &key)) {
    EXPECT_GE(time, last);
    last = time;
    found[{time, key}] = true;
  }
  std::erase_if(model, [](const auto& e) { return !e.second; });
  EXPECT_EQ(found, model);
}

}  // namespace
}  // namespace flink
