// The jobs that the benchmarks run, as a user would write them.
//
//   --case chain    --count N
//   --case keyed    --count N --keys K [--distribution uniform|zipf] [--preload]
//                   (--preload: every key once first, then N more records)
//   --case shuffle  --count N
//   --case state    --count N --keys K --value-bytes B --events FILE [--rate R] [--progress FILE]
//                   (number i counts in the value of key i modulo K, see state_value.h; FILE of
//                   --events gets a line when an attempt has its first record, that of --progress
//                   one after every 10 000 records of a subtask)
//   --case verify   --keys K (-s SNAPSHOT -n of the case "state": its sums, see SumPerKind)
// The first three write "<records> <sum>" to --result FILE when all input has been processed.

#include <array>
#include <chrono>
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

#include "benchmarks/state_value.h"
#include "benchmarks/zipf.h"
#include "flink/data_stream.h"
#include "flink/job.h"
#include "flink/parameter_tool.h"
#include "flink/stream_execution_environment.h"

namespace {

using flink::benchmarks::UniformKey;
using flink::benchmarks::Zipf;
using flink::benchmarks::ZipfKey;
using KeyedNumber = std::pair<int64_t, int64_t>;

/// Discards records, but counts them and adds them up (wrapping around) for the check at the end.
template <class T>
class CheckedDiscard {
 public:
  using Record = T;
  explicit CheckedDiscard(std::string file) : file_(std::move(file)) {}
  std::unique_ptr<flink::Operator> MakeOperator() const { return std::make_unique<Counter>(file_); }
  std::string Name() const { return "Sink: Discard"; }

 private:
  class Counter final : public flink::SinkOperator<T> {
   public:
    explicit Counter(std::string file) : file_(std::move(file)) {}

   private:
    void Open(flink::OperatorContext& context) override { subtask_ = context.subtask_index(); }
    void Write(flink::Batch<T>& batch) override {
      records_ += batch.records.size();
      for (const T& r : batch.records) {
        if constexpr (std::is_integral_v<T>)
          sum_ += static_cast<uint64_t>(r);
        else
          sum_ += static_cast<uint64_t>(r.second);
      }
    }
    void Finish() override {
      const std::string name = file_ + "." + std::to_string(subtask_);
      std::FILE* f = std::fopen(name.c_str(), "w");
      if (f == nullptr) throw std::runtime_error("cannot write " + name);
      std::fprintf(f, "%llu %llu\n", static_cast<unsigned long long>(records_),
                   static_cast<unsigned long long>(sum_));
      std::fclose(f);
    }
    std::string file_;
    int subtask_ = 0;
    uint64_t records_ = 0;
    uint64_t sum_ = 0;
  };
  std::string file_;
};

/// The sum so far of a key's values.
class RunningSum final : public flink::KeyedProcessFunction<int64_t, KeyedNumber, int64_t> {
 public:
  void Open(RuntimeContext& context) override { sum_ = context.GetValueState<int64_t>("sum"); }
  void ProcessElement(KeyedNumber& record, Context&, flink::Collector<int64_t>& out) override {
    int64_t& sum = sum_.Mutable();
    sum += record.second;
    out.Collect(sum);
  }

 private:
  flink::ValueState<int64_t> sum_;
};

/// Counts the numbers of either half in a value of a given size per key, and notes when they come.
class KeepValue final : public flink::KeyedProcessFunction<int64_t, int64_t, int64_t> {
 public:
  KeepValue(size_t bytes, uint64_t keys, int64_t half, std::string events, std::string progress)
      : bytes_(bytes),
        keys_(keys),
        half_(half),
        events_(std::move(events)),
        progress_(std::move(progress)) {}
  void Open(RuntimeContext& context) override {
    value_ = context.GetValueState<flink::Bytes>("value");
    attempt_ = context.Attempt();
    subtask_ = context.SubtaskIndex();
  }
  void ProcessElement(int64_t& number, Context&, flink::Collector<int64_t>& out) override {
    if (seen_ == 0) Note(events_, attempt_);
    if (++seen_ % 10'000 == 0 && !progress_.empty()) Note(progress_, subtask_);
    auto& value = value_.Mutable().data;
    if (value.empty()) {
      flink::benchmarks::FillStateValue(static_cast<uint64_t>(number) % keys_, bytes_, value);
    }
    flink::benchmarks::CountIn(value, number < half_ ? 0 : 1);
    out.Collect(number);
  }

 private:
  // One write per line, so that several subtasks may share a file.
  static void Note(const std::string& name, int what) {
    const auto now = std::chrono::duration_cast<std::chrono::milliseconds>(
        std::chrono::system_clock::now().time_since_epoch());
    std::FILE* f = std::fopen(name.c_str(), "a");
    if (f == nullptr) throw std::runtime_error("cannot write " + name);
    std::fprintf(f, "%lld %d\n", static_cast<long long>(now.count()), what);
    std::fclose(f);
  }
  size_t bytes_;
  uint64_t keys_;
  int64_t half_;
  std::string events_;
  std::string progress_;
  flink::ValueState<flink::Bytes> value_;
  int attempt_ = 0;
  int subtask_ = 0;
  uint64_t seen_ = 0;
};

/// What is in the value of a key: (kind, number) for every kind of SumPerKind.
class ReadValue final : public flink::KeyedProcessFunction<int64_t, int64_t, KeyedNumber> {
 public:
  void Open(RuntimeContext& context) override {
    value_ = context.GetValueState<flink::Bytes>("value");
  }
  void ProcessElement(int64_t& key, Context&, flink::Collector<KeyedNumber>& out) override {
    const auto& value = value_.Mutable().data;
    if (value.empty()) return;
    const auto word = [&](size_t i) {
      return static_cast<int64_t>(flink::benchmarks::StateWord(value, i));
    };
    out.Collect({0, 1});
    for (int64_t half = 0; half < 2; ++half) {
      const int64_t counted = word(static_cast<size_t>(half));
      out.Collect({1 + 2 * half, counted});
      out.Collect({2 + 2 * half, key * counted});
    }
    out.Collect({5, static_cast<int64_t>(flink::benchmarks::FillSum(value))});
  }

 private:
  flink::ValueState<flink::Bytes> value_;
};

/// Writes six sums (wrapping around): keys that have a value; per half, the numbers counted and key
/// times numbers counted; the words of the values behind the counters.
class SumPerKind {
 public:
  using Record = KeyedNumber;
  explicit SumPerKind(std::string file) : file_(std::move(file)) {}
  std::unique_ptr<flink::Operator> MakeOperator() const { return std::make_unique<Sums>(file_); }
  std::string Name() const { return "Sink: Sums"; }

 private:
  class Sums final : public flink::SinkOperator<KeyedNumber> {
   public:
    explicit Sums(std::string file) : file_(std::move(file)) {}

   private:
    void Open(flink::OperatorContext& context) override { subtask_ = context.subtask_index(); }
    void Write(flink::Batch<KeyedNumber>& batch) override {
      for (const KeyedNumber& r : batch.records) {
        sums_.at(static_cast<size_t>(r.first)) += static_cast<uint64_t>(r.second);
      }
    }
    void Finish() override {
      const std::string name = file_ + "." + std::to_string(subtask_);
      std::FILE* f = std::fopen(name.c_str(), "w");
      if (f == nullptr) throw std::runtime_error("cannot write " + name);
      for (const uint64_t sum : sums_)
        std::fprintf(f, "%llu ", static_cast<unsigned long long>(sum));
      std::fclose(f);
    }
    std::string file_;
    int subtask_ = 0;
    std::array<uint64_t, 6> sums_{};
  };
  std::string file_;
};

}  // namespace

FLINK_JOB(env, args) {
  const auto parameters = flink::ParameterTool::FromArgs(args);
  const std::string which = parameters.GetRequired("case");
  const int64_t count = parameters.GetLong("count", 1'000'000);
  const auto keys = static_cast<uint64_t>(parameters.GetLong("keys", 100'000));
  const std::string result = parameters.Get("result", "/dev/null");
  env.SetJobName("Benchmark " + which);
  if (which == "chain") {
    env.FromSequence(1, count)
        .Uid("source")
        .Map([](int64_t x) { return x * 3; })
        .Map([](int64_t x) { return x + 1; })
        .Filter([](const int64_t& x) { return (x & 7) != 0; })
        .SinkTo(CheckedDiscard<int64_t>(result))
        .Uid("sink");
  } else if (which == "keyed") {
    const bool is_zipf = parameters.Get("distribution", "uniform") == "zipf";
    auto zipf = std::make_shared<const Zipf>(is_zipf ? keys : 2, 0.99);
    const int64_t loaded = parameters.Has("preload") ? static_cast<int64_t>(keys) : 0;
    auto numbers = env.FromSequence(-loaded, count - 1).Uid("source");
    auto keyed = is_zipf ? numbers.Map([keys, zipf](int64_t i) {
      return KeyedNumber(i < 0 ? -1 - i : ZipfKey(static_cast<uint64_t>(i), keys, *zipf), 1);
    })
                         : numbers.Map([keys](int64_t i) {
                             return KeyedNumber(
                                 i < 0 ? -1 - i : UniformKey(static_cast<uint64_t>(i), keys), 1);
                           });
    keyed.KeyBy(&KeyedNumber::first)
        .Process(RunningSum())
        .Uid("sum")
        .SinkTo(CheckedDiscard<int64_t>(result))
        .Uid("sink");
  } else if (which == "shuffle") {
    env.FromSequence(0, count - 1)
        .Uid("source")
        .Map([](int64_t i) { return KeyedNumber(i, 1); })
        .Rebalance()
        .SinkTo(CheckedDiscard<KeyedNumber>(result))
        .Uid("sink");
  } else if (which == "state") {
    flink::SourceOptions options;
    options.records_per_second = parameters.GetDouble("rate", 0);
    env.FromSequence(0, count - 1, options)
        .Uid("source")
        .KeyBy([keys](const int64_t& i) {
          return static_cast<int64_t>(static_cast<uint64_t>(i) % keys);
        })
        .Process(KeepValue(static_cast<size_t>(parameters.GetLong("value-bytes", 1000)), keys,
                           count / 2, parameters.GetRequired("events"), parameters.Get("progress")))
        .Uid("keep")
        .SinkTo(flink::DiscardingSink<int64_t>())
        .Uid("sink");
  } else if (which == "verify") {
    env.FromSequence(0, static_cast<int64_t>(keys) - 1)
        .Uid("verify-source")
        .KeyBy([](const int64_t& i) { return i; })
        .Process(ReadValue())
        .Uid("keep")
        .SinkTo(SumPerKind(result))
        .Uid("verify-sink");
  } else {
    throw std::invalid_argument("unknown --case " + which);
  }
}
