#include "taskmanager/state/rocksdb_files.h"

#include <rocksdb/table.h>

#include <vector>

#include "taskmanager/state/rocksdb_store.h"

namespace flink::taskmanager {

StatusOr<std::unique_ptr<RocksDbFiles>> RocksDbFiles::Open(const std::string& directory,
                                                           const Options& options) {
  rocksdb::DBOptions db_options;
  // What is wrong is said by the status.
  db_options.info_log_level = rocksdb::InfoLogLevel::FATAL_LEVEL;
  db_options.allow_mmap_reads = options.map;
  db_options.skip_stats_update_on_db_open = true;
  std::vector<std::string> names;
  RETURN_IF_ERROR(FromRocksDb(rocksdb::DB::ListColumnFamilies(db_options, directory, &names),
                              "reading the RocksDB files of the snapshot"));
  rocksdb::BlockBasedTableOptions table;
  table.no_block_cache = true;
  rocksdb::ColumnFamilyOptions family_options;
  family_options.table_factory.reset(rocksdb::NewBlockBasedTableFactory(table));
  RETURN_IF_ERROR(AddListMerge(&family_options));
  std::vector<rocksdb::ColumnFamilyDescriptor> descriptors;
  descriptors.reserve(names.size());
  for (const std::string& name : names) descriptors.emplace_back(name, family_options);
  std::vector<rocksdb::ColumnFamilyHandle*> handles;
  rocksdb::DB* db = nullptr;
  RETURN_IF_ERROR(
      FromRocksDb(rocksdb::DB::OpenForReadOnly(db_options, directory, descriptors, &handles, &db),
                  "opening the RocksDB files of the snapshot"));
  std::unique_ptr<RocksDbFiles> files(new RocksDbFiles());
  files->db_.reset(db);
  for (size_t i = 0; i < names.size(); ++i) files->families_[names[i]] = handles[i];
  return files;
}

RocksDbFiles::~RocksDbFiles() {
  for (const auto& [name, handle] : families_) db_->DestroyColumnFamilyHandle(handle);
}

std::unique_ptr<rocksdb::Iterator> RocksDbFiles::NewIterator(const std::string& family) const {
  const auto it = families_.find(family);
  if (it == families_.end()) return nullptr;
  rocksdb::ReadOptions read;
  read.fill_cache = false;
  read.readahead_size = 2 << 20;
  return std::unique_ptr<rocksdb::Iterator>(db_->NewIterator(read, it->second));
}

}  // namespace flink::taskmanager
