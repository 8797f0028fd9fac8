#include "taskmanager/task/barrier_aligner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace flink::taskmanager {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::shared_ptr<const CheckpointBarrier> Barrier(int64_t id) {
  auto barrier = std::make_shared<CheckpointBarrier>();
  barrier->checkpoint_id = id;
  return barrier;
}
const BarrierAligner::Time kStart{};

TEST(BarrierAlignerTest, EachChannelIsBlockedUntilTheLastBarrierCame) {
  BarrierAligner aligner(3, true);
  EXPECT_TRUE(aligner.OnBarrier(0, Barrier(1), kStart).block_channel);
  EXPECT_TRUE(aligner.OnBarrier(2, Barrier(1), kStart).block_channel);
  const auto answer = aligner.OnBarrier(1, Barrier(1), kStart + std::chrono::milliseconds(30));
  ASSERT_NE(nullptr, answer.complete);
  EXPECT_TRUE(answer.release_all);
  EXPECT_FALSE(answer.block_channel);
  EXPECT_EQ(30, answer.alignment.count());
}

TEST(BarrierAlignerTest, ATaskWithOneChannelNeverWaits) {
  BarrierAligner aligner(1, true);
  EXPECT_NE(nullptr, aligner.OnBarrier(0, Barrier(1), kStart).complete);
  EXPECT_NE(nullptr, aligner.OnBarrier(0, Barrier(2), kStart).complete);
}

TEST(BarrierAlignerTest, AtLeastOnceBlocksNothingAndKeepsSeveralApart) {
  BarrierAligner aligner(2, false);
  EXPECT_FALSE(aligner.OnBarrier(0, Barrier(1), kStart).block_channel);
  EXPECT_FALSE(aligner.OnBarrier(0, Barrier(2), kStart).block_channel);
  EXPECT_EQ(1, aligner.OnBarrier(1, Barrier(1), kStart).complete->checkpoint_id);
  EXPECT_EQ(2, aligner.OnBarrier(1, Barrier(2), kStart).complete->checkpoint_id);
}

TEST(BarrierAlignerTest, ANewerBarrierEndsAnOlderAlignment) {
  BarrierAligner aligner(2, true);
  aligner.OnBarrier(0, Barrier(1), kStart);
  const auto answer = aligner.OnBarrier(1, Barrier(2), kStart);
  EXPECT_TRUE(answer.release_all);
  EXPECT_TRUE(answer.block_channel);
  EXPECT_THAT(answer.subsumed, ElementsAre(1));
  EXPECT_EQ(nullptr, answer.complete);
  EXPECT_EQ(2, aligner.OnBarrier(0, Barrier(2), kStart).complete->checkpoint_id);
}

TEST(BarrierAlignerTest, LateBarriersOfASubsumedCheckpointDoNothing) {
  BarrierAligner aligner(2, true);
  aligner.OnBarrier(0, Barrier(1), kStart);
  aligner.OnBarrier(0, Barrier(2), kStart);
  const auto answer = aligner.OnBarrier(1, Barrier(1), kStart);
  EXPECT_FALSE(answer.block_channel);
  EXPECT_EQ(nullptr, answer.complete);
  EXPECT_NE(nullptr, aligner.OnBarrier(1, Barrier(2), kStart).complete);
}

TEST(BarrierAlignerTest, AbortReleasesTheAlignmentAndIgnoresLateBarriers) {
  BarrierAligner aligner(2, true);
  aligner.OnBarrier(0, Barrier(3), kStart);
  EXPECT_TRUE(aligner.Abort(3));
  EXPECT_FALSE(aligner.Abort(3));
  EXPECT_FALSE(aligner.OnBarrier(1, Barrier(3), kStart).block_channel);
  aligner.OnBarrier(0, Barrier(4), kStart);
  const auto answer = aligner.OnBarrier(1, Barrier(4), kStart);
  ASSERT_NE(nullptr, answer.complete);
  EXPECT_THAT(answer.subsumed, IsEmpty());
}

TEST(BarrierAlignerTest, AnAbortBeforeAnyBarrierCountsToo) {
  BarrierAligner aligner(2, true);
  EXPECT_FALSE(aligner.Abort(1));
  EXPECT_FALSE(aligner.OnBarrier(0, Barrier(1), kStart).block_channel);
}

}  // namespace
}  // namespace flink::taskmanager
