#pragma once

/// Job and task-attempt states with their transition tables, spelled as in Apache Flink's REST API.

#include <cstdint>
#include <optional>
#include <string_view>
#include <vector>

namespace flink::jobmanager {

/// State of a job. Successors are in the table of states.cc.
enum class JobStatus : uint8_t {
  kInitializing,  ///< The job is being set up, including loading a snapshot.
  kCreated,       ///< Set up, not scheduled.
  kRunning,       ///< Scheduled; tasks may still be deploying.
  kFailing,       ///< Unrecoverable failure; waiting for the tasks to end.
  kFailed,        ///< Globally terminal.
  kCancelling,    ///< Cancelled by the user; waiting for the tasks to end.
  kCanceled,      ///< Globally terminal.
  kFinished,      ///< Globally terminal.
  kRestarting,    ///< Recoverable failure; waiting for the backoff and the tasks to end.
  kSuspended,     ///< Locally terminal: another JobManager may recover the job.
  kReconciling,   ///< Kept for its spelling in the REST API.
};
inline constexpr int kJobStatusCount = 11;

/// State of one attempt of one subtask, in the order the REST API lists them.
enum class ExecutionState : uint8_t {
  kCreated,
  kScheduled,
  kDeploying,
  kRunning,
  kFinished,  ///< Terminal.
  kCanceling,
  kCanceled,  ///< Terminal.
  kFailed,    ///< Terminal.
  kReconciling,
  kInitializing,  ///< Restoring state, between kDeploying and kRunning.
};
inline constexpr int kExecutionStateCount = 10;

std::string_view NameOf(JobStatus status);
std::string_view NameOf(ExecutionState state);
std::optional<JobStatus> ParseJobStatus(std::string_view name);
std::optional<ExecutionState> ParseExecutionState(std::string_view name);

/// False when `from == to`.
bool CanTransition(JobStatus from, JobStatus to);
bool CanTransition(ExecutionState from, ExecutionState to);

/// FAILED, CANCELED, FINISHED: nobody will recover the job.
bool IsGloballyTerminal(JobStatus status);
/// Globally terminal or SUSPENDED.
bool IsTerminal(JobStatus status);
/// FINISHED, CANCELED, FAILED.
bool IsTerminal(ExecutionState state);

/// The state a vertex shows for its subtasks. kCreated when there are none.
ExecutionState AggregateState(const std::vector<ExecutionState>& subtasks);

}  // namespace flink::jobmanager
