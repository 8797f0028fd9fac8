#pragma once

/// Operators on keyed streams. They take a batch in chunks: all keys of a chunk are hashed and
/// their state is brought near before the first record is processed.

#include <algorithm>
#include <array>
#include <cstddef>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

#include "flink/functions.h"
#include "flink/operators/one_input_operator.h"
#include "flink/state/timer_queue.h"
#include "flink/state/value_table.h"

namespace flink {

/// The key type that a selector gives for records of type T.
template <class T, class KeySelector>
using KeyOf = std::remove_cvref_t<std::invoke_result_t<KeySelector&, const T&>>;

namespace internal {

inline constexpr size_t kKeyChunk = 64;

/// The keys of some records that follow each other, with their hashes.
template <class K>
class KeyChunk {
 public:
  /// With `copy` the keys stay when the records change.
  template <class T, class KeySelector>
  void Fill(T* records, size_t n, KeySelector& selector, bool copy) {
    using Result = std::invoke_result_t<KeySelector&, const T&>;
    for (size_t i = 0; i < n; ++i) {
      if constexpr (std::is_lvalue_reference_v<Result> && !std::is_trivially_copyable_v<K>) {
        const K& key = std::invoke(selector, std::as_const(records[i]));
        if (copy) {
          storage_[i] = key;
          keys_[i] = &storage_[i];
        } else {
          keys_[i] = &key;
        }
      } else {
        storage_[i] = std::invoke(selector, std::as_const(records[i]));
        keys_[i] = &storage_[i];
      }
      hashes_[i] = HashKey(*keys_[i]);
    }
  }
  const K* const* keys() const { return keys_.data(); }
  const uint64_t* hashes() const { return hashes_.data(); }

 private:
  std::array<K, kKeyChunk> storage_{};
  std::array<const K*, kKeyChunk> keys_{};
  std::array<uint64_t, kKeyChunk> hashes_{};
};

/// Event-time and processing-time timers of one operator.
template <class K>
class UserTimers final : public TimerService {
 public:
  /// `fire(time_ms, key, domain)` runs on the task's thread. All must outlive the object.
  UserTimers(OperatorContext& context, const KeyContext<K>* key_context,
             std::function<void(int64_t, const K&, TimeDomain)> fire)
      : time_(&context.time_service()),
        key_context_(key_context),
        fire_(std::move(fire)),
        processing_(*context.keyed_state(), TimerQueue<K>::Processing(kService)),
        event_(*context.keyed_state(), TimerQueue<K>::Event(kService)) {
    Schedule(processing_.NextTime());
  }

  /// Appends the states of the timers, in the order in which they are registered.
  static void Describe(std::vector<StateDescription>& states) {
    states.push_back(TimerQueue<K>::Describe(TimerQueue<K>::Processing(kService)));
    states.push_back(TimerQueue<K>::Describe(TimerQueue<K>::Event(kService)));
  }

  void RegisterEventTimeTimer(int64_t time_ms) override {
    event_.Register(time_ms, *key_context_->key);
  }
  void DeleteEventTimeTimer(int64_t time_ms) override {
    event_.Delete(time_ms, *key_context_->key);
  }
  void RegisterProcessingTimeTimer(int64_t time_ms) override {
    if (processing_.Register(time_ms, *key_context_->key)) Schedule(time_ms);
  }
  void DeleteProcessingTimeTimer(int64_t time_ms) override {
    processing_.Delete(time_ms, *key_context_->key);
  }
  int64_t CurrentWatermark() const override { return watermark_ms_; }
  int64_t CurrentProcessingTime() const override { return time_->NowMs(); }

  void AdvanceWatermark(int64_t watermark_ms) {
    watermark_ms_ = std::max(watermark_ms_, watermark_ms);
    Fire(event_, watermark_ms_, TimeDomain::kEventTime);
  }
  /// Processing-time timers stay where they are from now on.
  void Stop() { running_.reset(); }

 private:
  static constexpr int64_t kNever = TimerQueue<K>::kNone;
  static constexpr char kService[] = "user-timers";

  void Fire(TimerQueue<K>& queue, int64_t limit_ms, TimeDomain domain) {
    int64_t time_ms;
    K key{};
    while (queue.PopDue(limit_ms, &time_ms, &key)) fire_(time_ms, key, domain);
  }

  /// One wake-up is pending at most for the earliest time; later ones are asked for when it has
  /// come.
  void Schedule(int64_t time_ms) {
    if (time_ms >= scheduled_ms_) return;
    scheduled_ms_ = time_ms;
    std::weak_ptr<int> running = running_;
    time_->RegisterTimer(time_ms, [this, running, time_ms] {
      if (running.expired() || time_ms != scheduled_ms_) return;
      scheduled_ms_ = kNever;
      Fire(processing_, std::max(time_ms, time_->NowMs()), TimeDomain::kProcessingTime);
      if (processing_.NextTime() != kNever) Schedule(processing_.NextTime());
    });
  }

  ProcessingTimeService* time_;
  const KeyContext<K>* key_context_;
  std::function<void(int64_t, const K&, TimeDomain)> fire_;
  // Registered in this order, which is Flink's order of states in a snapshot.
  TimerQueue<K> processing_;
  TimerQueue<K> event_;
  int64_t watermark_ms_ = kMinWatermark;
  int64_t scheduled_ms_ = kNever;
  std::shared_ptr<int> running_ = std::make_shared<int>(0);
};

}  // namespace internal

template <class T, class KeySelector, class F>
class KeyedProcessOperator final : public OneInputOperator<T, typename F::OutputType> {
  using K = typename F::KeyType;
  using Out = typename F::OutputType;
  using Base = KeyedProcessFunction<K, T, Out>;

 public:
  KeyedProcessOperator(KeySelector selector, F function)
      : selector_(std::move(selector)),
        function_(std::move(function)),
        collector_(&this->output_) {}

  /// What is known before it is opened.
  static std::vector<StateDescription> States(F function) {
    std::vector<StateDescription> states;
    KeyedStateDeclarations<K> declarations(&states);
    function.DeclareStates(declarations);
    internal::UserTimers<K>::Describe(states);
    return states;
  }

  void Open(OperatorContext& context) override {
    runtime_.emplace(context, &key_);
    KeyedStateDeclarations<K> declarations(&*runtime_);
    function_.DeclareStates(declarations);
    function_.Open(*runtime_);
    // Behind the function's states, as in Flink's snapshots.
    timers_.emplace(context, &key_, [this](int64_t time_ms, const K& key, TimeDomain domain) {
      OnTimer(time_ms, key, domain);
    });
    context_.key = &key_;
    context_.timers = &*timers_;
    timer_context_.key = &key_;
    timer_context_.timers = &*timers_;
  }
  void Close() override {
    if (timers_) timers_->Stop();
    function_.Close();
  }

 private:
  void ProcessRecords(Batch<T>& batch) override {
    const size_t n = batch.records.size();
    for (size_t begin = 0; begin < n; begin += internal::kKeyChunk) {
      const size_t count = std::min(internal::kKeyChunk, n - begin);
      T* const records = batch.records.data() + begin;
      chunk_.Fill(records, count, selector_, true);
      runtime_->Prepare(chunk_.keys(), chunk_.hashes(), count);
      for (size_t i = 0; i < count; ++i) {
        key_.Set(*chunk_.keys()[i], chunk_.hashes()[i]);
        context_.timestamp_ms = batch.TimestampAt(begin + i);
        collector_.SetTimestamp(context_.timestamp_ms);
        function_.ProcessElement(records[i], context_, collector_);
      }
    }
  }
  void OnTimer(int64_t time_ms, const K& key, TimeDomain domain) {
    key_.Set(key);
    timer_context_.timestamp_ms = time_ms;
    timer_context_.domain = domain;
    // The clock's time is no event time.
    collector_.SetTimestamp(domain == TimeDomain::kEventTime ? time_ms : kNoTimestamp);
    function_.OnTimer(time_ms, timer_context_, collector_);
  }
  void OnWatermark(int64_t watermark_ms) override {
    timers_->AdvanceWatermark(watermark_ms);
    this->output_.EmitWatermark(watermark_ms);
  }
  void OnEndOfInput() override {
    timers_->Stop();
    collector_.SetTimestamp(kNoTimestamp);
    function_.Finish(collector_);
  }

  KeySelector selector_;
  F function_;
  Collector<Out> collector_;
  KeyContext<K> key_;
  internal::KeyChunk<K> chunk_;
  std::optional<KeyedRuntimeContext<K>> runtime_;
  std::optional<internal::UserTimers<K>> timers_;
  typename Base::Context context_;
  typename Base::OnTimerContext timer_context_;
};

/// Keeps one record per key, as Apache Flink does under the name "_op_state", and emits it for
/// every input. `Update(state, record)` changes the state in place; the first record of a key
/// becomes its state.
template <class T, class KeySelector, class Update>
class KeyedReduceOperator final : public OneInputOperator<T, T> {
  using K = KeyOf<T, KeySelector>;

 public:
  KeyedReduceOperator(KeySelector selector, Update update)
      : selector_(std::move(selector)), update_(std::move(update)) {}

  static std::vector<StateDescription> States() { return {ValueTable<K, T>::Describe(kStateName)}; }

  void Open(OperatorContext& context) override {
    table_.emplace(*context.keyed_state(), kStateName);
  }

 private:
  static constexpr char kStateName[] = "_op_state";

  void ProcessRecords(Batch<T>& batch) override {
    const size_t n = batch.records.size();
    for (size_t begin = 0; begin < n; begin += internal::kKeyChunk) {
      const size_t count = std::min(internal::kKeyChunk, n - begin);
      T* const records = batch.records.data() + begin;
      chunk_.Fill(records, count, selector_, false);
      for (size_t i = 0; i < count; ++i) table_->Prefetch(chunk_.hashes()[i]);
      table_->Load(chunk_.keys(), chunk_.hashes(), count);
      for (size_t i = 0; i < count; ++i) {
        const K& key = *chunk_.keys()[i];
        const bool first = table_->Find(key, chunk_.hashes()[i]) == nullptr;
        T& state = table_->Upsert(key, chunk_.hashes()[i]);
        if (first) [[unlikely]] {
          state = records[i];
        } else {
          update_(state, records[i]);
          records[i] = state;
        }
      }
    }
    this->output_.EmitBatch(batch);
  }

  KeySelector selector_;
  Update update_;
  internal::KeyChunk<K> chunk_;
  std::optional<ValueTable<K, T>> table_;
};

namespace internal {

/// Reduce(f): state = f(state, record).
template <class T, class F>
struct ReduceUpdate {
  F function;
  void operator()(T& state, T& record) {
    state = std::invoke(function, std::as_const(state), std::as_const(record));
  }
};

/// As Java adds: integers wrap around.
template <class N>
void AddTo(N& sum, const N& value) {
  if constexpr (std::is_integral_v<N>) {
    using U = std::make_unsigned_t<N>;
    sum = static_cast<N>(static_cast<U>(static_cast<U>(sum) + static_cast<U>(value)));
  } else {
    sum += value;
  }
}

/// Sum(field): adds one field, keeps the others of the first record.
template <class T, class Field>
struct SumUpdate {
  Field field;
  void operator()(T& state, T& record) {
    AddTo(std::invoke(field, state), std::as_const(std::invoke(field, record)));
  }
};

}  // namespace internal
}  // namespace flink
