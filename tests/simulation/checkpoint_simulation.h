#pragma once

/// A job with its tasks, files and users around one real CheckpointCoordinator, under a simulated
/// clock and transport. One seed is one history; the same seed gives the same history.
///
/// Model of the tasks: each subtask has a set of live shared files that changes over time, as the
/// sorted files of an LSM tree do. It makes everything durable before it acknowledges, and names
/// files again only from the base the trigger gave it. Sources reach the end of their data one by
/// one, a sink when all that feed it have.

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <queue>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "jobmanager/checkpoint/checkpoint_coordinator.h"
#include "jobmanager/checkpoint/job_store.h"

namespace flink::jobmanager {

/// How often each rare branch was taken, over all seeds.
using Probes = std::map<std::string, int64_t>;

class CheckpointSimulation {
 public:
  CheckpointSimulation(uint64_t seed, Probes* probes);

  /// Runs one history to quiescence. Returns the first broken invariant, empty when all hold.
  std::string Run();

 private:
  using Files = std::vector<std::string>;
  struct Item {
    int64_t at;
    uint64_t sequence;
    std::function<void()> run;
  };
  struct Later {
    bool operator()(const Item& a, const Item& b) const {
      return a.at != b.at ? a.at > b.at : a.sequence > b.sequence;
    }
  };
  struct Task {
    std::set<std::string> live;              // Shared files of the current state.
    std::map<CheckpointId, Files> uploaded;  // By checkpoint: the files that are durable already.
  };
  enum class Job { kWaiting, kRunning, kEnded };

  // The world.
  int64_t Random(int64_t low, int64_t high);
  bool Chance(double probability);
  void After(int64_t delay, std::function<void()> run);
  void Drain(int64_t until);
  void Check(bool condition, const std::string& what);
  void Probe(const std::string& name) { ++(*probes_)[name]; }

  // The job.
  void DrawOptions();
  void StartFromForeignSnapshot();
  void StartAttempt();
  void FailAttempt();
  void EndJob(JobStatus status);
  void FailOverJobManager();
  void ScheduleUsers();
  void UserRequest();
  void ReachEndOfData(SubtaskRef subtask);
  bool IsFed(const SubtaskRef& sink) const;
  void EvolveState(Task& task);
  void OnBarrier(const checkpoint::TriggerOptions& options, CheckpointId id, SubtaskRef subtask);
  void UploadAndAck(const checkpoint::TriggerOptions& options, CheckpointId id, SubtaskRef subtask);

  // The shell.
  void Step(checkpoint::Event event);
  void CheckStore();
  void ProbeFailures();
  bool InProgress(CheckpointId id) const;
  size_t PendingCheckpoints() const;
  void CheckDurable(CheckpointId id, const std::string& location, const Files& shared);
  void CheckNoLeak();
  void OnPeriodicSavepointLocation(CheckpointId id);
  void OnPeriodicSavepointPersisted(CheckpointId id);
  void CheckPeriodicSavepoints();
  void DeleteFile(const std::string& file);
  void DeleteDirectory(const std::string& location);
  void Execute(checkpoint::StoreNextCheckpointId& a);
  void Execute(checkpoint::CreateLocation& a);
  void Execute(checkpoint::TriggerCoordinator& a);
  void Execute(checkpoint::TriggerSources& a);
  void Execute(checkpoint::AbortCheckpoint& a);
  void Execute(checkpoint::PersistMetadata& a);
  void Execute(checkpoint::AddCompleted& a);
  void Execute(checkpoint::RemoveCompleted& a);
  void Execute(checkpoint::DiscardCheckpoint& a);
  void Execute(checkpoint::DiscardPending& a);
  void Execute(checkpoint::DisposePeriodicSavepoint& a);
  void Execute(checkpoint::PeriodicSavepointMissed& a);
  void Execute(checkpoint::DiscardSnapshot& a);
  void Execute(checkpoint::DeleteFiles& a);
  void Execute(checkpoint::NotifyComplete& a);
  void Execute(checkpoint::FinishSubtasks& a);
  void Execute(checkpoint::CompleteRequest& a);
  void Execute(checkpoint::CancelJob& a);
  void Execute(checkpoint::FailJob& a);

  std::mt19937_64 random_;
  Probes* probes_;
  std::string failure_;
  int64_t now_ = 1'000'000;
  uint64_t next_sequence_ = 0;
  std::priority_queue<Item, std::vector<Item>, Later> agenda_;

  CheckpointCoordinatorOptions options_;
  std::unique_ptr<CheckpointCoordinator> coordinator_;
  InMemoryJobStore store_;
  const JobId job_id_{};
  double trouble_ = 0;  // Probability of each kind of failure.
  int64_t end_of_time_ = 0;
  CheckpointPlan plan_;

  Job job_ = Job::kWaiting;
  int attempt_ = 0;
  std::map<SubtaskRef, Task> tasks_;
  std::optional<CheckpointId> terminating_;  // A stop or cancel savepoint under way.
  bool attempt_done_ = false;                // Nothing may start in this attempt any more.
  bool end_of_data_ = false;
  // Subtasks of the attempt: those at the end of their data, those that finished since, and those
  // that had finished in the checkpoint it was restored from.
  std::set<SubtaskRef> ended_, finished_, finished_before_;
  std::map<CheckpointId, std::set<SubtaskRef>> ended_at_;     // When its barriers started.
  std::map<CheckpointId, std::set<SubtaskRef>> finished_in_;  // As its metadata says.

  // The file system: exclusive files are "<location>/<name>".
  std::set<std::string> durable_;
  std::set<std::string> foreign_;
  bool may_build_on_foreign_ = false;  // Restored with claim mode LEGACY.
  uint64_t next_file_ = 0;
  // What the job's snapshots consist of, as their metadata says.
  std::map<CheckpointId, Files> contents_;
  std::map<CheckpointId, std::string> locations_;
  std::set<CheckpointId> persisted_, retained_, savepoints_;
  std::set<CheckpointId> over_;                 // The tasks were told of the abort.
  std::set<CheckpointId> periodic_;             // Periodic savepoints that were started.
  std::deque<CheckpointId> retained_periodic_;  // Those that are complete and kept, oldest first.
  std::optional<int64_t> periodic_since_ms_;    // When the job first ran under this leader.
  int64_t started_periodic_ = 0;                // Since then.
  CheckpointId highest_id_ = 0;
  int own_completed_ = 0;
  std::map<CheckpointId, SnapshotKind> kinds_;
  std::map<CheckpointId, ClaimMode> claims_;
  int final_attempts_ = 0;
  CheckpointId last_failed_ = 0;
  RequestId next_request_ = 1;
  std::set<RequestId> open_requests_;
};

}  // namespace flink::jobmanager
