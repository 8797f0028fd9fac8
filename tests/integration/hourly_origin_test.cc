/// Flights per hour and airport by a keyed process function with event-time timers, over real
/// flights. The answer was computed independently; the committed output must equal it byte for byte
/// once both are sorted.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "tests/integration/word_count_output.h"
#include "tests/testing/external_cluster.h"

namespace flink::testing {
namespace {

class HourlyOriginTest : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(DataDirectory() + "/flights/flights_stream.csv.gz")) {
      GTEST_SKIP() << "the flights are not beside the source tree";
    }
    ExternalCluster::Options options;
    options.task_managers = 2;
    options.slots = 2;
    options.configuration = {{"execution.checkpointing.interval", "200 ms"}};
    auto started = ExternalCluster::Start(options);
    ASSERT_TRUE(started.ok()) << Message(started.status());
    cluster_ = *std::move(started);
    input_ = cluster_->File("flights.csv");
    std::ofstream(input_)
        << RunCommand({"zcat", DataDirectory() + "/flights/flights_stream.csv.gz"}).out;
    output_ = cluster_->File("output");
  }
  static std::vector<std::string> Truth() {
    std::ifstream file(DataDirectory() + "/truth/F1_hourly_origin.csv");
    std::vector<std::string> lines;
    std::string line;
    std::getline(file, line);
    while (std::getline(file, line)) lines.push_back(line);
    std::sort(lines.begin(), lines.end());
    return lines;
  }
  std::vector<std::string> Output() const {
    auto lines = CommittedLines(output_);
    std::sort(lines.begin(), lines.end());
    return lines;
  }

  std::unique_ptr<ExternalCluster> cluster_;
  std::string input_;
  std::string output_;
};

TEST_F(HourlyOriginTest, TheResultEqualsTheTruth) {
  // One source subtask sees the lines in their order; the bound on their disorder holds for that
  // order only.
  const CommandResult run = cluster_->Flink({"run", "-p", "2", cluster_->Example("HourlyOrigin"),
                                             "--input", input_, "--output", output_});
  ASSERT_EQ(run.exit_code, 0) << run.out << run.err << cluster_->Logs();
  EXPECT_EQ(Output(), Truth());
}

TEST_F(HourlyOriginTest, SavepointRescaleAndAKillInTheMiddleChangeNothing) {
  const auto job = cluster_->RunDetached({"-p", "2", cluster_->Example("HourlyOrigin"), "--input",
                                          input_, "--output", output_, "--rate", "60000"});
  ASSERT_TRUE(job.ok()) << Message(job.status());
  ASSERT_TRUE(WaitFor([&] { return HasCommittedLines(output_); })) << cluster_->Logs();
  ExternalCluster::Kill(cluster_->Processes("task-executor").front());
  ASSERT_TRUE(WaitFor([&] { return cluster_->JobState(*job) != "RUNNING"; }));
  ASSERT_TRUE(cluster_->WaitForJobState(*job, "RUNNING")) << cluster_->Logs();
  const CommandResult cancelled =
      cluster_->Flink({"cancel", "-s", cluster_->File("savepoints"), *job});
  ASSERT_EQ(cancelled.exit_code, 0) << cancelled.out << cancelled.err << cluster_->Logs();
  ASSERT_TRUE(cluster_->WaitForJobState(*job, "CANCELED"));
  const CommandResult run =
      cluster_->Flink({"run", "-p", "4", "-s", SavepointPathIn(cancelled.out),
                       cluster_->Example("HourlyOrigin"), "--input", input_, "--output", output_});
  ASSERT_EQ(run.exit_code, 0) << run.out << run.err << cluster_->Logs();
  EXPECT_EQ(Output(), Truth());
}

}  // namespace
}  // namespace flink::testing
