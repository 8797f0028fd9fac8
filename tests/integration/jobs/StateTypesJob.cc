// Jobs whose keyed state is known exactly, for savepoints in Apache Flink's format.
//
//   --case write --keys K [--rate R]
//       endless numbers; the operators by-long, by-string and by-tuple give each of K keys values
//       and timers that depend on the key alone
//   --case read --keys K --output DIR [--rate R]
//       the same operators and states, but they change nothing: each writes the state of the key of
//       each number as text
//   --case sums --count C --output DIR [--rate R]
//       numbers 0..C-1 -> ("w<n % 97>", 1) -> running sums -> files "word,sum"
//   --case lines --count C --output DIR [--rate R]
//       numbers 0..C-1 -> a line each -> files
//   --case golden --output DIR [--rate R]
//       some of its keys again and again -> the operator kv-string of the snapshots that stand
//       beside the source tree -> files
//   --case flink --output DIR [--without-states]
//       each of 20 keys once -> the operators sums and, if wanted, states of tests/golden/flink ->
//       what they hold of the key, and the timers that fire at the end -> files

#include <cstdint>
#include <map>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "flink/connector/file_sink.h"
#include "flink/data_stream.h"
#include "flink/internal/to_text.h"
#include "flink/job.h"
#include "flink/parameter_tool.h"
#include "flink/stream_execution_environment.h"

namespace {

constexpr int64_t kFarFutureMs = 4'102'444'800'000;  // The year 2100.

struct Person {
  int64_t id = 0;
  std::string name;
  double score = 0;
};
FLINK_FIELDS(Person, id, name, score)

struct WordCount {
  std::string word;
  int32_t count = 0;
};
FLINK_FIELDS(WordCount, word, count)

using TupleKey = std::pair<std::string, int32_t>;
using StringMap = std::map<std::string, int32_t>;

std::string Name(int64_t n) {
  static const char* const kTails[] = {"", "-é", "-€uro", "-😀", "-漢字"};
  return "key-" + std::to_string(n) + kTails[n % 5];
}

/// The parts as text, with bars between them.
template <class... T>
std::string Line(const T&... parts) {
  std::string line;
  ((flink::internal::AppendText(line, parts), line += '|'), ...);
  line.pop_back();
  return line;
}

/// Common to all: whether the job writes or reads.
template <class K>
class Function : public flink::KeyedProcessFunction<K, int64_t, std::string> {
 public:
  explicit Function(bool write) : write_(write) {}
  using typename flink::KeyedProcessFunction<K, int64_t, std::string>::Context;
  void ProcessElement(int64_t& number, Context& context, flink::Collector<std::string>& out) final {
    if (write_)
      Write(number, context);
    else
      out.Collect(Read());
  }

 protected:
  virtual void Write(int64_t n, Context& context) = 0;
  virtual std::string Read() = 0;

 private:
  bool write_;
};

class ByLong final : public Function<int64_t> {
 public:
  using Function::Function;
  void Open(RuntimeContext& context) override {
    long_ = context.GetValueState<int64_t>("v-long");
    int_ = context.GetValueState<int32_t>("v-int");
    short_ = context.GetValueState<int16_t>("v-short");
    byte_ = context.GetValueState<int8_t>("v-byte");
    bool_ = context.GetValueState<bool>("v-bool");
    float_ = context.GetValueState<float>("v-float");
    double_ = context.GetValueState<double>("v-double");
    string_ = context.GetValueState<std::string>("v-string");
    bytes_ = context.GetValueState<flink::Bytes>("v-bytes");
    list_ = context.GetValueState<std::vector<std::string>>("v-list");
    map_ = context.GetValueState<StringMap>("v-map");
    tuple_ = context.GetValueState<std::tuple<int32_t, std::string, bool>>("v-tuple");
    person_ = context.GetValueState<Person>("v-person");
    nested_ = context.GetValueState<std::pair<TupleKey, Person>>("v-nested");
    sparse_ = context.GetValueState<int64_t>("sparse");
    cleared_ = context.GetValueState<int64_t>("cleared");
  }

 private:
  void Write(int64_t n, Context& context) override {
    long_.Update(n * 1'000'000'007 - 3);
    int_.Update(static_cast<int32_t>(n - 50));
    short_.Update(static_cast<int16_t>(-n));
    byte_.Update(static_cast<int8_t>(n % 100));
    bool_.Update(n % 2 == 0);
    float_.Update(static_cast<float>(n) / 4);
    double_.Update(static_cast<double>(n) / 8 - 1);
    string_.Update(Name(n));
    bytes_.Update({std::string(static_cast<size_t>(n % 7), '\x80')});
    list_.Update({Name(n), Name(n + 1)});
    map_.Update({{"a", static_cast<int32_t>(n)}, {Name(n), 7}});
    tuple_.Update({static_cast<int32_t>(n), Name(n), n % 3 == 0});
    person_.Update({n, Name(n), static_cast<double>(n)});
    nested_.Update({{Name(n), 1}, {n, "x", 0.5}});
    if (n % 5 == 0) sparse_.Update(n);
    cleared_.Update(n);
    cleared_.Clear();
    context.Timers().RegisterEventTimeTimer(kFarFutureMs + n);
    if (n % 2 == 0) context.Timers().RegisterProcessingTimeTimer(kFarFutureMs - n);
  }
  std::string Read() override {
    return Line(long_.Value(), int_.Value(), short_.Value(), static_cast<int>(byte_.Value()),
                bool_.Value(), float_.Value(), double_.Value(), string_.Value(),
                bytes_.Value().data.size(), list_.Value(), map_.Value(), tuple_.Value(),
                person_.Value(), nested_.Value(), sparse_.Value(-1), cleared_.Value(-1));
  }

  flink::ValueState<int64_t> long_;
  flink::ValueState<int32_t> int_;
  flink::ValueState<int16_t> short_;
  flink::ValueState<int8_t> byte_;
  flink::ValueState<bool> bool_;
  flink::ValueState<float> float_;
  flink::ValueState<double> double_;
  flink::ValueState<std::string> string_;
  flink::ValueState<flink::Bytes> bytes_;
  flink::ValueState<std::vector<std::string>> list_;
  flink::ValueState<StringMap> map_;
  flink::ValueState<std::tuple<int32_t, std::string, bool>> tuple_;
  flink::ValueState<Person> person_;
  flink::ValueState<std::pair<TupleKey, Person>> nested_;
  flink::ValueState<int64_t> sparse_;
  flink::ValueState<int64_t> cleared_;
};

class ByString final : public Function<std::string> {
 public:
  using Function::Function;
  void Open(RuntimeContext& context) override { value_ = context.GetValueState<int64_t>("value"); }

 private:
  void Write(int64_t n, Context& context) override {
    value_.Update(n);
    context.Timers().RegisterEventTimeTimer(kFarFutureMs);
  }
  std::string Read() override { return "string|" + std::to_string(value_.Value(-1)); }

  flink::ValueState<int64_t> value_;
};

class ByTuple final : public Function<TupleKey> {
 public:
  using Function::Function;
  void Open(RuntimeContext& context) override {
    value_ = context.GetValueState<std::string>("value");
  }

 private:
  void Write(int64_t n, Context& context) override {
    value_.Update(Name(n));
    context.Timers().RegisterProcessingTimeTimer(kFarFutureMs + n);
  }
  std::string Read() override { return "tuple|" + value_.Value(); }

  flink::ValueState<std::string> value_;
};

/// The operator of a snapshot of Apache Flink; takes its keys from the golden's own.
class Golden final : public flink::KeyedProcessFunction<std::string, std::string, std::string> {
 public:
  void Open(RuntimeContext& context) override {
    int_ = context.GetValueState<int32_t>("v-int");
    bool_ = context.GetValueState<bool>("v-bool");
    pair_ = context.GetValueState<std::pair<std::string, int64_t>>("v-pair");
  }
  void ProcessElement(std::string& key, Context&, flink::Collector<std::string>& out) override {
    out.Collect(Line(key, int_.Value(-1), bool_.Value(true), pair_.Value()));
  }

 private:
  flink::ValueState<int32_t> int_;
  flink::ValueState<bool> bool_;
  flink::ValueState<std::pair<std::string, int64_t>> pair_;
};

}  // namespace

/// The operator "states" of tests/golden/flink, as far as its types are there in C++.
class States final : public flink::KeyedProcessFunction<std::string, WordCount, std::string> {
 public:
  void Open(RuntimeContext& context) override {
    count_ = context.GetValueState<int64_t>("count");
    pair_ = context.GetValueState<TupleKey>("pair");
  }
  void ProcessElement(WordCount& in, Context&, flink::Collector<std::string>& out) override {
    out.Collect(Line(std::string("states"), in.word, count_.Value(-1), pair_.Value()));
  }
  void OnTimer(int64_t time_ms, OnTimerContext& context,
               flink::Collector<std::string>& out) override {
    out.Collect(Line(std::string("timer"), context.CurrentKey(), time_ms));
  }

 private:
  flink::ValueState<int64_t> count_;
  flink::ValueState<TupleKey> pair_;
};

FLINK_JOB(env, args) {
  const auto parameters = flink::ParameterTool::FromArgs(args);
  const std::string which = parameters.GetRequired("case");
  // The goldens have a source of another kind under the uid that is usual here.
  const bool of_flink = which == "flink";
  const int64_t count = of_flink ? 20 : parameters.GetLong("count", int64_t{1} << 50);
  const int64_t keys = parameters.GetLong("keys", 100);
  flink::SourceOptions options;
  options.records_per_second = parameters.GetDouble("rate", 0);
  env.SetJobName(parameters.Get("name", "StateTypes " + which));
  auto numbers = env.FromSequence(0, count - 1, options).Uid(of_flink ? "keys" : "source");
  if (which == "write" || which == "read") {
    const bool write = which == "write";
    auto of_keys = numbers.SetParallelism(1).Map([keys](int64_t n) { return n % keys; });
    auto by_long =
        of_keys.KeyBy([](int64_t n) { return n * 3; }).Process(ByLong(write)).Uid("by-long");
    auto by_string =
        of_keys.KeyBy([](int64_t n) { return Name(n); }).Process(ByString(write)).Uid("by-string");
    auto by_tuple =
        of_keys.KeyBy([](int64_t n) { return TupleKey(Name(n % 10), static_cast<int32_t>(n)); })
            .Process(ByTuple(write))
            .Uid("by-tuple")
            .SetMaxParallelism(4096);
    auto lines = by_long.Union(by_string, by_tuple);
    if (write)
      lines.SinkTo(flink::DiscardingSink<std::string>());
    else
      lines.SinkTo(flink::TextFileSink(parameters.GetRequired("output"))).Uid("sink");
  } else if (which == "sums") {
    numbers.Map([](int64_t n) {
             return WordCount{"w" + std::to_string(n % 97), 1};
           })
        .KeyBy(&WordCount::word)
        .Sum(&WordCount::count)
        .Uid("count")
        .Map([](const WordCount& w) { return w.word + "," + std::to_string(w.count); })
        .SinkTo(flink::TextFileSink(parameters.GetRequired("output")))
        .Uid("sink");
  } else if (which == "lines") {
    numbers.Map([](int64_t n) { return std::to_string(n); })
        .SinkTo(flink::TextFileSink(parameters.GetRequired("output")))
        .Uid("sink");
  } else if (which == "golden") {
    static const std::vector<std::string> kKeys = {"",  "a", "hello", "flink",   "user-42",
                                                   "é", "€", "😀",     "漢字かな"};
    numbers.Map([](int64_t n) { return kKeys[static_cast<size_t>(n) % kKeys.size()]; })
        .KeyBy([](const std::string& key) { return key; })
        .Process(Golden())
        .Uid("kv-string")
        .SinkTo(flink::TextFileSink(parameters.GetRequired("output")))
        .Uid("sink");
  } else if (of_flink) {
    auto words = numbers.Map([](int64_t n) {
      return WordCount{(n < 10 ? "key-0" : "key-") + std::to_string(n), 1};
    });
    auto lines =
        words.KeyBy(&WordCount::word)
            .Sum(&WordCount::count)
            .Uid("sums")
            .Map([](const WordCount& w) { return Line(std::string("sums"), w.word, w.count); });
    if (!parameters.Has("without-states")) {
      lines = lines.Union(words.KeyBy(&WordCount::word).Process(States()).Uid("states"));
    }
    lines.SinkTo(flink::TextFileSink(parameters.GetRequired("output"))).Uid("sink");
  } else {
    throw std::invalid_argument("unknown --case " + which);
  }
}
