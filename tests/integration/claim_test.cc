/// Claim modes: who owns a snapshot, and what a restored job needs of it.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "tests/integration/lifecycle_fixture.h"
#include "tests/integration/word_count_output.h"

namespace flink::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::SizeIs;

const Words kRetain = {
    "-Dexecution.checkpointing.externalized-checkpoint-retention=RETAIN_ON_CANCELLATION"};
const Words kIncremental = {"-Dstate.backend.type=rocksdb",
                            "-Dexecution.checkpointing.incremental=true",
                            // Small state goes to files, too.
                            "-Dexecution.checkpointing.data-inline-threshold=0"};
const Words kFull = {"-Dstate.backend.type=rocksdb"};

class ClaimTest : public LifecycleTest {
 protected:
  /// The one retained checkpoint of a job that is cancelled now.
  static std::string CancelAndFindCheckpoint(const std::string& job) {
    Cancel(job);
    // What was being written or replaced is deleted behind the end of the job.
    Words kept;
    WaitFor([&] {
      kept = Entries(Dir("chk/") + job, "chk-");
      return kept.size() == 1;
    });
    EXPECT_THAT(kept, SizeIs(1));
    return kept.empty() ? "" : Dir("chk/") + job + "/" + kept[0];
  }
  static std::string RetainedCheckpoint(const Words& options) {
    const std::string job = RunningJob(Checkpoints("50 ms") + kRetain + options, 4000);
    EXPECT_TRUE(WaitFor([&] { return CompletedCheckpoints(job) > 2; }));
    return CancelAndFindCheckpoint(job);
  }
  static std::string Savepoint() {
    const std::string job = RunningJob({});
    std::string path = TakeSavepoint(job);
    Cancel(job);
    return path;
  }
  static CommandResult Start(const std::string& path, const std::string& mode,
                             const Words& options = {}, const std::string& output = "out") {
    return cluster_->Flink(Words{"run", "-d", "-s", path, "-claimMode", mode} + Settings() +
                           options + Counting(output, 2000));
  }
  static std::string Started(const std::string& path, const std::string& mode, const Words& options,
                             int rate = 2000) {
    const auto job = cluster_->RunDetached(Words{"-s", path, "-claimMode", mode} + Settings() +
                                           options + Counting("out", rate));
    EXPECT_TRUE(job.ok()) << Message(job.status());
    return job.ok() ? *job : "";
  }
};

// flink-surface §4.4 no. 62, 63: the first checkpoint after NO_CLAIM needs nothing of the snapshot.
TEST_F(ClaimTest, AfterTheFirstCheckpointNothingOfAnUnclaimedIncrementalCheckpointIsNeeded) {
  const std::string checkpoint = RetainedCheckpoint(kIncremental);
  const std::string job =
      Started(checkpoint, "NO_CLAIM", kIncremental + Checkpoints("100 ms"), 8000);
  ASSERT_TRUE(WaitFor([&] { return CompletedCheckpoints(job) > 0; })) << cluster_->Logs();
  // With the files that it shares with others.
  fs::remove_all(fs::path(checkpoint).parent_path());
  ASSERT_THAT(cluster_->Processes("taskmanager"), SizeIs(1));
  ExternalCluster::Kill(cluster_->Processes("taskmanager").front());
  EXPECT_EQ(cluster_->Script("taskmanager.sh", {"start"}).exit_code, 0);
  ASSERT_TRUE(cluster_->WaitForJobState(job, "FINISHED")) << cluster_->Logs();
  EXPECT_EQ(CheckCounts({Dir("out")}, kCount), "");
}

/// A job that was started from another's checkpoint goes back to it although that has a newer one.
TEST_F(ClaimTest, ACheckpointThatAnotherJobMayGoBackToOutlivesItsOwnJob) {
  const std::string first = RunningJob(Checkpoints("1 h") + kIncremental, 4000);
  ASSERT_EQ(cluster_->Flink({"checkpoint", first}).exit_code, 0);
  const std::string checkpoint = Dir("chk/") + first + "/chk-1";
  const std::string second = Started(checkpoint, "NO_CLAIM", kIncremental + Checkpoints("1 h"));
  ASSERT_EQ(cluster_->Flink({"checkpoint", first}).exit_code, 0);
  Cancel(first);
  ASSERT_TRUE(WaitFor([&] { return !fs::exists(Dir("chk/") + first + "/chk-2"); }));
  EXPECT_TRUE(fs::exists(checkpoint + "/_metadata"));
  ASSERT_THAT(cluster_->Processes("taskmanager"), SizeIs(1));
  ExternalCluster::Kill(cluster_->Processes("taskmanager").front());
  EXPECT_EQ(cluster_->Script("taskmanager.sh", {"start"}).exit_code, 0);
  // Which needs all its tasks, and so what they have restored.
  ASSERT_TRUE(WaitFor([&] {
    return cluster_->Flink({"checkpoint", second}).exit_code == 0;
  })) << cluster_->Logs();
  Cancel(second);
  EXPECT_EQ(cluster_->Flink({"savepoint", "-d", checkpoint}).exit_code, 0);
  EXPECT_FALSE(fs::exists(checkpoint));
  EXPECT_THAT(Entries(Dir("chk/"), first), SizeIs(0)) << "with the files that it shared";
}

// flink-surface §4.4 no. 64
TEST_F(ClaimTest, ASecondClaimIsRefusedWhileTheFirstJobLives) {
  const std::string path = Savepoint();
  const std::string first = Started(path, "CLAIM", Checkpoints("1 h") + kRetain);
  EXPECT_TRUE(fs::exists(path + "/_flink_cpp_claim.json"));
  const CommandResult second = Start(path, "CLAIM", {}, "second");
  ExpectRefused(second, "the snapshot " + path + " cannot be claimed, because the job " + first);
  EXPECT_THAT(second.err, HasSubstr("has claimed it"));
  const CommandResult dry = cluster_->Flink(
      Words{"run", "--dry-run", "-s", path, "-claimMode", "CLAIM"} + Counting("out", 0));
  EXPECT_EQ(dry.exit_code, 1);
  EXPECT_THAT(dry.out, HasSubstr("was claimed by the job " + first));
  const CommandResult disposed = cluster_->Flink({"savepoint", "-d", path});
  ExpectRefused(disposed, "may still need it");
  Cancel(first);
  EXPECT_TRUE(fs::exists(path + "/_metadata"));
  const std::string third = Started(path, "CLAIM", Checkpoints("50 ms"), 20'000);
  // Owned, and so deleted when the next one is there.
  EXPECT_TRUE(WaitFor([&] { return !fs::exists(path); })) << FilesBelow(path);
  ASSERT_TRUE(cluster_->WaitForJobState(third, "FINISHED")) << cluster_->Logs();
}

TEST_F(ClaimTest, WhatALivingJobMayRestoreFromCannotBeClaimed) {
  const std::string job = RunningJob(Checkpoints("1 h") + kRetain, 2000);
  ASSERT_EQ(cluster_->Flink({"checkpoint", job}).exit_code, 0);
  const std::string checkpoint = Dir("chk/") + job + "/chk-1";
  ExpectRefused(Start(checkpoint, "CLAIM"), "may still restore from it");
  EXPECT_FALSE(fs::exists(checkpoint + "/_flink_cpp_claim.json"));
  const auto dry_run = [](const std::string& from, const char* mode) {
    return cluster_->Flink(Words{"run", "--dry-run", "-s", from, "-claimMode", mode} +
                           Counting("out", 0));
  };
  const CommandResult owned = dry_run(checkpoint, "CLAIM");
  EXPECT_EQ(owned.exit_code, 1);
  EXPECT_THAT(owned.out, HasSubstr("cannot be claimed, because the job " + job));
  EXPECT_EQ(dry_run(checkpoint, "NO_CLAIM").exit_code, 0);
  // Unclaimed it may be used, and as long as a job falls back to it, nobody gets it either.
  const std::string path = TakeSavepoint(job);
  Cancel(job);
  const std::string other = Started(path, "NO_CLAIM", Checkpoints("1 h"));
  ExpectRefused(Start(path, "CLAIM"), "the job " + other);
  const CommandResult held = dry_run(path, "CLAIM");
  EXPECT_EQ(held.exit_code, 1);
  EXPECT_THAT(held.out, HasSubstr("cannot be claimed now, because a job that was restored"));
}

TEST_F(ClaimTest, AClaimKeepsOtherClustersAway) {
  const std::string path = Savepoint();
  const std::string first = Started(path, "CLAIM", Checkpoints("1 h") + kRetain);
  ExternalCluster::Options options;
  options.slots = 1;
  auto other = ExternalCluster::Start(options);
  ASSERT_TRUE(other.ok()) << Message(other.status());
  const Words claim =
      Words{"-s", path, "-claimMode", "CLAIM"} + Checkpoints("1 h") + Counting("other", 2000);
  ExpectRefused((*other)->Flink(Words{"run", "-d"} + claim), "was claimed by the job " + first);
  // A claim ends with its process: after a crash whoever restores the job gets the snapshot.
  ASSERT_THAT(cluster_->Processes("jobmanager"), SizeIs(1));
  ExternalCluster::Kill(cluster_->Processes("jobmanager").front());
  const auto job = (*other)->RunDetached(claim);
  EXPECT_TRUE(job.ok()) << Message(job.status());
  ASSERT_EQ(cluster_->Script("jobmanager.sh", {"start"}).exit_code, 0);
  ASSERT_TRUE(WaitFor([&] {
    const auto overview = cluster_->Get("/overview");
    return overview.ok() && (*overview)["taskmanagers"] == 1;
  })) << cluster_->Logs();
  // The restarted JobManager respects it, too.
  if (job.ok()) {
    ExpectRefused(Start(path, "CLAIM"), "was claimed by the job " + *job);
    EXPECT_EQ((*other)->Flink({"cancel", *job}).exit_code, 0);
    EXPECT_TRUE((*other)->WaitForJobState(*job, "CANCELED"));
  }
}

// flink-surface §4.4 no. 66
TEST_F(ClaimTest, LegacyWarnsAndNeverDeletes) {
  const std::string path = Savepoint();
  const CommandResult run =
      cluster_->Flink(Words{"run", "-s", path, "-claimMode", "LEGACY"} + Settings() +
                      Checkpoints("50 ms") + Counting("out", 20'000));
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_THAT(run.out, HasSubstr("Warning: The LEGACY restore mode is deprecated, please use CLAIM "
                                 "or NO_CLAIM mode instead.\n"));
  EXPECT_TRUE(fs::exists(path + "/_metadata"));
  EXPECT_EQ(CheckCounts({Dir("out")}, kCount), "");
}

// SavepointITCase, testTriggerSavepointAndResumeWithClaim: gone with the job, also when no
// checkpoint followed it. Differs: Flink deletes it, too, when such a job is cancelled or fails,
// and with it the only copy of the state.
TEST_F(ClaimTest, AClaimedSavepointGoesWithAJobThatFinishesAndStaysWhenNothingReplacesIt) {
  const std::string path = Savepoint();
  const std::string job = Started(path, "CLAIM", Checkpoints("1 h"));
  EXPECT_EQ(CompletedCheckpoints(job), 0);
  Cancel(job);
  const std::string kept = "that job " + job + " (" + TestName() + ") had claimed stays";
  EXPECT_TRUE(WaitFor([&] { return cluster_->Logs().find(kept) != std::string::npos; }));
  const CommandResult run =
      cluster_->Flink(Words{"run", "-s", path, "-claimMode", "CLAIM"} + Settings() +
                      Checkpoints("1 h") + Counting("out", 20'000));
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_TRUE(WaitFor([&] { return !fs::exists(path); })) << FilesBelow(path);
  EXPECT_EQ(CheckCounts({Dir("out")}, kCount), "");
}

// ResumeCheckpointManuallyITCase: run, retained checkpoint, restore, checkpoint, restore.
struct Resume {
  const char* name;
  const char* mode;
  Words first, second, third;

  friend void PrintTo(const Resume& resume, std::ostream* out) { *out << resume.name; }
};
class ResumeTest : public ClaimTest, public ::testing::WithParamInterface<Resume> {};

TEST_P(ResumeTest, ARetainedCheckpointOfARestoredJobRestoresAgain) {
  const Resume& how = GetParam();
  const std::string first = RetainedCheckpoint(how.first);
  const std::string job =
      Started(first, how.mode, how.second + Checkpoints("50 ms") + kRetain, 4000);
  ASSERT_TRUE(WaitFor([&] { return CompletedCheckpoints(job) > 1; })) << cluster_->Logs();
  const bool claim = std::string(how.mode) == "CLAIM";
  EXPECT_TRUE(WaitFor([&] { return fs::exists(first) != claim; })) << FilesBelow(first);
  const std::string second = CancelAndFindCheckpoint(job);
  // The first one still restores, unless it was claimed; the output shows at which it was taken.
  if (!claim) {
    RunToTheEnd(how.third + Words{"-s", first, "-p", "3"}, "again");
  }
  RunToTheEnd(how.third + Words{"-s", second + "/_metadata", "-p", "2"}, "out");
  EXPECT_EQ(CheckCounts({Dir("out")}, kCount), "");
}

INSTANTIATE_TEST_SUITE_P(
    Modes, ResumeTest,
    ::testing::Values(Resume{"IncrementalNoClaim", "NO_CLAIM", kIncremental, kIncremental,
                             kIncremental},
                      Resume{"IncrementalClaim", "CLAIM", kIncremental, kIncremental, kIncremental},
                      // From three subtasks to one (RescaleCheckpointManuallyITCase, 36).
                      Resume{"IncrementalLegacyIn", "LEGACY", kIncremental + Words{"-p", "3"},
                             kIncremental, kIncremental},
                      Resume{"FullClaim", "CLAIM", kFull, kFull, kFull},
                      Resume{"FullLegacy", "LEGACY", kFull, kFull, kFull},
                      Resume{"HeapNoClaim", "NO_CLAIM", {}, {}, {}},
                      Resume{"SwitchedNoClaim", "NO_CLAIM", kFull, kIncremental, kFull},
                      Resume{"SwitchedClaim", "CLAIM", kIncremental, kFull, kIncremental}),
    [](const auto& parameter) { return std::string(parameter.param.name); });

// SavepointITCase, SavepointFormatITCase: a moved savepoint is disposed of where it is now.
TEST_F(ClaimTest, AMovedSavepointOfEitherFormatIsDisposedOfAndALeftCopyRestores) {
  const std::string job = RunningJob(kFull, 2000);
  for (const std::string type : {"canonical", "native"}) {
    const CommandResult taken = cluster_->Flink({"savepoint", "--type", type, job, Dir(type)});
    ASSERT_EQ(taken.exit_code, 0) << taken.err;
    fs::create_directories(Dir("elsewhere"));
    fs::copy(SavepointPathIn(taken.out).substr(5), Dir("elsewhere/" + type),
             fs::copy_options::recursive);
    fs::rename(Dir(type), Dir("elsewhere/parent-" + type));
    const Words moved = Entries(Dir("elsewhere/parent-" + type));
    ASSERT_THAT(moved, SizeIs(1));
    const CommandResult disposed = cluster_->Flink(
        {"savepoint", "-d", "file:" + Dir("elsewhere/parent-" + type + "/" + moved[0])});
    EXPECT_EQ(disposed.exit_code, 0) << disposed.err;
    EXPECT_THAT(Entries(Dir("elsewhere/parent-" + type)), SizeIs(0));
  }
  Cancel(job);
  for (const std::string type : {"canonical", "native"}) {
    RunToTheEnd(kFull + Words{"-s", Dir("elsewhere/" + type), "-p", "2"}, "out-" + type);
    EXPECT_EQ(CheckCounts({Dir("out"), Dir("out-" + type)}, kCount), "") << type;
  }
}

}  // namespace
}  // namespace flink::testing
