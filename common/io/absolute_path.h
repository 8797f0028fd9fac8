#pragma once

#include <string>

namespace flink::io {

/// What another process, with another working directory, understands as this one does: a relative
/// path, also behind "file:", is made absolute; all else stays as it is.
std::string AbsolutePath(const std::string& text);

}  // namespace flink::io
