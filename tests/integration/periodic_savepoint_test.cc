/// FLIP-10: periodic savepoints and persistent checkpoints of real jobs, with processes killed in
/// the middle.

#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "tests/integration/lifecycle_fixture.h"

namespace flink::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

class PeriodicSavepointTest : public LifecycleTest {
 protected:
  /// Executors soon see that their JobManager has gone.
  static void SetUpTestSuite() {
    ExternalCluster::Options options;
    options.slots = 8;
    options.configuration = {{"heartbeat.timeout", "3 s"}, {"heartbeat.interval", "500 ms"}};
    StartCluster(options);
  }

  static Words Every(const std::string& interval, int retained) {
    const std::string prefix = "-Dexecution.checkpointing.periodic-savepoints.";
    return {prefix + "interval=" + interval, prefix + "dir=" + Dir("periodic"),
            prefix + "num-retained=" + std::to_string(retained)};
  }
  /// The complete ones below the directory of this test.
  static Words Complete() {
    Words complete;
    for (const std::string& name : Entries(Dir("periodic"), "savepoint-")) {
      if (fs::exists(Dir("periodic/") + name + "/_metadata")) complete.push_back(name);
    }
    return complete;
  }
  static nlohmann::json Checkpointing(const std::string& job) {
    const auto answer = cluster_->Get("/jobs/" + job + "/checkpoints");
    return answer.ok() ? *answer : nlohmann::json();
  }
  /// Id of the newest savepoint of the job; 0: none.
  static int64_t NewestId(const std::string& job) {
    const nlohmann::json json = Checkpointing(job);
    return json.is_null() || json["latest"]["savepoint"].is_null()
               ? 0
               : json["latest"]["savepoint"]["id"].get<int64_t>();
  }
  static std::string NewestPath(const std::string& job) {
    return Checkpointing(job)["latest"]["savepoint"]["external_path"];
  }
  /// Waits until there are savepoints with ids beyond `id`, and meanwhile that never are there more
  /// complete ones than retained and the new one, and never none again.
  static bool WaitForNewerThan(const std::string& job, int64_t id, size_t retained) {
    bool any = !Complete().empty();
    return WaitFor([&] {
      const size_t complete = Complete().size();
      EXPECT_LE(complete, retained + 1);
      EXPECT_GE(complete, any ? 1u : 0u);
      any = any || complete > 0;
      return NewestId(job) > id;
    });
  }
  static Words Periodic(const Words& options) { return options + Checkpoints("1 h"); }
  static std::string JobManagerLog() {
    std::string text;
    for (const std::string& name : Entries(cluster_->home() + "/log")) {
      if (name.find("standalonesession") == std::string::npos) continue;
      std::ifstream file(cluster_->home() + "/log/" + name);
      text.append(std::istreambuf_iterator<char>(file), {});
    }
    return text;
  }
};

TEST_F(PeriodicSavepointTest, TheNewestAreKeptOutliveTheJobAndRestore) {
  const std::string job = RunningJob(Periodic(Every("100 ms", 2)));
  ASSERT_TRUE(WaitForNewerThan(job, 4, 2)) << cluster_->Logs();
  Cancel(job);
  const std::string newest = NewestPath(job);
  EXPECT_TRUE(WaitFor([&] { return Complete().size() == 2; })) << FilesBelow(Dir("periodic"));
  // What was under way when the job was cancelled is gone.
  EXPECT_TRUE(WaitFor([&] { return Entries(Dir("periodic")) == Complete(); }))
      << FilesBelow(Dir("periodic"));
  EXPECT_EQ(fs::path(newest).filename().string().rfind("savepoint-" + job.substr(0, 6) + "-", 0),
            0u);
  EXPECT_THAT(JobManagerLog(), HasSubstr("of job " + job + " was written to " + newest));
  EXPECT_THAT(JobManagerLog(), HasSubstr("Disposing of periodic savepoint"));
  // The list outlives the job.
  const auto listed = cluster_->Get("/jobs/" + job + "/savepoints");
  ASSERT_TRUE(listed.ok()) << Message(listed.status());
  ASSERT_THAT((*listed)["savepoints"], SizeIs(2)) << *listed;
  EXPECT_EQ((*listed)["savepoints"][0]["external_path"], newest);
  EXPECT_EQ((*listed)["savepoints"][0]["is_savepoint"], true);
  EXPECT_GT((*listed)["savepoints"][0]["id"], (*listed)["savepoints"][1]["id"]);
  RunToTheEnd({"-s", newest}, "restored");
  EXPECT_EQ(CheckCounts({Dir("out"), Dir("restored")}, kCount), "");
  EXPECT_THAT(Complete(), SizeIs(2));
}

TEST_F(PeriodicSavepointTest, TheQueueGoesOnWhenAnExecutorIsKilled) {
  const std::string job = RunningJob(Every("100 ms", 2) + Checkpoints("100 ms"), 5000);
  for (int kills = 0; kills < 3; ++kills) {
    ASSERT_TRUE(WaitForNewerThan(job, NewestId(job) + 3, 2)) << cluster_->Logs();
    for (const pid_t executor : cluster_->Processes("task-executor")) {
      ExternalCluster::Kill(executor);
    }
  }
  EXPECT_TRUE(cluster_->WaitForJobState(job, "FINISHED")) << cluster_->Logs();
  EXPECT_EQ(CheckCounts({Dir("out")}, kCount), "");
  EXPECT_TRUE(WaitFor([&] { return Entries(Dir("periodic")) == Complete(); }))
      << FilesBelow(Dir("periodic"));
  EXPECT_THAT(Complete(), SizeIs(2));
  // Failover took checkpoints, never a savepoint.
  EXPECT_EQ(Restored(job)["is_savepoint"], false);
}

TEST_F(PeriodicSavepointTest, ThoseOfAKilledJobManagerStayAndRestore) {
  const std::string job = RunningJob(Periodic(Every("100 ms", 3)), 5000);
  ASSERT_TRUE(WaitForNewerThan(job, 4, 3)) << cluster_->Logs();
  ExternalCluster::Kill(cluster_->Processes("jobmanager").front());
  const Words left = Complete();
  EXPECT_THAT(left, Not(IsEmpty()));
  EXPECT_TRUE(WaitFor([&] { return cluster_->Processes("task-executor").empty(); }))
      << cluster_->Logs();
  ASSERT_EQ(cluster_->Script("jobmanager.sh", {"start"}).exit_code, 0);
  ASSERT_TRUE(WaitFor([&] {
    const auto overview = cluster_->Get("/overview");
    return overview.ok() && (*overview)["taskmanagers"] == 1;
  })) << cluster_->Logs();
  EXPECT_EQ(Complete(), left);
  std::string newest;
  fs::file_time_type newest_time;
  for (const std::string& name : left) {
    const auto time = fs::last_write_time(Dir("periodic/") + name + "/_metadata");
    if (newest.empty() || time > newest_time) newest = name;
    if (newest == name) newest_time = time;
  }
  RunToTheEnd({"-s", Dir("periodic/") + newest}, "restored");
  EXPECT_EQ(CheckCounts({Dir("out"), Dir("restored")}, kCount), "");
  EXPECT_EQ(Complete(), left);
}

TEST_F(PeriodicSavepointTest, OneThatFailsIsLoggedWithItsCauseAndTheJobGoesOn) {
  const std::string job = RunningJob(Periodic(Every("100 ms", 1)), 2000);
  ASSERT_TRUE(WaitForNewerThan(job, 0, 1)) << cluster_->Logs();
  fs::rename(Dir("periodic"), Dir("moved"));
  std::ofstream(Dir("periodic")) << "in the way\n";
  const std::string missed = "of job " + job + " was not taken: ";
  // On a busy machine others are missed, too, because the one before them takes long.
  EXPECT_TRUE(WaitFor([&] {
    std::istringstream log(JobManagerLog());
    for (std::string line; std::getline(log, line);) {
      const size_t at = line.find(missed);
      if (at != std::string::npos && line.find(Dir("periodic"), at) != std::string::npos)
        return true;
    }
    return false;
  })) << cluster_->Logs();
  EXPECT_EQ(cluster_->JobState(job), "RUNNING");
  const int64_t before = NewestId(job);
  fs::remove(Dir("periodic"));
  EXPECT_TRUE(WaitFor([&] { return NewestId(job) > before; })) << cluster_->Logs();
  EXPECT_EQ(cluster_->JobState(job), "RUNNING");
  EXPECT_THAT((*cluster_->Get("/jobs/" + job + "/exceptions"))["exceptionHistory"]["entries"],
              IsEmpty());
}

TEST_F(PeriodicSavepointTest, AJobWhosePeriodicSavepointsCannotBeWrittenIsRefused) {
  fs::create_directories(Dir(""));
  std::ofstream(Dir("periodic")) << "in the way\n";
  ExpectRefused(
      cluster_->Flink(Words{"run"} + Settings() + Every("1 s", 1) + Counting("out", 0, 100)),
      "periodic savepoints cannot be written to " + Dir("periodic"));
}

TEST_F(PeriodicSavepointTest, AProgramThatAsksForBothCanBeResumedAfterItFailed) {
  const Words program = {"--persistent-checkpoints", Dir("persistent"), "--checkpoint-ms", "50",
                         "--periodic-savepoints",    Dir("periodic"),   "--savepoint-ms",  "50"};
  const auto job =
      cluster_->RunDetached(Words{"-Drestart-strategy.type=none"} + Counting("out", 10'000) +
                            program + Words{"--mode", "throw", "--after", "20000"});
  ASSERT_TRUE(job.ok()) << Message(job.status());
  ASSERT_TRUE(cluster_->WaitForJobState(*job, "FAILED")) << cluster_->Logs();
  const Words retained = Entries(Dir("persistent/") + *job, "chk-");
  ASSERT_THAT(retained, SizeIs(1));
  const std::string checkpoint = Dir("persistent/") + *job + "/" + retained[0];
  EXPECT_TRUE(fs::exists(checkpoint + "/_metadata"));
  EXPECT_THAT(JobManagerLog(), HasSubstr("of job " + *job + " was written to file:" + checkpoint));
  // The oldest may be disposed of behind the end of the job.
  EXPECT_TRUE(WaitFor([] { return Complete().size() == 2; }));
  RunToTheEnd({"-s", checkpoint}, "restored");
  EXPECT_EQ(CheckCounts({Dir("out"), Dir("restored")}, kCount), "");
}

}  // namespace
}  // namespace flink::testing
