#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "flink/functions.h"
#include "flink/operators/stateless_operators.h"
#include "flink/operators/watermark_operator.h"
#include "flink/sink.h"
#include "tests/testing/operator_harness.h"

namespace flink {
namespace {

using testing::OperatorHarness;
using Longs = std::vector<int64_t>;

template <class Op, class F>
std::unique_ptr<Operator> Make(F f) {
  return std::make_unique<Op>(std::move(f));
}

TEST(MapOperatorTest, RecordsAreReplacedAndKeepTheirTimestamps) {
  auto f = [](int64_t v) { return std::to_string(v); };
  OperatorHarness<int64_t, std::string> h(Make<MapOperator<int64_t, std::string, decltype(f)>>(f));
  h.Open();
  h.Process({1, 2}, {10, 20});
  h.Process({3});
  EXPECT_EQ(h.out.records, (std::vector<std::string>{"1", "2", "3"}));
  EXPECT_EQ(h.out.timestamps, (Longs{10, 20, kNoTimestamp}));
}

TEST(MapOperatorTest, WatermarksAndTheEndArePassedOnInOrder) {
  auto f = [](int64_t v) { return v + 1; };
  OperatorHarness<int64_t, int64_t> h(Make<MapOperator<int64_t, int64_t, decltype(f)>>(f));
  h.Process({1, 2});
  h.Watermark(5);
  h.Process({3});
  h.EndOfInput();
  EXPECT_EQ(h.out.records, (Longs{2, 3, 4}));
  EXPECT_EQ(h.out.order, (std::vector<std::string>{"2 records", "watermark 5", "1 records",
                                                   "watermark 9223372036854775807", "end"}));
}

TEST(FilterOperatorTest, OnlyMatchingRecordsAndTheirTimestampsStay) {
  auto odd = [](const int64_t& v) { return v % 2 != 0; };
  OperatorHarness<int64_t, int64_t> h(Make<FilterOperator<int64_t, decltype(odd)>>(odd));
  h.Process({1, 2, 3, 4}, {10, 20, 30, 40});
  h.Process({5, 6});
  h.Process({8});
  EXPECT_EQ(h.out.records, (Longs{1, 3, 5}));
  EXPECT_EQ(h.out.timestamps, (Longs{10, 30, kNoTimestamp}));

  auto not_empty = [](const std::string& s) { return !s.empty(); };
  OperatorHarness<std::string, std::string> s(
      Make<FilterOperator<std::string, decltype(not_empty)>>(not_empty));
  s.Process({"", "a", "", "b"});
  EXPECT_EQ(s.out.records, (std::vector<std::string>{"a", "b"}));
}

TEST(FlatMapOperatorTest, EveryCollectedRecordHasTheTimestampOfItsInput) {
  auto f = [](int64_t n, Collector<int64_t>& out) {
    for (int64_t i = 0; i < n; ++i) out.Collect(i);
  };
  OperatorHarness<int64_t, int64_t> h(Make<FlatMapOperator<int64_t, int64_t, decltype(f)>>(f));
  h.Process({2, 0, 1}, {7, 8, 9});
  EXPECT_EQ(h.out.records, (Longs{0, 1, 0}));
  EXPECT_EQ(h.out.timestamps, (Longs{7, 7, 9}));
  h.Process({3000});
  EXPECT_EQ(h.out.records.size(), 3003u);
}

class CountAll : public ProcessFunction<std::string, int64_t> {
 public:
  void Open(RuntimeContext& context) override { base_ = 100 * context.SubtaskIndex(); }
  void ProcessElement(std::string& record, Context& context, Collector<int64_t>& out) override {
    ++count_;
    if (record == "time") out.Collect(context.Timestamp());
  }
  void Finish(Collector<int64_t>& out) override { out.Collect(base_ + count_); }

 private:
  int64_t base_ = 0;
  int64_t count_ = 0;
};

TEST(ProcessOperatorTest, FinishMayEmitBeforeTheEnd) {
  OperatorHarness<std::string, int64_t> h(std::make_unique<ProcessOperator<CountAll>>(CountAll()));
  h.context.subtask = 2;
  h.Open();
  h.Process({"a", "time"}, {1, 77});
  h.EndOfInput();
  EXPECT_EQ(h.out.records, (Longs{77, 202}));
  EXPECT_EQ(h.out.order.back(), "end");
}

auto WithTimes(std::chrono::milliseconds bound) {
  return WatermarkStrategy::ForBoundedOutOfOrderness(bound).WithTimestampAssigner(
      [](const int64_t& v) { return v; });
}

TEST(WatermarkOperatorTest, TheWatermarkStaysBehindTheLargestTimestamp) {
  const auto strategy = WithTimes(std::chrono::milliseconds(10));
  using Op = WatermarkOperator<int64_t, std::decay_t<decltype(strategy.assigner())>>;
  OperatorHarness<int64_t, int64_t> h(std::make_unique<Op>(strategy));
  h.Open();
  h.Process({100, 50});
  h.Process({90});
  h.Watermark(1000);  // From upstream: means nothing here.
  h.Process({120});
  h.EndOfInput();
  EXPECT_EQ(h.out.timestamps, (Longs{100, 50, 90, 120}));
  EXPECT_EQ(h.out.watermarks, (Longs{89, 109, kMaxWatermark}));
}

TEST(WatermarkOperatorTest, PerRecordWatermarksStandRightBehindTheirRecord) {
  const auto strategy = WithTimes(std::chrono::milliseconds(0)).PerRecord();
  using Op = WatermarkOperator<int64_t, std::decay_t<decltype(strategy.assigner())>>;
  OperatorHarness<int64_t, int64_t> h(std::make_unique<Op>(strategy));
  h.Open();
  h.Process({5, 3, 7});
  EXPECT_EQ(h.out.order,
            (std::vector<std::string>{"1 records", "watermark 4", "2 records", "watermark 6"}));
}

TEST(WatermarkOperatorTest, AStreamWithoutRecordsBecomesIdleAndActiveAgain) {
  const auto strategy =
      WithTimes(std::chrono::milliseconds(0)).WithIdleness(std::chrono::seconds(1));
  using Op = WatermarkOperator<int64_t, std::decay_t<decltype(strategy.assigner())>>;
  OperatorHarness<int64_t, int64_t> h(std::make_unique<Op>(strategy));
  h.Open();
  const int64_t start = h.context.time.NowMs();
  h.Process({1});
  h.context.time.AdvanceTo(start + 1000);
  EXPECT_TRUE(h.out.idle.empty());
  h.context.time.AdvanceTo(start + 2000);
  EXPECT_EQ(h.out.idle, (std::vector<bool>{true}));
  h.Process({2});
  EXPECT_EQ(h.out.idle, (std::vector<bool>{true, false}));
}

TEST(ToTextTest, ValuesArePrintedAsFlinkPrintsThem) {
  std::string text;
  internal::AppendText(text, std::tuple<std::string, int32_t, bool>{"the", 3, true});
  internal::AppendText(text, std::vector<int64_t>{1, 2});
  internal::AppendText(text, std::map<std::string, int32_t>{{"a", 1}});
  EXPECT_EQ(text, "(the,3,true)[1, 2]{a=1}");
}

}  // namespace
}  // namespace flink
