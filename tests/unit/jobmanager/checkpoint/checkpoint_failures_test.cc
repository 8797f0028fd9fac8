// How attempts end without completing, and what that means for the job.

#include <limits>

#include "tests/unit/jobmanager/checkpoint/coordinator_harness.h"

namespace flink::jobmanager {
namespace {

using H = CoordinatorHarness;
using Reason = CheckpointFailureReason;

constexpr int kAnyNumber = std::numeric_limits<int>::max();

CheckpointCoordinatorOptions Tolerating(int failures) {
  CheckpointCoordinatorOptions options;
  options.tolerable_failures = failures;
  return options;
}

// flink-surface §4.3 no. 54
TEST(CheckpointFailuresTest, DeclineFromOneTaskAbortsTheCheckpointAndFailsTheJobByDefault) {
  H h;
  h.Run();
  h.Manual(1);
  h.Trigger(1);
  h.Ack(1, {H::Sink(), 0});
  h.Decline(1);
  ASSERT_EQ(h.Get<checkpoint::AbortCheckpoint>().size(), 1u);
  EXPECT_EQ(h.Get<checkpoint::DiscardPending>()[0].location, "/dir-1");
  EXPECT_EQ(h.Get<checkpoint::CompleteRequest>()[0].message,
            "disk full. Failure reason: Checkpoint was declined.");
  const auto fail = h.Get<checkpoint::FailJob>();
  ASSERT_EQ(fail.size(), 1u);
  EXPECT_EQ(fail[0].message.find("Exceeded checkpoint tolerable failure threshold. The latest "
                                 "checkpoint failed due to Checkpoint was declined."),
            0u);
  EXPECT_EQ(fail[0].subtask, (SubtaskRef{H::Sink(), 1}));
}

// flink-surface §4.3 no. 53
TEST(CheckpointFailuresTest, OnlyTheCountedReasonsCount) {
  for (int i = 0; i < kCheckpointFailureReasonCount; ++i) {
    const auto reason = static_cast<Reason>(i);
    H h;
    h.Run();
    h.Manual(1);
    h.Trigger(1);
    h.Decline(1, reason);
    const bool counts = reason == Reason::kIoException || reason == Reason::kCheckpointDeclined ||
                        reason == Reason::kCheckpointAsyncException ||
                        reason == Reason::kCheckpointExpired;
    EXPECT_EQ(h.Get<checkpoint::FailJob>().size(), counts ? 1u : 0u) << NameOf(reason);
  }
}

// flink-surface §4.3 no. 53
TEST(CheckpointFailuresTest, TolerableFailuresAreConsecutive) {
  H h(Tolerating(1));
  h.Run();
  h.Manual(1);
  h.Trigger(1);
  h.Decline(1);
  h.Decline(1);  // Counts once.
  h.Manual(2);
  h.Finish(2);
  h.Manual(3);
  h.Trigger(3);
  h.Decline(3);
  EXPECT_TRUE(h.All<checkpoint::FailJob>().empty());
  h.Manual(4);
  h.Trigger(4);
  h.Decline(4);
  EXPECT_EQ(h.All<checkpoint::FailJob>().size(), 1u);
}

TEST(CheckpointFailuresTest, AnyNumberOfFailuresCanBeTolerated) {
  H h(Tolerating(kAnyNumber));
  h.Run();
  for (CheckpointId id = 1; id <= 50; ++id) {
    h.Manual(static_cast<RequestId>(id));
    h.Trigger(id);
    h.Decline(id);
  }
  EXPECT_TRUE(h.All<checkpoint::FailJob>().empty());
}

// flink-surface §4.3 no. 52
TEST(CheckpointFailuresTest, ACheckpointExpiresAfterTheTimeout) {
  H h(Tolerating(0));
  h.Run();
  h.Manual(1);
  h.Trigger(1);
  EXPECT_EQ(h.coordinator.NextWakeup(), H::kStart + 600'000);
  h.Advance(599'999);
  EXPECT_TRUE(h.actions.empty());
  h.Advance(1);
  EXPECT_EQ(h.Get<checkpoint::CompleteRequest>()[0].message,
            "Checkpoint expired before completing. It was not complete within 600000 ms "
            "(execution.checkpointing.timeout).");
  EXPECT_EQ(h.Get<checkpoint::FailJob>().size(), 1u);
}

// flink-test-cases 105, testCheckpointTimeoutIsolated.
TEST(CheckpointFailuresTest, AnExpiredCheckpointIsDiscardedWithWhatComesLate) {
  H h(Tolerating(1));
  h.Run();
  h.Manual(1);
  h.Trigger(1);
  h.Ack(1, {H::Source(), 0});
  h.Advance(600'000);
  EXPECT_EQ(h.Get<checkpoint::AbortCheckpoint>().size(), 1u);
  ASSERT_EQ(h.Get<checkpoint::DiscardPending>().size(), 1u);
  EXPECT_EQ(h.Get<checkpoint::DiscardPending>()[0].location, "/dir-1");
  h.Ack(1, {H::Source(), 1}, {"late"});
  ASSERT_EQ(h.Get<checkpoint::DiscardSnapshot>().size(), 1u);
  EXPECT_EQ(h.Get<checkpoint::DiscardSnapshot>()[0].files, std::vector<std::string>{"late"});
  EXPECT_TRUE(h.Retained().empty());
  EXPECT_EQ(h.coordinator.num_pending(), 0u);
}

// flink-surface §4.3 no. 52, 55
TEST(CheckpointFailuresTest, AnExpiredSavepointDoesNotFailTheJob) {
  H h;
  h.Run();
  h.Savepoint(1);
  h.Trigger(1);
  h.Advance(600'000);
  EXPECT_FALSE(h.Get<checkpoint::CompleteRequest>()[0].ok);
  EXPECT_TRUE(h.Get<checkpoint::FailJob>().empty());
}

// flink-surface §4.3 no. 55
TEST(CheckpointFailuresTest, JobManagerSideFailuresOfSavepointsNeverFailTheJob) {
  H h;
  h.Run();
  h.Savepoint(1);
  h.Send(checkpoint::LocationFailed{1, "x"});
  h.Savepoint(2, SnapshotKind::kStopSuspend);
  h.Trigger(2);
  h.AckAll(2);
  h.Send(checkpoint::PersistFailed{2, "y"});
  EXPECT_EQ(h.All<checkpoint::CompleteRequest>().size(), 2u);
  EXPECT_TRUE(h.All<checkpoint::FailJob>().empty());
}

// flink-surface §4.3 no. 55
TEST(CheckpointFailuresTest, ATasksFailureOfAStopSavepointAlwaysFailsTheJob) {
  H h(Tolerating(kAnyNumber));
  h.Run();
  h.Savepoint(1, SnapshotKind::kStopSuspend);
  h.Trigger(1);
  h.Decline(1);
  ASSERT_EQ(h.Get<checkpoint::FailJob>().size(), 1u);
  EXPECT_EQ(h.Get<checkpoint::FailJob>()[0].message,
            "disk full. Failure reason: Checkpoint was declined.");
  // flink-test-cases 120, jobFailsIfInFlightSynchronousSavepointIsDiscarded: once.
  h.Send(checkpoint::SubtaskDeclined{1, {H::Sink(), 0}, Reason::kCheckpointDeclined, "too"});
  h.Send(checkpoint::JobLeftRunning{});
  EXPECT_EQ(h.All<checkpoint::FailJob>().size(), 1u);
}

// SavepointITCase 18.
TEST(CheckpointFailuresTest, ADrainThatIsAbortedBehindItsBarrierRestartsTheJob) {
  for (const bool expires : {false, true}) {
    H h(Tolerating(kAnyNumber));
    h.Run();
    h.Savepoint(1, SnapshotKind::kStopDrain);
    h.Trigger(1);
    if (expires) {
      h.Advance(600'000);
    } else {
      h.AckAll(1);
      h.Send(checkpoint::PersistFailed{1, "disk full"});
    }
    EXPECT_EQ(h.Get<checkpoint::CompleteRequest>().size(), 1u);
    ASSERT_EQ(h.Get<checkpoint::FailJob>().size(), 1u);
    EXPECT_EQ(h.Get<checkpoint::FailJob>()[0].message,
              expires
                  ? "Checkpoint expired before completing. It was not complete within 600000 ms "
                    "(execution.checkpointing.timeout)."
                  : "disk full. Failure reason: Failure to finalize checkpoint.");
    h.Send(checkpoint::JobLeftRunning{});
    EXPECT_TRUE(h.Get<checkpoint::FailJob>().empty());
  }
}

TEST(CheckpointFailuresTest,
     ADrainThatIsAbortedBeforeItsBarrierOrByTheEndOfTheAttemptRestartsNothing) {
  H h;
  h.Run();
  h.Savepoint(1, SnapshotKind::kStopDrain);
  h.Send(checkpoint::LocationFailed{1, "x"});
  h.Savepoint(2, SnapshotKind::kStopDrain);
  h.Trigger(2);
  h.Send(checkpoint::JobLeftRunning{});
  EXPECT_EQ(h.All<checkpoint::CompleteRequest>().size(), 2u);
  EXPECT_TRUE(h.All<checkpoint::FailJob>().empty());
}

// flink-surface §4.3 no. 55
TEST(CheckpointFailuresTest, ATasksFailureOfAnIntermediateSavepointCountsLikeACheckpoint) {
  H h(Tolerating(1));
  h.Run();
  h.Savepoint(1);
  h.Trigger(1);
  h.Decline(1);
  EXPECT_TRUE(h.All<checkpoint::FailJob>().empty());
  h.Manual(2);
  h.Trigger(2);
  h.Decline(2);
  EXPECT_EQ(h.All<checkpoint::FailJob>().size(), 1u);
}

TEST(CheckpointFailuresTest, AFailingSourceCoordinatorAbortsTheCheckpoint) {
  H h;
  h.Run();
  h.Manual(1);
  h.Locate(1);
  h.Send(checkpoint::CoordinatorFailed{1, H::SourceOperator(), "gone"});
  EXPECT_EQ(h.Get<checkpoint::CompleteRequest>()[0].message,
            "gone. Failure reason: Trigger checkpoint failure.");
  EXPECT_EQ(h.Get<checkpoint::AbortCheckpoint>().size(), 1u);
}

TEST(CheckpointFailuresTest, AFailedPersistDiscardsTheDirectoryAndNotifiesNobody) {
  H h;
  h.Run();
  h.Manual(1);
  h.Trigger(1);
  h.AckAll(1, {"a"});
  h.Send(checkpoint::PersistFailed{1, "rename"});
  EXPECT_EQ(h.Get<checkpoint::DiscardPending>().size(), 1u);
  EXPECT_EQ(h.Get<checkpoint::DeleteFiles>()[0].files, std::vector<std::string>{"a"});
  EXPECT_TRUE(h.All<checkpoint::NotifyComplete>().empty());
  EXPECT_TRUE(h.All<checkpoint::FailJob>().empty());
  EXPECT_FALSE(h.coordinator.AwaitsIo());
  // flink-test-cases 122, testExceptionInStoringCompletedCheckpointIsReportedToFailureManager.
  EXPECT_EQ(h.coordinator.statistics().Find(1)->failure_message,
            "rename. Failure reason: Failure to finalize checkpoint.");
  EXPECT_EQ(h.coordinator.statistics().counts().failed, 1);
}

// flink-surface §4.1 no. 23
TEST(CheckpointFailuresTest, LeavingRunningAbortsPendingAndQueuedRequests) {
  H h(H::Periodic(1000));
  h.Run();
  h.Savepoint(1);
  h.Trigger(1);
  h.Manual(2);
  h.Manual(3);
  h.Send(checkpoint::JobLeftRunning{});
  const auto answers = h.Get<checkpoint::CompleteRequest>();
  ASSERT_EQ(answers.size(), 3u);
  for (const auto& a : answers) {
    EXPECT_TRUE(a.message.starts_with("Checkpoint Coordinator is suspending. A stop of the job"));
  }
  EXPECT_FALSE(h.coordinator.NextWakeup());
  EXPECT_TRUE(h.Get<checkpoint::FailJob>().empty());
  h.Advance(10'000);
  EXPECT_TRUE(h.actions.empty());
}

// flink-surface §4.1 no. 24
TEST(CheckpointFailuresTest, ShutdownAbortsEverything) {
  H h(H::Periodic(1000));
  h.Run();
  h.Savepoint(1);
  h.Manual(2);
  h.Send(checkpoint::Shutdown{JobStatus::kCanceled});
  const auto answers = h.Get<checkpoint::CompleteRequest>();
  ASSERT_EQ(answers.size(), 2u);
  for (const auto& a : answers) EXPECT_EQ(a.message, "CheckpointCoordinator shutdown.");
  h.Manual(3);
  EXPECT_EQ(h.Get<checkpoint::CompleteRequest>()[0].message, "CheckpointCoordinator shutdown.");
  h.Run();
  h.Advance(10'000);
  EXPECT_TRUE(h.actions.empty());
}

TEST(CheckpointFailuresTest, ADirectoryStillBeingCreatedIsDeletedWhenItExists) {
  H h;
  h.Run();
  h.Manual(1);
  h.Send(checkpoint::JobLeftRunning{});
  EXPECT_TRUE(h.Get<checkpoint::DiscardPending>().empty());
  EXPECT_TRUE(h.Get<checkpoint::AbortCheckpoint>().empty());
  EXPECT_TRUE(h.coordinator.AwaitsIo());
  h.Locate(1);
  ASSERT_EQ(h.Get<checkpoint::DiscardPending>().size(), 1u);
  EXPECT_EQ(h.Get<checkpoint::DiscardPending>()[0].location, "/dir-1");
  EXPECT_FALSE(h.coordinator.AwaitsIo());
}

TEST(CheckpointFailuresTest, MetadataWrittenAfterTheAbortIsDeleted) {
  for (const bool persisted : {false, true}) {
    H h;
    h.Run();
    h.Manual(1);
    h.Trigger(1);
    h.AckAll(1);
    h.Send(checkpoint::JobLeftRunning{});
    EXPECT_TRUE(h.Get<checkpoint::DiscardPending>().empty());
    EXPECT_TRUE(h.coordinator.AwaitsIo());
    if (persisted) {
      h.Persist(1);
    } else {
      h.Send(checkpoint::PersistFailed{1, "x"});
    }
    EXPECT_EQ(h.Get<checkpoint::DiscardPending>()[0].location, "/dir-1");
    EXPECT_TRUE(h.All<checkpoint::AddCompleted>().empty());
    EXPECT_TRUE(h.All<checkpoint::NotifyComplete>().empty());
  }
}

TEST(CheckpointFailuresTest, FilesOfMetadataThatIsBeingWrittenStayUntilItIsDeleted) {
  const std::vector<checkpoint::Event> aborts = {checkpoint::JobLeftRunning{},
                                                 checkpoint::Shutdown{JobStatus::kSuspended},
                                                 checkpoint::Shutdown{JobStatus::kCanceled}};
  for (const checkpoint::Event& abort : aborts) {
    H h;
    h.Run();
    h.Manual(1);
    h.Trigger(1);
    h.AckAll(1, {"/shared"});
    h.Send(abort);
    // The process may die here, and the metadata be there.
    EXPECT_TRUE(h.All<checkpoint::DeleteFiles>().empty());
    h.Ack(1, CoordinatorHarness::Subtasks()[0], {"/shared"});
    EXPECT_TRUE(h.actions.empty()) << "repeated";
    h.Persist(1);
    ASSERT_EQ(h.actions.size(), 2u);
    EXPECT_TRUE(std::holds_alternative<checkpoint::DiscardPending>(h.actions[0]));
    EXPECT_EQ(std::get<checkpoint::DeleteFiles>(h.actions[1]).files,
              std::vector<std::string>{"/shared"});
    EXPECT_FALSE(h.coordinator.AwaitsIo());
  }
}

TEST(CheckpointFailuresTest, TextsAreTheOnesUsersKnow) {
  EXPECT_EQ(MessageOf(Reason::kPeriodicSchedulerShutdown),
            "Periodic checkpoint scheduler is shut down.");
  EXPECT_EQ(NameOf(Reason::kCheckpointDeclinedTaskClosing), "CHECKPOINT_DECLINED_TASK_CLOSING");
  EXPECT_TRUE(IsPreFlight(Reason::kTooManyCheckpointRequests));
  EXPECT_FALSE(IsPreFlight(Reason::kCheckpointExpired));
  EXPECT_EQ(FailureMessage(Reason::kTaskFailure), "Task has failed.");
  EXPECT_EQ(FailureMessage(Reason::kTaskFailure, "why."), "why. Failure reason: Task has failed.");
  EXPECT_EQ(FailureMessage(Reason::kTaskFailure, "why"), "why. Failure reason: Task has failed.");
  EXPECT_EQ(FailureMessage(Reason::kIoException, "disk full"), "disk full.");
}

}  // namespace
}  // namespace flink::jobmanager
