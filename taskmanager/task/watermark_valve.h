#pragma once

/// WatermarkValve: combines the watermarks and the idleness of the channels of one logical input.
///
/// The input's watermark is the least of its active channels; idle channels and those at their end
/// do not count. When all channels that have not ended are idle, the input is idle and its
/// watermark stays. When all have ended it is kMaxWatermark.
///
/// Threading: the task's thread. Pure: the caller acts on the answer.

#include <cstdint>
#include <optional>
#include <vector>

#include "flink/batch.h"

namespace flink::taskmanager {

class WatermarkValve {
 public:
  /// What the input has to tell the operator, in this order: no longer idle, watermark, idle, end.
  struct Change {
    bool became_active = false;
    std::optional<int64_t> watermark_ms;
    bool became_idle = false;
    bool ended = false;
  };

  /// Channels are numbered from 0 in order of the calls.
  int AddChannel() {
    channels_.emplace_back();
    return static_cast<int>(channels_.size()) - 1;
  }
  Change OnWatermark(int channel, int64_t watermark_ms);
  Change OnIdle(int channel, bool idle);
  Change OnEndOfData(int channel);

  int64_t watermark_ms() const { return watermark_ms_; }
  bool ended() const { return ended_count_ == static_cast<int>(channels_.size()); }

 private:
  struct Channel {
    int64_t watermark_ms = kMinWatermark;
    bool idle = false;
    bool ended = false;
  };
  Change Recompute();

  std::vector<Channel> channels_;
  int64_t watermark_ms_ = kMinWatermark;
  int ended_count_ = 0;
  bool idle_ = false;
};

}  // namespace flink::taskmanager
