/// The verbs that end a job, and what they leave.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>

#include "tests/integration/lifecycle_fixture.h"
#include "tests/integration/word_count_output.h"

namespace flink::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::MatchesRegex;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;

using StopAndCancelTest = LifecycleTest;

// flink-surface §4.5 no. 78.
TEST_F(StopAndCancelTest, CancelTwiceIsFineAndAFinishedJobCannotBeCancelled) {
  const std::string job = RunningJob(Checkpoints("100 ms"));
  for (int i = 0; i < 2; ++i) {
    const CommandResult result = cluster_->Flink({"cancel", job});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(result.out, Recorded("Cancelling job JOB.\nCancelled job JOB.\n", job));
    ASSERT_TRUE(cluster_->WaitForJobState(job, "CANCELED")) << cluster_->Logs();
  }
  const auto finished = cluster_->RunDetached(Counting("finished", 0, 1000));
  ASSERT_TRUE(finished.ok()) << Message(finished.status());
  ASSERT_TRUE(cluster_->WaitForJobState(*finished, "FINISHED")) << cluster_->Logs();
  const CommandResult late = cluster_->Flink({"cancel", *finished});
  EXPECT_EQ(late.out, "Cancelling job " + *finished + ".\n");
  ExpectRefused(late, "Could not cancel job " + *finished);
  EXPECT_THAT(late.err, HasSubstr("Job cancellation failed because the job has already reached "
                                  "another terminal state (FINISHED)."));
  const CommandResult list = cluster_->Flink({"list", "-a"});
  EXPECT_EQ(list.exit_code, 0);
  const size_t at =
      list.out.find("---------------------- Terminated Jobs -----------------------\n");
  ASSERT_NE(at, std::string::npos) << list.out;
  EXPECT_THAT(list.out.substr(at),
              AllOf(HasSubstr(" : " + job + " : " + TestName() + " (CANCELED)\n"),
                    HasSubstr(" : " + *finished + " : " + TestName() + " (FINISHED)\n")));
  EXPECT_THAT(cluster_->Flink({"list"}).out,
              AllOf(Not(HasSubstr(job)), Not(HasSubstr("Terminated"))));
  // What needs a living job.
  for (const Words& words :
       {Words{"savepoint", *finished, Dir("sp")}, Words{"stop", "-p", Dir("sp"), *finished},
        Words{"checkpoint", *finished}}) {
    ExpectRefused(cluster_->Flink(words), "Could not find Flink job (" + *finished + ")");
  }
}

// flink-surface §4.5 no. 74, 77.
TEST_F(StopAndCancelTest, AFailedSavepointLeavesTheJobRunningAndNothingIsCountedTwice) {
  const std::string job = RunningJob(Checkpoints("100 ms"), 1000);
  fs::create_directories(Dir(""));
  std::ofstream(Dir("file")) << "x";
  const std::string below = Dir("file/sp");
  for (const Words& words : {Words{"stop", "-p", below, job}, Words{"cancel", "-s", below, job},
                             Words{"cancel", job, "-s", below}}) {
    ExpectRefused(cluster_->Flink(words), "Failed to create savepoint directory at " + below);
    EXPECT_EQ(cluster_->JobState(job), "RUNNING");
    const int before = CompletedCheckpoints(job);
    EXPECT_TRUE(WaitFor([&] { return CompletedCheckpoints(job) > before; })) << cluster_->Logs();
  }
  const CommandResult stop = cluster_->Flink({"stop", job});
  ASSERT_EQ(stop.exit_code, 0) << stop.out << stop.err << cluster_->Logs();
  RunToTheEnd({"-s", SavepointPathIn(stop.out)}, "rest");
  EXPECT_EQ(CheckCounts({Dir("out"), Dir("rest")}, kCount), "");
}

// Recorded of Flink 1.20: any positional argument is the job's id, else the value of -s is.
TEST_F(StopAndCancelTest, CancelWithSavepointTakesItsDirectoryBeforeOrBehindTheJob) {
  struct Case {
    Words words;  ///< JOB and DIRECTORY stand for themselves.
    std::string format = "CANONICAL";
  };
  int number = 0;
  for (const Case& c : {Case{{"cancel", "JOB", "-s"}}, Case{{"cancel", "JOB", "-s", "DIRECTORY"}},
                        Case{{"cancel", "-s", "DIRECTORY", "-type", "native", "JOB"}, "NATIVE"}}) {
    const auto job = cluster_->RunDetached(
        Settings() + Counting("out" + std::to_string(number++), 2000, 100'000'000));
    ASSERT_TRUE(job.ok()) << Message(job.status());
    ASSERT_TRUE(WaitFor([&] { return RecordsRead(*job) > 0; })) << cluster_->Logs();
    Words words = c.words;
    std::replace(words.begin(), words.end(), std::string("JOB"), *job);
    const bool named = std::count(words.begin(), words.end(), "DIRECTORY") == 1;
    std::replace(words.begin(), words.end(), std::string("DIRECTORY"), Dir("named"));
    const CommandResult result = cluster_->Flink(words);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_THAT(result.out,
                MatchesRegex(Recorded("DEPRECATION WARNING: Cancelling a job with savepoint is "
                                      "deprecated\\. Use \"stop\" instead\\.\n"
                                      "Cancelling job JOB with ",
                                      *job) +
                             c.format + " savepoint to " +
                             (named ? Dir("named") : "default savepoint directory") +
                             Recorded("\\.\nCancelled job JOB\\. Savepoint stored in file:", *job) +
                             (named ? Dir("named") : Dir("sp")) + "/savepoint-" +
                             job->substr(0, 6) + "-[0-9a-f]+\\.\n"));
    EXPECT_TRUE(cluster_->WaitForJobState(*job, "CANCELED")) << cluster_->Logs();
  }
}

TEST_F(StopAndCancelTest, StopFinishesTheJobAndItsAttachedClientAndTheRestIsCountedExactlyOnce) {
  auto run = Attached(Words{"run"} + Settings() + Checkpoints("100 ms") + Words{"-p", "2"} +
                      Counting("out", 5000));
  ASSERT_TRUE(WaitFor([&] { return CompletedCheckpoints(LivingJob()) > 1; })) << cluster_->Logs();
  const std::string job = LivingJob();
  const CommandResult stop = cluster_->Flink({"stop", job});
  ASSERT_EQ(stop.exit_code, 0) << stop.out << stop.err << cluster_->Logs();
  EXPECT_THAT(stop.out, StartsWith(Recorded("Suspending job \"JOB\" with a CANONICAL savepoint.\n"
                                            "Triggering stop-with-savepoint for job JOB.\n"
                                            "Waiting for response...\n"
                                            "Savepoint completed. Path: file:",
                                            job) +
                                   Dir("sp") + "/savepoint-" + job.substr(0, 6) + "-"));
  EXPECT_EQ(cluster_->JobState(job), "FINISHED");
  const CommandResult client = run.get();
  EXPECT_EQ(client.exit_code, 0) << client.out << client.err;
  EXPECT_THAT(client.out, AllOf(HasSubstr("Job has been submitted with JobID " + job + "\n"),
                                HasSubstr("Program execution finished\nJob with JobID " + job +
                                          " has finished.\nJob Runtime: ")));
  const size_t before = CommittedLines(Dir("out")).size();
  EXPECT_GT(before, 0u);
  EXPECT_LT(before, static_cast<size_t>(kCount));

  // Once more: -p with a directory, and a job that runs from a savepoint already.
  const std::string path = SavepointPathIn(stop.out);
  const auto second = cluster_->RunDetached(Words{"-s", path} + Settings() + Checkpoints("100 ms") +
                                            Counting("out", 10'000));
  ASSERT_TRUE(second.ok()) << Message(second.status());
  ASSERT_TRUE(WaitFor([&] { return CompletedCheckpoints(*second) > 1; })) << cluster_->Logs();
  const CommandResult again = cluster_->Flink({"stop", "-p", Dir("named"), *second});
  ASSERT_EQ(again.exit_code, 0) << again.out << again.err << cluster_->Logs();
  EXPECT_THAT(again.out, HasSubstr("Savepoint completed. Path: file:" + Dir("named") +
                                   "/savepoint-" + second->substr(0, 6) + "-"));
  EXPECT_EQ(cluster_->JobState(*second), "FINISHED");
  EXPECT_GT(CommittedLines(Dir("out")).size(), before);
  RunToTheEnd(Words{"-p", "3", "-s", SavepointPathIn(again.out)} + Checkpoints("100 ms"), "out");
  EXPECT_EQ(CheckCounts({Dir("out")}, kCount), "");
}

TEST_F(StopAndCancelTest, AStoppedWordCountCountsTheRestExactlyOnceAfterItsSavepoint) {
  if (!BooksArePresent()) GTEST_SKIP() << "the books are not beside the source tree";
  const std::string books = UnpackBooks(Dir("input"));
  const Words settings = Settings() + Checkpoints("100 ms");
  const Words program = {cluster_->Example("WordCount"), "--input", books, "--output", Dir("out")};
  const auto job =
      cluster_->RunDetached(settings + Words{"-p", "2"} + program + Words{"--rate", "20000"});
  ASSERT_TRUE(job.ok()) << Message(job.status());
  ASSERT_TRUE(WaitFor([&] { return HasCommittedLines(Dir("out")); })) << cluster_->Logs();
  const CommandResult stop = cluster_->Flink({"stop", *job});
  ASSERT_EQ(stop.exit_code, 0) << stop.out << stop.err << cluster_->Logs();
  EXPECT_THAT(DifferencesFromTruth(Dir("out")), Not(IsEmpty()));
  const CommandResult run = cluster_->Flink(
      Words{"run", "-s", SavepointPathIn(stop.out), "-p", "3"} + settings + program);
  ASSERT_EQ(run.exit_code, 0) << run.out << run.err << cluster_->Logs();
  EXPECT_THAT(DifferencesFromTruth(Dir("out")), IsEmpty());
}

// SavepointITCase, testStopWithSavepointFailsOverToSavepoint (4): a sink that throws when it hears
// that the savepoint of the stop is complete. Flink-surface §4.5 no. 75.
TEST_F(StopAndCancelTest, AStopWhoseOutputCannotBePublishedFailsAndNamesTheSavepointToGoOnFrom) {
  const std::string job = RunningJob(Checkpoints("1 h"), 2000);
  Words begun;
  ASSERT_TRUE(WaitFor([&] { return !(begun = Entries(Dir("out"), ".part-" + job)).empty(); }));
  ASSERT_THAT(begun, SizeIs(1));
  const size_t suffix = std::string(".part-").size() + job.size();
  const std::string end = ".inprogress";
  ASSERT_TRUE(begun[0].ends_with(end)) << begun[0];
  const std::string taken = Dir("out/") + "part-" + job.substr(0, 8) +
                            begun[0].substr(suffix, begun[0].size() - suffix - end.size());
  std::ofstream(taken) << "of somebody else\n";
  const CommandResult stop = cluster_->Flink({"stop", job});
  const std::string mark = "A savepoint has been created at: file:";
  ExpectRefused(stop, mark + Dir("sp/savepoint-"));
  EXPECT_THAT(stop.err, HasSubstr(", but the corresponding job " + job +
                                  " failed during stopping. The savepoint is consistent"));
  EXPECT_TRUE(cluster_->WaitForJobState(job, "FAILED")) << cluster_->Logs();
  const size_t begin = stop.err.find(mark) + mark.size();
  const std::string path = stop.err.substr(begin, stop.err.find(',', begin) - begin);
  fs::remove(taken);
  RunToTheEnd({"-s", path}, "out");
  EXPECT_EQ(CheckCounts({Dir("out")}, kCount), "");
}

struct LifecycleOutput {
  std::map<std::string, int> records;  // By key.
  std::map<std::string, int> totals;   // That the timers told.
  int ends = 0;                        // Calls of the hook at the end of input.
};
LifecycleOutput ReadLifecycleOutput(const std::string& directory) {
  LifecycleOutput output;
  for (const std::string& line : CommittedLines(directory)) {
    if (line == "end") {
      ++output.ends;
    } else if (line.rfind("record,", 0) == 0) {
      ++output.records[line.substr(7)];
    } else {
      output.totals[line.substr(6, 1)] = std::atoi(line.c_str() + 8);
    }
  }
  return output;
}

// SavepointITCase 1 to 3, 14; flink-surface §4.5 no. 73.
TEST_F(StopAndCancelTest, StopWithDrainEndsAllOperatorsAndStopWithoutItNone) {
  const Words program = {"-p", "2", DrainJob(), "--count", "30000", "--name", TestName()};
  for (const bool drain : {false, true}) {
    const std::string output = drain ? "drained" : "suspended";
    const auto job = cluster_->RunDetached(Settings() + Checkpoints("100 ms") + program +
                                           Words{"--rate", "1000", "--output", Dir(output)});
    ASSERT_TRUE(job.ok()) << Message(job.status());
    ASSERT_TRUE(WaitFor([&] { return RecordsRead(*job) > 500; })) << cluster_->Logs();
    Words words = {"stop"};
    if (drain) words.push_back("--drain");
    words.push_back(*job);
    const CommandResult stop = cluster_->Flink(words);
    ASSERT_EQ(stop.exit_code, 0) << stop.out << stop.err << cluster_->Logs();
    EXPECT_THAT(stop.out, StartsWith((drain ? "Draining job \"" : "Suspending job \"") + *job +
                                     "\" with a CANONICAL savepoint.\n"));
    EXPECT_EQ(cluster_->JobState(*job), "FINISHED");
    const LifecycleOutput stopped = ReadLifecycleOutput(Dir(output));
    EXPECT_THAT(stopped.records, SizeIs(10));
    EXPECT_EQ(stopped.totals, drain ? stopped.records : (std::map<std::string, int>()));
    EXPECT_EQ(stopped.ends, drain ? 2 : 0);

    // The savepoint of a drain holds the state as any other: who resumes from it all the same reads
    // on, and what told of the end once does so again.
    const CommandResult run =
        cluster_->Flink(Words{"run", "-s", SavepointPathIn(stop.out)} + Settings() + program +
                        Words{"--output", Dir(output + "-rest")});
    ASSERT_EQ(run.exit_code, 0) << run.out << run.err << cluster_->Logs();
    const LifecycleOutput rest = ReadLifecycleOutput(Dir(output + "-rest"));
    EXPECT_EQ(rest.ends, 2);
    for (const auto& [key, count] : stopped.records) {
      EXPECT_EQ(count + rest.records.at(key), 3000) << key;
      EXPECT_EQ(rest.totals.at(key), 3000) << key;
    }
  }
}

}  // namespace
}  // namespace flink::testing
