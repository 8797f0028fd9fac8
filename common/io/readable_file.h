#pragma once

/// Files that others name: whether they can be read as files at all.

#include <cstdint>
#include <string>

#include "common/base/status.h"

namespace flink::io {

/// The size in bytes of a regular file that may be opened for reading; everything else is an error
/// that names the path. Does not wait for the other end of a pipe.
StatusOr<uint64_t> ReadableFileSize(const std::string& path);

}  // namespace flink::io
