#pragma once

/// LoadedJob: the job library's dataflow inside a task executor. Libraries stay mapped for ever.

#include <functional>

#include "common/base/status.h"
#include "common/graph/job_graph.h"
#include "flink/pb/cluster/v1/executor.pb.h"
#include "flink/stream_graph.h"

namespace flink::taskmanager {

struct LoadedJob {
  StreamGraph stream_graph;
  graph::JobGraph job_graph;
};

/// Runs user code and may take long; called once, on a thread of its own.
using JobLoader =
    std::function<StatusOr<LoadedJob>(const ::flink::pb::cluster::v1::ExecutorSettings&)>;

/// Loads settings.library_path, runs its entry with settings.arguments and chains the result.
StatusOr<LoadedJob> LoadJobLibrary(const ::flink::pb::cluster::v1::ExecutorSettings& settings);

}  // namespace flink::taskmanager
