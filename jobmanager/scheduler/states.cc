#include "jobmanager/scheduler/states.h"

#include <array>
#include <initializer_list>

namespace flink::jobmanager {
namespace {

using J = JobStatus;
using E = ExecutionState;

template <class S>
constexpr uint32_t Bits(std::initializer_list<S> states) {
  uint32_t bits = 0;
  for (const S s : states) bits |= uint32_t{1} << static_cast<int>(s);
  return bits;
}

struct JobRow {
  J state;
  std::string_view name;
  uint32_t successors;
};
constexpr std::array<JobRow, kJobStatusCount> kJobTable = {{
    {J::kInitializing, "INITIALIZING",
     Bits({J::kCreated, J::kFailed, J::kCancelling, J::kSuspended})},
    {J::kCreated, "CREATED",
     Bits({J::kRunning, J::kFailing, J::kCancelling, J::kSuspended, J::kReconciling})},
    {J::kRunning, "RUNNING",
     Bits({J::kFinished, J::kRestarting, J::kFailing, J::kCancelling, J::kSuspended})},
    {J::kFailing, "FAILING", Bits({J::kFailed, J::kCancelling, J::kSuspended})},
    {J::kFailed, "FAILED", 0},
    {J::kCancelling, "CANCELLING", Bits({J::kCanceled, J::kSuspended})},
    {J::kCanceled, "CANCELED", 0},
    {J::kFinished, "FINISHED", 0},
    {J::kRestarting, "RESTARTING",
     Bits({J::kRunning, J::kCreated, J::kFailing, J::kCancelling, J::kSuspended})},
    {J::kSuspended, "SUSPENDED", 0},
    {J::kReconciling, "RECONCILING", Bits({J::kRunning, J::kFailing, J::kSuspended})},
}};

struct ExecutionRow {
  E state;
  std::string_view name;
  uint32_t successors;
};
constexpr std::array<ExecutionRow, kExecutionStateCount> kExecutionTable = {{
    {E::kCreated, "CREATED", Bits({E::kScheduled, E::kCanceled, E::kFailed, E::kReconciling})},
    {E::kScheduled, "SCHEDULED", Bits({E::kDeploying, E::kCanceling, E::kCanceled, E::kFailed})},
    {E::kDeploying, "DEPLOYING", Bits({E::kInitializing, E::kCanceling, E::kFailed})},
    {E::kRunning, "RUNNING", Bits({E::kFinished, E::kCanceling, E::kFailed})},
    {E::kFinished, "FINISHED", 0},
    {E::kCanceling, "CANCELING", Bits({E::kCanceled, E::kFailed})},
    {E::kCanceled, "CANCELED", 0},
    {E::kFailed, "FAILED", 0},
    {E::kReconciling, "RECONCILING", Bits({E::kRunning, E::kFinished, E::kCanceled, E::kFailed})},
    {E::kInitializing, "INITIALIZING", Bits({E::kRunning, E::kCanceling, E::kFailed})},
}};

template <class Table>
constexpr bool InEnumOrder(const Table& table) {
  for (size_t i = 0; i < table.size(); ++i) {
    if (static_cast<size_t>(table[i].state) != i) return false;
  }
  return true;
}
static_assert(InEnumOrder(kJobTable) && InEnumOrder(kExecutionTable));

}  // namespace

std::string_view NameOf(JobStatus status) { return kJobTable.at(static_cast<size_t>(status)).name; }
std::string_view NameOf(ExecutionState state) {
  return kExecutionTable.at(static_cast<size_t>(state)).name;
}

std::optional<JobStatus> ParseJobStatus(std::string_view name) {
  for (const JobRow& row : kJobTable) {
    if (row.name == name) return row.state;
  }
  return std::nullopt;
}

std::optional<ExecutionState> ParseExecutionState(std::string_view name) {
  for (const ExecutionRow& row : kExecutionTable) {
    if (row.name == name) return row.state;
  }
  return std::nullopt;
}

bool CanTransition(JobStatus from, JobStatus to) {
  return (kJobTable.at(static_cast<size_t>(from)).successors & Bits({to})) != 0;
}
bool CanTransition(ExecutionState from, ExecutionState to) {
  return (kExecutionTable.at(static_cast<size_t>(from)).successors & Bits({to})) != 0;
}

bool IsGloballyTerminal(JobStatus status) {
  return status == J::kFailed || status == J::kCanceled || status == J::kFinished;
}
bool IsTerminal(JobStatus status) { return IsGloballyTerminal(status) || status == J::kSuspended; }
bool IsTerminal(ExecutionState state) {
  return state == E::kFinished || state == E::kCanceled || state == E::kFailed;
}

ExecutionState AggregateState(const std::vector<ExecutionState>& subtasks) {
  std::array<size_t, kExecutionStateCount> count{};
  for (const E state : subtasks) ++count[static_cast<size_t>(state)];
  const auto has = [&count](E state) { return count[static_cast<size_t>(state)] != 0; };
  for (const E state : {E::kFailed, E::kCanceling, E::kCanceled, E::kInitializing, E::kRunning}) {
    if (has(state)) return state;
  }
  if (has(E::kFinished)) {
    return count[static_cast<size_t>(E::kFinished)] == subtasks.size() ? E::kFinished : E::kRunning;
  }
  for (const E state : {E::kDeploying, E::kScheduled, E::kReconciling}) {
    if (has(state)) return state;
  }
  return E::kCreated;
}

}  // namespace flink::jobmanager
