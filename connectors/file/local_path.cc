#include "connectors/file/local_path.h"

#include <stdexcept>

namespace flink {

std::string LocalPathFromUser(const std::string& text) {
  std::string path = text;
  const size_t scheme = path.find("://");
  if (path.rfind("file:", 0) == 0) {
    path.erase(0, 5);
    if (path.rfind("//", 0) == 0) path.erase(0, 2);
  } else if (scheme != std::string::npos && path.find('/') > scheme) {
    throw std::invalid_argument(
        "\"" + text + "\" is not on a file system this connector knows: give a local path");
  }
  while (path.size() > 1 && path.back() == '/') path.pop_back();
  if (path.empty()) throw std::invalid_argument("a file connector was given an empty path");
  return path;
}

std::string ResolvePath(const std::string& directory, const std::string& path) {
  if (!path.empty() && path[0] == '/') return path;
  return directory.empty() ? path : directory + "/" + path;
}

}  // namespace flink
