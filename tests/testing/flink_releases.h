#pragma once

/// The savepoints that releases of Apache Flink wrote of one job: tests/golden/flink.

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <vector>

namespace flink::testing {

struct ReleasedSavepoint {
  std::string release;  ///< "1.8"
  std::string variant;  ///< "heap", "rocksdb-native", "heap-native-snappy", …
  std::string path;

  /// 108, 201.
  int Number() const {
    const size_t dot = release.find('.');
    return std::stoi(release.substr(0, dot)) * 100 + std::stoi(release.substr(dot + 1));
  }
  bool IsNative() const { return variant.find("-native") != std::string::npos; }
  std::string Name() const { return release + "/" + variant; }
};

/// Unpacks all of them to <directory>/<release>/<variant>; oldest release first.
inline std::vector<ReleasedSavepoint> UnpackFlinkReleases(const std::string& archives,
                                                          const std::string& directory) {
  std::vector<ReleasedSavepoint> all;
  for (const auto& archive : std::filesystem::directory_iterator(archives)) {
    if (archive.path().extension() != ".tgz") continue;
    const std::string release = archive.path().stem().string();
    const std::string target = directory + "/" + release;
    std::filesystem::create_directories(target);
    const std::string command =
        "tar xzf '" + archive.path().string() + "' --no-same-owner -C '" + target + "'";
    if (std::system(command.c_str()) != 0) throw std::runtime_error(command);
    for (const auto& variant : std::filesystem::directory_iterator(target)) {
      all.push_back({release, variant.path().filename().string(), variant.path().string()});
    }
  }
  std::sort(all.begin(), all.end(), [](const ReleasedSavepoint& a, const ReleasedSavepoint& b) {
    return a.Number() != b.Number() ? a.Number() < b.Number() : a.variant < b.variant;
  });
  return all;
}

}  // namespace flink::testing
