#pragma once

/// ArtifactStore: the job libraries that TaskManagers fetch, as files named by their content
/// digest.

#include <map>
#include <mutex>
#include <string>
#include <string_view>

#include "common/base/status.h"

namespace flink::jobmanager {

/// Thread-safe. The directory belongs to the caller and outlives the store.
class ArtifactStore {
 public:
  explicit ArtifactStore(std::string directory) : directory_(std::move(directory)) {}

  /// Writes the content unless it is there already, and takes one reference. Checks that `digest`
  /// (16 hexadecimal digits) is the content's. Blocks.
  Status Put(const std::string& digest, std::string_view content);
  /// Gives one reference back; the file goes with the last one.
  void Release(const std::string& digest);
  /// The path of the file.
  StatusOr<std::string> Find(const std::string& digest) const;

  static std::string DigestOf(std::string_view content);

 private:
  const std::string directory_;
  mutable std::mutex mutex_;
  std::map<std::string, int> references_;
};

}  // namespace flink::jobmanager
