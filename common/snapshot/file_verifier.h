#pragma once

/// FileVerifier: compares the contents of many files with their checksums, several at a time.

#include <condition_variable>
#include <cstddef>
#include <mutex>
#include <vector>

#include "common/base/status.h"
#include "common/concurrency/worker_pool.h"
#include "common/snapshot/state_files.h"

namespace flink::snapshot {

/// One thread, which must not be one of the pool's. Not copyable.
class FileVerifier {
 public:
  /// `pool` outlives it. Null: everything is done by Start.
  explicit FileVerifier(WorkerPool* pool) : pool_(pool) {}
  /// Waits for files that are being read; the others are left out.
  ~FileVerifier();
  FileVerifier(const FileVerifier&) = delete;
  FileVerifier& operator=(const FileVerifier&) = delete;

  /// Once.
  void Start(std::vector<SnapshotFile> files);
  /// Blocks until all files have been read: one result for each, in the order given.
  const std::vector<Status>& Results();
  /// Blocks: the first failure.
  Status Wait();

 private:
  void Verify(size_t index);

  WorkerPool* const pool_;
  std::vector<SnapshotFile> files_;
  std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by mutex_:
  std::vector<Status> results_;
  size_t pending_ = 0;
  bool abandoned_ = false;
};

}  // namespace flink::snapshot
