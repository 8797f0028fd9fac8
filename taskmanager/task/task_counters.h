#pragma once

/// Counters of one task: written by its thread once per batch, read by the control thread.

#include <atomic>
#include <cstdint>

#include "flink/batch.h"

namespace flink::taskmanager {

struct TaskCounters {
  std::atomic<int64_t> records_in{0};
  std::atomic<int64_t> records_out{0};
  std::atomic<int64_t> bytes_in{0};
  std::atomic<int64_t> bytes_out{0};
  std::atomic<int64_t> watermark_ms{kMinWatermark};

  /// There is one writer: no read-modify-write instruction is needed.
  static void Add(std::atomic<int64_t>& counter, int64_t n) {
    counter.store(counter.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
  }
};

}  // namespace flink::taskmanager
