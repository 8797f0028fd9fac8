#pragma once

/// The files of a snapshot, and whether they are what the snapshot says. All functions block.
/// Errors name the file; a file that does not hold what it should is kDataLoss.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"
#include "common/snapshot/metadata.h"
#include "common/snapshot/state_handle.h"

namespace flink::snapshot {

/// A file that a snapshot needs.
struct SnapshotFile {
  std::string path;  ///< Local, absolute.
  int64_t size = 0;  ///< In bytes.
  /// False: other snapshots may have appended to the file; it has at least `size` bytes.
  bool whole = true;
  std::optional<uint64_t> checksum;  ///< Of the content.
  /// Set for a file of a checkpoint that is named by a path which leads away from where the
  /// checkpoint is now: the directory that it is in.
  std::string checkpoint = {};
};
/// The state files that the metadata names, once each, by path, with what the side file says. An
/// error when the two disagree.
StatusOr<std::vector<SnapshotFile>> StateFilesOf(const LoadedSnapshot& snapshot);

/// What the contents of files must be: local absolute path -> XXH3. A file that is not in it is
/// taken as it is.
using FileChecksums = std::map<std::string, uint64_t>;
FileChecksums ChecksumsOf(const std::vector<SnapshotFile>& files);

/// Compares the content of `_metadata` with what the side file beside it says, if there is one.
Status CheckMetadata(const std::string& path, std::string_view content);
/// Checks that the file is there, can be read, and has its size.
Status CheckFile(const SnapshotFile& file);
/// The same, and compares the content with the checksum if there is one.
Status VerifyFile(const SnapshotFile& file);
/// ReadStream, with the checksum compared.
StatusOr<std::string> ReadVerifiedStream(const StreamStateHandle& handle,
                                         const std::string& metadata_directory,
                                         const FileChecksums& checksums);

}  // namespace flink::snapshot
