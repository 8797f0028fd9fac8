#include "jobmanager/checkpoint/checkpoint_statistics.h"

#include "tests/unit/jobmanager/checkpoint/coordinator_harness.h"

namespace flink::jobmanager {
namespace {

using H = CoordinatorHarness;

// flink-surface §4.3 no. 57
TEST(CheckpointStatisticsTest, CountsAndLatestIncludeSavepoints) {
  CheckpointCoordinatorOptions options;
  options.tolerable_failures = 5;
  H h(options);
  h.Run();
  h.Manual(1);
  h.Finish(1);
  h.Savepoint(2);
  h.Finish(2);
  h.Manual(3);
  h.Trigger(3);
  h.Decline(3);
  h.Manual(4);
  const CheckpointStatistics& s = h.coordinator.statistics();
  EXPECT_EQ(s.counts().total, 4);
  EXPECT_EQ(s.counts().completed, 2);
  EXPECT_EQ(s.counts().failed, 1);
  EXPECT_EQ(s.counts().in_progress, 1);
  EXPECT_EQ(s.latest_completed()->id, 1);
  EXPECT_EQ(s.latest_savepoint()->id, 2);
  EXPECT_EQ(s.latest_failed()->id, 3);
  EXPECT_EQ(s.latest_failed()->failure_message,
            "disk full. Failure reason: Checkpoint was declined.");
  ASSERT_EQ(s.History().size(), 4u);
  EXPECT_EQ(s.History().front()->id, 4);
  EXPECT_EQ(s.History().back()->id, 1);
}

TEST(CheckpointStatisticsTest, ADirectoryThatCannotBeCreatedCountsAsAFailedAttempt) {
  H h;
  h.Run();
  h.Savepoint(1);
  h.Send(checkpoint::LocationFailed{1, "x"});
  EXPECT_EQ(h.coordinator.statistics().counts().failed, 1);
  EXPECT_EQ(h.coordinator.statistics().latest_failed()->id, 1);
}

TEST(CheckpointStatisticsTest, SizesAddUpPerVertexAndAttempt) {
  H h;
  h.Run();
  h.Manual(1);
  h.Trigger(1);
  h.now += 25;
  h.Ack(1, {H::Sink(), 0});
  const CheckpointStats* stats = h.coordinator.statistics().Find(1);
  ASSERT_NE(stats, nullptr);
  EXPECT_EQ(stats->num_subtasks, 4);
  EXPECT_EQ(stats->num_acknowledged_subtasks, 1);
  EXPECT_EQ(stats->end_to_end_duration_ms(), 25);
  EXPECT_EQ(stats->vertices.at(H::Sink()).num_acknowledged, 1);
  EXPECT_EQ(stats->vertices.at(H::Sink()).state_size, 10);
  EXPECT_TRUE(stats->vertices.at(H::Sink()).subtasks[0].acknowledged);
  EXPECT_FALSE(stats->vertices.at(H::Sink()).subtasks[1].acknowledged);
  h.AckAll(1);
  h.Persist(1);
  EXPECT_EQ(h.coordinator.statistics().Find(1)->state_size, 40);
  EXPECT_EQ(h.coordinator.statistics().Find(1)->checkpointed_size, 16);
  EXPECT_EQ(h.coordinator.statistics().Find(1)->external_path, "file:/dir-1");
}

TEST(CheckpointStatisticsTest, TheHistoryIsBoundedAndTheLatestOutliveIt) {
  CheckpointCoordinatorOptions options;
  options.history_size = 2;
  H h(options);
  h.Run();
  h.Savepoint(1);
  h.Finish(1);
  for (CheckpointId id = 2; id <= 5; ++id) {
    h.Manual(static_cast<RequestId>(id));
    h.Finish(id);
  }
  const CheckpointStatistics& s = h.coordinator.statistics();
  EXPECT_EQ(s.History().size(), 2u);
  EXPECT_NE(s.Find(1), nullptr);
  EXPECT_EQ(s.Find(2), nullptr);
  EXPECT_TRUE(s.Find(4)->discarded);
  EXPECT_FALSE(s.Find(5)->discarded);
}

TEST(CheckpointStatisticsTest, TheSummaryKnowsPercentiles) {
  StatsSummary summary;
  EXPECT_FALSE(summary.Percentile(0.5));
  EXPECT_EQ(summary.avg(), 0);
  for (int i = 1; i <= 99; ++i) summary.Add(i);
  EXPECT_EQ(summary.min(), 1);
  EXPECT_EQ(summary.max(), 99);
  EXPECT_EQ(summary.avg(), 50);
  EXPECT_DOUBLE_EQ(*summary.Percentile(0.5), 50);
  EXPECT_DOUBLE_EQ(*summary.Percentile(0.999), 99);
}

TEST(CheckpointStatisticsTest, TypesAreSpelledAsInTheRestApi) {
  EXPECT_STREQ(CheckpointTypeName(SnapshotKind::kCheckpoint, false), "CHECKPOINT");
  EXPECT_STREQ(CheckpointTypeName(SnapshotKind::kFinalCheckpoint, true), "UNALIGNED_CHECKPOINT");
  EXPECT_STREQ(CheckpointTypeName(SnapshotKind::kCancelSavepoint, false), "SAVEPOINT");
  EXPECT_STREQ(CheckpointTypeName(SnapshotKind::kStopDrain, false), "SYNC_SAVEPOINT");
}

}  // namespace
}  // namespace flink::jobmanager
