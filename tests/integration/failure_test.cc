/// What a job may do to itself and to others, and what the death of any process does.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <map>
#include <set>

#include "tests/integration/lifecycle_fixture.h"
#include "tests/integration/word_count_output.h"
#include "tests/testing/external_cluster.h"

namespace flink::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

class FailureTest : public ::testing::Test {
 protected:
  void StartCluster(int task_managers, int slots, std::map<std::string, std::string> more = {}) {
    ExternalCluster::Options options;
    options.task_managers = task_managers;
    options.slots = slots;
    options.configuration = std::move(more);
    auto started = ExternalCluster::Start(options);
    ASSERT_TRUE(started.ok()) << Message(started.status());
    cluster_ = *std::move(started);
  }
  static std::map<std::string, std::string> RestartForEver() {
    return {{"execution.checkpointing.interval", "100 ms"},
            {"restart-strategy.type", "fixed-delay"},
            {"restart-strategy.fixed-delay.attempts", "1000000"},
            {"restart-strategy.fixed-delay.delay", "50 ms"}};
  }
  int RestartsOf(const std::string& job) const {
    const auto metrics = cluster_->Get("/jobs/" + job + "/metrics?get=numRestarts");
    if (!metrics.ok() || metrics->empty()) return -1;
    return std::atoi((*metrics)[0]["value"].get<std::string>().c_str());
  }
  std::unique_ptr<ExternalCluster> cluster_;
};

TEST_F(FailureTest, AJobThatSegfaultsInALoopDoesNotTouchItsNeighbour) {
  StartCluster(1, 2, RestartForEver());
  const auto bad = cluster_->RunDetached({TestJob(), "--case", "misbehave", "--mode", "segfault",
                                          "--after", "2000", "--count", "1000000", "--rate",
                                          "20000", "--output", cluster_->File("bad")});
  ASSERT_TRUE(bad.ok()) << Message(bad.status());
  const auto good =
      cluster_->RunDetached({TestJob(), "--case", "misbehave", "--mode", "none", "--count",
                             "100000", "--rate", "20000", "--output", cluster_->File("good")});
  ASSERT_TRUE(good.ok()) << Message(good.status());
  ASSERT_TRUE(cluster_->WaitForJobState(*good, "FINISHED"))
      << cluster_->JobState(*good) << cluster_->Logs();
  EXPECT_EQ(CheckCounts({cluster_->File("good")}, 100'000), "");
  EXPECT_EQ(RestartsOf(*good), 0);
  EXPECT_GE(RestartsOf(*bad), 3) << cluster_->JobState(*bad);
  const auto exceptions = cluster_->Get("/jobs/" + *bad + "/exceptions");
  ASSERT_TRUE(exceptions.ok());
  EXPECT_THAT(exceptions->dump(), HasSubstr("signal 11"));
  EXPECT_EQ(cluster_->Flink({"cancel", *bad}).exit_code, 0);
  EXPECT_TRUE(cluster_->WaitForJobState(*bad, "CANCELED"));
}

TEST_F(FailureTest, AJobThatSegfaultsOnceGoesOnFromItsCheckpoint) {
  StartCluster(1, 2, RestartForEver());
  const CommandResult run =
      cluster_->Flink({"run", "-p", "2", TestJob(), "--case", "misbehave", "--mode", "segfault",
                       "--after", "30000", "--once", cluster_->File("once"), "--count", "100000",
                       "--rate", "20000", "--output", cluster_->File("out")});
  ASSERT_EQ(run.exit_code, 0) << run.out << run.err << cluster_->Logs();
  EXPECT_EQ(CheckCounts({cluster_->File("out")}, 100'000), "");
}

TEST_F(FailureTest, AnExceptionWithoutRestartStrategyFailsTheJobWithItsText) {
  StartCluster(1, 1);
  const CommandResult run =
      cluster_->Flink({"run", TestJob(), "--case", "misbehave", "--mode", "throw", "--after", "10",
                       "--count", "1000", "--output", cluster_->File("out")});
  EXPECT_EQ(run.exit_code, 1);
  EXPECT_THAT(run.err, HasSubstr("thrown by the test job, as asked"));
  EXPECT_THAT(run.err, HasSubstr("Misbehave"));
  EXPECT_THAT(CommittedLines(cluster_->File("out")), IsEmpty());
}

TEST_F(FailureTest, AnExceptionInOpenFailsTheJobWithItsText) {
  StartCluster(1, 1);
  const CommandResult run =
      cluster_->Flink({"run", TestJob(), "--case", "open", "--message", "the-door-is-stuck"});
  EXPECT_EQ(run.exit_code, 1);
  EXPECT_THAT(run.err, HasSubstr("the-door-is-stuck"));
}

TEST_F(FailureTest, AJobThatExitsTheProcessRestarts) {
  StartCluster(1, 1, RestartForEver());
  const CommandResult run =
      cluster_->Flink({"run", TestJob(), "--case", "misbehave", "--mode", "exit", "--after",
                       "10000", "--once", cluster_->File("once"), "--count", "50000", "--rate",
                       "20000", "--output", cluster_->File("out")});
  ASSERT_EQ(run.exit_code, 0) << run.out << run.err << cluster_->Logs();
  EXPECT_EQ(CheckCounts({cluster_->File("out")}, 50'000), "");
}

TEST_F(FailureTest, AnEndlessLoopInUserCodeDoesNotOutliveCancel) {
  StartCluster(1, 1, {{"task.cancellation.timeout", "500 ms"}});
  const auto job =
      cluster_->RunDetached({TestJob(), "--case", "misbehave", "--mode", "loop", "--after", "10",
                             "--count", "1000", "--output", cluster_->File("out")});
  ASSERT_TRUE(job.ok()) << Message(job.status());
  ASSERT_TRUE(cluster_->WaitForJobState(*job, "RUNNING"));
  ASSERT_EQ(cluster_->Flink({"cancel", *job}).exit_code, 0);
  EXPECT_TRUE(cluster_->WaitForJobState(*job, "CANCELED", std::chrono::seconds(20)))
      << cluster_->Logs();
  EXPECT_TRUE(WaitFor([&] { return cluster_->Processes("task-executor").empty(); }));
}

TEST_F(FailureTest, ExecutorsDieWithTheirTaskManagerAndTheJobMovesToAnother) {
  auto configuration = RestartForEver();
  StartCluster(2, 2, configuration);
  const auto job = cluster_->RunDetached({"-p", "2", TestJob(), "--case", "misbehave", "--mode",
                                          "none", "--count", "100000", "--rate", "10000",
                                          "--output", cluster_->File("out")});
  ASSERT_TRUE(job.ok()) << Message(job.status());
  ASSERT_TRUE(cluster_->WaitForJobState(*job, "RUNNING"));
  const pid_t victim = cluster_->Processes("taskmanager").front();
  const auto executors = cluster_->ExecutorsOf(victim);
  ExternalCluster::Kill(victim);
  for (const pid_t executor : executors) {
    EXPECT_TRUE(WaitFor([&] {
      return !std::filesystem::exists("/proc/" + std::to_string(executor) + "/exe") ||
             kill(executor, 0) != 0;
    }));
  }
  ASSERT_TRUE(cluster_->WaitForJobState(*job, "FINISHED"))
      << cluster_->JobState(*job) << cluster_->Logs();
  EXPECT_EQ(CheckCounts({cluster_->File("out")}, 100'000), "");
  EXPECT_EQ(RestartsOf(*job), 1);
}

TEST_F(FailureTest, WithoutItsJobManagerATaskManagerEndsItsExecutorsAndJoinsTheNextOne) {
  StartCluster(1, 1, {{"heartbeat.timeout", "1 s"}, {"heartbeat.interval", "200 ms"}});
  const auto job =
      cluster_->RunDetached({TestJob(), "--case", "misbehave", "--mode", "none", "--count",
                             "10000000", "--rate", "1000", "--output", cluster_->File("out")});
  ASSERT_TRUE(job.ok()) << Message(job.status());
  ASSERT_TRUE(cluster_->WaitForJobState(*job, "RUNNING"));
  ASSERT_THAT(cluster_->Processes("task-executor"), SizeIs(1));
  ExternalCluster::Kill(cluster_->Processes("jobmanager").front());
  EXPECT_TRUE(WaitFor([&] { return cluster_->Processes("task-executor").empty(); }))
      << cluster_->Logs();
  EXPECT_THAT(cluster_->Processes("taskmanager"), SizeIs(1));
  const CommandResult started = cluster_->Script("jobmanager.sh", {"start"});
  ASSERT_EQ(started.exit_code, 0) << started.err;
  EXPECT_TRUE(WaitFor([&] {
    const auto overview = cluster_->Get("/overview");
    return overview.ok() && (*overview)["taskmanagers"] == 1;
  })) << cluster_->Logs();
  const CommandResult run =
      cluster_->Flink({"run", TestJob(), "--case", "misbehave", "--mode", "none", "--count", "1000",
                       "--output", cluster_->File("out2")});
  EXPECT_EQ(run.exit_code, 0) << run.out << run.err << cluster_->Logs();
}

TEST_F(FailureTest, DuringRecoveryAJobWaitsForSlots) {
  StartCluster(1, 1, RestartForEver());
  const auto job =
      cluster_->RunDetached({TestJob(), "--case", "misbehave", "--mode", "none", "--count", "60000",
                             "--rate", "20000", "--output", cluster_->File("out")});
  ASSERT_TRUE(job.ok()) << Message(job.status());
  ASSERT_TRUE(cluster_->WaitForJobState(*job, "RUNNING"));
  ExternalCluster::Kill(cluster_->Processes("taskmanager").front());
  ASSERT_TRUE(WaitFor([&] { return cluster_->JobState(*job) != "RUNNING"; }));
  EXPECT_THAT(cluster_->JobState(*job), Not(::testing::AnyOf("FAILED", "FINISHED")));
  ASSERT_EQ(cluster_->Script("taskmanager.sh", {"start"}).exit_code, 0);
  ASSERT_TRUE(cluster_->WaitForJobState(*job, "FINISHED"))
      << cluster_->JobState(*job) << cluster_->Logs();
  EXPECT_EQ(CheckCounts({cluster_->File("out")}, 60'000), "");
}

TEST_F(FailureTest, ASinkThatSleepsHoldsTheMemoryOfAllProcessesAndLosesNothing) {
  StartCluster(2, 1, {{"execution.checkpointing.interval", "500 ms"}});
  constexpr int kCount = 3'000'000;  // 300 MB of lines: far more than may be held in memory.
  const auto job = cluster_->RunDetached({"-p", "2", TestJob(), "--case", "slow", "--count",
                                          std::to_string(kCount), "--bytes", "100", "--pause-us",
                                          "4000", "--output", cluster_->File("out")});
  ASSERT_TRUE(job.ok()) << Message(job.status());
  std::map<pid_t, uint64_t> peaks;
  ASSERT_TRUE(WaitFor(
      [&] {
        for (const char* program : {"jobmanager", "taskmanager", "task-executor"}) {
          for (const pid_t process : cluster_->Processes(program)) {
            const uint64_t peak = ExternalCluster::PeakResidentBytes(process);
            if (peak > peaks[process]) peaks[process] = peak;
          }
        }
        const std::string state = cluster_->JobState(*job);
        return state == "FINISHED" || state == "FAILED";
      },
      std::chrono::minutes(2)));
  EXPECT_EQ(cluster_->JobState(*job), "FINISHED") << cluster_->Logs();
  for (const auto& [process, peak] : peaks) {
    std::cout << "peak RSS of process " << process << ": " << peak / 1'000'000 << " MB\n";
    EXPECT_LT(peak, 200'000'000u);
  }
  std::vector<bool> seen(kCount);
  size_t lines = 0;
  for (const std::string& line : CommittedLines(cluster_->File("out"))) {
    const auto number = static_cast<size_t>(std::atoll(line.c_str()));
    ASSERT_LT(number, seen.size());
    EXPECT_FALSE(seen[number]) << "twice: " << number;
    seen[number] = true;
    ++lines;
  }
  EXPECT_EQ(lines, static_cast<size_t>(kCount));
}

}  // namespace
}  // namespace flink::testing
