/// Exactly once, whatever happens: checkpoints, savepoints, stops and cancels with savepoint,
/// restores at another parallelism, and the death of any process at any of the failpoints, in
/// random order. FLINK_TEST_SEED repeats a run.

#include <gtest/gtest.h>

#include <cstdlib>
#include <future>
#include <iostream>
#include <random>

#include "tests/integration/crash/kill_case.h"

namespace flink::testing {
namespace {

constexpr int kSteps = 8;

class RandomKills {
 public:
  RandomKills(CrashCluster& cluster, unsigned seed) : cluster_(cluster), random_(seed) {}

  Status Run() {
    cluster_.Begin("random");
    ASSIGN_OR_RETURN(job_, cluster_.Submit());
    for (int step = 0; step < kSteps; ++step) {
      RETURN_IF_ERROR(cluster_.AwaitCheckpoints(job_, 1));
      RETURN_IF_ERROR(With(Step(), "step {}", step));
    }
    cluster_.LetGo();
    ASSIGN_OR_RETURN(const std::string state, cluster_.AwaitEnd(job_));
    if (state != "FINISHED") return Internal("the job ended as {}", state);
    RETURN_IF_ERROR(cluster_.CheckOutput());
    return cluster_.CheckLeftovers();
  }

 private:
  int Draw(int n) { return static_cast<int>(random_() % static_cast<unsigned>(n)); }

  Status Step() {
    const std::string target = cluster_.Directory("sp");
    const std::vector<std::vector<std::string>> operations = {
        {"checkpoint", job_},
        {"savepoint", "--type", "native", job_, target},
        {"stop", "--type", "native", "-p", target, job_},
        {"cancel", "-s", target, job_},
    };
    const std::vector<std::string>& operation = operations[static_cast<size_t>(Draw(4))];
    // A process dies at a failpoint that this operation or any checkpoint passes, while the command
    // runs, or not at all.
    const Point& point = Points()[static_cast<size_t>(Draw(static_cast<int>(Points().size())))];
    const int strike = Draw(3);
    const Victim victim = kVictims[Draw(3)];
    const std::vector<pid_t> before = cluster_.cluster().Processes("jobmanager");
    if (strike == 0) cluster_.Arm(ProgramOf(point.process), point.name, "kill");
    auto operated =
        std::async(std::launch::async, [&] { return cluster_.cluster().Flink(operation); });
    if (strike == 1) cluster_.Kill(victim, 0);
    const CommandResult result = operated.get();
    cluster_.Release(ProgramOf(point.process), point.name);
    RETURN_IF_ERROR(cluster_.Heal());
    std::cout << operation[0] << (operation.size() == 2 ? "" : " with savepoint") << ", "
              << (strike == 0   ? std::string("armed ") + point.name
                  : strike == 1 ? std::string("killed ") + ProgramOf(victim)
                                : std::string("no kill"))
              << ": " << result.exit_code << "\n";
    const std::string state = cluster_.cluster().JobState(job_);
    const bool ends = operation[0] == "stop" || operation[0] == "cancel";
    if (before != cluster_.cluster().Processes("jobmanager")) return Resume();
    if (ends && result.exit_code == 0) {
      RETURN_IF_ERROR(cluster_.AwaitEnd(job_).status());
      return Resume();
    }
    if (state == "FAILED" || state == "FAILING") {
      // Only a stop whose savepoint exists may do that.
      if (result.err.find("A savepoint has been created at") == std::string::npos) {
        return Internal("the job failed: {}{}", result.out, result.err);
      }
      RETURN_IF_ERROR(cluster_.AwaitEnd(job_).status());
      return Resume();
    }
    return OkStatus();
  }

  Status Resume() {
    ASSIGN_OR_RETURN(const std::string newest, cluster_.NewestListedSnapshot());
    if (newest.empty()) return Internal("there is no snapshot to go on from");
    const bool claim = Draw(2) == 0;
    const int parallelism = 1 + Draw(CrashCluster::kTaskManagers * CrashCluster::kSlots);
    std::cout << "  goes on from " << newest << " at parallelism " << parallelism
              << (claim ? ", claimed\n" : "\n");
    ASSIGN_OR_RETURN(job_, cluster_.Submit(newest, {"--claimMode", claim ? "CLAIM" : "NO_CLAIM"},
                                           "out", parallelism));
    return OkStatus();
  }

  CrashCluster& cluster_;
  std::mt19937 random_;
  std::string job_;
};

TEST(RandomKillsTest, OutputIsExactAfterKillsRestoresAndRescaling) {
  const char* given = std::getenv("FLINK_TEST_SEED");
  const unsigned seed =
      given != nullptr ? static_cast<unsigned>(std::atoll(given)) : std::random_device{}();
  std::cout << "FLINK_TEST_SEED=" << seed << "\n";
  auto cluster = CrashCluster::Start();
  ASSERT_TRUE(cluster.ok()) << Message(cluster.status());
  const Status status = RandomKills(**cluster, seed).Run();
  EXPECT_TRUE(status.ok()) << Message(status);
}

}  // namespace
}  // namespace flink::testing
