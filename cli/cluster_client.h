#pragma once

/// What the verbs ask of a cluster, in typed form. Blocking, one thread. Errors as RestClient's.

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

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
  StatusOr<nlohmann::json> PlanRestore(const JobId& job, std::string graph);
  Status Cancel(const JobId& job);

  /// Each returns the trigger id. No directory: the cluster's default.
  StatusOr<std::string> TriggerSavepoint(const JobId& job,
                                         const std::optional<std::string>& directory,
                                         SavepointFormat format, bool cancel_job);
  StatusOr<std::string> TriggerStop(const JobId& job, const std::optional<std::string>& directory,
                                    SavepointFormat format, bool drain);
  StatusOr<std::string> TriggerCheckpoint(const JobId& job, bool full);
  StatusOr<std::string> TriggerDisposal(const std::string& path);

  /// Wait at most client.timeout. Savepoint: where it lies; checkpoint: its id.
  StatusOr<std::string> WaitForSavepoint(const JobId& job, const std::string& trigger_id);
  StatusOr<int64_t> WaitForCheckpoint(const JobId& job, const std::string& trigger_id);
  Status WaitForDisposal(const std::string& trigger_id);

  std::string address() const { return rest_->address(); }

 private:
  ClusterClient(std::unique_ptr<RestClient> rest, std::chrono::milliseconds timeout)
      : rest_(std::move(rest)), timeout_(timeout) {}

  /// Polls until the operation is completed; returns its result, or its failure as an error.
  StatusOr<nlohmann::json> WaitForOperation(const std::string& path);

  std::unique_ptr<RestClient> rest_;
  const std::chrono::milliseconds timeout_;
};

}  // namespace flink::cli
