#include "common/io/process_directory.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "common/base/logging.h"
#include "common/io/file_lock.h"
#include "common/io/file_system.h"

namespace flink::io {
namespace {

constexpr char kLockFile[] = "lock";

/// The pid in "<prefix>-<pid>-XXXXXX"; 0 for other names.
pid_t OwnerOf(const std::string& name, const std::string& prefix) {
  const size_t begin = prefix.size() + 1;
  if (name.compare(0, begin, prefix + "-") != 0) return 0;
  char* end = nullptr;
  const long pid = strtol(name.c_str() + begin, &end, 10);
  return *end == '-' && pid > 0 ? static_cast<pid_t>(pid) : 0;
}

void RemoveLeftovers(const std::string& parent, const std::string& prefix) {
  const auto entries = ListDirectory(parent);
  if (!entries.ok()) return;
  for (const DirectoryEntry& entry : *entries) {
    const pid_t owner = OwnerOf(entry.name, prefix);
    if (owner == 0 || !entry.is_directory) continue;
    const std::string path = JoinPath(parent, entry.name);
    if (kill(owner, 0) == 0 || errno != ESRCH || IsLocked(JoinPath(path, kLockFile))) continue;
    const Status removed = RemoveAll(path);
    if (removed.ok()) {
      LOG_INFO("Removed {}, left behind by a process that is gone", path);
    } else {
      LOG_WARN("Cannot remove the leftovers of a process that is gone: {}", Message(removed));
    }
  }
}

}  // namespace

StatusOr<ProcessDirectory> ProcessDirectory::Create(const std::string& prefix,
                                                    const std::string& parent) {
  RETURN_IF_ERROR(CreateDirectories(parent));
  RemoveLeftovers(parent, prefix);
  ASSIGN_OR_RETURN(TempDirectory root,
                   TempDirectory::Create(fmt::format("{}-{}", prefix, getpid()), parent));
  ProcessDirectory directory(std::move(root));
  const std::string lock = directory.File(kLockFile);
  directory.lock_ = open(lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (directory.lock_ < 0) return Unavailable("cannot create {}: {}", lock, strerror(errno));
  if (flock(directory.lock_, LOCK_EX | LOCK_NB) != 0) {
    LOG_WARN("Cannot lock {}: {}", lock, strerror(errno));
  }
  return directory;
}

ProcessDirectory::ProcessDirectory(ProcessDirectory&& other) noexcept
    : root_(std::move(other.root_)), lock_(std::exchange(other.lock_, -1)) {}

ProcessDirectory::~ProcessDirectory() {
  // The lock goes last, so that nobody else begins to remove the directory.
  root_ = TempDirectory();
  if (lock_ >= 0) close(lock_);
}

}  // namespace flink::io
