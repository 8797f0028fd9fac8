#include "jobmanager/scheduler/job_options.h"

#include <algorithm>
#include <limits>

#include "common/base/logging.h"
#include "common/config/checkpoint_settings.h"
#include "common/config/options.h"
#include "flink/key_group.h"

namespace flink::jobmanager {
namespace {

constexpr int64_t kMinCheckpointInterval = 10;
constexpr int64_t kMinCheckpointTimeout = 10;

StatusOr<int64_t> Milliseconds(const Configuration& configuration, const ConfigOption& option) {
  ASSIGN_OR_RETURN(const std::chrono::milliseconds value, configuration.GetDuration(option));
  return value.count();
}

StatusOr<int> IntAtLeast(int64_t least, const Configuration& configuration,
                         const ConfigOption& option) {
  constexpr int64_t kMost = std::numeric_limits<int>::max();
  ASSIGN_OR_RETURN(const int64_t value, configuration.GetInt(option));
  if (value < least) {
    return InvalidArgument("{} is {}; it must be at least {}", option.key, value, least);
  }
  if (value > kMost) {
    return InvalidArgument("{} is {}; it must be at most {}", option.key, value, kMost);
  }
  return static_cast<int>(value);
}

StatusOr<CheckpointRetention> RetentionFromConfiguration(const Configuration& configuration) {
  const std::string value =
      UpperCase(configuration.GetString(options::kExternalizedCheckpointRetention));
  if (value == "NO_EXTERNALIZED_CHECKPOINTS") return CheckpointRetention::kNoExternalized;
  if (value == "DELETE_ON_CANCELLATION") return CheckpointRetention::kDeleteOnCancellation;
  if (value == "RETAIN_ON_CANCELLATION") return CheckpointRetention::kRetainOnCancellation;
  return InvalidArgument(
      "{} is \"{}\"; it must be NO_EXTERNALIZED_CHECKPOINTS, DELETE_ON_CANCELLATION or "
      "RETAIN_ON_CANCELLATION",
      options::kExternalizedCheckpointRetention.key, value);
}

Status ReadPeriodicSavepoints(const Configuration& configuration, JobOptions& options) {
  CheckpointCoordinatorOptions& c = options.checkpointing;
  ASSIGN_OR_RETURN(c.num_retained_periodic_savepoints,
                   IntAtLeast(1, configuration, options::kRetainedPeriodicSavepoints));
  if (!configuration.Contains(options::kPeriodicSavepointInterval)) return OkStatus();
  ASSIGN_OR_RETURN(const int64_t interval,
                   Milliseconds(configuration, options::kPeriodicSavepointInterval));
  if (interval == 0) return OkStatus();
  if (interval < kMinCheckpointInterval) {
    return InvalidArgument("{} is {} ms; it must be at least {} ms",
                           options::kPeriodicSavepointInterval.key, interval,
                           kMinCheckpointInterval);
  }
  c.periodic_savepoint_interval_ms = interval;
  c.periodic_savepoint_directory = configuration.GetString(options::kPeriodicSavepointDirectory);
  if (c.periodic_savepoint_directory.empty()) {
    c.periodic_savepoint_directory = options.savepoint_directory;
  }
  if (c.periodic_savepoint_directory.empty()) {
    return InvalidArgument("{} is set, but neither {} nor {} says where they go",
                           options::kPeriodicSavepointInterval.key,
                           options::kPeriodicSavepointDirectory.key,
                           options::kSavepointDirectory.key);
  }
  const std::string format = UpperCase(configuration.GetString(options::kPeriodicSavepointFormat));
  if (format != "CANONICAL" && format != "NATIVE") {
    return InvalidArgument("{} is \"{}\"; it must be CANONICAL or NATIVE",
                           options::kPeriodicSavepointFormat.key, format);
  }
  c.periodic_savepoint_format =
      format == "NATIVE" ? SavepointFormat::kNative : SavepointFormat::kCanonical;
  return OkStatus();
}

// After the rest of the options.
Status ReadAlignment(const Configuration& configuration, JobOptions& options) {
  CheckpointCoordinatorOptions& c = options.checkpointing;
  ASSIGN_OR_RETURN(options.exactly_once, ExactlyOnceFrom(configuration));
  ASSIGN_OR_RETURN(c.unaligned, configuration.GetBool(options::kUnalignedCheckpoints));
  ASSIGN_OR_RETURN(c.aligned_timeout_ms,
                   Milliseconds(configuration, options::kAlignedCheckpointTimeout));
  if (c.unaligned && !options.exactly_once) {
    // As Flink does.
    LOG_WARN("{} is ignored: unaligned checkpoints need {} EXACTLY_ONCE",
             options::kUnalignedCheckpoints.key, options::kCheckpointingMode.key);
    c.unaligned = false;
  }
  if (c.unaligned && c.max_concurrent > 1) {
    return InvalidArgument(
        "{} is {}: it must be 1 with unaligned checkpoints; lower it, or set {} to false",
        options::kMaxConcurrentCheckpoints.key, c.max_concurrent,
        options::kUnalignedCheckpoints.key);
  }
  return OkStatus();
}

Status ReadCheckpointing(const Configuration& configuration, JobOptions& options) {
  CheckpointCoordinatorOptions& c = options.checkpointing;
  if (configuration.Contains(options::kCheckpointingInterval)) {
    ASSIGN_OR_RETURN(const int64_t interval,
                     Milliseconds(configuration, options::kCheckpointingInterval));
    if (interval > 0 && interval < kMinCheckpointInterval) {
      return InvalidArgument(
          "{} is {} ms: Checkpoint interval must be larger than or equal to {} ms",
          options::kCheckpointingInterval.key, interval, kMinCheckpointInterval);
    }
    if (interval > 0) c.interval_ms = interval;
  }
  ASSIGN_OR_RETURN(c.timeout_ms, Milliseconds(configuration, options::kCheckpointingTimeout));
  if (c.timeout_ms < kMinCheckpointTimeout) {
    return InvalidArgument("{} is {} ms: Checkpoint timeout must be larger than or equal to {} ms",
                           options::kCheckpointingTimeout.key, c.timeout_ms, kMinCheckpointTimeout);
  }
  ASSIGN_OR_RETURN(c.min_pause_ms, Milliseconds(configuration, options::kCheckpointingMinPause));
  ASSIGN_OR_RETURN(c.max_concurrent,
                   IntAtLeast(1, configuration, options::kMaxConcurrentCheckpoints));
  ASSIGN_OR_RETURN(c.tolerable_failures,
                   IntAtLeast(0, configuration, options::kTolerableFailedCheckpoints));
  ASSIGN_OR_RETURN(c.num_retained, IntAtLeast(1, configuration, options::kRetainedCheckpoints));
  ASSIGN_OR_RETURN(c.retention, RetentionFromConfiguration(configuration));
  ASSIGN_OR_RETURN(c.incremental, configuration.GetBool(options::kIncrementalCheckpoints));
  ASSIGN_OR_RETURN(const int64_t history, configuration.GetInt("web.checkpoints.history", 10));
  c.history_size = static_cast<size_t>(history < 0 ? 0 : history);

  options.checkpoint_directory = configuration.GetString(options::kCheckpointDirectory);
  options.savepoint_directory = configuration.GetString(options::kSavepointDirectory);
  ASSIGN_OR_RETURN(options.create_subdirectory,
                   configuration.GetBool(options::kCheckpointCreateSubdir));
  ASSIGN_OR_RETURN(options.state_in_metadata, StateInMetadataFrom(configuration));
  RETURN_IF_ERROR(InlineThresholdFrom(configuration).status());
  RETURN_IF_ERROR(ReadAlignment(configuration, options));
  ASSIGN_OR_RETURN(c.after_tasks_finish,
                   configuration.GetBool(options::kCheckpointsAfterTasksFinish));
  ASSIGN_OR_RETURN(options.state_backend, StateBackendFrom(configuration));
  return ReadPeriodicSavepoints(configuration, options);
}

}  // namespace

StatusOr<JobOptions> JobOptions::FromConfiguration(const Configuration& configuration) {
  JobOptions options;
  RETURN_IF_ERROR(ReadCheckpointing(configuration, options));
  ASSIGN_OR_RETURN(options.restart,
                   RestartStrategyFromConfiguration(configuration,
                                                    options.checkpointing.interval_ms.has_value()));
  if (configuration.Contains(options::kTaskCancellationTimeout)) {
    ASSIGN_OR_RETURN(options.cancellation_timeout_ms,
                     Milliseconds(configuration, options::kTaskCancellationTimeout));
  }
  ASSIGN_OR_RETURN(options.executor_start_timeout_ms,
                   Milliseconds(configuration, options::kSlotRequestTimeout));
  ASSIGN_OR_RETURN(const int64_t parallelism, configuration.GetInt(options::kDefaultParallelism));
  options.default_parallelism = static_cast<int>(parallelism);
  ASSIGN_OR_RETURN(const int64_t max_parallelism, configuration.GetInt(options::kMaxParallelism));
  if (max_parallelism != -1 && (max_parallelism < 1 || max_parallelism > kMaxMaxParallelism)) {
    return InvalidArgument("{} is {}; it must be within 1..{}, or -1 to derive it",
                           options::kMaxParallelism.key, max_parallelism, kMaxMaxParallelism);
  }
  ASSIGN_OR_RETURN(options.object_reuse, configuration.GetBool(options::kObjectReuse));
  ASSIGN_OR_RETURN(const int64_t exceptions, configuration.GetInt(options::kExceptionHistorySize));
  options.exception_history_size = static_cast<size_t>(exceptions < 1 ? 1 : exceptions);
  return options;
}

int64_t DrawInitialDelay(int64_t interval_ms, int64_t min_pause_ms, std::mt19937_64& random) {
  return std::uniform_int_distribution<int64_t>(std::min(min_pause_ms, interval_ms),
                                                interval_ms)(random);
}

}  // namespace flink::jobmanager
