#pragma once

/// The settings this system reads: Flink's keys, Flink's defaults. An empty default means that
/// there is none; the comment says what its absence does. Durations and sizes are in Flink's
/// notation (see configuration.h).

#include <string_view>

#include "common/config/configuration.h"

namespace flink::options {

/// Environment variable: the directory of config.yaml, instead of <distribution>/conf.
inline constexpr const char* kConfDirVariable = "FLINK_CONF_DIR";

// Checkpoints and savepoints.

/// Absent: no periodic checkpoints. At least 10 ms.
inline constexpr ConfigOption kCheckpointingInterval{"execution.checkpointing.interval", ""};
/// EXACTLY_ONCE or AT_LEAST_ONCE, in any case.
inline constexpr ConfigOption kCheckpointingMode{"execution.checkpointing.mode", "EXACTLY_ONCE"};
inline constexpr ConfigOption kCheckpointingTimeout{"execution.checkpointing.timeout", "10 min"};
inline constexpr ConfigOption kCheckpointingMinPause{"execution.checkpointing.min-pause", "0 ms"};
inline constexpr ConfigOption kMaxConcurrentCheckpoints{
    "execution.checkpointing.max-concurrent-checkpoints", "1"};
/// Failures in a row after which the job fails over.
inline constexpr ConfigOption kTolerableFailedCheckpoints{
    "execution.checkpointing.tolerable-failed-checkpoints", "0"};
/// How many completed checkpoints are kept.
inline constexpr ConfigOption kRetainedCheckpoints{"execution.checkpointing.num-retained", "1"};
/// Absent: checkpoints are kept by the JobManager.
inline constexpr ConfigOption kCheckpointDirectory{"execution.checkpointing.dir", ""};
/// Absent: a savepoint command must name its target.
inline constexpr ConfigOption kSavepointDirectory{"execution.checkpointing.savepoint-dir", ""};
/// "filesystem" (default), or "jobmanager": all state in `_metadata`, at most 5 mb for each state.
inline constexpr ConfigOption kCheckpointStorage{"execution.checkpointing.storage", ""};
/// A directory per job below the checkpoint directory.
inline constexpr ConfigOption kCheckpointCreateSubdir{"execution.checkpointing.create-subdir",
                                                      "true"};
/// What becomes of checkpoints at the job's end: NO_EXTERNALIZED_CHECKPOINTS,
/// DELETE_ON_CANCELLATION (kept when the job fails) or RETAIN_ON_CANCELLATION (kept when it fails
/// or is cancelled: persistent checkpoints).
inline constexpr ConfigOption kExternalizedCheckpointRetention{
    "execution.checkpointing.externalized-checkpoint-retention", "NO_EXTERNALIZED_CHECKPOINTS"};
/// A savepoint is taken every such interval, and it belongs to the user; absent or 0: none is. At
/// least 10 ms. One that fails is logged and does not fail the job; one that is due while the one
/// before is still being written is left out.
inline constexpr ConfigOption kPeriodicSavepointInterval{
    "execution.checkpointing.periodic-savepoints.interval", ""};
/// Where they go; absent: execution.checkpointing.savepoint-dir.
inline constexpr ConfigOption kPeriodicSavepointDirectory{
    "execution.checkpointing.periodic-savepoints.dir", ""};
/// How many periodic savepoints of a job are kept while it runs. The oldest is disposed of when a
/// newer one is complete; the end of the job and the loss of the JobManager delete none.
inline constexpr ConfigOption kRetainedPeriodicSavepoints{
    "execution.checkpointing.periodic-savepoints.num-retained", "1"};
/// CANONICAL or NATIVE, in any case.
inline constexpr ConfigOption kPeriodicSavepointFormat{
    "execution.checkpointing.periodic-savepoints.format-type", "CANONICAL"};
inline constexpr ConfigOption kIncrementalCheckpoints{"execution.checkpointing.incremental",
                                                      "false"};
/// State streams up to this size stand in `_metadata` itself. At most 1 mb.
inline constexpr ConfigOption kDataInlineThreshold{"execution.checkpointing.data-inline-threshold",
                                                   "20 kb"};
inline constexpr ConfigOption kCheckpointWriteBufferSize{
    "execution.checkpointing.write-buffer-size", "4096"};
/// Barriers overtake records. Needs the mode EXACTLY_ONCE and one checkpoint at a time.
inline constexpr ConfigOption kUnalignedCheckpoints{"execution.checkpointing.unaligned.enabled",
                                                    "false"};
/// How long after its trigger an unaligned checkpoint stays aligned; 0: it starts unaligned.
inline constexpr ConfigOption kAlignedCheckpointTimeout{
    "execution.checkpointing.aligned-checkpoint-timeout", "0 ms"};
inline constexpr ConfigOption kCheckpointsAfterTasksFinish{
    "execution.checkpointing.checkpoints-after-tasks-finish", "true"};
/// The snapshot a job starts from; absent: from nothing.
inline constexpr ConfigOption kRestorePath{"execution.state-recovery.path", ""};
/// Drop the state of operators that the job does not have.
inline constexpr ConfigOption kRestoreIgnoreUnclaimedState{
    "execution.state-recovery.ignore-unclaimed-state", "false"};
/// NO_CLAIM, CLAIM or LEGACY.
inline constexpr ConfigOption kRestoreClaimMode{"execution.state-recovery.claim-mode", "NO_CLAIM"};

// State backend.

/// "hashmap" or "rocksdb", in any case; the old "filesystem" and "jobmanager" mean hashmap.
inline constexpr ConfigOption kStateBackendType{"state.backend.type", "hashmap"};
/// Absent: below io.tmp.dirs.
inline constexpr ConfigOption kRocksDbLocalDirectories{"state.backend.rocksdb.localdir", ""};
inline constexpr ConfigOption kRocksDbMemoryManaged{"state.backend.rocksdb.memory.managed", "true"};
/// Absent: the slot's share of managed memory.
inline constexpr ConfigOption kRocksDbMemoryFixedPerSlot{
    "state.backend.rocksdb.memory.fixed-per-slot", ""};
inline constexpr ConfigOption kRocksDbWriteBufferRatio{
    "state.backend.rocksdb.memory.write-buffer-ratio", "0.5"};
inline constexpr ConfigOption kRocksDbTransferThreads{
    "state.backend.rocksdb.checkpoint.transfer.thread.num", "4"};

// Restart and failover.

/// none, fixed-delay, failure-rate or exponential-delay; absent: none without checkpointing, else
/// exponential-delay.
inline constexpr ConfigOption kRestartStrategy{"restart-strategy.type", ""};
inline constexpr ConfigOption kFixedDelayAttempts{"restart-strategy.fixed-delay.attempts", "1"};
inline constexpr ConfigOption kFixedDelayDelay{"restart-strategy.fixed-delay.delay", "1 s"};
inline constexpr ConfigOption kFailureRateMaxFailures{
    "restart-strategy.failure-rate.max-failures-per-interval", "1"};
inline constexpr ConfigOption kFailureRateInterval{
    "restart-strategy.failure-rate.failure-rate-interval", "1 min"};
inline constexpr ConfigOption kFailureRateDelay{"restart-strategy.failure-rate.delay", "1 s"};
inline constexpr ConfigOption kExponentialDelayInitialBackoff{
    "restart-strategy.exponential-delay.initial-backoff", "1 s"};
inline constexpr ConfigOption kExponentialDelayMaxBackoff{
    "restart-strategy.exponential-delay.max-backoff", "1 min"};
inline constexpr ConfigOption kExponentialDelayMultiplier{
    "restart-strategy.exponential-delay.backoff-multiplier", "1.5"};
inline constexpr ConfigOption kExponentialDelayResetThreshold{
    "restart-strategy.exponential-delay.reset-backoff-threshold", "1 h"};
inline constexpr ConfigOption kExponentialDelayJitterFactor{
    "restart-strategy.exponential-delay.jitter-factor", "0.1"};
/// A number or "infinite".
inline constexpr ConfigOption kExponentialDelayAttempts{
    "restart-strategy.exponential-delay.attempts-before-reset-backoff", "infinite"};
inline constexpr ConfigOption kExceptionHistorySize{"web.exception-history-size", "16"};

// JobManager, RPC, heartbeats, slots.

/// Where TaskManagers find the JobManager; the shipped configuration says localhost.
inline constexpr ConfigOption kJobManagerAddress{"jobmanager.rpc.address", "localhost"};
inline constexpr ConfigOption kJobManagerPort{"jobmanager.rpc.port", "6123"};
inline constexpr ConfigOption kJobManagerBindHost{"jobmanager.bind-host", "localhost"};
inline constexpr ConfigOption kHeartbeatInterval{"heartbeat.interval", "10 s"};
inline constexpr ConfigOption kHeartbeatTimeout{"heartbeat.timeout", "50 s"};
/// Failed calls in a row that count as a lost peer; -1 disables.
inline constexpr ConfigOption kHeartbeatRpcFailureThreshold{"heartbeat.rpc-failure-threshold", "2"};
/// How long the task executors of a job may take to load it and be ready; then the attempt fails
/// and the restart strategy decides. A job that waits for free slots during recovery waits on.
inline constexpr ConfigOption kSlotRequestTimeout{"slot.request.timeout", "5 min"};
inline constexpr ConfigOption kAskTimeout{"pekko.ask.timeout", "10 s"};

// REST and client.

inline constexpr ConfigOption kRestAddress{"rest.address", "localhost"};
inline constexpr ConfigOption kRestPort{"rest.port", "8081"};
/// A port, a list or a range; absent: rest.port.
inline constexpr ConfigOption kRestBindPort{"rest.bind-port", ""};
inline constexpr ConfigOption kRestBindAddress{"rest.bind-address", "localhost"};
inline constexpr ConfigOption kRestConnectionTimeout{"rest.connection-timeout", "15 s"};
inline constexpr ConfigOption kRestIdlenessTimeout{"rest.idleness-timeout", "5 min"};
inline constexpr ConfigOption kRestRetryMaxAttempts{"rest.retry.max-attempts", "20"};
inline constexpr ConfigOption kRestRetryDelay{"rest.retry.delay", "3 s"};
inline constexpr ConfigOption kRestAsyncStoreDuration{"rest.async.store-duration", "5 min"};
inline constexpr ConfigOption kRestMaxContentLength{"rest.server.max-content-length", "104857600"};
inline constexpr ConfigOption kWebUploadDirectory{"web.upload.dir", ""};
inline constexpr ConfigOption kWebRefreshInterval{"web.refresh-interval", "3 s"};
inline constexpr ConfigOption kClientTimeout{"client.timeout", "60 s"};
inline constexpr ConfigOption kClientRetryPeriod{"client.retry-period", "2 s"};

// TaskManager.

/// The name under which other TaskManagers reach this one; absent: localhost.
inline constexpr ConfigOption kTaskManagerHost{"taskmanager.host", ""};
inline constexpr ConfigOption kTaskManagerBindHost{"taskmanager.bind-host", "localhost"};
inline constexpr ConfigOption kTaskManagerRpcPort{"taskmanager.rpc.port", "0"};
inline constexpr ConfigOption kTaskManagerDataPort{"taskmanager.data.port", "0"};
inline constexpr ConfigOption kTaskManagerSlots{"taskmanager.numberOfTaskSlots", "1"};
inline constexpr ConfigOption kTaskManagerResourceId{"taskmanager.resource-id", ""};
inline constexpr ConfigOption kTaskManagerProcessMemory{"taskmanager.memory.process.size", "1728m"};
/// Absent: the fraction below of the process memory.
inline constexpr ConfigOption kTaskManagerManagedMemory{"taskmanager.memory.managed.size", ""};
inline constexpr ConfigOption kTaskManagerManagedFraction{"taskmanager.memory.managed.fraction",
                                                          "0.4"};
inline constexpr ConfigOption kTaskManagerSegmentSize{"taskmanager.memory.segment-size", "32 kb"};
inline constexpr ConfigOption kTaskManagerNetworkFraction{"taskmanager.memory.network.fraction",
                                                          "0.1"};
inline constexpr ConfigOption kTaskManagerRegistrationTimeout{"taskmanager.registration.timeout",
                                                              "5 min"};
/// How long a cancelled task may take before its process is killed.
inline constexpr ConfigOption kTaskCancellationTimeout{"task.cancellation.timeout", "180000"};
/// Directories for local state, separated by commas or the path separator; absent: $TMPDIR, else
/// /tmp.
inline constexpr ConfigOption kTmpDirectories{"io.tmp.dirs", ""};

// Jobs.

inline constexpr ConfigOption kDefaultParallelism{"parallelism.default", "1"};
/// -1: derived from the parallelism.
inline constexpr ConfigOption kMaxParallelism{"pipeline.max-parallelism", "-1"};
inline constexpr ConfigOption kOperatorChaining{"pipeline.operator-chaining.enabled", "true"};
/// false: an operator with state must have a uid.
inline constexpr ConfigOption kAutoGenerateUids{"pipeline.auto-generate-uids", "true"};
inline constexpr ConfigOption kObjectReuse{"pipeline.object-reuse", "false"};
inline constexpr ConfigOption kAutoWatermarkInterval{"pipeline.auto-watermark-interval", "200 ms"};
inline constexpr ConfigOption kPipelineName{"pipeline.name", ""};

}  // namespace flink::options
