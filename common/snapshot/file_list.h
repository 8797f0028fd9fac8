#pragma once

/// FileList: what the side file of a snapshot says about the files of the snapshot. Snapshots of
/// Apache Flink have none.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "common/base/status.h"

namespace flink::snapshot {

/// Version 1 listed the checksums of the files that were written for the snapshot; version 2 lists
/// all files, `_metadata` too, with their sizes.
inline constexpr int kSideFileVersion = 2;

struct FileList {
  struct File {
    int64_t size = 0;  ///< In bytes; 0 in version 1.
    /// XXH3 (io::Checksum64) of the content; absent when the writer did not tell.
    std::optional<uint64_t> checksum;
  };
  int version = kSideFileVersion;
  /// Files in the snapshot's directory by name, others, and those that the metadata names so, by
  /// absolute path.
  std::map<std::string, File> files;
};

/// `side_file`: its text. kDataLoss when it is no side file of a version up to ours.
StatusOr<FileList> ParseFileList(std::string_view side_file);
/// Of the snapshot in `directory`; nothing when it has no side file. Errors name it. Blocks.
StatusOr<std::optional<FileList>> LoadFileList(const std::string& directory);

}  // namespace flink::snapshot
