/// Checkpoints of jobs in which some tasks have finished.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/snapshot/metadata.h"
#include "tests/integration/lifecycle_fixture.h"

namespace flink::testing {
namespace {

class FinishedTasksTest : public LifecycleTest {
 protected:
  static Words TwoSources(const std::string& output, int rate) {
    return {TestJob(),
            "--case",
            "two-sources",
            "--count",
            std::to_string(kCount),
            "--rate",
            std::to_string(rate),
            "--output",
            Dir(output),
            "--name",
            TestName()};
  }
  /// The state of the vertex of the source that ends; empty when the job is not known.
  static std::string BoundedState(const std::string& job) {
    const auto answer = cluster_->Get("/jobs/" + job);
    if (!answer.ok()) return "";
    for (const auto& vertex : (*answer)["vertices"]) {
      if (vertex["name"].get<std::string>().find("Bounded") != std::string::npos) {
        return vertex["status"];
      }
    }
    return "";
  }
  static Words Retained() {
    return {"-Dexecution.checkpointing.externalized-checkpoint-retention=RETAIN_ON_CANCELLATION"};
  }
};

// flink-surface §4.1 no. 11, 12.
TEST_F(FinishedTasksTest, CheckpointsGoOnAndARestoredJobKeepsThemFinished) {
  const auto job = cluster_->RunDetached(Words{"-p", "2"} + Settings() + Checkpoints("100 ms") +
                                         Retained() + TwoSources("out", 4000));
  ASSERT_TRUE(job.ok()) << Message(job.status());
  ASSERT_TRUE(WaitFor([&] { return BoundedState(*job) == "FINISHED"; })) << cluster_->Logs();
  const int before = CompletedCheckpoints(*job);
  ASSERT_TRUE(WaitFor([&] { return CompletedCheckpoints(*job) > before + 2; })) << cluster_->Logs();

  ExternalCluster::Kill(cluster_->Processes("task-executor").at(0));
  ASSERT_TRUE(WaitFor([&] { return Restored(*job).is_object(); })) << cluster_->Logs();
  ASSERT_TRUE(WaitFor([&] { return BoundedState(*job) == "FINISHED"; })) << cluster_->Logs();
  Cancel(*job);

  const std::string directory = Dir("chk/") + *job;
  const Words kept = Entries(directory, "chk-");
  ASSERT_EQ(kept.size(), 1u);
  const auto snapshot = snapshot::LoadSnapshot(directory + "/" + kept[0]);
  ASSERT_TRUE(snapshot.ok()) << Message(snapshot.status());
  int finished = 0;
  for (const auto& op : snapshot->metadata.operators) finished += op.fully_finished ? 1 : 0;
  EXPECT_EQ(finished, 1) << "the bounded source";

  const CommandResult run =
      cluster_->Flink(Words{"run", "-p", "3", "-s", directory + "/" + kept[0]} + Settings() +
                      Checkpoints("100 ms") + TwoSources("out", 0));
  EXPECT_EQ(run.exit_code, 0) << run.out << run.err << cluster_->Logs();
  EXPECT_EQ(CheckCounts({Dir("out")}, kCount), "");
}

// flink-surface §4.1 no. 11.
TEST_F(FinishedTasksTest, WithoutTheFeatureRequestsAreRefusedAndTheResultIsExactAllTheSame) {
  const auto job = cluster_->RunDetached(
      Settings() + Checkpoints("1 h") +
      Words{"-Dexecution.checkpointing.checkpoints-after-tasks-finish=false"} +
      TwoSources("out", 10'000));
  ASSERT_TRUE(job.ok()) << Message(job.status());
  CommandResult refused;
  ASSERT_TRUE(WaitFor([&] {
    refused = cluster_->Flink({"checkpoint", *job});
    return refused.err.find(
               "Some tasks of the job have already finished and checkpointing with "
               "finished tasks is not enabled.") != std::string::npos;
  })) << refused.err
      << cluster_->Logs();
  EXPECT_EQ(refused.exit_code, 1);
  ASSERT_TRUE(cluster_->WaitForJobState(*job, "FINISHED")) << cluster_->Logs();
  EXPECT_EQ(CheckCounts({Dir("out")}, kCount), "");
}

}  // namespace
}  // namespace flink::testing
