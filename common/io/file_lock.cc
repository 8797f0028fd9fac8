#include "common/io/file_lock.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace flink::io {

namespace {
constexpr int kRetryMs = 1;
constexpr int kMaxAttempts = 100;
}  // namespace

StatusOr<FileLock> FileLock::Share(const std::string& path) {
  return Take(path, O_RDWR | O_CREAT, LOCK_SH, kLockPatience);
}

StatusOr<FileLock> FileLock::ShareExisting(const std::string& path) {
  return Take(path, O_RDONLY | O_NONBLOCK, LOCK_SH, kLockPatience);
}

StatusOr<FileLock> FileLock::Exclusive(const std::string& path) {
  return Take(path, O_RDWR | O_CREAT, LOCK_EX, std::chrono::milliseconds(0));
}

StatusOr<FileLock> FileLock::OfDirectory(const std::string& path,
                                         std::chrono::milliseconds patience) {
  return Take(path, O_RDONLY | O_DIRECTORY, LOCK_EX, patience);
}

StatusOr<FileLock> FileLock::Take(const std::string& path, int flags, int operation,
                                  std::chrono::milliseconds patience) {
  const auto deadline = std::chrono::steady_clock::now() + patience;
  for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
    FileLock lock(::open(path.c_str(), flags | O_CLOEXEC, 0644));
    if (lock.fd_ < 0) {
      const auto code =
          errno == ENOENT ? absl::StatusCode::kNotFound : absl::StatusCode::kUnavailable;
      return MakeStatus(code, "cannot open {}: {}", path, std::strerror(errno));
    }
    // Nobody tells when a lock becomes free but to those who wait for it without limit.
    while (::flock(lock.fd_, operation | LOCK_NB) != 0) {
      if (errno == EINTR) continue;
      if (errno != EWOULDBLOCK) {
        return Unavailable("cannot lock {}: {}", path, std::strerror(errno));
      }
      if (patience.count() == 0) return AlreadyExists("{} is locked", path);
      if (std::chrono::steady_clock::now() >= deadline) {
        return AlreadyExists("{} has been locked by another process for {} s", path,
                             static_cast<double>(patience.count()) / 1000);
      }
      ::poll(nullptr, 0, kRetryMs);
    }
    if (lock.IsOf(path)) return lock;
  }
  return Unavailable("cannot lock {}: it is replaced all the time", path);
}

bool FileLock::IsOf(const std::string& path) const {
  struct stat locked {};
  struct stat named {};
  return ::fstat(fd_, &locked) == 0 && ::stat(path.c_str(), &named) == 0 &&
         locked.st_dev == named.st_dev && locked.st_ino == named.st_ino;
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
