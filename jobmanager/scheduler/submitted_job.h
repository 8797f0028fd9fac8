#pragma once

/// SubmittedJob: a job as it came over the wire, checked.

#include <string>
#include <vector>

#include "common/base/ids.h"
#include "common/base/status.h"
#include "common/graph/job_graph.h"
#include "flink/pb/graph/v1/job_graph.pb.h"
#include "jobmanager/checkpoint/checkpoint_types.h"

namespace flink::jobmanager {

/// Plain value.
struct SubmittedJob {
  JobId id;
  graph::JobGraph graph;
  std::vector<std::string> arguments;
  uint64_t graph_digest = 0;
  std::string library_name;
  std::string library_digest;
  std::string restore_path;  ///< Empty: start without state.
  bool allow_non_restored_state = false;
  ClaimMode claim_mode = ClaimMode::kNoClaim;

  /// The largest parallelism of a vertex: how many slots the job needs (one slot sharing group).
  int slots() const;

  /// kInvalidArgument with one sentence about what is wrong with the message.
  static StatusOr<SubmittedJob> FromProto(const pb::graph::v1::JobGraph& proto);
};

/// 16 raw bytes, as ids travel in messages.
template <class Id>
std::string IdToBytes(const Id& id) {
  return std::string(reinterpret_cast<const char*>(id.bytes().data()), id.bytes().size());
}
template <class Id>
StatusOr<Id> IdFromBytes(const std::string& bytes) {
  std::array<uint8_t, 16> raw{};
  if (bytes.size() != raw.size())
    return InvalidArgument("an id has {} bytes instead of 16", bytes.size());
  for (size_t i = 0; i < raw.size(); ++i) raw[i] = static_cast<uint8_t>(bytes[i]);
  return Id(raw);
}

}  // namespace flink::jobmanager
