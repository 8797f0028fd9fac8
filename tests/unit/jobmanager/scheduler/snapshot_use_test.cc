// Which snapshots a job uses, holds and deletes: those of other jobs, and its own that others use.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <future>
#include <optional>
#include <string>

#include "common/io/file_system.h"
#include "common/snapshot/snapshot_claim.h"
#include "common/snapshot/snapshot_files.h"
#include "jobmanager/scheduler/job_master.h"
#include "tests/unit/jobmanager/scheduler/job_master_harness.h"

namespace flink::jobmanager {
namespace {

using ::testing::HasSubstr;

class SnapshotUseTest : public JobMasterTest {
 protected:
  std::string Path(int checkpoint) const {
    return io::JoinPath(JobDirectory(), fmt::format("chk-{}", checkpoint));
  }
  /// Runs a job to its first checkpoint, which names shared_ and is held as by another job.
  void HoldFirstCheckpoint() {
    ASSERT_TRUE(Start(2).ok());
    UntilStatus(JobStatus::kRunning);
    shared_ = io::JoinPath(JobDirectory(), "shared/" + StateFileName(9));
    ASSERT_TRUE(io::WriteFileDurably(shared_, "state").ok());
    cluster_.shared_file = shared_;
    Checkpoint();
    hold_ = snapshot::HoldSnapshot(snapshot::LoadSnapshot(Path(1)).value()).value();
  }

  std::string shared_;
  std::optional<io::FileLock> hold_;
};

TEST_F(SnapshotUseTest, ClaimedSavepointGoesWithTheCheckpointThatFollowsIt) {
  ASSERT_TRUE(Start(2).ok());
  UntilStatus(JobStatus::kRunning);
  const std::string path = Savepoint(SnapshotKind::kCancelSavepoint);
  UntilEnded();
  store_ = InMemoryJobStore();
  claim_ = pb::graph::v1::SavepointRestoreSettings::CLAIM_MODE_CLAIM;
  ASSERT_TRUE(Start(2, path).ok());
  UntilStatus(JobStatus::kRunning);
  Checkpoint();
  Until([&] { return !io::Exists(path.substr(5)); });
}

TEST_F(SnapshotUseTest, ASnapshotClaimedByTheNameOfItsFileIsReadAgainFromItAndLeavesTheUsersFiles) {
  const std::string work = directory_.File("work");
  ASSERT_TRUE(Start(2).ok());
  UntilStatus(JobStatus::kRunning);
  std::filesystem::copy(Savepoint(SnapshotKind::kCancelSavepoint).substr(5), work);
  UntilEnded();
  ASSERT_TRUE(io::RenameFile(work + "/_metadata", work + "/older").ok());
  ASSERT_TRUE(io::WriteFileDurably(work + "/thesis.txt", "years of work").ok());
  store_ = InMemoryJobStore();
  claim_ = pb::graph::v1::SavepointRestoreSettings::CLAIM_MODE_CLAIM;
  ASSERT_TRUE(Start(2, work + "/older").ok());
  UntilStatus(JobStatus::kRunning);
  cluster_.TaskState("tm1", cluster_.AnySubtaskOn("tm1"), "FAILED");
  UntilStatus(JobStatus::kRestarting);
  UntilStatus(JobStatus::kRunning);
  EXPECT_EQ(cluster_.deployed.at("tm1").restored_checkpoint_id(), 1);
  Checkpoint();
  Until([&] { return !io::Exists(work + "/" + StateFileName(0)); });
  EXPECT_FALSE(io::Exists(work + "/older"));
  EXPECT_TRUE(io::Exists(work + "/thesis.txt"));
}

/// Whoever wants to delete it, also without asking this JobManager.
TEST_F(SnapshotUseTest, ASnapshotThatTheJobMayGoBackToCannotBeDeleted) {
  using pb::graph::v1::SavepointRestoreSettings;
  for (const auto mode : {SavepointRestoreSettings::CLAIM_MODE_NO_CLAIM,
                          SavepointRestoreSettings::CLAIM_MODE_LEGACY}) {
    store_ = InMemoryJobStore();
    ASSERT_TRUE(Start(2).ok());
    UntilStatus(JobStatus::kRunning);
    const std::string path = Savepoint(SnapshotKind::kCancelSavepoint);
    UntilEnded();
    store_ = InMemoryJobStore();
    claim_ = mode;
    ASSERT_TRUE(Start(2, path).ok());
    UntilStatus(JobStatus::kRunning);
    EXPECT_THAT(Message(snapshot::DisposeSnapshot(path)), HasSubstr("wait for its first"));
    Checkpoint();
    if (mode == SavepointRestoreSettings::CLAIM_MODE_LEGACY) {
      EXPECT_FALSE(snapshot::DisposeSnapshot(path).ok());
      ASSERT_TRUE(master_->Cancel().ok());
      UntilEnded();
    }
    EXPECT_TRUE(snapshot::DisposeSnapshot(path).ok());
  }
}

/// A job of another cluster may have been started from it.
TEST_F(SnapshotUseTest, ACheckpointThatSomebodyHoldsStaysWithItsSharedFiles) {
  ASSERT_NO_FATAL_FAILURE(HoldFirstCheckpoint());
  Checkpoint();
  cluster_.shared_file.clear();
  Checkpoint();
  Until([&] { return !io::Exists(Path(2)); });
  ASSERT_TRUE(master_->Cancel().ok());
  UntilEnded();
  EXPECT_FALSE(io::Exists(Path(3)));
  EXPECT_TRUE(snapshot::LoadSnapshot(Path(1)).ok());
  EXPECT_TRUE(io::Exists(Path(1) + "/" + StateFileName(0)));
  EXPECT_TRUE(io::Exists(shared_));
  hold_.reset();
  EXPECT_TRUE(snapshot::DisposeSnapshot(Path(1)).ok());
}

TEST_F(SnapshotUseTest, ACheckpointThatNobodyHoldsAnyMoreGoesWithTheNext) {
  ASSERT_NO_FATAL_FAILURE(HoldFirstCheckpoint());
  cluster_.shared_file.clear();
  Checkpoint();
  Checkpoint();
  Until([&] { return !io::Exists(Path(2)); });
  EXPECT_TRUE(snapshot::LoadSnapshot(Path(1)).ok());
  EXPECT_TRUE(io::Exists(shared_));
  hold_.reset();
  Checkpoint();
  Until([&] { return !io::Exists(Path(3)); });
  EXPECT_FALSE(io::Exists(Path(1)));
  EXPECT_FALSE(io::Exists(shared_));
}

/// Its claim ends with the job, its deletions later.
TEST_F(SnapshotUseTest, WhoeverUsesASnapshotBehindTheJobThatClaimedItKeepsIt) {
  ASSERT_TRUE(Start(2).ok());
  UntilStatus(JobStatus::kRunning);
  const std::string path = Savepoint(SnapshotKind::kCancelSavepoint).substr(5);
  UntilEnded();
  store_ = InMemoryJobStore();
  claim_ = pb::graph::v1::SavepointRestoreSettings::CLAIM_MODE_CLAIM;
  Set("execution.checkpointing.num-retained", "2");
  ASSERT_TRUE(Start(2, path).ok());
  UntilStatus(JobStatus::kRunning);
  Checkpoint();
  std::promise<void> free;
  const std::shared_future<void> freed = free.get_future().share();
  for (int thread = 0; thread < 2; ++thread) pool_.Submit([freed] { freed.wait(); });
  ASSERT_TRUE(master_->Cancel().ok());
  UntilStatus(JobStatus::kCanceled);
  const auto held = snapshot::HoldSnapshot(snapshot::LoadSnapshot(path).value());
  free.set_value();
  ASSERT_TRUE(held.ok()) << Message(held.status());
  UntilEnded();
  EXPECT_TRUE(snapshot::LoadSnapshot(path).ok());
  EXPECT_FALSE(io::Exists(path + "/_flink_cpp_claim.json"));
}

TEST_F(SnapshotUseTest, BehindItsFirstCheckpointAJobUsesNothingThatItHasNotClaimed) {
  using pb::graph::v1::SavepointRestoreSettings;
  ASSERT_TRUE(Start(2).ok());
  UntilStatus(JobStatus::kRunning);
  const std::string path = Savepoint(SnapshotKind::kCancelSavepoint).substr(5);
  UntilEnded();
  Set("execution.checkpointing.num-retained", "2");
  for (const auto mode : {SavepointRestoreSettings::CLAIM_MODE_NO_CLAIM,
                          SavepointRestoreSettings::CLAIM_MODE_LEGACY}) {
    store_ = InMemoryJobStore();
    claim_ = mode;
    ASSERT_TRUE(Start(2, path).ok());
    UntilStatus(JobStatus::kRunning);
    EXPECT_TRUE(master_->Uses(path));
    Checkpoint();
    // Later checkpoints may name its files.
    EXPECT_EQ(master_->Uses(path), mode == SavepointRestoreSettings::CLAIM_MODE_LEGACY);
    ASSERT_TRUE(master_->Cancel().ok());
    UntilEnded();
  }
}

}  // namespace
}  // namespace flink::jobmanager
