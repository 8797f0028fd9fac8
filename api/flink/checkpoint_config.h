#pragma once

/// CheckpointConfig: what a program decides about its checkpoints and savepoints beside the
/// interval.

#include <chrono>
#include <cstdint>
#include <stdexcept>
#include <string>

#include "flink/internal/stream_graph_builder.h"

namespace flink {

enum class CheckpointingMode {
  kExactlyOnce,  ///< State and output reflect every record exactly once. The default.
  kAtLeastOnce,  ///< Checkpoints do not wait for slower inputs; after a failure records may count
                 ///< twice.
};

/// What becomes of the latest checkpoints at the end of the job. A job that finishes deletes them.
enum class ExternalizedCheckpointCleanup {
  kRetainOnCancellation,  ///< They stay when the job fails or is cancelled.
  kDeleteOnCancellation,  ///< They stay when the job fails.
  kNoExternalizedCheckpoints,
};

/// From StreamExecutionEnvironment::GetCheckpointConfig(); valid as long as the environment. Each
/// function sets keys of the job's configuration (named below), which win over those of `flink run
/// -D` and of the cluster. Paths are directories that all processes of the cluster can write, with
/// or without `file:`.
class CheckpointConfig {
 public:
  explicit CheckpointConfig(internal::GraphPtr graph) : graph_(std::move(graph)) {}

  /// Keeps the latest checkpoints below `path` when the job fails for good or is cancelled, to go
  /// on from with `flink run -s <path>/<job id>/chk-<n>`. They are deleted when newer ones subsume
  /// them (execution.checkpointing.num-retained) and when the job finishes. How often one is taken
  /// is decided by EnableCheckpointing. Sets execution.checkpointing.dir and
  /// execution.checkpointing.externalized-checkpoint-retention to RETAIN_ON_CANCELLATION. Throws
  /// std::invalid_argument when `path` is empty.
  void EnablePersistentCheckpoints(const std::string& path) {
    if (path.empty()) throw std::invalid_argument("persistent checkpoints need a path");
    Set("execution.checkpointing.dir", path);
    Set(kRetention, "RETAIN_ON_CANCELLATION");
  }
  /// The job keeps no checkpoint after its end, also when the cluster's configuration says so.
  void DisablePersistentCheckpoints() {
    graph_->graph.configuration.erase("execution.checkpointing.dir");
    Set(kRetention, "NO_EXTERNALIZED_CHECKPOINTS");
  }

  /// Takes a savepoint every `interval` (at least 10 ms), the first after one interval, into a new
  /// directory `<path>/savepoint-<6 hex of job id>-<12 hex>`. They are like those that a user
  /// triggers: they hold everything, may be moved, restore with `flink run -s`, are never used for
  /// failover, and the end of the job deletes none. While the job runs, the newest are kept (see
  /// below), in a queue of their own. One that fails is logged by the JobManager and does not fail
  /// the job; one that is due while the one before is still being written is left out. Needs no
  /// EnableCheckpointing. Sets execution.checkpointing.periodic-savepoints.interval and .dir.
  /// Throws std::invalid_argument for an interval that is too short or an empty `path`.
  void EnablePeriodicSavepoints(std::chrono::milliseconds interval, const std::string& path) {
    if (interval.count() < 10) {
      throw std::invalid_argument("an interval of periodic savepoints is at least 10 ms, not " +
                                  std::to_string(interval.count()) + " ms");
    }
    if (path.empty()) throw std::invalid_argument("periodic savepoints need a path");
    Set(kInterval, std::to_string(interval.count()) + " ms");
    Set("execution.checkpointing.periodic-savepoints.dir", path);
  }
  /// The job takes none, also when the cluster's configuration says so.
  void DisablePeriodicSavepoints() { Set(kInterval, "0 ms"); }
  /// How many periodic savepoints are kept while the job runs, 1 when nothing is said. The oldest
  /// is disposed of once a newer one is complete. Sets
  /// execution.checkpointing.periodic-savepoints.num-retained. Throws std::invalid_argument
  /// below 1.
  void SetMaximumNumberOfRetainedPeriodicSavepoints(int max) {
    if (max < 1) {
      throw std::invalid_argument("at least one periodic savepoint is retained, not " +
                                  std::to_string(max));
    }
    Set("execution.checkpointing.periodic-savepoints.num-retained", std::to_string(max));
  }

  // Flink's settings of checkpoints; the keys say the same in the configuration. Those that take a
  // number or duration throw std::invalid_argument when it is below what is named.

  /// execution.checkpointing.mode
  void SetCheckpointingMode(CheckpointingMode mode) {
    Set("execution.checkpointing.mode",
        mode == CheckpointingMode::kExactlyOnce ? "EXACTLY_ONCE" : "AT_LEAST_ONCE");
  }
  /// execution.checkpointing.min-pause, from 0: between the end of a checkpoint and the next one.
  void SetMinPauseBetweenCheckpoints(std::chrono::milliseconds pause) {
    SetDuration("execution.checkpointing.min-pause", pause, 0);
  }
  void SetMinPauseBetweenCheckpoints(int64_t pause_ms) {
    SetMinPauseBetweenCheckpoints(std::chrono::milliseconds(pause_ms));
  }
  /// execution.checkpointing.timeout, from 10 ms: a checkpoint that takes longer is given up.
  void SetCheckpointTimeout(std::chrono::milliseconds timeout) {
    SetDuration("execution.checkpointing.timeout", timeout, 10);
  }
  void SetCheckpointTimeout(int64_t timeout_ms) {
    SetCheckpointTimeout(std::chrono::milliseconds(timeout_ms));
  }
  /// execution.checkpointing.max-concurrent-checkpoints, from 1.
  void SetMaxConcurrentCheckpoints(int max) {
    SetNumber("execution.checkpointing.max-concurrent-checkpoints", max, 1);
  }
  /// execution.checkpointing.tolerable-failed-checkpoints, from 0: failures in a row that the job
  /// survives.
  void SetTolerableCheckpointFailureNumber(int number) {
    SetNumber("execution.checkpointing.tolerable-failed-checkpoints", number, 0);
  }
  /// execution.checkpointing.externalized-checkpoint-retention; where they lie is said by
  /// execution.checkpointing.dir.
  void SetExternalizedCheckpointCleanup(ExternalizedCheckpointCleanup cleanup) {
    switch (cleanup) {
      case ExternalizedCheckpointCleanup::kRetainOnCancellation:
        return Set(kRetention, "RETAIN_ON_CANCELLATION");
      case ExternalizedCheckpointCleanup::kDeleteOnCancellation:
        return Set(kRetention, "DELETE_ON_CANCELLATION");
      case ExternalizedCheckpointCleanup::kNoExternalizedCheckpoints:
        return Set(kRetention, "NO_EXTERNALIZED_CHECKPOINTS");
    }
  }
  /// The older name of SetExternalizedCheckpointCleanup.
  void EnableExternalizedCheckpoints(ExternalizedCheckpointCleanup cleanup) {
    SetExternalizedCheckpointCleanup(cleanup);
  }
  /// execution.checkpointing.unaligned.enabled
  void EnableUnalignedCheckpoints(bool enabled = true) {
    Set("execution.checkpointing.unaligned.enabled", enabled ? "true" : "false");
  }

 private:
  static constexpr const char* kRetention =
      "execution.checkpointing.externalized-checkpoint-retention";
  static constexpr const char* kInterval = "execution.checkpointing.periodic-savepoints.interval";

  void Set(const std::string& key, const std::string& value) {
    graph_->graph.configuration[key] = value;
  }

  void SetNumber(const std::string& key, int value, int least) {
    if (value < least) {
      throw std::invalid_argument(key + " is at least " + std::to_string(least) + ", not " +
                                  std::to_string(value));
    }
    Set(key, std::to_string(value));
  }
  void SetDuration(const std::string& key, std::chrono::milliseconds value, int64_t least_ms) {
    if (value.count() < least_ms) {
      throw std::invalid_argument(key + " is at least " + std::to_string(least_ms) + " ms, not " +
                                  std::to_string(value.count()) + " ms");
    }
    Set(key, std::to_string(value.count()) + " ms");
  }

  internal::GraphPtr graph_;
};

}  // namespace flink
