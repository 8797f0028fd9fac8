#include "common/snapshot/state_form.h"

#include <algorithm>

#include "common/snapshot/heap_state.h"
#include "common/snapshot/state_types.h"
#include "common/snapshot/stream_content.h"

namespace flink::snapshot {
namespace {

constexpr char kRawTimers[] =
    "has timers on the heap beside its RocksDB state, as Apache Flink 1.8 and 1.9 had by default: "
    "start the job from it in Apache Flink 1.13 or later, take a savepoint in canonical format "
    "there, and start from that";
constexpr char kRawState[] =
    "has raw state, which only its class in Apache Flink reads: give the operator another uid and "
    "start with --allowNonRestoredState to go on without its state";
constexpr char kMerged[] =
    "has RocksDB files that are no files of their own, as Apache Flink merges them with "
    "execution.checkpointing.file-merging.enabled, which cannot be read here: take a savepoint in "
    "canonical format and start from that";
constexpr char kChangelog[] =
    "is in the form of Apache Flink's changelog, which cannot be read here: take a savepoint in "
    "canonical format and start from that";

bool IsWholeFile(const LocalFile& file) {
  return std::holds_alternative<InlineHandle>(file.stream) ||
         std::holds_alternative<FileHandle>(file.stream) ||
         std::holds_alternative<RelativeFileHandle>(file.stream);
}

StatusOr<std::string> ManagedProblem(const KeyedStateHandle& handle, const std::string& directory) {
  if (std::holds_alternative<OpaqueKeyedHandle>(handle)) {
    return fmt::format("its keyed state {}", kChangelog);
  }
  if (const auto* files = std::get_if<IncrementalHandle>(&handle)) {
    // RocksDB opens whole files only.
    const bool whole =
        std::all_of(files->shared_files.begin(), files->shared_files.end(), IsWholeFile) &&
        std::all_of(files->private_files.begin(), files->private_files.end(), IsWholeFile);
    return whole ? std::string() : fmt::format("its keyed state {}", kMerged);
  }
  const auto* groups = std::get_if<KeyGroupsHandle>(&handle);
  if (groups == nullptr || groups->kind == KeyGroupsHandle::Kind::kSavepoint) return std::string();
  ASSIGN_OR_RETURN(const StreamRanges ranges, StreamRanges::Open(groups->stream, directory));
  ASSIGN_OR_RETURN(const KeyedStateHeader header, ReadKeyedStateHead(groups->stream, directory));
  ASSIGN_OR_RETURN(const bool rows, HoldsRows(*groups, header, ranges));
  if (rows) return std::string();
  return fmt::format("its keyed state {}", kHeapForm);
}

/// Nobody would read it; a list of no timers is none.
StatusOr<std::string> RawProblem(const KeyedStateHandle& handle, const std::string& directory) {
  if (handle.index() == 0) return std::string();
  const auto* groups = std::get_if<KeyGroupsHandle>(&handle);
  if (groups == nullptr) return fmt::format("it {}", kRawState);
  ASSIGN_OR_RETURN(const StreamRanges ranges, StreamRanges::Open(groups->stream, directory));
  const StatusOr<bool> timers = HoldsRawTimers(*groups, ranges);
  if (timers.status().code() == absl::StatusCode::kFailedPrecondition) {
    return fmt::format("it {}", kRawState);
  }
  RETURN_IF_ERROR(timers.status());
  return *timers ? fmt::format("it {}", kRawTimers) : std::string();
}

}  // namespace

StatusOr<std::string> FormProblemOf(const OperatorSnapshot& op, const std::string& directory) {
  for (const auto& [index, state] : op.subtasks) {
    ASSIGN_OR_RETURN(std::string problem, ManagedProblem(state.managed_keyed_state, directory));
    if (problem.empty()) {
      ASSIGN_OR_RETURN(problem, RawProblem(state.raw_keyed_state, directory));
    }
    if (problem.empty() && state.raw_operator_state) problem = fmt::format("it {}", kRawState);
    if (!problem.empty()) return problem;
  }
  return std::string();
}

}  // namespace flink::snapshot
