/// Checkpoints of jobs under backpressure: unaligned ones overtake what is queued and bring it
/// back.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <future>

#include "tests/integration/lifecycle_fixture.h"

namespace flink::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

constexpr int kRecords = 400'000;

class UnalignedTest : public LifecycleTest {
 protected:
  static void SetUpTestSuite() {
    ExternalCluster::Options options;
    options.task_managers = 2;
    options.slots = 4;
    StartCluster(options);
  }
  static Words Slow(const std::string& output, const std::string& slow_while,
                    int count = kRecords) {
    return {TestJob(),      "--case",    "backpressure", "--count",  std::to_string(count),
            "--output",     Dir(output), "--name",       TestName(), "--slow-step-while",
            Dir(slow_while)};
  }
  static Words Unaligned() {
    return {"-Dexecution.checkpointing.unaligned.enabled=true",
            "-Dexecution.checkpointing.externalized-checkpoint-retention=RETAIN_ON_CANCELLATION"};
  }
  /// A job whose queues are full, because its last step is slow while the file exists.
  static std::string BackpressuredJob(const Words& options, const std::string& output,
                                      const std::string& slow_while) {
    fs::create_directories(Dir(""));
    std::ofstream(Dir(slow_while)) << "slow";
    const auto job = cluster_->RunDetached(Settings() + options + Slow(output, slow_while));
    EXPECT_TRUE(job.ok()) << Message(job.status());
    if (!job.ok()) return "";
    EXPECT_TRUE(WaitFor([&] { return RecordsRead(*job) > 50'000; }, std::chrono::seconds(60)))
        << cluster_->Logs();
    return *job;
  }
  static nlohmann::json Checkpoints(const std::string& job) {
    const auto answer = cluster_->Get("/jobs/" + job + "/checkpoints");
    return answer.ok() ? *answer : nlohmann::json();
  }
};

// flink-surface §4.6 no. 80 (rescaling), 83. No. 84 does not apply: a sink's writer and
// committer are always chained.
TEST_F(UnalignedTest, OvertakesTheBacklogAndBringsItBackExactlyAlsoAtAnotherParallelism) {
  const std::string aligned = BackpressuredJob({"-p", "2"}, "aligned", "slow-1");
  const std::string job = BackpressuredJob(Words{"-p", "2"} + Unaligned(), "out", "slow-2");
  auto waiting = std::async(std::launch::async, [&] {
    return cluster_->Flink({"checkpoint", aligned});
  });
  ASSERT_TRUE(WaitFor([&] { return Checkpoints(aligned)["counts"]["in_progress"] == 1; }));

  const CommandResult first = cluster_->Flink({"checkpoint", job});
  ASSERT_EQ(first.exit_code, 0) << first.out << first.err << cluster_->Logs();
  EXPECT_EQ(Checkpoints(aligned)["counts"]["in_progress"], 1)
      << "the aligned checkpoint, which was triggered before, is complete";
  const auto completed = Checkpoints(job)["latest"]["completed"];
  EXPECT_EQ(completed["checkpoint_type"], "UNALIGNED_CHECKPOINT");
  EXPECT_GT(completed["persisted_data"], 100'000);

  fs::remove(Dir("slow-1"));
  EXPECT_EQ(waiting.get().exit_code, 0);
  ASSERT_TRUE(cluster_->WaitForJobState(aligned, "FINISHED")) << cluster_->Logs();
  EXPECT_EQ(CheckCounts({Dir("aligned")}, kRecords), "");

  // Only the unaligned job has executors.
  ASSERT_TRUE(WaitFor([&] { return cluster_->Processes("task-executor").size() == 2; }));
  ExternalCluster::Kill(cluster_->Processes("task-executor")[0]);
  ASSERT_TRUE(WaitFor([&] { return Restored(job).is_object(); })) << cluster_->Logs();
  ASSERT_TRUE(cluster_->WaitForJobState(job, "RUNNING")) << cluster_->Logs();
  const CommandResult second = cluster_->Flink({"checkpoint", job});
  ASSERT_EQ(second.exit_code, 0) << second.out << second.err << cluster_->Logs();
  EXPECT_GT(Checkpoints(job)["latest"]["completed"]["persisted_data"], 100'000);
  Cancel(job);

  fs::remove(Dir("slow-2"));
  const std::string checkpoint = Dir("chk/") + job + "/chk-2";
  for (const std::string parallelism : {"3", "1", "2"}) {
    const CommandResult run = cluster_->Flink(Words{"run", "-s", checkpoint, "-p", parallelism} +
                                              Settings() + Slow("out-" + parallelism, "slow-2"));
    EXPECT_EQ(run.exit_code, 0) << run.out << run.err << cluster_->Logs();
    EXPECT_EQ(CheckCounts({Dir("out"), Dir("out-" + parallelism)}, kRecords), "") << parallelism;
  }
}

// The slow step still has most records in front of it when its producers have finished.
TEST_F(UnalignedTest, RecordsOfFinishedProducersAreInTheCheckpointsAfterTheirEnd) {
  constexpr int kCount = 12'000;  // Fit into the queue of the slow step.
  fs::create_directories(Dir(""));
  std::ofstream(Dir("slow")) << "slow";
  const auto started =
      cluster_->RunDetached(Settings() + Unaligned() + Slow("out", "slow", kCount));
  ASSERT_TRUE(started.ok()) << Message(started.status());
  const std::string& job = *started;
  const auto finished_vertices = [&] {
    int finished = 0;
    const auto answer = cluster_->Get("/jobs/" + job);
    if (!answer.ok()) return 0;
    for (const auto& vertex : (*answer)["vertices"]) finished += vertex["status"] == "FINISHED";
    return finished;
  };
  ASSERT_TRUE(WaitFor([&] { return RecordsRead(job) >= 2 * kCount; })) << cluster_->Logs();
  // Each checkpoint finishes what has ended before it.
  ASSERT_TRUE(WaitFor([&] {
    return cluster_->Flink({"checkpoint", job}).exit_code == 0 && finished_vertices() == 2;
  })) << cluster_->Logs();
  const CommandResult last = cluster_->Flink({"checkpoint", job});
  ASSERT_EQ(last.exit_code, 0) << last.out << last.err << cluster_->Logs();
  const auto completed = Checkpoints(job)["latest"]["completed"];
  EXPECT_EQ(completed["checkpoint_type"], "UNALIGNED_CHECKPOINT");
  EXPECT_GT(completed["persisted_data"], 10'000);
  for (const pid_t executor : cluster_->Processes("task-executor")) ExternalCluster::Kill(executor);
  fs::remove(Dir("slow"));
  ASSERT_TRUE(cluster_->WaitForJobState(job, "FINISHED")) << cluster_->Logs();
  EXPECT_EQ(Restored(job)["id"], completed["id"]);
  EXPECT_EQ(CheckCounts({Dir("out")}, kCount), "");
}

TEST_F(UnalignedTest, ADamagedFileOfTheCheckpointIsRefusedByNameAndNotTriedAgain) {
  const std::string job = BackpressuredJob(Unaligned(), "out", "slow");
  const CommandResult taken = cluster_->Flink({"checkpoint", job});
  ASSERT_EQ(taken.exit_code, 0) << taken.out << taken.err << cluster_->Logs();
  EXPECT_GT(Checkpoints(job)["latest"]["completed"]["persisted_data"], 100'000);
  Cancel(job);
  const std::string checkpoint = Dir("chk/") + job + "/chk-1";
  // The records in flight are by far the largest.
  std::string file;
  for (const auto& entry : fs::directory_iterator(checkpoint)) {
    if (file.empty() || fs::file_size(entry) > fs::file_size(file)) file = entry.path();
  }
  std::fstream bytes(file, std::ios::in | std::ios::out | std::ios::binary);
  const auto middle = static_cast<std::streamoff>(fs::file_size(file) / 2);
  const int byte = bytes.seekg(middle).get();
  bytes.seekp(middle).put(static_cast<char>(byte ^ 1));
  bytes.close();
  const CommandResult run =
      cluster_->Flink(Words{"run", "-s", checkpoint} + Settings() + Slow("again", "slow"));
  EXPECT_EQ(run.exit_code, 1);
  EXPECT_THAT(run.err, HasSubstr(file + " has the checksum "));
  const std::string failed = run.out.substr(run.out.find("JobID ") + 6, 32);
  EXPECT_EQ(cluster_->JobState(failed), "FAILED");
  const auto history = cluster_->Get("/jobs/" + failed + "/exceptions");
  ASSERT_TRUE(history.ok());
  EXPECT_EQ((*history)["exceptionHistory"]["entries"].size(), 1u) << history->dump();
}

// flink-surface §4.6 no. 81.
TEST_F(UnalignedTest, ASavepointWaitsForTheBacklogAndHasNothingInFlight) {
  const std::string job = BackpressuredJob(Unaligned(), "out", "slow");
  auto savepoint = std::async(std::launch::async, [&] {
    return cluster_->Flink({"savepoint", job});
  });
  ASSERT_TRUE(WaitFor([&] { return Checkpoints(job)["counts"]["in_progress"] == 1; }));
  fs::remove(Dir("slow"));
  const CommandResult result = savepoint.get();
  EXPECT_EQ(result.exit_code, 0) << result.out << result.err;
  const auto latest = Checkpoints(job)["latest"]["savepoint"];
  EXPECT_EQ(latest["checkpoint_type"], "SAVEPOINT");
  EXPECT_EQ(latest["persisted_data"], 0);
}

// flink-surface §4.6 no. 82.
TEST_F(UnalignedTest, SeveralAtATimeAreRefusedAtSubmission) {
  const CommandResult refused =
      cluster_->Flink(Words{"run", "-d", "-Dexecution.checkpointing.max-concurrent-checkpoints=2"} +
                      Unaligned() + Slow("out", "slow"));
  ExpectRefused(refused, "execution.checkpointing.max-concurrent-checkpoints is 2");
}

}  // namespace
}  // namespace flink::testing
