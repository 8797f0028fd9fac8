#pragma once

/// What a job takes over from a snapshot, operator by operator, or why it cannot: decided by one
/// pure function before anything is started. The JobManager asks it at every submission and
/// failover, `flink run --dry-run` without one.

#include <map>
#include <set>
#include <string>
#include <vector>

#include "common/base/ids.h"
#include "common/base/status.h"
#include "common/graph/job_graph.h"
#include "common/snapshot/metadata.h"
#include "common/snapshot/side_file.h"
#include "common/snapshot/state_types.h"

namespace flink::snapshot {

struct RestoreOptions {
  std::string path;  ///< As the user gave it; named in problems.
  /// Skip what cannot be restored: state of operators that the job does not have, and key groups
  /// that are not in the snapshot.
  bool allow_non_restored_state = false;
  /// The job took the snapshot, or started from it: operators that it does not have were accepted
  /// at its start.
  bool is_failover = false;
};

enum class RestoreVerdict {
  kMatched,       ///< In both; gets its state, if it has any.
  kNew,           ///< In the job only; starts empty.
  kDropped,       ///< Has state in the snapshot and is not in the job.
  kIncompatible,  ///< In both, and its state cannot be restored.
};
/// "matched", "new", "dropped", "incompatible".
const char* NameOf(RestoreVerdict verdict);

struct RestoredOperator {
  RestoreVerdict verdict = RestoreVerdict::kMatched;
  OperatorId id;
  std::string uid;          ///< Empty: generated, or not known.
  std::string name;         ///< Empty: not known.
  int64_t state_bytes = 0;  ///< In the snapshot.
  int old_parallelism = 0;  ///< In the snapshot; 0: not in it.
  int parallelism = 0;      ///< In the job; 0: not in it.
  int max_parallelism = 0;
  std::vector<TypeConflict> conflicts;  ///< What is stored with another type than the job declares.
  bool operator==(const RestoredOperator&) const = default;
};

/// What is done with a snapshot, or why it cannot be used.
struct RestorePlan {
  std::string path;
  int64_t checkpoint_id = 0;
  /// Vertices whose subtasks had all finished: they do nothing any more.
  std::set<JobVertexId> finished;
  /// Of every vertex: the configured one, or the snapshot's.
  std::map<JobVertexId, int> max_parallelism;
  /// Those of the job in its order, then those of the snapshot that are dropped.
  std::vector<RestoredOperator> operators;
  /// One sentence or more each; the plan can be used when there are none.
  std::vector<std::string> problems;
};

/// Pure. `side` makes problems more readable, and says whether records in flight are ours. `types`:
/// of the keyed state in the snapshot; what is not in it is not compared.
RestorePlan MakeRestorePlan(const CheckpointMetadata& metadata, const graph::JobGraph& graph,
                            const RestoreOptions& options, const SideFile& side = {},
                            const StoredTypes& types = {});

/// The same with what the files say. One that cannot be read is a problem that names it. Blocks.
RestorePlan PlanRestore(const LoadedSnapshot& snapshot, const graph::JobGraph& graph,
                        const RestoreOptions& options);
/// The same of a job that runs and has written no snapshot.
RestorePlan PlanRestoreOfRunning(const graph::JobGraph& running, const graph::JobGraph& graph,
                                 const RestoreOptions& options);

/// The problems as one status; OK when there are none.
Status ProblemsOf(const RestorePlan& plan);

/// Whether something of the operator itself is in the snapshot, not only the mark that its task
/// sets at the end of its input (kEndOfInputState).
bool HasOwnState(const OperatorSnapshot& op);

/// Key groups that `op` must have and no handle covers, ascending. A subtask that had finished, or
/// that is in the snapshot without keyed state, needs none; nor does an operator without any.
std::vector<KeyGroupRange> MissingKeyGroups(const OperatorSnapshot& op);

}  // namespace flink::snapshot
