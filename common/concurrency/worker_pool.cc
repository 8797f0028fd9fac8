#include "common/concurrency/worker_pool.h"

#include <sys/resource.h>
#include <unistd.h>

#include <utility>

namespace flink {

WorkerPool::WorkerPool(const std::string& name, int threads, int niceness) {
  threads_.reserve(static_cast<size_t>(threads));
  for (int i = 0; i < threads; ++i) {
    threads_.emplace_back([this, niceness, thread_name = name + "-" + std::to_string(i)] {
      SetCurrentThreadName(thread_name);
      // Of this thread alone, as Linux has it. Always permitted in this direction.
      const auto thread = static_cast<id_t>(gettid());
      if (getpriority(PRIO_PROCESS, thread) < niceness) {
        setpriority(PRIO_PROCESS, thread, niceness);
      }
      Run();
    });
  }
}

WorkerPool::~WorkerPool() { Shutdown(); }

bool WorkerPool::Submit(Mail work) {
  {
    std::lock_guard lock(mutex_);
    if (closed_) return false;
    queue_.push_back(std::move(work));
  }
  wake_.notify_one();
  return true;
}

void WorkerPool::Shutdown() {
  {
    std::lock_guard lock(mutex_);
    closed_ = true;
  }
  wake_.notify_all();
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void WorkerPool::Run() {
  std::unique_lock lock(mutex_);
  while (true) {
    wake_.wait(lock, [this] { return closed_ || !queue_.empty(); });
    if (queue_.empty()) return;
    {
      Mail work = std::move(queue_.front());
      queue_.pop_front();
      lock.unlock();
      work();
    }
    lock.lock();
  }
}

}  // namespace flink
