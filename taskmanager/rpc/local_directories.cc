#include "taskmanager/rpc/local_directories.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "common/io/file_system.h"

namespace flink::taskmanager {
namespace {

constexpr char kPrefix[] = "flink-cpp-tm";

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
    StatusOr<io::ProcessDirectory> root = io::ProcessDirectory::Create(kPrefix, path);
    if (!root.ok()) return With(root.status(), "io.tmp.dirs names {}", parent);
    out.roots_.push_back(*std::move(root));
  }
  RETURN_IF_ERROR(io::CreateDirectories(out.ArtifactDirectory()));
  return out;
}

std::string LocalDirectories::ArtifactDirectory() const { return roots_[0].File("artifacts"); }

StatusOr<io::TempDirectory> LocalDirectories::CreateWorkDirectory(const std::string& prefix) {
  return io::TempDirectory::Create(prefix, roots_[next_++ % roots_.size()].path());
}

std::vector<std::string> LocalDirectories::paths() const {
  std::vector<std::string> out;
  for (const io::ProcessDirectory& root : roots_) out.push_back(root.path());
  return out;
}

}  // namespace flink::taskmanager
