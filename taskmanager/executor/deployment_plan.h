#pragma once

/// Turns a DeployTasks command into the tasks of this executor, with their channels to each other
/// and to other executors.

#include <string>
#include <vector>

#include "common/base/status.h"
#include "taskmanager/executor/loaded_job.h"
#include "taskmanager/network/exchange_network.h"
#include "taskmanager/task/task_deployment.h"

namespace flink::taskmanager {

/// Registers the channels that cross executors with `network`. `job` outlives the tasks.
/// Errors name what does not fit between the command and the job's graph.
StatusOr<std::vector<TaskDeployment>> PlanDeployment(const LoadedJob& job,
                                                     const pb::DeployTasks& command,
                                                     const std::string& executor_id,
                                                     ExchangeNetwork& network);

}  // namespace flink::taskmanager
