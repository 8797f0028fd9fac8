#include "common/io/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace flink::io {

StatusOr<MappedFile> MappedFile::Open(const std::string& path) {
  // Without waiting: the path may be that of a pipe.
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) {
    const int error = errno;
    if (error == ENOENT) return NotFound("cannot open {}: {}", path, std::strerror(error));
    return FailedPrecondition("cannot open {}: {}", path, std::strerror(error));
  }
  struct stat info;
  const bool file = ::fstat(fd, &info) == 0 && S_ISREG(info.st_mode);
  MappedFile mapped;
  mapped.size_ = file ? static_cast<size_t>(info.st_size) : 0;
  if (mapped.size_ > 0) {
    mapped.memory_ = ::mmap(nullptr, mapped.size_, PROT_READ, MAP_PRIVATE, fd, 0);
  }
  const int error = errno;
  ::close(fd);
  if (!file) return FailedPrecondition("cannot read {}: it is no file", path);
  if (mapped.memory_ == MAP_FAILED) {
    mapped.memory_ = nullptr;
    return Unavailable("cannot map {}: {}", path, std::strerror(error));
  }
  return mapped;
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : memory_(std::exchange(other.memory_, nullptr)), size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(memory_, other.memory_);
  std::swap(size_, other.size_);
  return *this;
}

MappedFile::~MappedFile() {
  if (memory_ != nullptr) ::munmap(memory_, size_);
}

}  // namespace flink::io
