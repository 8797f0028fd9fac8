#pragma once

/// Map, Filter and FlatMap: the user's lambda inlined into a loop over a batch.

#include <functional>
#include <type_traits>
#include <utility>

#include "flink/functions.h"
#include "flink/operators/one_input_operator.h"

namespace flink {

namespace internal {
/// Calls f with the record as rvalue where it takes one, so that functions by value get the record
/// moved in.
template <class F, class T, class... A>
decltype(auto) InvokeConsuming(F& f, T& record, A&... args) {
  if constexpr (std::is_invocable_v<F&, T&&, A&...>) {
    return std::invoke(f, std::move(record), args...);
  } else {
    return std::invoke(f, record, args...);
  }
}
template <class F, class T, class... A>
using ConsumingResult = std::remove_cvref_t<decltype(InvokeConsuming(
    std::declval<F&>(), std::declval<T&>(), std::declval<A&>()...))>;
}  // namespace internal

template <class In, class Out, class F>
class MapOperator final : public OneInputOperator<In, Out> {
 public:
  explicit MapOperator(F function) : function_(std::move(function)) {}

 private:
  void ProcessRecords(Batch<In>& batch) override {
    if constexpr (std::is_same_v<In, Out>) {
      for (In& r : batch.records) r = internal::InvokeConsuming(function_, r);
      this->output_.EmitBatch(batch);
    } else {
      result_.records.reserve(kBatchCapacity);
      for (In& r : batch.records) {
        result_.records.push_back(internal::InvokeConsuming(function_, r));
      }
      result_.timestamps.swap(batch.timestamps);
      this->output_.EmitBatch(result_);
      result_.Clear();
    }
  }

  F function_;
  Batch<Out> result_;
};

template <class T, class F>
class FilterOperator final : public OneInputOperator<T, T> {
 public:
  explicit FilterOperator(F predicate) : predicate_(std::move(predicate)) {}

 private:
  void ProcessRecords(Batch<T>& batch) override {
    const size_t n = batch.records.size();
    T* const r = batch.records.data();
    size_t kept = 0;
    if (batch.timestamps.empty()) {
      for (size_t i = 0; i < n; ++i) {
        const bool keep = Keep(r[i]);
        if constexpr (std::is_trivially_copyable_v<T>) {
          r[kept] = r[i];
          kept += keep ? 1 : 0;
        } else if (keep) {
          if (kept != i) r[kept] = std::move(r[i]);
          ++kept;
        }
      }
    } else {
      for (size_t i = 0; i < n; ++i) {
        if (!Keep(r[i])) continue;
        if (kept != i) {
          r[kept] = std::move(r[i]);
          batch.timestamps[kept] = batch.timestamps[i];
        }
        ++kept;
      }
      batch.timestamps.resize(kept);
    }
    batch.records.resize(kept);
    this->output_.EmitBatch(batch);
  }
  bool Keep(const T& record) { return static_cast<bool>(std::invoke(predicate_, record)); }

  F predicate_;
};

template <class In, class Out, class F>
class FlatMapOperator final : public OneInputOperator<In, Out> {
 public:
  explicit FlatMapOperator(F function)
      : function_(std::move(function)), collector_(&this->output_) {}

 private:
  void ProcessRecords(Batch<In>& batch) override {
    for (size_t i = 0; i < batch.records.size(); ++i) {
      collector_.SetTimestamp(batch.TimestampAt(i));
      internal::InvokeConsuming(function_, batch.records[i], collector_);
    }
  }

  F function_;
  Collector<Out> collector_;
};

template <class F>
class ProcessOperator final
    : public OneInputOperator<typename F::InputType, typename F::OutputType> {
  using In = typename F::InputType;
  using Out = typename F::OutputType;

 public:
  explicit ProcessOperator(F function)
      : function_(std::move(function)), collector_(&this->output_) {}

  void Open(OperatorContext& context) override {
    context_.time = &context.time_service();
    RuntimeContext runtime(context);
    function_.Open(runtime);
  }
  void Close() override { function_.Close(); }

 private:
  void ProcessRecords(Batch<In>& batch) override {
    for (size_t i = 0; i < batch.records.size(); ++i) {
      context_.timestamp_ms = batch.TimestampAt(i);
      collector_.SetTimestamp(context_.timestamp_ms);
      function_.ProcessElement(batch.records[i], context_, collector_);
    }
  }
  void OnWatermark(int64_t watermark_ms) override {
    context_.watermark_ms = watermark_ms;
    this->output_.EmitWatermark(watermark_ms);
  }
  void OnEndOfInput() override {
    collector_.SetTimestamp(kNoTimestamp);
    function_.Finish(collector_);
  }

  F function_;
  Collector<Out> collector_;
  typename ProcessFunction<In, Out>::Context context_;
};

}  // namespace flink
