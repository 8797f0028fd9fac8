/// run and info: the client's side of a job's life.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>

#include "tests/integration/lifecycle_fixture.h"

namespace flink::testing {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::SizeIs;
using ::testing::StartsWith;

using RunTest = LifecycleTest;

TEST_F(RunTest, AnInterruptedClientLeavesItsJobRunningUnlessToldOtherwise) {
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

TEST_F(RunTest, InfoPrintsThePlan) {
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
