#include "common/io/file_system.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cctype>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <initializer_list>

#include "common/base/failpoint.h"

namespace flink::io {
namespace {

namespace fs = std::filesystem;

/// "cannot <what> <path>: <reason of errno>".
Status SystemError(int error, std::string_view what, std::string_view path) {
  const char* reason = std::strerror(error);
  switch (error) {
    case ENOENT:
      return NotFound("cannot {} {}: {}", what, path, reason);
    case EEXIST:
      return AlreadyExists("cannot {} {}: {}", what, path, reason);
    case ENOSPC:
    case EDQUOT:
    case EMFILE:
    case ENFILE:
      return ResourceExhausted("cannot {} {}: {}", what, path, reason);
    case EACCES:
    case EPERM:
    case EROFS:
    case ENOTDIR:
    case EISDIR:
      return FailedPrecondition("cannot {} {}: {}", what, path, reason);
    default:
      return Unavailable("cannot {} {}: {}", what, path, reason);
  }
}

/// A file descriptor that closes itself; Close reports what close(2) says.
class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  int get() const { return fd_; }
  bool ok() const { return fd_ >= 0; }
  Status Close(std::string_view path) {
    const int fd = fd_;
    fd_ = -1;
    return ::close(fd) == 0 ? OkStatus() : SystemError(errno, "close", path);
  }

 private:
  int fd_;
};

int Open(const std::string& path, int flags) {
  int fd;
  do {
    fd = ::open(path.c_str(), flags | O_CLOEXEC, 0644);
  } while (fd < 0 && errno == EINTR);
  return fd;
}

Status WriteAll(int fd, std::string_view bytes, const std::string& path) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return SystemError(errno, "write", path);
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return OkStatus();
}

/// `target`: what errors name.
Status WriteDurably(const std::string& path, int flags, std::string_view bytes,
                    const std::string& target) {
  Descriptor file(Open(path, flags));
  if (!file.ok()) return SystemError(errno, "create", target);
  struct stat info;
  const bool regular = ::fstat(file.get(), &info) == 0 && S_ISREG(info.st_mode);
  Status status;
  if (FailpointsOn()) {
    status = WriteAll(file.get(), bytes.substr(0, bytes.size() / 2), target);
    bytes.remove_prefix(bytes.size() / 2);
    if (status.ok()) status = Failpoint("io.half-written", path);
  }
  if (status.ok()) status = WriteAll(file.get(), bytes, target);
  if (status.ok() && ::fsync(file.get()) != 0) status = SystemError(errno, "fsync", target);
  if (status.ok()) status = file.Close(target);
  if (!status.ok() && regular) ::unlink(path.c_str());
  return status;
}

/// A dotted name beside `path` that no other writer uses.
std::string TemporaryName(const std::string& path) {
  static std::atomic<uint64_t> counter{0};
  return JoinPath(DirectoryName(path),
                  fmt::format(".{}.{}-{}.tmp", BaseName(path), ::getpid(), counter.fetch_add(1)));
}

Status Publish(const std::string& path, std::string_view bytes, bool replace) {
  const std::string temporary = TemporaryName(path);
  Status status = WriteDurably(temporary, O_WRONLY | O_CREAT | O_EXCL, bytes, path);
  if (status.ok()) status = Failpoint("io.temporary-written", path);
  if (status.ok()) {
    // link(2) refuses an existing target, rename(2) replaces it.
    const int result = replace ? ::rename(temporary.c_str(), path.c_str())
                               : ::link(temporary.c_str(), path.c_str());
    if (result != 0) status = SystemError(errno, "publish", path);
  }
  if (!status.ok() || !replace) ::unlink(temporary.c_str());
  RETURN_IF_ERROR(status);
  RETURN_IF_ERROR(Failpoint("io.renamed", path));
  return FsyncDirectory(DirectoryName(path));
}

/// Copies everything; copy_file_range where the kernel can, else through a buffer.
Status CopyContent(int from, int to, const std::string& from_path, const std::string& to_path) {
  bool in_kernel = true;
  std::string buffer;
  while (true) {
    if (in_kernel) {
      const ssize_t n = ::copy_file_range(from, nullptr, to, nullptr, size_t{1} << 30, 0);
      if (n > 0) continue;
      if (n == 0) return OkStatus();
      if (errno == EINTR) continue;
      if (errno != EXDEV && errno != EINVAL && errno != ENOSYS && errno != EOPNOTSUPP) {
        return SystemError(errno, "copy to", to_path);
      }
      in_kernel = false;
      buffer.resize(1 << 20);
    }
    const ssize_t n = ::read(from, buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return SystemError(errno, "read", from_path);
    if (n == 0) return OkStatus();
    RETURN_IF_ERROR(WriteAll(to, std::string_view(buffer.data(), static_cast<size_t>(n)), to_path));
  }
}

bool IsOneOf(std::string_view scheme, std::initializer_list<std::string_view> lower_case) {
  std::string lower(scheme);
  for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return std::find(lower_case.begin(), lower_case.end(), lower) != lower_case.end();
}

/// Schemes are written in any case (RFC 3986).
bool IsFileScheme(std::string_view scheme) { return IsOneOf(scheme, {"file"}); }

/// Those that Flink has, itself or by Hadoop.
bool IsRemoteScheme(std::string_view scheme) {
  return IsOneOf(scheme, {"s3",  "s3a",  "s3n",  "s3p",   "hdfs",  "viewfs", "webhdfs", "swebhdfs",
                          "gs",  "oss",  "abfs", "abfss", "wasb",  "wasbs",  "azure",   "maprfs",
                          "ftp", "sftp", "http", "https", "swift", "cosn",   "obs"});
}

}  // namespace

StatusOr<std::string> ParsePath(std::string_view text) {
  if (text.empty()) return InvalidArgument("the path is empty");
  std::string_view path = text;
  const size_t colon = text.find(':');
  const size_t slash = text.find('/');
  const bool has_scheme = colon != std::string_view::npos && colon > 0 && colon < slash;
  if (has_scheme) {
    const std::string_view scheme = text.substr(0, colon);
    if (!IsFileScheme(scheme)) {
      return InvalidArgument(
          "Could not find a file system implementation for scheme '{}': {}, use a directory that "
          "all processes of the cluster see, as \"/dir\" or \"file:/dir\", instead of \"{}\"",
          scheme,
          IsRemoteScheme(scheme) ? "remote file systems are not there yet"
                                 : "there is none of this name",
          text);
    }
    path = text.substr(colon + 1);
    if (path.substr(0, 2) == "//") {
      // An authority: empty, or localhost.
      const size_t end = path.find('/', 2);
      const std::string_view host = path.substr(2, end == std::string_view::npos ? end : end - 2);
      if (!host.empty() && host != "localhost") {
        return InvalidArgument("\"{}\" names the host \"{}\"; a file URI has three slashes", text,
                               host);
      }
      path = end == std::string_view::npos ? std::string_view() : path.substr(end);
    }
    if (path.empty()) return InvalidArgument("\"{}\" has no path", text);
  }
  std::error_code error;
  const fs::path absolute = fs::absolute(fs::path(path), error);
  if (error) return Unavailable("no working directory for \"{}\": {}", text, error.message());
  std::string normal = absolute.lexically_normal().string();
  while (normal.size() > 1 && normal.back() == '/') normal.pop_back();
  return normal;
}

std::string QualifyPath(std::string_view path) {
  const StatusOr<std::string> local = ParsePath(path);
  return "file:" + (local.ok() ? *local : std::string(path));
}

std::string JoinPath(std::string_view directory, std::string_view name) {
  while (directory.size() > 1 && directory.back() == '/') directory.remove_suffix(1);
  while (!name.empty() && name.front() == '/') name.remove_prefix(1);
  if (directory.empty()) return std::string(name);
  std::string path(directory);
  if (path.back() != '/') path.push_back('/');
  return path.append(name);
}

std::string BaseName(std::string_view path) {
  while (path.size() > 1 && path.back() == '/') path.remove_suffix(1);
  const size_t slash = path.rfind('/');
  return std::string(slash == std::string_view::npos ? path : path.substr(slash + 1));
}

std::string DirectoryName(std::string_view path) {
  while (path.size() > 1 && path.back() == '/') path.remove_suffix(1);
  const size_t slash = path.rfind('/');
  if (slash == std::string_view::npos) return ".";
  return std::string(slash == 0 ? "/" : path.substr(0, slash));
}

bool Exists(const std::string& path) {
  struct stat info;
  return ::stat(path.c_str(), &info) == 0;
}

bool IsDirectory(const std::string& path) {
  struct stat info;
  return ::stat(path.c_str(), &info) == 0 && S_ISDIR(info.st_mode);
}

StatusOr<uint64_t> FileSize(const std::string& path) {
  struct stat info;
  if (::stat(path.c_str(), &info) != 0) return SystemError(errno, "read the size of", path);
  return static_cast<uint64_t>(info.st_size);
}

bool IsSame(const std::string& a, const std::string& b) {
  if (a == b) return true;
  struct stat info_a;
  struct stat info_b;
  return ::stat(a.c_str(), &info_a) == 0 && ::stat(b.c_str(), &info_b) == 0 &&
         info_a.st_dev == info_b.st_dev && info_a.st_ino == info_b.st_ino;
}

StatusOr<FileAttributes> AttributesOf(const std::string& path) {
  struct stat info;
  if (::lstat(path.c_str(), &info) != 0) return SystemError(errno, "look at", path);
  const auto milliseconds = [](const timespec& time) {
    return static_cast<int64_t>(time.tv_sec) * 1000 + time.tv_nsec / 1000000;
  };
  FileAttributes attributes;
  attributes.type = S_ISREG(info.st_mode)   ? FileAttributes::Type::kFile
                    : S_ISDIR(info.st_mode) ? FileAttributes::Type::kDirectory
                    : S_ISLNK(info.st_mode) ? FileAttributes::Type::kSymbolicLink
                                            : FileAttributes::Type::kOther;
  attributes.size = static_cast<uint64_t>(info.st_size);
  attributes.modified_ms = milliseconds(info.st_mtim);
  attributes.changed_ms = milliseconds(info.st_ctim);
  return attributes;
}

bool IsSymbolicLink(const std::string& path) {
  const StatusOr<FileAttributes> attributes = AttributesOf(path);
  return attributes.ok() && attributes->type == FileAttributes::Type::kSymbolicLink;
}

Status CreateDirectories(const std::string& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) return SystemError(error.value(), "create the directory", path);
  return IsDirectory(path) ? OkStatus() : SystemError(ENOTDIR, "create the directory", path);
}

Status CreateNewDirectory(const std::string& path) {
  return ::mkdir(path.c_str(), 0777) == 0 ? OkStatus()
                                          : SystemError(errno, "create the directory", path);
}

StatusOr<std::vector<DirectoryEntry>> ListDirectory(const std::string& path) {
  DIR* directory = ::opendir(path.c_str());
  if (directory == nullptr) return SystemError(errno, "list the directory", path);
  std::vector<DirectoryEntry> entries;
  int error = 0;
  while (true) {
    errno = 0;
    const dirent* entry = ::readdir(directory);
    if (entry == nullptr) {
      error = errno;
      break;
    }
    const std::string name = entry->d_name;
    if (name == "." || name == "..") continue;
    const bool is_directory =
        entry->d_type == DT_DIR || ((entry->d_type == DT_UNKNOWN || entry->d_type == DT_LNK) &&
                                    IsDirectory(JoinPath(path, name)));
    entries.push_back({name, is_directory});
  }
  ::closedir(directory);
  if (error != 0) return SystemError(error, "list the directory", path);
  std::sort(entries.begin(), entries.end(),
            [](const DirectoryEntry& a, const DirectoryEntry& b) { return a.name < b.name; });
  return entries;
}

Status RemoveAll(const std::string& path) {
  std::error_code error;
  fs::remove_all(path, error);
  return error ? SystemError(error.value(), "delete", path) : OkStatus();
}

Status RemoveFile(const std::string& path) {
  if (::remove(path.c_str()) != 0 && errno != ENOENT) return SystemError(errno, "delete", path);
  return OkStatus();
}

StatusOr<std::string> ReadFile(const std::string& path) {
  // Without waiting for who writes into it, should it be a pipe.
  Descriptor file(Open(path, O_RDONLY | O_NONBLOCK));
  if (!file.ok()) return SystemError(errno, "open", path);
  struct stat info;
  if (::fstat(file.get(), &info) != 0) return SystemError(errno, "read", path);
  if (S_ISDIR(info.st_mode)) return SystemError(EISDIR, "read", path);
  if (!S_ISREG(info.st_mode)) return FailedPrecondition("cannot read {}: it is no file", path);
  // The size is a first guess: files of /proc say 0, others may grow.
  std::string bytes(static_cast<size_t>(info.st_size) + 1, '\0');
  size_t used = 0;
  while (true) {
    if (used == bytes.size()) bytes.resize(bytes.size() * 2);
    const ssize_t n = ::read(file.get(), bytes.data() + used, bytes.size() - used);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return SystemError(errno, "read", path);
    if (n == 0) break;
    used += static_cast<size_t>(n);
  }
  bytes.resize(used);
  return bytes;
}

StatusOr<std::string> ReadFileRange(const std::string& path, uint64_t offset, uint64_t length) {
  Descriptor file(Open(path, O_RDONLY));
  if (!file.ok()) return SystemError(errno, "open", path);
  ASSIGN_OR_RETURN(const uint64_t size, FileSize(path));
  if (offset > size || length > size - offset) {
    return DataLoss("{} has {} bytes; {} bytes from {} were asked for", path, size, length, offset);
  }
  std::string bytes(length, '\0');
  size_t used = 0;
  while (used < bytes.size()) {
    const ssize_t n = ::pread(file.get(), bytes.data() + used, bytes.size() - used,
                              static_cast<off_t>(offset + used));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return SystemError(errno, "read", path);
    if (n == 0) return DataLoss("{} ends at {} while it is read", path, offset + used);
    used += static_cast<size_t>(n);
  }
  return bytes;
}

Status WriteFileDurably(const std::string& path, std::string_view bytes,
                        const std::string& target) {
  return WriteDurably(path, O_WRONLY | O_CREAT | O_TRUNC, bytes, target.empty() ? path : target);
}

Status PublishFile(const std::string& path, std::string_view bytes) {
  return Publish(path, bytes, true);
}

Status PublishNewFile(const std::string& path, std::string_view bytes) {
  return Publish(path, bytes, false);
}

Status AppendDurably(const std::string& path, std::string_view bytes) {
  const bool is_new = !Exists(path);
  Descriptor file(Open(path, O_WRONLY | O_CREAT | O_APPEND));
  if (!file.ok()) return SystemError(errno, "open", path);
  ssize_t n;
  do {
    n = ::write(file.get(), bytes.data(), bytes.size());
  } while (n < 0 && errno == EINTR);
  if (n < 0) return SystemError(errno, "write", path);
  if (static_cast<size_t>(n) != bytes.size()) return SystemError(ENOSPC, "write", path);
  if (::fsync(file.get()) != 0) return SystemError(errno, "fsync", path);
  RETURN_IF_ERROR(file.Close(path));
  return is_new ? FsyncDirectory(DirectoryName(path)) : OkStatus();
}

Status RenameFile(const std::string& from, const std::string& to) {
  if (::rename(from.c_str(), to.c_str()) == 0) return OkStatus();
  return SystemError(errno, "rename", fmt::format("{} to {}", from, to));
}

StatusOr<bool> LinkOrCopy(const std::string& from, const std::string& to) {
  if (::link(from.c_str(), to.c_str()) == 0) return true;
  if (errno == EEXIST) return SystemError(errno, "create", to);
  if (errno == ENOENT && !Exists(from)) return SystemError(errno, "read", from);
  RETURN_IF_ERROR(CopyFile(from, to));
  return false;
}

Status CopyFile(const std::string& from, const std::string& to) {
  Descriptor source(Open(from, O_RDONLY));
  if (!source.ok()) return SystemError(errno, "open", from);
  Descriptor target(Open(to, O_WRONLY | O_CREAT | O_EXCL));
  if (!target.ok()) return SystemError(errno, "create", to);
  Status status = CopyContent(source.get(), target.get(), from, to);
  if (status.ok() && ::fsync(target.get()) != 0) status = SystemError(errno, "fsync", to);
  if (status.ok()) status = target.Close(to);
  if (!status.ok()) ::unlink(to.c_str());
  return status;
}

Status FsyncFile(const std::string& path) {
  Descriptor file(Open(path, O_RDONLY));
  if (!file.ok()) return SystemError(errno, "open", path);
  return ::fsync(file.get()) == 0 ? OkStatus() : SystemError(errno, "fsync", path);
}

Status FsyncDirectory(const std::string& path) {
  Descriptor directory(Open(path, O_RDONLY | O_DIRECTORY));
  if (!directory.ok()) return SystemError(errno, "open the directory", path);
  // Some network file systems do not know fsync of directories; there is nothing more to do on
  // them.
  if (::fsync(directory.get()) == 0 || errno == EINVAL || errno == ENOTSUP) return OkStatus();
  return SystemError(errno, "fsync the directory", path);
}

Status ProbeWritable(const std::string& directory) {
  Status status = CreateDirectories(directory);
  if (status.ok()) {
    const std::string probe = TemporaryName(JoinPath(directory, "probe"));
    Descriptor file(Open(probe, O_WRONLY | O_CREAT | O_EXCL));
    if (file.ok()) {
      status = WriteAll(file.get(), "probe", directory);
      if (status.ok()) status = file.Close(directory);
      ::unlink(probe.c_str());
    } else {
      status = SystemError(errno, "create a file in", directory);
    }
  }
  return With(status, "the directory {} is not writable", directory);
}

}  // namespace flink::io
