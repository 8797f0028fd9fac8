#include "flink/operators/keyed_operators.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/testing/operator_harness.h"

namespace flink {
namespace {

using testing::OperatorHarness;
using testing::OperatorSnapshot;

struct Count {
  std::string word;
  int32_t count = 0;
  bool operator==(const Count&) const = default;
};
FLINK_FIELDS(Count, word, count)

using Field = int32_t Count::*;
using Key = std::string Count::*;
using SumOperator = KeyedReduceOperator<Count, Key, internal::SumUpdate<Count, Field>>;

std::unique_ptr<Operator> MakeSum() {
  return std::make_unique<SumOperator>(&Count::word,
                                       internal::SumUpdate<Count, Field>{&Count::count});
}

TEST(KeyedReduceOperatorTest, EveryInputGivesTheUpdatedRecordOfItsKey) {
  OperatorHarness<Count, Count> h(MakeSum());
  h.Open();
  h.Process({{"a", 1}, {"b", 5}, {"a", 2}}, {1, 2, 3});
  h.Process({{"a", 10}});
  EXPECT_EQ(h.out.records, (std::vector<Count>{{"a", 1}, {"b", 5}, {"a", 3}, {"a", 13}}));
  EXPECT_EQ(h.out.timestamps[2], 3);
  EXPECT_EQ(h.context.store.state_names(), std::vector<std::string>{"_op_state"});
}

TEST(KeyedReduceOperatorTest, StateIsFoundAgainAfterARestore) {
  OperatorHarness<Count, Count> first(MakeSum());
  first.Open();
  std::vector<Count> input;
  input.reserve(1000);
  for (int i = 0; i < 1000; ++i) input.push_back({"key" + std::to_string(i % 300), 1});
  first.Process(input);
  const OperatorSnapshot snapshot = first.Snapshot();
  first.Process({{"key7", 100}});  // After the snapshot.

  OperatorHarness<Count, Count> second(MakeSum());
  second.context.Restore(snapshot);
  second.Open();
  second.Process({{"key7", 1}, {"new", 2}});
  EXPECT_EQ(second.out.records, (std::vector<Count>{{"key7", 5}, {"new", 2}}));
}

TEST(KeyedReduceOperatorTest, RowsHaveFlinksKeysAndValues) {
  OperatorHarness<Count, Count> h(MakeSum());
  h.Open();
  h.Process({{"a", 3}});
  const OperatorSnapshot snapshot = h.Snapshot();
  const auto& rows = snapshot.keyed.at("_op_state");
  ASSERT_EQ(rows.size(), 1u);
  // Key group 81, the string, the void namespace.
  EXPECT_EQ(rows.begin()->first, std::string("\x51\x02\x61\x00", 4));
  EXPECT_EQ(rows.begin()->second, std::string("\x02\x61\x00\x00\x00\x03", 6));
}

TEST(KeyedReduceOperatorTest, ReduceCombinesFromLeftToRight) {
  auto key = [](const std::string& s) { return static_cast<int32_t>(s.size()); };
  auto join = [](const std::string& a, const std::string& b) {
    return a.substr(0, 1) + b.substr(1);
  };
  using Update = internal::ReduceUpdate<std::string, decltype(join)>;
  using Op = KeyedReduceOperator<std::string, decltype(key), Update>;
  OperatorHarness<std::string, std::string> h(std::make_unique<Op>(key, Update{join}));
  h.Open();
  h.Process({"ab", "xyz", "cd", "uvw", "ef"});
  EXPECT_EQ(h.out.records, (std::vector<std::string>{"ab", "xyz", "ad", "xvw", "af"}));
}

TEST(KeyedReduceOperatorTest, SumsWrapAroundAsJavas) {
  int32_t sum = std::numeric_limits<int32_t>::max();
  internal::AddTo(sum, 1);
  EXPECT_EQ(sum, std::numeric_limits<int32_t>::min());
  int8_t small = 127;
  internal::AddTo(small, int8_t{2});
  EXPECT_EQ(small, -127);
}

/// Emits key=sum when event time reaches the largest timestamp + 10, and "tick key" at the
/// processing time 2,000,000.
class SumUntil : public KeyedProcessFunction<int32_t, std::pair<int32_t, int64_t>, std::string> {
 public:
  void DeclareStates(StateDeclarations& states) override { states.Value("deadline", &deadline_); }
  void Open(RuntimeContext& context) override {
    EXPECT_THROW(context.GetValueState<int32_t>("deadline"), std::invalid_argument);
    sum_ = context.GetValueState<int64_t>("sum");
    EXPECT_THROW(context.GetValueState<std::string>("sum"), std::invalid_argument);
  }
  void ProcessElement(std::pair<int32_t, int64_t>& r, Context& context,
                      Collector<std::string>&) override {
    EXPECT_EQ(context.CurrentKey(), r.first);
    sum_.Mutable() += r.second;
    const int64_t deadline = context.Timestamp() + 10;
    if (deadline <= deadline_.Value(0)) return;
    if (deadline_.Get() != nullptr) context.Timers().DeleteEventTimeTimer(*deadline_.Get());
    context.Timers().RegisterEventTimeTimer(deadline);
    context.Timers().RegisterProcessingTimeTimer(2'000'000);
    deadline_.Update(deadline);
  }
  void OnTimer(int64_t time_ms, OnTimerContext& context, Collector<std::string>& out) override {
    const std::string key = std::to_string(context.CurrentKey());
    if (context.TimeDomain() == TimeDomain::kProcessingTime) {
      out.Collect("tick " + key);
      return;
    }
    EXPECT_EQ(time_ms, deadline_.Value());
    EXPECT_GE(context.Timers().CurrentWatermark(), time_ms);
    out.Collect(key + "=" + std::to_string(sum_.Value()));
    sum_.Clear();
    deadline_.Clear();
  }
  void Finish(Collector<std::string>& out) override { out.Collect("finished"); }

 private:
  ValueState<int64_t> sum_;
  ValueState<int64_t> deadline_;
};

using First = int32_t std::pair<int32_t, int64_t>::*;
using Pair = std::pair<int32_t, int64_t>;
using SumUntilOperator = KeyedProcessOperator<Pair, First, SumUntil>;

std::unique_ptr<Operator> MakeSumUntil() {
  return std::make_unique<SumUntilOperator>(&Pair::first, SumUntil());
}

using Strings = std::vector<std::string>;

TEST(KeyedProcessOperatorTest, EventTimersFireWhenTheWatermarkReachesThem) {
  OperatorHarness<Pair, std::string> h(MakeSumUntil());
  h.Open();
  h.Process({{1, 5}, {2, 7}, {1, 6}}, {100, 200, 150});
  h.Watermark(159);
  EXPECT_EQ(h.out.Take(), Strings{});
  h.Watermark(160);
  EXPECT_EQ(h.out.Take(), Strings{"1=11"});
  EXPECT_EQ(h.out.timestamps.back(), 160);
  // The timer's records come before its watermark.
  EXPECT_EQ(h.out.order.back(), "watermark 160");
  h.EndOfInput();
  EXPECT_EQ(h.out.Take(), (Strings{"2=7", "finished"}));
}

TEST(KeyedProcessOperatorTest, ProcessingTimersFireWhenTheClockReachesThem) {
  OperatorHarness<Pair, std::string> h(MakeSumUntil());
  h.Open();
  h.Process({{1, 5}, {2, 7}}, {100, 200});
  h.context.time.AdvanceTo(1'999'999);
  h.op().output()->Flush();
  EXPECT_EQ(h.out.Take(), Strings{});
  h.context.time.AdvanceTo(2'000'001);
  h.op().output()->Flush();
  Strings ticks = h.out.Take();
  std::sort(ticks.begin(), ticks.end());
  EXPECT_EQ(ticks, (Strings{"tick 1", "tick 2"}));
}

TEST(KeyedProcessOperatorTest, TimersAndStatesAreRestored) {
  OperatorHarness<Pair, std::string> first(MakeSumUntil());
  first.Open();
  first.Process({{1, 5}, {2, 7}}, {100, 200});
  const OperatorSnapshot snapshot = first.Snapshot();

  OperatorHarness<Pair, std::string> second(MakeSumUntil());
  second.context.Restore(snapshot);
  second.Open();
  second.Process({{2, 1}}, {150});
  second.Watermark(300);
  Strings out = second.out.Take();
  EXPECT_EQ(out, (Strings{"1=5", "2=8"}));
  second.context.time.AdvanceTo(2'000'000);
  second.op().output()->Flush();
  EXPECT_EQ(second.out.Take().size(), 2u);
}

TEST(KeyedProcessOperatorTest, ManyKeysInOneBatchAreKeptApart) {
  OperatorHarness<Pair, std::string> h(MakeSumUntil());
  h.Open();
  std::vector<Pair> input;
  std::vector<int64_t> times;
  for (int i = 0; i < 10'000; ++i) {
    input.push_back({i % 1000, i});
    times.push_back(1);
  }
  h.Process(input, times);
  h.EndOfInput();
  Strings out = h.out.Take();
  ASSERT_EQ(out.size(), 1001u);
  out.pop_back();
  for (const std::string& s : out) {
    const int key = std::stoi(s);
    EXPECT_EQ(s, std::to_string(key) + "=" + std::to_string(10 * key + 45'000));
  }
}

}  // namespace
}  // namespace flink
