#include "jobmanager/checkpoint/checkpoint_failure_reason.h"

#include <array>

namespace flink::jobmanager {
namespace {

struct Entry {
  CheckpointFailureReason reason;
  bool pre_flight;
  bool counts;
  std::string_view name;
  std::string_view message;
};

using R = CheckpointFailureReason;
// In the order of the enum.
constexpr std::array<Entry, kCheckpointFailureReasonCount> kEntries = {{
    {R::kPeriodicSchedulerShutdown, true, false, "PERIODIC_SCHEDULER_SHUTDOWN",
     "Periodic checkpoint scheduler is shut down."},
    {R::kTooManyCheckpointRequests, true, false, "TOO_MANY_CHECKPOINT_REQUESTS",
     "The maximum number of queued checkpoint requests exceeded"},
    {R::kMinimumTimeBetweenCheckpoints, true, false, "MINIMUM_TIME_BETWEEN_CHECKPOINTS",
     "The minimum time between checkpoints is still pending. Checkpoint will be triggered after "
     "the minimum time."},
    {R::kNotAllRequiredTasksRunning, true, false, "NOT_ALL_REQUIRED_TASKS_RUNNING",
     "Not all required tasks are currently running."},
    {R::kIoException, true, true, "IO_EXCEPTION",
     "An Exception occurred while triggering the checkpoint. IO-problem detected."},
    {R::kBlockingOutputExist, true, false, "BLOCKING_OUTPUT_EXIST",
     "Blocking output edge exists in running tasks."},
    {R::kCheckpointAsyncException, false, true, "CHECKPOINT_ASYNC_EXCEPTION",
     "Asynchronous task checkpoint failed."},
    {R::kCheckpointExpired, false, true, "CHECKPOINT_EXPIRED",
     "Checkpoint expired before completing."},
    {R::kCheckpointSubsumed, false, false, "CHECKPOINT_SUBSUMED", "Checkpoint has been subsumed."},
    {R::kCheckpointDeclined, false, true, "CHECKPOINT_DECLINED", "Checkpoint was declined."},
    {R::kCheckpointDeclinedTaskNotReady, false, false, "CHECKPOINT_DECLINED_TASK_NOT_READY",
     "Checkpoint was declined (tasks not ready)"},
    {R::kCheckpointDeclinedTaskClosing, false, false, "CHECKPOINT_DECLINED_TASK_CLOSING",
     "Checkpoint was declined (task is closing)"},
    {R::kCheckpointDeclinedSubsumed, false, false, "CHECKPOINT_DECLINED_SUBSUMED",
     "Checkpoint was canceled because a barrier from newer checkpoint was received."},
    {R::kCheckpointDeclinedOnCancellationBarrier, false, false,
     "CHECKPOINT_DECLINED_ON_CANCELLATION_BARRIER",
     "Task received cancellation from one of its inputs"},
    {R::kCheckpointDeclinedInputEndOfStream, false, false,
     "CHECKPOINT_DECLINED_INPUT_END_OF_STREAM",
     "Checkpoint was declined because one input stream is finished"},
    {R::kCheckpointCoordinatorShutdown, false, false, "CHECKPOINT_COORDINATOR_SHUTDOWN",
     "CheckpointCoordinator shutdown."},
    {R::kCheckpointCoordinatorSuspend, false, false, "CHECKPOINT_COORDINATOR_SUSPEND",
     "Checkpoint Coordinator is suspending."},
    {R::kJobFailoverRegion, false, false, "JOB_FAILOVER_REGION", "FailoverRegion is restarting."},
    {R::kTaskFailure, false, false, "TASK_FAILURE", "Task has failed."},
    {R::kTaskCheckpointFailure, false, false, "TASK_CHECKPOINT_FAILURE",
     "Task local checkpoint failure."},
    {R::kFinalizeCheckpointFailure, false, false, "FINALIZE_CHECKPOINT_FAILURE",
     "Failure to finalize checkpoint."},
    {R::kTriggerCheckpointFailure, false, false, "TRIGGER_CHECKPOINT_FAILURE",
     "Trigger checkpoint failure."},
}};

constexpr bool InEnumOrder() {
  for (size_t i = 0; i < kEntries.size(); ++i) {
    if (static_cast<size_t>(kEntries[i].reason) != i) return false;
  }
  return true;
}
static_assert(InEnumOrder());

const Entry& EntryOf(CheckpointFailureReason reason) {
  return kEntries.at(static_cast<size_t>(reason));
}

}  // namespace

std::string_view MessageOf(CheckpointFailureReason reason) { return EntryOf(reason).message; }
std::string_view NameOf(CheckpointFailureReason reason) { return EntryOf(reason).name; }
bool IsPreFlight(CheckpointFailureReason reason) { return EntryOf(reason).pre_flight; }
bool CountsAsFailure(CheckpointFailureReason reason) { return EntryOf(reason).counts; }

std::string FailureMessage(CheckpointFailureReason reason, std::string_view detail) {
  std::string text(detail);
  if (text.empty()) return std::string(MessageOf(reason));
  if (text.back() != '.') text += '.';
  // The detail names the file and what went wrong with it; the sentence would only blur that.
  if (reason == CheckpointFailureReason::kIoException) return text;
  text += " Failure reason: ";
  text += MessageOf(reason);
  return text;
}

}  // namespace flink::jobmanager
