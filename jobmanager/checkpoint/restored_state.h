#pragma once

/// What the tasks of an attempt take over from a snapshot: read, and dealt out to the subtasks.

#include <map>
#include <set>
#include <string>
#include <vector>

#include "common/base/ids.h"
#include "common/base/status.h"
#include "common/graph/job_graph.h"
#include "common/snapshot/metadata.h"
#include "common/snapshot/restore_plan.h"
#include "flink/pb/cluster/v1/executor.pb.h"

namespace flink::jobmanager {

struct SubtaskPosition {
  JobVertexId vertex;
  int subtask = 0;
  auto operator<=>(const SubtaskPosition&) const = default;
};

/// What the tasks and source coordinators of an attempt get at deployment.
struct RestoredState {
  int64_t checkpoint_id = 0;
  std::map<SubtaskPosition, std::vector<pb::cluster::v1::OperatorRestore>> subtasks;
  std::map<SubtaskPosition, std::vector<pb::cluster::v1::InFlightRestore>> in_flight;
  std::map<OperatorId, std::string> coordinators;
  std::set<JobVertexId> finished;  ///< See RestorePlan.
};

/// Distributes the state of `snapshot` over the subtasks of `graph` (with its parallelism), reading
/// operator state from files. Keyed state goes along as handles. `plan` has no problems. Blocks.
StatusOr<RestoredState> LoadRestoredState(const snapshot::LoadedSnapshot& snapshot,
                                          const graph::JobGraph& graph,
                                          const snapshot::RestorePlan& plan);

}  // namespace flink::jobmanager
