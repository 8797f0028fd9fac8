#pragma once

/// What a user writes: process functions with state and timers. Simple steps need no class: Map,
/// Filter, FlatMap, KeyBy and Reduce of flink/data_stream.h take lambdas.
///
/// Every parallel subtask has its own copy of a function, made from the object passed to Process.
/// All its methods run on one thread, one at a time. A function may throw: the task then fails with
/// the exception's text, and the job restarts from its last checkpoint.

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "flink/operator.h"
#include "flink/state/key_context.h"
#include "flink/state/value_state.h"

namespace flink {

/// Takes the records a function emits. They carry the timestamp of the record (or timer) that is
/// being processed. Usable only while the function is being called.
template <class T>
class Collector {
 public:
  /// `output` must outlive the collector.
  explicit Collector(Output<T>* output) : output_(output) {}

  void Collect(T record) { output_->Collect(std::move(record), timestamp_ms_); }

  /// For operators: the timestamp of what is collected next.
  void SetTimestamp(int64_t timestamp_ms) { timestamp_ms_ = timestamp_ms; }

 private:
  Output<T>* output_;
  int64_t timestamp_ms_ = kNoTimestamp;
};

/// Where a function runs.
class RuntimeContext {
 public:
  explicit RuntimeContext(OperatorContext& context) : context_(&context) {}

  const std::string& JobId() const { return context_->job_id(); }
  const std::string& JobName() const { return context_->job_name(); }
  const std::string& OperatorName() const { return context_->operator_name(); }
  /// 0 to Parallelism() - 1.
  int SubtaskIndex() const { return context_->subtask_index(); }
  int Parallelism() const { return context_->parallelism(); }
  int MaxParallelism() const { return context_->max_parallelism(); }
  /// Grows with every restart of the job.
  int Attempt() const { return context_->attempt(); }
  /// Was the job started from a checkpoint or savepoint?
  bool IsRestored() const { return context_->is_restored(); }
  /// The effective value of a configuration key of the job, or "".
  std::string ConfigurationValue(const std::string& key) const {
    return context_->ConfigurationValue(key);
  }
  /// A private directory on local disk; it is removed when the job's process ends.
  const std::string& WorkDirectory() const { return context_->work_directory(); }

 private:
  OperatorContext* context_;
};

namespace internal {
/// A state of a keyed operator, by its key type only.
template <class K>
class KeyedTable {
 public:
  virtual ~KeyedTable() = default;
  /// Makes the entries of n keys quick to reach.
  virtual void Prepare(const K* const* keys, const uint64_t* hashes, size_t n) = 0;
  virtual const void* type() const = 0;
  const std::string& name() const { return name_; }

 protected:
  explicit KeyedTable(std::string name) : name_(std::move(name)) {}

 private:
  std::string name_;
};

template <class K, class V>
class KeyedValueTable final : public KeyedTable<K> {
 public:
  KeyedValueTable(KeyedStateStore& store, const std::string& name)
      : KeyedTable<K>(name), table(store, name) {}
  void Prepare(const K* const* keys, const uint64_t* hashes, size_t n) override {
    for (size_t i = 0; i < n; ++i) table.Prefetch(hashes[i]);
    table.Load(keys, hashes, n);
  }
  const void* type() const override { return Type(); }
  static const void* Type() {
    static const char tag = 0;
    return &tag;
  }

  ValueTable<K, V> table;
};
}  // namespace internal

/// Where a keyed function runs, and its state.
template <class K>
class KeyedRuntimeContext : public RuntimeContext {
 public:
  KeyedRuntimeContext(OperatorContext& context, const KeyContext<K>* key_context)
      : RuntimeContext(context), store_(context.keyed_state()), key_context_(key_context) {}

  /// The state of this name: one V per key. It is part of every snapshot. Call in Open. The name is
  /// unique among the states of the function; throws when a restored state of this name has another
  /// type.
  template <class V>
  ValueState<V> GetValueState(const std::string& name) {
    for (const auto& t : tables_) {
      if (t->name() != name) continue;
      if (t->type() != internal::KeyedValueTable<K, V>::Type()) {
        throw std::invalid_argument("the state \"" + name +
                                    "\" is asked for twice, with different types");
      }
      return MakeValueState<K, V>(&static_cast<internal::KeyedValueTable<K, V>&>(*t).table,
                                  key_context_);
    }
    auto table = std::make_unique<internal::KeyedValueTable<K, V>>(*store_, name);
    ValueState<V> state = MakeValueState<K, V>(&table->table, key_context_);
    tables_.push_back(std::move(table));
    return state;
  }

  /// For operators: makes the state of the next records' keys quick to reach.
  void Prepare(const K* const* keys, const uint64_t* hashes, size_t n) {
    for (const auto& t : tables_) t->Prepare(keys, hashes, n);
  }

 private:
  KeyedStateStore* store_;
  const KeyContext<K>* key_context_;
  std::vector<std::unique_ptr<internal::KeyedTable<K>>> tables_;
};

/// Takes the states that a keyed function has in any case. Their types are in the job graph then: a
/// snapshot that holds others is refused when the job is submitted, and by `flink run --dry-run`.
template <class K>
class KeyedStateDeclarations {
 public:
  /// While the job is being described: `described` gets what is declared.
  explicit KeyedStateDeclarations(std::vector<StateDescription>* described)
      : described_(described) {}
  /// In a subtask: the states become usable.
  explicit KeyedStateDeclarations(KeyedRuntimeContext<K>* context) : context_(context) {}

  /// As KeyedRuntimeContext::GetValueState, into `state` (a member of the function).
  template <class V>
  void Value(const std::string& name, ValueState<V>* state) {
    if (context_ == nullptr)
      described_->push_back(ValueTable<K, V>::Describe(name));
    else
      *state = context_->template GetValueState<V>(name);
  }

 private:
  std::vector<StateDescription>* described_ = nullptr;
  KeyedRuntimeContext<K>* context_ = nullptr;
};

/// Timers of the current key. A timer is registered at most once per key and time. Times are ms
/// since the epoch.
class TimerService {
 public:
  virtual ~TimerService() = default;
  /// OnTimer is called when the watermark reaches the time.
  virtual void RegisterEventTimeTimer(int64_t time_ms) = 0;
  virtual void DeleteEventTimeTimer(int64_t time_ms) = 0;
  /// OnTimer is called when the machine's clock reaches the time.
  virtual void RegisterProcessingTimeTimer(int64_t time_ms) = 0;
  virtual void DeleteProcessingTimeTimer(int64_t time_ms) = 0;
  /// kMinWatermark before the first one.
  virtual int64_t CurrentWatermark() const = 0;
  virtual int64_t CurrentProcessingTime() const = 0;
};

enum class TimeDomain { kEventTime, kProcessingTime };

/// A function on a stream without keys: for each record it emits any number of records.
template <class In, class Out>
class ProcessFunction {
 public:
  using InputType = In;
  using OutputType = Out;

  class Context {
   public:
    /// Event time of the record in ms; kNoTimestamp when it has none.
    int64_t Timestamp() const { return timestamp_ms; }
    int64_t CurrentWatermark() const { return watermark_ms; }
    int64_t CurrentProcessingTime() const { return time->NowMs(); }

    // Set by the operator.
    int64_t timestamp_ms = kNoTimestamp;
    int64_t watermark_ms = kMinWatermark;
    ProcessingTimeService* time = nullptr;
  };

  virtual ~ProcessFunction() = default;
  /// Before the first record.
  virtual void Open(RuntimeContext& /*context*/) {}
  /// `record` may be changed and moved from.
  virtual void ProcessElement(In& record, Context& context, Collector<Out>& out) = 0;
  /// After the last record of a bounded input; not when the job is cancelled or stopped with a
  /// savepoint.
  virtual void Finish(Collector<Out>& /*out*/) {}
  /// Last of all, also after a failure.
  virtual void Close() {}
};

/// A function on a keyed stream: it has state and timers per key.
///
///     class Deduplicate : public flink::KeyedProcessFunction<std::string, Event, Event> {
///      public:
///       void DeclareStates(StateDeclarations& states) override { states.Value("seen", &seen_); }
///       void ProcessElement(Event& e, Context&, flink::Collector<Event>& out) override {
///         if (seen_.Value()) return;
///         seen_.Update(true);
///         out.Collect(std::move(e));
///       }
///      private:
///       flink::ValueState<bool> seen_;
///     };
///     events.KeyBy(&Event::id).Process(Deduplicate()).Uid("deduplicate");
template <class K, class In, class Out>
class KeyedProcessFunction {
 public:
  using KeyType = K;
  using InputType = In;
  using OutputType = Out;
  using RuntimeContext = KeyedRuntimeContext<K>;
  using StateDeclarations = KeyedStateDeclarations<K>;

  class Context {
   public:
    /// Event time of the record in ms (in OnTimer: the timer's time); kNoTimestamp when it has
    /// none.
    int64_t Timestamp() const { return timestamp_ms; }
    const K& CurrentKey() const { return *key->key; }
    TimerService& Timers() { return *timers; }

    // Set by the operator.
    int64_t timestamp_ms = kNoTimestamp;
    const KeyContext<K>* key = nullptr;
    TimerService* timers = nullptr;
  };
  class OnTimerContext : public Context {
   public:
    flink::TimeDomain TimeDomain() const { return domain; }

    flink::TimeDomain domain = flink::TimeDomain::kEventTime;
  };

  virtual ~KeyedProcessFunction() = default;
  /// The states that the function always has. Called before Open, and on a copy of the function
  /// while the job is being described; it only declares.
  virtual void DeclareStates(StateDeclarations& /*states*/) {}
  /// Before the first record; the place to get states that are not declared.
  virtual void Open(RuntimeContext& /*context*/) {}
  /// `record` may be changed and moved from.
  virtual void ProcessElement(In& record, Context& context, Collector<Out>& out) = 0;
  /// A timer of the current key is due.
  virtual void OnTimer(int64_t /*time_ms*/, OnTimerContext& /*context*/, Collector<Out>& /*out*/) {}
  /// After the last record and timer of a bounded input; there is no current key.
  virtual void Finish(Collector<Out>& /*out*/) {}
  /// Last of all, also after a failure.
  virtual void Close() {}
};

}  // namespace flink
