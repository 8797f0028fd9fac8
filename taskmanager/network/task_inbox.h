#pragma once

/// TaskInbox: all that other threads may touch of a task. Mail, and the signals that end a wait for
/// input or credit.
///
/// Shared by the task and by whatever feeds it or takes from it, so it outlives all of them. The
/// task's thread runs the mailbox. To sleep it arms the inbox, looks once more for work, then waits
/// for mail; whoever makes work possible calls Wake, which costs one load unless the task really
/// waits.

#include <atomic>

#include "common/concurrency/mailbox.h"

namespace flink::taskmanager {

class TaskInbox {
 public:
  Mailbox& mailbox() { return mailbox_; }

  /// Any thread, after the work was made visible.
  void Wake() {
    if (waiting_.load() && waiting_.exchange(false)) mailbox_.Post([] {});
  }
  /// Task thread.
  void Arm() { waiting_.store(true); }
  void Disarm() { waiting_.store(false); }

  /// Number of output channels without credit; see OutputCredit.
  void ChannelExhausted() { exhausted_channels_.fetch_add(1); }
  void ChannelReplenished() {
    exhausted_channels_.fetch_sub(1);
    Wake();
  }
  bool OutputsAvailable() const { return exhausted_channels_.load() <= 0; }

 private:
  Mailbox mailbox_;
  std::atomic<bool> waiting_{false};
  std::atomic<int> exhausted_channels_{0};
};

}  // namespace flink::taskmanager
