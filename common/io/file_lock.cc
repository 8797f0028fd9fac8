#include "common/io/file_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace flink::io {

StatusOr<FileLock> FileLock::Share(const std::string& path) {
  // Waits for no one but an IsLocked that is looking, or the owner of an exclusive one.
  return Take(path, O_RDWR | O_CREAT, LOCK_SH);
}

StatusOr<FileLock> FileLock::ShareExisting(const std::string& path) {
  return Take(path, O_RDONLY | O_NONBLOCK, LOCK_SH);
}

StatusOr<FileLock> FileLock::Exclusive(const std::string& path) {
  return Take(path, O_RDWR | O_CREAT, LOCK_EX | LOCK_NB);
}

StatusOr<FileLock> FileLock::OfDirectory(const std::string& path) {
  return Take(path, O_RDONLY | O_DIRECTORY, LOCK_EX);
}

StatusOr<FileLock> FileLock::Take(const std::string& path, int flags, int operation) {
  FileLock lock(::open(path.c_str(), flags | O_CLOEXEC, 0644));
  if (lock.fd_ < 0) {
    const auto code =
        errno == ENOENT ? absl::StatusCode::kNotFound : absl::StatusCode::kUnavailable;
    return MakeStatus(code, "cannot open {}: {}", path, std::strerror(errno));
  }
  int result;
  do {
    result = ::flock(lock.fd_, operation);
  } while (result != 0 && errno == EINTR);
  if (result != 0 && errno == EWOULDBLOCK) return AlreadyExists("{} is locked", path);
  if (result != 0) {
    return Unavailable("cannot lock {}: {}", path, std::strerror(errno));
  }
  return lock;
}

FileLock::FileLock(FileLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

FileLock& FileLock::operator=(FileLock&& other) noexcept {
  std::swap(fd_, other.fd_);
  return *this;
}

FileLock::~FileLock() {
  if (fd_ >= 0) ::close(fd_);
}

bool IsLocked(const std::string& path, bool if_unknown) {
  int fd = ::open(path.c_str(), O_RDWR | O_CLOEXEC | O_NONBLOCK);
  // Somebody else's, or on a disk that is mounted read-only; enough for a local lock.
  if (fd < 0 && (errno == EACCES || errno == EROFS || errno == EPERM)) {
    fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  }
  if (fd < 0) return errno != ENOENT && if_unknown;
  const int result = ::flock(fd, LOCK_EX | LOCK_NB);
  const bool locked = result != 0 && (errno == EWOULDBLOCK || if_unknown);
  ::close(fd);
  return locked;
}

}  // namespace flink::io
