#include "taskmanager/state/keyed_state_backend.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <random>
#include <set>
#include <stdexcept>

#include "common/concurrency/mailbox.h"
#include "common/concurrency/worker_pool.h"
#include "common/io/checksum.h"
#include "common/io/file_system.h"
#include "common/io/temp_directory.h"
#include "flink/state/timer_queue.h"
#include "flink/state/value_table.h"

namespace flink {

/// A type of the user's own, which Apache Flink does not know.
struct Money {
  int64_t cents = 0;
};
template <>
struct TypeSerializer<Money> {
  static constexpr int32_t kLength = 8;
  static void Write(BufferWriter& out, const Money& v) { out.Put<int64_t>(v.cents); }
  static void Read(BufferReader& in, Money& v) { v.cents = in.Get<int64_t>(); }
  static std::string Name() { return "Money"; }
  static std::string Snapshot() {
    return internal::BodilessSnapshot("com.acme.MoneySerializerSnapshot");
  }
};

}  // namespace flink

namespace flink::taskmanager {
namespace {

using snapshot::IncrementalHandle;
using snapshot::KeyGroupsHandle;
using ::testing::HasSubstr;

constexpr int kMaxParallelism = 128;

int GroupOf(int64_t key) {
  return AssignToKeyGroup(TypeSerializer<int64_t>::HashCode(key), kMaxParallelism);
}

class KeyedStateBackendTest : public ::testing::Test {
 protected:
  using Table = ValueTable<int64_t, int64_t>;

  void SetUp() override {
    directory_ = io::TempDirectory::Create("backend-test").value();
    for (const char* name : {"shared", "local"}) {
      ASSERT_TRUE(io::CreateDirectories(directory_.File(name)).ok());
    }
  }

  KeyedStateBackend::Options MakeOptions(KeyGroupRange range,
                                         std::vector<KeyedRestoreInput> restore = {}) {
    KeyedStateBackend::Options options;
    options.type = type_;
    options.directory = directory_.File("local/" + std::to_string(next_directory_++));
    options.operator_id = std::string(32, 'a');
    options.operator_name = "sum";
    options.key_groups = range;
    options.max_parallelism = kMaxParallelism;
    options.memory_budget_bytes = budget_;
    options.restore = std::move(restore);
    options.inline_threshold_bytes = inline_threshold_;
    options.io_pool = &pool_;
    options.post = [this](Mail mail) { mailbox_.Post(std::move(mail)); };
    return options;
  }
  std::unique_ptr<KeyedStateBackend> Open(KeyGroupRange range,
                                          std::vector<KeyedRestoreInput> restore = {}) {
    auto backend = KeyedStateBackend::Create(MakeOptions(range, std::move(restore)));
    EXPECT_TRUE(backend.ok()) << Message(backend.status());
    return backend.ok() ? std::move(backend).value() : nullptr;
  }

  KeyedSnapshotRequest Checkpoint(int64_t id, bool savepoint = false) {
    KeyedSnapshotRequest request;
    request.checkpoint_id = id;
    request.exclusive_directory = directory_.File("chk-" + std::to_string(id));
    if (!savepoint) request.shared_directory = directory_.File("shared");
    EXPECT_TRUE(io::CreateDirectories(request.exclusive_directory).ok());
    return request;
  }
  StatusOr<KeyedSnapshotResult> Take(KeyedStateBackend& backend,
                                     const KeyedSnapshotRequest& request,
                                     const std::function<void()>& between = nullptr) {
    std::optional<StatusOr<KeyedSnapshotResult>> result;
    backend.BeginSnapshot(request, [&](StatusOr<KeyedSnapshotResult> r) { result = std::move(r); });
    do {
      if (between) between();
    } while (backend.AdvanceSnapshot());
    mailbox_.RunUntil([&] { return result.has_value(); });
    return std::move(*result);
  }
  static KeyedRestoreInput Input(const KeyedSnapshotResult& result,
                                 const KeyedSnapshotRequest& request) {
    return {result.handle, request.exclusive_directory};
  }

  /// The files of the result with their checksums, by path; the JobManager's list of them is
  /// written.
  static std::map<std::string, uint64_t> ListFiles(const KeyedSnapshotResult& result,
                                                   const KeyedSnapshotRequest& request) {
    std::map<std::string, uint64_t> by_path;
    nlohmann::json json = {{"format_version", 2}, {"checksum", "xxh3-64"}};
    for (const auto& [name, checksum] : result.checksums) {
      const std::string path =
          name[0] == '/' ? name : io::JoinPath(request.exclusive_directory, name);
      json["files"][name] = {{"size", io::FileSize(path).value()},
                             {"checksum", fmt::format("{:016x}", checksum)}};
      by_path[path] = checksum;
    }
    const std::string side_file = io::JoinPath(request.exclusive_directory, "_flink_cpp.json");
    EXPECT_TRUE(io::PublishFile(side_file, json.dump()).ok());
    return by_path;
  }

  static void Fill(Table& table, KeyGroupRange range, int64_t keys, int64_t factor) {
    for (int64_t k = 0; k < keys; ++k) {
      if (range.Contains(GroupOf(k))) table.Upsert(k, table.Hash(k)) = k * factor;
    }
  }
  /// Keys found; all values must be key * factor.
  static std::set<int64_t> Keys(KeyedStateBackend& backend, Table& table, int64_t keys,
                                int64_t factor) {
    std::set<int64_t> found;
    for (int64_t k = 0; k < keys; ++k) {
      if (!backend.key_groups().Contains(GroupOf(k))) continue;
      if (const int64_t* v = table.Find(k, table.Hash(k))) {
        EXPECT_EQ(*v, k * factor);
        found.insert(k);
      }
    }
    return found;
  }
  static const IncrementalHandle& Incremental(const KeyedSnapshotResult& r) {
    return std::get<IncrementalHandle>(r.handle);
  }

  static constexpr KeyGroupRange kAll{0, kMaxParallelism - 1};
  std::string type_ = "rocksdb";
  uint64_t budget_ = 64 << 20;
  uint64_t inline_threshold_ = 20 << 10;
  int next_directory_ = 0;
  io::TempDirectory directory_;
  Mailbox mailbox_;
  WorkerPool pool_{"io", 2};
};

TEST_F(KeyedStateBackendTest, RestoresASnapshotOfTheSameKeyGroups) {
  const KeyedSnapshotRequest request = Checkpoint(1);
  KeyedSnapshotResult result;
  {
    auto backend = Open(kAll);
    Table table(*backend, "sum");
    Fill(table, kAll, 20'000, 3);
    auto taken = Take(*backend, request);
    ASSERT_TRUE(taken.ok()) << Message(taken.status());
    result = std::move(taken).value();
    // Later changes are not part of it.
    Fill(table, kAll, 20'000, 4);
  }
  EXPECT_GT(result.written_bytes, 20'000 * 16);
  for (const auto& [name, checksum] : result.checksums) {
    const std::string path =
        name[0] == '/' ? name : io::JoinPath(request.exclusive_directory, name);
    EXPECT_EQ(io::Checksum64OfFile(path).value(), checksum);
  }
  auto backend = Open(kAll, {Input(result, request)});
  Table table(*backend, "sum");
  EXPECT_EQ(Keys(*backend, table, 20'000, 3).size(), 20'000u);
}

TEST_F(KeyedStateBackendTest, DamagedFilesAreRefusedByName) {
  inline_threshold_ = 0;
  for (const SnapshotFormat format : {SnapshotFormat::kNative, SnapshotFormat::kCanonical}) {
    KeyedSnapshotRequest request = Checkpoint(format == SnapshotFormat::kNative ? 1 : 2);
    request.format = format;
    KeyedSnapshotResult result;
    {
      auto backend = Open(kAll);
      Table table(*backend, "sum");
      Fill(table, kAll, 5'000, 3);
      result = Take(*backend, request).value();
    }
    const KeyedRestoreInput input = Input(result, request);
    const std::map<std::string, uint64_t> files = ListFiles(result, request);
    ASSERT_FALSE(files.empty());
    // As it is, and rebuilt for fewer key groups.
    for (const KeyGroupRange range : {kAll, KeyGroupRange{0, 63}}) {
      for (const auto& [path, checksum] : files) {
        const std::string bytes = io::ReadFile(path).value();
        std::string damaged = bytes;
        damaged[bytes.size() / 2] = static_cast<char>(damaged[bytes.size() / 2] ^ 4);
        for (const std::string& content : {damaged, bytes.substr(1)}) {
          ASSERT_TRUE(io::PublishFile(path, content).ok());
          const auto refused = KeyedStateBackend::Create(MakeOptions(range, {input}));
          EXPECT_EQ(refused.status().code(), absl::StatusCode::kDataLoss) << refused.status();
          EXPECT_THAT(Message(refused.status()), HasSubstr(path));
        }
        ASSERT_TRUE(io::RemoveFile(path).ok());
        const auto missing = KeyedStateBackend::Create(MakeOptions(range, {input}));
        EXPECT_EQ(missing.status().code(), absl::StatusCode::kDataLoss) << missing.status();
        EXPECT_THAT(Message(missing.status()), HasSubstr(path));
        ASSERT_TRUE(io::PublishFile(path, bytes).ok());
      }
      auto backend = Open(range, {input});
      Table table(*backend, "sum");
      EXPECT_GT(Keys(*backend, table, 5'000, 3).size(), 1'000u);
    }
  }
}

TEST_F(KeyedStateBackendTest, ReusedFilesKeepTheirChecksumsAcrossARestore) {
  const KeyedSnapshotRequest first = Checkpoint(1);
  KeyedSnapshotResult result;
  {
    auto backend = Open(kAll);
    Table table(*backend, "sum");
    Fill(table, kAll, 50'000, 3);
    result = Take(*backend, first).value();
  }
  ListFiles(result, first);
  auto backend = Open(kAll, {Input(result, first)});
  Table table(*backend, "sum");
  const auto second = Take(*backend, Checkpoint(2));
  ASSERT_TRUE(second.ok()) << second.status();
  ASSERT_FALSE(second->shared_files.empty());
  EXPECT_TRUE(second->written_shared_files.empty()) << "the table files of the first one are there";
  for (const std::string& file : second->shared_files) {
    ASSERT_EQ(second->checksums.count(file), 1u) << file;
    EXPECT_EQ(second->checksums.at(file), io::Checksum64OfFile(file).value());
  }
  // A savepoint links what it knows, and names the same checksums.
  const KeyedSnapshotRequest third = Checkpoint(3, /*savepoint=*/true);
  const auto savepoint = Take(*backend, third);
  ASSERT_TRUE(savepoint.ok()) << savepoint.status();
  EXPECT_GE(savepoint->checksums.size(), second->shared_files.size());
  for (const auto& [name, checksum] : savepoint->checksums) {
    const std::string path = io::JoinPath(third.exclusive_directory, name);
    EXPECT_EQ(checksum, io::Checksum64OfFile(path).value()) << name;
  }
}

TEST_F(KeyedStateBackendTest, RecordsBetweenBarrierAndEndOfSweepAreNotInTheSnapshot) {
  const KeyedSnapshotRequest request = Checkpoint(1);
  KeyedSnapshotResult result;
  {
    auto backend = Open(kAll);
    Table table(*backend, "sum");
    Fill(table, kAll, 100'000, 3);
    int64_t next = 0;
    result = Take(*backend, request, [&] {
               for (int64_t i = 0; i < 997; ++i, next = (next + 7919) % 100'000) {
                 table.Upsert(next, table.Hash(next)) = -1;
                 const int64_t other = next + 200'000;
                 table.Upsert(other, table.Hash(other)) = 5;
                 const int64_t erased = 99'999 - next;
                 table.Erase(erased, table.Hash(erased));
               }
             }).value();
  }
  auto backend = Open(kAll, {Input(result, request)});
  Table table(*backend, "sum");
  EXPECT_EQ(Keys(*backend, table, 400'000, 3).size(), 100'000u);
}

TEST_F(KeyedStateBackendTest, RescalingFindsEveryKeyExactlyOnce) {
  const int64_t keys = 30'000;
  std::vector<KeyedRestoreInput> inputs;
  int64_t id = 1;
  const auto run = [&](int parallelism) {
    std::vector<KeyedRestoreInput> outputs;
    std::set<int64_t> all;
    size_t sum = 0;
    for (int i = 0; i < parallelism; ++i) {
      const KeyGroupRange range = RangeForOperator(kMaxParallelism, parallelism, i);
      auto backend = Open(range, inputs);
      Table table(*backend, "sum");
      TimerQueue<int64_t> timers(*backend, TimerQueue<int64_t>::Event("user-timers"));
      if (inputs.empty()) {
        Fill(table, range, keys, 7);
        for (int64_t k = 0; k < 500; ++k) timers.Register(k % 10, k);
      }
      const std::set<int64_t> found = Keys(*backend, table, keys, 7);
      sum += found.size() + timers.size();
      all.insert(found.begin(), found.end());
      ++id;
      KeyedSnapshotRequest request = Checkpoint(id, id % 2 == 0);
      if (parallelism == 3) request.format = SnapshotFormat::kCanonical;
      auto taken = Take(*backend, request);
      EXPECT_TRUE(taken.ok()) << Message(taken.status());
      outputs.push_back(Input(*taken, request));
    }
    EXPECT_EQ(all.size(), static_cast<size_t>(keys));
    EXPECT_EQ(sum, static_cast<size_t>(keys) + 500);
    inputs = outputs;
  };
  run(1);
  run(3);
  run(2);
  run(5);
  run(1);
}

TEST_F(KeyedStateBackendTest, IncrementalCheckpointUploadsOnlyNewTables) {
  auto backend = Open(kAll);
  Table table(*backend, "sum");
  Fill(table, kAll, 100'000, 1);
  const auto first = Take(*backend, Checkpoint(1)).value();
  ASSERT_FALSE(Incremental(first).shared_files.empty());
  for (int64_t k = 0; k < 2000; ++k) table.Upsert(k, table.Hash(k)) = 2 * k;
  // Not confirmed: nothing may be taken over.
  const auto second = Take(*backend, Checkpoint(2)).value();
  EXPECT_GT(second.written_bytes, first.written_bytes / 2);
  backend->NotifyCheckpointComplete(2);
  for (int64_t k = 0; k < 2000; ++k) table.Upsert(k, table.Hash(k)) = 3 * k;
  const auto third = Take(*backend, Checkpoint(3)).value();
  EXPECT_LT(third.written_bytes, first.written_bytes / 4);
  EXPECT_GE(third.state_bytes, first.state_bytes);
  for (const snapshot::LocalFile& old : Incremental(second).shared_files) {
    EXPECT_THAT(Incremental(third).shared_files, ::testing::Contains(old));
  }
  KeyedSnapshotRequest full = Checkpoint(4);
  full.full = true;
  const auto fourth = Take(*backend, full).value();
  EXPECT_GE(fourth.written_bytes, first.written_bytes);
  for (const std::string& path : fourth.shared_files) {
    EXPECT_THAT(third.shared_files, ::testing::Not(::testing::Contains(path)));
  }
}

TEST_F(KeyedStateBackendTest, RestoredInstanceTakesOverFilesOfItsCheckpoint) {
  inline_threshold_ = 0;
  const KeyedSnapshotRequest request = Checkpoint(1);
  KeyedSnapshotResult first;
  {
    auto backend = Open(kAll);
    Table table(*backend, "sum");
    Fill(table, kAll, 50'000, 1);
    first = Take(*backend, request).value();
  }
  ListFiles(first, request);
  auto backend = Open(kAll, {Input(first, request)});
  Table table(*backend, "sum");
  const auto second = Take(*backend, Checkpoint(2)).value();
  EXPECT_LT(second.written_bytes, 100'000);
  EXPECT_THAT(second.shared_files, ::testing::Contains(::testing::AnyOfArray(first.shared_files)));
}

TEST_F(KeyedStateBackendTest, SavepointIsSelfContained) {
  auto request = Checkpoint(1, /*savepoint=*/true);
  KeyedSnapshotResult result;
  {
    auto backend = Open(kAll);
    Table table(*backend, "sum");
    Fill(table, kAll, 50'000, 9);
    result = Take(*backend, request).value();
  }
  EXPECT_TRUE(result.shared_files.empty());
  EXPECT_TRUE(Incremental(result).shared_files.empty());
  const std::string moved = directory_.File("moved");
  ASSERT_TRUE(io::RenameFile(request.exclusive_directory, moved).ok());
  auto backend = Open(kAll, {{result.handle, moved}});
  Table table(*backend, "sum");
  EXPECT_EQ(Keys(*backend, table, 50'000, 9).size(), 50'000u);
}

TEST_F(KeyedStateBackendTest, RefusesARestoredStateOfAnotherType) {
  const KeyedSnapshotRequest request = Checkpoint(1);
  KeyedSnapshotResult result;
  {
    auto backend = Open(kAll);
    Table table(*backend, "sum");
    Fill(table, kAll, 10, 9);
    result = Take(*backend, request).value();
  }
  auto backend = Open(kAll, {Input(result, request)});
  try {
    ValueTable<int64_t, std::string> table(*backend, "sum");
    FAIL();
  } catch (const std::runtime_error& e) {
    EXPECT_THAT(e.what(), HasSubstr("\"sum\""));
    EXPECT_THAT(e.what(), HasSubstr("VALUE state of Long by Long"));
    EXPECT_THAT(e.what(), HasSubstr("VALUE state of String by Long"));
  }
  EXPECT_THROW((ValueTable<std::string, int64_t>(*backend, "sum")), std::runtime_error);
  EXPECT_THROW((ValueTable<int64_t, int64_t>(*backend, "sum", StateKind::kReducing)),
               std::runtime_error);
}

TEST_F(KeyedStateBackendTest, TimersComeBack) {
  const KeyedSnapshotRequest request = Checkpoint(1);
  KeyedSnapshotResult result;
  const std::string name = TimerQueue<std::string>::Event("user-timers");
  {
    auto backend = Open(kAll);
    TimerQueue<std::string> timers(*backend, name);
    for (int64_t t = 0; t < 5000; ++t) timers.Register(t - 2500, "k" + std::to_string(t % 7));
    timers.Delete(-2500, "k0");
    result = Take(*backend, request).value();
  }
  auto backend = Open(kAll, {Input(result, request)});
  TimerQueue<std::string> timers(*backend, name);
  EXPECT_EQ(timers.size(), 4999u);
  int64_t time = 0;
  std::string key;
  for (int64_t t = 1; t < 5000; ++t) {
    ASSERT_TRUE(timers.PopDue(10'000, &time, &key));
    EXPECT_EQ(time, t - 2500);
    EXPECT_EQ(key, "k" + std::to_string(t % 7));
  }
}

TEST_F(KeyedStateBackendTest, StateLargerThanTheBudgetSurvivesManyCheckpoints) {
  budget_ = 4 << 20;  // Some 30,000 entries.
  std::map<int64_t, int64_t> model;
  std::mt19937_64 random(5);
  KeyedSnapshotRequest request;
  KeyedSnapshotResult result;
  std::map<int64_t, int64_t> at_barrier;
  {
    auto backend = Open(kAll);
    Table table(*backend, "sum");
    for (int64_t id = 1; id <= 5; ++id) {
      for (int i = 0; i < 60'000; ++i) {
        const auto k = static_cast<int64_t>(random() % 150'000);
        table.Upsert(k, table.Hash(k)) += i;
        model[k] += i;
      }
      at_barrier = model;
      request = Checkpoint(id);
      auto taken = Take(*backend, request, [&] {
        for (int i = 0; i < 2000; ++i) {
          const auto k = static_cast<int64_t>(random() % 150'000);
          table.Upsert(k, table.Hash(k)) += i;
          model[k] += i;
        }
      });
      ASSERT_TRUE(taken.ok()) << Message(taken.status());
      result = std::move(taken).value();
      backend->NotifyCheckpointComplete(id);
    }
    EXPECT_LE(table.MemoryBytes(), budget_);
  }
  auto backend = Open(kAll, {Input(result, request)});
  Table table(*backend, "sum");
  for (int64_t k = 0; k < 150'000; ++k) {
    const int64_t* v = table.Find(k, table.Hash(k));
    const auto it = at_barrier.find(k);
    ASSERT_EQ(v != nullptr, it != at_barrier.end());
    if (v != nullptr) {
      ASSERT_EQ(*v, it->second) << k;
    }
  }
}

TEST_F(KeyedStateBackendTest, SnapshotsMayOverlap) {
  auto backend = Open(kAll);
  Table table(*backend, "sum");
  std::map<int64_t, StatusOr<KeyedSnapshotResult>> results;
  std::vector<KeyedSnapshotRequest> requests;
  for (int64_t id = 1; id <= 4; ++id) {
    Fill(table, kAll, 50'000, id);
    requests.push_back(Checkpoint(id));
    backend->BeginSnapshot(requests.back(), [&results, id](StatusOr<KeyedSnapshotResult> r) {
      results.emplace(id, std::move(r));
    });
    backend->AdvanceSnapshot();
  }
  while (backend->AdvanceSnapshot()) {
  }
  mailbox_.RunUntil([&] { return results.size() == 4; });
  for (int64_t id = 1; id <= 4; ++id) {
    ASSERT_TRUE(results.at(id).ok()) << Message(results.at(id).status());
    auto restored = Open(kAll, {Input(*results.at(id), requests[static_cast<size_t>(id - 1)])});
    Table again(*restored, "sum");
    EXPECT_EQ(Keys(*restored, again, 50'000, id).size(), 50'000u);
  }
}

TEST_F(KeyedStateBackendTest, FailedWriteIsReportedAndTheNextSnapshotWorks) {
  auto backend = Open(kAll);
  Table table(*backend, "sum");
  Fill(table, kAll, 50'000, 2);
  KeyedSnapshotRequest missing = Checkpoint(1);
  missing.shared_directory = directory_.File("nowhere");
  const auto failed = Take(*backend, missing);
  ASSERT_FALSE(failed.ok());
  EXPECT_THAT(Message(failed.status()), HasSubstr("nowhere"));
  const auto request = Checkpoint(2);
  const auto result = Take(*backend, request);
  ASSERT_TRUE(result.ok()) << Message(result.status());
  auto restored = Open(kAll, {Input(*result, request)});
  Table again(*restored, "sum");
  EXPECT_EQ(Keys(*restored, again, 50'000, 2).size(), 50'000u);
}

TEST_F(KeyedStateBackendTest, NothingIsSnapshotBehindAFailedFlush) {
  // The flush and the snapshot behind it wait in the pool together.
  WorkerPool pool("one", 1);
  auto options = MakeOptions(kAll);
  options.io_pool = &pool;
  auto backend = KeyedStateBackend::Create(options).value();
  Table table(*backend, "sum");
  Fill(table, kAll, 50'000, 2);
  std::promise<void> go;
  ASSERT_TRUE(pool.Submit([&] { go.get_future().wait(); }));
  // In the way of the file of the flush.
  ASSERT_TRUE(io::CreateDirectories(options.directory + "/tmp-0-0.sst").ok());
  static_cast<KeyedStateStore&>(*backend).StartFlush(&table);
  table.Upsert(1, table.Hash(1)) = 7;
  std::optional<StatusOr<KeyedSnapshotResult>> result;
  backend->BeginSnapshot(Checkpoint(1),
                         [&](StatusOr<KeyedSnapshotResult> r) { result = std::move(r); });
  while (backend->AdvanceSnapshot()) {
  }
  go.set_value();
  mailbox_.RunUntil([&] { return result.has_value(); });
  EXPECT_FALSE(result->ok());
  EXPECT_THROW(backend->BeginSnapshot(Checkpoint(2), [](const auto&) {}), std::runtime_error);
}

TEST_F(KeyedStateBackendTest, ASnapshotThatFailsLeavesNothingInTheSharedDirectory) {
  inline_threshold_ = 0;
  auto backend = Open(kAll);
  Table table(*backend, "sum");
  Fill(table, kAll, 50'000, 2);
  KeyedSnapshotRequest missing = Checkpoint(1);
  missing.exclusive_directory = directory_.File("nowhere");
  ASSERT_FALSE(Take(*backend, missing).ok());
  EXPECT_THAT(io::ListDirectory(directory_.File("shared")).value(), ::testing::IsEmpty());
}

TEST_F(KeyedStateBackendTest, DamagedFileIsNamed) {
  inline_threshold_ = 0;
  const KeyedSnapshotRequest request = Checkpoint(1);
  KeyedSnapshotResult result;
  {
    auto backend = Open(kAll);
    Table table(*backend, "sum");
    Fill(table, kAll, 50'000, 1);
    result = Take(*backend, request).value();
  }
  const std::string path = result.shared_files.front();
  ASSERT_TRUE(io::RemoveFile(path).ok());
  ASSERT_TRUE(io::WriteFileDurably(path, "short").ok());
  const auto backend = KeyedStateBackend::Create(MakeOptions(kAll, {Input(result, request)}));
  ASSERT_FALSE(backend.ok());
  EXPECT_THAT(Message(backend.status()), HasSubstr(path));
}

TEST_F(KeyedStateBackendTest, HashmapKeepsAllInMemory) {
  type_ = "hashmap";
  budget_ = 1 << 20;
  const KeyedSnapshotRequest request = Checkpoint(1);
  KeyedSnapshotResult result;
  {
    auto backend = Open(kAll);
    Table table(*backend, "sum");
    Fill(table, kAll, 200'000, 3);
    EXPECT_EQ(table.size(), 200'000u);
    result = Take(*backend, request).value();
  }
  auto backend = Open(kAll, {Input(result, request)});
  Table table(*backend, "sum");
  EXPECT_EQ(table.size(), 200'000u);
}

TEST_F(KeyedStateBackendTest, OperatorWithoutStateHasNoHandle) {
  auto backend = Open(kAll);
  const auto result = Take(*backend, Checkpoint(1)).value();
  EXPECT_TRUE(std::holds_alternative<std::monostate>(result.handle));
}

TEST_F(KeyedStateBackendTest, ATypeThatFlinkDoesNotKnowComesBackFromACanonicalSavepoint) {
  KeyedSnapshotRequest request = Checkpoint(1, /*savepoint=*/true);
  request.format = SnapshotFormat::kCanonical;
  KeyedSnapshotResult result;
  {
    auto backend = Open(kAll);
    ValueTable<int64_t, Money> table(*backend, "money");
    table.Upsert(7, table.Hash(7)).cents = 250;
    result = Take(*backend, request).value();
  }
  auto backend = Open(kAll, {Input(result, request)});
  ValueTable<int64_t, Money> table(*backend, "money");
  ASSERT_NE(table.Find(7, table.Hash(7)), nullptr);
  EXPECT_EQ(table.Find(7, table.Hash(7))->cents, 250);
}

TEST_F(KeyedStateBackendTest, ATypeWhoseDescriptionCannotBeReadAgainIsRefusedAtOnce) {
  StateDescription description;
  description.name = "money";
  description.key_snapshot = TypeSerializer<int64_t>::Snapshot();
  description.namespace_snapshot = StateKeyTraits<int64_t>::NamespaceSnapshot();
  description.value_snapshot = "Money";
  auto backend = Open(kAll);
  try {
    static_cast<KeyedStateStore&>(*backend).RegisterState(description);
    FAIL();
  } catch (const std::runtime_error& e) {
    EXPECT_THAT(e.what(), HasSubstr("\"money\""));
    EXPECT_THAT(e.what(), HasSubstr("Snapshot()"));
  }
}

TEST_F(KeyedStateBackendTest, ACanonicalSavepointThatNobodyWaitsForEndsEarly) {
  inline_threshold_ = 0;
  // Its turn comes when it has been given up.
  WorkerPool pool("one", 1);
  auto options = MakeOptions(kAll);
  options.io_pool = &pool;
  auto backend = KeyedStateBackend::Create(options).value();
  Table table(*backend, "sum");
  Fill(table, kAll, 50'000, 2);
  KeyedSnapshotRequest request = Checkpoint(1, /*savepoint=*/true);
  request.format = SnapshotFormat::kCanonical;
  std::promise<void> go;
  ASSERT_TRUE(pool.Submit([&] { go.get_future().wait(); }));
  std::optional<StatusOr<KeyedSnapshotResult>> result;
  backend->BeginSnapshot(request, [&](StatusOr<KeyedSnapshotResult> r) { result = std::move(r); });
  while (backend->AdvanceSnapshot()) {
  }
  backend->NotifyCheckpointAborted(1);
  go.set_value();
  mailbox_.RunUntil([&] { return result.has_value(); });
  EXPECT_EQ(result->status().code(), absl::StatusCode::kCancelled);
  EXPECT_THAT(io::ListDirectory(request.exclusive_directory).value(), ::testing::IsEmpty());
}

TEST_F(KeyedStateBackendTest, FlushesDoNotWaitForTheFilesOfSnapshots) {
  WorkerPool io("io", 1);
  auto options = MakeOptions(kAll);
  options.io_pool = &io;
  options.flush_pool = &pool_;
  auto backend = KeyedStateBackend::Create(options).value();
  Table table(*backend, "sum");
  std::promise<void> go;
  ASSERT_TRUE(io.Submit([&] { go.get_future().wait(); }));
  std::optional<StatusOr<KeyedSnapshotResult>> result;
  backend->BeginSnapshot(Checkpoint(1),
                         [&](StatusOr<KeyedSnapshotResult> r) { result = std::move(r); });
  while (backend->AdvanceSnapshot()) {
  }
  Fill(table, kAll, 10'000, 2);
  static_cast<KeyedStateStore&>(*backend).FlushTable(&table);
  EXPECT_FALSE(result.has_value()) << "its files wait";
  go.set_value();
  mailbox_.RunUntil([&] { return result.has_value(); });
  EXPECT_TRUE(result->ok()) << Message(result->status());
}

TEST_F(KeyedStateBackendTest, StateThatTheJobDoesNotReadStaysInSnapshots) {
  auto request = Checkpoint(1);
  KeyedSnapshotResult result;
  {
    auto backend = Open(kAll);
    Table table(*backend, "sum");
    Fill(table, kAll, 5000, 3);
    result = Take(*backend, request).value();
  }
  {
    auto backend = Open(kAll, {Input(result, request)});
    Table other(*backend, "other");
    request = Checkpoint(2, true);
    request.format = SnapshotFormat::kCanonical;
    result = Take(*backend, request).value();
  }
  EXPECT_EQ(std::get<KeyGroupsHandle>(result.handle).offsets.size(), 128u);
  auto backend = Open(kAll, {Input(result, request)});
  Table table(*backend, "sum");
  EXPECT_EQ(Keys(*backend, table, 5000, 3).size(), 5000u);
}

}  // namespace
}  // namespace flink::taskmanager
