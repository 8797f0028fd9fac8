#include "jobmanager/checkpoint/completed_checkpoint_store.h"

#include <gtest/gtest.h>

#include "jobmanager/checkpoint/job_store.h"

namespace flink::jobmanager {
namespace {

CompletedCheckpoint Make(CheckpointId id, SnapshotKind kind = SnapshotKind::kCheckpoint,
                         ClaimMode claim = ClaimMode::kOwn) {
  CompletedCheckpoint checkpoint;
  checkpoint.id = id;
  checkpoint.kind = kind;
  checkpoint.claim = claim;
  return checkpoint;
}

// flink-surface §4.3 no. 49 is about JobManagers that take over from another; there is one only,
// and nothing is read back.
TEST(CompletedCheckpointStoreTest, TheOldestIsSubsumedOnOverflow) {
  CompletedCheckpointStore store(2);
  EXPECT_EQ(store.Latest(), nullptr);
  EXPECT_TRUE(store.Add(Make(1)).empty());
  EXPECT_TRUE(store.Add(Make(2)).empty());
  const auto subsumed = store.Add(Make(3));
  ASSERT_EQ(subsumed.size(), 1u);
  EXPECT_EQ(subsumed[0].id, 1);
  EXPECT_EQ(store.Latest()->id, 3);
  EXPECT_EQ(store.Find(2)->id, 2);
  EXPECT_EQ(store.Find(1), nullptr);
}

// flink-surface §4.3 no. 38
TEST(CompletedCheckpointStoreTest, TheLatestCheckpointThatIsNoSavepointIsKept) {
  CompletedCheckpointStore store(1);
  store.Add(Make(1));
  EXPECT_TRUE(store.Add(Make(2, SnapshotKind::kSavepoint, ClaimMode::kNoClaim)).empty());
  EXPECT_EQ(store.size(), 2u);
  EXPECT_EQ(store.Add(Make(3)).size(), 2u);
}

TEST(CompletedCheckpointStoreTest, AtLeastOneCheckpointIsRetained) {
  CompletedCheckpointStore store(0);
  store.Add(Make(1));
  EXPECT_EQ(store.size(), 1u);
}

// flink-surface §4.3 no. 47
TEST(CompletedCheckpointStoreTest, SuspensionReleasesEverythingAndDeletesNothing) {
  for (const auto retention :
       {CheckpointRetention::kNoExternalized, CheckpointRetention::kDeleteOnCancellation,
        CheckpointRetention::kRetainOnCancellation}) {
    CompletedCheckpointStore store(3);
    store.Add(Make(1));
    EXPECT_TRUE(store.Shutdown(JobStatus::kSuspended, retention).empty());
    EXPECT_EQ(store.size(), 0u);
  }
}

TEST(CompletedCheckpointStoreTest, OwnershipFollowsTheClaimMode) {
  EXPECT_TRUE(Make(1).owned());
  EXPECT_FALSE(Make(1, SnapshotKind::kSavepoint).owned());
  EXPECT_TRUE(Make(1, SnapshotKind::kSavepoint, ClaimMode::kClaim).owned());
  EXPECT_FALSE(Make(1, SnapshotKind::kCheckpoint, ClaimMode::kNoClaim).owned());
  EXPECT_FALSE(Make(1, SnapshotKind::kCheckpoint, ClaimMode::kLegacy).owned());
}

TEST(CompletedCheckpointStoreTest, AClaimedSnapshotThatNothingHasReplacedOutlivesTheJob) {
  for (const auto status : {JobStatus::kCanceled, JobStatus::kFailed}) {
    CompletedCheckpointStore store(2);
    store.Add(Make(1, SnapshotKind::kSavepoint, ClaimMode::kClaim));
    EXPECT_EQ(store.KeptAtEnd(status)->id, 1);
    EXPECT_TRUE(store.Shutdown(status, CheckpointRetention::kNoExternalized).empty());
    EXPECT_EQ(store.size(), 0u);
    // The job's own checkpoint goes on with it.
    store.Add(Make(1, SnapshotKind::kSavepoint, ClaimMode::kClaim));
    store.Add(Make(2));
    EXPECT_EQ(store.KeptAtEnd(status), nullptr);
    EXPECT_EQ(store.Shutdown(status, CheckpointRetention::kNoExternalized).size(), 2u);
  }
  // All input is processed.
  CompletedCheckpointStore store(2);
  store.Add(Make(1, SnapshotKind::kSavepoint, ClaimMode::kClaim));
  EXPECT_EQ(store.Shutdown(JobStatus::kFinished, CheckpointRetention::kNoExternalized).size(), 1u);
}

TEST(CompletedCheckpointStoreTest, TheEndOfTheJobNeverDeletesForeignSnapshots) {
  CompletedCheckpointStore store(3);
  store.Add(Make(1, SnapshotKind::kCheckpoint, ClaimMode::kNoClaim));
  store.Add(Make(2));
  const auto dropped = store.Shutdown(JobStatus::kFinished, CheckpointRetention::kNoExternalized);
  ASSERT_EQ(dropped.size(), 1u);
  EXPECT_EQ(dropped[0].id, 2);
  EXPECT_EQ(store.size(), 0u);
}

TEST(InMemoryJobStoreTest, KeepsGraphsCountersAndCheckpointsPerJob) {
  InMemoryJobStore store;
  const JobId a = *JobId::FromHex("0000000000000000000000000000000a");
  const JobId b = *JobId::FromHex("0000000000000000000000000000000b");
  ASSERT_TRUE(store.PutJob(a, "graph").ok());
  EXPECT_EQ(store.Jobs()->at(a), "graph");
  EXPECT_EQ(*store.NextCheckpointId(a), 1);
  ASSERT_TRUE(store.SetNextCheckpointId(a, 5).ok());
  EXPECT_EQ(*store.NextCheckpointId(a), 5);
  EXPECT_EQ(*store.NextCheckpointId(b), 1);
  ASSERT_TRUE(store.AddCompleted(a, Make(4)).ok());
  ASSERT_TRUE(store.AddCompleted(a, Make(3)).ok());
  ASSERT_EQ(store.Completed(a)->size(), 2u);
  EXPECT_EQ(store.Completed(a)->front().id, 3);
  ASSERT_TRUE(store.RemoveCompleted(a, 3).ok());
  EXPECT_EQ(store.Completed(a)->size(), 1u);
  ASSERT_TRUE(store.RemoveJob(a).ok());
  EXPECT_TRUE(store.Completed(a)->empty());
  EXPECT_TRUE(store.Jobs()->empty());
  EXPECT_TRUE(store.RemoveJob(a).ok());
}

}  // namespace
}  // namespace flink::jobmanager
