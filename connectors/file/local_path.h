#pragma once

/// Paths that a user gives to the file connectors.

#include <string>

namespace flink {

/// Without "file:" and slashes at the end. Throws std::invalid_argument for an empty path or
/// another scheme.
std::string LocalPathFromUser(const std::string& text);

/// `path` itself when it is absolute.
std::string ResolvePath(const std::string& directory, const std::string& path);

}  // namespace flink
