// savepoint list, prune, inspect and fsck on what real clusters wrote, running and gone.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>

#include "tests/integration/lifecycle_fixture.h"
#include "tests/testing/flink_releases.h"

namespace flink::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

class SnapshotToolsTest : public LifecycleTest {
 protected:
  static json List(const ExternalCluster& cluster, const Words& options) {
    const CommandResult result = cluster.Flink(Words{"savepoint", "list", "--json"} + options);
    EXPECT_EQ(result.exit_code, 0) << result.out << result.err;
    return json::parse(result.out, nullptr, false);
  }
  static std::string CheckpointDirectory() { return "-Dexecution.checkpointing.dir=" + Dir("chk"); }
  static Words Retained(const std::string& interval) {
    return Checkpoints(interval) +
           Words{
               "-Dexecution.checkpointing.externalized-checkpoint-retention="
               "RETAIN_ON_CANCELLATION"};
  }
};

TEST_F(SnapshotToolsTest, ListKnowsSavepointsInOtherDirectoriesAndCheckpointsOfAJobThatIsGone) {
  const std::string job = RunningJob(Retained("100 ms"));
  const CommandResult taken = cluster_->Flink({"savepoint", job, Dir("elsewhere")});
  ASSERT_EQ(taken.exit_code, 0) << taken.err;
  const int before = CompletedCheckpoints(job);
  ASSERT_TRUE(WaitFor([&] { return CompletedCheckpoints(job) > before; }));
  Cancel(job);
  const json list = List(*cluster_, {CheckpointDirectory(), job});
  ASSERT_THAT(list, SizeIs(2)) << list;
  // The newest first: checkpoints were taken after the savepoint.
  EXPECT_EQ(list[0]["kind"], "checkpoint");
  EXPECT_EQ(list[1]["kind"], "savepoint");
  EXPECT_THAT(list[1]["path"].get<std::string>(), HasSubstr(Dir("elsewhere/savepoint-")));
  for (const json& entry : list) {
    EXPECT_EQ(entry["job_id"], job);
    EXPECT_EQ(entry["job_name"], TestName());
    EXPECT_GT(entry["state_bytes"], 0);
  }
  fs::remove_all(Dir("elsewhere"));
  EXPECT_THAT(List(*cluster_, {CheckpointDirectory(), job}), SizeIs(1));
}

TEST_F(SnapshotToolsTest, InspectShowsTheOperatorsOfOurSnapshots) {
  const std::string job = RunningJob({});
  const std::string path = TakeSavepoint(job);
  const CommandResult result = cluster_->Flink({"savepoint", "inspect", "--json", path});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const json inspection = json::parse(result.out);
  EXPECT_EQ(inspection["job_id"], job);
  bool keyed = false;
  for (const json& op : inspection["operators"]) {
    EXPECT_NE(op["name"], "");
    EXPECT_THAT(op["notes"], IsEmpty()) << op;
    if (op["keyed_format"] == "") continue;
    keyed = true;
    EXPECT_EQ(op["key_groups"][0][0], 0);
    EXPECT_THAT(op["states"], Not(IsEmpty()));
    int64_t entries = 0;
    for (const json& state : op["states"]) entries += state["entries"].get<int64_t>();
    EXPECT_GT(entries, 0) << op;
  }
  EXPECT_TRUE(keyed) << result.out;
}

TEST_F(SnapshotToolsTest, InspectCountsTheRowsOfFlinksRocksDbFiles) {
  const std::string archive =
      std::string(FLINK_SOURCE_DIR) + "/../shared/golden/flink-1.20-goldens.tgz";
  if (!fs::exists(archive)) GTEST_SKIP() << "no " << archive;
  fs::create_directories(Dir("golden"));
  ASSERT_EQ(RunCommand({"tar", "xzf", archive, "-C", Dir("golden")}).exit_code, 0);
  const auto operators = [](const std::string& path) {
    const CommandResult result = cluster_->Flink({"savepoint", "inspect", "--json", path});
    EXPECT_EQ(result.exit_code, 0) << path << result.err;
    std::map<std::string, json> by_id;
    const json inspection = json::parse(result.out);
    for (const json& op : inspection["operators"]) by_id[op["id"]] = op;
    return by_id;
  };
  // The same content, written in both formats.
  for (const std::string given : {"kv-4096", "kv-types", "ns", "windows", "lazy"}) {
    const auto canonical = operators(Dir("golden/") + given + "/rocksdb-canonical");
    for (const auto& [id, native] : operators(Dir("golden/") + given + "/rocksdb-native")) {
      EXPECT_THAT(native["notes"], IsEmpty()) << given << native;
      const json& other = canonical.at(id);
      ASSERT_EQ(native["states"].size(), other["states"].size()) << given;
      for (const json& state : native["states"]) {
        const auto same = std::find_if(
            other["states"].begin(), other["states"].end(),
            [&state](const json& candidate) { return candidate["name"] == state["name"]; });
        ASSERT_NE(same, other["states"].end()) << given << state;
        EXPECT_EQ(state["entries"], (*same)["entries"]) << given << state;
        EXPECT_EQ(state["bytes"], (*same)["bytes"]) << given << state;
      }
    }
  }
}

TEST_F(SnapshotToolsTest, InspectCountsTheRocksDbFilesOfEveryReleaseOfFlink) {
  int checked = 0;
  for (const ReleasedSavepoint& savepoint :
       UnpackFlinkReleases(FLINK_SOURCE_DIR "/tests/golden/flink", Dir("releases"))) {
    if (savepoint.variant != "rocksdb-native") continue;
    const auto states = [](const std::string& path) {
      const CommandResult result = cluster_->Flink({"savepoint", "inspect", "--json", path});
      EXPECT_EQ(result.exit_code, 0) << path << result.err;
      std::map<std::pair<std::string, std::string>, json> found;
      const json inspection = json::parse(result.out);
      for (const json& op : inspection["operators"]) {
        EXPECT_THAT(op["notes"], IsEmpty()) << path << op;
        for (const json& state : op["states"]) found[{op["id"], state["name"]}] = state;
      }
      return found;
    };
    // The same content in both formats.
    const auto native = states(savepoint.path);
    EXPECT_EQ(native, states(fs::path(savepoint.path).parent_path().string() + "/rocksdb"))
        << savepoint.Name();
    EXPECT_THAT(native, SizeIs(22)) << savepoint.Name();
    ++checked;
  }
  EXPECT_EQ(checked, 8);
}

TEST_F(SnapshotToolsTest, PruneLeavesTheSavepointThatARunningJobMayFallBackTo) {
  const std::string job = RunningJob({});
  const std::string needed = TakeSavepoint(job);
  const std::string newest = TakeSavepoint(job);
  Cancel(job);
  const auto restored =
      cluster_->RunDetached(Words{"-s", needed} + Settings() + Counting("out2", 1000));
  ASSERT_TRUE(restored.ok()) << Message(restored.status());
  const Words prune = {"savepoint", "prune", CheckpointDirectory(), "--keep", "1", job};
  ExpectRefused(cluster_->Flink(prune), "may still need it");
  EXPECT_TRUE(fs::exists(needed + "/_metadata"));
  // Nor without asking its JobManager.
  ExpectRefused(cluster_->Flink(prune + Words{"-m", "localhost:1"}),
                "wait for its first checkpoint");
  EXPECT_TRUE(fs::exists(needed + "/_metadata"));
  Cancel(*restored);
  const CommandResult pruned = cluster_->Flink(prune);
  EXPECT_EQ(pruned.exit_code, 0) << pruned.err;
  EXPECT_THAT(pruned.out, HasSubstr("Savepoint 'file:" + needed + "' disposed."));
  EXPECT_FALSE(fs::exists(needed));
  EXPECT_TRUE(fs::exists(newest + "/_metadata"));
}

TEST_F(SnapshotToolsTest, DisposeOfARetainedCheckpointLeavesNothingShared) {
  const std::string job =
      RunningJob(Retained("50 ms") + Words{"-Dstate.backend.type=rocksdb",
                                           "-Dexecution.checkpointing.incremental=true",
                                           "-Dexecution.checkpointing.data-inline-threshold=0"});
  ASSERT_TRUE(WaitFor([&] { return CompletedCheckpoints(job) > 2; }));
  Cancel(job);
  const std::string directory = Dir("chk/") + job;
  const Words kept = Entries(directory, "chk-");
  ASSERT_THAT(kept, SizeIs(1));
  ASSERT_THAT(Entries(directory + "/shared"), Not(IsEmpty()));
  const std::string path = directory + "/" + kept[0];
  const CommandResult first = cluster_->Flink({"savepoint", "-d", path});
  EXPECT_EQ(first.exit_code, 0) << first.err;
  EXPECT_EQ(FilesBelow(directory), "");
  // flink-surface §4.7 no. 94, the text as recorded
  ExpectRefused(
      cluster_->Flink({"savepoint", "-d", path}),
      "Cannot find checkpoint or savepoint file/directory '" + path + "' on file system 'file'.");
}

TEST_F(SnapshotToolsTest, FsckKeepsOffARunningJobAndFindsNothingAfterIt) {
  const std::string job = RunningJob(Retained("20 ms"));
  for (int i = 0; i < 5; ++i) {
    const CommandResult running =
        cluster_->Flink({"fsck", "--delete", "--older-than", "0s", Dir("chk")});
    EXPECT_EQ(running.exit_code, 0) << running.out << running.err;
    EXPECT_THAT(running.out, HasSubstr("a running JobManager uses it"));
  }
  Cancel(job);
  const CommandResult after = cluster_->Flink({"fsck", "--older-than", "0s", Dir("chk")});
  EXPECT_EQ(after.exit_code, 0) << after.out << after.err;
  EXPECT_EQ(after.out, "No orphans in " + Dir("chk") + ".\n");
}

/// With a cluster of its own, which is killed.
class KilledClusterTest : public ::testing::Test {};

TEST_F(KilledClusterTest, WithoutAnyJobManagerSnapshotsAreListedPrunedAndCleanedUp) {
  ExternalCluster::Options options;
  const std::string root = ::testing::TempDir() + "flink-killed-" + std::to_string(getpid());
  options.configuration = {{"execution.checkpointing.dir", root + "/chk"},
                           {"execution.checkpointing.savepoint-dir", root + "/sp"},
                           {"execution.checkpointing.interval", "20 ms"},
                           {"state.backend.type", "rocksdb"},
                           {"execution.checkpointing.data-inline-threshold", "0"}};
  auto started = ExternalCluster::Start(options);
  ASSERT_TRUE(started.ok()) << Message(started.status());
  ExternalCluster& cluster = **started;
  const auto job =
      cluster.RunDetached({TestJob(), "--case", "misbehave", "--mode", "none", "--count",
                           "10000000", "--rate", "5000", "--output", cluster.File("out")});
  ASSERT_TRUE(job.ok()) << Message(job.status());
  ASSERT_TRUE(cluster.WaitForJobState(*job, "RUNNING"));
  for (int i = 0; i < 3; ++i) {
    const CommandResult taken = cluster.Flink({"savepoint", *job});
    ASSERT_EQ(taken.exit_code, 0) << taken.err << cluster.Logs();
  }
  ASSERT_TRUE(WaitFor([&] {
    const auto checkpoints = cluster.Get("/jobs/" + *job + "/checkpoints");
    return checkpoints.ok() && (*checkpoints)["counts"]["completed"] > 5;
  }));
  ExternalCluster::Kill(cluster.Processes("jobmanager").front());
  for (const pid_t task_manager : cluster.Processes("taskmanager")) {
    ExternalCluster::Kill(task_manager);
  }
  ASSERT_TRUE(WaitFor([&] { return cluster.Processes("task-executor").empty(); }));

  const auto list = [&]() {
    const CommandResult result = cluster.Flink({"savepoint", "list", "--json", *job});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(result.err, "");
    return json::parse(result.out, nullptr, false);
  };
  const auto savepoints_of = [](const json& snapshots) {
    return std::count_if(snapshots.begin(), snapshots.end(),
                         [](const json& s) { return s["kind"] == "savepoint"; });
  };
  const json before = list();
  EXPECT_EQ(savepoints_of(before), 3) << before;
  EXPECT_GT(before.size(), 3u) << "the last checkpoint is there";
  const CommandResult pruned = cluster.Flink({"savepoint", "prune", "--keep", "1", *job});
  EXPECT_EQ(pruned.exit_code, 0) << pruned.err;
  EXPECT_THAT(pruned.out, HasSubstr("No JobManager answers"));
  EXPECT_EQ(savepoints_of(list()), 1);

  const CommandResult cleaned = cluster.Flink({"fsck", "--delete", "--older-than", "0s", root});
  EXPECT_EQ(cleaned.exit_code, 0) << cleaned.out << cleaned.err;
  const CommandResult clean = cluster.Flink({"fsck", "--older-than", "0s", root});
  EXPECT_EQ(clean.exit_code, 0) << clean.out << clean.err;
  const json after = list();
  EXPECT_EQ(after.size(), before.size() - 2) << after;
  for (const json& snapshot : after) {
    const CommandResult whole =
        cluster.Flink({"savepoint", "inspect", snapshot["path"].get<std::string>()});
    EXPECT_EQ(whole.exit_code, 0) << whole.out << whole.err;
  }
  fs::remove_all(root);
}

}  // namespace
}  // namespace flink::testing
