#pragma once

/// The bytes of a state stream, wherever a snapshot keeps them. Internal to common/snapshot.

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
/// that names it. `stream` has to outlive the result.
StatusOr<StreamContent> OpenStream(const StreamStateHandle& stream, const std::string& directory);

}  // namespace flink::snapshot
