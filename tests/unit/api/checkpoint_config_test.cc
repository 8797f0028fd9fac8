// Persistent checkpoints and periodic savepoints (FLIP-10) as a program asks for them.

#include "flink/checkpoint_config.h"

#include <gtest/gtest.h>

#include "flink/stream_execution_environment.h"

namespace flink {
namespace {

using Settings = std::map<std::string, std::string>;

const Settings& ConfigurationOf(const StreamExecutionEnvironment& env) {
  return env.stream_graph().configuration;
}

TEST(CheckpointConfigTest, PersistentCheckpointsAreRetainedWhenTheJobIsCancelled) {
  StreamExecutionEnvironment env;
  env.EnablePersistentCheckpoints("file:/shared/checkpoints");
  EXPECT_EQ(ConfigurationOf(env),
            (Settings{{"execution.checkpointing.dir", "file:/shared/checkpoints"},
                      {"execution.checkpointing.externalized-checkpoint-retention",
                       "RETAIN_ON_CANCELLATION"}}));
}

TEST(CheckpointConfigTest, DisabledPersistentCheckpointsOverruleTheCluster) {
  StreamExecutionEnvironment env;
  env.EnablePersistentCheckpoints("/shared/checkpoints");
  env.DisablePersistentCheckpoints();
  EXPECT_EQ(ConfigurationOf(env),
            (Settings{{"execution.checkpointing.externalized-checkpoint-retention",
                       "NO_EXTERNALIZED_CHECKPOINTS"}}));
}

TEST(CheckpointConfigTest, PeriodicSavepointsHaveAnIntervalAPathAndANumber) {
  StreamExecutionEnvironment env;
  env.EnablePeriodicSavepoints(std::chrono::minutes(10), "/shared/savepoints");
  env.SetMaximumNumberOfRetainedPeriodicSavepoints(3);
  EXPECT_EQ(ConfigurationOf(env),
            (Settings{{"execution.checkpointing.periodic-savepoints.interval", "600000 ms"},
                      {"execution.checkpointing.periodic-savepoints.dir", "/shared/savepoints"},
                      {"execution.checkpointing.periodic-savepoints.num-retained", "3"}}));
}

TEST(CheckpointConfigTest, DisabledPeriodicSavepointsOverruleTheCluster) {
  StreamExecutionEnvironment env;
  env.DisablePeriodicSavepoints();
  EXPECT_EQ(ConfigurationOf(env),
            (Settings{{"execution.checkpointing.periodic-savepoints.interval", "0 ms"}}));
}

TEST(CheckpointConfigTest, TheEnvironmentsShortCutsAndTheConfigAreTheSame) {
  StreamExecutionEnvironment by_environment;
  by_environment.EnablePersistentCheckpoints("/c");
  by_environment.EnablePeriodicSavepoints(std::chrono::seconds(1), "/s");
  by_environment.SetMaximumNumberOfRetainedPeriodicSavepoints(2);
  StreamExecutionEnvironment by_config;
  CheckpointConfig config = by_config.GetCheckpointConfig();
  config.EnablePersistentCheckpoints("/c");
  config.EnablePeriodicSavepoints(std::chrono::seconds(1), "/s");
  config.SetMaximumNumberOfRetainedPeriodicSavepoints(2);
  EXPECT_EQ(ConfigurationOf(by_environment), ConfigurationOf(by_config));
  by_environment.DisablePersistentCheckpoints();
  by_environment.DisablePeriodicSavepoints();
  EXPECT_NE(ConfigurationOf(by_environment), ConfigurationOf(by_config));
  config.DisablePersistentCheckpoints();
  config.DisablePeriodicSavepoints();
  EXPECT_EQ(ConfigurationOf(by_environment), ConfigurationOf(by_config));
}

// As the pages about checkpoints have it.
TEST(CheckpointConfigTest, TheSettingsOfCheckpointsAreKeysOfTheConfiguration) {
  StreamExecutionEnvironment env;
  env.EnableCheckpointing(60000);
  env.GetCheckpointConfig().SetCheckpointingMode(CheckpointingMode::kAtLeastOnce);
  env.GetCheckpointConfig().SetMinPauseBetweenCheckpoints(30000);
  env.GetCheckpointConfig().SetCheckpointTimeout(120000);
  env.GetCheckpointConfig().SetMaxConcurrentCheckpoints(2);
  env.GetCheckpointConfig().SetTolerableCheckpointFailureNumber(3);
  env.GetCheckpointConfig().SetExternalizedCheckpointCleanup(
      ExternalizedCheckpointCleanup::kRetainOnCancellation);
  env.GetCheckpointConfig().EnableUnalignedCheckpoints();
  const std::string c = "execution.checkpointing.";
  EXPECT_EQ(ConfigurationOf(env),
            (Settings{{c + "interval", "60000 ms"},
                      {c + "mode", "AT_LEAST_ONCE"},
                      {c + "min-pause", "30000 ms"},
                      {c + "timeout", "120000 ms"},
                      {c + "max-concurrent-checkpoints", "2"},
                      {c + "tolerable-failed-checkpoints", "3"},
                      {c + "externalized-checkpoint-retention", "RETAIN_ON_CANCELLATION"},
                      {c + "unaligned.enabled", "true"}}));
  env.GetCheckpointConfig().SetCheckpointingMode(CheckpointingMode::kExactlyOnce);
  EXPECT_EQ(ConfigurationOf(env).at(c + "mode"), "EXACTLY_ONCE");
  const std::pair<ExternalizedCheckpointCleanup, const char*> cleanups[] = {
      {ExternalizedCheckpointCleanup::kDeleteOnCancellation, "DELETE_ON_CANCELLATION"},
      {ExternalizedCheckpointCleanup::kNoExternalizedCheckpoints, "NO_EXTERNALIZED_CHECKPOINTS"}};
  for (const auto& [cleanup, text] : cleanups) {
    env.GetCheckpointConfig().EnableExternalizedCheckpoints(cleanup);
    EXPECT_EQ(ConfigurationOf(env).at(c + "externalized-checkpoint-retention"), text);
  }
}

TEST(CheckpointConfigTest, WrongArgumentsAreRefused) {
  StreamExecutionEnvironment env;
  EXPECT_THROW(env.EnablePersistentCheckpoints(""), std::invalid_argument);
  EXPECT_THROW(env.EnablePeriodicSavepoints(std::chrono::milliseconds(9), "/s"),
               std::invalid_argument);
  EXPECT_THROW(env.EnablePeriodicSavepoints(std::chrono::seconds(1), ""), std::invalid_argument);
  EXPECT_THROW(env.SetMaximumNumberOfRetainedPeriodicSavepoints(0), std::invalid_argument);
  CheckpointConfig config = env.GetCheckpointConfig();
  EXPECT_THROW(config.SetMinPauseBetweenCheckpoints(-1), std::invalid_argument);
  EXPECT_THROW(config.SetCheckpointTimeout(9), std::invalid_argument);
  EXPECT_THROW(config.SetMaxConcurrentCheckpoints(0), std::invalid_argument);
  EXPECT_THROW(config.SetTolerableCheckpointFailureNumber(-1), std::invalid_argument);
  EXPECT_TRUE(ConfigurationOf(env).empty());
}

}  // namespace
}  // namespace flink
