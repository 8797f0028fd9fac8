#include "common/io/readable_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace flink::io {

StatusOr<uint64_t> ReadableFileSize(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC);
  if (fd < 0) {
    const absl::StatusCode code =
        errno == ENOENT ? absl::StatusCode::kNotFound : absl::StatusCode::kFailedPrecondition;
    return MakeStatus(code, "cannot open {}: {}", path, std::strerror(errno));
  }
  struct stat info;
  const int failed = ::fstat(fd, &info);
  const int error = errno;
  ::close(fd);
  if (failed != 0) return Unavailable("cannot read the size of {}: {}", path, std::strerror(error));
  if (S_ISDIR(info.st_mode)) return FailedPrecondition("cannot read {}: Is a directory", path);
  if (!S_ISREG(info.st_mode)) return FailedPrecondition("{} is not a regular file", path);
  return static_cast<uint64_t>(info.st_size);
}

}  // namespace flink::io
