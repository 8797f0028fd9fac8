#pragma once

/// Gives records their event time and sends watermarks.

#include <algorithm>
#include <functional>
#include <memory>
#include <type_traits>
#include <utility>

#include "flink/operators/one_input_operator.h"
#include "flink/watermark_strategy.h"

namespace flink {

template <class T, class Assigner>
class WatermarkOperator final : public OneInputOperator<T, T> {
 public:
  explicit WatermarkOperator(const TimestampsAndWatermarks<Assigner>& strategy)
      : strategy_(strategy),
        assigner_(strategy.assigner()),
        bound_ms_(strategy.out_of_orderness().count()) {}

  void Open(OperatorContext& context) override {
    time_ = &context.time_service();
    if (strategy_.idleness().count() > 0) ScheduleIdleCheck();
  }
  void Close() override { open_.reset(); }

 private:
  static constexpr bool kAssigns = !std::is_same_v<Assigner, KeepTimestamps>;

  void ProcessRecords(Batch<T>& batch) override {
    if (batch.records.empty()) return;
    active_ = true;
    if (idle_) SetIdle(false);
    if constexpr (kAssigns) {
      batch.timestamps.resize(batch.records.size());
      for (size_t i = 0; i < batch.records.size(); ++i) {
        batch.timestamps[i] = std::invoke(assigner_, std::as_const(batch.records[i]));
      }
    }
    if (strategy_.per_record()) {
      ProcessOneByOne(batch);
      return;
    }
    int64_t max_ms = kNoTimestamp;
    for (const int64_t t : batch.timestamps) max_ms = std::max(max_ms, t);
    this->output_.EmitBatch(batch);
    Advance(max_ms);
  }

  void ProcessOneByOne(Batch<T>& batch) {
    for (size_t i = 0; i < batch.records.size(); ++i) {
      const int64_t t = batch.TimestampAt(i);
      this->output_.Collect(std::move(batch.records[i]), t);
      Advance(t);
    }
  }

  void Advance(int64_t timestamp_ms) {
    if (timestamp_ms == kNoTimestamp) return;
    // Timestamps near the lower end of time must not wrap around.
    if (timestamp_ms < kMinWatermark + bound_ms_ + 1) return;
    const int64_t watermark_ms = timestamp_ms - bound_ms_ - 1;
    if (watermark_ms <= watermark_ms_) return;
    watermark_ms_ = watermark_ms;
    this->output_.EmitWatermark(watermark_ms);
  }

  /// The watermarks of the input do not hold for the new timestamps, except the one that ends time.
  void OnWatermark(int64_t watermark_ms) override {
    if (watermark_ms != kMaxWatermark) return;
    if (idle_) SetIdle(false);
    watermark_ms_ = kMaxWatermark;
    this->output_.EmitWatermark(kMaxWatermark);
  }

  void SetIdle(bool idle) {
    idle_ = idle;
    this->output_.EmitIdle(idle);
  }

  void ScheduleIdleCheck() {
    std::weak_ptr<int> open = open_;
    time_->RegisterTimer(time_->NowMs() + strategy_.idleness().count(), [this, open] {
      if (open.expired()) return;
      if (!active_ && !idle_ && watermark_ms_ != kMaxWatermark) SetIdle(true);
      active_ = false;
      ScheduleIdleCheck();
    });
  }

  const TimestampsAndWatermarks<Assigner> strategy_;
  Assigner assigner_;
  const int64_t bound_ms_;
  ProcessingTimeService* time_ = nullptr;
  std::shared_ptr<int> open_ = std::make_shared<int>(0);
  int64_t watermark_ms_ = kMinWatermark;
  bool active_ = false;  // Since the last idle check.
  bool idle_ = false;
};

}  // namespace flink
