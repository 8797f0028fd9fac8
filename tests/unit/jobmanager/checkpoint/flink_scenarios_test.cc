// Scenarios of Apache Flink's CheckpointCoordinator tests that no other test here is about; the
// whole list, with what covers it, is in docs/flink-scenarios.md.

#include <algorithm>

#include "tests/unit/jobmanager/checkpoint/coordinator_harness.h"

namespace flink::jobmanager {
namespace {

using H = CoordinatorHarness;
using Ids = std::vector<CheckpointId>;
using Files = std::vector<std::string>;

checkpoint::Restored RestoredWithFile(ClaimMode claim) {
  checkpoint::Restored restored;
  restored.snapshot.id = 3;
  restored.snapshot.claim = claim;
  restored.snapshot.shared_files = {"restored"};
  return restored;
}

Files Deleted(const H& h) {
  Files files;
  for (const auto& action : h.All<checkpoint::DeleteFiles>()) {
    files.insert(files.end(), action.files.begin(), action.files.end());
  }
  return files;
}

// testMultipleConcurrentCheckpoints
TEST(FlinkScenariosTest, TwoCheckpointsInFlightBothCompleteAndRetentionCountsThem) {
  CheckpointCoordinatorOptions options;
  options.max_concurrent = 2;
  options.num_retained = 2;
  H h(options);
  h.Run();
  h.Manual(1);
  h.Trigger(1);
  h.Manual(2);
  h.Trigger(2);
  EXPECT_EQ(h.coordinator.num_pending(), 2u);
  h.AckAll(1);
  h.Persist(1);
  EXPECT_EQ(h.Retained(), Ids{1});
  h.AckAll(2);
  h.Persist(2);
  EXPECT_EQ(h.Retained(), (Ids{1, 2}));
  EXPECT_EQ(h.coordinator.num_pending(), 0u);
}

// testConcurrentSavepoints
TEST(FlinkScenariosTest, SavepointsRunInParallelWhateverTheLimitOfCheckpoints) {
  H h;
  h.Run();
  for (RequestId request = 1; request <= 5; ++request) {
    h.Savepoint(request);
    h.Trigger(static_cast<CheckpointId>(request));
  }
  EXPECT_EQ(h.coordinator.num_pending(), 5u);
  for (CheckpointId id = 5; id >= 1; --id) {
    h.AckAll(id);
    h.Persist(id);
    ASSERT_EQ(h.Get<checkpoint::CompleteRequest>().size(), 1u);
    EXPECT_TRUE(h.Get<checkpoint::CompleteRequest>()[0].ok);
  }
  EXPECT_TRUE(h.Retained().empty());
}

// testMaxConcurrentAttemptsWithSubsumption
TEST(FlinkScenariosTest, ASubsumedCheckpointMakesRoomForTheNext) {
  CheckpointCoordinatorOptions options = H::Periodic(1000);
  options.max_concurrent = 2;
  H h(options);
  h.Run();
  h.Advance(1000);
  h.Trigger(1);
  h.Advance(1000);
  h.Trigger(2);
  h.Advance(1000);
  EXPECT_EQ(h.Started(), 0);
  h.AckAll(2);
  h.Persist(2);  // Subsumes 1.
  EXPECT_EQ(h.Started(), 3);
  EXPECT_EQ(h.coordinator.num_pending(), 1u);
}

// testSavepointScheduledInUnalignedMode
TEST(FlinkScenariosTest, ASavepointBehindTenQueuedCheckpointsIsNextWhenUnaligned) {
  CheckpointCoordinatorOptions options;
  options.unaligned = true;
  options.tolerable_failures = 5;
  H h(options);
  h.Run();
  for (RequestId request = 1; request <= 11; ++request) h.Manual(request);
  h.Trigger(1);
  EXPECT_EQ(h.coordinator.num_queued(), 10u);
  h.Savepoint(12);
  EXPECT_EQ(h.Started(), 0);
  h.Decline(1);
  EXPECT_EQ(h.Started(), 2);
  ASSERT_EQ(h.Get<checkpoint::CreateLocation>().size(), 1u);
  EXPECT_EQ(h.Get<checkpoint::CreateLocation>()[0].kind, SnapshotKind::kSavepoint);
}

// testTriggerAndDeclineCheckpointComplex
TEST(FlinkScenariosTest, DecliningTheFirstOfTwoPendingLeavesTheSecondUnharmed) {
  CheckpointCoordinatorOptions options;
  options.max_concurrent = 2;
  options.tolerable_failures = 5;
  H h(options);
  h.Run();
  h.Manual(1);
  h.Trigger(1);
  h.Manual(2);
  h.Trigger(2);
  h.Decline(1);
  EXPECT_EQ(h.coordinator.num_pending(), 1u);
  h.AckAll(2);
  h.Persist(2);
  EXPECT_EQ(h.Retained(), Ids{2});
}

// testSharedStateNotDiscaredOnAbort
TEST(FlinkScenariosTest, AnAbortKeepsSharedFilesThatACompletedCheckpointNames) {
  CheckpointCoordinatorOptions options;
  options.incremental = true;
  options.tolerable_failures = 5;
  H h(options);
  h.Run();
  h.Manual(1);
  h.Finish(1, {"shared"});
  h.Manual(2);
  h.Trigger(2);
  h.Ack(2, {H::Source(), 0}, {"shared", "new"});
  h.Decline(2);
  ASSERT_EQ(h.Get<checkpoint::DiscardPending>().size(), 1u);
  EXPECT_EQ(Deleted(h), Files{"new"});
}

// testSharedStateRegistrationOnRestore
TEST(FlinkScenariosTest, SharedFilesOfARestoredCheckpointAreDeletedInModeClaimOnly) {
  for (const ClaimMode claim : {ClaimMode::kNoClaim, ClaimMode::kClaim, ClaimMode::kLegacy}) {
    CheckpointCoordinatorOptions options;
    options.incremental = true;
    H h(options);
    h.Send(RestoredWithFile(claim));
    h.Run();
    h.Manual(1);
    h.Finish(4, {"own"});
    EXPECT_EQ(Deleted(h), claim == ClaimMode::kClaim ? Files{"restored"} : Files{});
    EXPECT_EQ(h.All<checkpoint::DiscardCheckpoint>().size(), claim == ClaimMode::kClaim ? 1u : 0u);
  }
}

// testTimeoutWhileCheckpointOperatorCoordinatorNotFinishing
TEST(FlinkScenariosTest, ASourceCoordinatorThatDoesNotAnswerLetsTheCheckpointExpire) {
  CheckpointCoordinatorOptions options;
  options.timeout_ms = 1000;
  options.tolerable_failures = 5;
  H h(options);
  h.Run();
  h.Manual(1);
  h.Locate(1);
  EXPECT_TRUE(h.All<checkpoint::TriggerSources>().empty());
  h.Advance(1000);
  ASSERT_EQ(h.Get<checkpoint::CompleteRequest>().size(), 1u);
  EXPECT_FALSE(h.Get<checkpoint::CompleteRequest>()[0].ok);
  // Late, and without effect; the next one goes its way.
  h.AckCoordinator(1);
  EXPECT_TRUE(h.Get<checkpoint::TriggerSources>().empty());
  h.Manual(2);
  h.Finish(2);
  EXPECT_EQ(h.Retained(), Ids{2});
}

// testReportLatestCompletedCheckpointIdWithAbort
TEST(FlinkScenariosTest, AnAbortTellsTheLatestCompletedCheckpoint) {
  CheckpointCoordinatorOptions options;
  options.tolerable_failures = 5;
  H h(options);
  h.Run();
  h.Manual(1);
  h.Finish(1);
  h.Manual(2);
  h.Trigger(2);
  h.Decline(2);
  ASSERT_EQ(h.Get<checkpoint::AbortCheckpoint>().size(), 1u);
  const checkpoint::AbortCheckpoint abort = h.Get<checkpoint::AbortCheckpoint>()[0];
  EXPECT_EQ(abort.checkpoint, 2);
  EXPECT_EQ(abort.latest_completed, 1);
}

// testTriggeringFullCheckpoints, testTriggeringCheckpointsWithCheckpointTypeAfterNoClaimSavepoint
TEST(FlinkScenariosTest, ASavepointBetweenDoesNotCountAsTheFullCheckpointAfterNoClaim) {
  CheckpointCoordinatorOptions options;
  options.incremental = true;
  H h(options);
  h.Send(RestoredWithFile(ClaimMode::kNoClaim));
  h.Run();
  h.Savepoint(1);
  h.Finish(4);
  h.Manual(2, /*full=*/false);
  h.Trigger(5);
  EXPECT_EQ(h.Get<checkpoint::TriggerSources>()[0].options.base, 0);
  h.AckAll(5);
  h.Persist(5);
  h.Manual(3);
  h.Trigger(6);
  EXPECT_EQ(h.Get<checkpoint::TriggerSources>()[0].options.base, 5);
}

// testTriggerCheckpointRequestQueuedWithFailure, discardingTriggeringCheckpointWillExecuteNext…
TEST(FlinkScenariosTest, ARequestThatFailsDoesNotBlockTheOnesBehindIt) {
  CheckpointCoordinatorOptions options;
  options.tolerable_failures = 5;
  H h(options);
  h.Run();
  for (RequestId request = 1; request <= 3; ++request) h.Manual(request);
  h.Send(checkpoint::LocationFailed{1, "no space left"});
  EXPECT_EQ(h.Started(), 2);
  h.Locate(2);
  h.Send(checkpoint::CoordinatorFailed{2, H::SourceOperator(), "it threw"});
  EXPECT_EQ(h.Started(), 3);
  h.Finish(3);
  EXPECT_EQ(h.Retained(), Ids{3});
}

// testStopPeriodicScheduler
TEST(FlinkScenariosTest, AfterTheEndOfDataNothingIsPeriodic) {
  H h(H::Periodic(1000));
  h.Run();
  h.Send(checkpoint::AllSubtasksEndOfData{});
  const CheckpointId final_checkpoint = h.Started();
  EXPECT_NE(final_checkpoint, 0);
  h.Advance(5000);
  EXPECT_EQ(h.Started(), 0);
}

// flink-surface §4.4 no. 71: as recorded, what is not claimed is shown as a savepoint, whatever it
// is.
TEST(FlinkScenariosTest, WhatWasRestoredIsShownAsASavepointUnlessItWasClaimed) {
  for (const ClaimMode claim : {ClaimMode::kNoClaim, ClaimMode::kClaim, ClaimMode::kLegacy}) {
    for (const SnapshotKind kind : {SnapshotKind::kCheckpoint, SnapshotKind::kSavepoint}) {
      H h;
      checkpoint::Restored restored = RestoredWithFile(claim);
      restored.snapshot.kind = kind;
      h.Send(restored);
      EXPECT_EQ(h.coordinator.statistics().latest_restored()->is_savepoint,
                claim != ClaimMode::kClaim);
    }
  }
}

}  // namespace
}  // namespace flink::jobmanager
