#include "jobmanager/scheduler/restart_strategy.h"

#include <algorithm>
#include <deque>

namespace flink::jobmanager {
namespace {

class NoRestartStrategy : public RestartStrategy {
 public:
  Decision OnFailure(int64_t, double) override { return {}; }
  std::string Description() const override { return "NoRestartBackoffTimeStrategy"; }
};

class FixedDelayRestartStrategy : public RestartStrategy {
 public:
  explicit FixedDelayRestartStrategy(const RestartStrategyOptions& options) : options_(options) {}

  Decision OnFailure(int64_t, double) override {
    if (failures_ <= options_.fixed_delay_attempts) ++failures_;
    return {failures_ <= options_.fixed_delay_attempts, options_.fixed_delay_ms};
  }
  std::string Description() const override {
    return fmt::format(
        "FixedDelayRestartBackoffTimeStrategy(maxNumberRestartAttempts={}, backoffTimeMS={})",
        options_.fixed_delay_attempts, options_.fixed_delay_ms);
  }

 private:
  const RestartStrategyOptions options_;
  int64_t failures_ = 0;
};

class FailureRateRestartStrategy : public RestartStrategy {
 public:
  explicit FailureRateRestartStrategy(const RestartStrategyOptions& options) : options_(options) {}

  Decision OnFailure(int64_t now_ms, double) override {
    failures_.push_back(now_ms);
    while (!failures_.empty() && now_ms - failures_.front() > options_.failure_rate_interval_ms) {
      failures_.pop_front();
    }
    const auto max =
        static_cast<size_t>(std::max<int64_t>(0, options_.failure_rate_max_failures_per_interval));
    return {failures_.size() <= max, options_.failure_rate_delay_ms};
  }
  std::string Description() const override {
    return fmt::format(
        "FailureRateRestartBackoffTimeStrategy(failuresIntervalMS={}, backoffTimeMS={}, "
        "maxFailuresPerInterval={})",
        options_.failure_rate_interval_ms, options_.failure_rate_delay_ms,
        options_.failure_rate_max_failures_per_interval);
  }

 private:
  const RestartStrategyOptions options_;
  std::deque<int64_t> failures_;
};

class ExponentialDelayRestartStrategy : public RestartStrategy {
 public:
  explicit ExponentialDelayRestartStrategy(const RestartStrategyOptions& options)
      : options_(options),
        backoff_ms_(static_cast<double>(options.exponential_initial_backoff_ms)) {}

  Decision OnFailure(int64_t now_ms, double random01) override {
    if (attempts_ > 0 && now_ms <= next_restart_ms_) {
      return {CanRestart(), next_restart_ms_ - now_ms};
    }
    if (attempts_ == 0 ||
        now_ms - next_restart_ms_ >= options_.exponential_reset_backoff_threshold_ms) {
      attempts_ = 0;
      backoff_ms_ = static_cast<double>(options_.exponential_initial_backoff_ms);
    } else {
      backoff_ms_ = std::min(backoff_ms_ * options_.exponential_backoff_multiplier,
                             static_cast<double>(options_.exponential_max_backoff_ms));
    }
    if (CanRestart() && attempts_ < std::numeric_limits<int64_t>::max()) ++attempts_;
    const double jitter = backoff_ms_ * options_.exponential_jitter_factor * (2 * random01 - 1);
    const auto delay_ms = static_cast<int64_t>(std::max(
        static_cast<double>(options_.exponential_initial_backoff_ms),
        std::min(backoff_ms_ + jitter, static_cast<double>(options_.exponential_max_backoff_ms))));
    next_restart_ms_ = now_ms + delay_ms;
    return {CanRestart(), delay_ms};
  }
  std::string Description() const override {
    return fmt::format(
        "ExponentialDelayRestartBackoffTimeStrategy(initialBackoffMS={}, maxBackoffMS={}, "
        "backoffMultiplier={}, resetBackoffThresholdMS={}, jitterFactor={}, "
        "currentBackoffMS={}, attemptsBeforeResetBackoff={})",
        options_.exponential_initial_backoff_ms, options_.exponential_max_backoff_ms,
        options_.exponential_backoff_multiplier, options_.exponential_reset_backoff_threshold_ms,
        options_.exponential_jitter_factor, static_cast<int64_t>(backoff_ms_),
        options_.exponential_attempts_before_reset);
  }

 private:
  bool CanRestart() const { return attempts_ <= options_.exponential_attempts_before_reset; }

  const RestartStrategyOptions options_;
  double backoff_ms_;
  int64_t attempts_ = 0;
  int64_t next_restart_ms_ = 0;
};

StatusOr<RestartStrategyType> ParseType(const std::string& value) {
  std::string name;
  for (const char c : value) {
    if (c != '-') name += static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
  }
  if (name == "none" || name == "off" || name == "disable") return RestartStrategyType::kNone;
  if (name == "fixeddelay") return RestartStrategyType::kFixedDelay;
  if (name == "failurerate") return RestartStrategyType::kFailureRate;
  if (name == "exponentialdelay") return RestartStrategyType::kExponentialDelay;
  return InvalidArgument(
      "Unknown restart strategy \"{}\" in restart-strategy.type: use none, fixed-delay, "
      "failure-rate or exponential-delay.",
      value);
}

Status ReadDuration(const Configuration& configuration, const char* key, int64_t* ms) {
  ASSIGN_OR_RETURN(const auto value,
                   configuration.GetDuration(key, std::chrono::milliseconds(*ms)));
  if (value.count() < 0)
    return InvalidArgument("{} must not be negative: {} ms", key, value.count());
  *ms = value.count();
  return OkStatus();
}

Status ReadInt(const Configuration& configuration, const char* key, int64_t* number) {
  ASSIGN_OR_RETURN(*number, configuration.GetInt(key, *number));
  if (*number < 0) return InvalidArgument("{} must not be negative: {}", key, *number);
  return OkStatus();
}

}  // namespace

RestartStrategyType DefaultRestartStrategy(bool checkpointing_enabled) {
  return checkpointing_enabled ? RestartStrategyType::kExponentialDelay
                               : RestartStrategyType::kNone;
}

StatusOr<RestartStrategyOptions> RestartStrategyFromConfiguration(
    const Configuration& configuration, bool checkpointing_enabled) {
  RestartStrategyOptions o;
  const std::string type = configuration.GetString("restart-strategy.type", "");
  o.type = DefaultRestartStrategy(checkpointing_enabled);
  if (!type.empty()) {
    ASSIGN_OR_RETURN(o.type, ParseType(type));
  }
  const Configuration& c = configuration;
  RETURN_IF_ERROR(ReadInt(c, "restart-strategy.fixed-delay.attempts", &o.fixed_delay_attempts));
  RETURN_IF_ERROR(ReadDuration(c, "restart-strategy.fixed-delay.delay", &o.fixed_delay_ms));
  RETURN_IF_ERROR(ReadInt(c, "restart-strategy.failure-rate.max-failures-per-interval",
                          &o.failure_rate_max_failures_per_interval));
  RETURN_IF_ERROR(ReadDuration(c, "restart-strategy.failure-rate.failure-rate-interval",
                               &o.failure_rate_interval_ms));
  RETURN_IF_ERROR(ReadDuration(c, "restart-strategy.failure-rate.delay", &o.failure_rate_delay_ms));
  RETURN_IF_ERROR(ReadDuration(c, "restart-strategy.exponential-delay.initial-backoff",
                               &o.exponential_initial_backoff_ms));
  RETURN_IF_ERROR(ReadDuration(c, "restart-strategy.exponential-delay.max-backoff",
                               &o.exponential_max_backoff_ms));
  RETURN_IF_ERROR(ReadDuration(c, "restart-strategy.exponential-delay.reset-backoff-threshold",
                               &o.exponential_reset_backoff_threshold_ms));
  ASSIGN_OR_RETURN(o.exponential_backoff_multiplier,
                   c.GetDouble("restart-strategy.exponential-delay.backoff-multiplier",
                               o.exponential_backoff_multiplier));
  if (o.exponential_backoff_multiplier < 1) {
    return InvalidArgument(
        "restart-strategy.exponential-delay.backoff-multiplier must be at least 1: {}",
        o.exponential_backoff_multiplier);
  }
  ASSIGN_OR_RETURN(
      o.exponential_jitter_factor,
      c.GetDouble("restart-strategy.exponential-delay.jitter-factor", o.exponential_jitter_factor));
  if (o.exponential_jitter_factor < 0 || o.exponential_jitter_factor > 1) {
    return InvalidArgument(
        "restart-strategy.exponential-delay.jitter-factor must be between 0 and 1: {}",
        o.exponential_jitter_factor);
  }
  const char* attempts = "restart-strategy.exponential-delay.attempts-before-reset-backoff";
  if (c.GetString(attempts, "infinite") != "infinite") {
    RETURN_IF_ERROR(ReadInt(c, attempts, &o.exponential_attempts_before_reset));
  }
  return o;
}

std::unique_ptr<RestartStrategy> RestartStrategy::Create(const RestartStrategyOptions& options) {
  switch (options.type) {
    case RestartStrategyType::kFixedDelay:
      return std::make_unique<FixedDelayRestartStrategy>(options);
    case RestartStrategyType::kFailureRate:
      return std::make_unique<FailureRateRestartStrategy>(options);
    case RestartStrategyType::kExponentialDelay:
      return std::make_unique<ExponentialDelayRestartStrategy>(options);
    case RestartStrategyType::kNone:
      break;
  }
  return std::make_unique<NoRestartStrategy>();
}

}  // namespace flink::jobmanager
