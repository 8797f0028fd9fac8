// Periodic savepoints (FLIP-10): their schedule, their queue, and what they leave alone.

#include <gmock/gmock.h>

#include "tests/unit/jobmanager/checkpoint/coordinator_harness.h"

namespace flink::jobmanager {
namespace {

using H = CoordinatorHarness;

CheckpointCoordinatorOptions Every(int64_t interval_ms, int retained = 1) {
  CheckpointCoordinatorOptions options;
  options.periodic_savepoint_interval_ms = interval_ms;
  options.periodic_savepoint_directory = "/periodic";
  options.num_retained_periodic_savepoints = retained;
  return options;
}

CheckpointCoordinatorOptions WithCheckpoints(CheckpointCoordinatorOptions options,
                                             int64_t interval_ms) {
  options.interval_ms = interval_ms;
  return options;
}

std::vector<CheckpointId> RetainedSavepoints(const H& h) {
  std::vector<CheckpointId> ids;
  for (const PeriodicSavepoint& s : h.coordinator.periodic_savepoints()) ids.push_back(s.id);
  return ids;
}

using Ids = std::vector<CheckpointId>;

TEST(PeriodicSavepointsTest, TheFirstIsDueOneIntervalAfterTheJobRuns) {
  H h(Every(1000));
  EXPECT_FALSE(h.coordinator.NextWakeup());
  h.Run();
  EXPECT_EQ(h.coordinator.NextWakeup(), H::kStart + 1000);
  h.Advance(999);
  EXPECT_EQ(h.Started(), 0);
  h.Advance(1);
  ASSERT_EQ(h.Started(), 1);
  EXPECT_EQ(h.Get<checkpoint::CreateLocation>()[0].kind, SnapshotKind::kSavepoint);
  EXPECT_EQ(h.Get<checkpoint::CreateLocation>()[0].target_dir, "/periodic");
}

TEST(PeriodicSavepointsTest, TheyKeepTheirRateAndAreNotMadeUpFor) {
  H h(Every(1000));
  h.Run();
  h.Advance(1000);
  h.Finish(1);
  h.Advance(3500);
  EXPECT_EQ(h.Started(), 2);
  h.Finish(2);
  EXPECT_EQ(h.coordinator.NextWakeup(), H::kStart + 5000);
}

TEST(PeriodicSavepointsTest, TheOldestIsDisposedOfOnceTheNewOneIsDurable) {
  H h(Every(1000, 2));
  h.Run();
  for (const CheckpointId id : {1, 2}) {
    h.Advance(1000);
    h.Finish(id);
    EXPECT_TRUE(h.Get<checkpoint::DisposePeriodicSavepoint>().empty());
  }
  h.Advance(1000);
  h.Trigger(3);
  h.AckAll(3);
  EXPECT_TRUE(h.All<checkpoint::DisposePeriodicSavepoint>().empty());
  EXPECT_EQ(RetainedSavepoints(h), (Ids{1, 2}));
  h.Persist(3);
  ASSERT_EQ(h.Get<checkpoint::DisposePeriodicSavepoint>().size(), 1u);
  EXPECT_EQ(h.Get<checkpoint::DisposePeriodicSavepoint>()[0].savepoint.location, "/dir-1");
  EXPECT_EQ(RetainedSavepoints(h), (Ids{2, 3}));
}

TEST(PeriodicSavepointsTest, TheyAreNeitherInTheQueueOfCheckpointsNorUsedForFailover) {
  H h(Every(1000));
  h.Run();
  h.Manual(1);
  h.Finish(1);
  h.Advance(1000);
  h.Finish(2);
  EXPECT_EQ(h.Retained(), (Ids{1}));
  EXPECT_EQ(h.coordinator.LatestRestorable()->id, 1);
  EXPECT_TRUE(h.Get<checkpoint::AddCompleted>().empty());
  EXPECT_TRUE(h.Get<checkpoint::NotifyComplete>().empty());
}

TEST(PeriodicSavepointsTest, SavepointsOfUsersAreNotInTheirQueue) {
  H h(Every(1000));
  h.Run();
  h.Savepoint(1);
  h.Finish(1);
  h.Advance(1000);
  h.Finish(2);
  h.Savepoint(2);
  h.Finish(3);
  EXPECT_EQ(RetainedSavepoints(h), (Ids{2}));
  EXPECT_TRUE(h.All<checkpoint::DisposePeriodicSavepoint>().empty());
}

TEST(PeriodicSavepointsTest, NoneIsDeletedHoweverTheJobEnds) {
  for (const JobStatus status :
       {JobStatus::kFinished, JobStatus::kCanceled, JobStatus::kFailed, JobStatus::kSuspended}) {
    H h(Every(1000, 3));
    h.Run();
    for (const CheckpointId id : {1, 2}) {
      h.Advance(1000);
      h.Finish(id);
    }
    h.Send(checkpoint::Shutdown{status});
    EXPECT_TRUE(h.All<checkpoint::DisposePeriodicSavepoint>().empty());
    EXPECT_TRUE(h.All<checkpoint::DiscardPending>().empty());
    EXPECT_EQ(RetainedSavepoints(h), (Ids{1, 2}));
  }
}

TEST(PeriodicSavepointsTest, QueueAndScheduleGoOnAcrossAttempts) {
  H h(Every(1000));
  h.Run();
  h.Advance(1000);
  h.Finish(1);
  h.Send(checkpoint::JobLeftRunning{}, 600);
  EXPECT_FALSE(h.coordinator.NextWakeup());
  h.Run();
  EXPECT_EQ(h.coordinator.NextWakeup(), H::kStart + 2000);
  h.Advance(400);
  h.Finish(2);
  EXPECT_EQ(RetainedSavepoints(h), (Ids{2}));
  EXPECT_EQ(h.All<checkpoint::DisposePeriodicSavepoint>()[0].savepoint.id, 1);
}

TEST(PeriodicSavepointsTest, OneThatWasDueWhileTheJobDidNotRunIsTakenWhenItRuns) {
  H h(Every(1000));
  h.Run();
  h.Send(checkpoint::JobLeftRunning{}, 500);
  h.Send(checkpoint::Tick{}, 2000);
  EXPECT_EQ(h.Started(), 0);
  h.Run();
  h.Advance(0);
  EXPECT_EQ(h.Started(), 1);
  EXPECT_EQ(h.Get<checkpoint::CreateLocation>().size(), 1u);
}

TEST(PeriodicSavepointsTest, OneThatIsDueDuringTheOneBeforeIsLeftOut) {
  CheckpointCoordinatorOptions options = Every(1000);
  options.max_concurrent = 4;
  H h(options);
  h.Run();
  h.Advance(1000);
  h.Trigger(1);
  h.Advance(1000);
  EXPECT_EQ(h.Started(), 0);
  ASSERT_EQ(h.Get<checkpoint::PeriodicSavepointMissed>().size(), 1u);
  EXPECT_EQ(h.Get<checkpoint::PeriodicSavepointMissed>()[0].checkpoint, 0);
  EXPECT_EQ(h.Get<checkpoint::PeriodicSavepointMissed>()[0].message,
            "The one before it is still under way.");
  h.AckAll(1);
  h.Persist(1);
  EXPECT_EQ(h.Started(), 0);
  h.Advance(1000);
  EXPECT_EQ(h.Started(), 2);
}

TEST(PeriodicSavepointsTest, AFailureIsReportedAndLeavesJobAndOlderOnesAlone) {
  H h(Every(1000));
  h.Run();
  h.Advance(1000);
  h.Finish(1);
  h.Advance(1000);
  h.Trigger(2);
  h.Decline(2);
  EXPECT_TRUE(h.Get<checkpoint::FailJob>().empty());
  ASSERT_EQ(h.Get<checkpoint::PeriodicSavepointMissed>().size(), 1u);
  EXPECT_EQ(h.Get<checkpoint::PeriodicSavepointMissed>()[0].checkpoint, 2);
  EXPECT_THAT(h.Get<checkpoint::PeriodicSavepointMissed>()[0].message,
              ::testing::HasSubstr("disk full"));
  EXPECT_EQ(h.Get<checkpoint::DiscardPending>()[0].location, "/dir-2");
  EXPECT_EQ(RetainedSavepoints(h), (Ids{1}));
  h.Advance(1000);
  EXPECT_EQ(h.Started(), 3);
}

TEST(PeriodicSavepointsTest, FailuresOfAllKindsNeverCountAgainstTheTolerance) {
  CheckpointCoordinatorOptions options = Every(1000);
  options.timeout_ms = 100;
  H h(options);
  h.Run();
  h.Advance(1000);
  h.Send(checkpoint::LocationFailed{1, "no space left on device"});
  EXPECT_EQ(h.Get<checkpoint::PeriodicSavepointMissed>()[0].message, "no space left on device.");
  h.Advance(1000);
  h.Trigger(2);
  h.Advance(100);  // Expires.
  EXPECT_EQ(h.Get<checkpoint::PeriodicSavepointMissed>()[0].message,
            "Checkpoint expired before completing. It was not complete within 100 ms "
            "(execution.checkpointing.timeout).");
  h.Advance(900);
  h.Trigger(3);
  h.AckAll(3);
  h.Send(checkpoint::PersistFailed{3, "rename failed"});
  h.Advance(1000);
  h.Locate(4);
  h.Send(checkpoint::CoordinatorFailed{4, H::SourceOperator(), "gone"});
  EXPECT_EQ(h.All<checkpoint::PeriodicSavepointMissed>().size(), 4u);
  EXPECT_TRUE(h.All<checkpoint::FailJob>().empty());
}

TEST(PeriodicSavepointsTest, ASuccessDoesNotForgiveFailedCheckpoints) {
  CheckpointCoordinatorOptions options = WithCheckpoints(Every(1000), 700);
  options.tolerable_failures = 1;
  H h(options);
  h.Run();
  h.Advance(700);
  h.Trigger(1);
  h.Decline(1);
  h.Advance(300);
  h.Finish(2);  // The periodic savepoint.
  h.Advance(400);
  ASSERT_EQ(h.Started(), 3);
  h.Trigger(3);
  h.Decline(3);
  EXPECT_EQ(h.Get<checkpoint::FailJob>().size(), 1u);
}

TEST(PeriodicSavepointsTest, TheyDoNotProlongThePauseBetweenCheckpoints) {
  CheckpointCoordinatorOptions options = WithCheckpoints(Every(1050), 500);
  options.min_pause_ms = 400;
  H h(options);
  h.Run();
  h.Advance(500);
  h.Finish(1);
  h.Advance(550);  // Both are due.
  ASSERT_EQ(h.Get<checkpoint::CreateLocation>().size(), 1u);
  h.Finish(2);
  const auto created = h.All<checkpoint::CreateLocation>();
  ASSERT_EQ(created.size(), 3u);
  EXPECT_EQ(created[1].kind, SnapshotKind::kSavepoint);
  EXPECT_EQ(created[2].kind, SnapshotKind::kCheckpoint);
}

TEST(PeriodicSavepointsTest, AStopAbortsThemAndAFailedStopLetsThemGoOn) {
  H h(Every(1000));
  h.Run();
  h.Advance(1000);
  h.Trigger(1);
  h.Savepoint(1, SnapshotKind::kStopSuspend);
  EXPECT_EQ(h.Get<checkpoint::PeriodicSavepointMissed>()[0].checkpoint, 1);
  EXPECT_EQ(h.Started(), 2);
  h.Advance(1500);
  EXPECT_EQ(h.Started(), 0);
  h.Send(checkpoint::LocationFailed{2, "no space left on device"});
  h.Advance(0);
  EXPECT_EQ(h.Started(), 3);
}

TEST(PeriodicSavepointsTest, NoneStartsOnceTheInputHasEnded) {
  H h(Every(1000));
  h.Run();
  h.Send(checkpoint::AllSubtasksEndOfData{});
  ASSERT_EQ(h.Started(), 1);
  h.Trigger(1);
  h.Advance(5000);
  EXPECT_EQ(h.Started(), 0);
  EXPECT_EQ(h.coordinator.num_queued(), 0u);
}

TEST(PeriodicSavepointsTest, AFullQueueEvictsThemAndSaysSo) {
  CheckpointCoordinatorOptions options = Every(1000);
  options.max_queued_requests = 1;
  H h(options);
  h.Run();
  h.Manual(1);  // Keeps the sources busy: its directory is not there yet.
  h.Advance(1000);
  EXPECT_EQ(h.coordinator.num_queued(), 1u);
  h.Manual(2);
  ASSERT_EQ(h.Get<checkpoint::PeriodicSavepointMissed>().size(), 1u);
  EXPECT_EQ(h.Get<checkpoint::PeriodicSavepointMissed>()[0].message,
            "The maximum number of queued checkpoint requests exceeded");
}

}  // namespace
}  // namespace flink::jobmanager
