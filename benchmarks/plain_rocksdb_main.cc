// The yardstick for keyed state: one thread, one RocksDB, Get and Put of an 8-byte sum per record.
//
//   plain_rocksdb DIRECTORY RECORDS KEYS CACHE_MEGABYTES uniform|zipf
// Loads every key once, then prints: records, sum of all running sums, CPU seconds, RocksDB
// version.

#include <rocksdb/db.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/table.h>
#include <rocksdb/version.h>
#include <sys/resource.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>

#include "benchmarks/zipf.h"

namespace {

double CpuSeconds() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         1e-6 * static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
}

rocksdb::Options MakeOptions(size_t cache_bytes) {
  rocksdb::Options options;
  options.create_if_missing = true;
  options.write_buffer_size = 16 << 20;
  options.memtable_whole_key_filtering = true;
  options.memtable_prefix_bloom_size_ratio = 0.1;
  options.compression = rocksdb::kNoCompression;
  rocksdb::BlockBasedTableOptions table;
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  table.block_cache = rocksdb::NewLRUCache(cache_bytes);
  options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return options;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 6) {
    std::fprintf(stderr, "usage: %s DIRECTORY RECORDS KEYS CACHE_MEGABYTES uniform|zipf\n",
                 argv[0]);
    return 2;
  }
  const uint64_t records = std::strtoull(argv[2], nullptr, 10);
  const uint64_t keys = std::strtoull(argv[3], nullptr, 10);
  const bool is_zipf = std::strcmp(argv[5], "zipf") == 0;
  rocksdb::DB* raw = nullptr;
  const auto options = MakeOptions(std::strtoull(argv[4], nullptr, 10) << 20);
  if (!rocksdb::DB::Open(options, argv[1], &raw).ok()) return 1;
  std::unique_ptr<rocksdb::DB> db(raw);
  rocksdb::WriteOptions write;
  write.disableWAL = true;
  const auto add = [&](int64_t key) {
    char bytes[10] = {};
    const uint64_t swapped = __builtin_bswap64(static_cast<uint64_t>(key));
    std::memcpy(bytes + 1, &swapped, 8);
    std::string value;
    int64_t sum = 0;
    if (db->Get({}, {bytes, sizeof bytes}, &value).ok()) std::memcpy(&sum, value.data(), 8);
    ++sum;
    db->Put(write, {bytes, sizeof bytes}, {reinterpret_cast<const char*>(&sum), 8});
    return sum;
  };
  const flink::benchmarks::Zipf zipf(is_zipf ? keys : 2, 0.99);
  for (uint64_t i = 0; i < keys; ++i) add(static_cast<int64_t>(i));
  const double begin = CpuSeconds();
  uint64_t total = 0;
  for (uint64_t i = 0; i < records; ++i) {
    total += static_cast<uint64_t>(add(is_zipf ? flink::benchmarks::ZipfKey(i, keys, zipf)
                                               : flink::benchmarks::UniformKey(i, keys)));
  }
  std::printf("%llu %llu %.3f %d.%d.%d\n", static_cast<unsigned long long>(records),
              static_cast<unsigned long long>(total), CpuSeconds() - begin, ROCKSDB_MAJOR,
              ROCKSDB_MINOR, ROCKSDB_PATCH);
  return 0;
}
