#pragma once

/// Waiting between two questions to the cluster, ended early by Ctrl-C where the verb wants that.

#include <chrono>

namespace flink::cli {

/// From construction to destruction SIGINT and SIGTERM end pauses instead of the process; the
/// second one ends the process. One that is ignored stays so. One at a time.
class InterruptGuard {
 public:
  InterruptGuard();
  ~InterruptGuard();
  InterruptGuard(const InterruptGuard&) = delete;
  InterruptGuard& operator=(const InterruptGuard&) = delete;

  bool interrupted() const;
};

/// Returns after `duration`, or at once when an InterruptGuard has been interrupted.
void Pause(std::chrono::milliseconds duration);

/// Growing pauses: short answers come fast, long waits cost little.
class Backoff {
 public:
  explicit Backoff(std::chrono::milliseconds longest) : longest_(longest) {}
  void Wait();

 private:
  const std::chrono::milliseconds longest_;
  std::chrono::microseconds next_{2000};
};

}  // namespace flink::cli
