#include "common/io/temp_directory.h"

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "common/base/logging.h"
#include "common/io/file_system.h"

namespace flink::io {

StatusOr<TempDirectory> TempDirectory::Create(std::string_view prefix, std::string_view parent) {
  std::string base(parent);
  if (base.empty()) {
    const char* variable = std::getenv("TMPDIR");
    base = variable != nullptr && *variable != '\0' ? variable : "/tmp";
  }
  RETURN_IF_ERROR(CreateDirectories(base));
  std::string path = JoinPath(base, std::string(prefix) + "-XXXXXX");
  if (::mkdtemp(path.data()) == nullptr) {
    return Unavailable("cannot create a temporary directory in {}: {}", base, std::strerror(errno));
  }
  return TempDirectory(std::move(path));
}

TempDirectory::~TempDirectory() { Remove(); }

TempDirectory::TempDirectory(TempDirectory&& other) noexcept
    : path_(std::exchange(other.path_, {})) {}

TempDirectory& TempDirectory::operator=(TempDirectory&& other) noexcept {
  if (this != &other) {
    Remove();
    path_ = std::exchange(other.path_, {});
  }
  return *this;
}

std::string TempDirectory::File(std::string_view name) const { return JoinPath(path_, name); }

std::string TempDirectory::Release() { return std::exchange(path_, {}); }

void TempDirectory::Remove() {
  if (path_.empty()) return;
  const Status removed = RemoveAll(path_);
  if (!removed.ok()) LOG_WARN("temporary directory is left behind: {}", Message(removed));
  path_.clear();
}

}  // namespace flink::io
