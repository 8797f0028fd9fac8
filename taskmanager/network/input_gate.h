#pragma once

/// InputGate: the queues of all input channels of one task.
///
/// Threading: AddChannel before anything is pushed. Push from the producers' threads (a task of
/// this process, or the I/O thread); everything else on the consumer's thread. Each channel keeps
/// its order; ready channels take turns. Ownership: shared by the consuming task and the producers
/// of its channels; the last of them frees it.

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "taskmanager/network/credit.h"
#include "taskmanager/network/stream_element.h"
#include "taskmanager/network/task_inbox.h"

namespace flink::taskmanager {

class InputGate {
 public:
  struct Polled {
    int channel = 0;
    StreamElement element;
  };
  /// A barrier that may overtake the elements ahead of it, or the end of the channel.
  struct Announced {
    int channel = 0;
    std::shared_ptr<const CheckpointBarrier> barrier;  ///< Null: the end.
  };

  explicit InputGate(std::shared_ptr<TaskInbox> consumer) : consumer_(std::move(consumer)) {}

  /// The index of the new channel.
  int AddChannel();
  /// Who gets the credit of the channel's elements. Before the first Push.
  void SetCreditReturn(int channel, std::shared_ptr<CreditReturn> credit);
  int channel_count() const { return static_cast<int>(channels_.size()); }

  /// With `more_expected` the consumer is not woken before kAnnounceBytes have come or the producer
  /// says Announce: waking a thread costs more than processing a batch.
  void Push(int channel, StreamElement element, bool more_expected = false);
  /// Wakes the consumer if something was pushed of which it was not told. Any thread.
  void Announce();

  /// The next element of a channel that is not blocked; its credit has been returned.
  std::optional<Polled> Poll();
  /// True when Poll would give something.
  bool HasReady();
  /// A blocked channel keeps its elements. Both are idempotent.
  void Block(int channel);
  void Unblock(int channel);
  /// The consumer hears of a barrier with an aligned timeout, and of the end of a channel, as soon
  /// as it is pushed. It keeps its place in the queue, too.
  bool HasAnnounced() const { return has_announced_.load(); }
  std::vector<Announced> TakeAnnounced();
  /// What a channel holds ahead of the barrier of this checkpoint, or all when that has not come.
  /// Valid until the next Poll or Close.
  std::vector<const StreamElement*> QueuedBefore(int channel, int64_t checkpoint_id);
  /// Puts elements from a snapshot in front of a channel. Nothing else is polled from any channel
  /// until all of them are. Before the first Poll.
  void Recover(int channel, std::vector<StreamElement> elements);

  /// Drops everything that is queued now or later. Repeatable.
  void Close();

 private:
  struct Channel {
    std::deque<StreamElement> queue;
    std::shared_ptr<CreditReturn> credit;
    bool blocked = false;
    bool listed = false;   // in ready_
    size_t recovered = 0;  // elements at the front that came from a snapshot
  };
  bool MayPoll(const Channel& c) const {
    return !c.blocked && !c.queue.empty() && (recovered_ == 0 || c.recovered > 0);
  }
  void List(int channel);

  const std::shared_ptr<TaskInbox> consumer_;
  std::mutex mutex_;
  std::deque<Channel> channels_;
  std::deque<int> ready_;  // channels with an element that may be polled
  size_t recovered_ = 0;   // of all channels
  std::vector<Announced> announced_;
  std::atomic<bool> has_announced_{false};  // announced_ is not empty
  int64_t unannounced_bytes_ = 0;
  bool closed_ = false;
};

}  // namespace flink::taskmanager
