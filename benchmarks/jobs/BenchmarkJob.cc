// The jobs that the benchmarks run, as a user would write them.
//
//   --case chain    --count N
//   --case keyed    --count N --keys K [--distribution uniform|zipf] [--preload]
//                   (--preload: every key once first, then N more records)
//   --case shuffle  --count N
//   --case recovery --keys K --value-bytes B --events FILE [--rate R]
// Every case but the last writes "<records> <sum>" to --result FILE when all input has been
// processed.

#include <chrono>
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>

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

/// Keeps a value of a given size per key, and notes when the first record of each attempt came.
class KeepBytes final : public flink::KeyedProcessFunction<int64_t, int64_t, int64_t> {
 public:
  KeepBytes(size_t bytes, std::string events) : bytes_(bytes), events_(std::move(events)) {}
  void Open(RuntimeContext& context) override {
    value_ = context.GetValueState<flink::Bytes>("value");
    attempt_ = context.Attempt();
  }
  void ProcessElement(int64_t& number, Context&, flink::Collector<int64_t>& out) override {
    if (!seen_) Note();
    auto& value = value_.Mutable().data;
    if (value.empty()) {
      value.resize(bytes_);
      uint64_t x = static_cast<uint64_t>(number);
      for (auto& c : value)
        c = static_cast<std::remove_reference_t<decltype(c)>>(x = flink::benchmarks::Mix(x));
    } else {
      ++value[static_cast<size_t>(number) % bytes_];
    }
    out.Collect(number);
  }

 private:
  void Note() {
    seen_ = true;
    const auto now = std::chrono::duration_cast<std::chrono::milliseconds>(
        std::chrono::system_clock::now().time_since_epoch());
    std::FILE* f = std::fopen(events_.c_str(), "a");
    if (f == nullptr) throw std::runtime_error("cannot write " + events_);
    std::fprintf(f, "%lld %d\n", static_cast<long long>(now.count()), attempt_);
    std::fclose(f);
  }
  size_t bytes_;
  std::string events_;
  flink::ValueState<flink::Bytes> value_;
  int attempt_ = 0;
  bool seen_ = false;
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
  } else if (which == "recovery") {
    // Every key once at full speed, then at a gentle rate over and over.
    flink::SourceOptions gentle;
    gentle.records_per_second = parameters.GetDouble("rate", 0);
    env.FromSequence(0, count - 1, gentle)
        .Uid("source")
        .KeyBy([keys](const int64_t& i) {
          return static_cast<int64_t>(static_cast<uint64_t>(i) % keys);
        })
        .Process(KeepBytes(static_cast<size_t>(parameters.GetLong("value-bytes", 1000)),
                           parameters.GetRequired("events")))
        .Uid("keep")
        .SinkTo(flink::DiscardingSink<int64_t>())
        .Uid("sink");
  } else {
    throw std::invalid_argument("unknown --case " + which);
  }
}
