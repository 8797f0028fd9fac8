#pragma once

/// Streams: the steps of a job. The types of records are taken from the lambdas.
///
///     env.FromSource(flink::TextFileSource(input), "lines").Uid("source")
///         .FlatMap([](const std::string& line, flink::Collector<WordCount>& out) { … })
///         .KeyBy(&WordCount::word)
///         .Sum(&WordCount::count).Uid("count")
///         .Map([](const WordCount& w) { return w.word + "," + std::to_string(w.count); })
///         .SinkTo(flink::TextFileSink(output)).Uid("sink");
///
/// Building a job only describes it; nothing runs before it is submitted. Streams are handles:
/// copying one is cheap, and using it twice gives every user all its records. Mistakes throw
/// std::invalid_argument or std::logic_error.
///
/// Lambdas are copied to every subtask; what they capture must be copyable and is not shared. A
/// lambda gets each record as T, const T& or T&&, as it likes.

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "flink/functions.h"
#include "flink/internal/stream_graph_builder.h"
#include "flink/operators/edges.h"
#include "flink/operators/keyed_operators.h"
#include "flink/operators/stateless_operators.h"
#include "flink/operators/watermark_operator.h"
#include "flink/sink.h"
#include "flink/stream_graph.h"
#include "flink/watermark_strategy.h"

namespace flink {

template <class T>
class DataStream;
template <class T, class K, class KeySelector>
class KeyedStream;

/// Settings of the operator that was created last; each returns the stream, so that calls can be
/// chained.
template <class Derived>
class OperatorSettings {
 public:
  /// The operator's id across versions of the job: its state is found under this name in
  /// checkpoints and savepoints. Give one to every source, sink and operator with state. Throws
  /// when another operator of the job has it.
  Derived Uid(const std::string& uid) const {
    return Apply([&](auto& g, int n) { g.SetUid(n, uid); });
  }
  /// What people see. Default: the kind of operator.
  Derived Name(const std::string& name) const {
    return Apply([&](auto& g, int n) { g.SetName(n, name); });
  }
  /// Number of subtasks. Default: the job's.
  Derived SetParallelism(int parallelism) const {
    return Apply([&](auto& g, int n) { g.SetParallelism(n, parallelism); });
  }
  /// The number of key groups, which bounds the parallelism for ever: snapshots depend on it.
  /// Default: the job's, or derived from the parallelism (at least 128).
  Derived SetMaxParallelism(int max_parallelism) const {
    return Apply([&](auto& g, int n) { g.SetMaxParallelism(n, max_parallelism); });
  }
  /// The operator runs in another task (thread) than its input.
  Derived StartNewChain() const {
    return Apply([&](auto& g, int n) { g.node(n).chaining = ChainingStrategy::kHead; });
  }
  /// The operator has a task of its own.
  Derived DisableChaining() const {
    return Apply([&](auto& g, int n) { g.node(n).chaining = ChainingStrategy::kNever; });
  }

 protected:
  OperatorSettings(internal::GraphPtr graph, int node) : graph_(std::move(graph)), node_(node) {}

  internal::GraphPtr graph_;
  int node_ = 0;  // 0: a stream without an operator of its own.

 private:
  template <class F>
  Derived Apply(F&& f) const {
    if (node_ == 0) {
      throw std::logic_error(
          "uid, name and parallelism belong to an operator; the result of Rebalance or Union is "
          "none. "
          "Set them on the operator before or behind it.");
    }
    f(*graph_, node_);
    return static_cast<const Derived&>(*this);
  }
};

/// The end of a stream.
class DataStreamSink : public OperatorSettings<DataStreamSink> {
 public:
  DataStreamSink(internal::GraphPtr graph, int node) : OperatorSettings(std::move(graph), node) {}
};

template <class T>
class DataStream : public OperatorSettings<DataStream<T>> {
 public:
  using Record = T;

  /// Replaces each record by f(record).
  template <class F>
  auto Map(F f) const {
    using Out = internal::ConsumingResult<F, T>;
    static_assert(!std::is_void_v<Out>, "The function of Map must return the new record.");
    return Then<Out>("Map",
                     [f = std::move(f)] { return std::make_unique<MapOperator<T, Out, F>>(f); });
  }

  /// f(record, collector) emits any number of records. The type of its second parameter,
  /// Collector<Out>&, says of which type; with `auto&` say FlatMap<Out>(f).
  template <class Out = void, class F>
  auto FlatMap(F f) const {
    using Result = internal::FlatMapResult<Out, F>;
    return Then<Result>("Flat Map", [f = std::move(f)] {
      return std::make_unique<FlatMapOperator<T, Result, F>>(f);
    });
  }

  /// Keeps the records for which f(record) is true.
  template <class F>
  DataStream<T> Filter(F f) const {
    static_assert(std::is_convertible_v<std::invoke_result_t<F&, const T&>, bool>,
                  "The function of Filter must take const T& and return bool.");
    return Then<T>("Filter",
                   [f = std::move(f)] { return std::make_unique<FilterOperator<T, F>>(f); });
  }

  /// Applies a ProcessFunction<T, Out>.
  template <class F>
  auto Process(F function) const {
    static_assert(std::is_same_v<typename F::InputType, T>,
                  "The function's input type is not the type of the stream's records.");
    return Then<typename F::OutputType>("Process", [function = std::move(function)] {
      return std::make_unique<ProcessOperator<F>>(function);
    });
  }

  /// Divides the stream by key: selector(const T&), a lambda or a pointer to a field, gives the
  /// key. Records with equal keys are processed by the same subtask, in order.
  template <class KeySelector>
  auto KeyBy(KeySelector selector) const {
    using K = KeyOf<T, KeySelector>;
    return KeyedStream<T, K, KeySelector>(*this, std::move(selector));
  }

  /// See flink/watermark_strategy.h.
  template <class Assigner>
  DataStream<T> AssignTimestampsAndWatermarks(
      const TimestampsAndWatermarks<Assigner>& strategy) const {
    return Then<T>("Timestamps/Watermarks", [strategy] {
      return std::make_unique<WatermarkOperator<T, Assigner>>(strategy);
    });
  }

  /// The next operator's subtasks get equal shares of the records.
  DataStream<T> Rebalance() const {
    DataStream<T> s = *this;
    s.node_ = 0;
    for (internal::Upstream& u : s.inputs_) {
      u.partitioning = Partitioning::kRebalance;
      u.type = std::make_shared<RebalanceEdge<T>>();
    }
    return s;
  }

  /// All records of all the streams.
  template <class... Streams>
  DataStream<T> Union(const DataStream<T>& other, const Streams&... more) const {
    if (other.graph_ != this->graph_) {
      throw std::invalid_argument("the streams of a union belong to different environments");
    }
    DataStream<T> s = *this;
    s.node_ = 0;
    s.inputs_.insert(s.inputs_.end(), other.inputs_.begin(), other.inputs_.end());
    if constexpr (sizeof...(more) == 0)
      return s;
    else
      return s.Union(more...);
  }

  /// Writes the stream to a sink; see flink/sink.h and the connectors.
  template <class Sink>
  DataStreamSink SinkTo(Sink sink) const {
    static_assert(std::is_same_v<typename Sink::Record, T>,
                  "The sink takes another type of records than the stream has.");
    this->graph_->Prepare(sink);
    StreamNode node;
    node.name = sink.Name();
    node.is_sink = true;
    if constexpr (requires { Sink::kStateful; }) node.stateful = Sink::kStateful;
    node.make_operator = [sink] { return sink.MakeOperator(); };
    const int writer = this->graph_->AddNode(std::move(node), inputs_);
    if constexpr (requires { sink.MakeCommitter(); }) {
      this->graph_->AddCommitter(writer, [sink = std::move(sink)] { return sink.MakeCommitter(); });
    }
    return DataStreamSink(this->graph_, writer);
  }

  /// Prints the records where the subtasks run (see PrintSink).
  DataStreamSink Print() const { return SinkTo(PrintSink<T>()); }

  /// For the classes that make streams.
  DataStream(internal::GraphPtr graph, int node)
      : OperatorSettings<DataStream<T>>(std::move(graph), node),
        inputs_{{node, Partitioning::kForward, std::make_shared<RebalanceEdge<T>>()}} {}

 private:
  template <class, class, class>
  friend class KeyedStream;

  template <class Out, class Make>
  DataStream<Out> Then(const char* name, Make make) const {
    StreamNode node;
    node.name = name;
    node.make_operator = std::move(make);
    return DataStream<Out>(this->graph_, this->graph_->AddNode(std::move(node), inputs_));
  }

  std::vector<internal::Upstream> inputs_;
};

/// A stream that is divided by key. State and timers of its operators belong to a key.
template <class T, class K, class KeySelector>
class KeyedStream {
 public:
  using Record = T;
  using Key = K;

  KeyedStream(const DataStream<T>& stream, KeySelector selector)
      : graph_(stream.graph_), inputs_(stream.inputs_), selector_(std::move(selector)) {
    for (internal::Upstream& u : inputs_) {
      u.partitioning = Partitioning::kHash;
      u.type = std::make_shared<HashEdge<T, KeySelector>>(selector_);
    }
  }

  /// Combines the records of a key: f(so far, record) is kept, and emitted for every record.
  template <class F>
  DataStream<T> Reduce(F f) const {
    static_assert(std::is_convertible_v<std::invoke_result_t<F&, const T&, const T&>, T>,
                  "The function of Reduce takes two records (const T&) and returns one.");
    return Aggregate("Keyed Reduce", internal::ReduceUpdate<T, F>{std::move(f)});
  }

  /// Sums up one field of the records of a key, and emits the sum so far for every record; the
  /// other fields are those of the key's first record. `field`: a pointer to a member, or a lambda
  /// T& -> reference to the field.
  template <class Field>
  DataStream<T> Sum(Field field) const {
    static_assert(std::is_lvalue_reference_v<std::invoke_result_t<Field&, T&>>,
                  "Sum needs a reference to the field: a member pointer, or [](T& r) -> auto& { "
                  "return r.field; }.");
    return Aggregate("Keyed Aggregation", internal::SumUpdate<T, Field>{std::move(field)});
  }
  /// As above by the number of the field: Sum<1>() for the second one of a pair, tuple or struct.
  template <size_t kField>
  DataStream<T> Sum() const {
    return Sum([](T & record) -> auto& { return std::get<kField>(internal::FieldsOf(record)); });
  }
  /// For a stream of numbers.
  DataStream<T> Sum() const requires(std::is_arithmetic_v<T>) {
    return Sum([](T& record) -> T& { return record; });
  }

  /// Applies a KeyedProcessFunction<K, T, Out>.
  template <class F>
  auto Process(F function) const {
    static_assert(std::is_same_v<typename F::InputType, T>,
                  "The function's input type is not the type of the stream's records.");
    static_assert(std::is_same_v<typename F::KeyType, K>,
                  "The function's key type is not the type that the key selector gives.");
    using ProcessStep = KeyedProcessOperator<T, KeySelector, F>;
    StreamNode node = KeyedNode("KeyedProcess");
    node.states = ProcessStep::States(function);
    node.make_operator = [selector = selector_, function = std::move(function)] {
      return std::make_unique<ProcessStep>(selector, function);
    };
    return DataStream<typename F::OutputType>(graph_, graph_->AddNode(std::move(node), inputs_));
  }

 private:
  static StreamNode KeyedNode(const char* name) {
    StreamNode node;
    node.name = name;
    node.stateful = true;
    node.keyed = true;
    return node;
  }

  template <class Update>
  DataStream<T> Aggregate(const char* name, Update update) const {
    using Aggregation = KeyedReduceOperator<T, KeySelector, Update>;
    StreamNode node = KeyedNode(name);
    node.states = Aggregation::States();
    node.make_operator = [selector = selector_, update = std::move(update)] {
      return std::make_unique<Aggregation>(selector, update);
    };
    return DataStream<T>(graph_, graph_->AddNode(std::move(node), inputs_));
  }

  internal::GraphPtr graph_;
  std::vector<internal::Upstream> inputs_;
  KeySelector selector_;
};

}  // namespace flink
