/// run -s: what is refused, and what a failure falls back to.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <set>

#include "tests/integration/lifecycle_fixture.h"
#include "tests/integration/word_count_output.h"

namespace flink::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::SizeIs;

using RestoreTest = LifecycleTest;

// flink-surface §4.4 no. 67, 68
TEST_F(RestoreTest, AChangedProgramIsRefusedByNameAndGoesWithAllowNonRestoredState) {
  const std::string job = RunningJob({});
  const std::string path = TakeSavepoint(job);
  Cancel(job);
  // This one has the same source and no counter.
  const Words other = {TestJob(),  "--case",    "slow",       "--count", "1000",
                       "--output", Dir("slow"), "--pause-us", "0"};
  const CommandResult refused = cluster_->Flink(Words{"run", "-d", "-s", path} + other);
  ExpectRefused(refused, "Failed to rollback to checkpoint/savepoint");
  EXPECT_THAT(refused.err,
              AllOf(HasSubstr("Cannot map checkpoint/savepoint state for operator "),
                    HasSubstr("to the new program, because the operator is not available in the "
                              "new program. If you want to allow to skip this, you can set the "
                              "--allowNonRestoredState option on the CLI."),
                    HasSubstr("with the uid \"count\"")));
  EXPECT_THAT(refused.out, Not(HasSubstr("submitted")));
  const auto allowed = cluster_->RunDetached(Words{"-s", path, "-n"} + other);
  ASSERT_TRUE(allowed.ok()) << Message(allowed.status());
  EXPECT_EQ(Restored(*allowed)["external_path"], "file:" + path);
  EXPECT_TRUE(cluster_->WaitForJobState(*allowed, "FINISHED")) << cluster_->Logs();
}

// SavepointITCase, testCanRestoreWithModifiedStatelessOperators (19); chains broken, longer and
// shorter (48, 51, 52, 54).
TEST_F(RestoreTest, StatelessStepsMayComeAndGoAndNothingIsCountedTwice) {
  constexpr int kNumbers = 20'000;
  const auto program = [](const Words& arguments) {
    const std::string library = FLINK_TEST_JOBS "/RestoreJob.so";
    return Words{library,
                 "--output",
                 Dir("out"),
                 "--name",
                 TestName(),
                 "--count",
                 std::to_string(kNumbers)} +
           arguments;
  };
  const auto stop = [](const std::string& job) {
    EXPECT_TRUE(WaitFor([&] { return RecordsRead(job) > 200; })) << cluster_->Logs();
    const CommandResult stopped = cluster_->Flink({"stop", job});
    EXPECT_EQ(stopped.exit_code, 0) << stopped.err;
    return SavepointPathIn(stopped.out);
  };
  const auto first = cluster_->RunDetached(Settings() + program({"--rate", "4000"}));
  ASSERT_TRUE(first.ok()) << Message(first.status());
  const auto second = cluster_->RunDetached(Settings() + Words{"-s", stop(*first)} +
                                            program({"--rate", "4000", "--extra", "--no-uids"}));
  ASSERT_TRUE(second.ok()) << Message(second.status());
  const CommandResult last =
      cluster_->Flink(Words{"run", "-s", stop(*second)} + Settings() + program({"--no-uids"}));
  ASSERT_EQ(last.exit_code, 0) << last.err << cluster_->Logs();
  std::set<std::string> lines;
  for (const std::string& line : CommittedLines(Dir("out"))) {
    EXPECT_TRUE(lines.insert(line).second) << line;
  }
  std::set<std::string> expected;
  for (int key = 0; key < 10; ++key) {
    for (int n = 1; n <= kNumbers / 10; ++n) {
      expected.insert(fmt::format("{},{},{}", key, n, n - 1));
    }
  }
  EXPECT_EQ(lines.size(), expected.size());
  EXPECT_TRUE(lines == expected);
}

// flink-surface §4.6 no. 86, 87, 88
TEST_F(RestoreTest, AnotherMaxParallelismAndTooMuchParallelismAreRefused) {
  const std::string job = RunningJob({"-Dpipeline.max-parallelism=2"});
  const std::string path = TakeSavepoint(job);
  Cancel(job);
  const CommandResult other = cluster_->Flink(
      Words{"run", "-d", "-s", path, "-Dpipeline.max-parallelism=64"} + Counting("none", 0));
  ExpectRefused(other,
                "Max parallelism mismatch between checkpoint/savepoint state and new "
                "program. Cannot map operator ");
  EXPECT_THAT(other.err,
              HasSubstr(" with max parallelism 2 to new program with max parallelism 64. This "
                        "indicates that the program has been changed in a non-compatible way after "
                        "the checkpoint/savepoint."));
  const CommandResult wide =
      cluster_->Flink(Words{"run", "-d", "-p", "3", "-s", path} + Counting("none", 0));
  ExpectRefused(wide,
                "can not be restored. The maximum parallelism (2) of the restored state is "
                "lower than the configured parallelism (3). Please reduce the parallelism of "
                "the task to be lower or equal to the maximum parallelism.");
  // As many as it allows.
  RunToTheEnd({"-p", "2", "-s", path}, "two");
  EXPECT_EQ(CheckCounts({Dir("out"), Dir("two")}, kCount), "");
}

// flink-surface §4.4 no. 61
TEST_F(RestoreTest, AJobKilledBeforeItsFirstCheckpointFallsBackToItsSavepoint) {
  const std::string job = RunningJob(Checkpoints("1 h"));
  const std::string path = TakeSavepoint(job);
  Cancel(job);
  ASSERT_TRUE(WaitFor([&] { return cluster_->Processes("task-executor").empty(); }));
  const auto restored =
      cluster_->RunDetached(Words{"-s", path, "-claimMode", "NO_CLAIM"} + Settings() +
                            Checkpoints("1 h") + Counting("out", 15'000));
  ASSERT_TRUE(restored.ok()) << Message(restored.status());
  ASSERT_TRUE(WaitFor([&] { return RecordsRead(*restored) > 1000; })) << cluster_->Logs();
  const auto first = Restored(*restored);
  EXPECT_EQ(first["external_path"], "file:" + path);
  ASSERT_THAT(cluster_->Processes("task-executor"), SizeIs(1));
  ExternalCluster::Kill(cluster_->Processes("task-executor").front());
  ASSERT_TRUE(WaitFor([&] {
    const auto again = Restored(*restored);
    return again["restore_timestamp"] != first["restore_timestamp"];
  })) << cluster_->Logs();
  EXPECT_EQ(Restored(*restored)["external_path"], "file:" + path);
  ASSERT_TRUE(cluster_->WaitForJobState(*restored, "FINISHED")) << cluster_->Logs();
  EXPECT_EQ(CheckCounts({Dir("out")}, kCount), "");
  EXPECT_TRUE(fs::exists(path + "/_metadata"));
}

// flink-surface §4.4 no. 62
TEST_F(RestoreTest, AfterItsFirstCheckpointARestoredJobNeedsItsSavepointNoMore) {
  const std::string job = RunningJob(Checkpoints("1 h"));
  const std::string path = TakeSavepoint(job);
  Cancel(job);
  ASSERT_TRUE(WaitFor([&] { return cluster_->Processes("task-executor").empty(); }));
  const auto restored = cluster_->RunDetached(Words{"-s", path} + Settings() +
                                              Checkpoints("100 ms") + Counting("out", 15'000));
  ASSERT_TRUE(restored.ok()) << Message(restored.status());
  ASSERT_TRUE(WaitFor([&] { return CompletedCheckpoints(*restored) > 0; })) << cluster_->Logs();
  EXPECT_EQ(cluster_->Flink({"savepoint", "-d", path}).exit_code, 0);
  ExternalCluster::Kill(cluster_->Processes("task-executor").front());
  ASSERT_TRUE(WaitFor([&] { return Restored(*restored)["is_savepoint"] == false; }))
      << cluster_->Logs();
  ASSERT_TRUE(cluster_->WaitForJobState(*restored, "FINISHED")) << cluster_->Logs();
  EXPECT_EQ(CheckCounts({Dir("out")}, kCount), "");
}

}  // namespace
}  // namespace flink::testing
