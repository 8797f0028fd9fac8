#pragma once

/// The bytes of a state stream, wherever a snapshot keeps them.

#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/status.h"
#include "common/io/mapped_file.h"
#include "common/snapshot/state_handle.h"

namespace flink::snapshot {

/// Inline bytes belong to the handle, others to `file`.
struct StreamContent {
  io::MappedFile file;
  std::string_view bytes;
};

/// No bytes for a handle without stream. A file whose size differs from the handle's is an error
/// that names it. `stream` has to outlive the result. Not for the JobManager: see MappedFile.
StatusOr<StreamContent> OpenStream(const StreamStateHandle& stream, const std::string& directory);

/// The same stream piece by piece: a file that shrinks or vanishes meanwhile is an error of Read,
/// where a mapped one would end the process. Safe to read from several threads.
class StreamRanges {
 public:
  /// Errors are OpenStream's. `stream` has to outlive the result.
  static StatusOr<StreamRanges> Open(const StreamStateHandle& stream, const std::string& directory);
  /// Of bytes that outlive it.
  explicit StreamRanges(std::string_view bytes) : bytes_(bytes), size_(bytes.size()) {}

  /// In bytes, as the handle says.
  uint64_t size() const { return size_; }
  /// Blocks. kDataLoss for what does not lie in the stream.
  StatusOr<std::string> Read(uint64_t offset, uint64_t length) const;

 private:
  std::string_view bytes_;
  /// Empty when `bytes_` has them.
  std::string path_;
  uint64_t start_ = 0;
  uint64_t size_ = 0;
};

}  // namespace flink::snapshot
