#pragma once

/// DirectFile: writes one large new file from beginning to end, past the page cache where the file
/// system can do that (O_DIRECT): nobody reads a snapshot soon, and there it would only drive out
/// what is read. One buffer is written, by a thread of its own, while the caller fills the other.
///
/// Externally synchronized. Errors name the path and may be of an earlier call's bytes;
/// kResourceExhausted: the disk is full.

#include <cstdint>
#include <cstdlib>
#include <future>
#include <memory>
#include <string>
#include <string_view>

#include "common/base/status.h"

namespace flink::io {

class DirectFile {
 public:
  DirectFile() = default;
  ~DirectFile();
  DirectFile(const DirectFile&) = delete;
  DirectFile& operator=(const DirectFile&) = delete;

  /// `path` must not exist.
  Status Create(const std::string& path);
  bool is_open() const { return fd_ >= 0; }
  Status Append(std::string_view bytes);
  /// The content is durable afterwards (the name is not), and the file closed.
  Status Finish();

 private:
  struct Free {
    void operator()(char* memory) const { std::free(memory); }
  };
  using Buffer = std::unique_ptr<char, Free>;

  /// Blocks until no write is under way; its result.
  Status AwaitWrite();
  /// Begins to write what was filled in.
  Status StartWrite();
  // On the writing thread:
  Status Write(const char* bytes, size_t size);
  Status StopDirect();

  std::string path_;
  int fd_ = -1;
  bool direct_ = false;
  Buffer filling_, writing_;
  size_t filled_ = 0;
  std::future<Status> write_;
};

}  // namespace flink::io
