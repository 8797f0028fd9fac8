#pragma once

/// Checkpoint statistics as Flink's REST API shows them. Pure functions.

#include "jobmanager/checkpoint/checkpoint_statistics.h"
#include "jobmanager/rest/rest_response.h"
#include "jobmanager/scheduler/job_details.h"

namespace flink::jobmanager {

Json CheckpointsJson(const CheckpointStatistics& statistics);  // /jobs/:jobid/checkpoints
Json CheckpointsConfigJson(const JobDetails& job);             // /jobs/:jobid/checkpoints/config
/// One attempt; with its vertices in "tasks" for /checkpoints/details/:checkpointid.
Json CheckpointJson(const CheckpointStats& checkpoint, bool with_tasks);
/// /checkpoints/details/:checkpointid/subtasks/:vertexid; null when the vertex took no part.
Json CheckpointSubtasksJson(const CheckpointStats& checkpoint, const JobVertexId& vertex);

}  // namespace flink::jobmanager
