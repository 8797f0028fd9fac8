// The job of the drain test: numbers 0..C-1 -> "record,key" for each, and "total,key,n" for each
// key once the watermark says that nothing follows, and "end" for each subtask whose input has
// ended
// -> exactly-once files.
//
//   --count C --rate R --output DIR [--name NAME]

#include <cstdint>
#include <string>

#include "flink/connector/file_sink.h"
#include "flink/data_stream.h"
#include "flink/job.h"
#include "flink/parameter_tool.h"
#include "flink/stream_execution_environment.h"

namespace {

constexpr int64_t kKeys = 10;
/// No record has a timestamp, so that only the watermark of the end gets here.
constexpr int64_t kEnd = 1'000'000'000'000'000;

class TotalAtTheEnd final : public flink::KeyedProcessFunction<int64_t, int64_t, std::string> {
 public:
  void Open(RuntimeContext& context) override { total_ = context.GetValueState<int64_t>("total"); }
  void ProcessElement(int64_t&, Context& context, flink::Collector<std::string>& out) override {
    ++total_.Mutable();
    context.Timers().RegisterEventTimeTimer(kEnd);
    out.Collect("record," + std::to_string(context.CurrentKey()));
  }
  void OnTimer(int64_t, OnTimerContext& context, flink::Collector<std::string>& out) override {
    out.Collect("total," + std::to_string(context.CurrentKey()) + "," +
                std::to_string(total_.Value()));
  }
  void Finish(flink::Collector<std::string>& out) override { out.Collect("end"); }

 private:
  flink::ValueState<int64_t> total_;
};

}  // namespace

FLINK_JOB(env, args) {
  const auto parameters = flink::ParameterTool::FromArgs(args);
  flink::SourceOptions options;
  options.records_per_second = parameters.GetDouble("rate", 0);
  env.SetJobName(parameters.Get("name", "Lifecycle"));
  env.FromSequence(0, parameters.GetLong("count", 1000) - 1, options)
      .Uid("source")
      .KeyBy([](int64_t number) { return number % kKeys; })
      .Process(TotalAtTheEnd())
      .Name("totals")
      .Uid("totals")
      .SinkTo(flink::TextFileSink(parameters.GetRequired("output")))
      .Uid("sink");
}
