/// Savepoints: taken, moved, restored by several jobs, disposed of.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "tests/integration/lifecycle_fixture.h"
#include "tests/integration/word_count_output.h"

namespace flink::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::MatchesRegex;
using ::testing::Not;
using ::testing::StartsWith;

using SavepointTest = LifecycleTest;

constexpr char kIdPattern[] = "[0-9a-f]+";

TEST_F(SavepointTest, SavepointPrintsItsPathAndTheJobGoesOn) {
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

// flink-surface §4.2 no. 30, §4.4 no. 58, §4.6 no. 80 (relocatable)
TEST_F(SavepointTest, AMovedSavepointRestoresByDirectoryAndFileWithAndWithoutScheme) {
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

// flink-surface §4.4 no. 62
TEST_F(SavepointTest, TwoJobsRestoreOneSavepointAtOnce) {
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

// flink-surface §4.2 no. 32. Only when asked for: without directory and storage ours go to a
// directory of the JobManager's, so that a job is not limited to what fits into metadata.
TEST_F(SavepointTest, WithTheStorageJobManagerAllStateIsInTheMetadata) {
  const Words files = {"_flink_cpp.json", "_metadata"};
  for (const char* backend : {"hashmap", "rocksdb"}) {
    const std::string job = RunningJob(
        Checkpoints("100 ms") + Words{"-Dexecution.checkpointing.storage=JobManager",
                                      std::string("-Dstate.backend.type=") + backend, "-p", "2"},
        2000);
    for (const char* type : {"canonical", "native"}) {
      const CommandResult taken = cluster_->Flink({"savepoint", "--type", type, job, Dir(backend)});
      ASSERT_EQ(taken.exit_code, 0) << taken.err;
      const std::string path = SavepointPathIn(taken.out).substr(5);
      EXPECT_EQ(Entries(path), files) << backend << " " << type;
    }
    EXPECT_EQ((*cluster_->Get("/jobs/" + job + "/checkpoints/config"))["checkpoint_storage"],
              "JobManagerCheckpointStorage");
    const CommandResult stopped = cluster_->Flink({"stop", job});
    ASSERT_EQ(stopped.exit_code, 0) << stopped.err;
    RunToTheEnd({"-s", SavepointPathIn(stopped.out)}, std::string("restored-") + backend);
    EXPECT_EQ(CheckCounts({Dir("out"), Dir(std::string("restored-") + backend)}, kCount), "");
    fs::remove_all(Dir("out"));
  }
}

// SavepointITCase, testTriggerSavepointAndResumeWithFileBasedCheckpoints (5): the directory holds
// the metadata, one file for each subtask with state, and our side file; dispose removes it.
// testTriggerSavepointWithoutCheckpointBaseLocations (13), testBaseLocationsNotInitialized (127): a
// job without periodic checkpoints can take one. Flink creates no checkpoint directory then; ours
// does, since it is probed when the job is submitted, but nothing is written into it.
TEST_F(SavepointTest, DisposeRemovesTheSavepointAndFailsTheSecondTime) {
  const std::string job =
      RunningJob({"-p", "3", "-Dexecution.checkpointing.data-inline-threshold=0"}, 2000);
  const std::string path = TakeSavepoint(job);
  const Words files = Entries(path);
  EXPECT_EQ(std::count(files.begin(), files.end(), "_metadata"), 1);
  EXPECT_EQ(std::count(files.begin(), files.end(), "_flink_cpp.json"), 1);
  // Of the source, the count, and the sink's writer and committer.
  EXPECT_EQ(files.size(), 2u + 4 * 3) << FilesBelow(path);
  const std::string checkpoints = Dir("chk/") + job;
  EXPECT_EQ(FilesBelow(checkpoints), checkpoints + "/_flink_cpp_lock\n");
  const std::string begin = "Disposing savepoint 'file:" + path + "'.\nWaiting for response...\n";
  const CommandResult first = cluster_->Flink({"savepoint", "-d", "file:" + path, "surplus"});
  EXPECT_EQ(first.exit_code, 0) << first.err;
  EXPECT_EQ(first.err, "Provided more arguments than required. Ignoring not needed arguments.\n");
  EXPECT_EQ(first.out, begin + "Savepoint 'file:" + path + "' disposed.\n");
  EXPECT_FALSE(fs::exists(path));
  const CommandResult second = cluster_->Flink({"savepoint", "-d", "file:" + path});
  EXPECT_EQ(second.out, begin);
  ExpectRefused(second, "Failed to dispose the savepoint 'file:" + path +
                            "': Cannot find checkpoint or savepoint file/directory 'file:" + path +
                            "' on file system 'file'.\n");
  EXPECT_EQ(cluster_->JobState(job), "RUNNING");
  Cancel(job);
  EXPECT_TRUE(WaitFor([&] { return !fs::exists(checkpoints); })) << FilesBelow(checkpoints);
}

/// A job whose barriers are slow: records wait before a step that sleeps.
class SlowBarrierTest : public LifecycleTest {
 protected:
  static std::string SlowJob() {
    const auto job = cluster_->RunDetached(
        Settings() + Words{"-p", "2", TestJob(), "--case", "slow", "--count", "100000000",
                           "--bytes", "1000", "--pause-us", "200000", "--name", TestName(),
                           "--output", Dir("out")});
    EXPECT_TRUE(job.ok()) << Message(job.status());
    if (!job.ok()) return "";
    // Until the step in front of which they wait has something to do.
    EXPECT_TRUE(WaitFor([&] { return RecordsRead(*job) > 5000; })) << cluster_->Logs();
    return *job;
  }
  static std::string TriggerIn(const std::string& out) {
    const std::string mark = "triggerId: ";
    const size_t at = out.find(mark);
    return at == std::string::npos ? "" : out.substr(at + mark.size(), 32);
  }
};

TEST_F(SlowBarrierTest, TheStatusOfATriggerIsTheExitCode) {
  const std::string job = SlowJob();
  const auto status = [&](const std::string& trigger) {
    return cluster_->Flink({"savepoint", "--status", trigger, job});
  };
  const CommandResult detached = cluster_->Flink({"savepoint", "-detached", job});
  ASSERT_EQ(detached.exit_code, 0) << detached.err;
  const std::string trigger = TriggerIn(detached.out);
  const CommandResult first = status(trigger);
  EXPECT_EQ(first.exit_code, 2) << first.out << first.err;
  const std::string progress =
      "Savepoint in progress: [0-3] of 4 subtasks acknowledged, [0-9.]+ (B|KiB)\\.\n";
  EXPECT_THAT(first.out, MatchesRegex(progress));
  CommandResult last;
  ASSERT_TRUE(
      WaitFor([&] { return (last = status(trigger)).exit_code != 2; }, std::chrono::seconds(60)));
  EXPECT_EQ(last.exit_code, 0) << last.err;
  EXPECT_THAT(last.out, StartsWith("Savepoint completed. Path: file:" + Dir("sp") + "/savepoint-"));

  std::ofstream(Dir("file")) << "x";
  const CommandResult failing = cluster_->Flink({"savepoint", "-detached", job, Dir("file/sp")});
  ASSERT_EQ(failing.exit_code, 0) << failing.err;
  ASSERT_TRUE(WaitFor([&] { return (last = status(TriggerIn(failing.out))).exit_code != 2; }));
  ExpectRefused(last,
                "Savepoint failed: Failed to create savepoint directory at " + Dir("file/sp"));
  ExpectRefused(status("0123456789abcdef0123456789abcdef"),
                "There is no savepoint operation with triggerId=0123456789abcdef0123456789abcdef "
                "for job " +
                    job);
  // Each is told its own, also the one that waits for the other.
  const CommandResult stop = cluster_->Flink({"stop", "-detached", job});
  const CommandResult waiting = cluster_->Flink({"savepoint", "-detached", job});
  EXPECT_EQ(status(TriggerIn(waiting.out)).out,
            "Savepoint in progress: waits for the snapshots before it.\n");
  EXPECT_THAT(status(TriggerIn(stop.out)).out, MatchesRegex(progress));
}

TEST_F(SavepointTest, DisposeSaysOnceWhatIsWrongAndWhatStays) {
  const std::string job = RunningJob({}, 2000);
  const std::string path = TakeSavepoint(job);
  Cancel(job);
  const std::string metadata = path + "/_metadata";
  fs::rename(metadata, path + "/kept");
  std::ofstream(metadata) << "damaged";
  const CommandResult refused = cluster_->Flink({"savepoint", "-d", path});
  ExpectRefused(refused, "Failed to dispose the savepoint '" + path +
                             "': it is left as it is, because its metadata cannot be read: ");
  EXPECT_THAT(refused.err, Not(HasSubstr("Could not dispose")));
  fs::rename(path + "/kept", metadata);
  std::ofstream(path + "/notes.txt") << "mine";
  const CommandResult disposed = cluster_->Flink({"savepoint", "-d", path});
  EXPECT_EQ(disposed.exit_code, 0) << disposed.err;
  EXPECT_THAT(disposed.out, HasSubstr("' disposed.\nThe directory " + path +
                                      " stays, because notes.txt is in it"));
}

TEST_F(SlowBarrierTest, ATerminalShowsHowFarASavepointIsAndAFileDoesNot) {
  const std::string job = SlowJob();
  const Words command = {cluster_->home() + "/bin/flink", "savepoint", job};
  const CommandResult terminal = RunCommand(
      Words{"python3", "-c",
            "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))"} +
      command);
  EXPECT_EQ(terminal.exit_code, 0) << terminal.out << terminal.err;
  EXPECT_THAT(terminal.out,
              ContainsRegex("\r\x1b\\[K[0-3] of 4 subtasks acknowledged, [0-9.]+ (B|KiB)"));
  EXPECT_THAT(terminal.out, ContainsRegex("\r\x1b\\[KSavepoint completed\\. Path: file:"));
  const CommandResult pipe = RunCommand(command);
  EXPECT_EQ(pipe.exit_code, 0) << pipe.err;
  EXPECT_THAT(pipe.out + pipe.err, Not(HasSubstr("acknowledged")));
  EXPECT_EQ(pipe.err, "");
  // What was taken and cannot be told on stdout is told on stderr.
  const CommandResult full =
      RunCommand(Words{"sh", "-c", "exec \"$@\" > /dev/full", "sh"} + command);
  EXPECT_EQ(full.exit_code, 1);
  EXPECT_THAT(full.err, HasSubstr("Savepoint completed. Path: file:"));
  const CommandResult closed = RunCommand(Words{"sh", "-c", "exec \"$@\" >&-", "sh"} + command);
  EXPECT_EQ(closed.exit_code, 1);
  EXPECT_THAT(closed.err, HasSubstr("Savepoint completed. Path: file:"));
}

TEST_F(SlowBarrierTest, AnInterruptedClientSaysWhatGoesOn) {
  const std::string job = SlowJob();
  const CommandResult result = RunCommand(
      {"python3", "-c",
       "import os, pty, sys\n"
       "typed = []\n"
       "def read(fd):\n"
       "  data = os.read(fd, 1024)\n"
       "  if b'acknowledged' in data and not typed: typed.append(os.write(fd, b'\\x03'))\n"
       "  return data\n"
       "sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:], read)))",
       cluster_->home() + "/bin/flink", "stop", job});
  EXPECT_EQ(result.exit_code, 1) << result.out;
  EXPECT_THAT(
      result.out,
      ContainsRegex("\x1b\\[KInterrupted: stopping the job with a savepoint goes on without "
                    "this client, \"flink savepoint --status " +
                    std::string(kIdPattern) + " " + job + "\" says how it ends\\.\r\n"));
  EXPECT_TRUE(cluster_->WaitForJobState(job, "FINISHED")) << cluster_->Logs();
}

TEST_F(SavepointTest, ADetachedSavepointPrintsItsTrigger) {
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
      MatchesRegex(Recorded("Suspending job \"JOB\" with a CANONICAL savepoint\\.\n"
                            "Triggering stop-with-savepoint in detached mode for job JOB\\.\n"
                            "Successfully trigger stop-with-savepoint in detached mode, "
                            "triggerId: ",
                            job) +
                   kIdPattern + "\n"));
  EXPECT_TRUE(cluster_->WaitForJobState(job, "FINISHED")) << cluster_->Logs();
}

}  // namespace
}  // namespace flink::testing
