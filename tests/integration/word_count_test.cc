/// WordCount over real books: whatever happens to the job, the committed output holds for each word
/// every number from 1 to its count exactly once. The expected counts were computed independently.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <ostream>
#include <random>
#include <string>

#include "tests/integration/word_count_output.h"
#include "tests/testing/external_cluster.h"

namespace flink::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

struct Shape {
  int parallelism;
  int task_managers;
};

void PrintTo(const Shape& shape, std::ostream* out) {
  *out << "parallelism " << shape.parallelism << ", " << shape.task_managers << " TaskManagers";
}

std::string NameOf(const ::testing::TestParamInfo<Shape>& info) {
  return "Parallelism" + std::to_string(info.param.parallelism) + "TaskManagers" +
         std::to_string(info.param.task_managers);
}

class WordCountTest : public ::testing::TestWithParam<Shape> {
 protected:
  void SetUp() override {
    if (!BooksArePresent()) GTEST_SKIP() << "the books are not beside the source tree";
    ExternalCluster::Options options;
    options.task_managers = GetParam().task_managers;
    options.slots = 4;
    options.configuration = {{"execution.checkpointing.interval", "200 ms"},
                             {"restart-strategy.type", "fixed-delay"},
                             {"restart-strategy.fixed-delay.attempts", "1000"},
                             {"restart-strategy.fixed-delay.delay", "0 s"},
                             {"execution.checkpointing.tolerable-failed-checkpoints", "1000"}};
    auto started = ExternalCluster::Start(options);
    ASSERT_TRUE(started.ok()) << Message(started.status());
    cluster_ = *std::move(started);
    books_ = UnpackBooks(cluster_->File("input"));
    output_ = cluster_->File("output");
  }

  std::vector<std::string> RunArguments(int parallelism, int rate,
                                        const std::vector<std::string>& more = {}) const {
    std::vector<std::string> words = {
        "-p", std::to_string(parallelism),
        "-Dexecution.checkpointing.dir=file://" + cluster_->File("checkpoints"),
        "-Dexecution.checkpointing.savepoint-dir=file://" + cluster_->File("savepoints")};
    words.insert(words.end(), more.begin(), more.end());
    words.insert(words.end(),
                 {cluster_->Example("WordCount"), "--input", books_, "--output", output_});
    if (rate > 0) words.insert(words.end(), {"--rate", std::to_string(rate)});
    return words;
  }

  void ExpectExactOutput() const {
    EXPECT_THAT(DifferencesFromTruth(output_), IsEmpty()) << cluster_->Logs();
  }

  std::unique_ptr<ExternalCluster> cluster_;
  std::string books_;
  std::string output_;
};

TEST_P(WordCountTest, StraightRunCountsEveryWordExactlyOnce) {
  std::vector<std::string> words = {"run"};
  const auto arguments = RunArguments(GetParam().parallelism, 0);
  words.insert(words.end(), arguments.begin(), arguments.end());
  const CommandResult run = cluster_->Flink(words);
  ASSERT_EQ(run.exit_code, 0) << run.out << run.err << cluster_->Logs();
  ExpectExactOutput();
}

TEST_P(WordCountTest, SavepointAndRescaleInTheMiddleChangeNothing) {
  const int parallelism = GetParam().parallelism;
  const auto job = cluster_->RunDetached(RunArguments(parallelism, 60'000 / parallelism));
  ASSERT_TRUE(job.ok()) << Message(job.status());
  ASSERT_TRUE(cluster_->WaitForJobState(*job, "RUNNING")) << cluster_->Logs();
  ASSERT_TRUE(WaitFor([&] { return HasCommittedLines(output_); })) << cluster_->Logs();
  const CommandResult cancelled =
      cluster_->Flink({"cancel", "-s", cluster_->File("savepoints"), *job});
  ASSERT_EQ(cancelled.exit_code, 0) << cancelled.out << cancelled.err << cluster_->Logs();
  ASSERT_TRUE(cluster_->WaitForJobState(*job, "CANCELED"));
  const std::string path = SavepointPathIn(cancelled.out);
  ASSERT_NE(path, "") << cancelled.out;

  const int other = parallelism == 4 ? 3 : parallelism * 2;
  std::vector<std::string> words = {"run"};
  const auto arguments = RunArguments(other, 0, {"-s", path});
  words.insert(words.end(), arguments.begin(), arguments.end());
  const CommandResult run = cluster_->Flink(words);
  ASSERT_EQ(run.exit_code, 0) << run.out << run.err << cluster_->Logs();
  ExpectExactOutput();
}

TEST_P(WordCountTest, TenKillsAtRandomMomentsChangeNothing) {
  const char* given = std::getenv("FLINK_TEST_SEED");
  const auto seed =
      given != nullptr ? static_cast<unsigned>(std::atoi(given)) : std::random_device()();
  std::cout << "seed " << seed << " (FLINK_TEST_SEED repeats it)" << std::endl;
  RecordProperty("seed", std::to_string(seed));
  std::mt19937 random(seed);
  const int parallelism = GetParam().parallelism;
  const auto job = cluster_->RunDetached(RunArguments(parallelism, 20'000 / parallelism));
  ASSERT_TRUE(job.ok()) << Message(job.status());
  int kills = 0;
  for (; kills < 10; ++kills) {
    ASSERT_TRUE(WaitFor([&] { return !cluster_->Processes("task-executor").empty(); }))
        << cluster_->Logs();
    // A random moment: the time of a kill is what the test varies.
    const auto moment =
        std::chrono::steady_clock::now() + std::chrono::milliseconds(random() % 700);
    WaitFor([&] { return std::chrono::steady_clock::now() >= moment; });
    const bool task_manager = random() % 3 == 0;
    const auto processes = cluster_->Processes(task_manager ? "taskmanager" : "task-executor");
    if (processes.empty()) {
      --kills;
      continue;
    }
    ExternalCluster::Kill(processes[random() % processes.size()]);
    if (task_manager) {
      const CommandResult started = cluster_->Script("taskmanager.sh", {"start"});
      ASSERT_EQ(started.exit_code, 0) << started.out << started.err << cluster_->Logs();
    }
    ASSERT_NE(cluster_->JobState(*job), "FINISHED")
        << "the job was over after " << kills << " kills";
  }
  ASSERT_TRUE(cluster_->WaitForJobState(*job, "FINISHED", std::chrono::minutes(3)))
      << cluster_->JobState(*job) << cluster_->Logs();
  ExpectExactOutput();
}

INSTANTIATE_TEST_SUITE_P(Shapes, WordCountTest,
                         ::testing::Values(Shape{1, 1}, Shape{2, 1}, Shape{4, 1}, Shape{1, 2},
                                           Shape{2, 2}, Shape{4, 2}),
                         NameOf);

}  // namespace
}  // namespace flink::testing
