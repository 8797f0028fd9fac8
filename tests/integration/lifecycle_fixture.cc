#include "tests/integration/lifecycle_fixture.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <map>
#include <set>

#include "tests/integration/word_count_output.h"

namespace flink::testing {

const char* TestJob() { return FLINK_TEST_JOBS "/TestJob.so"; }
const char* DrainJob() { return FLINK_TEST_JOBS "/LifecycleJob.so"; }

std::string Recorded(const std::string& text, const std::string& job) {
  std::string line = text;
  for (size_t at = line.find("JOB"); at != std::string::npos; at = line.find("JOB", at)) {
    line.replace(at, 3, job);
    at += job.size();
  }
  return line;
}

std::string CheckCounts(const Words& outputs, int count) {
  std::map<std::string, std::set<int>> got;
  int lines = 0;
  for (const std::string& output : outputs) {
    for (const std::string& line : CommittedLines(output)) {
      const size_t comma = line.find(',');
      if (!got[line.substr(0, comma)].insert(std::atoi(line.c_str() + comma + 1)).second) {
        return "twice: " + line;
      }
      ++lines;
    }
  }
  for (const auto& [key, numbers] : got) {
    if (*numbers.rbegin() != count / 100) {
      return key + " reaches " + std::to_string(*numbers.rbegin());
    }
  }
  return lines == count ? "" : std::to_string(lines) + " lines";
}

void LifecycleTest::SetUpTestSuite() {
  ExternalCluster::Options options;
  options.slots = 8;
  StartCluster(options);
}

Words LifecycleTest::Checkpoints(const std::string& interval) {
  return {"-Dexecution.checkpointing.interval=" + interval};
}

Words LifecycleTest::Settings() {
  return {"-Dexecution.checkpointing.dir=file://" + Dir("chk"),
          "-Dexecution.checkpointing.savepoint-dir=file://" + Dir("sp"),
          "-Drestart-strategy.type=fixed-delay", "-Drestart-strategy.fixed-delay.attempts=100",
          "-Drestart-strategy.fixed-delay.delay=10 ms"};
}

Words LifecycleTest::Counting(const std::string& output, int rate, int count) {
  return {TestJob(),   "--case", "misbehave", "--count", std::to_string(count), "--output",
          Dir(output), "--name", TestName(),  "--rate",  std::to_string(rate)};
}

std::string LifecycleTest::RunningJob(const Words& options, int rate, int count) {
  const auto job = cluster_->RunDetached(Settings() + options + Counting("out", rate, count));
  EXPECT_TRUE(job.ok()) << Message(job.status());
  if (!job.ok()) return "";
  EXPECT_TRUE(WaitFor([&] { return RecordsRead(*job) > 500; })) << cluster_->Logs();
  return *job;
}

int64_t LifecycleTest::RecordsRead(const std::string& job) {
  const auto answer = cluster_->Get("/jobs/" + job);
  if (!answer.ok()) return 0;
  int64_t records = 0;
  for (const auto& vertex : (*answer)["vertices"]) {
    records += vertex["metrics"].value("write-records", int64_t{0});
  }
  return records;
}

nlohmann::json LifecycleTest::Restored(const std::string& job) {
  const auto answer = cluster_->Get("/jobs/" + job + "/checkpoints");
  return answer.ok() ? (*answer)["latest"]["restored"] : nlohmann::json();
}

int LifecycleTest::CompletedCheckpoints(const std::string& job) {
  const auto answer = cluster_->Get("/jobs/" + job + "/checkpoints");
  return answer.ok() ? (*answer)["counts"]["completed"].get<int>() : 0;
}

std::string LifecycleTest::TakeSavepoint(const std::string& job) {
  const CommandResult result = cluster_->Flink({"savepoint", job});
  EXPECT_EQ(result.exit_code, 0) << result.out << result.err << cluster_->Logs();
  const std::string path = SavepointPathIn(result.out);
  return path.substr(std::min(path.size(), std::string("file:").size()));
}

void LifecycleTest::RunToTheEnd(const Words& options, const std::string& output) {
  const CommandResult run =
      cluster_->Flink(Words{"run"} + Settings() + options + Counting(output, 0));
  EXPECT_EQ(run.exit_code, 0) << run.out << run.err << cluster_->Logs();
}

std::future<CommandResult> LifecycleTest::Attached(const Words& words) {
  return std::async(std::launch::async,
                    [words] { return cluster_->Flink(words, std::chrono::seconds(30)); });
}

}  // namespace flink::testing
