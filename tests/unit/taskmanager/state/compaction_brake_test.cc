#include "taskmanager/state/compaction_brake.h"

#include <gtest/gtest.h>

#include <future>
#include <string>
#include <thread>
#include <vector>

#include "common/io/temp_directory.h"
#include "taskmanager/state/rocksdb_store.h"

namespace flink::taskmanager {
namespace {

using Hold = CompactionBrake::Hold;
using rocksdb::Env;
using std::chrono::milliseconds;

/// Long enough for what does not wait to be done.
constexpr milliseconds kAWhile{300};

std::future<void> Write(const std::shared_ptr<CompactionBrake>& brake) {
  return std::async(std::launch::async, [brake] { brake->Request(1 << 20, Env::IO_LOW, nullptr); });
}

TEST(CompactionBrakeTest, ACompactionWaitsUntilTheLastHoldIsGone) {
  const auto brake = std::make_shared<CompactionBrake>();
  Hold first(brake);
  Hold second(brake);
  const std::future<void> write = Write(brake);
  first = {};
  EXPECT_EQ(write.wait_for(kAWhile), std::future_status::timeout);
  second = {};
  write.wait();
}

TEST(CompactionBrakeTest, OnlyCompactionsThatCanWaitDo) {
  const auto brake = std::make_shared<CompactionBrake>();
  const Hold hold(brake);
  for (const auto priority : {Env::IO_MID, Env::IO_HIGH, Env::IO_USER}) {
    const auto begin = std::chrono::steady_clock::now();
    brake->Request(1 << 20, priority, nullptr);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, kAWhile) << priority;
  }
}

TEST(CompactionBrakeTest, AHoldThatLastsTooLongHoldsNothing) {
  const auto brake = std::make_shared<CompactionBrake>();
  const auto begin = std::chrono::steady_clock::now();
  const Hold hold(brake, milliseconds(100));
  Write(brake).wait();
  EXPECT_GE(std::chrono::steady_clock::now() - begin, milliseconds(100));
}

TEST(CompactionBrakeTest, TheStoresCompactionsWait) {
  const auto directory = io::TempDirectory::Create("brake-test").value();
  const auto store = RocksDbStore::Open({.directory = directory.path()}).value();
  rocksdb::ColumnFamilyHandle* const family = store->CreateColumnFamily("count").value();
  const auto property = [&](const std::string& name) {
    uint64_t value = 0;
    EXPECT_TRUE(store->db()->GetIntProperty(family, name, &value));
    return value;
  };
  const auto level0 = [&] {
    std::string text;
    EXPECT_TRUE(store->db()->GetProperty(family, "rocksdb.num-files-at-level0", &text));
    return std::stoi(text);
  };
  Hold hold = store->HoldCompactions();
  // All files hold the same keys, so that they are in level 0 all of them but the first.
  const std::string value(1000, 'v');
  int files = 0;
  for (; property("rocksdb.num-running-compactions") == 0 && files < 100; ++files) {
    EncodedRows rows;
    for (int i = 0; i < 2000; ++i) {
      const uint64_t offset = rows.arena.size();
      rows.arena.PutBytes(std::to_string(10'000 + i));
      rows.arena.PutBytes(value);
      rows.rows.push_back({offset, 5, static_cast<uint32_t>(value.size())});
    }
    std::vector<EncodedRows> sets;
    sets.push_back(std::move(rows));
    ASSERT_TRUE(store->ApplyRows(family, sets).ok());
  }
  ASSERT_LT(files, 100) << "no compaction begins";
  std::this_thread::sleep_for(kAWhile);
  EXPECT_GT(level0(), 1);
  hold = {};
  while (level0() > 1) std::this_thread::sleep_for(milliseconds(1));
}

}  // namespace
}  // namespace flink::taskmanager
