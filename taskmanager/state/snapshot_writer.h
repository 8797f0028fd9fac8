#pragma once

/// SnapshotWriter: brings the files of one keyed-state snapshot into its directories, durably.
///
/// Threading: one thread at a time. Errors name the file.

#include <map>
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
  StatusOr<snapshot::StreamStateHandle> AddFile(const std::string& source);
  /// The checksum of a file written before.
  uint64_t ChecksumOf(const std::string& path) const { return result_.checksums.at(path); }
  /// Takes a finished, durable file `name` of the exclusive directory over.
  snapshot::StreamStateHandle Adopt(const std::string& name, int64_t size, uint64_t checksum);
  /// Refers to a file of an earlier snapshot.
  void AddReused(const UploadedFile& file);

  /// Makes the directory entries durable and completes all fields but the handle.
  Status Finish(KeyedSnapshotResult* result);

 private:
  Status Record(const std::string& path, const std::string& key, int64_t size);

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
    UploadedFiles* uploaded);

}  // namespace flink::taskmanager
