/// Faults that are no plain death of one process at a failpoint: errors of files, deaths of many
/// processes at once, and processes that are only stopped for a while.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>
#include <future>
#include <string>
#include <vector>

#include "tests/integration/crash/crash_cluster.h"

namespace flink::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

class FaultTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto started = CrashCluster::Start();
    ASSERT_TRUE(started.ok()) << Message(started.status());
    crash_ = *std::move(started);
    crash_->Begin("job");
    const auto job = crash_->Submit();
    ASSERT_TRUE(job.ok()) << Message(job.status());
    job_ = *job;
    AwaitCheckpoints(1);
  }
  const ExternalCluster& cluster() const { return crash_->cluster(); }
  void AwaitCheckpoints(int n) const {
    const Status came = crash_->AwaitCheckpoints(job_, n);
    ASSERT_TRUE(came.ok()) << Message(came) << cluster().Logs();
  }
  CommandResult Savepoint() const {
    return cluster().Flink({"savepoint", "--type", "native", job_, crash_->Directory("sp")});
  }
  CommandResult Stop(std::vector<std::string> options) const {
    options.insert(options.begin(), "stop");
    options.insert(options.end(), {"-p", crash_->Directory("sp"), job_});
    return cluster().Flink(options);
  }
  int Restarts() const {
    const auto metrics = cluster().Get("/jobs/" + job_ + "/metrics?get=numRestarts");
    return metrics.ok() && !metrics->empty()
               ? std::atoi((*metrics)[0]["value"].get<std::string>().c_str())
               : -1;
  }
  bool SavepointDirectoryIsEmpty() const {
    const fs::path directory = crash_->Directory("sp");
    return !fs::exists(directory) || fs::is_empty(directory);
  }
  /// The job goes to its end: its output is exact, and nothing is left of it.
  void ExpectExactEnd() const {
    crash_->LetGo();
    const auto state = crash_->AwaitEnd(job_);
    ASSERT_TRUE(state.ok()) << Message(state.status()) << cluster().Logs();
    EXPECT_EQ(*state, "FINISHED");
    const Status output = crash_->CheckOutput();
    EXPECT_TRUE(output.ok()) << Message(output);
    const Status storage = crash_->CheckStorage(job_);
    EXPECT_TRUE(storage.ok()) << Message(storage);
  }
  void Signal(const char* program, int signal) const {
    for (const pid_t process : cluster().Processes(program)) kill(process, signal);
  }

  std::unique_ptr<CrashCluster> crash_;
  std::string job_;
};

// flink-surface §4.3 no. 55
TEST_F(FaultTest, ASavepointWhoseMetadataCannotBeWrittenLeavesNothingAndTheJobRunsOn) {
  crash_->Arm("jobmanager", "io.temporary-written", "error 1 /savepoint- _metadata");
  const CommandResult result = Savepoint();
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("failpoint io.temporary-written"));
  EXPECT_TRUE(WaitFor([&] { return SavepointDirectoryIsEmpty(); }));
  AwaitCheckpoints(1);
  EXPECT_EQ(Restarts(), 0);
  ExpectExactEnd();
}

// flink-surface §4.5 no. 74, SavepointITCase 16. The tasks are behind the barrier when the stop
// fails.
TEST_F(FaultTest, AStopWhoseMetadataCannotBeWrittenLeavesNothingAndRecordsFlowAgain) {
  ASSERT_EQ(cluster().Flink({"cancel", job_}).exit_code, 0);
  crash_->Begin("rated");
  const std::string library = FLINK_TEST_JOBS "/TestJob.so";
  const auto rated = cluster().RunDetached(
      {"-p", "2", "-Dexecution.checkpointing.dir=file://" + crash_->Directory("chk"), library,
       "--case", "misbehave", "--count", std::to_string(CrashCluster::kCount), "--rate", "2000",
       "--output", crash_->Directory("out")});
  ASSERT_TRUE(rated.ok()) << Message(rated.status());
  job_ = *rated;
  AwaitCheckpoints(1);
  crash_->Arm("jobmanager", "io.half-written", "pause 1 /savepoint- _metadata");
  crash_->Arm("jobmanager", "io.temporary-written", "error 1 /savepoint- _metadata");
  auto stop = std::async(std::launch::async, [this] { return Stop({}); });
  ASSERT_NE(crash_->WaitForHit("jobmanager", "io.half-written"), 0);
  crash_->Release("jobmanager", "io.half-written");
  const CommandResult result = stop.get();
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("failpoint io.temporary-written"));
  EXPECT_TRUE(WaitFor([&] { return SavepointDirectoryIsEmpty(); }));
  EXPECT_EQ(cluster().JobState(job_), "RUNNING");
  EXPECT_EQ(Restarts(), 0);
  ExpectExactEnd();
}

// SavepointITCase 18.
TEST_F(FaultTest, ADrainWhoseMetadataCannotBeWrittenRestartsTheJobFromItsLatestCheckpoint) {
  crash_->Arm("jobmanager", "io.temporary-written", "error 1 /savepoint- _metadata");
  const CommandResult result = Stop({"--drain"});
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("failpoint io.temporary-written"));
  EXPECT_TRUE(WaitFor([&] { return Restarts() == 1; })) << cluster().Logs();
  EXPECT_TRUE(WaitFor([&] { return SavepointDirectoryIsEmpty(); }));
  ASSERT_TRUE(cluster().WaitForJobState(job_, "RUNNING")) << cluster().Logs();
  AwaitCheckpoints(1);
  ExpectExactEnd();
}

TEST_F(FaultTest, ASavepointWhoseStateCannotBeWrittenLeavesNothing) {
  crash_->Arm("task-executor", "snapshot.files-durable", "error 1 /savepoint-");
  const CommandResult result = Savepoint();
  EXPECT_EQ(result.exit_code, 1);
  EXPECT_THAT(result.err, HasSubstr("failpoint snapshot.files-durable"));
  EXPECT_TRUE(WaitFor([&] { return SavepointDirectoryIsEmpty(); }));
  ExpectExactEnd();
}

TEST_F(FaultTest, ACheckpointWhoseFilesCannotBeWrittenIsNotTheOneToRestoreFrom) {
  crash_->Arm("task-executor", "io.half-written", "error 1 /chk-");
  ASSERT_NE(crash_->WaitForHit("task-executor", "io.half-written"), 0);
  AwaitCheckpoints(1);
  ExpectExactEnd();
}

// A savepoint is all that is left when everything dies at once.
TEST_F(FaultTest, AfterTheDeathOfAllProcessesTheJobGoesOnFromItsNewestSnapshot) {
  Signal("task-executor", SIGKILL);
  Signal("taskmanager", SIGKILL);
  Signal("jobmanager", SIGKILL);
  ASSERT_TRUE(WaitFor([&] {
    return cluster().Processes("jobmanager").empty() && cluster().Processes("taskmanager").empty();
  }));
  const Status healed = crash_->Heal();
  ASSERT_TRUE(healed.ok()) << Message(healed);
  const auto newest = crash_->NewestSnapshot();
  ASSERT_TRUE(newest.ok()) << Message(newest.status());
  const auto job = crash_->Submit(*newest);
  ASSERT_TRUE(job.ok()) << Message(job.status());
  job_ = *job;
  ExpectExactEnd();
}

// Two checkpoints are left, because the JobManager died before it could delete the older one.
TEST_F(FaultTest, AClaimedCheckpointTakesNothingFromTheOlderOneBesideIt) {
  crash_->Arm("jobmanager", "checkpoint.added", "kill 3");
  ASSERT_NE(crash_->WaitForHit("jobmanager", "checkpoint.added"), 0);
  ASSERT_TRUE(WaitFor([&] { return cluster().Processes("jobmanager").empty(); }));
  const Status healed = crash_->Heal();
  ASSERT_TRUE(healed.ok()) << Message(healed);
  const auto newest = crash_->NewestListedSnapshot();
  ASSERT_TRUE(newest.ok()) << Message(newest.status());
  const auto job = crash_->Submit(*newest, {"--claimMode", "CLAIM"});
  ASSERT_TRUE(job.ok()) << Message(job.status());
  job_ = *job;
  AwaitCheckpoints(3);
  EXPECT_TRUE(WaitFor([&] { return !fs::exists(*newest); })) << "it was claimed";
  const auto restorable = crash_->NewestSnapshot();
  EXPECT_TRUE(restorable.ok()) << Message(restorable.status());
  ExpectExactEnd();
}

TEST_F(FaultTest, TaskManagersThatDieAgainAndAgainLoseNothing) {
  for (int i = 0; i < 5; ++i) {
    Signal("taskmanager", SIGKILL);
    ASSERT_TRUE(WaitFor([&] { return cluster().Processes("taskmanager").empty(); }));
    const Status healed = crash_->Heal();
    ASSERT_TRUE(healed.ok()) << Message(healed);
    ASSERT_TRUE(cluster().WaitForJobState(job_, "RUNNING")) << cluster().Logs();
  }
  ExpectExactEnd();
}

// What it still does when it goes on belongs to an attempt that is over.
TEST_F(FaultTest, ATaskManagerThatWasStoppedForLongerThanTheHeartbeatTimeoutDoesNoHarm) {
  const pid_t stopped = cluster().Processes("taskmanager").front();
  const std::vector<pid_t> executors = cluster().ExecutorsOf(stopped);
  ASSERT_FALSE(executors.empty());
  kill(stopped, SIGSTOP);
  for (const pid_t executor : executors) kill(executor, SIGSTOP);
  EXPECT_TRUE(WaitFor([&] { return Restarts() == 1; })) << cluster().Logs();
  ASSERT_TRUE(cluster().WaitForJobState(job_, "RUNNING")) << cluster().Logs();
  AwaitCheckpoints(1);
  for (const pid_t executor : executors) kill(executor, SIGCONT);
  kill(stopped, SIGCONT);
  for (const pid_t executor : executors) {
    EXPECT_TRUE(WaitFor([&] { return !fs::exists("/proc/" + std::to_string(executor) + "/exe"); }))
        << "executor " << executor << " of an attempt that is over lives";
  }
  ExpectExactEnd();
}

TEST_F(FaultTest, ATaskManagerThatComesBackBeforeItIsMissedGetsItsSlotsAgain) {
  const pid_t killed = cluster().Processes("taskmanager").front();
  ExternalCluster::Kill(killed);
  const Status healed = crash_->Heal();
  ASSERT_TRUE(healed.ok()) << Message(healed);
  const auto overview = cluster().Get("/overview");
  ASSERT_TRUE(overview.ok());
  EXPECT_EQ((*overview)["slots-total"], CrashCluster::kTaskManagers * CrashCluster::kSlots);
  ASSERT_TRUE(WaitFor([&] { return Restarts() == 1; }));
  ExpectExactEnd();
}

}  // namespace
}  // namespace flink::testing
