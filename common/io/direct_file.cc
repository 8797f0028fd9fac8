#include "common/io/direct_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

namespace flink::io {
namespace {

/// Of the memory, of positions and of sizes; what the largest blocks of today's disks need.
constexpr size_t kAlignment = 4096;
constexpr size_t kBufferBytes = 2 << 20;

}  // namespace

DirectFile::~DirectFile() {
  IgnoreError(AwaitWrite(), "the file was given up");
  if (fd_ >= 0) close(fd_);
}

Status DirectFile::Create(const std::string& path) {
  path_ = path;
  constexpr int kFlags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC;
  fd_ = open(path.c_str(), kFlags, 0644);
  if (fd_ < 0) return Internal("creating {}: {}", path, std::strerror(errno));
  // Refused by file systems that cannot do it.
  direct_ = fcntl(fd_, F_SETFL, O_DIRECT) == 0;
  for (Buffer* buffer : {&filling_, &writing_}) {
    buffer->reset(static_cast<char*>(std::aligned_alloc(kAlignment, kBufferBytes)));
    if (*buffer == nullptr) return ResourceExhausted("no memory to write {}", path);
  }
  return OkStatus();
}

Status DirectFile::Append(std::string_view bytes) {
  while (!bytes.empty()) {
    const size_t n = std::min(bytes.size(), kBufferBytes - filled_);
    std::memcpy(filling_.get() + filled_, bytes.data(), n);
    filled_ += n;
    bytes.remove_prefix(n);
    if (filled_ == kBufferBytes) RETURN_IF_ERROR(StartWrite());
  }
  return OkStatus();
}

Status DirectFile::AwaitWrite() { return write_.valid() ? write_.get() : OkStatus(); }

Status DirectFile::StartWrite() {
  RETURN_IF_ERROR(AwaitWrite());
  std::swap(filling_, writing_);
  const size_t size = std::exchange(filled_, 0);
  try {
    write_ = std::async(std::launch::async,
                        [this, bytes = writing_.get(), size] { return Write(bytes, size); });
  } catch (const std::system_error&) {  // No more threads.
    return Write(writing_.get(), size);
  }
  return OkStatus();
}

Status DirectFile::StopDirect() {
  if (direct_ && fcntl(fd_, F_SETFL, 0) != 0) {
    return Internal("writing {}: {}", path_, std::strerror(errno));
  }
  direct_ = false;
  return OkStatus();
}

Status DirectFile::Write(const char* bytes, size_t size) {
  // Its end is at no aligned place: the last one.
  if (size % kAlignment != 0) RETURN_IF_ERROR(StopDirect());
  for (size_t done = 0; done < size;) {
    const ssize_t n = write(fd_, bytes + done, size - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno == ENOSPC) return ResourceExhausted("writing {}: disk full", path_);
    // The file system has taken the flag but wants another alignment.
    if (n < 0 && errno == EINVAL && direct_) {
      RETURN_IF_ERROR(StopDirect());
      continue;
    }
    if (n < 0) return Internal("writing {}: {}", path_, std::strerror(errno));
    done += static_cast<size_t>(n);
    // The rest of a short write may be at no aligned place.
    if (done % kAlignment != 0) RETURN_IF_ERROR(StopDirect());
  }
  return OkStatus();
}

Status DirectFile::Finish() {
  RETURN_IF_ERROR(StartWrite());
  RETURN_IF_ERROR(AwaitWrite());
  if (fdatasync(fd_) != 0) {
    return Internal("making {} durable: {}", path_, std::strerror(errno));
  }
  const int fd = fd_;
  fd_ = -1;
  if (close(fd) != 0) return Internal("closing {}: {}", path_, std::strerror(errno));
  return OkStatus();
}

}  // namespace flink::io
