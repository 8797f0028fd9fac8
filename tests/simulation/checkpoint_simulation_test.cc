// The checkpoint coordinator against thousands of random histories.
//   FLINK_SIM_SEED=n   replays one seed
//   FLINK_SIM_SEEDS=n  runs n seeds (default 10000)

#include "tests/simulation/checkpoint_simulation.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

namespace flink::jobmanager {
namespace {

constexpr const char* kProbes[] = {
    "abort while the directory is being created",
    "abort while the metadata is being written",
    "acknowledgement repeated",
    "base reused",
    "cancel with savepoint",
    "checkpoint expired",
    "checkpoint subsumed",
    "claimed snapshot deleted",
    "claimed snapshot outlives the job",
    "coordinator failed",
    "declined",
    "failed final checkpoint retried",
    "file held for a pending attempt",
    "final checkpoint",
    "foreign file in own checkpoint",
    "job failed by checkpoints",
    "job manager failed over",
    "late acknowledgement discarded",
    "location failed",
    "no-claim snapshot left alone",
    "periodic savepoint completed",
    "periodic savepoint disposed of",
    "periodic savepoint failed",
    "periodic savepoint left out",
    "periodic savepoints outlive an attempt",
    "persist failed",
    "queue full",
    "refused because subtasks have finished",
    "refused while not running",
    "restored from a checkpoint",
    "restored from nothing",
    "restored with finished subtasks",
    "retained at the end",
    "savepoint completed",
    "savepoint while a checkpoint is pending",
    "several retained",
    "sink triggered behind finished sources",
    "stop failed and the job went on",
    "stop with savepoint",
    "subtask finished early",
    "suspended",
    "two checkpoints at once",
};

uint64_t FromEnvironment(const char* name, uint64_t otherwise) {
  const char* value = std::getenv(name);
  return value == nullptr ? otherwise : std::strtoull(value, nullptr, 10);
}

TEST(CheckpointSimulationTest, InvariantsHoldInEveryHistory) {
  Probes probes;
  if (std::getenv("FLINK_SIM_SEED") != nullptr) {
    const uint64_t seed = FromEnvironment("FLINK_SIM_SEED", 0);
    EXPECT_EQ(CheckpointSimulation(seed, &probes).Run(), "") << "seed " << seed;
    return;
  }
  const uint64_t seeds = FromEnvironment("FLINK_SIM_SEEDS", 10'000);
  for (uint64_t seed = 1; seed <= seeds; ++seed) {
    const std::string failure = CheckpointSimulation(seed, &probes).Run();
    ASSERT_EQ(failure, "") << "replay with FLINK_SIM_SEED=" << seed;
  }
  for (const auto& [name, count] : probes) {
    RecordProperty(name, std::to_string(count));
    EXPECT_NE(std::find(std::begin(kProbes), std::end(kProbes), name), std::end(kProbes)) << name;
  }
  if (seeds < 1000) return;
  for (const char* name : kProbes) EXPECT_GT(probes[name], 0) << "never happened: " << name;
}

TEST(CheckpointSimulationTest, ASeedGivesTheSameHistoryAgain) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    Probes first;
    Probes second;
    CheckpointSimulation(seed, &first).Run();
    CheckpointSimulation(seed, &second).Run();
    EXPECT_EQ(first, second) << "seed " << seed;
  }
}

}  // namespace
}  // namespace flink::jobmanager
