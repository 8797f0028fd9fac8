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

}  // namespace
}  // namespace flink::jobmanager
