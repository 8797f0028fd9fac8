#pragma once

/// Mailbox: how threads talk to the one owner of an object. Anybody posts; one thread runs the
/// mails.

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "absl/functional/any_invocable.h"

namespace flink {

/// One unit of work. Move-only, runs at most once, must not throw.
using Mail = absl::AnyInvocable<void()>;

/// Threading: Post, PostAt, CancelTimer, Close, HasMail, closed from any thread; the Run functions
/// from one thread at a time. Mails posted by one thread run in the order of posting; timers by
/// time, then by order of PostAt. A mail may post further mails and may close the mailbox. After
/// Close nothing is accepted; mails accepted before still run, timers that are not due are dropped.
class Mailbox {
 public:
  using Time = std::chrono::steady_clock::time_point;
  using TimerId = uint64_t;

  Mailbox() = default;
  Mailbox(const Mailbox&) = delete;
  Mailbox& operator=(const Mailbox&) = delete;
  ~Mailbox();

  /// Appends a mail; false (and the mail is dropped) when closed.
  bool Post(Mail mail);
  /// Runs a mail at `time` or as soon as possible after it. The id is never 0; 0 says that the box
  /// is closed.
  TimerId PostAt(Time time, Mail mail);
  TimerId PostAfter(std::chrono::milliseconds delay, Mail mail) {
    return PostAt(std::chrono::steady_clock::now() + delay, std::move(mail));
  }
  /// False when the timer has run, is about to run, or never existed.
  bool CancelTimer(TimerId id);
  void Close();

  bool closed() const;
  /// A cheap check (one relaxed load) for loops that poll between records. Does not see timers that
  /// fell due: such a loop calls TryRunAll once per batch.
  bool HasMail() const { return has_mail_.load(std::memory_order_relaxed); }
  /// When the earliest timer is due.
  std::optional<Time> NextTimer() const;

  /// Runs the oldest mail or due timer; false when there is none. Does not block.
  bool RunOne();
  /// Runs everything that is due, mails posted meanwhile excluded; false when there was nothing.
  /// Does not block.
  bool TryRunAll();
  /// Blocks until something is due, the mailbox is closed, or `deadline` passes; then runs what is
  /// due. False only when the mailbox is closed and has no mail left.
  bool WaitAndRun(Time deadline = Time::max());
  /// Runs until closed and empty.
  void RunUntilClosed();
  /// Runs until `done()` (checked after every mail), the deadline, or the end of the mailbox.
  /// Returns done().
  bool RunUntil(const std::function<bool()>& done, Time deadline = Time::max());

 private:
  struct TimerKey {
    Time time;
    TimerId id;
    bool operator<(const TimerKey& o) const { return time != o.time ? time < o.time : id < o.id; }
  };
  /// Moves due timers behind the mails. Needs mutex_.
  void CollectTimers(Time now);
  /// Runs what is due; releases the lock first.
  bool RunDue(std::unique_lock<std::mutex>& lock);
  void WaitForDue(std::unique_lock<std::mutex>& lock, Time deadline);

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Mail> mails_;
  std::map<TimerKey, Mail> timers_;
  std::map<TimerId, Time> timer_times_;
  TimerId last_timer_ = 0;
  bool closed_ = false;
  std::atomic<bool> has_mail_{false};
};

/// A named thread that runs a mailbox until it is closed. The destructor closes the mailbox and
/// joins.
class MailboxThread {
 public:
  /// The first 15 characters of the name are what tools show.
  explicit MailboxThread(std::string name);
  ~MailboxThread();
  MailboxThread(const MailboxThread&) = delete;
  MailboxThread& operator=(const MailboxThread&) = delete;

  Mailbox& mailbox() { return mailbox_; }
  bool Post(Mail mail) { return mailbox_.Post(std::move(mail)); }
  /// True on the thread that runs the mails.
  bool IsCurrentThread() const { return std::this_thread::get_id() == id_.load(); }
  /// Closes the mailbox and waits for the thread; repeatable. Not from the thread itself.
  void CloseAndJoin();

 private:
  Mailbox mailbox_;
  std::atomic<std::thread::id> id_;  // set by the thread before its first mail
  std::thread thread_;
};

/// Names the calling thread as tools show it (15 characters).
void SetCurrentThreadName(const std::string& name);

}  // namespace flink
