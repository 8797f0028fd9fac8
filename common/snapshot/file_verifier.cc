#include "common/snapshot/file_verifier.h"

#include <utility>

namespace flink::snapshot {

FileVerifier::~FileVerifier() {
  std::unique_lock lock(mutex_);
  abandoned_ = true;
  changed_.wait(lock, [this] { return pending_ == 0; });
}

void FileVerifier::Start(std::vector<SnapshotFile> files) {
  files_ = std::move(files);
  {
    std::lock_guard lock(mutex_);
    results_.resize(files_.size());
    pending_ = files_.size();
  }
  for (size_t i = 0; i < files_.size(); ++i) {
    // A pool that is shutting down takes nothing more; the work is then done here.
    if (pool_ == nullptr || !pool_->Submit([this, i] { Verify(i); })) Verify(i);
  }
}

void FileVerifier::Verify(size_t index) {
  bool wanted = false;
  {
    std::lock_guard lock(mutex_);
    wanted = !abandoned_;
  }
  Status status = wanted ? VerifyFile(files_[index]) : Cancelled("nobody waits for the result");
  std::lock_guard lock(mutex_);
  results_[index] = std::move(status);
  --pending_;
  changed_.notify_all();
}

const std::vector<Status>& FileVerifier::Results() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return pending_ == 0; });
  return results_;
}

Status FileVerifier::Wait() {
  for (const Status& status : Results()) RETURN_IF_ERROR(status);
  return OkStatus();
}

}  // namespace flink::snapshot
