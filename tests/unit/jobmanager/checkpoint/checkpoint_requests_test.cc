// When attempts start: schedule, queue, limits.

#include "tests/unit/jobmanager/checkpoint/coordinator_harness.h"

namespace flink::jobmanager {
namespace {

using H = CoordinatorHarness;

// flink-surface §4.1 no. 20; the delay is drawn by the JobMaster (JobOptionsTest).
TEST(CheckpointRequestsTest, TheFirstPeriodicCheckpointFollowsTheGivenDelay) {
  H h(H::Periodic(1000));
  EXPECT_FALSE(h.coordinator.NextWakeup());
  checkpoint::JobRunning running;
  running.plan = H::Plan();
  running.initial_delay_ms = 300;
  h.Send(running);
  EXPECT_EQ(h.coordinator.NextWakeup(), H::kStart + 300);
  h.Advance(299);
  EXPECT_EQ(h.Started(), 0);
  h.Advance(1);
  EXPECT_EQ(h.Started(), 1);
}

TEST(CheckpointRequestsTest, WithoutADelayTheFirstPeriodicCheckpointFollowsTheInterval) {
  H h(H::Periodic(1000));
  h.Run();
  EXPECT_EQ(h.coordinator.NextWakeup(), H::kStart + 1000);
}

TEST(CheckpointRequestsTest, PeriodicCheckpointsKeepTheirRate) {
  H h(H::Periodic(1000));
  h.Run();
  h.Advance(1000);
  h.Finish(1);
  h.Advance(1000);
  EXPECT_EQ(h.Started(), 2);
  h.Finish(2);
  h.Advance(3500);  // Late: one checkpoint, not three.
  EXPECT_EQ(h.Started(), 3);
  h.Finish(3);
  EXPECT_EQ(h.Started(), 0);
  EXPECT_EQ(h.coordinator.NextWakeup(), H::kStart + 6000);
}

// flink-surface §4.1 no. 9
TEST(CheckpointRequestsTest, SavepointsWorkWithoutPeriodicCheckpoints) {
  H h;
  h.Run();
  EXPECT_FALSE(h.coordinator.NextWakeup());
  h.Savepoint(1);
  h.Finish(1);
  EXPECT_TRUE(h.Get<checkpoint::CompleteRequest>()[0].ok);
}

// flink-surface §4.1 no. 10, §4.5 no. 76
TEST(CheckpointRequestsTest, RequestsOfAJobThatIsNotRunningFail) {
  H h;
  for (const SnapshotKind kind : {SnapshotKind::kSavepoint, SnapshotKind::kStopSuspend,
                                  SnapshotKind::kStopDrain, SnapshotKind::kCancelSavepoint}) {
    h.Savepoint(1, kind);
    ASSERT_EQ(h.Get<checkpoint::CompleteRequest>().size(), 1u);
    EXPECT_EQ(h.Get<checkpoint::CompleteRequest>()[0].message,
              "Not all required tasks are currently running. Wait until the job is RUNNING.");
  }
  EXPECT_TRUE(h.All<checkpoint::CancelJob>().empty());
  h.Run();
  h.Send(checkpoint::JobLeftRunning{});
  h.Manual(2);
  EXPECT_EQ(h.Get<checkpoint::CompleteRequest>()[0].message,
            "Checkpoint triggering task Source: Events (1/2) of job "
            "00000000000000000000000000000000 is not being executed at the moment. Aborting "
            "checkpoint. Failure reason: Not all required tasks are currently running. Wait until "
            "the job is RUNNING.");
  EXPECT_EQ(h.coordinator.next_checkpoint_id(), 1);
}

// flink-test-cases 102, testMaxConcurrentAttempts1, 2 and 5.
TEST(CheckpointRequestsTest, AtMostMaxConcurrentCheckpointsArePending) {
  for (const int limit : {1, 2, 5}) {
    CheckpointCoordinatorOptions options = H::Periodic(1000);
    options.max_concurrent = limit;
    H h(options);
    h.Run();
    for (CheckpointId id = 1; id <= limit; ++id) {
      h.Advance(1000);
      EXPECT_EQ(h.Started(), id);
      h.Trigger(id);
    }
    h.Advance(1000);
    EXPECT_EQ(h.Started(), 0);
    EXPECT_EQ(h.coordinator.num_queued(), 1u);
    h.AckAll(1);
    h.Persist(1);
    EXPECT_EQ(h.Started(), limit + 1) << "one that completes admits exactly one";
  }
}

// flink-surface §4.1 no. 16
TEST(CheckpointRequestsTest, ASavepointIgnoresTheLimitUnlessCheckpointsAreUnaligned) {
  for (const bool unaligned : {false, true}) {
    CheckpointCoordinatorOptions options;
    options.unaligned = unaligned;
    H h(options);
    h.Run();
    h.Manual(1);
    h.Trigger(1);
    h.Savepoint(2);
    EXPECT_EQ(h.Started(), unaligned ? 0 : 2);
    h.AckAll(1);
    h.Persist(1);
    EXPECT_EQ(h.coordinator.next_checkpoint_id(), 3);
  }
}

TEST(CheckpointRequestsTest, OneAttemptAtATimeIsOnItsWayToTheSources) {
  H h;
  h.Run();
  h.Savepoint(1);
  h.Savepoint(2);
  EXPECT_EQ(h.Started(), 0);
  h.Locate(1);
  EXPECT_EQ(h.Started(), 0);
  h.AckCoordinator(1);
  EXPECT_EQ(h.Started(), 2);
}

// flink-surface §4.1 no. 15
TEST(CheckpointRequestsTest, SavepointsStartBeforeManualBeforePeriodicCheckpoints) {
  H h(H::Periodic(1000));
  h.Run();
  h.Manual(1);
  h.Advance(1000);  // Periodic: queued first.
  h.Manual(2);
  h.Manual(3);
  h.Savepoint(4);
  EXPECT_EQ(h.coordinator.num_queued(), 4u);
  h.Trigger(1);
  ASSERT_EQ(h.Started(), 2);
  EXPECT_EQ(h.Get<checkpoint::CreateLocation>()[0].kind, SnapshotKind::kSavepoint);
  h.Trigger(2);
  EXPECT_EQ(h.Started(), 0);
  h.AckAll(2);
  h.Persist(2);
  EXPECT_EQ(h.Started(), 0);  // The limit holds: 1 is pending.
  h.AckAll(1);
  h.Persist(1);
  for (const RequestId expected : {2, 3}) {
    const CheckpointId id = h.Started();
    ASSERT_NE(id, 0);
    h.Finish(id);
    EXPECT_EQ(h.Get<checkpoint::CompleteRequest>()[0].request, expected);
  }
  ASSERT_EQ(h.Started(), 5);
  h.Finish(5);
  EXPECT_TRUE(h.Get<checkpoint::CompleteRequest>().empty());
}

// flink-surface §4.1 no. 17, 18. A periodic request inside the pause is put off, not dropped with
// MINIMUM_TIME_BETWEEN_CHECKPOINTS: nobody waits for one, so nobody would be told, and no failure
// is counted either way.
TEST(CheckpointRequestsTest, MinPauseDelaysPeriodicCheckpointsOnly) {
  CheckpointCoordinatorOptions options = H::Periodic(1000);
  options.min_pause_ms = 800;
  H h(options);
  h.Run();
  h.Advance(1000);
  h.Trigger(1);
  h.AckAll(1);
  h.now += 500;
  h.Persist(1);  // At 1500: nothing periodic before 2300.
  h.Advance(500);
  EXPECT_EQ(h.Started(), 0);
  EXPECT_EQ(h.coordinator.NextWakeup(), H::kStart + 2300);
  h.Manual(1);
  EXPECT_EQ(h.Started(), 2);
  h.Finish(2);  // At 2000: now nothing periodic before 2800.
  h.Savepoint(2);
  EXPECT_EQ(h.Started(), 3);
  h.Finish(3);
  h.Advance(300);
  EXPECT_EQ(h.Started(), 0);
  EXPECT_EQ(h.coordinator.NextWakeup(), H::kStart + 2800);
  h.Advance(500);
  EXPECT_EQ(h.Started(), 4);
  EXPECT_EQ(h.coordinator.statistics().counts().failed, 0);
  EXPECT_EQ(MessageOf(CheckpointFailureReason::kMinimumTimeBetweenCheckpoints),
            "The minimum time between checkpoints is still pending. Checkpoint will be triggered "
            "after the minimum time.");
}

TEST(CheckpointRequestsTest, AnIntervalShorterThanMinPauseIsStretched) {
  CheckpointCoordinatorOptions options = H::Periodic(100);
  options.min_pause_ms = 5000;
  H h(options);
  h.Run();
  EXPECT_EQ(h.coordinator.NextWakeup(), H::kStart + 5000);
}

// flink-surface §4.1 no. 19
TEST(CheckpointRequestsTest, AFullQueueEvictsThePeriodicRequestAndThenRefuses) {
  EXPECT_EQ(CheckpointCoordinatorOptions().max_queued_requests, 1000u);
  CheckpointCoordinatorOptions options = H::Periodic(1000);
  options.max_queued_requests = 3;
  H h(options);
  h.Run();
  h.Manual(1);
  h.Advance(1000);
  h.Manual(2);
  h.Manual(3);
  EXPECT_EQ(h.coordinator.num_queued(), 3u);
  h.Manual(4);  // Takes the place of the periodic one.
  EXPECT_TRUE(h.Get<checkpoint::CompleteRequest>().empty());
  EXPECT_EQ(h.coordinator.num_queued(), 3u);
  h.Savepoint(5);
  ASSERT_EQ(h.Get<checkpoint::CompleteRequest>().size(), 1u);
  EXPECT_EQ(h.Get<checkpoint::CompleteRequest>()[0].message,
            "The maximum number of queued checkpoint requests exceeded");
  EXPECT_EQ(h.Get<checkpoint::CompleteRequest>()[0].checkpoint, 0);
}

// flink-surface §4.1 no. 23, §4.5 no. 72
TEST(CheckpointRequestsTest, AStopAbortsWhatIsPendingOrQueuedAndStopsTheSchedule) {
  H h(H::Periodic(1000));
  h.Run();
  h.Savepoint(1);
  h.Trigger(1);
  h.Manual(2);  // Queued: the savepoint counts towards the limit.
  h.Manual(3);
  h.Savepoint(4, SnapshotKind::kStopSuspend);
  const auto answers = h.Get<checkpoint::CompleteRequest>();
  ASSERT_EQ(answers.size(), 3u);
  for (const auto& a : answers) {
    EXPECT_EQ(a.message,
              "Checkpoint Coordinator is suspending. A stop of the job began meanwhile, or the job "
              "failed and is started again: ask for it again when the job is RUNNING.");
  }
  EXPECT_EQ(h.Started(), 2);
  h.Trigger(2);
  h.Savepoint(5);  // Waits: no later barrier starts.
  h.Advance(5000);
  EXPECT_EQ(h.Started(), 0);
  EXPECT_EQ(h.coordinator.num_queued(), 1u);
  h.AckAll(2);
  h.Persist(2);
  ASSERT_EQ(h.Get<checkpoint::NotifyComplete>().size(), 1u);
  EXPECT_EQ(h.Get<checkpoint::NotifyComplete>()[0].kind, SnapshotKind::kStopSuspend);
  const auto done = h.Get<checkpoint::CompleteRequest>();
  ASSERT_EQ(done.size(), 2u);
  EXPECT_TRUE(done[0].ok);
  EXPECT_FALSE(done[1].ok);
  EXPECT_TRUE(h.coordinator.store().All().empty());
  EXPECT_FALSE(h.coordinator.NextWakeup());
  h.Send(checkpoint::AllSubtasksEndOfData{});
  EXPECT_EQ(h.Started(), 0);
}

// flink-surface §4.5 no. 74
TEST(CheckpointRequestsTest, AFailedStopResumesTheScheduleAndTheJobGoesOn) {
  H h(H::Periodic(1000));
  h.Run();
  h.Savepoint(1, SnapshotKind::kStopDrain);
  h.Savepoint(2);
  h.Send(checkpoint::LocationFailed{1, "no space"});
  ASSERT_EQ(h.Get<checkpoint::CompleteRequest>().size(), 1u);
  EXPECT_EQ(h.Get<checkpoint::CompleteRequest>()[0].message, "no space.");
  EXPECT_TRUE(h.Get<checkpoint::FailJob>().empty());
  EXPECT_EQ(h.Started(), 2);
  h.Finish(2);
  h.Advance(1000);
  EXPECT_EQ(h.Started(), 3);
}

// flink-surface §4.5 no. 77
TEST(CheckpointRequestsTest, CancelWithSavepointCancelsOnlyAfterTheSavepointSucceeded) {
  H h(H::Periodic(1000));
  h.Run();
  h.Savepoint(1, SnapshotKind::kCancelSavepoint);
  h.Trigger(1);
  h.Advance(600'000);
  EXPECT_FALSE(h.Get<checkpoint::CompleteRequest>()[0].ok);
  EXPECT_TRUE(h.All<checkpoint::CancelJob>().empty());
  EXPECT_TRUE(h.All<checkpoint::FailJob>().empty());
  h.Savepoint(2, SnapshotKind::kCancelSavepoint);
  h.Finish(2);
  EXPECT_EQ(h.Get<checkpoint::CancelJob>().size(), 1u);
  EXPECT_TRUE(h.All<checkpoint::NotifyComplete>().empty());
  h.Advance(10'000);
  EXPECT_EQ(h.Started(), 0);
}

TEST(CheckpointRequestsTest, ASecondStopWaitsForTheFirstAndRunsWhenItFails) {
  H h;
  h.Run();
  h.Savepoint(1, SnapshotKind::kStopSuspend);
  h.Savepoint(2, SnapshotKind::kStopSuspend);
  EXPECT_EQ(h.Started(), 0);
  h.Send(checkpoint::LocationFailed{1, "x"});
  EXPECT_EQ(h.Started(), 2);
  h.Finish(2);
  EXPECT_TRUE(h.Get<checkpoint::CompleteRequest>()[0].ok);
}

TEST(CheckpointRequestsTest, EndOfDataTakesExactlyOneFinalCheckpoint) {
  for (const bool periodic : {false, true}) {
    H h(periodic ? H::Periodic(1000) : CheckpointCoordinatorOptions{});
    h.Run();
    h.Send(checkpoint::AllSubtasksEndOfData{});
    ASSERT_EQ(h.Started(), 1);
    EXPECT_EQ(h.Get<checkpoint::CreateLocation>()[0].kind, SnapshotKind::kFinalCheckpoint);
    h.Send(checkpoint::AllSubtasksEndOfData{});
    EXPECT_EQ(h.Started(), 0);
    h.Finish(1);
    ASSERT_EQ(h.Get<checkpoint::NotifyComplete>().size(), 1u);
    EXPECT_EQ(h.Get<checkpoint::NotifyComplete>()[0].kind, SnapshotKind::kFinalCheckpoint);
    EXPECT_EQ(h.Retained(), std::vector<CheckpointId>{1});
    h.Advance(10'000);
    EXPECT_EQ(h.Started(), 0);
    h.Savepoint(9);
    EXPECT_FALSE(h.Get<checkpoint::CompleteRequest>()[0].ok);
  }
}

TEST(CheckpointRequestsTest, TheFinalCheckpointRunsAloneAfterWhatUsersAskedFor) {
  CheckpointCoordinatorOptions options;
  options.max_concurrent = 5;
  H h(options);
  h.Run();
  h.Manual(1);
  h.Trigger(1);
  h.Send(checkpoint::AllSubtasksEndOfData{});
  EXPECT_EQ(h.Started(), 0);
  h.Savepoint(2);
  EXPECT_EQ(h.Started(), 2);
  h.Trigger(2);
  h.AckAll(1);
  h.Persist(1);
  EXPECT_EQ(h.Started(), 0);
  h.AckAll(2);
  h.Persist(2);
  EXPECT_EQ(h.Started(), 3);
  h.Trigger(3);
  h.Savepoint(3);
  EXPECT_EQ(h.Started(), 0);
  h.AckAll(3);
  h.Persist(3);
  ASSERT_EQ(h.Get<checkpoint::CompleteRequest>().size(), 1u);
  EXPECT_FALSE(h.Get<checkpoint::CompleteRequest>()[0].ok);
}

TEST(CheckpointRequestsTest, AFailedFinalCheckpointIsRetried) {
  CheckpointCoordinatorOptions options;
  options.tolerable_failures = 1000;
  options.final_retry_delay_ms = 50;
  H h(options);
  h.Run();
  h.Send(checkpoint::AllSubtasksEndOfData{});
  h.Trigger(1);
  h.Decline(1);
  EXPECT_EQ(h.Started(), 0);
  EXPECT_EQ(h.coordinator.NextWakeup(), H::kStart + 50);
  h.Advance(50);
  EXPECT_EQ(h.Started(), 2);
}

TEST(CheckpointRequestsTest, AFailedStopAfterEndOfDataIsFollowedByTheFinalCheckpoint) {
  H h(H::Periodic(1000));
  h.Run();
  h.Savepoint(1, SnapshotKind::kStopSuspend);
  h.Send(checkpoint::AllSubtasksEndOfData{});
  EXPECT_EQ(h.Started(), 0);
  h.Send(checkpoint::LocationFailed{1, "x"});
  ASSERT_EQ(h.Started(), 2);
  EXPECT_EQ(h.Get<checkpoint::CreateLocation>()[0].kind, SnapshotKind::kFinalCheckpoint);
}

TEST(CheckpointRequestsTest, ANewAttemptOfTheJobTakesItsOwnFinalCheckpoint) {
  H h;
  h.Run();
  h.Send(checkpoint::AllSubtasksEndOfData{});
  h.Finish(1);
  h.Send(checkpoint::JobLeftRunning{});
  h.Run();
  h.Send(checkpoint::AllSubtasksEndOfData{});
  EXPECT_EQ(h.Started(), 2);
}

}  // namespace
}  // namespace flink::jobmanager
