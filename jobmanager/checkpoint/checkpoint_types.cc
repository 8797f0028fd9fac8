#include "jobmanager/checkpoint/checkpoint_types.h"

namespace flink::jobmanager {

const char* CheckpointTypeName(SnapshotKind kind, bool unaligned) {
  if (IsStop(kind)) return "SYNC_SAVEPOINT";
  if (IsSavepoint(kind)) return "SAVEPOINT";
  return unaligned ? "UNALIGNED_CHECKPOINT" : "CHECKPOINT";
}

}  // namespace flink::jobmanager
