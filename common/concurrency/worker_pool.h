#pragma once

/// WorkerPool: a fixed number of threads for blocking work (uploads, file copies) that no mailbox
/// may wait for.

#include <condition_variable>
#include <deque>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "common/concurrency/mailbox.h"

namespace flink {

/// Submit from any thread, also from a worker. Work runs in order of submission, `threads` at a
/// time.
class WorkerPool {
 public:
  /// `niceness` as nice(1) has it, from 0 to 19: how much the threads stand back behind the rest of
  /// the process.
  WorkerPool(const std::string& name, int threads, int niceness = 0);
  /// Same as Shutdown.
  ~WorkerPool();
  WorkerPool(const WorkerPool&) = delete;
  WorkerPool& operator=(const WorkerPool&) = delete;

  /// False (and the work is dropped) after Shutdown began.
  bool Submit(Mail work);
  /// Accepts no more, runs what was accepted, joins the threads. Repeatable; not from a worker.
  void Shutdown();

 private:
  void Run();

  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<Mail> queue_;
  bool closed_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace flink
