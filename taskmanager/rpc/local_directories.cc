#include "taskmanager/rpc/local_directories.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "common/base/logging.h"
#include "common/io/file_system.h"

namespace flink::taskmanager {
namespace {

constexpr char kPrefix[] = "flink-cpp-tm-";
constexpr char kLockFile[] = "lock";

/// The pid in "flink-cpp-tm-<pid>-XXXXXX"; 0 for other names.
pid_t OwnerOf(const std::string& name) {
  const size_t begin = strlen(kPrefix);
  if (name.compare(0, begin, kPrefix) != 0) return 0;
  char* end = nullptr;
  const long pid = strtol(name.c_str() + begin, &end, 10);
  return *end == '-' && pid > 0 ? static_cast<pid_t>(pid) : 0;
}

bool IsLocked(const std::string& directory) {
  const int fd = open(io::JoinPath(directory, kLockFile).c_str(), O_RDWR | O_CLOEXEC);
  if (fd < 0) return errno != ENOENT;
  const bool locked = flock(fd, LOCK_EX | LOCK_NB) != 0;
  close(fd);
  return locked;
}

void RemoveLeftovers(const std::string& parent) {
  const auto entries = io::ListDirectory(parent);
  if (!entries.ok()) return;
  for (const io::DirectoryEntry& entry : *entries) {
    const pid_t owner = OwnerOf(entry.name);
    if (owner == 0 || !entry.is_directory) continue;
    const std::string path = io::JoinPath(parent, entry.name);
    if (kill(owner, 0) == 0 || errno != ESRCH || IsLocked(path)) continue;
    const Status removed = io::RemoveAll(path);
    if (removed.ok()) {
      LOG_INFO("Removed {}, left behind by a TaskManager that is gone", path);
    } else {
      LOG_WARN("Cannot remove the leftovers of a TaskManager that is gone: {}", Message(removed));
    }
  }
}

}  // namespace

std::vector<std::string> ParseTmpDirectories(const std::string& text) {
  std::vector<std::string> out;
  size_t begin = 0;
  while (begin <= text.size()) {
    const size_t end = std::min(text.find_first_of(",:", begin), text.size());
    std::string element = text.substr(begin, end - begin);
    const size_t first = element.find_first_not_of(" \t");
    const size_t last = element.find_last_not_of(" \t");
    if (first != std::string::npos) out.push_back(element.substr(first, last - first + 1));
    begin = end + 1;
  }
  return out;
}

StatusOr<LocalDirectories> LocalDirectories::Create(std::vector<std::string> parents) {
  if (parents.empty()) {
    const char* tmp = getenv("TMPDIR");
    parents.push_back(tmp != nullptr && *tmp != '\0' ? tmp : "/tmp");
  }
  LocalDirectories out;
  for (const std::string& parent : parents) {
    ASSIGN_OR_RETURN(const std::string path, io::ParsePath(parent));
    RETURN_IF_ERROR(With(out.Add(path), "io.tmp.dirs names {}", parent));
  }
  RETURN_IF_ERROR(io::CreateDirectories(out.ArtifactDirectory()));
  return out;
}

Status LocalDirectories::Add(const std::string& parent) {
  RETURN_IF_ERROR(io::CreateDirectories(parent));
  RemoveLeftovers(parent);
  const std::string prefix = fmt::format("{}{}", kPrefix, getpid());
  ASSIGN_OR_RETURN(io::TempDirectory root, io::TempDirectory::Create(prefix, parent));
  const std::string lock = root.File(kLockFile);
  const int fd = open(lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return Unavailable("cannot create {}: {}", lock, strerror(errno));
  locks_.push_back(fd);
  if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
    LOG_WARN("Cannot lock {}: {}", lock, strerror(errno));
  }
  roots_.push_back(std::move(root));
  return OkStatus();
}

LocalDirectories::LocalDirectories(LocalDirectories&& other) noexcept
    : roots_(std::move(other.roots_)), locks_(std::move(other.locks_)), next_(other.next_) {
  other.locks_.clear();
}

LocalDirectories::~LocalDirectories() {
  // The lock goes last, so that nobody else begins to remove the directory.
  roots_.clear();
  for (const int fd : locks_) close(fd);
}

std::string LocalDirectories::ArtifactDirectory() const { return roots_[0].File("artifacts"); }

StatusOr<io::TempDirectory> LocalDirectories::CreateWorkDirectory(const std::string& prefix) {
  return io::TempDirectory::Create(prefix, roots_[next_++ % roots_.size()].path());
}

std::vector<std::string> LocalDirectories::paths() const {
  std::vector<std::string> out;
  for (const io::TempDirectory& root : roots_) out.push_back(root.path());
  return out;
}

}  // namespace flink::taskmanager
