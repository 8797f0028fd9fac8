#pragma once

/// MappedFile: the bytes of a file without a copy of them.

#include <string>
#include <string_view>

#include "common/base/status.h"

namespace flink::io {

/// Read only. A file that another process makes shorter meanwhile ends this one (SIGBUS): for
/// snapshots only, whose files nobody changes. Movable; externally synchronized.
class MappedFile {
 public:
  static StatusOr<MappedFile> Open(const std::string& path);
  MappedFile() = default;
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  std::string_view bytes() const { return {static_cast<const char*>(memory_), size_}; }

 private:
  void* memory_ = nullptr;
  size_t size_ = 0;
};

}  // namespace flink::io
