#pragma once

/// The snappy framing format, in which Flink compresses the data of a snapshot on demand. Internal
/// to common/snapshot.

#include <cstddef>
#include <string>
#include <string_view>

#include "common/base/status.h"

namespace flink::snapshot {

/// The content of all chunks of `framed`; a stream identifier may stand in front or not. `at`:
/// where these bytes stand in their file, for errors. At most 64 KiB come out of a chunk.
StatusOr<std::string> DecompressFrames(std::string_view framed, size_t at);

}  // namespace flink::snapshot
