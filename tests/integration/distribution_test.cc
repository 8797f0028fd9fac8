/// The distribution as its user meets it: start, stop, two copies at once, mistakes.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <fstream>

#include "tests/testing/external_cluster.h"

namespace flink::testing {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

std::unique_ptr<ExternalCluster> MustCreate(const ExternalCluster::Options& options = {}) {
  auto cluster = ExternalCluster::Create(options);
  EXPECT_TRUE(cluster.ok()) << Message(cluster.status());
  return cluster.ok() ? *std::move(cluster) : nullptr;
}

std::unique_ptr<ExternalCluster> MustStart(const ExternalCluster::Options& options = {}) {
  auto cluster = ExternalCluster::Start(options);
  EXPECT_TRUE(cluster.ok()) << Message(cluster.status());
  return cluster.ok() ? *std::move(cluster) : nullptr;
}

TEST(DistributionTest, AClusterStartsListsNothingAndStopsWithoutTrace) {
  const auto cluster = MustStart({.task_managers = 2, .slots = 1, .configuration = {}});
  ASSERT_NE(cluster, nullptr);
  EXPECT_THAT(cluster->Processes("jobmanager"), SizeIs(1));
  EXPECT_THAT(cluster->Processes("taskmanager"), SizeIs(2));
  const CommandResult list = cluster->Flink({"list"});
  EXPECT_EQ(list.exit_code, 0) << list.err;
  EXPECT_EQ(list.out, "Waiting for response...\nNo running jobs.\nNo scheduled jobs.\n");
  const auto overview = cluster->Get("/overview");
  ASSERT_TRUE(overview.ok()) << Message(overview.status());
  EXPECT_EQ((*overview)["taskmanagers"], 2);
  EXPECT_EQ((*overview)["slots-total"], 2);

  const CommandResult stopped = cluster->Script("stop-cluster.sh");
  EXPECT_EQ(stopped.exit_code, 0) << stopped.err;
  EXPECT_THAT(cluster->Processes("jobmanager"), IsEmpty());
  EXPECT_THAT(cluster->Processes("taskmanager"), IsEmpty());
  EXPECT_THAT(cluster->Script("stop-cluster.sh").out,
              HasSubstr("No taskexecutor daemon to stop on host"));
}

TEST(DistributionTest, TwoCopiesRunSideBySide) {
  const auto one = MustStart();
  const auto other = MustStart();
  ASSERT_NE(one, nullptr);
  ASSERT_NE(other, nullptr);
  ASSERT_EQ(one->Script("stop-cluster.sh").exit_code, 0);
  EXPECT_THAT(one->Processes("taskmanager"), IsEmpty());
  EXPECT_THAT(other->Processes("taskmanager"), SizeIs(1));
  EXPECT_EQ(other->Flink({"list"}).exit_code, 0);
}

TEST(DistributionTest, AStalePidFileDoesNotHinder) {
  const auto cluster = MustStart();
  ASSERT_NE(cluster, nullptr);
  ASSERT_THAT(cluster->Processes("taskmanager"), SizeIs(1));
  ExternalCluster::Kill(cluster->Processes("taskmanager").front());
  const CommandResult started = cluster->Script("taskmanager.sh", {"start"});
  EXPECT_EQ(started.exit_code, 0) << started.err << cluster->Logs();
  EXPECT_THAT(cluster->Processes("taskmanager"), SizeIs(1));
}

TEST(DistributionTest, OptionsOfTheScriptsReachTheProcessesUnseen) {
  const auto cluster = MustStart();
  ASSERT_NE(cluster, nullptr);
  const CommandResult started =
      cluster->Script("taskmanager.sh", {"start", "-D", "taskmanager.numberOfTaskSlots=5"});
  ASSERT_EQ(started.exit_code, 0) << started.err << cluster->Logs();
  const auto overview = cluster->Get("/overview");
  ASSERT_TRUE(overview.ok()) << Message(overview.status());
  EXPECT_EQ((*overview)["slots-total"], 7);
  for (const pid_t process : cluster->Processes("taskmanager")) {
    std::ifstream file("/proc/" + std::to_string(process) + "/cmdline");
    std::string command_line;
    std::getline(file, command_line, '\0');
    EXPECT_EQ(command_line, cluster->home() + "/bin/taskmanager");
    EXPECT_EQ(file.peek(), EOF) << "settings are visible among the arguments";
  }
}

TEST(DistributionTest, ATaskManagerWithoutJobManagerFailsToStartAndSaysWhy) {
  const auto cluster = MustCreate();
  ASSERT_NE(cluster, nullptr);
  const CommandResult started = cluster->Script("taskmanager.sh", {"start"});
  EXPECT_EQ(started.exit_code, 1);
  EXPECT_THAT(started.err, HasSubstr("Could not start taskexecutor"));
  EXPECT_THAT(cluster->Processes("taskmanager"), IsEmpty());
}

TEST(DistributionTest, ASecondJobManagerOnTheSamePortFailsToStartAndSaysWhy) {
  const auto cluster = MustStart();
  ASSERT_NE(cluster, nullptr);
  const CommandResult started = cluster->Script("jobmanager.sh", {"start"});
  EXPECT_EQ(started.exit_code, 1);
  EXPECT_THAT(started.err, HasSubstr("Could not start standalonesession"));
  EXPECT_THAT(cluster->Processes("jobmanager"), SizeIs(1));
}

TEST(DistributionTest, TheClientSaysInOneLineThatThereIsNoCluster) {
  const auto cluster = MustCreate();
  ASSERT_NE(cluster, nullptr);
  const CommandResult list = cluster->Flink({"list"});
  EXPECT_EQ(list.exit_code, 1);
  EXPECT_THAT(list.err, HasSubstr("Could not connect to the JobManager at localhost:" +
                                  std::to_string(cluster->rest_port())));
  EXPECT_EQ(std::count(list.err.begin(), list.err.end(), '\n'), 1);
  // Its log is named after the user even where nothing says who that is, as those of the daemons.
  const std::string user = RunCommand({"id", "-un"}).out;
  EXPECT_THAT(RunCommand({"sh", "-c", "rm -f log/*; env -u USER bin/flink list; ls log"},
                         std::chrono::minutes(1), cluster->home())
                  .out,
              HasSubstr("flink-" + user.substr(0, user.find('\n')) + "-client-"));
}

/// The job is built outside the tree, with nothing but the distribution.
TEST(DistributionTest, AJobBuildsOutsideTheTreeAndRuns) {
  const auto cluster = MustStart();
  ASSERT_NE(cluster, nullptr);
  const std::string project = cluster->File("project");
  ASSERT_EQ(RunCommand({"mkdir", project}).exit_code, 0);
  std::ofstream(project + "/CMakeLists.txt") << "cmake_minimum_required(VERSION 3.25)\n"
                                                "project(my_job CXX)\n"
                                                "find_package(FlinkCpp REQUIRED)\n"
                                                "flink_add_job(MyJob my_job.cc)\n";
  std::ofstream(project + "/my_job.cc")
      << "#include \"flink/job.h\"\n"
         "FLINK_JOB(env, args) {\n"
         "  env.FromSequence(1, 10).Map([](int64_t n) { return n * 2; }).Print();\n"
         "}\n";
  const CommandResult configured = RunCommand(
      {"cmake", "-S", project, "-B", project + "/build", "-DCMAKE_PREFIX_PATH=" + cluster->home()});
  ASSERT_EQ(configured.exit_code, 0) << configured.out << configured.err;
  const CommandResult built =
      RunCommand({"cmake", "--build", project + "/build"}, std::chrono::minutes(4));
  ASSERT_EQ(built.exit_code, 0) << built.out << built.err;
  const CommandResult run = cluster->Flink({"run", project + "/build/MyJob.so"});
  EXPECT_EQ(run.exit_code, 0) << run.out << run.err << cluster->Logs();
  EXPECT_THAT(run.out, HasSubstr("Program execution finished"));
}

}  // namespace
}  // namespace flink::testing
