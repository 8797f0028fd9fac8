#pragma once

/// Credit: how many bytes a channel may have in flight.
///
/// The producer takes credit when it sends (it may overdraw with the last element) and stops
/// processing while a channel of its has none; the consumer gives it back when it takes the
/// element. So the memory of a channel is bounded by its window plus what one processing step
/// emits.

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <memory>
#include <utility>

#include "taskmanager/network/task_inbox.h"

namespace flink::taskmanager {

/// Takes credit back on behalf of a channel's producer. Any thread.
class CreditReturn {
 public:
  virtual ~CreditReturn() = default;
  virtual void Return(int64_t bytes) = 0;
};

/// Bookkeeping of one channel at its producer. Thread-safe.
class OutputCredit final : public CreditReturn {
 public:
  OutputCredit(int64_t window, std::shared_ptr<TaskInbox> producer)
      : available_(window), producer_(std::move(producer)) {}

  void Take(int64_t bytes) {
    const int64_t before = available_.fetch_sub(bytes);
    if (before > 0 && before - bytes <= 0) producer_->ChannelExhausted();
  }
  void Return(int64_t bytes) override {
    const int64_t before = available_.fetch_add(bytes);
    if (before <= 0 && before + bytes > 0) producer_->ChannelReplenished();
  }
  int64_t available() const { return available_.load(); }

 private:
  std::atomic<int64_t> available_;
  const std::shared_ptr<TaskInbox> producer_;
};

/// What an element costs beyond its records.
inline constexpr int64_t kElementOverheadBytes = 64;
/// A consumer in another process returns credit in portions of this size. Windows are larger, so
/// that a producer never waits for a portion that is not full.
inline constexpr int64_t kCreditPortionBytes = 64 << 10;
/// A fast producer tells the other side of its batches in portions of this size.
inline constexpr int64_t kAnnounceBytes = 64 << 10;

/// The window of each channel of an exchange with this many channels per producer.
inline int64_t ChannelWindowBytes(int channels) {
  constexpr int64_t kPerExchange = 32 << 20;
  return std::clamp<int64_t>(kPerExchange / std::max(channels, 1), 128 << 10, 512 << 10);
}

}  // namespace flink::taskmanager
