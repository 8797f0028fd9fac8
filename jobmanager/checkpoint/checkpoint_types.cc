#include "jobmanager/checkpoint/checkpoint_types.h"

#include <algorithm>

namespace flink::jobmanager {

const char* CheckpointTypeName(SnapshotKind kind, bool unaligned) {
  if (IsStop(kind)) return "SYNC_SAVEPOINT";
  if (IsSavepoint(kind)) return "SAVEPOINT";
  return unaligned ? "UNALIGNED_CHECKPOINT" : "CHECKPOINT";
}

bool CheckpointPlan::IsFinished(const JobVertexId& vertex) const {
  for (const Vertex& v : vertices) {
    if (v.id != vertex) continue;
    for (int32_t i = 0; i < v.parallelism; ++i) {
      if (finished.count({vertex, i}) == 0) return false;
    }
    return true;
  }
  return false;
}

std::vector<int32_t> CheckpointPlan::ToTrigger(const JobVertexId& vertex) const {
  std::vector<int32_t> subtasks;
  for (size_t v = 0; v < vertices.size(); ++v) {
    if (vertices[v].id != vertex) continue;
    for (int32_t i = 0; i < vertices[v].parallelism; ++i) {
      if (finished.count({vertex, i}) != 0) continue;
      const bool fed = std::any_of(edges.begin(), edges.end(), [&](const Edge& edge) {
        if (edge.target != v) return false;
        const JobVertexId& source = vertices[edge.source].id;
        return edge.pointwise ? finished.count({source, i}) == 0 : !IsFinished(source);
      });
      if (!fed) subtasks.push_back(i);
    }
  }
  return subtasks;
}

}  // namespace flink::jobmanager
