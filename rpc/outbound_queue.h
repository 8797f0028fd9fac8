#pragma once

/// OutboundQueue: messages that wait for a gRPC stream to take them.

#include <cstdint>
#include <deque>
#include <memory>
#include <utility>

namespace flink {

/// Externally synchronized. Counts bytes, and keeps with each message a token that is dropped when
/// the message has been written or discarded: whoever bounds its own messages in flight counts
/// tokens.
template <class Message>
class OutboundQueue {
 public:
  using Token = std::shared_ptr<void>;

  void Push(Message message, Token token = nullptr) {
    const uint64_t size = message.ByteSizeLong();
    bytes_ += size;
    entries_.push_back(Entry{std::move(message), std::move(token), size});
  }
  bool empty() const { return entries_.empty(); }
  /// Stays valid until PopFront or Clear, also while more is pushed.
  const Message& front() const { return entries_.front().message; }
  void PopFront() {
    bytes_ -= entries_.front().size;
    entries_.pop_front();
  }
  /// Drops everything but the first `keep` messages: those the stream is still reading.
  void Truncate(size_t keep) {
    while (entries_.size() > keep) {
      bytes_ -= entries_.back().size;
      entries_.pop_back();
    }
  }
  uint64_t bytes() const { return bytes_; }

 private:
  struct Entry {
    Message message;
    Token token;
    uint64_t size;
  };
  std::deque<Entry> entries_;
  uint64_t bytes_ = 0;
};

}  // namespace flink
