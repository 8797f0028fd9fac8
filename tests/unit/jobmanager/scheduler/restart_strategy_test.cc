#include "jobmanager/scheduler/restart_strategy.h"

#include <gtest/gtest.h>

namespace flink::jobmanager {
namespace {

RestartStrategyOptions Of(RestartStrategyType type) {
  RestartStrategyOptions options;
  options.type = type;
  return options;
}

TEST(RestartStrategyTest, NoneNeverRestarts) {
  const auto strategy = RestartStrategy::Create(Of(RestartStrategyType::kNone));
  EXPECT_FALSE(strategy->OnFailure(0, 0.5).can_restart);
  EXPECT_EQ(strategy->Description(), "NoRestartBackoffTimeStrategy");
}

TEST(RestartStrategyTest, FixedDelayRestartsTheGivenNumberOfTimes) {
  RestartStrategyOptions options = Of(RestartStrategyType::kFixedDelay);
  options.fixed_delay_attempts = 2;
  options.fixed_delay_ms = 70;
  const auto strategy = RestartStrategy::Create(options);
  for (int i = 0; i < 2; ++i) {
    const auto decision = strategy->OnFailure(0, 0.5);
    EXPECT_TRUE(decision.can_restart);
    EXPECT_EQ(decision.delay_ms, 70);
  }
  EXPECT_FALSE(strategy->OnFailure(0, 0.5).can_restart);
  EXPECT_FALSE(strategy->OnFailure(0, 0.5).can_restart);
  EXPECT_EQ(strategy->Description(),
            "FixedDelayRestartBackoffTimeStrategy(maxNumberRestartAttempts=2, backoffTimeMS=70)");
}

TEST(RestartStrategyTest, FailureRateGivesUpWhenFailuresComeTooFast) {
  RestartStrategyOptions options = Of(RestartStrategyType::kFailureRate);
  options.failure_rate_max_failures_per_interval = 2;
  options.failure_rate_interval_ms = 1000;
  const auto strategy = RestartStrategy::Create(options);
  EXPECT_TRUE(strategy->OnFailure(0, 0.5).can_restart);
  EXPECT_TRUE(strategy->OnFailure(600, 0.5).can_restart);
  EXPECT_TRUE(strategy->OnFailure(1200, 0.5).can_restart);  // The first one is too long ago.
  EXPECT_FALSE(strategy->OnFailure(1300, 0.5).can_restart);
}

TEST(RestartStrategyTest, ExponentialDelayGrowsToItsMaximum) {
  RestartStrategyOptions options = Of(RestartStrategyType::kExponentialDelay);
  options.exponential_jitter_factor = 0;
  options.exponential_max_backoff_ms = 3000;
  const auto strategy = RestartStrategy::Create(options);
  int64_t now = 5000;
  for (const int64_t expected : {1000, 1500, 2250, 3000, 3000}) {
    const auto decision = strategy->OnFailure(now, 0.5);
    EXPECT_TRUE(decision.can_restart);
    EXPECT_EQ(decision.delay_ms, expected);
    now += decision.delay_ms + 1;
  }
  now += 3'600'000;
  EXPECT_EQ(strategy->OnFailure(now, 0.5).delay_ms, 1000);
}

TEST(RestartStrategyTest, ExponentialDelayMergesFailuresWhileARestartWaits) {
  RestartStrategyOptions options = Of(RestartStrategyType::kExponentialDelay);
  options.exponential_jitter_factor = 0;
  options.exponential_attempts_before_reset = 1;
  const auto strategy = RestartStrategy::Create(options);
  EXPECT_EQ(strategy->OnFailure(100, 0.5).delay_ms, 1000);
  EXPECT_TRUE(strategy->OnFailure(400, 0.5).can_restart);
  EXPECT_EQ(strategy->OnFailure(500, 0.5).delay_ms, 600);
  EXPECT_FALSE(strategy->OnFailure(2000, 0.5).can_restart);
}

TEST(RestartStrategyTest, JitterSpreadsTheDelayWithinItsFactor) {
  RestartStrategyOptions options = Of(RestartStrategyType::kExponentialDelay);
  options.exponential_initial_backoff_ms = 1000;
  for (const double random : {0.0, 0.25, 0.75, 0.999}) {
    const auto strategy = RestartStrategy::Create(options);
    const int64_t first = strategy->OnFailure(0, random).delay_ms;
    EXPECT_GE(first, 1000);
    EXPECT_LE(first, 1100);
    const int64_t second = strategy->OnFailure(10'000, random).delay_ms;
    EXPECT_GE(second, 1350);
    EXPECT_LE(second, 1650);
  }
}

TEST(RestartStrategyTest, TheDefaultDependsOnCheckpointing) {
  EXPECT_EQ(DefaultRestartStrategy(false), RestartStrategyType::kNone);
  EXPECT_EQ(DefaultRestartStrategy(true), RestartStrategyType::kExponentialDelay);
}

TEST(RestartStrategyTest, OptionsAreReadFromTheConfiguration) {
  Configuration c;
  EXPECT_EQ(RestartStrategyFromConfiguration(c, true)->type,
            RestartStrategyType::kExponentialDelay);
  c.Set("restart-strategy.type", "FixedDelay");
  c.Set("restart-strategy.fixed-delay.attempts", "7");
  c.Set("restart-strategy.fixed-delay.delay", "3 s");
  c.Set("restart-strategy.exponential-delay.attempts-before-reset-backoff", "infinite");
  const auto options = RestartStrategyFromConfiguration(c, false);
  ASSERT_TRUE(options.ok()) << Message(options.status());
  EXPECT_EQ(options->type, RestartStrategyType::kFixedDelay);
  EXPECT_EQ(options->fixed_delay_attempts, 7);
  EXPECT_EQ(options->fixed_delay_ms, 3000);
  for (const char* name : {"none", "off", "disable"}) {
    c.Set("restart-strategy.type", name);
    EXPECT_EQ(RestartStrategyFromConfiguration(c, true)->type, RestartStrategyType::kNone);
  }
  c.Set("restart-strategy.type", "sometimes");
  EXPECT_FALSE(RestartStrategyFromConfiguration(c, true).ok());
}

}  // namespace
}  // namespace flink::jobmanager
