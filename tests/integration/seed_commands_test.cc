/// Every command line that the pages about savepoints, from Flink 1.1 to 2.x, have their reader
/// type, typed here as it stands there and judged by what it does. What stands there for a job, a
/// directory or a savepoint is a word in capitals; app.jar stands for a job library.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <sstream>

#include "tests/integration/lifecycle_fixture.h"
#include "tests/integration/word_count_output.h"

namespace flink::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::StartsWith;

/// What remote file systems and YARN say: one sentence, exit code 1.
constexpr char kNotThereYet[] = "there yet";

class SeedCommandsTest : public LifecycleTest {
 protected:
  /// A job that counts until it is ended.
  static std::string EndlessJob(const std::string& output) {
    const auto job = cluster_->RunDetached(Settings() + Checkpoints("100 ms") +
                                           Counting(output, 2000, 100'000'000));
    EXPECT_TRUE(job.ok()) << Message(job.status());
    if (!job.ok()) return "";
    EXPECT_TRUE(WaitFor([&] { return RecordsRead(*job) > 500; })) << cluster_->Logs();
    return *job;
  }

  /// Types a line as it stands in the page, with these meanings of its words.
  static CommandResult Type(const std::string& line, std::map<std::string, std::string> meaning) {
    std::istringstream in(line);
    Words words;
    for (std::string word; in >> word;) {
      if (words.empty() && (word == "flink" || word == "bin/flink")) {
        words.push_back("flink");
      } else if (word == "ARGS") {
        const Words all = Counting(meaning["ARGS"], 0);
        words.insert(words.end(), all.begin() + 1, all.end());
      } else {
        for (const auto& [name, value] : meaning) {
          const size_t at = word.find(name);
          if (at != std::string::npos && !name.empty()) word.replace(at, name.size(), value);
        }
        words.push_back(word);
      }
    }
    EXPECT_EQ(words.front(), "flink") << line;
    return cluster_->Flink(Words(words.begin() + 1, words.end()));
  }

  /// The savepoint that the command says it took; it lies below `parent`.
  static std::string Taken(const CommandResult& result, const std::string& parent) {
    EXPECT_EQ(result.exit_code, 0) << result.out << result.err << cluster_->Logs();
    const std::string path = SavepointPathIn(result.out);
    EXPECT_THAT(path, StartsWith("file:" + parent + "/savepoint-")) << result.out;
    std::string local = path.substr(std::min<size_t>(5, path.size()));
    EXPECT_TRUE(fs::exists(local + "/_metadata")) << local;
    return local;
  }
};

// flink-surface §4.1 no. 3.
TEST_F(SeedCommandsTest, AJobIsListedAndItsSavepointsAreTaken) {
  const std::string job = EndlessJob("out");
  const CommandResult list = Type("flink list", {});
  EXPECT_EQ(list.exit_code, 0);
  EXPECT_THAT(list.out, HasSubstr(" : " + job + " : " + TestName() + " (RUNNING)\n"));
  EXPECT_THAT(list.out, HasSubstr("No scheduled jobs."));

  // The directory that is configured, then the one that is named.
  for (const char* line : {"flink savepoint JOB", "bin/flink savepoint --type canonical JOB",
                           "bin/flink savepoint --type native JOB"}) {
    SCOPED_TRACE(line);
    Taken(Type(line, {{"JOB", job}}), Dir("sp"));
  }
  for (const char* line :
       {"bin/flink savepoint JOB DIRECTORY", "bin/flink savepoint --type canonical JOB DIRECTORY",
        "bin/flink savepoint --type native JOB DIRECTORY"}) {
    SCOPED_TRACE(line);
    Taken(Type(line, {{"JOB", job}, {"DIRECTORY", Dir("other")}}), Dir("other"));
  }
  EXPECT_EQ(cluster_->JobState(job), "RUNNING");
}

TEST_F(SeedCommandsTest, ADetachedSavepointIsPolledByItsTrigger) {
  const std::string job = EndlessJob("out");
  for (const char* line : {"bin/flink savepoint JOB -detached", "flink savepoint --detached JOB",
                           "bin/flink savepoint JOB DIRECTORY -detached"}) {
    SCOPED_TRACE(line);
    const CommandResult result = Type(line, {{"JOB", job}, {"DIRECTORY", Dir("other")}});
    ASSERT_EQ(result.exit_code, 0) << result.out << result.err;
    const std::string mark = "triggerId: ";
    const size_t at = result.out.find(mark);
    ASSERT_NE(at, std::string::npos) << result.out;
    const std::string trigger = result.out.substr(at + mark.size(), 32);
    CommandResult status;
    ASSERT_TRUE(WaitFor([&] {
      status = Type("flink savepoint --status TRIGGER JOB", {{"TRIGGER", trigger}, {"JOB", job}});
      return status.exit_code != 2;  // In progress.
    }));
    const bool named = std::string(line).find("DIRECTORY") != std::string::npos;
    Taken(status, named ? Dir("other") : Dir("sp"));
    EXPECT_THAT(cluster_->Get("/jobs/" + job + "/savepoints/" + trigger)->dump(),
                HasSubstr("COMPLETED"));
  }
}

// Recorded 84; a relative path is that of whoever types it, wherever the JobManager was started.
TEST_F(SeedCommandsTest, RelativePathsAreTakenFromTheWorkingDirectoryOfTheClient) {
  const std::string job = EndlessJob("out");
  fs::create_directories(Dir("here"));
  const auto type = [](const Words& words) {
    return RunCommand(Words{cluster_->home() + "/bin/flink"} + words, std::chrono::minutes(2),
                      Dir("here"));
  };
  const std::string relative = "relative/dir";
  const std::string absolute = Dir("here") + "/" + relative;
  const std::string first = Taken(type({"savepoint", job, relative}), absolute);
  const std::string name = relative + "/" + fs::path(first).filename().string();
  const CommandResult disposed = type({"savepoint", "-d", name});
  EXPECT_EQ(disposed.exit_code, 0) << disposed.err;
  EXPECT_EQ(disposed.out, "Disposing savepoint '" + name +
                              "'.\nWaiting for response...\nSavepoint '" + name + "' disposed.\n");
  EXPECT_FALSE(fs::exists(first));
  const std::string last = Taken(type({"stop", "-p", relative, job}), absolute);
  const std::string from = relative + "/" + fs::path(last).filename().string() + "/_metadata";
  const CommandResult restored =
      type(Words{"run", "-d", "-s", from, "-Dexecution.checkpointing.dir=chk",
                 "-Dstate.savepoints.dir=sp"} +
           Counting("restored", 2000, 100'000'000));
  ASSERT_EQ(restored.exit_code, 0) << restored.err;
  const std::string second = LivingJob();
  EXPECT_TRUE(fs::is_directory(Dir("here") + "/chk/" + second));
  Taken(type({"savepoint", second}), Dir("here") + "/sp");
  Taken(type({"cancel", "-s", "last", second}), Dir("here") + "/last");
}

TEST_F(SeedCommandsTest, JobsAreCancelledAndStoppedWithASavepoint) {
  const std::map<std::string, std::string> lines = {
      {"flink cancel -s JOB", "CANCELED"},
      {"flink cancel -s DIRECTORY JOB", "CANCELED"},
      {"bin/flink stop --type canonical --savepointPath JOB", "FINISHED"},
      {"bin/flink stop --type canonical --savepointPath DIRECTORY JOB", "FINISHED"},
      {"flink stop --savepointPath DIRECTORY JOB", "FINISHED"}};
  int number = 0;
  for (const auto& [line, state] : lines) {
    SCOPED_TRACE(line);
    const std::string job = EndlessJob("out" + std::to_string(number++));
    const bool named = line.find("DIRECTORY") != std::string::npos;
    Taken(Type(line, {{"JOB", job}, {"DIRECTORY", Dir("other")}}),
          named ? Dir("other") : Dir("sp"));
    EXPECT_TRUE(cluster_->WaitForJobState(job, state)) << cluster_->Logs();
  }
}

TEST_F(SeedCommandsTest, WhatIsNotThereYetSaysSoAndDisturbsNothing) {
  const std::string job = EndlessJob("out");
  for (const char* line :
       {"bin/flink savepoint JOB DIRECTORY -yid application_1_0001",
        "bin/flink savepoint JOB -yid application_1_0001",
        "flink savepoint JOB s3://my-bucket/savepoints/", "flink cancel -s hdfs:///savepoints JOB",
        "flink stop --savepointPath s3://my-bucket/savepoints/ JOB",
        "flink run -s s3://my-bucket/savepoints/savepoint-abc123 APP ARGS",
        "flink savepoint dispose s3://my-bucket/savepoints/savepoint-abc123",
        "flink list -m yarn-cluster", "flink list -yid application_1_0001"}) {
    SCOPED_TRACE(line);
    ExpectRefused(
        Type(line,
             {{"JOB", job}, {"DIRECTORY", Dir("other")}, {"APP", TestJob()}, {"ARGS", "none"}}),
        kNotThereYet);
  }
  EXPECT_EQ(cluster_->JobState(job), "RUNNING");
  EXPECT_FALSE(fs::exists(Dir("other")));
}

TEST_F(SeedCommandsTest, JobsResumeFromSavepointsAndAreDisposedOf) {
  const std::string job = RunningJob(
      {"-Dexecution.checkpointing.externalized-checkpoint-retention=RETAIN_ON_CANCELLATION"}, 1000);
  ASSERT_EQ(cluster_->Flink({"checkpoint", job}).exit_code, 0) << cluster_->Logs();
  const auto native = [&] {
    return Taken(Type("flink savepoint --type native JOB", {{"JOB", job}}), Dir("sp"));
  };
  const std::string first = native();
  const std::string second = native();
  const std::string third = native();
  Cancel(job);
  fs::copy(TestJob(), Dir("app.jar"));
  int number = 0;
  const auto resume = [&](const std::string& line, const std::string& snapshot) {
    SCOPED_TRACE(line);
    const std::string output = "resumed" + std::to_string(number++);
    const CommandResult run =
        Type(line, {{"SNAPSHOT", snapshot}, {"app.jar", Dir("app.jar")}, {"ARGS", output}});
    EXPECT_EQ(run.exit_code, 0) << run.out << run.err << cluster_->Logs();
    EXPECT_THAT(run.out, HasSubstr("Program execution finished"));
    EXPECT_EQ(CheckCounts({Dir("out"), Dir(output)}, kCount), "");
  };
  // First the one that names least of the output: a restored job commits what its snapshot names.
  resume("flink run -s SNAPSHOT app.jar ARGS", Dir("chk/") + job + "/chk-1");
  resume("flink run -s SNAPSHOT app.jar ARGS", "file://" + first);
  resume("bin/flink run -s SNAPSHOT app.jar ARGS", first + "/_metadata");
  resume("bin/flink run -s SNAPSHOT -n app.jar ARGS", first);
  resume("bin/flink run -s SNAPSHOT --allowNonRestoredState app.jar ARGS", first);
  resume("bin/flink run -s SNAPSHOT -claimMode NO_CLAIM app.jar ARGS", first);
  EXPECT_TRUE(fs::exists(first + "/_metadata"));
  resume("bin/flink run -s SNAPSHOT -restoreMode LEGACY app.jar ARGS", first);
  resume("bin/flink run -s SNAPSHOT -claimMode CLAIM app.jar ARGS", first);

  for (const auto& [line, path] :
       std::map<std::string, std::string>{{"bin/flink savepoint -d SNAPSHOT", second},
                                          {"flink savepoint dispose SNAPSHOT", "file:" + third}}) {
    SCOPED_TRACE(line);
    const CommandResult disposed = Type(line, {{"SNAPSHOT", path}});
    EXPECT_EQ(disposed.exit_code, 0) << disposed.err;
    EXPECT_THAT(disposed.out, HasSubstr("Savepoint '" + path + "' disposed.\n"));
  }
  EXPECT_FALSE(fs::exists(second));
  EXPECT_FALSE(fs::exists(third));
}

TEST_F(SeedCommandsTest, EveryNameOfTheSavepointDirectoryIsHonouredAndTheOldOnesAreReported) {
  const Words names = {"execution.checkpointing.savepoint-dir", "state.savepoints.dir",
                       "savepoints.state.backend.fs.dir",
                       "savepoints.state.backend.fs.checkpointdir"};
  for (const std::string& name : names) {
    SCOPED_TRACE(name);
    const auto job =
        cluster_->RunDetached(Words{"-Dsavepoints.state.backend=filesystem",
                                    "-Dstate.checkpoints.dir=file://" + Dir("ext-checkpoints"),
                                    "-D" + name + "=file://" + Dir(name)} +
                              Counting(name + "-out", 2000, 100'000'000));
    ASSERT_TRUE(job.ok()) << Message(job.status());
    ASSERT_TRUE(WaitFor([&] { return RecordsRead(*job) > 500; })) << cluster_->Logs();
    Taken(Type("flink cancel -s JOB", {{"JOB", *job}}), Dir(name));
    EXPECT_TRUE(fs::exists(Dir("ext-checkpoints")));
    ExpectRefused(cluster_->Flink(Words{"run", "-D" + name + "=hdfs:///flink/savepoints"} +
                                  Counting("none", 0)),
                  "execution.checkpointing.savepoint-dir");
  }
  std::string log;
  for (const std::string& file : Entries(cluster_->home() + "/log")) {
    std::ifstream in(cluster_->home() + "/log/" + file);
    log.append(std::istreambuf_iterator<char>(in), {});
  }
  for (size_t i = 1; i < names.size(); ++i) {
    EXPECT_THAT(log, HasSubstr("the configuration key \"" + names[i] + "\" is deprecated; use \"" +
                               names[0] + "\""));
  }
  EXPECT_THAT(log, HasSubstr("the configuration key \"savepoints.state.backend\""));
}

}  // namespace
}  // namespace flink::testing
