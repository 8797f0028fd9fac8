#pragma once

#include "common/base/status.h"
#include "flink/pb/graph/v1/job_graph.pb.h"

namespace flink::cli {

/// kFailedPrecondition, naming the text, when one that the user chose is not UTF-8: it has no place
/// in a message to the JobManager, which would take the whole for one of another version.
Status CheckTexts(const pb::graph::v1::JobGraph& message);

}  // namespace flink::cli
