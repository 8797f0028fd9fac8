/// Checkpoints: by command, retained, claimed, deleted.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "tests/integration/lifecycle_fixture.h"

namespace flink::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::ContainsRegex;
using ::testing::ElementsAre;
using ::testing::SizeIs;

using RetainedCheckpointTest = LifecycleTest;

// flink-surface §4.6 no. 85: an increment reports its own size and that of all state.
TEST_F(RetainedCheckpointTest, CheckpointPrintsItsIdAndFullSaysSo) {
  const std::string job =
      RunningJob(Checkpoints("1 h") + Words{"-Dstate.backend.type=rocksdb",
                                            "-Dexecution.checkpointing.incremental=true",
                                            "-Dexecution.checkpointing.data-inline-threshold=0"},
                 2000);
  // What was written for the latest one, and what it holds.
  const auto sizes = [&] {
    const auto latest = (*cluster_->Get("/jobs/" + job + "/checkpoints"))["latest"]["completed"];
    return std::pair<int64_t, int64_t>(latest["checkpointed_size"], latest["state_size"]);
  };
  const CommandResult first = cluster_->Flink({"checkpoint", job});
  EXPECT_EQ(first.exit_code, 0) << first.err << cluster_->Logs();
  const std::string begin = "Triggering checkpoint for job JOB.\nWaiting for response...\n";
  const std::string end =
      " for job JOB completed.\nYou can resume your program from this checkpoint with the run "
      "command.\n";
  EXPECT_EQ(first.out, Recorded(begin + "Checkpoint 1" + end, job));
  EXPECT_THAT(Entries(Dir("chk/") + job, "chk-"), ElementsAre("chk-1"));
  // flink-surface §4.3 no. 51
  EXPECT_THAT(cluster_->Logs(), ContainsRegex("Completed checkpoint 1 for job " + job +
                                              " \\([0-9]+ bytes, checkpointDuration=[0-9]+ ms, "
                                              "finalizationTime=[0-9]+ ms\\)\\."));
  EXPECT_GT(sizes().first, 0);
  EXPECT_EQ(sizes().first, sizes().second);
  EXPECT_EQ(cluster_->Flink({"checkpoint", job}).exit_code, 0) << cluster_->Logs();
  EXPECT_GT(sizes().first, 0);
  EXPECT_LT(sizes().first, sizes().second);
  const CommandResult full = cluster_->Flink({"checkpoint", "--full", job});
  EXPECT_EQ(full.exit_code, 0) << full.err << cluster_->Logs();
  EXPECT_EQ(full.out, Recorded(begin + "Checkpoint(FULL) 3" + end, job));
  EXPECT_EQ(sizes().first, sizes().second);
  EXPECT_TRUE(fs::exists(Dir("chk/") + job + "/chk-3/_metadata"));
  EXPECT_EQ(cluster_->JobState(job), "RUNNING");
}

// flink-surface §4.3 no. 45, 46, §4.4 no. 59
TEST_F(RetainedCheckpointTest, ARetainedCheckpointSurvivesCancelAndRestores) {
  const std::string job = RunningJob(
      Checkpoints("100 ms") + Words{"-p", "2",
                                    "-Dexecution.checkpointing.externalized-checkpoint-retention="
                                    "RETAIN_ON_CANCELLATION"});
  ASSERT_TRUE(WaitFor([&] { return CompletedCheckpoints(job) > 2; }));
  Cancel(job);
  const std::string directory = Dir("chk/") + job;
  const Words kept = Entries(directory, "chk-");
  ASSERT_THAT(kept, SizeIs(1));
  const std::string checkpoint = directory + "/" + kept[0];
  EXPECT_TRUE(fs::exists(checkpoint + "/_metadata"));
  const auto restored = cluster_->RunDetached(Words{"-s", checkpoint} + Settings() +
                                              Checkpoints("100 ms") + Counting("out", 20'000));
  ASSERT_TRUE(restored.ok()) << Message(restored.status());
  EXPECT_EQ(Restored(*restored)["external_path"], "file:" + checkpoint);
  ASSERT_TRUE(cluster_->WaitForJobState(*restored, "FINISHED")) << cluster_->Logs();
  EXPECT_EQ(CheckCounts({Dir("out")}, kCount), "");
  // Not claimed, so it is there still; a job that ended leaves none of its own.
  EXPECT_TRUE(fs::exists(checkpoint + "/_metadata"));
  EXPECT_TRUE(WaitFor([&] { return FilesBelow(Dir("chk/") + *restored).empty(); }))
      << FilesBelow(Dir("chk/") + *restored);
  ExpectRefused(cluster_->Flink(Words{"run", "-s", directory} + Counting("none", 0)),
                "Cannot find meta data file '_metadata' in directory '" + directory + "'");
}

// flink-surface §4.4 no. 64, 65
TEST_F(RetainedCheckpointTest, AClaimedCheckpointGoesAwayWithTheNextOnes) {
  const std::string job = RunningJob(
      Checkpoints("100 ms") + Words{"-Dexecution.checkpointing.externalized-checkpoint-retention="
                                    "RETAIN_ON_CANCELLATION"});
  ASSERT_TRUE(WaitFor([&] { return CompletedCheckpoints(job) > 2; }));
  Cancel(job);
  const std::string directory = Dir("chk/") + job;
  const Words kept = Entries(directory, "chk-");
  ASSERT_THAT(kept, SizeIs(1));
  std::ofstream(directory + "/notes") << "of somebody else";
  const auto claiming =
      cluster_->RunDetached(Words{"-s", directory + "/" + kept[0], "-claimMode", "CLAIM"} +
                            Settings() + Checkpoints("100 ms") + Counting("out", 20'000));
  ASSERT_TRUE(claiming.ok()) << Message(claiming.status());
  EXPECT_TRUE(WaitFor([&] { return Entries(directory, "chk-").empty(); }));
  ASSERT_TRUE(cluster_->WaitForJobState(*claiming, "FINISHED")) << cluster_->Logs();
  EXPECT_EQ(CheckCounts({Dir("out")}, kCount), "");
  EXPECT_TRUE(fs::is_directory(directory)) << "only the checkpoint was claimed";
  EXPECT_TRUE(WaitFor([&] { return FilesBelow(Dir("chk")) == directory + "/notes\n"; }))
      << FilesBelow(Dir("chk"));
}

// flink-surface §4.3 no. 36, 43, 45, §4.5 no. 78
TEST_F(RetainedCheckpointTest, CancelLeavesAsManyCheckpointsAsAreRetainedAndNoneWhenNoneIs) {
  for (const bool retain : {true, false}) {
    const std::string job = RunningJob(
        Checkpoints("50 ms") +
            Words{"-Dexecution.checkpointing.num-retained=3",
                  std::string("-Dexecution.checkpointing.externalized-checkpoint"
                              "-retention=") +
                      (retain ? "RETAIN_ON_CANCELLATION" : "NO_EXTERNALIZED_CHECKPOINTS")},
        1000);
    ASSERT_TRUE(WaitFor([&] { return CompletedCheckpoints(job) > 6; }));
    const std::string directory = Dir("chk/") + job;
    const auto complete = [&] {
      const Words names = Entries(directory, "chk-");
      return std::count_if(names.begin(), names.end(), [&](const std::string& name) {
        return fs::exists(directory + "/" + name + "/_metadata");
      });
    };
    EXPECT_TRUE(WaitFor([&] { return complete() == 3; }));
    Cancel(job);
    const size_t kept = retain ? 3 : 0;
    EXPECT_TRUE(WaitFor([&] { return Entries(directory, "chk-").size() == kept; }))
        << ::testing::PrintToString(Entries(directory));
    EXPECT_EQ(complete(), static_cast<int>(kept));
    if (!retain) {
      EXPECT_TRUE(WaitFor([&] { return FilesBelow(directory).empty(); })) << FilesBelow(directory);
    }
  }
}

}  // namespace
}  // namespace flink::testing
