#include "taskmanager/state/rocksdb_store.h"

#include <rocksdb/cache.h>
#include <rocksdb/convenience.h>
#include <rocksdb/filter_policy.h>
#include <rocksdb/merge_operator.h>
#include <rocksdb/table.h>
#include <rocksdb/utilities/checkpoint.h>

#include <algorithm>
#include <cstring>

#include "common/io/file_system.h"

namespace flink::taskmanager {
namespace {

/// Below this many rows a file of their own costs more than the memtable.
constexpr size_t kMinRowsForFile = 1000;
constexpr uint64_t kMaxSstBytes = 64 << 20;

rocksdb::DBOptions MakeDbOptions(const RocksDbStore::Options& options) {
  rocksdb::DBOptions db;
  db.create_if_missing = true;
  db.max_open_files = -1;
  db.max_background_jobs = 2;
  db.db_write_buffer_size = options.memtable_bytes;
  db.avoid_flush_during_shutdown = true;
  db.info_log_level = rocksdb::InfoLogLevel::ERROR_LEVEL;
  db.keep_log_file_num = 1;
  db.stats_dump_period_sec = 0;
  db.stats_persist_period_sec = 0;
  return db;
}

rocksdb::ColumnFamilyOptions MakeFamilyOptions(const RocksDbStore::Options& options) {
  rocksdb::ColumnFamilyOptions family;
  family.write_buffer_size = std::max<uint64_t>(options.memtable_bytes / 2, 1 << 20);
  family.max_write_buffer_number = 2;
  family.memtable_prefix_bloom_size_ratio = 0.02;
  family.memtable_whole_key_filtering = true;
  family.compression = rocksdb::kNoCompression;
  // Every checkpoint and every flush of a cache adds a file to level 0 that covers all keys. Each
  // one costs a look per Get, but each compaction rewrites the whole level below, for which they
  // wait for each other.
  family.level0_file_num_compaction_trigger = 8;
  family.level0_slowdown_writes_trigger = 24;
  family.level0_stop_writes_trigger = 48;
  family.level_compaction_dynamic_level_bytes = true;
  // As much as waits in level 0 then, so that smaller states are rewritten once and not twice.
  family.max_bytes_for_level_base = 512 << 20;
  family.target_file_size_base = 32 << 20;
  rocksdb::BlockBasedTableOptions table;
  table.block_cache = rocksdb::NewLRUCache(options.block_cache_bytes);
  table.cache_index_and_filter_blocks = false;
  table.filter_policy.reset(rocksdb::NewBloomFilterPolicy(10));
  table.whole_key_filtering = true;
  table.format_version = 5;
  // Several times as fast as CRC32C where RocksDB was built without the instructions for that.
  table.checksum = rocksdb::kXXH3;
  family.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  return family;
}

/// The first 8 bytes as a number that sorts as they do.
uint64_t KeyPrefix(std::string_view key) {
  unsigned char bytes[8] = {};
  std::memcpy(bytes, key.data(), std::min<size_t>(key.size(), 8));
  uint64_t v;
  std::memcpy(&v, bytes, 8);
  return __builtin_bswap64(v);
}

}  // namespace

Status FromRocksDb(const rocksdb::Status& status, std::string_view what) {
  if (status.ok()) return OkStatus();
  if (status.IsNoSpace()) return ResourceExhausted("{}: {}", what, status.ToString());
  if (status.IsCorruption()) return DataLoss("{}: {}", what, status.ToString());
  return Internal("{}: {}", what, status.ToString());
}

Status AddListMerge(rocksdb::ColumnFamilyOptions* options) {
  return FromRocksDb(rocksdb::MergeOperator::CreateFromString(
                         rocksdb::ConfigOptions(), "stringappendtest", &options->merge_operator),
                     "preparing to read lists");
}

SstBuilder::SstBuilder(const rocksdb::Options& options, std::string prefix)
    : options_(options), prefix_(std::move(prefix)) {}

Status SstBuilder::EnsureOpen() {
  if (writer_ != nullptr) {
    if (writer_->FileSize() < kMaxSstBytes) return OkStatus();
    RETURN_IF_ERROR(CloseFile());
  }
  writer_ = std::make_unique<rocksdb::SstFileWriter>(rocksdb::EnvOptions(), options_, nullptr,
                                                     /*invalidate_page_cache=*/false);
  files_.push_back(prefix_ + std::to_string(files_.size()) + ".sst");
  return FromRocksDb(writer_->Open(files_.back()), "creating " + files_.back());
}

Status SstBuilder::CloseFile() {
  const rocksdb::Status s = writer_->Finish();
  writer_.reset();
  return FromRocksDb(s, "writing " + files_.back());
}

Status SstBuilder::Put(std::string_view key, std::string_view value) {
  RETURN_IF_ERROR(EnsureOpen());
  const rocksdb::Status s = writer_->Put(ToSlice(key), ToSlice(value));
  return s.ok() ? OkStatus() : FromRocksDb(s, "writing " + files_.back());
}

Status SstBuilder::Delete(std::string_view key) {
  RETURN_IF_ERROR(EnsureOpen());
  const rocksdb::Status s = writer_->Delete(ToSlice(key));
  return s.ok() ? OkStatus() : FromRocksDb(s, "writing " + files_.back());
}

StatusOr<std::vector<std::string>> SstBuilder::Finish() {
  if (writer_ != nullptr) RETURN_IF_ERROR(CloseFile());
  return std::move(files_);
}

std::vector<RowRef> SortedOrder(const std::vector<EncodedRows>& sets) {
  // The first 16 bytes of a key as numbers: most keys differ there, and comparing needs no look at
  // the arena.
  struct Entry {
    uint64_t prefix;
    uint64_t next;
    RowRef ref;
  };
  const auto key_of = [&sets](const Entry& e) {
    const EncodedRows& rows = sets[e.ref.set];
    return rows.Key(rows.rows[e.ref.row]);
  };
  size_t count = 0;
  for (const EncodedRows& rows : sets) count += rows.rows.size();
  std::vector<Entry> entries;
  entries.reserve(count);
  for (uint32_t set = 0; set < sets.size(); ++set) {
    const EncodedRows& rows = sets[set];
    for (uint32_t row = 0; row < rows.rows.size(); ++row) {
      const std::string_view key = rows.Key(rows.rows[row]);
      entries.push_back(
          {KeyPrefix(key), KeyPrefix(key.substr(std::min<size_t>(8, key.size()))), {set, row}});
    }
  }
  std::sort(entries.begin(), entries.end(), [&key_of](const Entry& a, const Entry& b) {
    if (a.prefix != b.prefix) return a.prefix < b.prefix;
    if (a.next != b.next) return a.next < b.next;
    const int order = key_of(a).compare(key_of(b));
    if (order != 0) return order < 0;
    return a.ref.set != b.ref.set ? a.ref.set < b.ref.set : a.ref.row < b.ref.row;
  });
  std::vector<RowRef> sorted;
  sorted.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    const bool last = i + 1 == count || entries[i].prefix != entries[i + 1].prefix ||
                      entries[i].next != entries[i + 1].next ||
                      key_of(entries[i]) != key_of(entries[i + 1]);
    if (last) sorted.push_back(entries[i].ref);
  }
  return sorted;
}

StatusOr<std::unique_ptr<RocksDbStore>> RocksDbStore::Open(const Options& options) {
  std::unique_ptr<RocksDbStore> store(new RocksDbStore(options));
  RETURN_IF_ERROR(io::CreateDirectories(options.directory));
  store->db_options_ = MakeDbOptions(options);
  store->db_options_.rate_limiter = store->brake_;
  store->family_options_ = MakeFamilyOptions(options);
  RETURN_IF_ERROR(AddListMerge(&store->family_options_));
  RETURN_IF_ERROR(store->OpenInstance());
  return store;
}

Status RocksDbStore::OpenInstance() {
  const std::string path = io::JoinPath(options_.directory, "db");
  std::vector<std::string> names;
  if (io::Exists(io::JoinPath(path, "CURRENT"))) {
    RETURN_IF_ERROR(FromRocksDb(rocksdb::DB::ListColumnFamilies(db_options_, path, &names),
                                "reading the RocksDB instance " + path));
  } else {
    names.push_back(rocksdb::kDefaultColumnFamilyName);
  }
  std::vector<rocksdb::ColumnFamilyDescriptor> descriptors;
  descriptors.reserve(names.size());
  for (const std::string& name : names) descriptors.emplace_back(name, family_options_);
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* db = nullptr;
  RETURN_IF_ERROR(FromRocksDb(rocksdb::DB::Open(db_options_, path, descriptors, &handles, &db),
                              "opening the RocksDB instance " + path));
  db_.reset(db);
  for (size_t i = 0; i < names.size(); ++i) families_[names[i]] = handles[i];
  return OkStatus();
}

RocksDbStore::~RocksDbStore() {
  if (db_ == nullptr) return;
  for (auto& [name, handle] : families_) db_->DestroyColumnFamilyHandle(handle);
  db_->Close().PermitUncheckedError();
}

rocksdb::ColumnFamilyHandle* RocksDbStore::FindColumnFamily(const std::string& name) {
  std::lock_guard lock(mutex_);
  const auto it = families_.find(name);
  return it == families_.end() ? nullptr : it->second;
}

StatusOr<rocksdb::ColumnFamilyHandle*> RocksDbStore::CreateColumnFamily(const std::string& name) {
  rocksdb::ColumnFamilyHandle* handle = nullptr;
  RETURN_IF_ERROR(FromRocksDb(db_->CreateColumnFamily(family_options_, name, &handle),
                              "creating the column family of state " + name));
  std::lock_guard lock(mutex_);
  families_[name] = handle;
  return handle;
}

std::vector<std::string> RocksDbStore::ColumnFamilyNames() const {
  std::lock_guard lock(mutex_);
  std::vector<std::string> names;
  for (const auto& [name, handle] : families_) {
    if (name != rocksdb::kDefaultColumnFamilyName) names.push_back(name);
  }
  return names;
}

rocksdb::Options RocksDbStore::builder_options() const {
  return rocksdb::Options(db_options_, family_options_);
}

std::string RocksDbStore::NextTemporaryPrefix() {
  return io::JoinPath(options_.directory, "tmp-" + std::to_string(next_temporary_++) + "-");
}

Status RocksDbStore::ApplyRows(rocksdb::ColumnFamilyHandle* family,
                               const std::vector<EncodedRows>& sets) {
  const std::vector<RowRef> order = SortedOrder(sets);
  if (order.empty()) return OkStatus();
  if (order.size() < kMinRowsForFile) {
    rocksdb::WriteBatch batch;
    for (const RowRef& ref : order) {
      const EncodedRows& rows = sets[ref.set];
      const EncodedRows::Row& row = rows.rows[ref.row];
      const rocksdb::Status s =
          row.deleted ? batch.Delete(family, ToSlice(rows.Key(row)))
                      : batch.Put(family, ToSlice(rows.Key(row)), ToSlice(rows.Value(row)));
      if (!s.ok()) return FromRocksDb(s, "collecting state rows");
    }
    rocksdb::WriteOptions write;
    write.disableWAL = true;
    return FromRocksDb(db_->Write(write, &batch), "writing state rows");
  }
  SstBuilder builder(builder_options(), NextTemporaryPrefix());
  for (const RowRef& ref : order) {
    const EncodedRows& rows = sets[ref.set];
    const EncodedRows::Row& row = rows.rows[ref.row];
    RETURN_IF_ERROR(row.deleted ? builder.Delete(rows.Key(row))
                                : builder.Put(rows.Key(row), rows.Value(row)));
  }
  ASSIGN_OR_RETURN(const std::vector<std::string> files, builder.Finish());
  return Ingest(family, files);
}

Status RocksDbStore::Ingest(rocksdb::ColumnFamilyHandle* family,
                            const std::vector<std::string>& files) {
  if (files.empty()) return OkStatus();
  rocksdb::IngestExternalFileOptions ingest;
  ingest.move_files = true;
  // Files are hard-linked into snapshots and must not change after they were written.
  ingest.write_global_seqno = false;
  const rocksdb::Status s = db_->IngestExternalFile(family, files, ingest);
  for (const std::string& file : files) {
    IgnoreError(io::RemoveFile(file), "the backend's directory is removed as a whole");
  }
  return FromRocksDb(s, "ingesting state rows");
}

Status RocksDbStore::CreateCheckpoint(const std::string& directory) {
  rocksdb::Checkpoint* checkpoint = nullptr;
  RETURN_IF_ERROR(FromRocksDb(rocksdb::Checkpoint::Create(db_.get(), &checkpoint),
                              "preparing a RocksDB checkpoint"));
  const std::unique_ptr<rocksdb::Checkpoint> owner(checkpoint);
  return FromRocksDb(checkpoint->CreateCheckpoint(directory),
                     "linking the files of RocksDB into " + directory);
}

}  // namespace flink::taskmanager
