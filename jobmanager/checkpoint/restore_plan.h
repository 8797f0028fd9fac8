#pragma once

/// What a job takes over from a snapshot: decided by one pure function before anything is started,
/// and then read.

#include <map>
#include <string>
#include <vector>

#include "common/base/ids.h"
#include "common/base/status.h"
#include "common/graph/job_graph.h"
#include "common/snapshot/metadata.h"
#include "flink/pb/cluster/v1/executor.pb.h"
#include "jobmanager/checkpoint/checkpoint_storage.h"

namespace flink::jobmanager {

struct RestoreOptions {
  std::string path;  ///< As the user gave it; named in problems.
  bool allow_non_restored_state = false;
};

/// What is done with a snapshot, or why it cannot be used.
struct RestorePlan {
  int64_t checkpoint_id = 0;
  /// Of every vertex: the configured one, or the snapshot's.
  std::map<JobVertexId, int> max_parallelism;
  /// Operators of the job that get state.
  std::vector<OperatorId> restored;
  /// Operators of the job that start empty.
  std::vector<OperatorId> started_empty;
  /// Operators of the snapshot whose state is left behind.
  std::vector<OperatorId> skipped;
  /// One sentence each; the plan can be used when there are none.
  std::vector<std::string> problems;
};

/// Pure. `side` only makes problems more readable.
RestorePlan MakeRestorePlan(const snapshot::CheckpointMetadata& metadata,
                            const graph::JobGraph& graph, const RestoreOptions& options,
                            const SideFile& side = {});

/// The problems as one status; OK when there are none.
Status ProblemsOf(const RestorePlan& plan);

struct SubtaskPosition {
  JobVertexId vertex;
  int subtask = 0;
  auto operator<=>(const SubtaskPosition&) const = default;
};

/// What the tasks and source coordinators of an attempt get at deployment.
struct RestoredState {
  int64_t checkpoint_id = 0;
  std::map<SubtaskPosition, std::vector<pb::cluster::v1::OperatorRestore>> subtasks;
  std::map<OperatorId, std::string> coordinators;
};

/// Distributes the state of `snapshot` over the subtasks of `graph` (with its parallelism), reading
/// operator state from files. Keyed state goes along as handles. `plan` has no problems. Blocks.
StatusOr<RestoredState> LoadRestoredState(const snapshot::LoadedSnapshot& snapshot,
                                          const graph::JobGraph& graph, const RestorePlan& plan);

}  // namespace flink::jobmanager
