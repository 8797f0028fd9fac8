// The job of the tests about what fits a snapshot: numbers 0..C-1 -> running count per number
// modulo 10 -> the count before -> exactly-once files "key,count,before".
//
//   --output DIR [--count C] [--rate R] [--name NAME]
//   --sum int|long      type of the count's state (Sum, declared before the job runs)
//   --key long|string   type of the count's key
//   --last int|long     type of the state "last" (a function's, known when it is opened)
//   --declare-last      the function declares the state "last"
//   --uid NAME          uid of the count; default "sum"
//   --extra             two more steps without state in front of the count
//   --no-uids           only operators with state have uids

#include <cstdint>
#include <string>

#include "flink/connector/file_sink.h"
#include "flink/data_stream.h"
#include "flink/job.h"
#include "flink/parameter_tool.h"
#include "flink/stream_execution_environment.h"

namespace {

constexpr int64_t kKeys = 10;

template <class N>
struct Counted {
  int64_t key = 0;
  N count = 0;
};
using IntCount = Counted<int32_t>;
using LongCount = Counted<int64_t>;
FLINK_FIELDS(IntCount, key, count)
FLINK_FIELDS(LongCount, key, count)

template <class In, class N, bool kDeclared>
class Last final : public flink::KeyedProcessFunction<int64_t, In, std::string> {
 public:
  using Base = flink::KeyedProcessFunction<int64_t, In, std::string>;
  void DeclareStates(typename Base::StateDeclarations& states) override {
    if constexpr (kDeclared) states.Value("last", &last_);
  }
  void Open(typename Base::RuntimeContext& context) override {
    if constexpr (!kDeclared) last_ = context.template GetValueState<N>("last");
  }
  void ProcessElement(In& in, typename Base::Context&,
                      flink::Collector<std::string>& out) override {
    out.Collect(std::to_string(in.key) + "," + std::to_string(in.count) + "," +
                std::to_string(last_.Value()));
    last_.Update(static_cast<N>(in.count));
  }

 private:
  flink::ValueState<N> last_;
};

template <class Count, class N, bool kDeclared>
void AddLast(const flink::DataStream<Count>& counts, const flink::ParameterTool& parameters) {
  counts.KeyBy(&Count::key)
      .Process(Last<Count, N, kDeclared>())
      .Name("last")
      .Uid("last")
      .SinkTo(flink::TextFileSink(parameters.GetRequired("output")))
      .Uid("sink");
}

template <class Count, class N>
void AddLast(const flink::DataStream<Count>& counts, const flink::ParameterTool& parameters) {
  if (parameters.Has("declare-last")) {
    AddLast<Count, N, true>(counts, parameters);
  } else {
    AddLast<Count, N, false>(counts, parameters);
  }
}

template <class Count>
flink::DataStream<Count> Counts(const flink::DataStream<Count>& pairs,
                                const flink::ParameterTool& parameters) {
  if (parameters.Get("key", "long") == "string") {
    return pairs.KeyBy([](const Count& c) { return std::to_string(c.key); }).Sum(&Count::count);
  }
  return pairs.KeyBy(&Count::key).Sum(&Count::count);
}

template <class Count>
void Describe(flink::DataStream<int64_t> numbers, const flink::ParameterTool& parameters) {
  if (parameters.Has("extra")) {
    numbers = numbers.Map([](int64_t i) { return i + 1; }).Rebalance().Map([](int64_t i) {
      return i - 1;
    });
  }
  auto pairs = numbers.Map([](int64_t i) { return Count{i % kKeys, 1}; });
  if (!parameters.Has("no-uids")) pairs = pairs.Uid("pairs");
  const auto counts = Counts(pairs, parameters).Uid(parameters.Get("uid", "sum"));
  if (parameters.Get("last", "int") == "long") {
    AddLast<Count, int64_t>(counts, parameters);
  } else {
    AddLast<Count, int32_t>(counts, parameters);
  }
}

}  // namespace

FLINK_JOB(env, args) {
  const auto parameters = flink::ParameterTool::FromArgs(args);
  flink::SourceOptions options;
  options.records_per_second = parameters.GetDouble("rate", 0);
  env.SetJobName(parameters.Get("name", "Restore"));
  const auto numbers =
      env.FromSequence(0, parameters.GetLong("count", 1000) - 1, options).Uid("source");
  if (parameters.Get("sum", "int") == "long") {
    Describe<LongCount>(numbers, parameters);
  } else {
    Describe<IntCount>(numbers, parameters);
  }
}
