#pragma once

/// How a stream gets event time: which time a record has, and how late records may come.
///
///     stream.AssignTimestampsAndWatermarks(
///         flink::WatermarkStrategy::ForBoundedOutOfOrderness(std::chrono::minutes(5))
///             .WithTimestampAssigner([](const Flight& f) { return f.scheduled_ms; })
///             .WithIdleness(std::chrono::seconds(30)))

#include <chrono>
#include <cstdint>
#include <utility>

namespace flink {

/// Keeps the timestamps that the records have.
struct KeepTimestamps {};

/// `Assigner` is called with a record and returns its time in ms since the epoch.
template <class Assigner>
class TimestampsAndWatermarks {
 public:
  explicit TimestampsAndWatermarks(std::chrono::milliseconds out_of_orderness,
                                   Assigner assigner = {})
      : out_of_orderness_(out_of_orderness), assigner_(std::move(assigner)) {}

  template <class F>
  TimestampsAndWatermarks<F> WithTimestampAssigner(F assigner) const {
    TimestampsAndWatermarks<F> s(out_of_orderness_, std::move(assigner));
    if (idleness_.count() > 0) s = s.WithIdleness(idleness_);
    return per_record_ ? s.PerRecord() : s;
  }
  /// A subtask without records for so long does not hold the watermark back any more. Default: it
  /// always does.
  TimestampsAndWatermarks WithIdleness(std::chrono::milliseconds timeout) const {
    auto s = *this;
    s.idleness_ = timeout;
    return s;
  }
  /// Sends each watermark right behind the record that raised it, instead of behind its batch:
  /// which records are late then does not depend on batches. Much slower.
  TimestampsAndWatermarks PerRecord() const {
    auto s = *this;
    s.per_record_ = true;
    return s;
  }

  std::chrono::milliseconds out_of_orderness() const { return out_of_orderness_; }
  std::chrono::milliseconds idleness() const { return idleness_; }
  bool per_record() const { return per_record_; }
  const Assigner& assigner() const { return assigner_; }

 private:
  std::chrono::milliseconds out_of_orderness_;
  std::chrono::milliseconds idleness_{0};
  bool per_record_ = false;
  Assigner assigner_;
};

struct WatermarkStrategy {
  /// The watermark is the largest timestamp so far - bound - 1 ms: a record that is more than
  /// `bound` behind is late.
  static TimestampsAndWatermarks<KeepTimestamps> ForBoundedOutOfOrderness(
      std::chrono::milliseconds bound) {
    return TimestampsAndWatermarks<KeepTimestamps>(bound);
  }
  static TimestampsAndWatermarks<KeepTimestamps> ForMonotonousTimestamps() {
    return TimestampsAndWatermarks<KeepTimestamps>(std::chrono::milliseconds(0));
  }
};

}  // namespace flink
