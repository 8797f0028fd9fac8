#pragma once

/// Why a checkpoint attempt did not complete, with the texts of Apache Flink's
/// CheckpointFailureReason.

#include <string>
#include <string_view>

namespace flink::jobmanager {

enum class CheckpointFailureReason {
  // Before an id was drawn (pre-flight).
  kPeriodicSchedulerShutdown,
  kTooManyCheckpointRequests,
  kMinimumTimeBetweenCheckpoints,
  kNotAllRequiredTasksRunning,
  kIoException,  ///< Also used for a location that could not be created: such an attempt has an id.
  kBlockingOutputExist,
  // Of a running attempt.
  kCheckpointAsyncException,
  kCheckpointExpired,
  kCheckpointSubsumed,
  kCheckpointDeclined,
  kCheckpointDeclinedTaskNotReady,
  kCheckpointDeclinedTaskClosing,
  kCheckpointDeclinedSubsumed,
  kCheckpointDeclinedOnCancellationBarrier,
  kCheckpointDeclinedInputEndOfStream,
  kCheckpointCoordinatorShutdown,
  kCheckpointCoordinatorSuspend,
  kJobFailoverRegion,
  kTaskFailure,
  kTaskCheckpointFailure,
  kFinalizeCheckpointFailure,
  kTriggerCheckpointFailure,
};
inline constexpr int kCheckpointFailureReasonCount = 22;

/// The sentence shown to users.
std::string_view MessageOf(CheckpointFailureReason reason);
/// The enum constant as Flink spells it, e.g. CHECKPOINT_DECLINED.
std::string_view NameOf(CheckpointFailureReason reason);
/// True for reasons that reject a request before a checkpoint starts.
bool IsPreFlight(CheckpointFailureReason reason);
/// True for the reasons counted against execution.checkpointing.tolerable-failed-checkpoints.
bool CountsAsFailure(CheckpointFailureReason reason);
/// "<detail>. Failure reason: <sentence>", the sentence alone when there is no detail, the detail
/// alone for an I/O error.
std::string FailureMessage(CheckpointFailureReason reason, std::string_view detail = {});

}  // namespace flink::jobmanager
