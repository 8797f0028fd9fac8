#pragma once

/// What the verbs ask of a cluster, in typed form. Blocking, one thread. Errors as RestClient's.

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/pause.h"
#include "cli/progress_line.h"
#include "cli/rest_client.h"
#include "common/base/ids.h"
#include "common/config/configuration.h"

namespace flink::cli {

struct JobOverview {
  std::string id;
  std::string name;
  std::string state;       ///< Flink's name: "RUNNING".
  int64_t start_time = 0;  ///< Epoch milliseconds.
};

struct JobResult {
  std::string application_status;  ///< SUCCEEDED, FAILED, CANCELED or UNKNOWN.
  int64_t net_runtime = 0;         ///< Milliseconds.
  bool has_accumulators = false;
  std::string failure_class;  ///< Full class name; empty without failure.
  std::string failure_trace;  ///< Message, stack and causes; empty without failure.
};

struct Accumulator {
  std::string name;
  std::string type;
  std::string value;
};

/// How far a snapshot is that is being taken.
struct SnapshotProgress {
  bool waiting = false;  ///< For the snapshots before it: the rest says nothing yet.
  int64_t subtasks = 0;
  int64_t acknowledged = 0;
  int64_t bytes = 0;  ///< State of the subtasks that have acknowledged.
};
/// "3 of 8 subtasks acknowledged, 1.4 MiB".
std::string ToString(const SnapshotProgress& progress);

enum class SavepointFormat { kCanonical, kNative };
/// "CANONICAL" or "NATIVE".
const char* ToString(SavepointFormat format);

class ClusterClient {
 public:
  /// The cluster at rest.address:rest.port.
  static StatusOr<std::unique_ptr<ClusterClient>> Create(const Configuration& config);

  StatusOr<std::vector<JobOverview>> ListJobs();
  StatusOr<std::string> JobState(const JobId& job);
  /// Nothing while the job is not at its end.
  StatusOr<std::optional<JobResult>> ExecutionResult(const JobId& job);
  StatusOr<std::vector<Accumulator>> Accumulators(const JobId& job);
  /// `graph`: a serialized pb::graph::v1::JobGraph; `library`: the content of the job library.
  Status Submit(std::string graph, std::string library, const std::string& library_name);
  /// What the job `graph` (as for Submit) would take over from the running `job`; see
  /// common/snapshot/restore_plan_json.h.
  StatusOr<nlohmann::ordered_json> PlanRestore(const JobId& job, std::string graph);
  Status Cancel(const JobId& job);

  /// Each returns the trigger id. No directory: the cluster's default; an empty one is refused.
  StatusOr<std::string> TriggerSavepoint(const JobId& job,
                                         const std::optional<std::string>& directory,
                                         SavepointFormat format, bool cancel_job);
  StatusOr<std::string> TriggerStop(const JobId& job, const std::optional<std::string>& directory,
                                    SavepointFormat format, bool drain);
  StatusOr<std::string> TriggerCheckpoint(const JobId& job, bool full);
  StatusOr<std::string> TriggerDisposal(const std::string& path);

  /// Where the savepoint of TriggerSavepoint or TriggerStop lies; nothing while it is in progress.
  StatusOr<std::optional<std::string>> PollSavepoint(const JobId& job,
                                                     const std::string& trigger_id);
  /// Of the savepoint of TriggerSavepoint or TriggerStop; nothing before it begins and when it has
  /// been taken.
  StatusOr<std::optional<SnapshotProgress>> SavepointProgress(const JobId& job,
                                                              const std::string& trigger_id);

  /// Wait at most client.timeout. Savepoint: where it lies; checkpoint: its id. Ctrl-C ends both
  /// with kAborted and a sentence that says what goes on: `what`, for savepoints.
  StatusOr<std::string> WaitForSavepoint(const JobId& job, const std::string& trigger_id,
                                         const std::string& what, ProgressLine& progress);
  StatusOr<int64_t> WaitForCheckpoint(const JobId& job, const std::string& trigger_id,
                                      ProgressLine& progress);
  /// Its error says why and leaves it to the caller to say what failed.
  Status WaitForDisposal(const std::string& trigger_id);

  std::string address() const { return rest_->address(); }

 private:
  ClusterClient(std::unique_ptr<RestClient> rest, std::chrono::milliseconds timeout)
      : rest_(std::move(rest)), timeout_(timeout) {}

  /// The result of the operation, or its failure as an error; nothing while it is in progress.
  StatusOr<std::optional<nlohmann::ordered_json>> PollOperation(const std::string& path);
  struct Waiting {
    std::string what;                       ///< "the savepoint".
    std::string hint;                       ///< How to learn its result when nobody waits any more.
    std::function<void()> meanwhile;        ///< Called before each pause, if set.
    const InterruptGuard* guard = nullptr;  ///< Ends the waiting, if set.
  };
  /// Polls until the operation is completed.
  StatusOr<nlohmann::ordered_json> WaitForOperation(const std::string& path,
                                                    const Waiting& waiting);
  /// `operation`: the path at which its outcome is polled.
  StatusOr<std::optional<SnapshotProgress>> Progress(const std::string& operation);
  void ShowProgress(const std::string& operation, ProgressLine& progress);

  std::unique_ptr<RestClient> rest_;
  const std::chrono::milliseconds timeout_;
};

}  // namespace flink::cli
