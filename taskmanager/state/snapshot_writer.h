#pragma once

/// SnapshotWriter: brings the files of one keyed-state snapshot into its directories, durably.
///
/// Threading: one thread at a time. Errors name the file.

#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"
#include "common/snapshot/state_handle.h"
#include "taskmanager/state/keyed_state_backend.h"

namespace flink::taskmanager {

/// A fresh version 4 UUID, as Flink names its files.
std::string RandomUuid();

/// A file in the shared directory.
struct UploadedFile {
  snapshot::FileHandle handle;
  uint64_t checksum = 0;
};
/// Local file name -> where a checkpoint has it.
using UploadedFiles = std::map<std::string, UploadedFile>;

/// Whether RocksDB, which names its files, means one with rows. Such a file never changes.
bool IsTableFile(std::string_view name);

/// Checksums of the table files of one RocksDB instance, which never gives a name twice: a file
/// that goes into several snapshots is read for its checksum once. Thread-safe.
class TableChecksums {
 public:
  void Add(const std::map<std::string, uint64_t>& checksums);
  /// The checksum of the table file at `path`; reads it when it is not known.
  StatusOr<uint64_t> Of(const std::string& path);
  /// Forgets files that are none of these.
  void Keep(const std::set<std::string>& names);

 private:
  std::mutex mutex_;
  std::map<std::string, uint64_t> by_name_;  // guarded by mutex_
};

class SnapshotWriter {
 public:
  SnapshotWriter(const KeyedSnapshotRequest& request, uint64_t inline_threshold_bytes)
      : request_(request), inline_threshold_(inline_threshold_bytes) {}
  /// Removes what was written to the shared directory, unless Finish succeeded: nobody will name
  /// it.
  ~SnapshotWriter();
  SnapshotWriter(const SnapshotWriter&) = delete;
  SnapshotWriter& operator=(const SnapshotWriter&) = delete;

  /// A file of the exclusive scope with these bytes, or an inline handle.
  StatusOr<snapshot::StreamStateHandle> AddBytes(std::string bytes);
  /// A hard link or copy of a file in the shared scope (the exclusive one when there is no shared
  /// directory), or an inline handle. `source` must never change.
  /// `checksum`: of a table file, which RocksDB has made durable.
  StatusOr<snapshot::StreamStateHandle> AddFile(const std::string& source,
                                                std::optional<uint64_t> checksum = std::nullopt);
  /// The checksum of a file written before.
  uint64_t ChecksumOf(const std::string& path) const { return result_.checksums.at(path); }
  /// Takes a finished, durable file `name` of the exclusive directory over.
  snapshot::StreamStateHandle Adopt(const std::string& name, int64_t size, uint64_t checksum);
  /// Refers to a file of an earlier snapshot.
  void AddReused(const UploadedFile& file);

  /// Makes the directory entries durable and completes all fields but the handle.
  Status Finish(KeyedSnapshotResult* result);

 private:
  KeyedSnapshotRequest request_;
  uint64_t inline_threshold_;
  KeyedSnapshotResult result_;
  std::vector<std::string> written_shared_;
  bool wrote_exclusive_ = false;
};

/// The files of a local RocksDB checkpoint as an incremental handle. Files in `reusable` are not
/// written again. `*uploaded` gets what the next checkpoints may reuse once this one is complete.
StatusOr<KeyedSnapshotResult> WriteNativeSnapshot(
    const KeyedSnapshotRequest& request, uint64_t inline_threshold_bytes,
    const std::string& checkpoint_directory, const std::string& header,
    const std::string& backend_id, KeyGroupRange key_groups, const UploadedFiles& reusable,
    TableChecksums* checksums, UploadedFiles* uploaded);

}  // namespace flink::taskmanager
