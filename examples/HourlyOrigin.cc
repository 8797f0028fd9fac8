/// Flights per hour and airport of origin, with the sum of their delays at departure.
///
///     flink run HourlyOrigin.so --input <flights csv> --output <directory> [--lateness-hours 24]
///         [--rate <lines/s per subtask>]
///
/// The input has the scheduled time (ms) in column 2, the delay (minutes) in 3 and the origin in 8.
/// Lines stand in the order of actual departure, so scheduled times come late by as much as the
/// delay: event time, a bound on the disorder, and a timer per hour that fires when the hour is
/// complete. Writes `window_start_ms,origin,flights,sum_dep_delay_min`.

#include <charconv>
#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "flink/connector/file_sink.h"
#include "flink/connector/file_source.h"
#include "flink/job.h"

constexpr int64_t kHourMs = 3'600'000;

struct Flight {
  int64_t scheduled_ms = 0;
  int64_t delay_min = 0;
  std::string origin;
};
FLINK_FIELDS(Flight, scheduled_ms, delay_min, origin)

struct Totals {
  int64_t flights = 0;
  int64_t delay_min = 0;
};
FLINK_FIELDS(Totals, flights, delay_min)

/// An hour of an airport.
using HourKey = std::pair<int64_t, std::string>;

static int64_t ToNumber(std::string_view text) {
  int64_t value = 0;
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

/// The header and lines with too few columns are left out.
static void ParseFlight(const std::string& line, flink::Collector<Flight>& out) {
  std::string_view columns[8];
  std::string_view rest = line;
  for (std::string_view& column : columns) {
    const size_t comma = rest.find(',');
    if (comma == std::string_view::npos) return;
    column = rest.substr(0, comma);
    rest.remove_prefix(comma + 1);
  }
  if (columns[1].empty() || columns[1][0] < '0' || columns[1][0] > '9') return;
  out.Collect({ToNumber(columns[1]), ToNumber(columns[2]), std::string(columns[7])});
}

class CountPerHour : public flink::KeyedProcessFunction<HourKey, Flight, std::string> {
 public:
  void DeclareStates(StateDeclarations& states) override { states.Value("totals", &totals_); }

  void ProcessElement(Flight& flight, Context& context, flink::Collector<std::string>&) override {
    Totals& totals = totals_.Mutable();
    ++totals.flights;
    totals.delay_min += flight.delay_min;
    context.Timers().RegisterEventTimeTimer(context.CurrentKey().first + kHourMs - 1);
  }

  void OnTimer(int64_t, OnTimerContext& context, flink::Collector<std::string>& out) override {
    const auto& [hour_ms, origin] = context.CurrentKey();
    const Totals totals = totals_.Value();
    out.Collect(std::to_string(hour_ms) + "," + origin + "," + std::to_string(totals.flights) +
                "," + std::to_string(totals.delay_min));
    totals_.Clear();
  }

 private:
  flink::ValueState<Totals> totals_;
};

FLINK_JOB(env, args) {
  const auto parameters = flink::ParameterTool::FromArgs(args);
  const flink::TextFileSource source(parameters.GetRequired("input"),
                                     {.records_per_second = parameters.GetDouble("rate", 0)});
  const std::chrono::hours disorder(parameters.GetInt("lateness-hours", 24));
  env.SetJobName("HourlyOrigin");
  env.FromSource(source, "flights")
      .Uid("source")
      .FlatMap(&ParseFlight)
      .Name("parse")
      .AssignTimestampsAndWatermarks(
          flink::WatermarkStrategy::ForBoundedOutOfOrderness(disorder).WithTimestampAssigner(
              &Flight::scheduled_ms))
      .KeyBy([](const Flight& f) { return HourKey(f.scheduled_ms / kHourMs * kHourMs, f.origin); })
      .Process(CountPerHour())
      .Name("count per hour")
      .Uid("count")
      .SinkTo(flink::TextFileSink(parameters.GetRequired("output")))
      .Name("files")
      .Uid("sink");
}
