// The protocol of one attempt and what its completion means. "Rule n" is a statement of Apache
// Flink's documented behaviour of checkpoints and savepoints, by its number in our list.

#include "jobmanager/checkpoint/checkpoint_coordinator.h"

#include "tests/unit/jobmanager/checkpoint/coordinator_harness.h"

namespace flink::jobmanager {
namespace {

using H = CoordinatorHarness;

TEST(CheckpointCoordinatorTest, SourcesAreTriggeredInTheStepOfTheirCoordinatorsAck) {
  H h;
  h.Run();
  h.Manual(1);
  ASSERT_EQ(h.Started(), 1);
  h.Locate(1);
  const auto coordinators = h.Get<checkpoint::TriggerCoordinator>();
  ASSERT_EQ(coordinators.size(), 1u);
  EXPECT_EQ(coordinators[0].op, H::SourceOperator());
  EXPECT_EQ(coordinators[0].options.location, "/dir-1");
  EXPECT_TRUE(h.Get<checkpoint::TriggerSources>().empty());
  h.AckCoordinator(1);
  const auto sources = h.Get<checkpoint::TriggerSources>();
  ASSERT_EQ(sources.size(), 1u);
  EXPECT_EQ(sources[0].vertex, H::Source());
}

TEST(CheckpointCoordinatorTest, ASourceWithoutCoordinatorIsTriggeredAtOnce) {
  H h;
  checkpoint::JobRunning running;
  running.plan = H::Plan();
  running.plan.coordinators.clear();
  h.Send(running);
  h.Manual(1);
  h.Locate(1);
  EXPECT_EQ(h.Get<checkpoint::TriggerSources>().size(), 1u);
  h.AckAll(1);
  EXPECT_EQ(h.Get<checkpoint::PersistMetadata>().size(), 1u);
}

TEST(CheckpointCoordinatorTest, AVertexWithTwoCoordinatorsIsTriggeredAfterBoth) {
  H h;
  checkpoint::JobRunning running;
  running.plan = H::Plan();
  const OperatorId second = MakeId<OperatorId>(12);
  running.plan.coordinators.push_back({second, H::Source()});
  h.Send(running);
  h.Manual(1);
  h.Locate(1);
  EXPECT_EQ(h.Get<checkpoint::TriggerCoordinator>().size(), 2u);
  h.AckCoordinator(1);
  EXPECT_TRUE(h.Get<checkpoint::TriggerSources>().empty());
  h.Send(checkpoint::CoordinatorAcked{1, second, "x"});
  EXPECT_EQ(h.Get<checkpoint::TriggerSources>().size(), 1u);
}

TEST(CheckpointCoordinatorTest, MetadataIsPersistedAfterEveryAcknowledgement) {
  H h;
  h.Run();
  h.Manual(1);
  h.Trigger(1);
  for (int i = 0; i < 3; ++i) {
    h.Ack(1, H::Subtasks()[static_cast<size_t>(i)]);
    EXPECT_TRUE(h.Get<checkpoint::PersistMetadata>().empty());
  }
  h.Ack(1, H::Subtasks()[3]);
  const auto persist = h.Get<checkpoint::PersistMetadata>();
  ASSERT_EQ(persist.size(), 1u);
  EXPECT_EQ(persist[0].subtasks.size(), 4u);
  EXPECT_EQ(persist[0].coordinators.at(H::SourceOperator()), "offsets");
  EXPECT_EQ(persist[0].subtasks.at(H::Subtasks()[0]).state, "state");
}

// flink-surface §4.3 no. 37
TEST(CheckpointCoordinatorTest, ACheckpointIsStoredBeforeTheOldOneIsDropped) {
  H h;
  h.Run();
  h.Manual(1);
  h.Finish(1);
  EXPECT_TRUE(h.Get<checkpoint::DiscardCheckpoint>().empty());
  h.Manual(2);
  h.Finish(2);
  ASSERT_EQ(h.Get<checkpoint::DiscardCheckpoint>().size(), 1u);
  EXPECT_EQ(h.Get<checkpoint::DiscardCheckpoint>()[0].checkpoint.id, 1);
  EXPECT_LT(H::IndexOf<checkpoint::AddCompleted>(h.actions),
            H::IndexOf<checkpoint::RemoveCompleted>(h.actions));
  EXPECT_LT(H::IndexOf<checkpoint::RemoveCompleted>(h.actions),
            H::IndexOf<checkpoint::DiscardCheckpoint>(h.actions));
  EXPECT_EQ(h.Retained(), std::vector<CheckpointId>{2});
}

TEST(CheckpointCoordinatorTest, CompletionIsNotifiedOnlyAfterTheMetadataIsPersisted) {
  H h;
  h.Run();
  h.Manual(1);
  h.Trigger(1);
  h.AckAll(1);
  EXPECT_TRUE(h.All<checkpoint::NotifyComplete>().empty());
  EXPECT_TRUE(h.All<checkpoint::CompleteRequest>().empty());
  h.Persist(1);
  ASSERT_EQ(h.Get<checkpoint::NotifyComplete>().size(), 1u);
  const auto answers = h.Get<checkpoint::CompleteRequest>();
  ASSERT_EQ(answers.size(), 1u);
  EXPECT_TRUE(answers[0].ok);
  EXPECT_EQ(answers[0].path, "file:/dir-1");
  EXPECT_EQ(answers[0].checkpoint, 1);
}

// flink-surface §4.3 no. 36
TEST(CheckpointCoordinatorTest, NumRetainedCheckpointsAreKept) {
  CheckpointCoordinatorOptions options;
  options.num_retained = 3;
  H h(options);
  h.Run();
  for (CheckpointId id = 1; id <= 5; ++id) {
    h.Manual(static_cast<RequestId>(id));
    h.Finish(id);
  }
  EXPECT_EQ(h.Retained(), (std::vector<CheckpointId>{3, 4, 5}));
}

// flink-surface §4.3 no. 39, 40, 42
TEST(CheckpointCoordinatorTest, ASavepointIsNeitherStoredNorNotifiedNorDiscarded) {
  H h;
  h.Run();
  h.Savepoint(7);
  ASSERT_EQ(h.Started(), 1);
  EXPECT_EQ(h.Get<checkpoint::CreateLocation>()[0].target_dir, "/savepoints");
  h.Finish(1);
  EXPECT_TRUE(h.coordinator.store().All().empty());
  EXPECT_TRUE(h.All<checkpoint::AddCompleted>().empty());
  EXPECT_TRUE(h.All<checkpoint::NotifyComplete>().empty());
  ASSERT_EQ(h.Get<checkpoint::CompleteRequest>().size(), 1u);
  EXPECT_TRUE(h.Get<checkpoint::CompleteRequest>()[0].ok);
  h.Manual(8);
  h.Finish(2);
  h.Send(checkpoint::Shutdown{JobStatus::kFinished});
  for (const auto& d : h.All<checkpoint::DiscardCheckpoint>()) EXPECT_EQ(d.checkpoint.id, 2);
}

// flink-surface §4.1 no. 13, 14
TEST(CheckpointCoordinatorTest, SavepointsAndCheckpointsShareOneStrictlyIncreasingCounter) {
  H h;
  h.Run();
  h.Manual(1);
  ASSERT_EQ(h.Started(), 1);
  ASSERT_EQ(h.Get<checkpoint::StoreNextCheckpointId>().size(), 1u);
  EXPECT_EQ(h.Get<checkpoint::StoreNextCheckpointId>()[0].next, 2);
  EXPECT_LT(H::IndexOf<checkpoint::StoreNextCheckpointId>(h.actions),
            H::IndexOf<checkpoint::CreateLocation>(h.actions));
  h.Trigger(1);
  h.Savepoint(2);
  EXPECT_EQ(h.Started(), 2);
  h.Send(checkpoint::JobLeftRunning{});
  h.Run();
  h.Manual(3);
  EXPECT_EQ(h.Started(), 3);
}

TEST(CheckpointCoordinatorTest, TheCounterContinuesFromTheJobStore) {
  CheckpointCoordinatorOptions options;
  options.next_checkpoint_id = 42;
  H h(options);
  h.Run();
  h.Manual(1);
  EXPECT_EQ(h.Started(), 42);
}

// flink-surface §4.3 no. 41
TEST(CheckpointCoordinatorTest, CompletingACheckpointSubsumesOlderPendingOnesButNoSavepoint) {
  CheckpointCoordinatorOptions options;
  options.max_concurrent = 3;
  H h(options);
  h.Run();
  h.Manual(1);
  h.Trigger(1);
  h.Savepoint(2);
  h.Trigger(2);
  h.Manual(3);
  h.Trigger(3);
  h.AckAll(3);
  h.Persist(3);
  const auto aborted = h.Get<checkpoint::AbortCheckpoint>();
  ASSERT_EQ(aborted.size(), 1u);
  EXPECT_EQ(aborted[0].checkpoint, 1);
  EXPECT_EQ(h.Get<checkpoint::DiscardPending>()[0].location, "/dir-1");
  EXPECT_EQ(h.Get<checkpoint::CompleteRequest>()[0].message, "Checkpoint has been subsumed.");
  h.AckAll(2);
  h.Persist(2);
  EXPECT_TRUE(h.Get<checkpoint::CompleteRequest>()[0].ok);
  EXPECT_EQ(h.Retained(), std::vector<CheckpointId>{3});
}

// flink-surface §4.3 no. 40
TEST(CheckpointCoordinatorTest, CompletingASavepointLeavesOlderPendingCheckpointsAlone) {
  H h;
  h.Run();
  h.Manual(1);
  h.Trigger(1);
  h.Savepoint(2);
  h.Finish(2);
  EXPECT_TRUE(h.All<checkpoint::AbortCheckpoint>().empty());
  h.AckAll(1);
  h.Persist(1);
  EXPECT_EQ(h.Retained(), std::vector<CheckpointId>{1});
}

// flink-surface §4.3 no. 50
TEST(CheckpointCoordinatorTest, LateAndUnknownAcknowledgementsAreDiscarded) {
  H h;
  h.Run();
  h.Ack(99, {H::Sink(), 0}, {"shared/x"});
  ASSERT_EQ(h.Get<checkpoint::DiscardSnapshot>().size(), 1u);
  EXPECT_EQ(h.Get<checkpoint::DiscardSnapshot>()[0].files, std::vector<std::string>{"shared/x"});
  h.Manual(1);
  h.Trigger(1);
  h.Decline(1);
  h.Ack(1, {H::Sink(), 0});
  ASSERT_EQ(h.Get<checkpoint::DiscardSnapshot>().size(), 1u);
  EXPECT_EQ(h.Get<checkpoint::DiscardSnapshot>()[0].state, "state");
}

TEST(CheckpointCoordinatorTest, AnAcknowledgementOfAnUnknownSubtaskIsDiscarded) {
  H h;
  h.Run();
  h.Manual(1);
  h.Ack(1, {H::Sink(), 0});  // Nothing was triggered yet.
  EXPECT_EQ(h.Get<checkpoint::DiscardSnapshot>().size(), 1u);
  h.Trigger(1);
  h.Ack(1, {H::Sink(), 2});
  EXPECT_EQ(h.Get<checkpoint::DiscardSnapshot>().size(), 1u);
  h.Ack(1, {MakeId<JobVertexId>(9), 0});
  EXPECT_EQ(h.Get<checkpoint::DiscardSnapshot>().size(), 1u);
}

// flink-surface §4.3 no. 50
TEST(CheckpointCoordinatorTest, ARepeatedAcknowledgementDoesNothing) {
  H h;
  h.Run();
  h.Savepoint(1);
  h.Trigger(1);
  h.Ack(1, {H::Sink(), 0});
  h.Ack(1, {H::Sink(), 0});
  EXPECT_TRUE(h.actions.empty());
  EXPECT_EQ(h.coordinator.statistics().Find(1)->num_acknowledged_subtasks, 1);
  h.AckAll(1);
  h.Ack(1, {H::Sink(), 0});
  EXPECT_TRUE(h.actions.empty());
  h.Persist(1);
  h.Ack(1, {H::Sink(), 0});  // Of a completed savepoint: its files are the user's.
  EXPECT_TRUE(h.actions.empty());
  h.AckCoordinator(1);
  EXPECT_TRUE(h.actions.empty());
}

TEST(CheckpointCoordinatorTest, AcknowledgementsOfAnEarlierJobManagerDestroyNothing) {
  CheckpointCoordinatorOptions options;
  options.next_checkpoint_id = 5;
  H h(options);
  h.Run();
  h.Ack(4, {H::Sink(), 0}, {"shared/x"});
  EXPECT_TRUE(h.actions.empty());
}

// flink-surface §4.4 no. 60, 61, 71
TEST(CheckpointCoordinatorTest, TheRestoredSnapshotIsStoredAndTheNextIdFollowsIt) {
  H h;
  checkpoint::Restored restored;
  restored.snapshot.id = 17;
  restored.snapshot.kind = SnapshotKind::kSavepoint;
  restored.snapshot.claim = ClaimMode::kNoClaim;
  restored.snapshot.external_path = "file:/savepoints/savepoint-1";
  h.Send(restored);
  EXPECT_EQ(h.Get<checkpoint::StoreNextCheckpointId>()[0].next, 18);
  EXPECT_EQ(h.Get<checkpoint::AddCompleted>().size(), 1u);
  ASSERT_NE(h.coordinator.LatestRestorable(), nullptr);
  EXPECT_EQ(h.coordinator.LatestRestorable()->id, 17);
  EXPECT_EQ(h.coordinator.statistics().counts().restored, 1);
  EXPECT_TRUE(h.coordinator.statistics().latest_restored()->is_savepoint);
  h.Run();
  h.Manual(1);
  EXPECT_EQ(h.Started(), 18);
  h.Finish(18);
  // flink-surface §4.3 no. 38, §4.4 no. 62: it leaves the store, its files stay.
  EXPECT_EQ(h.Get<checkpoint::RemoveCompleted>()[0].checkpoint, 17);
  EXPECT_TRUE(h.Get<checkpoint::DiscardCheckpoint>().empty());
  EXPECT_EQ(h.Retained(), std::vector<CheckpointId>{18});
}

TEST(CheckpointCoordinatorTest, IdsThatOthersHaveUsedAreNotUsedAgain) {
  H h;
  h.Send(checkpoint::IdsTaken{7});
  EXPECT_EQ(h.Get<checkpoint::StoreNextCheckpointId>()[0].next, 8);
  checkpoint::Restored restored;
  restored.snapshot.id = 5;
  restored.snapshot.claim = ClaimMode::kNoClaim;
  h.Send(restored);
  h.Send(checkpoint::IdsTaken{3});
  EXPECT_TRUE(h.actions.empty());
  h.Run();
  h.Manual(1);
  EXPECT_EQ(h.Started(), 8);
}

// flink-surface §4.4 no. 64
TEST(CheckpointCoordinatorTest, AClaimedSnapshotIsDeletedOnceSubsumed) {
  H h;
  checkpoint::Restored restored;
  restored.snapshot.id = 3;
  restored.snapshot.kind = SnapshotKind::kSavepoint;
  restored.snapshot.claim = ClaimMode::kClaim;
  h.Send(restored);
  h.Run();
  h.Manual(1);
  h.Finish(4);
  ASSERT_EQ(h.Get<checkpoint::DiscardCheckpoint>().size(), 1u);
  EXPECT_EQ(h.Get<checkpoint::DiscardCheckpoint>()[0].checkpoint.id, 3);
}

TEST(CheckpointCoordinatorTest, AClaimedSnapshotStaysWithItsFilesWhenTheJobFailsWithoutCheckpoint) {
  H h;
  checkpoint::Restored restored;
  restored.snapshot.id = 3;
  restored.snapshot.claim = ClaimMode::kClaim;
  restored.snapshot.shared_files = {"/shared"};
  h.Send(restored);
  h.Run();
  h.Manual(1);
  h.Trigger(4);
  h.Send(checkpoint::Shutdown{JobStatus::kFailed});
  EXPECT_TRUE(h.All<checkpoint::DiscardCheckpoint>().empty());
  EXPECT_TRUE(h.All<checkpoint::DeleteFiles>().empty());
}

// flink-surface §4.4 no. 62, 63
TEST(CheckpointCoordinatorTest, TheFirstCheckpointAfterNoClaimIsFullTheNextOnesAreNot) {
  CheckpointCoordinatorOptions options;
  options.incremental = true;
  options.tolerable_failures = 5;
  H h(options);
  checkpoint::Restored restored;
  restored.snapshot.id = 3;
  restored.snapshot.claim = ClaimMode::kNoClaim;
  h.Send(restored);
  h.Run();
  h.Manual(1);
  h.Trigger(4);
  EXPECT_EQ(h.Get<checkpoint::TriggerSources>()[0].options.base, 0);
  h.Decline(4);
  h.Manual(2);
  h.Trigger(5);
  EXPECT_EQ(h.Get<checkpoint::TriggerSources>()[0].options.base, 0);
  h.AckAll(5);
  h.Persist(5);
  h.Manual(3);
  h.Trigger(6);
  EXPECT_EQ(h.Get<checkpoint::TriggerSources>()[0].options.base, 5);
}

TEST(CheckpointCoordinatorTest, TheFirstCheckpointAfterAClaimIsFullWhenFilesAreSomebodyElses) {
  for (const bool foreign : {false, true}) {
    CheckpointCoordinatorOptions options;
    options.incremental = true;
    H h(options);
    checkpoint::Restored restored;
    restored.snapshot.id = 3;
    restored.snapshot.claim = ClaimMode::kClaim;
    restored.snapshot.shared_files = {"/a", "/b"};
    if (foreign) restored.snapshot.foreign_files = {"/b"};
    h.Send(restored);
    h.Run();
    h.Manual(1);
    h.Trigger(4);
    EXPECT_EQ(h.Get<checkpoint::TriggerSources>()[0].options.base, foreign ? 0 : 3);
    h.AckAll(4);
    h.Persist(4);
    const auto deleted = h.Get<checkpoint::DeleteFiles>();
    ASSERT_EQ(deleted.size(), 1u);
    EXPECT_EQ(deleted[0].files,
              foreign ? std::vector<std::string>{"/a"} : std::vector<std::string>({"/a", "/b"}));
  }
}

// flink-surface §4.1 no. 22, §4.2 no. 30
TEST(CheckpointCoordinatorTest, FullCheckpointsAndSavepointsReuseNoFile) {
  CheckpointCoordinatorOptions options;
  options.incremental = true;
  H h(options);
  h.Run();
  h.Manual(1);
  h.Finish(1);
  h.Manual(2, /*full=*/true);
  h.Trigger(2);
  EXPECT_EQ(h.Get<checkpoint::TriggerSources>()[0].options.base, 0);
  h.AckAll(2);
  h.Persist(2);
  h.Savepoint(3);
  h.Trigger(3);
  EXPECT_EQ(h.Get<checkpoint::TriggerSources>()[0].options.base, 0);
}

TEST(CheckpointCoordinatorTest, SharedFilesLiveUntilTheLastCheckpointThatNamesThem) {
  CheckpointCoordinatorOptions options;
  options.incremental = true;
  H h(options);
  h.Run();
  h.Manual(1);
  h.Finish(1, {"a", "b"});
  h.Manual(2);
  h.Finish(2, {"b", "c"});
  ASSERT_EQ(h.All<checkpoint::DeleteFiles>().size(), 1u);
  EXPECT_EQ(h.Get<checkpoint::DeleteFiles>()[0].files, std::vector<std::string>{"a"});
  // An aborted attempt that reused b deletes only what it brought.
  h.Manual(3);
  h.Trigger(3);
  h.Ack(3, {H::Source(), 0}, {"b", "d"});
  h.Decline(3);
  EXPECT_EQ(h.Get<checkpoint::DeleteFiles>()[0].files, std::vector<std::string>{"d"});
  h.Ack(3, {H::Source(), 1}, {"c", "e"});
  EXPECT_EQ(h.Get<checkpoint::DiscardSnapshot>()[0].files, std::vector<std::string>{"e"});
}

TEST(CheckpointCoordinatorTest, FilesOfThePendingAttemptsBaseOutliveItsSubsumption) {
  CheckpointCoordinatorOptions options;
  options.incremental = true;
  options.max_concurrent = 3;
  H h(options);
  h.Run();
  h.Manual(1);
  h.Finish(1, {"a"});
  h.Manual(2);
  h.Trigger(2);
  h.Manual(3);
  h.Trigger(3);
  EXPECT_EQ(h.Get<checkpoint::TriggerSources>()[0].options.base, 1);
  h.AckAll(2, {"b"});
  h.Persist(2);  // Subsumes 1, but 3 may still name its files.
  EXPECT_TRUE(h.All<checkpoint::DeleteFiles>().empty());
  h.AckAll(3, {"a"});
  h.Persist(3);
  ASSERT_EQ(h.All<checkpoint::DeleteFiles>().size(), 1u);
  EXPECT_EQ(h.Get<checkpoint::DeleteFiles>()[0].files, std::vector<std::string>{"b"});
}

// flink-surface §4.4 no. 66
TEST(CheckpointCoordinatorTest, FilesOfALegacySnapshotAreNeverDeletedEvenWhenBuiltUpon) {
  CheckpointCoordinatorOptions options;
  options.incremental = true;
  H h(options);
  checkpoint::Restored restored;
  restored.snapshot.id = 1;
  restored.snapshot.claim = ClaimMode::kLegacy;
  restored.snapshot.shared_files = {"foreign"};
  h.Send(restored);
  h.Run();
  h.Manual(1);
  h.Finish(2, {"foreign", "own"});
  EXPECT_EQ(h.coordinator.LatestRestorable()->foreign_files, std::vector<std::string>{"foreign"});
  h.Manual(2);
  h.Finish(3);
  ASSERT_EQ(h.All<checkpoint::DeleteFiles>().size(), 1u);
  EXPECT_EQ(h.Get<checkpoint::DeleteFiles>()[0].files, std::vector<std::string>{"own"});
}

TEST(CheckpointCoordinatorTest, RecoveredCheckpointsAreRestorableAndSubsumedByTheNext) {
  CheckpointCoordinatorOptions options;
  options.next_checkpoint_id = 8;
  for (CheckpointId id : {5, 7}) {
    CompletedCheckpoint completed;
    completed.id = id;
    completed.shared_files = {"f" + std::to_string(id)};
    options.completed.push_back(completed);
  }
  H h(options);
  EXPECT_EQ(h.coordinator.LatestRestorable()->id, 7);
  h.Send(checkpoint::RestoredFromStore{7});
  EXPECT_EQ(h.coordinator.statistics().latest_restored()->id, 7);
  h.Run();
  h.Manual(1);
  h.Finish(8);
  EXPECT_EQ(h.Get<checkpoint::DiscardCheckpoint>().size(), 2u);
  EXPECT_EQ(h.Get<checkpoint::DeleteFiles>().size(), 2u);
  EXPECT_EQ(h.Retained(), std::vector<CheckpointId>{8});
}

// flink-surface §4.3 no. 43, 44, 45, 46, 47
TEST(CheckpointCoordinatorTest, RetentionDecidesWhatTheEndOfTheJobDeletes) {
  struct Case {
    CheckpointRetention retention;
    JobStatus status;
    bool deleted;
  };
  using R = CheckpointRetention;
  using J = JobStatus;
  for (const Case& c : std::vector<Case>{
           {R::kNoExternalized, J::kFinished, true},
           {R::kNoExternalized, J::kCanceled, true},
           {R::kNoExternalized, J::kFailed, true},
           {R::kNoExternalized, J::kSuspended, false},
           {R::kDeleteOnCancellation, J::kFinished, true},
           {R::kDeleteOnCancellation, J::kCanceled, true},
           {R::kDeleteOnCancellation, J::kFailed, false},
           {R::kDeleteOnCancellation, J::kSuspended, false},
           {R::kRetainOnCancellation, J::kFinished, true},
           {R::kRetainOnCancellation, J::kCanceled, false},
           {R::kRetainOnCancellation, J::kFailed, false},
           {R::kRetainOnCancellation, J::kSuspended, false},
       }) {
    CheckpointCoordinatorOptions options;
    options.retention = c.retention;
    H h(options);
    h.Run();
    h.Manual(1);
    h.Finish(1, {"shared"});
    h.Send(checkpoint::Shutdown{c.status});
    EXPECT_EQ(h.Get<checkpoint::DiscardCheckpoint>().size(), c.deleted ? 1u : 0u)
        << NameOf(c.status);
    EXPECT_EQ(h.Get<checkpoint::DeleteFiles>().size(), c.deleted ? 1u : 0u);
  }
}

// flink-surface §4.6 no. 81
TEST(CheckpointCoordinatorTest, SavepointsAreAlignedEvenWhenCheckpointsAreNot) {
  CheckpointCoordinatorOptions options;
  options.unaligned = true;
  options.aligned_timeout_ms = 250;
  H h(options);
  h.Run();
  h.Manual(1);
  h.Trigger(1);
  EXPECT_EQ(h.Get<checkpoint::TriggerSources>()[0].options.aligned_timeout_ms, 250);
  h.AckAll(1);
  h.Persist(1);
  h.Savepoint(2);
  h.Trigger(2);
  EXPECT_EQ(h.Get<checkpoint::TriggerSources>()[0].options.aligned_timeout_ms, std::nullopt);
}

}  // namespace
}  // namespace flink::jobmanager
