#pragma once

/// RocksDbFiles: the files of a RocksDB instance that nobody writes any more (a checkpoint, or what
/// a snapshot kept), opened for reading from beginning to end.
///
/// Blocks are read where the kernel has them, past any block cache: a scan touches each block once,
/// and a cache would only cost time. Threading: reads from any thread. Not copyable.

#include <rocksdb/db.h>

#include <map>
#include <memory>
#include <string>

#include "common/base/status.h"

namespace flink::taskmanager {

class RocksDbFiles {
 public:
  struct Options {
    /// Maps the files instead of reading them: for files whose contents are known to be good. One
    /// that is cut short while it is mapped ends the process.
    bool map = false;
  };

  static StatusOr<std::unique_ptr<RocksDbFiles>> Open(const std::string& directory,
                                                      const Options& options);
  ~RocksDbFiles();
  RocksDbFiles(const RocksDbFiles&) = delete;
  RocksDbFiles& operator=(const RocksDbFiles&) = delete;

  /// By name, with "default".
  const std::map<std::string, rocksdb::ColumnFamilyHandle*>& families() const { return families_; }
  /// nullptr when there is no column family of this name. Must not outlive this.
  std::unique_ptr<rocksdb::Iterator> NewIterator(const std::string& family) const;

 private:
  RocksDbFiles() = default;

  std::unique_ptr<rocksdb::DB> db_;
  std::map<std::string, rocksdb::ColumnFamilyHandle*> families_;
};

}  // namespace flink::taskmanager
