#pragma once

/// CompactionBrake: lets the compactions of a RocksDB instance wait while a savepoint is read from
/// its files. They would take the processor and the disk from it and from the job, and nothing is
/// lost by making them up behind it.
///
/// RocksDB asks its rate limiter before each megabyte that it writes; here a compaction waits then
/// for as long as anybody holds the brake, but at most kLongestHold after it was taken, because
/// compactions of all instances of a process take turns. RocksDB writes compactions that cannot
/// wait any longer, as too many files are in level 0, and memtables, at priorities that never wait.
///
/// Thread-safe.

#include <rocksdb/rate_limiter.h>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>

namespace flink::taskmanager {

class CompactionBrake final : public rocksdb::RateLimiter {
 public:
  static constexpr std::chrono::seconds kLongestHold{10};

  /// Holds a brake until it is destroyed or assigned.
  class Hold {
   public:
    Hold() = default;
    /// From now on; `longest` is of tests.
    explicit Hold(std::shared_ptr<CompactionBrake> brake,
                  std::chrono::milliseconds longest = kLongestHold);
    Hold(Hold&&) = default;
    Hold& operator=(Hold&& other) noexcept;
    ~Hold() { Release(); }

   private:
    void Release();

    std::shared_ptr<CompactionBrake> brake_;
  };

  /// Blocks only at IO_LOW.
  void Request(int64_t bytes, rocksdb::Env::IOPriority priority,
               rocksdb::Statistics* statistics) override;

  // There is no rate, and nothing is counted.
  void SetBytesPerSecond(int64_t /*bytes*/) override {}
  int64_t GetBytesPerSecond() const override { return INT64_MAX; }
  int64_t GetSingleBurstBytes() const override { return INT64_MAX; }
  int64_t GetTotalBytesThrough(rocksdb::Env::IOPriority /*priority*/) const override { return 0; }
  int64_t GetTotalRequests(rocksdb::Env::IOPriority /*priority*/) const override { return 0; }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  // Guarded by mutex_:
  int holds_ = 0;
  std::chrono::steady_clock::time_point end_;  // Of the latest hold.
};

}  // namespace flink::taskmanager
