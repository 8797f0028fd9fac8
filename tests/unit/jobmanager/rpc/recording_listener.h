#pragma once

/// RecordingListener: stands in for the dispatcher and lets a test wait for what the gateway tells
/// it.

#include <chrono>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "common/concurrency/mailbox.h"
#include "jobmanager/rpc/task_manager_gateway.h"

namespace flink::jobmanager {

/// Thread-safe.
class RecordingListener : public TaskManagerListener {
 public:
  struct Event {
    enum Kind { kRegistered, kMessage, kLost } kind;
    std::string id;
    TaskManagerInfo info;
    pb::cluster::v1::TaskManagerMessage message;
    std::string reason;
  };

  ~RecordingListener() override { main.CloseAndJoin(); }
  void OnRegistered(const TaskManagerInfo& info) override {
    Add({Event::kRegistered, info.id, info, {}, {}});
  }
  void OnMessage(const std::string& id, pb::cluster::v1::TaskManagerMessage message) override {
    Add({Event::kMessage, id, {}, std::move(message), {}});
  }
  void OnLost(const std::string& id, const std::string& reason) override {
    Add({Event::kLost, id, {}, {}, reason});
  }

  /// Removes and returns the oldest event; a failed test's empty kLost after ten seconds.
  Event Next() {
    std::unique_lock lock(mutex_);
    if (!wake_.wait_for(lock, std::chrono::seconds(10), [&] { return !events_.empty(); })) {
      return {Event::kLost, {}, {}, {}, "nothing happened"};
    }
    Event event = std::move(events_.front());
    events_.erase(events_.begin());
    return event;
  }
  /// The next event once all that is on its way has arrived; true when there is none.
  bool NothingFor(std::chrono::milliseconds time) {
    std::unique_lock lock(mutex_);
    return !wake_.wait_for(lock, time, [&] { return !events_.empty(); });
  }

  MailboxThread main{"listener"};

 private:
  void Add(Event event) {
    std::lock_guard lock(mutex_);
    events_.push_back(std::move(event));
    wake_.notify_all();
  }
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<Event> events_;
};

}  // namespace flink::jobmanager
