#include "taskmanager/state/compaction_brake.h"

#include <algorithm>
#include <utility>

namespace flink::taskmanager {
namespace {

/// A compaction looks again after this time whether it may wait any longer.
constexpr std::chrono::seconds kLongestWait{1};

}  // namespace

CompactionBrake::Hold::Hold(std::shared_ptr<CompactionBrake> brake,
                            std::chrono::milliseconds longest)
    : brake_(std::move(brake)) {
  std::lock_guard lock(brake_->mutex_);
  ++brake_->holds_;
  brake_->end_ = std::chrono::steady_clock::now() + longest;
}

CompactionBrake::Hold& CompactionBrake::Hold::operator=(Hold&& other) noexcept {
  Release();
  brake_ = std::move(other.brake_);
  return *this;
}

void CompactionBrake::Hold::Release() {
  if (brake_ == nullptr) return;
  {
    std::lock_guard lock(brake_->mutex_);
    --brake_->holds_;
  }
  brake_->changed_.notify_all();
  brake_ = nullptr;
}

void CompactionBrake::Request(int64_t /*bytes*/, rocksdb::Env::IOPriority priority,
                              rocksdb::Statistics* /*statistics*/) {
  if (priority != rocksdb::Env::IO_LOW) return;
  std::unique_lock lock(mutex_);
  const auto wait_end = std::chrono::steady_clock::now() + kLongestWait;
  changed_.wait_until(lock, std::min(wait_end, end_), [this] { return holds_ == 0; });
}

}  // namespace flink::taskmanager
