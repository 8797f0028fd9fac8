#include "jobmanager/scheduler/submitted_job.h"

#include <algorithm>

#include "proto/conversion/job_graph_proto.h"

namespace flink::jobmanager {
namespace {

ClaimMode ClaimModeFromProto(pb::graph::v1::SavepointRestoreSettings::ClaimMode mode) {
  using Settings = pb::graph::v1::SavepointRestoreSettings;
  if (mode == Settings::CLAIM_MODE_CLAIM) return ClaimMode::kClaim;
  if (mode == Settings::CLAIM_MODE_LEGACY) return ClaimMode::kLegacy;
  return ClaimMode::kNoClaim;
}

}  // namespace

int SubmittedJob::slots() const {
  int slots = 0;
  for (const graph::JobVertex& vertex : graph.vertices) slots = std::max(slots, vertex.parallelism);
  return slots;
}

StatusOr<SubmittedJob> SubmittedJob::FromProto(const pb::graph::v1::JobGraph& proto) {
  SubmittedJob job;
  ASSIGN_OR_RETURN(job.id, IdFromBytes<JobId>(proto.job_id()));
  ASSIGN_OR_RETURN(job.graph, graph::FromProto(proto));
  job.arguments.assign(proto.arguments().begin(), proto.arguments().end());
  job.graph_digest = proto.digest();
  job.library_name = proto.library_name();
  job.library_digest = proto.library_digest();
  job.restore_path = proto.restore().path();
  job.allow_non_restored_state = proto.restore().allow_non_restored_state();
  job.claim_mode = ClaimModeFromProto(proto.restore().claim_mode());
  return job;
}

}  // namespace flink::jobmanager
