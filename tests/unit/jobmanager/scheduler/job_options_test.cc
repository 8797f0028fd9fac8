#include "jobmanager/scheduler/job_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace flink::jobmanager {
namespace {

using ::testing::HasSubstr;

StatusOr<JobOptions> OptionsOf(const std::string& property) {
  Configuration configuration;
  const Status applied = configuration.ApplyDynamicProperty(property);
  if (!applied.ok()) return applied;
  return JobOptions::FromConfiguration(configuration);
}

TEST(JobOptionsTest, RetentionIsReadInAnyCase) {
  const std::string key = "execution.checkpointing.externalized-checkpoint-retention=";
  const std::pair<const char*, CheckpointRetention> cases[] = {
      {"NO_EXTERNALIZED_CHECKPOINTS", CheckpointRetention::kNoExternalized},
      {"DELETE_ON_CANCELLATION", CheckpointRetention::kDeleteOnCancellation},
      {"RETAIN_ON_CANCELLATION", CheckpointRetention::kRetainOnCancellation},
      {"retain_on_cancellation", CheckpointRetention::kRetainOnCancellation},
  };
  for (const auto& [text, retention] : cases) {
    const auto options = OptionsOf(key + text);
    ASSERT_TRUE(options.ok()) << Message(options.status());
    EXPECT_EQ(options->checkpointing.retention, retention) << text;
  }
  const auto wrong = OptionsOf(key + "KEEP");
  ASSERT_FALSE(wrong.ok());
  EXPECT_THAT(Message(wrong.status()), HasSubstr("\"KEEP\""));
}

// flink-surface §4.3 no. 36, 43
TEST(JobOptionsTest, OneCheckpointIsRetainedWhileTheJobRunsUnlessConfiguredByAnyName) {
  const JobOptions standard = JobOptions::FromConfiguration(Configuration()).value();
  EXPECT_EQ(standard.checkpointing.num_retained, 1);
  EXPECT_EQ(standard.checkpointing.retention, CheckpointRetention::kNoExternalized);
  for (const char* key :
       {"execution.checkpointing.num-retained", "state.checkpoints.num-retained"}) {
    const auto options = OptionsOf(std::string(key) + "=3");
    ASSERT_TRUE(options.ok()) << Message(options.status());
    EXPECT_EQ(options->checkpointing.num_retained, 3) << key;
  }
  EXPECT_FALSE(OptionsOf("execution.checkpointing.num-retained=0").ok());
}

StatusOr<JobOptions> Read(std::map<std::string, std::string> values) {
  return JobOptions::FromConfiguration(Configuration(std::move(values)));
}

TEST(JobOptionsTest, UnalignedCheckpointsAndTheirTimeoutAreRead) {
  const auto options = Read({{"execution.checkpointing.unaligned.enabled", "true"},
                             {"execution.checkpointing.aligned-checkpoint-timeout", "30 s"}});
  ASSERT_TRUE(options.ok()) << Message(options.status());
  EXPECT_TRUE(options->checkpointing.unaligned);
  EXPECT_EQ(options->checkpointing.aligned_timeout_ms, 30'000);
  EXPECT_FALSE(Read({})->checkpointing.unaligned);
  EXPECT_EQ(Read({})->checkpointing.aligned_timeout_ms, 0);
}

// flink-surface §4.6 no. 82.
TEST(JobOptionsTest, UnalignedCheckpointsNeedOneCheckpointAtATime) {
  const auto refused = Read({{"execution.checkpointing.unaligned.enabled", "true"},
                             {"execution.checkpointing.max-concurrent-checkpoints", "2"}});
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(Message(refused.status()),
              HasSubstr("execution.checkpointing.max-concurrent-checkpoints is 2"));
}

// flink-surface §4.6 no. 82: as Flink, with a warning.
TEST(JobOptionsTest, AtLeastOnceSwitchesUnalignedCheckpointsOff) {
  const auto options = Read({{"execution.checkpointing.unaligned.enabled", "true"},
                             {"execution.checkpointing.mode", "AT_LEAST_ONCE"},
                             {"execution.checkpointing.max-concurrent-checkpoints", "2"}});
  ASSERT_TRUE(options.ok()) << Message(options.status());
  EXPECT_FALSE(options->exactly_once);
  EXPECT_FALSE(options->checkpointing.unaligned);
}

TEST(JobOptionsTest, AnUnknownModeIsRefused) {
  const auto options = Read({{"execution.checkpointing.mode", "AT_MOST_ONCE"}});
  ASSERT_FALSE(options.ok());
  EXPECT_THAT(Message(options.status()), HasSubstr("AT_MOST_ONCE"));
}

// flink-surface §4.1 no. 21.
TEST(JobOptionsTest, AnIntervalBelowTenMillisecondsIsRefused) {
  EXPECT_TRUE(Read({{"execution.checkpointing.interval", "10 ms"}}).ok());
  const auto refused = Read({{"execution.checkpointing.interval", "9 ms"}});
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(Message(refused.status()),
              HasSubstr("Checkpoint interval must be larger than or equal to 10 ms"));
}

}  // namespace
}  // namespace flink::jobmanager
