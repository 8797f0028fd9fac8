#pragma once

/// One case of the kill matrix: while a job runs, an operation brings a process to a failpoint,
/// there one process is killed, and afterwards the job's result is exact and its storage is clean.

#include <string>
#include <vector>

#include "common/base/status.h"
#include "tests/integration/crash/crash_cluster.h"

namespace flink::testing {

enum class Operation { kCheckpoint, kSavepoint, kStop, kDrain, kDispose, kClaim };
inline constexpr Operation kOperations[] = {Operation::kCheckpoint, Operation::kSavepoint,
                                            Operation::kStop,       Operation::kDrain,
                                            Operation::kDispose,    Operation::kClaim};

/// What must happen for a failpoint to be hit. An operation that does not bring it about by itself
/// gets it done at the same time; one that stops the job begins when a checkpoint has got there.
enum class Activity { kSnapshot, kCheckpoint, kStop, kDispose, kRestore };

struct Point {
  Victim process;
  const char* name;
  Activity activity;
  bool of_snapshot;    ///< It must be the snapshot that the operation takes.
  const char* detail;  ///< What the detail of the hit must contain.
};

const std::vector<Point>& Points();

/// The failpoint's process is killed in the middle of it; for another victim it is held there until
/// the victim is dead.
struct KillCase {
  Operation operation;
  Point point;
  Victim victim;
  bool canonical;  ///< Format of the savepoints; else native.
  bool unaligned;  ///< The job's checkpoints.

  std::string Name() const;
};

/// Every operation x every point x every victim; formats and kinds of checkpoints change from case
/// to case.
std::vector<KillCase> AllKillCases();

Status RunKillCase(const KillCase& kill_case, CrashCluster& cluster);

}  // namespace flink::testing
