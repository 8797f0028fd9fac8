#pragma once

/// Decides whether and when a failed job is restarted (restart-strategy.*).

#include <cstdint>
#include <limits>
#include <memory>
#include <string>

#include "common/base/status.h"
#include "common/config/configuration.h"

namespace flink::jobmanager {

enum class RestartStrategyType { kNone, kFixedDelay, kFailureRate, kExponentialDelay };

/// Values of the keys restart-strategy.<type>.<name>; defaults are Flink's.
struct RestartStrategyOptions {
  RestartStrategyType type = RestartStrategyType::kNone;

  int64_t fixed_delay_attempts = 1;
  int64_t fixed_delay_ms = 1000;

  int64_t failure_rate_max_failures_per_interval = 1;
  int64_t failure_rate_interval_ms = 60'000;
  int64_t failure_rate_delay_ms = 1000;

  int64_t exponential_initial_backoff_ms = 1000;
  int64_t exponential_max_backoff_ms = 60'000;
  double exponential_backoff_multiplier = 1.5;
  int64_t exponential_reset_backoff_threshold_ms = 3'600'000;
  double exponential_jitter_factor = 0.1;
  int64_t exponential_attempts_before_reset = std::numeric_limits<int64_t>::max();
};

/// The strategy of a job that configures none: exponential-delay when it takes checkpoints, else
/// none.
RestartStrategyType DefaultRestartStrategy(bool checkpointing_enabled);

/// Reads the keys restart-strategy.*; an absent key keeps its default.
/// Errors: InvalidArgument naming key and value.
StatusOr<RestartStrategyOptions> RestartStrategyFromConfiguration(
    const Configuration& configuration, bool checkpointing_enabled);

/// Pure: reads no clock and no randomness. Threading: confined to the job's mailbox.
class RestartStrategy {
 public:
  struct Decision {
    bool can_restart = false;
    int64_t delay_ms = 0;  ///< Meaningful only when can_restart.
  };

  static std::unique_ptr<RestartStrategy> Create(const RestartStrategyOptions& options);
  virtual ~RestartStrategy() = default;

  /// Records one failure at `now_ms` and says what follows. `random01` in [0,1) spreads restarts.
  /// A failure that comes while a restart is waiting does not count again under exponential-delay.
  virtual Decision OnFailure(int64_t now_ms, double random01) = 0;
  /// The strategy and its settings, as Flink's failure text "Recovery is suppressed by <this>"
  /// shows it.
  virtual std::string Description() const = 0;
};

}  // namespace flink::jobmanager
