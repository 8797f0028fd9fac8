#include "common/concurrency/mailbox.h"

#include <pthread.h>

#include <algorithm>

namespace flink {

Mailbox::~Mailbox() = default;

bool Mailbox::Post(Mail mail) {
  {
    std::lock_guard lock(mutex_);
    if (closed_) return false;
    mails_.push_back(std::move(mail));
    has_mail_.store(true, std::memory_order_relaxed);
  }
  wake_.notify_one();
  return true;
}

Mailbox::TimerId Mailbox::PostAt(Time time, Mail mail) {
  TimerId id;
  bool first;
  {
    std::lock_guard lock(mutex_);
    if (closed_) return 0;
    id = ++last_timer_;
    const auto position = timers_.emplace(TimerKey{time, id}, std::move(mail)).first;
    timer_times_.emplace(id, time);
    first = position == timers_.begin();
  }
  if (first) wake_.notify_one();
  return id;
}

bool Mailbox::CancelTimer(TimerId id) {
  // The mail is destroyed after the lock is released: its captures may call back.
  Mail cancelled;
  std::lock_guard lock(mutex_);
  const auto time = timer_times_.find(id);
  if (time == timer_times_.end()) return false;
  const auto timer = timers_.find(TimerKey{time->second, id});
  cancelled = std::move(timer->second);
  timers_.erase(timer);
  timer_times_.erase(time);
  return true;
}

void Mailbox::Close() {
  std::map<TimerKey, Mail> dropped;
  {
    std::lock_guard lock(mutex_);
    closed_ = true;
    dropped.swap(timers_);
    timer_times_.clear();
  }
  wake_.notify_all();
}

bool Mailbox::closed() const {
  std::lock_guard lock(mutex_);
  return closed_;
}

std::optional<Mailbox::Time> Mailbox::NextTimer() const {
  std::lock_guard lock(mutex_);
  if (timers_.empty()) return std::nullopt;
  return timers_.begin()->first.time;
}

void Mailbox::CollectTimers(Time now) {
  while (!timers_.empty() && timers_.begin()->first.time <= now) {
    auto timer = timers_.begin();
    timer_times_.erase(timer->first.id);
    mails_.push_back(std::move(timer->second));
    timers_.erase(timer);
  }
  has_mail_.store(!mails_.empty(), std::memory_order_relaxed);
}

bool Mailbox::RunOne() {
  Mail mail;
  {
    std::lock_guard lock(mutex_);
    CollectTimers(std::chrono::steady_clock::now());
    if (mails_.empty()) return false;
    mail = std::move(mails_.front());
    mails_.pop_front();
    has_mail_.store(!mails_.empty(), std::memory_order_relaxed);
  }
  mail();
  return true;
}

bool Mailbox::TryRunAll() {
  std::unique_lock lock(mutex_);
  return RunDue(lock);
}

bool Mailbox::RunDue(std::unique_lock<std::mutex>& lock) {
  CollectTimers(std::chrono::steady_clock::now());
  std::deque<Mail> due;
  due.swap(mails_);
  has_mail_.store(false, std::memory_order_relaxed);
  lock.unlock();
  const bool any = !due.empty();
  while (!due.empty()) {
    due.front()();
    due.pop_front();
  }
  return any;
}

void Mailbox::WaitForDue(std::unique_lock<std::mutex>& lock, Time deadline) {
  while (mails_.empty() && !closed_) {
    const Time now = std::chrono::steady_clock::now();
    if (now >= deadline) return;
    Time until = deadline;
    if (!timers_.empty()) {
      if (timers_.begin()->first.time <= now) return;
      until = std::min(until, timers_.begin()->first.time);
    }
    if (until == Time::max()) {
      wake_.wait(lock);
    } else {
      wake_.wait_until(lock, until);
    }
  }
}

bool Mailbox::WaitAndRun(Time deadline) {
  std::unique_lock lock(mutex_);
  WaitForDue(lock, deadline);
  const bool was_closed = closed_;
  return RunDue(lock) || !was_closed;
}

void Mailbox::RunUntilClosed() {
  while (WaitAndRun()) {
  }
}

bool Mailbox::RunUntil(const std::function<bool()>& done, Time deadline) {
  while (!done()) {
    if (RunOne()) continue;
    std::unique_lock lock(mutex_);
    if (closed_ && mails_.empty()) return false;
    if (std::chrono::steady_clock::now() >= deadline) return false;
    WaitForDue(lock, deadline);
  }
  return true;
}

MailboxThread::MailboxThread(std::string name)
    : thread_([this, name = std::move(name)] {
        id_ = std::this_thread::get_id();
        SetCurrentThreadName(name);
        mailbox_.RunUntilClosed();
      }) {}

MailboxThread::~MailboxThread() { CloseAndJoin(); }

void MailboxThread::CloseAndJoin() {
  mailbox_.Close();
  if (thread_.joinable()) thread_.join();
}

void SetCurrentThreadName(const std::string& name) {
  pthread_setname_np(pthread_self(), name.substr(0, 15).c_str());
}

}  // namespace flink
