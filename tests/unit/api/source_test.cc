#include "flink/source.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "flink/sequence_source.h"
#include "tests/testing/source_harness.h"

namespace flink {
namespace {

using testing::SourceHarness;
using testing::SourceSnapshot;
using Longs = std::vector<int64_t>;

Longs Range(int64_t from, int64_t to) {
  Longs all;
  for (int64_t i = from; i <= to; ++i) all.push_back(i);
  return all;
}

TEST(NumberSequenceSourceTest, EveryNumberComesOnce) {
  for (const int subtasks : {1, 2, 3, 7}) {
    SourceHarness<NumberSequenceSource> h(NumberSequenceSource(-5, 5000), subtasks);
    h.Start();
    h.RunToEnd();
    EXPECT_EQ(h.SortedRecords(), Range(-5, 5000)) << subtasks;
  }
}

TEST(NumberSequenceSourceTest, SplitsCoverTheWholeRangeOfLongs) {
  const auto splits =
      NumberSequenceSource(std::numeric_limits<int64_t>::min(), std::numeric_limits<int64_t>::max())
          .MakeSplits(3);
  ASSERT_EQ(splits.size(), 3u);
  EXPECT_EQ(splits.front().next, std::numeric_limits<int64_t>::min());
  EXPECT_EQ(splits.back().last, std::numeric_limits<int64_t>::max());
  for (size_t i = 1; i < 3; ++i) EXPECT_EQ(splits[i].next, splits[i - 1].last + 1);
  EXPECT_EQ(NumberSequenceSource(1, 2).MakeSplits(5).size(), 2u);
  EXPECT_TRUE(NumberSequenceSource(2, 1).MakeSplits(5).empty());
  EXPECT_EQ(NumberSequenceSource(1, 10).MakeSplits(4)[0].last, 3);
  EXPECT_EQ(NumberSequenceSource(1, 10).MakeSplits(4)[3].last, 10);
}

TEST(NumberSequenceSourceTest, TheLargestLongEndsTheSequence) {
  const int64_t max = std::numeric_limits<int64_t>::max();
  SourceHarness<NumberSequenceSource> h(NumberSequenceSource(max - 3, max), 1);
  h.Start();
  h.RunToEnd();
  EXPECT_EQ(h.SortedRecords(), (Longs{max - 3, max - 2, max - 1, max}));
}

TEST(NumberSequenceSourceTest, SnapshotsHaveFlinksForm) {
  SourceHarness<NumberSequenceSource> h(NumberSequenceSource(1, 10), 1);
  h.Start();
  SourceSnapshot before = h.Snapshot();
  // Framing, one split: id "1", 1 to 10.
  EXPECT_EQ(before.coordinator, std::string("\0\0\0\1\0\0\0\1\0\0\0\x17\0\0\0\1\0\1"
                                            "1\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\x0a",
                                            35));
  h.RunToEnd();
  SourceSnapshot after = h.Snapshot();
  EXPECT_EQ(after.coordinator, std::string("\0\0\0\1\0\0\0\1\0\0\0\4\0\0\0\0", 16));
  EXPECT_TRUE(after.splits.empty());
}

TEST(SplitSourceTest, ARestoreAtAnyPointAndParallelismRepeatsAndLosesNothing) {
  std::mt19937 random(11);
  for (int round = 0; round < 40; ++round) {
    const NumberSequenceSource source(1, 20'000);
    SourceHarness<NumberSequenceSource> first(source, 1 + static_cast<int>(random() % 4));
    first.Start();
    first.RunSteps(random() % 40, random);
    const SourceSnapshot snapshot = first.Snapshot();
    Longs all = first.SortedRecords();

    SourceHarness<NumberSequenceSource> second(source, 1 + static_cast<int>(random() % 4));
    second.Restore(snapshot);
    second.RunToEnd();
    const Longs rest = second.SortedRecords();
    all.insert(all.end(), rest.begin(), rest.end());
    std::sort(all.begin(), all.end());
    ASSERT_EQ(all, Range(1, 20'000)) << "round " << round;
  }
}

TEST(SplitSourceTest, ARateIsKeptWithoutBlocking) {
  SourceHarness<NumberSequenceSource> h(
      NumberSequenceSource(1, 1'000'000, {.records_per_second = 1000}), 1);
  h.Start();
  h.Step(0);  // Asks for a split.
  auto& time = h.context(0).time;
  const int64_t start = time.NowMs();
  while (time.NowMs() < start + 10'000) {
    while (h.Step(0) == SourceStatus::kMore) {
    }
    ASSERT_TRUE(time.NextMs().has_value());
    ASSERT_GT(*time.NextMs(), time.NowMs());
    time.AdvanceTo(*time.NextMs());
  }
  EXPECT_NEAR(static_cast<double>(h.SortedRecords().size()), 10'000, 30);
}

TEST(SplitSourceTest, ASlowRateStillMoves) {
  SourceHarness<NumberSequenceSource> h(NumberSequenceSource(1, 100, {.records_per_second = 0.5}),
                                        1);
  h.Start();
  h.Step(0);  // Asks for a split.
  auto& time = h.context(0).time;
  const int64_t start = time.NowMs();
  while (time.NowMs() < start + 20'000) {
    while (h.Step(0) == SourceStatus::kMore) {
    }
    time.AdvanceTo(*time.NextMs());
  }
  EXPECT_NEAR(static_cast<double>(h.SortedRecords().size()), 10, 1);
}

TEST(ElementsSourceTest, ElementsComeInOrder) {
  SourceHarness<ElementsSource<std::string>> h(ElementsSource<std::string>({"b", "a"}), 1);
  h.Start();
  h.RunToEnd();
  EXPECT_EQ(h.out(0).records, (std::vector<std::string>{"b", "a"}));
}

TEST(SplitSourceTest, AnUnknownSnapshotVersionIsRefused) {
  SplitSourceCoordinator<NumberSequenceSource> coordinator(NumberSequenceSource(1, 2));
  testing::RecordingCoordinatorContext context;
  EXPECT_THROW(
      coordinator.Start(context, true, std::string("\0\0\0\2\0\0\0\1\0\0\0\4\0\0\0\0", 16)),
      DecodeError);
}

}  // namespace
}  // namespace flink
