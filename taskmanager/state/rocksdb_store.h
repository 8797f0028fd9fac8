#pragma once

/// RocksDbStore: one RocksDB instance with a column family per state, set up for a write-back cache
/// in front of it: rows arrive in bulk, sorted, and are ingested as files; there is no write-ahead
/// log, because snapshots are what survives.
///
/// Threading: reads from any thread; ApplyRows, Ingest, CreateColumnFamily and CreateCheckpoint
/// from one thread at a time each. Not copyable.

#include <rocksdb/db.h>
#include <rocksdb/sst_file_writer.h>

#include <atomic>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"
#include "flink/keyed_state_store.h"
#include "taskmanager/state/compaction_brake.h"

namespace flink::taskmanager {

/// What went wrong in RocksDB, `what` saying during which work.
Status FromRocksDb(const rocksdb::Status& status, std::string_view what);

/// Lists in RocksDB files of Apache Flink are elements that have yet to be put together, also when
/// they are only carried along.
Status AddListMerge(rocksdb::ColumnFamilyOptions* options);

inline rocksdb::Slice ToSlice(std::string_view s) { return {s.data(), s.size()}; }
inline std::string_view ToView(const rocksdb::Slice& s) { return {s.data(), s.size()}; }

/// Sorted rows to SST files below a directory, a new file every 64 MiB. Keys must come in strictly
/// ascending order. Externally synchronized.
class SstBuilder {
 public:
  /// Files are called `<prefix><n>.sst`.
  SstBuilder(const rocksdb::Options& options, std::string prefix);

  Status Put(std::string_view key, std::string_view value);
  Status Delete(std::string_view key);
  /// The files written; none when there were no rows.
  StatusOr<std::vector<std::string>> Finish();

 private:
  Status EnsureOpen();
  Status CloseFile();

  rocksdb::Options options_;
  std::string prefix_;
  std::unique_ptr<rocksdb::SstFileWriter> writer_;
  std::vector<std::string> files_;
};

/// A row of several sets of rows.
struct RowRef {
  uint32_t set = 0;
  uint32_t row = 0;
};
/// The rows of all sets by key, in unsigned byte order; of rows with the same key only the last
/// one.
std::vector<RowRef> SortedOrder(const std::vector<EncodedRows>& sets);

class RocksDbStore {
 public:
  struct Options {
    std::string directory;  // "<directory>/db" is the instance.
    uint64_t block_cache_bytes = 64 << 20;
    uint64_t memtable_bytes = 32 << 20;
  };

  /// Opens what is in "<directory>/db" with all its column families, or creates it.
  static StatusOr<std::unique_ptr<RocksDbStore>> Open(const Options& options);
  ~RocksDbStore();
  RocksDbStore(const RocksDbStore&) = delete;
  RocksDbStore& operator=(const RocksDbStore&) = delete;

  /// nullptr when there is none of this name.
  rocksdb::ColumnFamilyHandle* FindColumnFamily(const std::string& name);
  StatusOr<rocksdb::ColumnFamilyHandle*> CreateColumnFamily(const std::string& name);
  /// Names without "default".
  std::vector<std::string> ColumnFamilyNames() const;

  /// Few rows go to the memtable, many into files that are ingested.
  Status ApplyRows(rocksdb::ColumnFamilyHandle* family, const std::vector<EncodedRows>& sets);
  /// Moves sorted files into the column family.
  Status Ingest(rocksdb::ColumnFamilyHandle* family, const std::vector<std::string>& files);
  /// Hard links of all live files in a new directory.
  Status CreateCheckpoint(const std::string& directory);
  /// While it lives, compactions that can wait do.
  CompactionBrake::Hold HoldCompactions() { return CompactionBrake::Hold(brake_); }

  rocksdb::DB* db() { return db_.get(); }
  /// For SstBuilder.
  rocksdb::Options builder_options() const;
  /// A path prefix for temporary files beside the instance, never given out twice.
  std::string NextTemporaryPrefix();

 private:
  explicit RocksDbStore(Options options) : options_(std::move(options)) {}
  Status OpenInstance();

  Options options_;
  std::shared_ptr<CompactionBrake> brake_ = std::make_shared<CompactionBrake>();
  rocksdb::DBOptions db_options_;
  rocksdb::ColumnFamilyOptions family_options_;
  std::unique_ptr<rocksdb::DB> db_;
  mutable std::mutex mutex_;
  std::map<std::string, rocksdb::ColumnFamilyHandle*> families_;  // guarded by mutex_
  std::atomic<uint64_t> next_temporary_{0};
};

}  // namespace flink::taskmanager
