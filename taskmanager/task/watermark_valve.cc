#include "taskmanager/task/watermark_valve.h"

#include <algorithm>

namespace flink::taskmanager {

WatermarkValve::Change WatermarkValve::OnWatermark(int channel, int64_t watermark_ms) {
  Channel& c = channels_[static_cast<size_t>(channel)];
  if (c.ended || watermark_ms <= c.watermark_ms) return {};
  c.watermark_ms = watermark_ms;
  return Recompute();
}

WatermarkValve::Change WatermarkValve::OnIdle(int channel, bool idle) {
  Channel& c = channels_[static_cast<size_t>(channel)];
  if (c.ended || c.idle == idle) return {};
  c.idle = idle;
  return Recompute();
}

WatermarkValve::Change WatermarkValve::OnEndOfData(int channel) {
  Channel& c = channels_[static_cast<size_t>(channel)];
  if (c.ended) return {};
  c.ended = true;
  ++ended_count_;
  return Recompute();
}

WatermarkValve::Change WatermarkValve::Recompute() {
  Change change;
  if (ended()) {
    change.became_active = idle_;
    idle_ = false;
    if (watermark_ms_ != kMaxWatermark) change.watermark_ms = kMaxWatermark;
    watermark_ms_ = kMaxWatermark;
    change.ended = true;
    return change;
  }
  int64_t least = kMaxWatermark;
  bool any_active = false;
  for (const Channel& c : channels_) {
    if (c.ended || c.idle) continue;
    any_active = true;
    least = std::min(least, c.watermark_ms);
  }
  if (!any_active) {
    change.became_idle = !idle_;
    idle_ = true;
    return change;
  }
  change.became_active = idle_;
  idle_ = false;
  if (least > watermark_ms_) {
    watermark_ms_ = least;
    change.watermark_ms = least;
  }
  return change;
}

}  // namespace flink::taskmanager
