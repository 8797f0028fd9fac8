#pragma once

/// Checksum64: XXH3 with 64 bits. Finds corruption, not forgery. The value is part of our side
/// files: never change it.

#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/status.h"

namespace flink::io {

uint64_t Checksum64(std::string_view bytes);
/// Reads the whole file.
StatusOr<uint64_t> Checksum64OfFile(const std::string& path);

}  // namespace flink::io
