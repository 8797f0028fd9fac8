// Keyed-state throughput in million records per second of the task thread's CPU time: ValueTable
// over the RocksDB backend, and RocksDB alone.
//
//   state_bench [millions of records, default 20] [keys of the large state, default 10000000]
//               [small|large|zipf|plain|checkpoint ...]
//
// Start with GLIBC_TUNABLES=glibc.malloc.hugetlb=1 for huge pages.

#include <rocksdb/db.h>
#include <time.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "common/concurrency/mailbox.h"
#include "common/concurrency/worker_pool.h"
#include "common/io/file_system.h"
#include "common/io/temp_directory.h"
#include "flink/state/value_table.h"
#include "taskmanager/state/keyed_state_backend.h"
#include "taskmanager/state/rocksdb_store.h"

namespace flink::taskmanager {
namespace {

/// CPU time of the calling thread: other work on the machine then hardly matters.
struct Clock {
  using time_point = double;
  static double now() {
    timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_nsec) * 1e-9;
  }
};
using Table = ValueTable<int64_t, int64_t>;

double Seconds(Clock::time_point since) { return Clock::now() - since; }
double WallSeconds() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

/// Ranks with a Zipf distribution, scattered over the key space.
std::vector<int64_t> ZipfKeys(size_t n, int64_t keys, double theta) {
  std::mt19937_64 random(1);
  std::uniform_real_distribution<double> uniform(0, 1);
  double zeta = 0;
  for (int64_t i = 1; i <= keys; ++i) zeta += 1 / std::pow(static_cast<double>(i), theta);
  const double alpha = 1 / (1 - theta);
  const double zeta2 = 1 + std::pow(0.5, theta);
  const double eta =
      (1 - std::pow(2.0 / static_cast<double>(keys), 1 - theta)) / (1 - zeta2 / zeta);
  std::vector<int64_t> out(n);
  for (int64_t& key : out) {
    const double u = uniform(random);
    const double uz = u * zeta;
    int64_t rank;
    if (uz < 1)
      rank = 0;
    else if (uz < zeta2)
      rank = 1;
    else
      rank = static_cast<int64_t>(static_cast<double>(keys) * std::pow(eta * u - eta + 1, alpha));
    key = static_cast<int64_t>(static_cast<uint64_t>(rank) * 0x9e3779b97f4a7c15ull %
                               static_cast<uint64_t>(keys));
  }
  return out;
}
std::vector<int64_t> UniformKeys(size_t n, int64_t keys) {
  std::mt19937_64 random(1);
  std::vector<int64_t> out(n);
  for (int64_t& key : out) key = static_cast<int64_t>(random() % static_cast<uint64_t>(keys));
  return out;
}

struct Task {
  explicit Task(uint64_t budget, std::vector<KeyedRestoreInput> restore = {}) {
    directory = io::TempDirectory::Create("state-bench").value();
    KeyedStateBackend::Options options;
    options.directory = directory.File("local");
    options.key_groups = {0, 127};
    options.memory_budget_bytes = budget;
    options.restore = std::move(restore);
    options.io_pool = &pool;
    options.post = [this](Mail mail) { mailbox.Post(std::move(mail)); };
    backend = KeyedStateBackend::Create(options).value();
    table = std::make_unique<Table>(*backend, "sum");
  }
  ~Task() {
    backend.reset();
    table.reset();
  }
  void Sum(const int64_t* keys, size_t n) {
    for (size_t at = 0; at < n; at += kBatch) {
      const size_t count = std::min(kBatch, n - at);
      for (size_t i = 0; i < count; ++i) {
        pointers[i] = keys + at + i;
        hashes[i] = Table::Hash(keys[at + i]);
      }
      table->Load(pointers, hashes, count);
      constexpr size_t kAhead = 16;
      for (size_t i = 0; i < kAhead && i < count; ++i) table->Prefetch(hashes[i]);
      for (size_t i = 0; i < count; ++i) {
        if (i + kAhead < count) table->Prefetch(hashes[i + kAhead]);
        table->Upsert(*pointers[i], hashes[i]) += 1;
      }
      mailbox.TryRunAll();
      backend->AdvanceSnapshot();
    }
  }
  /// A savepoint of everything.
  KeyedRestoreInput Save(const std::string& where) {
    KeyedSnapshotRequest request;
    request.exclusive_directory = where;
    IgnoreError(io::CreateDirectories(where), "a benchmark");
    KeyedRestoreInput out;
    bool done = false;
    backend->BeginSnapshot(request, [&](StatusOr<KeyedSnapshotResult> r) {
      out = {std::move(r).value().handle, where};
      done = true;
    });
    while (backend->AdvanceSnapshot()) {
    }
    mailbox.RunUntil([&] { return done; });
    return out;
  }
  static constexpr size_t kBatch = 1024;
  io::TempDirectory directory;
  WorkerPool pool{"io", 2};
  Mailbox mailbox;
  std::unique_ptr<KeyedStateBackend> backend;
  std::unique_ptr<Table> table;
  const int64_t* pointers[kBatch];
  uint64_t hashes[kBatch];
};

std::vector<int64_t> AllKeys(int64_t keys) {
  std::vector<int64_t> out(static_cast<size_t>(keys));
  for (size_t i = 0; i < out.size(); ++i) {
    out[i] = static_cast<int64_t>(i * 0x9e3779b97f4a7c15ull % static_cast<uint64_t>(keys));
  }
  return out;
}

void Cached(const char* name, uint64_t budget, int64_t key_count,
            const std::vector<int64_t>& keys) {
  Task task(budget);
  const std::vector<int64_t> all = AllKeys(key_count);
  auto start = Clock::now();
  task.Sum(all.data(), all.size());
  const double build = Seconds(start);
  start = Clock::now();
  task.Sum(keys.data(), keys.size() / 2);
  const double first = Seconds(start);
  const double wall = WallSeconds();
  start = Clock::now();
  task.Sum(keys.data() + keys.size() / 2, keys.size() - keys.size() / 2);
  const double half = static_cast<double>(keys.size()) / 2e6;
  std::printf(
      "%-34s build %7.2f  first half %7.2f  second half %7.2f (wall %.2f) M rec/s, %zu entries, "
      "%zu MB\n",
      name, static_cast<double>(key_count) / build / 1e6, half / first, half / Seconds(start),
      half / (WallSeconds() - wall), task.table->size(), task.table->MemoryBytes() >> 20);
  std::fflush(stdout);
}

/// The state exists, and a part of it fits into memory.
void Restored(const char* name, uint64_t budget, int64_t key_count,
              const std::vector<int64_t>& keys) {
  const io::TempDirectory saved = io::TempDirectory::Create("state-bench").value();
  KeyedRestoreInput input;
  {
    Task all_in_memory(4ull << 30);
    const std::vector<int64_t> all = AllKeys(key_count);
    all_in_memory.Sum(all.data(), all.size());
    input = all_in_memory.Save(saved.File("savepoint"));
  }
  Task task(budget, {input});
  const size_t half = keys.size() / 2;
  task.Sum(keys.data(), half);
  const auto start = Clock::now();
  const double wall = WallSeconds();
  task.Sum(keys.data() + half, half);
  const double millions = static_cast<double>(half) / 1e6;
  std::printf("%-34s %7.3f (wall %.3f) M rec/s, %zu entries, %zu MB\n", name,
              millions / Seconds(start), millions / (WallSeconds() - wall), task.table->size(),
              task.table->MemoryBytes() >> 20);
  std::fflush(stdout);
}

void Plain(const char* name, int64_t key_count, const std::vector<int64_t>& keys) {
  const io::TempDirectory directory = io::TempDirectory::Create("state-bench").value();
  auto store = RocksDbStore::Open({directory.File("plain"), 64 << 20, 32 << 20}).value();
  rocksdb::ColumnFamilyHandle* family = store->CreateColumnFamily("sum").value();
  SstBuilder builder(store->builder_options(), store->NextTemporaryPrefix());
  BufferWriter key;
  for (int64_t k = 0; k < key_count; ++k) {
    key.Clear();
    key.Put<uint8_t>(0);
    key.Put<int64_t>(k);
    key.Put<uint8_t>(0);
    IgnoreError(builder.Put(key.view(), "01234567"), "a benchmark");
  }
  IgnoreError(store->Ingest(family, builder.Finish().value()), "a benchmark");
  rocksdb::WriteOptions write;
  write.disableWAL = true;
  rocksdb::PinnableSlice value;
  const auto start = Clock::now();
  for (const int64_t k : keys) {
    key.Clear();
    key.Put<uint8_t>(0);
    key.Put<int64_t>(k);
    key.Put<uint8_t>(0);
    int64_t sum = 0;
    const auto got = store->db()->Get(rocksdb::ReadOptions(), family, ToSlice(key.view()), &value);
    if (got.ok()) std::memcpy(&sum, value.data(), sizeof sum);
    value.Reset();
    ++sum;
    store->db()
        ->Put(write, family, ToSlice(key.view()),
              rocksdb::Slice(reinterpret_cast<const char*>(&sum), sizeof sum))
        .PermitUncheckedError();
  }
  std::printf("%-34s %7.3f M rec/s\n", name,
              static_cast<double>(keys.size()) / Seconds(start) / 1e6);
  std::fflush(stdout);
}

/// The longest time one batch takes while a checkpoint of many dirty entries is taken.
void CheckpointPause(int64_t key_count, const std::vector<int64_t>& keys) {
  Task task(4ull << 30);
  const std::vector<int64_t> all = AllKeys(key_count);
  task.Sum(all.data(), all.size());
  for (int64_t id = 1; id <= 3; ++id) {
    task.Sum(keys.data(), keys.size() / 2);
    KeyedSnapshotRequest request;
    request.checkpoint_id = id;
    request.exclusive_directory = task.directory.File("chk-" + std::to_string(id));
    request.shared_directory = task.directory.File("shared");
    IgnoreError(io::CreateDirectories(request.exclusive_directory), "a benchmark");
    IgnoreError(io::CreateDirectories(request.shared_directory), "a benchmark");
    bool done = false;
    const auto start = WallSeconds();
    task.backend->BeginSnapshot(request, [&](StatusOr<KeyedSnapshotResult> r) {
      done = true;
      std::printf("  checkpoint %d: %s, %.1f MB written, ", static_cast<int>(id),
                  r.ok() ? "ok" : Message(r.status()).c_str(),
                  r.ok() ? static_cast<double>(r->written_bytes) / 1e6 : 0.0);
    });
    const double begin = (WallSeconds() - start);
    double worst = 0;
    size_t at = 0;
    size_t records = 0;
    while (!done) {
      const auto batch = WallSeconds();
      task.Sum(keys.data() + at, Task::kBatch);
      worst = std::max(worst, WallSeconds() - batch);
      at = (at + Task::kBatch) % (keys.size() - Task::kBatch);
      records += Task::kBatch;
    }
    const double total = (WallSeconds() - start);
    std::printf("begin %.3f ms, worst batch %.2f ms, all %.2f s, %.2f M rec/s meanwhile\n",
                begin * 1e3, worst * 1e3, total, static_cast<double>(records) / total / 1e6);
    std::fflush(stdout);
    task.backend->NotifyCheckpointComplete(id);
  }
}

int Main(int argc, char** argv) {
  const double millions = argc > 1 ? std::atof(argv[1]) : 20;
  const auto n = static_cast<size_t>(millions * 1e6);
  const auto wanted = [&](const char* name) {
    for (int i = 3; i < argc; ++i) {
      if (std::strcmp(argv[i], name) == 0) return true;
    }
    return argc <= 3;
  };
  const int64_t large = argc > 2 ? std::atoll(argv[2]) : 10'000'000;
  if (wanted("small")) {
    Cached("100k keys uniform, all cached", 1ull << 30, 100'000, UniformKeys(n, 100'000));
  }
  if (wanted("large")) {
    Cached("large, uniform, all cached", 4ull << 30, large, UniformKeys(n, large));
  }
  if (wanted("zipf")) {
    // 36 bytes per entry, for a tenth of the keys; three eighths go to block cache and memtables.
    const auto budget = static_cast<uint64_t>(large) * 36 / 10 * 8 / 5;
    Restored("large, zipf, a tenth cached", budget, large, ZipfKeys(n / 4, large, 0.99));
  }
  if (wanted("plain")) {
    Plain("large, zipf, RocksDB Get+Put", large, ZipfKeys(n / 20, large, 0.99));
    Plain("100k keys uniform, RocksDB Get+Put", 100'000, UniformKeys(n / 20, 100'000));
  }
  if (wanted("checkpoint")) CheckpointPause(large, UniformKeys(n, large));
  return 0;
}

}  // namespace
}  // namespace flink::taskmanager

int main(int argc, char** argv) { return flink::taskmanager::Main(argc, argv); }
