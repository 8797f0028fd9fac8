#pragma once

/// A cluster whose processes are killed at failpoints, and the job it runs meanwhile: numbers that
/// trickle until the test lets them go -> a keyed running count -> exactly-once text files.

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/io/temp_directory.h"
#include "tests/testing/external_cluster.h"

namespace flink::testing {

enum class Victim { kJobManager, kTaskManager, kExecutor };
inline constexpr Victim kVictims[] = {Victim::kJobManager, Victim::kTaskManager, Victim::kExecutor};
/// The program of the process: "jobmanager", "taskmanager", "task-executor".
const char* ProgramOf(Victim victim);

/// One thread. Every function that can fail for a reason of the product says it as a status.
class CrashCluster {
 public:
  static constexpr int kTaskManagers = 2;
  static constexpr int kSlots = 2;  // Of each.
  static constexpr int kCount = 20'000;

  static StatusOr<std::unique_ptr<CrashCluster>> Start();

  const ExternalCluster& cluster() const { return *cluster_; }

  // ---- Failpoints

  /// `text`: "kill", "error" or "pause", then as common/base/failpoint.h says.
  void Arm(const std::string& program, const std::string& name, const std::string& text) const;
  /// The process that hit it; 0 when none did in time.
  pid_t WaitForHit(const std::string& program, const std::string& name) const;
  /// Disarms, and lets whoever is held there go on.
  void Release(const std::string& program, const std::string& name) const;

  // ---- Processes

  /// Kills one process of that kind; prefers the one that `held` depends on or that depends on it.
  /// False when there is none.
  bool Kill(Victim victim, pid_t held) const;
  /// Starts again what is missing; after the death of the JobManager, first waits until the
  /// executors it had have ended by themselves.
  Status Heal() const;

  // ---- The job. Each run of one test has a directory of its own, so that it sees only its files.

  /// Names the directories of what follows. The source of its jobs trickles.
  void Begin(const std::string& name);
  std::string Directory(const std::string& name) const { return directory_ + "/" + name; }
  /// Runs the job, or goes on from a snapshot; more arguments go to `flink run`. The job's id.
  StatusOr<std::string> Submit(const std::string& snapshot = "",
                               const std::vector<std::string>& more = {},
                               const std::string& output = "out", int parallelism = 2) const;
  /// From now on the source gives all it has.
  void LetGo() const;
  /// Until `n` more checkpoints than now have completed.
  Status AwaitCheckpoints(const std::string& job, int n) const;
  /// Until the job is FINISHED, FAILED or CANCELED: which.
  StatusOr<std::string> AwaitEnd(const std::string& job) const;

  // ---- Verdicts

  /// The complete snapshot with the highest id below the directories of checkpoints and savepoints,
  /// "" when there is none. An error when any `_metadata` there cannot be restored.
  StatusOr<std::string> NewestSnapshot() const;
  /// The same by `savepoint list`, which may show nothing that cannot be restored.
  StatusOr<std::string> NewestListedSnapshot() const;
  /// That the committed files hold exactly what the job must give.
  Status CheckOutput() const;
  /// Nothing of a job that ended, and no savepoint without `_metadata`.
  Status CheckStorage(const std::string& job) const;
  /// What a JobManager that was killed has left: `fsck --delete` finds it all, and nothing that a
  /// snapshot needs. No job may run.
  Status CheckLeftovers() const;

 private:
  CrashCluster() = default;
  std::string FailpointFile(const std::string& program, const std::string& name) const;

  io::TempDirectory failpoints_;
  std::unique_ptr<ExternalCluster> cluster_;
  std::string directory_;
};

}  // namespace flink::testing
