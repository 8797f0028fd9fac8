#pragma once

/// JobOptions: what a JobMaster reads from the effective configuration of its job.

#include <cstdint>
#include <optional>
#include <random>
#include <string>

#include "common/base/status.h"
#include "common/config/configuration.h"
#include "jobmanager/checkpoint/checkpoint_coordinator.h"
#include "jobmanager/scheduler/restart_strategy.h"

namespace flink::jobmanager {

/// Plain value. Times in milliseconds.
struct JobOptions {
  /// Without job, next id and completed checkpoints.
  CheckpointCoordinatorOptions checkpointing;
  std::string checkpoint_directory;  ///< As configured; empty: the JobManager's own.
  bool create_subdirectory = true;
  std::string savepoint_directory;  ///< As configured; empty: requests must name one.
  bool exactly_once = true;
  std::string state_backend = "hashmap";  ///< Or "rocksdb".
  bool state_in_metadata = false;         ///< The storage "jobmanager".
  RestartStrategyOptions restart;
  /// How long an executor may take to end after its tasks were cancelled; then it is killed. 5 s
  /// when task.cancellation.timeout is not configured: our tasks run in a process of their own, so
  /// killing is safe.
  int64_t cancellation_timeout_ms = 5000;
  /// How long the executors of an attempt may take until all are ready; then the attempt fails.
  int64_t executor_start_timeout_ms = 300'000;
  int default_parallelism = 1;
  bool object_reuse = false;
  size_t exception_history_size = 16;

  /// kInvalidArgument naming key and value.
  static StatusOr<JobOptions> FromConfiguration(const Configuration& configuration);
};

/// Until the first periodic checkpoint of an attempt: between the shortest pause and the interval,
/// so that jobs which start together do not take their checkpoints together.
int64_t DrawInitialDelay(int64_t interval_ms, int64_t min_pause_ms, std::mt19937_64& random);

}  // namespace flink::jobmanager
