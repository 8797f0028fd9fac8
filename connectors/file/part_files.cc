#include "connectors/file/part_files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <optional>
#include <stdexcept>

namespace flink::file {
namespace {

constexpr size_t kCopyBytes = 256 << 10;

/// An open file; closed when it goes.
class File {
 public:
  File(const std::string& path, int flags)
      : path_(path), fd_(::open(path.c_str(), flags | O_CLOEXEC, 0666)) {}
  ~File() {
    if (fd_ >= 0) ::close(fd_);
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  bool is_open() const { return fd_ >= 0; }
  int fd() const { return fd_; }

  /// The next bytes of the file into `buffer`, up to its size; fewer only at the end of the file.
  void Read(std::string& buffer) {
    size_t done = 0;
    while (done < buffer.size()) {
      const ssize_t n = ::read(fd_, buffer.data() + done, buffer.size() - done);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) Fail("output file cannot be read:", path_, errno);
      if (n == 0) break;
      done += static_cast<size_t>(n);
    }
    buffer.resize(done);
  }
  void Write(const std::string& bytes) {
    size_t done = 0;
    while (done < bytes.size()) {
      const ssize_t n = ::write(fd_, bytes.data() + done, bytes.size() - done);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) Fail("output file cannot be written:", path_, errno);
      done += static_cast<size_t>(n);
    }
  }
  void Sync() const {
    if (::fsync(fd_) != 0) Fail("output file cannot be made durable:", path_, errno);
  }

 private:
  const std::string path_;
  const int fd_;
};

std::string NameOf(const std::string& path) {
  return std::filesystem::path(path).filename().string();
}

bool SameFile(const std::string& a, const std::string& b) {
  struct stat x;
  struct stat y;
  return ::stat(a.c_str(), &x) == 0 && ::stat(b.c_str(), &y) == 0 && x.st_ino == y.st_ino &&
         x.st_dev == y.st_dev;
}

/// Empty when there is no such file.
std::optional<int64_t> SizeOf(const std::string& path) {
  struct stat info;
  if (::stat(path.c_str(), &info) == 0) return info.st_size;
  if (errno != ENOENT && errno != ENOTDIR) Fail("output file cannot be looked at:", path, errno);
  return std::nullopt;
}

[[noreturn]] void FailTooShort(const Recoverable& file, int64_t size) {
  throw std::runtime_error("output file " + file.target + " cannot be published: of the " +
                           std::to_string(file.length) + " bytes of " + file.temporary +
                           " that the snapshot names only " + std::to_string(size) +
                           " are there. Somebody has cut it; restore the file, or start from "
                           "another snapshot");
}

[[noreturn]] void FailOccupied(const Recoverable& file) {
  if (!Exists(file.temporary)) {
    throw std::runtime_error("output file " + file.target +
                             " has been finished since the snapshot was taken, from " +
                             NameOf(file.temporary) +
                             ", so nothing can go on behind the snapshot's part of it; start from "
                             "a newer snapshot");
  }
  throw std::runtime_error("output file " + file.target +
                           " exists already and is not overwritten; move it away, then " +
                           NameOf(file.temporary) + " beside it can be published");
}

/// What stands behind the length was written after the snapshot.
void CutToLength(const Recoverable& file) {
  const std::optional<int64_t> size = SizeOf(file.temporary);
  if (!size.has_value() || *size == file.length || Exists(file.target)) return;
  if (*size < file.length) FailTooShort(file, *size);
  const File temporary(file.temporary, O_WRONLY);
  if (!temporary.is_open() || ::ftruncate(temporary.fd(), file.length) != 0) {
    Fail("output file cannot be cut to its length:", file.temporary, errno);
  }
  temporary.Sync();
}

bool StartsWithTheSame(const std::string& a, const std::string& b, int64_t length) {
  File x(a, O_RDONLY);
  File y(b, O_RDONLY);
  if (!x.is_open()) Fail("output file cannot be read:", a, errno);
  if (!y.is_open()) Fail("output file cannot be read:", b, errno);
  std::string of_x;
  std::string of_y;
  for (int64_t left = length; left > 0; left -= static_cast<int64_t>(of_x.size())) {
    of_x.resize(static_cast<size_t>(std::min<int64_t>(left, kCopyBytes)));
    of_y.resize(of_x.size());
    const size_t wanted = of_x.size();
    x.Read(of_x);
    y.Read(of_y);
    if (of_x.size() != wanted || of_x != of_y) return false;
  }
  return true;
}

}  // namespace

[[noreturn]] void Fail(const std::string& what, const std::string& path, int error) {
  throw std::runtime_error(what + " " + path + ": " + std::strerror(error));
}

bool Exists(const std::string& path) {
  struct stat info;
  return ::lstat(path.c_str(), &info) == 0;
}

void SyncDirectory(const std::string& directory) {
  const File opened(directory, O_RDONLY | O_DIRECTORY);
  if (!opened.is_open()) Fail("output directory", directory, errno);
  // Some network file systems cannot sync a directory; there a rename is durable by itself.
  if (::fsync(opened.fd()) != 0 && errno != EINVAL && errno != EROFS) {
    Fail("output directory", directory, errno);
  }
}

int RenameNoReplace(const std::string& from, const std::string& to) {
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return 0;
  if (errno != EINVAL && errno != ENOSYS) return errno;
  // The file system does not know that kind of rename: a hard link does not replace either.
  if (::link(from.c_str(), to.c_str()) != 0) return errno;
  return ::unlink(from.c_str()) == 0 ? 0 : errno;
}

void Publish(const Recoverable& file) {
  if (file.length != kUnknownLength) CutToLength(file);
  const int error = RenameNoReplace(file.temporary, file.target);
  if (error == 0) return;
  if (error == ENOENT && Exists(file.target)) return;
  if (error == ENOENT) {
    throw std::runtime_error("output file " + file.target +
                             " cannot be published: neither it nor its pending form " +
                             NameOf(file.temporary) +
                             " exists. Somebody has removed it; restore the file, or start from "
                             "another snapshot");
  }
  if (error == EEXIST) {
    if (!Exists(file.temporary)) return;
    // A crash between link and unlink leaves both names.
    if (SameFile(file.temporary, file.target)) {
      ::unlink(file.temporary.c_str());
      return;
    }
    // Each restore of a file in progress makes a copy; another one may have been published.
    if (SizeOf(file.target) == file.length && SizeOf(file.temporary) == file.length &&
        StartsWithTheSame(file.target, file.temporary, file.length)) {
      ::unlink(file.temporary.c_str());
      return;
    }
    FailOccupied(file);
  }
  Fail("output file " + file.target + " cannot be published from", file.temporary, error);
}

bool IsPublished(const Recoverable& in_progress) {
  const std::optional<int64_t> published = SizeOf(in_progress.target);
  if (!published.has_value()) return false;
  // Without the file in progress the visible one can only have come from it.
  if (*published == in_progress.length &&
      (!Exists(in_progress.temporary) ||
       StartsWithTheSame(in_progress.target, in_progress.temporary, in_progress.length))) {
    return true;
  }
  FailOccupied(in_progress);
}

bool CopyInProgress(const Recoverable& in_progress, const std::string& to) {
  File source(in_progress.temporary, O_RDONLY);
  if (!source.is_open()) {
    Fail("the file in progress that the snapshot names cannot be read, so output file " +
             in_progress.target + " cannot be published:",
         in_progress.temporary, errno);
  }
  const std::optional<int64_t> size = SizeOf(in_progress.temporary);
  if (size.value_or(0) < in_progress.length) FailTooShort(in_progress, size.value_or(0));
  File copy(to, O_WRONLY | O_CREAT | O_EXCL);
  if (!copy.is_open() && errno == EEXIST) return false;
  if (!copy.is_open()) Fail("output file cannot be created:", to, errno);
  std::string buffer;
  for (int64_t left = in_progress.length; left > 0; left -= static_cast<int64_t>(buffer.size())) {
    buffer.resize(static_cast<size_t>(std::min<int64_t>(left, kCopyBytes)));
    source.Read(buffer);
    if (buffer.empty()) FailTooShort(in_progress, in_progress.length - left);
    copy.Write(buffer);
  }
  copy.Sync();
  return true;
}

}  // namespace flink::file
