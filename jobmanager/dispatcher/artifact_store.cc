#include "jobmanager/dispatcher/artifact_store.h"

#include <fmt/core.h>

#include "common/io/checksum.h"
#include "common/io/file_system.h"

namespace flink::jobmanager {

std::string ArtifactStore::DigestOf(std::string_view content) {
  return fmt::format("{:016x}", io::Checksum64(content));
}

Status ArtifactStore::Put(const std::string& digest, std::string_view content) {
  const std::string actual = DigestOf(content);
  if (digest != actual) {
    return InvalidArgument(
        "the job library arrived damaged: its digest is {} instead of {}. Submit the job again.",
        actual, digest);
  }
  // Under the lock, so that nobody finds half a file; submissions are rare and libraries small.
  const std::lock_guard<std::mutex> lock(mutex_);
  int& references = references_[digest];
  if (references == 0) {
    const Status written = io::PublishFile(io::JoinPath(directory_, digest), content);
    if (!written.ok()) {
      references_.erase(digest);
      return With(written, "the job library could not be stored");
    }
  }
  ++references;
  return OkStatus();
}

void ArtifactStore::Release(const std::string& digest) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto found = references_.find(digest);
  if (found == references_.end() || --found->second > 0) return;
  references_.erase(found);
  IgnoreError(io::RemoveFile(io::JoinPath(directory_, digest)), "goes with the work directory");
}

StatusOr<std::string> ArtifactStore::Find(const std::string& digest) const {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (references_.count(digest) == 0) {
    return NotFound("no job uses a library with the digest {}", digest);
  }
  return io::JoinPath(directory_, digest);
}

}  // namespace flink::jobmanager
