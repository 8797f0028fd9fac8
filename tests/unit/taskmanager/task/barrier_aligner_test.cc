#include "taskmanager/task/barrier_aligner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace flink::taskmanager {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using Closed = BarrierAligner::Closed;

std::shared_ptr<const CheckpointBarrier> Barrier(int64_t id) {
  auto barrier = std::make_shared<CheckpointBarrier>();
  barrier->checkpoint_id = id;
  return barrier;
}
std::shared_ptr<const CheckpointBarrier> Timed(int64_t id, int64_t timeout_ms) {
  auto barrier = std::make_shared<CheckpointBarrier>();
  barrier->checkpoint_id = id;
  barrier->aligned_timeout_ms = timeout_ms;
  return barrier;
}
const BarrierAligner::Time kStart{};

TEST(BarrierAlignerTest, EachChannelIsBlockedUntilTheLastBarrierCame) {
  BarrierAligner aligner(3, true);
  EXPECT_TRUE(aligner.OnBarrier(0, Barrier(1), false, kStart).block_channel);
  EXPECT_TRUE(aligner.OnBarrier(2, Barrier(1), false, kStart).block_channel);
  const auto answer =
      aligner.OnBarrier(1, Barrier(1), false, kStart + std::chrono::milliseconds(30));
  ASSERT_NE(nullptr, answer.complete);
  EXPECT_TRUE(answer.release_all);
  EXPECT_FALSE(answer.block_channel);
  EXPECT_EQ(30, answer.alignment.count());
}

TEST(BarrierAlignerTest, ATaskWithOneChannelNeverWaits) {
  BarrierAligner aligner(1, true);
  EXPECT_NE(nullptr, aligner.OnBarrier(0, Barrier(1), false, kStart).complete);
  EXPECT_NE(nullptr, aligner.OnBarrier(0, Barrier(2), false, kStart).complete);
}

TEST(BarrierAlignerTest, AtLeastOnceBlocksNothingAndKeepsSeveralApart) {
  BarrierAligner aligner(2, false);
  EXPECT_FALSE(aligner.OnBarrier(0, Barrier(1), false, kStart).block_channel);
  EXPECT_FALSE(aligner.OnBarrier(0, Barrier(2), false, kStart).block_channel);
  EXPECT_EQ(1, aligner.OnBarrier(1, Barrier(1), false, kStart).complete->checkpoint_id);
  EXPECT_EQ(2, aligner.OnBarrier(1, Barrier(2), false, kStart).complete->checkpoint_id);
}

TEST(BarrierAlignerTest, ANewerBarrierEndsAnOlderAlignment) {
  BarrierAligner aligner(2, true);
  aligner.OnBarrier(0, Barrier(1), false, kStart);
  const auto answer = aligner.OnBarrier(1, Barrier(2), false, kStart);
  EXPECT_TRUE(answer.release_all);
  EXPECT_TRUE(answer.block_channel);
  EXPECT_THAT(answer.subsumed, ElementsAre(1));
  EXPECT_EQ(nullptr, answer.complete);
  EXPECT_EQ(2, aligner.OnBarrier(0, Barrier(2), false, kStart).complete->checkpoint_id);
}

TEST(BarrierAlignerTest, LateBarriersOfASubsumedCheckpointDoNothing) {
  BarrierAligner aligner(2, true);
  aligner.OnBarrier(0, Barrier(1), false, kStart);
  aligner.OnBarrier(0, Barrier(2), false, kStart);
  const auto answer = aligner.OnBarrier(1, Barrier(1), false, kStart);
  EXPECT_FALSE(answer.block_channel);
  EXPECT_EQ(nullptr, answer.complete);
  EXPECT_NE(nullptr, aligner.OnBarrier(1, Barrier(2), false, kStart).complete);
}

TEST(BarrierAlignerTest, AbortReleasesTheAlignmentAndIgnoresLateBarriers) {
  BarrierAligner aligner(2, true);
  aligner.OnBarrier(0, Barrier(3), false, kStart);
  EXPECT_TRUE(aligner.Abort(3));
  EXPECT_FALSE(aligner.Abort(3));
  EXPECT_FALSE(aligner.OnBarrier(1, Barrier(3), false, kStart).block_channel);
  aligner.OnBarrier(0, Barrier(4), false, kStart);
  const auto answer = aligner.OnBarrier(1, Barrier(4), false, kStart);
  ASSERT_NE(nullptr, answer.complete);
  EXPECT_THAT(answer.subsumed, IsEmpty());
}

TEST(BarrierAlignerTest, AnAbortBeforeAnyBarrierCountsToo) {
  BarrierAligner aligner(2, true);
  EXPECT_FALSE(aligner.Abort(1));
  EXPECT_FALSE(aligner.OnBarrier(0, Barrier(1), false, kStart).block_channel);
}

// flink-surface §4.6 no. 83: a timeout of 0 starts unaligned.
TEST(BarrierAlignerTest, AnOverdueBarrierOvertakesAtItsAnnouncement) {
  BarrierAligner aligner(3, true);
  const auto start = aligner.OnAnnounced(1, Timed(1, 0), true, kStart);
  ASSERT_NE(nullptr, start.overtake);
  EXPECT_EQ(nullptr, start.complete);
  EXPECT_THAT(start.closed, ElementsAre(Closed{1, true}));
  EXPECT_FALSE(start.drained);
  const auto second = aligner.OnAnnounced(0, Timed(1, 0), true, kStart);
  EXPECT_EQ(nullptr, second.overtake) << "the snapshot is taken once";
  EXPECT_THAT(second.closed, ElementsAre(Closed{0, true}));
  // The last one came out of its channel before anybody looked at the announcement.
  const auto last = aligner.OnBarrier(2, Timed(1, 0), true, kStart + std::chrono::milliseconds(7));
  EXPECT_THAT(last.closed, ElementsAre(Closed{2, false}));
  EXPECT_FALSE(last.block_channel);
  EXPECT_EQ(1, last.drained);
  EXPECT_EQ(7, last.alignment.count());
  EXPECT_THAT(aligner.OnAnnounced(2, Timed(1, 0), true, kStart).closed, IsEmpty());
}

TEST(BarrierAlignerTest, ABarrierThatComesOutAfterItsAnnouncementClosesNothingTwice) {
  BarrierAligner aligner(2, true);
  aligner.OnAnnounced(0, Timed(1, 0), true, kStart);
  EXPECT_THAT(aligner.OnBarrier(0, Timed(1, 0), true, kStart).closed, IsEmpty());
  EXPECT_EQ(1, aligner.OnAnnounced(1, Timed(1, 0), true, kStart).drained);
  EXPECT_FALSE(aligner.OnBarrier(1, Timed(1, 0), true, kStart).block_channel);
}

// flink-surface §4.6 no. 83: a timeout above 0 starts aligned and switches when it is late.
TEST(BarrierAlignerTest, ABarrierWithTimeLeftAlignsAndSwitchesWhenTheTimeIsUp) {
  BarrierAligner aligner(3, true);
  const auto announced = aligner.OnAnnounced(0, Timed(1, 100), false, kStart);
  ASSERT_NE(nullptr, announced.start_timer);
  EXPECT_EQ(nullptr, announced.overtake);
  EXPECT_EQ(nullptr, aligner.OnAnnounced(1, Timed(1, 100), false, kStart).start_timer);
  EXPECT_TRUE(aligner.OnBarrier(0, Timed(1, 100), false, kStart).block_channel);
  const auto switched = aligner.OnTimeout(1, kStart);
  ASSERT_NE(nullptr, switched.overtake);
  EXPECT_TRUE(switched.release_all);
  // Nothing behind the barrier of channel 0 belongs to the snapshot, nor does anything ahead of it.
  EXPECT_THAT(switched.closed, ElementsAre(Closed{0, false}, Closed{1, true}));
  EXPECT_EQ(1, aligner.OnAnnounced(2, Timed(1, 100), true, kStart).drained);
}

TEST(BarrierAlignerTest, ABarrierThatAlignsInTimeHasNothingInFlight) {
  BarrierAligner aligner(2, true);
  aligner.OnAnnounced(0, Timed(1, 100), false, kStart);
  aligner.OnAnnounced(1, Timed(1, 100), false, kStart);
  aligner.OnBarrier(0, Timed(1, 100), false, kStart);
  EXPECT_NE(nullptr, aligner.OnBarrier(1, Timed(1, 100), false, kStart).complete);
  EXPECT_EQ(nullptr, aligner.OnTimeout(1, kStart).overtake);
}

TEST(BarrierAlignerTest, ANewerBarrierEndsACheckpointWhoseChannelsAreStillOpen) {
  BarrierAligner aligner(2, true);
  aligner.OnAnnounced(0, Timed(1, 0), true, kStart);
  const auto newer = aligner.OnAnnounced(0, Timed(2, 0), true, kStart);
  EXPECT_THAT(newer.subsumed, ElementsAre(1));
  ASSERT_NE(nullptr, newer.overtake);
  EXPECT_THAT(aligner.OnAnnounced(1, Timed(1, 0), true, kStart).closed, IsEmpty());
  EXPECT_EQ(2, aligner.OnAnnounced(1, Timed(2, 0), true, kStart).drained);
}

TEST(BarrierAlignerTest, AnAbortedCheckpointDoesNotOvertakeAnyMore) {
  BarrierAligner aligner(2, true);
  aligner.OnAnnounced(0, Timed(1, 100), false, kStart);
  aligner.Abort(1);
  EXPECT_EQ(nullptr, aligner.OnTimeout(1, kStart).overtake);
  EXPECT_EQ(nullptr, aligner.OnAnnounced(1, Timed(1, 0), true, kStart).overtake);
}

TEST(BarrierAlignerTest, NobodyWaitsForABarrierOfAnEndedChannel) {
  BarrierAligner aligner(3, true);
  EXPECT_TRUE(aligner.OnEndOfChannel(0, kStart).empty());
  EXPECT_TRUE(aligner.OnBarrier(1, Barrier(1), false, kStart).block_channel);
  EXPECT_NE(nullptr, aligner.OnBarrier(2, Barrier(1), false, kStart).complete);
}

TEST(BarrierAlignerTest, TheEndOfTheLastChannelCompletesWhatWaitsForIt) {
  BarrierAligner exactly_once(2, true);
  exactly_once.OnBarrier(0, Barrier(1), false, kStart);
  const auto answers = exactly_once.OnEndOfChannel(1, kStart);
  ASSERT_EQ(1u, answers.size());
  ASSERT_NE(nullptr, answers[0].complete);
  EXPECT_TRUE(answers[0].release_all);

  BarrierAligner at_least_once(2, false);
  at_least_once.OnBarrier(0, Barrier(1), false, kStart);
  at_least_once.OnBarrier(0, Barrier(2), false, kStart);
  const auto both = at_least_once.OnEndOfChannel(1, kStart);
  ASSERT_EQ(2u, both.size());
  EXPECT_EQ(1, both[0].complete->checkpoint_id);
  EXPECT_EQ(2, both[1].complete->checkpoint_id);
}

TEST(BarrierAlignerTest, AnEndedChannelIsClosedForABarrierThatOvertakes) {
  BarrierAligner aligner(3, true);
  aligner.OnEndOfChannel(0, kStart);
  EXPECT_FALSE(aligner.OnAnnounced(1, Timed(1, 0), true, kStart).drained);
  const auto answers = aligner.OnEndOfChannel(2, kStart);
  ASSERT_EQ(1u, answers.size());
  EXPECT_THAT(answers[0].closed, ElementsAre(Closed{2, false}));
  EXPECT_EQ(1, answers[0].drained);
}

TEST(BarrierAlignerTest, AnEndInTheQueueClosesItsChannelForABarrierThatOvertakes) {
  BarrierAligner aligner(3, true);
  EXPECT_TRUE(aligner.OnEndAnnounced(0, kStart).empty());
  const auto start = aligner.OnAnnounced(1, Timed(1, 0), true, kStart);
  ASSERT_NE(nullptr, start.overtake);
  EXPECT_THAT(start.closed, ElementsAre(Closed{0, true}, Closed{1, true}));
  EXPECT_FALSE(start.drained);
  const auto answers = aligner.OnEndAnnounced(2, kStart);
  ASSERT_EQ(1u, answers.size());
  EXPECT_THAT(answers[0].closed, ElementsAre(Closed{2, true}));
  EXPECT_EQ(1, answers[0].drained);
  EXPECT_TRUE(aligner.OnEndOfChannel(2, kStart).empty());
}

TEST(BarrierAlignerTest, AnAlignedBarrierWaitsUntilTheEndComesOut) {
  BarrierAligner aligner(2, true);
  aligner.OnEndAnnounced(0, kStart);
  EXPECT_TRUE(aligner.OnBarrier(1, Barrier(1), false, kStart).block_channel);
  const auto answers = aligner.OnEndOfChannel(0, kStart);
  ASSERT_EQ(1u, answers.size());
  EXPECT_NE(nullptr, answers[0].complete);
}

TEST(BarrierAlignerTest, ATriggeredCheckpointIsTakenBehindTheEndsOfAllChannels) {
  BarrierAligner aligner(2, true);
  aligner.OnEndOfChannel(0, kStart);
  aligner.OnEndAnnounced(1, kStart);
  const auto triggered = aligner.OnTrigger(Barrier(1), false, kStart);
  EXPECT_EQ(nullptr, triggered.complete);
  EXPECT_EQ(nullptr, triggered.overtake);
  EXPECT_EQ(nullptr, triggered.start_timer);
  const auto answers = aligner.OnEndOfChannel(1, kStart);
  ASSERT_EQ(1u, answers.size());
  EXPECT_NE(nullptr, answers[0].complete);
  EXPECT_NE(nullptr, aligner.OnTrigger(Barrier(2), false, kStart).complete);
}

TEST(BarrierAlignerTest, ATriggeredCheckpointThatMayOvertakeTakesWhatIsQueuedAheadOfTheEnds) {
  BarrierAligner aligner(3, true);
  aligner.OnEndOfChannel(0, kStart);
  aligner.OnEndAnnounced(1, kStart);
  EXPECT_NE(nullptr, aligner.OnTrigger(Timed(1, 100), false, kStart).start_timer);
  const auto overtake = aligner.OnTimeout(1, kStart);
  ASSERT_NE(nullptr, overtake.overtake);
  EXPECT_THAT(overtake.closed, ElementsAre(Closed{0, true}, Closed{1, true}));
  EXPECT_FALSE(overtake.drained) << "what the last producer sent is on its way";
  EXPECT_EQ(1, aligner.OnEndAnnounced(2, kStart).at(0).drained);
  EXPECT_EQ(2, aligner.OnTrigger(Timed(2, 0), true, kStart).drained);
}

TEST(BarrierAlignerTest, AnAbortedTriggerIsNotTakenAtTheEnd) {
  BarrierAligner aligner(1, true);
  aligner.OnTrigger(Barrier(1), false, kStart);
  aligner.Abort(1);
  EXPECT_TRUE(aligner.OnEndOfChannel(0, kStart).empty());
  EXPECT_EQ(nullptr, aligner.OnTrigger(Barrier(1), false, kStart).complete);
}

}  // namespace
}  // namespace flink::taskmanager
