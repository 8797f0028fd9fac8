/// The verbs that end, copy and revive a job: savepoint, checkpoint, stop, cancel, run -s, info.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <filesystem>
#include <future>
#include <map>
#include <set>

#include "tests/integration/word_count_output.h"
#include "tests/testing/external_cluster.h"

namespace flink::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::MatchesRegex;
using ::testing::Not;
using ::testing::SizeIs;
using ::testing::StartsWith;
using Words = std::vector<std::string>;

constexpr int kCount = 40'000;
constexpr char kIdPattern[] = "[0-9a-f]+";

const char* TestJob() { return FLINK_TEST_JOBS "/TestJob.so"; }
const char* DrainJob() { return FLINK_TEST_JOBS "/LifecycleJob.so"; }

Words operator+(Words left, const Words& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

/// The recorded text with the job's id for each JOB in it.
std::string Recorded(const std::string& text, const std::string& job) {
  std::string line = text;
  for (size_t at = line.find("JOB"); at != std::string::npos; at = line.find("JOB", at)) {
    line.replace(at, 3, job);
    at += job.size();
  }
  return line;
}

/// "key,n" for keys 0..99: each n from 1 to count/100 exactly once in all directories together.
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

class LifecycleTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    ExternalCluster::Options options;
    options.slots = 8;
    auto started = ExternalCluster::Start(options);
    ASSERT_TRUE(started.ok()) << Message(started.status());
    cluster_ = started->release();
  }
  static void TearDownTestSuite() {
    delete cluster_;
    cluster_ = nullptr;
  }
  void TearDown() override {
    if (cluster_ == nullptr) return;
    for (const auto& job : Jobs()) {
      const std::string id = job.value("jid", "");
      if (!IsOver(job.value("state", ""))) cluster_->Flink({"cancel", id});
      EXPECT_TRUE(WaitFor([&] { return IsOver(cluster_->JobState(id)); })) << cluster_->Logs();
    }
  }

  static bool IsOver(const std::string& state) {
    return state == "FINISHED" || state == "CANCELED" || state == "FAILED";
  }
  static nlohmann::json Jobs() {
    const auto overview = cluster_->Get("/jobs/overview");
    return overview.ok() ? (*overview)["jobs"] : nlohmann::json::array();
  }
  static std::string TestName() {
    return ::testing::UnitTest::GetInstance()->current_test_info()->name();
  }
  /// Every test has its own directories.
  static std::string Dir(const std::string& name) {
    return cluster_->File(TestName() + "/" + name);
  }
  static Words Checkpoints(const std::string& interval) {
    return {"-Dexecution.checkpointing.interval=" + interval};
  }
  static Words Settings() {
    return {"-Dexecution.checkpointing.dir=file://" + Dir("chk"),
            "-Dexecution.checkpointing.savepoint-dir=file://" + Dir("sp"),
            "-Drestart-strategy.type=fixed-delay", "-Drestart-strategy.fixed-delay.attempts=100",
            "-Drestart-strategy.fixed-delay.delay=10 ms"};
  }
  static Words Counting(const std::string& output, int rate, int count = kCount) {
    return {TestJob(),   "--case", "misbehave", "--count", std::to_string(count), "--output",
            Dir(output), "--name", TestName(),  "--rate",  std::to_string(rate)};
  }
  /// A counting job that has counted something.
  static std::string RunningJob(const Words& options, int rate = 10'000, int count = kCount) {
    const auto job = cluster_->RunDetached(Settings() + options + Counting("out", rate, count));
    EXPECT_TRUE(job.ok()) << Message(job.status());
    if (!job.ok()) return "";
    EXPECT_TRUE(WaitFor([&] { return RecordsRead(*job) > 500; })) << cluster_->Logs();
    return *job;
  }
  static int64_t RecordsRead(const std::string& job) {
    const auto answer = cluster_->Get("/jobs/" + job);
    if (!answer.ok()) return 0;
    int64_t records = 0;
    for (const auto& vertex : (*answer)["vertices"]) {
      records += vertex["metrics"].value("write-records", int64_t{0});
    }
    return records;
  }
  static nlohmann::json Restored(const std::string& job) {
    const auto answer = cluster_->Get("/jobs/" + job + "/checkpoints");
    return answer.ok() ? (*answer)["latest"]["restored"] : nlohmann::json();
  }
  static int CompletedCheckpoints(const std::string& job) {
    const auto answer = cluster_->Get("/jobs/" + job + "/checkpoints");
    return answer.ok() ? (*answer)["counts"]["completed"].get<int>() : 0;
  }
  /// The names in a directory that start so, sorted.
  static Words Entries(const std::string& directory, const std::string& prefix = "") {
    Words names;
    std::error_code error;
    for (fs::directory_iterator it(directory, error), end; !error && it != end;
         it.increment(error)) {
      const std::string name = it->path().filename().string();
      if (name.rfind(prefix, 0) == 0) names.push_back(name);
    }
    std::sort(names.begin(), names.end());
    return names;
  }
  /// One a line; also of a directory that is being removed, where iterators of C++ give up.
  static std::string FilesBelow(const std::string& directory) {
    return RunCommand({"find", directory, "-type", "f"}).out;
  }
  static std::string TakeSavepoint(const std::string& job) {
    const CommandResult result = cluster_->Flink({"savepoint", job});
    EXPECT_EQ(result.exit_code, 0) << result.out << result.err << cluster_->Logs();
    const std::string path = SavepointPathIn(result.out);
    return path.substr(std::min(path.size(), std::string("file:").size()));
  }
  static void Cancel(const std::string& job) {
    EXPECT_EQ(cluster_->Flink({"cancel", job}).exit_code, 0);
    EXPECT_TRUE(cluster_->WaitForJobState(job, "CANCELED")) << cluster_->Logs();
  }
  /// `flink run` attached, to the end of the job.
  static void RunToTheEnd(const Words& options, const std::string& output) {
    const CommandResult run =
        cluster_->Flink(Words{"run"} + Settings() + options + Counting(output, 0));
    EXPECT_EQ(run.exit_code, 0) << run.out << run.err << cluster_->Logs();
  }
  static std::future<CommandResult> Attached(const Words& words) {
    return std::async(std::launch::async,
                      [words] { return cluster_->Flink(words, std::chrono::seconds(30)); });
  }
  /// The living job of this test; empty when there is none.
  static std::string LivingJob() {
    for (const auto& job : Jobs()) {
      if (job["name"] == TestName() && job["state"] == "RUNNING") return job["jid"];
    }
    return "";
  }
  static void ExpectRefused(const CommandResult& result, const std::string& text) {
    EXPECT_EQ(result.exit_code, 1) << result.out << result.err;
    EXPECT_THAT(result.err, HasSubstr(text));
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
    EXPECT_THAT(result.err, Not(HasSubstr("Exception")));
  }

  static ExternalCluster* cluster_;
};
ExternalCluster* LifecycleTest::cluster_ = nullptr;

TEST_F(LifecycleTest, SavepointPrintsItsPathAndTheJobGoesOn) {
  const std::string job = RunningJob(Checkpoints("100 ms"), 2000);
  const std::string name = "savepoint-" + job.substr(0, 6) + "-[0-9a-f]+";
  const std::string lines =
      "Triggering savepoint for job " + job +
      "\\.\nWaiting for response\\.\\.\\.\nSavepoint completed\\. Path: file:";
  const std::string hint =
      "\nYou can resume your program from this savepoint with the run command\\.\n";
  for (const std::string& directory : {std::string(), Dir("other"), "file://" + Dir("uri")}) {
    Words words = {"savepoint", job};
    if (!directory.empty()) words.push_back(directory);
    const CommandResult result = cluster_->Flink(words);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    const std::string parent = directory.empty()                    ? Dir("sp")
                               : directory.rfind("file://", 0) == 0 ? Dir("uri")
                                                                    : directory;
    EXPECT_THAT(result.out, MatchesRegex(lines + parent + "/" + name + hint));
    const std::string path = SavepointPathIn(result.out).substr(5);
    EXPECT_EQ(fs::path(path).filename().string().size(), std::string("savepoint-").size() + 6 + 13);
    EXPECT_TRUE(fs::exists(path + "/_metadata")) << path;
    EXPECT_EQ(cluster_->JobState(job), "RUNNING");
  }
  const int64_t before = RecordsRead(job);
  EXPECT_TRUE(WaitFor([&] { return RecordsRead(job) > before; }));
}

TEST_F(LifecycleTest, AMovedSavepointRestoresByDirectoryAndFileWithAndWithoutScheme) {
  const std::string job = RunningJob({"-p", "2"});
  const std::string path = TakeSavepoint(job);
  Cancel(job);
  fs::create_directories(Dir("elsewhere"));
  fs::rename(Dir("sp"), Dir("elsewhere/moved"));
  const std::string moved = Dir("elsewhere/moved/") + fs::path(path).filename().string();
  int number = 0;
  for (const std::string& given :
       {moved, moved + "/_metadata", "file://" + moved, "file:" + moved + "/_metadata"}) {
    const std::string output = "restored" + std::to_string(number++);
    RunToTheEnd({"-s", given}, output);
    EXPECT_EQ(CheckCounts({Dir("out"), Dir(output)}, kCount), "") << given;
  }
}

TEST_F(LifecycleTest, TwoJobsRestoreOneSavepointAtOnce) {
  const std::string job = RunningJob(Checkpoints("1 h"));
  const std::string path = TakeSavepoint(job);
  Cancel(job);
  const Words start = Words{"run", "-s", path} + Settings() + Checkpoints("100 ms");
  auto first = Attached(start + Counting("first", 20'000));
  auto second = Attached(start + Words{"-p", "2"} + Counting("second", 20'000));
  for (auto* run : {&first, &second}) {
    const CommandResult result = run->get();
    EXPECT_EQ(result.exit_code, 0) << result.out << result.err << cluster_->Logs();
  }
  EXPECT_EQ(CheckCounts({Dir("out"), Dir("first")}, kCount), "");
  EXPECT_EQ(CheckCounts({Dir("out"), Dir("second")}, kCount), "");
  EXPECT_TRUE(fs::exists(path + "/_metadata"));
}

TEST_F(LifecycleTest, DisposeRemovesTheSavepointAndFailsTheSecondTime) {
  const std::string job = RunningJob({});
  const std::string path = TakeSavepoint(job);
  const std::string begin = "Disposing savepoint 'file:" + path + "'.\nWaiting for response...\n";
  const CommandResult first = cluster_->Flink({"savepoint", "-d", "file:" + path});
  EXPECT_EQ(first.exit_code, 0) << first.err;
  EXPECT_EQ(first.out, begin + "Savepoint 'file:" + path + "' disposed.\n");
  EXPECT_FALSE(fs::exists(path));
  const CommandResult second = cluster_->Flink({"savepoint", "-d", "file:" + path});
  EXPECT_EQ(second.out, begin);
  ExpectRefused(second, "Failed to dispose the savepoint 'file:" + path + "'");
  EXPECT_THAT(second.err, HasSubstr("Cannot find checkpoint or savepoint file/directory"));
  EXPECT_EQ(cluster_->JobState(job), "RUNNING");
}

TEST_F(LifecycleTest, CancelTwiceIsFineAndAFinishedJobCannotBeCancelled) {
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

TEST_F(LifecycleTest, StopFinishesTheJobAndItsAttachedClientAndTheRestIsCountedExactlyOnce) {
  auto run = Attached(Words{"run"} + Settings() + Checkpoints("100 ms") + Words{"-p", "2"} +
                      Counting("out", 5000));
  ASSERT_TRUE(WaitFor([&] { return CompletedCheckpoints(LivingJob()) > 1; })) << cluster_->Logs();
  const std::string job = LivingJob();
  const CommandResult stop = cluster_->Flink({"stop", job});
  ASSERT_EQ(stop.exit_code, 0) << stop.out << stop.err << cluster_->Logs();
  EXPECT_THAT(stop.out, StartsWith(Recorded("Suspending job \"JOB\" with a NATIVE savepoint.\n"
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

TEST_F(LifecycleTest, AStoppedWordCountCountsTheRestExactlyOnceAfterItsSavepoint) {
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

TEST_F(LifecycleTest, StopWithDrainLetsAllTimersFireAndStopWithoutItNone) {
  for (const bool drain : {false, true}) {
    const std::string output = drain ? "drained" : "suspended";
    const auto job =
        cluster_->RunDetached(Settings() + Checkpoints("100 ms") +
                              Words{"-p", "2", DrainJob(), "--count", "1000000", "--rate", "1000",
                                    "--name", TestName(), "--output", Dir(output)});
    ASSERT_TRUE(job.ok()) << Message(job.status());
    ASSERT_TRUE(WaitFor([&] { return RecordsRead(*job) > 500; })) << cluster_->Logs();
    Words words = {"stop"};
    if (drain) words.push_back("--drain");
    words.push_back(*job);
    const CommandResult stop = cluster_->Flink(words);
    ASSERT_EQ(stop.exit_code, 0) << stop.out << stop.err << cluster_->Logs();
    EXPECT_THAT(stop.out, StartsWith((drain ? "Draining job \"" : "Suspending job \"") + *job +
                                     "\" with a NATIVE savepoint.\n"));
    EXPECT_EQ(cluster_->JobState(*job), "FINISHED");
    std::map<std::string, int> records;
    std::map<std::string, int> totals;
    for (const std::string& line : CommittedLines(Dir(output))) {
      if (line.rfind("record,", 0) == 0) {
        ++records[line.substr(7)];
      } else {
        totals[line.substr(6, 1)] = std::atoi(line.c_str() + 8);
      }
    }
    EXPECT_THAT(records, SizeIs(10));
    EXPECT_EQ(totals, drain ? records : (std::map<std::string, int>()));
  }
}

TEST_F(LifecycleTest, CheckpointPrintsItsIdAndFullSaysSo) {
  const std::string job = RunningJob(Checkpoints("1 h"), 2000);
  const CommandResult first = cluster_->Flink({"checkpoint", job});
  EXPECT_EQ(first.exit_code, 0) << first.err << cluster_->Logs();
  const std::string begin = "Triggering checkpoint for job JOB.\nWaiting for response...\n";
  const std::string end =
      " for job JOB completed.\nYou can resume your program from this checkpoint with the run "
      "command.\n";
  EXPECT_EQ(first.out, Recorded(begin + "Checkpoint 1" + end, job));
  EXPECT_THAT(Entries(Dir("chk/") + job, "chk-"), ElementsAre("chk-1"));
  const CommandResult full = cluster_->Flink({"checkpoint", "--full", job});
  EXPECT_EQ(full.exit_code, 0) << full.err << cluster_->Logs();
  EXPECT_EQ(full.out, Recorded(begin + "Checkpoint(FULL) 2" + end, job));
  EXPECT_TRUE(fs::exists(Dir("chk/") + job + "/chk-2/_metadata"));
  EXPECT_EQ(cluster_->JobState(job), "RUNNING");
}

TEST_F(LifecycleTest, ARetainedCheckpointSurvivesCancelAndRestores) {
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
  EXPECT_EQ(FilesBelow(Dir("chk/") + *restored), "");
  ExpectRefused(cluster_->Flink(Words{"run", "-s", directory} + Counting("none", 0)),
                "Cannot find meta data file '_metadata' in directory '" + directory + "'");
}

TEST_F(LifecycleTest, AClaimedCheckpointGoesAwayWithTheNextOnes) {
  const std::string job = RunningJob(
      Checkpoints("100 ms") + Words{"-Dexecution.checkpointing.externalized-checkpoint-retention="
                                    "RETAIN_ON_CANCELLATION"});
  ASSERT_TRUE(WaitFor([&] { return CompletedCheckpoints(job) > 2; }));
  Cancel(job);
  const std::string directory = Dir("chk/") + job;
  const Words kept = Entries(directory, "chk-");
  ASSERT_THAT(kept, SizeIs(1));
  const auto claiming =
      cluster_->RunDetached(Words{"-s", directory + "/" + kept[0], "-claimMode", "CLAIM"} +
                            Settings() + Checkpoints("100 ms") + Counting("out", 20'000));
  ASSERT_TRUE(claiming.ok()) << Message(claiming.status());
  EXPECT_TRUE(WaitFor([&] { return Entries(directory, "chk-").empty(); }));
  ASSERT_TRUE(cluster_->WaitForJobState(*claiming, "FINISHED")) << cluster_->Logs();
  EXPECT_EQ(CheckCounts({Dir("out")}, kCount), "");
  EXPECT_EQ(FilesBelow(Dir("chk")), "");
}

TEST_F(LifecycleTest, CancelLeavesAsManyCheckpointsAsAreRetainedAndNoneWhenNoneIs) {
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
      EXPECT_EQ(FilesBelow(directory), "");
    }
  }
}

TEST_F(LifecycleTest, AChangedProgramIsRefusedByNameAndGoesWithAllowNonRestoredState) {
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

TEST_F(LifecycleTest, AnotherMaxParallelismAndTooMuchParallelismAreRefused) {
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

TEST_F(LifecycleTest, AJobKilledBeforeItsFirstCheckpointFallsBackToItsSavepoint) {
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

TEST_F(LifecycleTest, AfterItsFirstCheckpointARestoredJobNeedsItsSavepointNoMore) {
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

TEST_F(LifecycleTest, ADetachedSavepointPrintsItsTrigger) {
  const std::string job = RunningJob({}, 2000);
  const CommandResult result = cluster_->Flink({"savepoint", job, Dir("sp"), "-detached"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_THAT(result.out,
              MatchesRegex(Recorded("Triggering savepoint in detached mode for job JOB\\.\n"
                                    "Successfully trigger manual savepoint, triggerId: ",
                                    job) +
                           kIdPattern + "\n"));
  EXPECT_TRUE(WaitFor([&] {
    const Words names = Entries(Dir("sp"), "savepoint-");
    return names.size() == 1 && fs::exists(Dir("sp/") + names[0] + "/_metadata");
  })) << cluster_->Logs();
  const CommandResult stop = cluster_->Flink({"stop", "-detached", job});
  EXPECT_EQ(stop.exit_code, 0) << stop.err;
  EXPECT_THAT(
      stop.out,
      MatchesRegex(Recorded("Suspending job \"JOB\" with a NATIVE savepoint\\.\n"
                            "Triggering stop-with-savepoint in detached mode for job JOB\\.\n"
                            "Successfully trigger stop-with-savepoint in detached mode, "
                            "triggerId: ",
                            job) +
                   kIdPattern + "\n"));
  EXPECT_TRUE(cluster_->WaitForJobState(job, "FINISHED")) << cluster_->Logs();
}

TEST_F(LifecycleTest, AnInterruptedClientLeavesItsJobRunningUnlessToldOtherwise) {
  for (const bool end_with_client : {false, true}) {
    Words words = {"run"};
    if (end_with_client) words.push_back("-sae");
    auto run = Attached(words + Counting(end_with_client ? "two" : "one", 1000));
    ASSERT_TRUE(WaitFor([&] { return !LivingJob().empty(); })) << cluster_->Logs();
    const std::string job = LivingJob();
    const auto clients = cluster_->Processes("flink");
    ASSERT_THAT(clients, SizeIs(1));
    kill(clients.front(), SIGINT);
    const CommandResult client = run.get();
    EXPECT_NE(client.exit_code, 0);
    EXPECT_THAT(client.out, HasSubstr("Job has been submitted with JobID " + job + "\n"));
    EXPECT_THAT(client.err, HasSubstr(job));
    if (end_with_client) {
      EXPECT_TRUE(cluster_->WaitForJobState(job, "CANCELED")) << cluster_->Logs();
    } else {
      const int64_t before = RecordsRead(job);
      EXPECT_TRUE(WaitFor([&] { return RecordsRead(job) > before; })) << cluster_->Logs();
      EXPECT_EQ(cluster_->JobState(job), "RUNNING");
      Cancel(job);
    }
  }
}

TEST_F(LifecycleTest, InfoPrintsThePlan) {
  const CommandResult info = cluster_->Flink(Words{"info", "-p", "2"} + Counting("out", 0));
  EXPECT_EQ(info.exit_code, 0) << info.err;
  const std::string head = "----------------------- Execution Plan -----------------------\n";
  const std::string tail =
      "\n--------------------------------------------------------------\n\n"
      "No description provided.\n";
  ASSERT_THAT(info.out, AllOf(StartsWith(head), ::testing::EndsWith(tail)));
  const auto plan = nlohmann::json::parse(
      info.out.substr(head.size(), info.out.size() - head.size() - tail.size()));
  const auto& nodes = plan["nodes"];
  ASSERT_GT(nodes.size(), 3u) << info.out;
  EXPECT_EQ(nodes[0]["pact"], "Data Source");
  bool hashed = false;
  for (const auto& node : nodes) {
    EXPECT_EQ(node["parallelism"], 2);
    EXPECT_EQ(node["type"], node["contents"]);
    if (!node.contains("predecessors")) continue;
    EXPECT_EQ(node["pact"], "Operator");
    hashed = hashed || node["predecessors"][0]["ship_strategy"] == "HASH";
  }
  EXPECT_TRUE(hashed) << info.out;
}

}  // namespace
}  // namespace flink::testing
