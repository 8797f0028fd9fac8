/// The kill matrix: every failpoint x every process killed there x every operation. The default
/// suite runs some cases drawn at random, the slow one all.
///
/// FLINK_TEST_SEED repeats a draw; FLINK_KILL_CASE=<text> runs the cases whose name contains it.

#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <iostream>
#include <mutex>
#include <random>
#include <sstream>
#include <thread>
#include <vector>

#include "tests/integration/crash/kill_case.h"

namespace flink::testing {
namespace {

constexpr size_t kDrawn = 20;
constexpr int kSideBySide = 2;

/// Runs cases from a common list, each thread on a cluster of its own.
class Workers {
 public:
  explicit Workers(std::vector<KillCase> cases) : cases_(std::move(cases)) {}

  void Run() {
    std::vector<std::thread> threads;
    threads.reserve(kSideBySide);
    for (int i = 0; i < kSideBySide; ++i) threads.emplace_back([this] { Work(); });
    for (std::thread& thread : threads) thread.join();
  }

 private:
  void Work() {
    std::unique_ptr<CrashCluster> cluster;
    while (const KillCase* next = Take()) {
      const auto begin = std::chrono::steady_clock::now();
      if (cluster == nullptr) {
        auto started = CrashCluster::Start();
        if (!started.ok()) {
          ADD_FAILURE() << Message(started.status());
          return;
        }
        cluster = *std::move(started);
      }
      const Status status = RunKillCase(*next, *cluster);
      const std::chrono::duration<double> took = std::chrono::steady_clock::now() - begin;
      std::ostringstream line;
      line << next->Name() << ": " << (status.ok() ? "ok" : Message(status)) << " (" << took.count()
           << " s)\n";
      std::cout << line.str() << std::flush;
      if (status.ok()) continue;
      ADD_FAILURE() << next->Name() << ": " << Message(status) << "\n" << cluster->cluster().Logs();
      cluster.reset();  // Whatever state it is in.
    }
  }

  const KillCase* Take() {
    std::lock_guard lock(mutex_);
    return next_ < cases_.size() ? &cases_[next_++] : nullptr;
  }

  const std::vector<KillCase> cases_;
  std::mutex mutex_;
  size_t next_ = 0;
};

TEST(KillMatrixTest, ResultsAreExactAndStorageCleanInTwentyRandomCases) {
  const char* given = std::getenv("FLINK_TEST_SEED");
  const unsigned seed =
      given != nullptr ? static_cast<unsigned>(std::atoll(given)) : std::random_device{}();
  std::cout << "FLINK_TEST_SEED=" << seed << "\n";
  std::vector<KillCase> cases = AllKillCases();
  std::mt19937 random(seed);
  // Not std::shuffle: the draw of a seed must not depend on the library.
  for (size_t i = 0; i < kDrawn; ++i) {
    std::swap(cases[i], cases[i + random() % (cases.size() - i)]);
  }
  cases.resize(kDrawn);
  Workers(std::move(cases)).Run();
}

class WholeKillMatrixTest : public ::testing::TestWithParam<size_t> {};

TEST_P(WholeKillMatrixTest, ResultsAreExactAndStorageClean) {
  const char* wanted = std::getenv("FLINK_KILL_CASE");
  std::vector<KillCase> cases;
  const size_t per_point = std::size(kOperations) * std::size(kVictims);
  const std::vector<KillCase> all = AllKillCases();
  for (size_t i = GetParam() * per_point; i < (GetParam() + 1) * per_point; ++i) {
    if (wanted == nullptr || all[i].Name().find(wanted) != std::string::npos) {
      cases.push_back(all[i]);
    }
  }
  Workers(std::move(cases)).Run();
}

std::string PointName(const ::testing::TestParamInfo<size_t>& info) {
  const Point& point = Points()[info.param];
  std::string name = std::string(ProgramOf(point.process)) + "_" + point.name;
  if (point.activity == Activity::kDispose) name += "_of_a_savepoint";
  for (char& c : name) {
    if (c == '.' || c == '-') c = '_';
  }
  return name;
}

INSTANTIATE_TEST_SUITE_P(Points, WholeKillMatrixTest, ::testing::Range(size_t{0}, Points().size()),
                         PointName);

}  // namespace
}  // namespace flink::testing
