#pragma once

/// Clock: the only source of time in code that is tested under simulated time.

#include <chrono>
#include <cstdint>

namespace flink {

/// Thread-safe.
class Clock {
 public:
  using SteadyTime = std::chrono::steady_clock::time_point;

  virtual ~Clock() = default;
  /// Wall clock, milliseconds since 1970 UTC. May jump.
  virtual int64_t NowMs() const = 0;
  /// Never goes back; for intervals and deadlines.
  virtual SteadyTime NowSteady() const = 0;

  /// The clock of the operating system. Lives for ever.
  static const Clock& System();
};

/// A clock that moves only when told to. For tests; externally synchronized.
class ManualClock : public Clock {
 public:
  int64_t NowMs() const override { return wall_ms_; }
  SteadyTime NowSteady() const override { return steady_; }
  void SetWallMs(int64_t ms) { wall_ms_ = ms; }
  /// Moves both times.
  void Advance(std::chrono::milliseconds by) {
    wall_ms_ += by.count();
    steady_ += by;
  }

 private:
  int64_t wall_ms_ = 0;
  SteadyTime steady_{};
};

}  // namespace flink
