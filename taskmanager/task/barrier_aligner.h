#pragma once

/// BarrierAligner: decides when a checkpoint has reached a task on all its channels, and which
/// channels wait.
///
/// Exactly once: a channel that delivered the barrier is blocked until all have. At least once: no
/// channel is blocked. A barrier of a newer checkpoint ends an older alignment, whose barriers are
/// ignored from then on; so are those of aborted ones.
///
/// Threading: the task's thread. Pure: the caller blocks and releases channels as the answer says.

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "taskmanager/network/stream_element.h"

namespace flink::taskmanager {

class BarrierAligner {
 public:
  using Time = std::chrono::steady_clock::time_point;
  struct Answer {
    bool block_channel = false;     ///< The one that delivered the barrier.
    bool release_all = false;       ///< Before anything else.
    std::vector<int64_t> subsumed;  ///< Alignments given up because of a newer checkpoint.
    /// Set when the checkpoint is to be taken now.
    std::shared_ptr<const CheckpointBarrier> complete;
    std::chrono::milliseconds alignment{0};
  };

  BarrierAligner(int channels, bool exactly_once)
      : channels_(channels), exactly_once_(exactly_once) {}

  Answer OnBarrier(int channel, const std::shared_ptr<const CheckpointBarrier>& barrier, Time now);
  /// True when blocked channels must be released.
  bool Abort(int64_t checkpoint_id);

 private:
  struct Alignment {
    std::set<int> arrived;
    Time begin;
  };

  const int channels_;
  const bool exactly_once_;
  std::map<int64_t, Alignment> alignments_;  // one at most when exactly once
  int64_t last_finished_ = 0;                // completed, subsumed or older
  std::set<int64_t> aborted_;                // above last_finished_
};

}  // namespace flink::taskmanager
