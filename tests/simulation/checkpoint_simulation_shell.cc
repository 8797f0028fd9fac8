// CheckpointSimulation: executes the coordinator's actions and checks the invariants.

#include <algorithm>
#include <utility>
#include <variant>

#include "tests/simulation/checkpoint_simulation.h"

namespace flink::jobmanager {

void CheckpointSimulation::Step(checkpoint::Event event) {
  if (!failure_.empty()) return;
  std::vector<checkpoint::Action> actions = coordinator_->Step(std::move(event), now_);
  for (checkpoint::Action& action : actions) {
    std::visit([this](auto& a) { Execute(a); }, action);
  }
  CheckStore();
  CheckPeriodicSavepoints();
  ProbeFailures();
}

void CheckpointSimulation::CheckStore() {
  if (job_ == Job::kEnded) return;
  const auto& entries = coordinator_->store().All();
  const auto retained = static_cast<size_t>(options_.num_retained);
  Check(entries.size() == std::min(retained, static_cast<size_t>(own_completed_)),
        "the store holds " + std::to_string(entries.size()) + " checkpoints");
  if (entries.size() > 1) Probe("several retained");
  const std::vector<CompletedCheckpoint> stored = *store_.Completed(job_id_);
  Check(stored.size() == entries.size(), "the job store differs");
  for (size_t i = 0; i < entries.size() && i < stored.size(); ++i) {
    Check(stored[i].id == entries[i].id, "the job store differs");
    Check(!IsSavepoint(entries[i].kind) || entries[i].claim != ClaimMode::kOwn,
          "a savepoint is in the store");
  }
}

void CheckpointSimulation::OnPeriodicSavepointLocation(CheckpointId id) {
  Check(options_.periodic_savepoint_interval_ms.has_value(),
        "nobody asked for periodic savepoints");
  for (const CheckpointId other : periodic_) {
    Check(!InProgress(other), "two periodic savepoints at once");
  }
  // A late one may come close to the next, but what was missed is never made up for.
  const int64_t due = (now_ - *periodic_since_ms_) / *options_.periodic_savepoint_interval_ms;
  Check(++started_periodic_ <= due, "more periodic savepoints than intervals");
  periodic_.insert(id);
}

void CheckpointSimulation::OnPeriodicSavepointPersisted(CheckpointId id) {
  if (periodic_.count(id) == 0 || !InProgress(id)) return;
  retained_periodic_.push_back(id);
  savepoints_.insert(id);
  CheckDurable(id, locations_[id], {});
  Probe("periodic savepoint completed");
}

void CheckpointSimulation::CheckPeriodicSavepoints() {
  const auto& retained = coordinator_->periodic_savepoints();
  Check(retained.size() == retained_periodic_.size(), "periodic savepoints are forgotten");
  Check(retained.size() <= static_cast<size_t>(options_.num_retained_periodic_savepoints),
        "too many periodic savepoints are retained");
  for (size_t i = 0; i < retained.size() && i < retained_periodic_.size(); ++i) {
    Check(retained[i].id == retained_periodic_[i], "periodic savepoints are out of order");
    CheckDurable(retained[i].id, retained[i].location, {});
  }
}

void CheckpointSimulation::ProbeFailures() {
  const auto& failed = coordinator_->statistics().latest_failed();
  if (!failed || failed->id == last_failed_) return;
  last_failed_ = failed->id;
  if (failed->failure_message.starts_with("Checkpoint expired before completing.")) {
    Probe("checkpoint expired");
  }
  if (failed->failure_message == "Checkpoint has been subsumed.") Probe("checkpoint subsumed");
}

bool CheckpointSimulation::InProgress(CheckpointId id) const {
  const CheckpointStats* stats = coordinator_->statistics().Find(id);
  return stats != nullptr && stats->status == CheckpointStatsStatus::kInProgress;
}

size_t CheckpointSimulation::PendingCheckpoints() const {
  size_t count = 0;
  for (const CheckpointStats* stats : coordinator_->statistics().History()) {
    if (stats->status == CheckpointStatsStatus::kInProgress && !IsSavepoint(stats->kind)) ++count;
  }
  return count;
}

void CheckpointSimulation::CheckDurable(CheckpointId id, const std::string& location,
                                        const Files& shared) {
  const std::string name = "checkpoint " + std::to_string(id);
  Check(durable_.count(location + "/_metadata") != 0, name + " has no metadata");
  for (const std::string& file : contents_[id]) {
    Check(durable_.count(file) != 0, name + " names a file that is gone: " + file);
  }
  for (const std::string& file : shared) {
    Check(durable_.count(file) != 0, name + " names a shared file that is gone: " + file);
  }
}

void CheckpointSimulation::CheckNoLeak() {
  if (!failure_.empty()) return;
  std::set<std::string> expected = foreign_;
  for (const std::set<CheckpointId>* kept : {&retained_, &savepoints_}) {
    for (const CheckpointId id : *kept) expected.insert(contents_[id].begin(), contents_[id].end());
  }
  for (const std::string& file : expected) Check(durable_.count(file) != 0, "missing: " + file);
  for (const std::string& file : durable_) Check(expected.count(file) != 0, "leaked: " + file);
}

void CheckpointSimulation::DeleteFile(const std::string& file) {
  Check(foreign_.count(file) == 0, "deleted a file of somebody else: " + file);
  for (const std::set<CheckpointId>* kept : {&retained_, &savepoints_}) {
    for (const CheckpointId id : *kept) {
      const Files& named = contents_[id];
      Check(std::find(named.begin(), named.end(), file) == named.end(),
            "deleted a file of checkpoint " + std::to_string(id) + ": " + file);
    }
  }
  for (const auto& [id, named] : contents_) {
    const bool complete = durable_.count(locations_[id] + "/_metadata") != 0;
    Check(!complete || std::find(named.begin(), named.end(), file) == named.end(),
          "deleted a file that the metadata of checkpoint " + std::to_string(id) + " names");
  }
  durable_.erase(file);
}

void CheckpointSimulation::DeleteDirectory(const std::string& location) {
  const std::string prefix = location + "/";
  durable_.erase(prefix + "_metadata");  // First.
  for (auto it = durable_.lower_bound(prefix);
       it != durable_.end() && it->compare(0, prefix.size(), prefix) == 0;) {
    const std::string file = *it++;
    DeleteFile(file);
  }
}

void CheckpointSimulation::Execute(checkpoint::StoreNextCheckpointId& a) {
  Check(a.next == highest_id_ + 1 || a.next == highest_id_ + 2, "the id counter jumped");
  (void)store_.SetNextCheckpointId(job_id_, a.next);
}

void CheckpointSimulation::Execute(checkpoint::CreateLocation& a) {
  const CheckpointId id = a.checkpoint;
  Check(id == highest_id_ + 1, "the id is not new");
  Check(*store_.NextCheckpointId(job_id_) == id + 1, "the id was not stored first");
  Check(job_ == Job::kRunning, "started while the job was not running");
  Check(!attempt_done_, "started after the attempt's last snapshot");
  Check(!terminating_, "started during a stop or cancel with savepoint");
  Check(a.target_dir.empty() == !IsSavepoint(a.kind), "wrong target directory");
  Check(options_.after_tasks_finish || ended_.empty() || a.kind == SnapshotKind::kFinalCheckpoint,
        "started although a subtask has reached the end of its data");
  highest_id_ = id;
  kinds_[id] = a.kind;
  if (a.target_dir == "periodic") OnPeriodicSavepointLocation(id);
  if (IsTerminating(a.kind)) terminating_ = id;
  if (a.kind == SnapshotKind::kFinalCheckpoint) {
    Check(coordinator_->num_pending() == 1, "the final checkpoint is not alone");
    Check(end_of_data_, "a final checkpoint before the end of data");
    if (++final_attempts_ > 1) Probe("failed final checkpoint retried");
  } else if (!IsSavepoint(a.kind)) {
    const size_t pending = PendingCheckpoints();
    Check(pending <= static_cast<size_t>(options_.max_concurrent), "too many at once");
    if (pending > 1) Probe("two checkpoints at once");
  } else if (PendingCheckpoints() > 0) {
    Probe("savepoint while a checkpoint is pending");
  }
  const std::string location = (IsSavepoint(a.kind) ? "savepoint-" : "chk-") + std::to_string(id);
  locations_[id] = location;
  const bool fails = Chance(trouble_ / 2);
  After(Random(0, 30), [this, id, location, fails] {
    if (!InProgress(id)) Probe("abort while the directory is being created");
    if (fails) {
      Probe("location failed");
      Step(checkpoint::LocationFailed{id, "no space left"});
      return;
    }
    durable_.insert(location + "/.");
    Step(checkpoint::LocationCreated{id, location});
  });
}

void CheckpointSimulation::Execute(checkpoint::TriggerCoordinator& a) {
  const CheckpointId id = a.checkpoint;
  Check(job_ == Job::kRunning, "triggered while the job was not running");
  if (Chance(trouble_ / 8)) return;  // Never answers.
  const int repeats = Chance(0.05) ? 2 : 1;
  const bool fails = Chance(trouble_ / 4);
  const OperatorId op = a.op;
  for (int i = 0; i < repeats; ++i) {
    After(Random(0, 20), [this, id, op, fails] {
      if (fails) {
        Probe("coordinator failed");
        Step(checkpoint::CoordinatorFailed{id, op, "gone"});
      } else {
        Step(checkpoint::CoordinatorAcked{id, op, "splits"});
      }
    });
  }
}

void CheckpointSimulation::Execute(checkpoint::TriggerSources& a) {
  const CheckpointId id = a.checkpoint;
  Check(job_ == Job::kRunning, "triggered while the job was not running");
  Check(over_.count(id) == 0, "triggered an attempt that is over");
  Check(!terminating_ || *terminating_ == id, "a barrier starts after that of a stop");
  Check(!options_.incremental || !IsSavepoint(a.options.kind) || a.options.base == 0,
        "a savepoint builds on a checkpoint");
  Check(!IsSavepoint(a.options.kind) || !a.options.aligned_timeout_ms, "an unaligned savepoint");
  Check(options_.unaligned || !a.options.aligned_timeout_ms, "an unaligned checkpoint");
  Check(!a.subtasks.empty(), "a trigger for nobody");
  ended_at_.try_emplace(id, ended_);
  const checkpoint::TriggerOptions options = a.options;
  const CheckpointPlan::Vertex& sink = plan_.vertices.back();
  const auto send = [&](const SubtaskRef& subtask) {
    After(Random(0, 20), [this, options, id, subtask] { OnBarrier(options, id, subtask); });
  };
  for (const int32_t i : a.subtasks) {
    const SubtaskRef subtask{a.vertex, i};
    Check(finished_.count(subtask) == 0, "triggered a subtask that has finished");
    Check(a.vertex != sink.id || !IsFed(subtask), "triggered a subtask that gets barriers");
    if (a.vertex == sink.id) Probe("sink triggered behind finished sources");
    send(subtask);
  }
  // The sink gets its barrier through the last source that runs; its id stands for all of them.
  CheckpointPlan now = plan_;
  now.finished = finished_;
  JobVertexId last = sink.id;
  for (const CheckpointPlan::Vertex& vertex : plan_.vertices) {
    if (vertex.is_source && !now.IsFinished(vertex.id)) last = vertex.id;
  }
  if (a.vertex != last || last == sink.id) return;
  for (int32_t i = 0; i < sink.parallelism; ++i) {
    const SubtaskRef subtask{sink.id, i};
    if (finished_.count(subtask) == 0 && IsFed(subtask)) send(subtask);
  }
}

void CheckpointSimulation::Execute(checkpoint::FinishSubtasks& a) {
  const CheckpointId id = a.checkpoint;
  Check(options_.after_tasks_finish, "a subtask finishes before the last checkpoint");
  Check(job_ == Job::kRunning && !attempt_done_ && !terminating_, "a subtask finishes too late");
  Check(!end_of_data_, "the final checkpoint finishes all subtasks");
  Check(persisted_.count(id) != 0 && kinds_[id] == SnapshotKind::kCheckpoint,
        "a subtask finishes without a complete checkpoint");
  for (const SubtaskRef& subtask : a.subtasks) {
    Probe("subtask finished early");
    Check(finished_.insert(subtask).second, "a subtask finishes twice");
    Check(ended_at_[id].count(subtask) != 0, "a subtask finishes before its data is committed");
    for (const CheckpointStats* stats : coordinator_->statistics().History()) {
      if (stats->status != CheckpointStatsStatus::kInProgress) continue;
      const auto& subtasks = stats->vertices.at(subtask.vertex).subtasks;
      Check(subtasks[static_cast<size_t>(subtask.subtask)].acknowledged || stats->id > highest_id_,
            "a subtask finishes while checkpoint " + std::to_string(stats->id) + " waits for it");
    }
  }
}

void CheckpointSimulation::Execute(checkpoint::AbortCheckpoint& a) {
  Check(retained_.count(a.checkpoint) == 0, "aborted a completed checkpoint");
  Check(over_.insert(a.checkpoint).second, "aborted twice");
}

void CheckpointSimulation::Execute(checkpoint::PersistMetadata& a) {
  const CheckpointId id = a.checkpoint;
  Check(job_ == Job::kRunning, "completed while the job was not running");
  for (const CheckpointPlan::Vertex& vertex : plan_.vertices) {
    for (int32_t i = 0; i < vertex.parallelism; ++i) {
      const SubtaskRef subtask{vertex.id, i};
      const bool finished = a.plan.finished.count(subtask) != 0;
      const bool before = finished_before_.count(subtask) != 0;
      Check(finished || a.subtasks.count(subtask) != 0, "subtasks are missing");
      Check(!finished || before || finished_.count(subtask) != 0, "a running subtask is finished");
      Check(finished || !before, "a subtask is no longer finished");
    }
  }
  for (const CheckpointPlan::Coordinator& coordinator : plan_.coordinators) {
    Check(a.coordinators.count(coordinator.op) == (a.plan.IsFinished(coordinator.vertex) ? 0u : 1u),
          "coordinators are missing, or finished");
  }
  finished_in_[id] = a.plan.finished;
  Files files = {a.location + "/.", a.location + "/_metadata"};
  for (const auto& [subtask, snapshot] : a.subtasks) {
    files.push_back(snapshot.state);
    files.insert(files.end(), snapshot.shared_files.begin(), snapshot.shared_files.end());
    Check(durable_.count(snapshot.state) != 0, "persisting names a file that is gone");
    for (const std::string& file : snapshot.shared_files) {
      Check(durable_.count(file) != 0, "persisting names a shared file that is gone: " + file);
      Check(foreign_.count(file) == 0 || may_build_on_foreign_, "named a foreign file: " + file);
    }
  }
  contents_[id] = std::move(files);
  const std::string location = a.location;
  const bool fails = Chance(trouble_ / 2);
  const int64_t written = Chance(0.1) ? Random(100, 2000) : Random(0, 40);
  After(written, [this, id, location, fails] {
    if (!InProgress(id)) Probe("abort while the metadata is being written");
    if (fails && Chance(0.5)) return;
    durable_.insert(location + "/_metadata");
    // Whoever dies now leaves it to somebody who restores from it.
    CheckDurable(id, location, {});
  });
  After(written + (Chance(0.5) ? 0 : Random(0, 40)), [this, id, location, fails] {
    if (fails) {
      Probe("persist failed");
      Step(checkpoint::PersistFailed{id, "rename failed"});
      return;
    }
    persisted_.insert(id);
    OnPeriodicSavepointPersisted(id);
    Step(checkpoint::MetadataPersisted{id, "file:/" + location, location});
  });
}

void CheckpointSimulation::Execute(checkpoint::AddCompleted& a) {
  const CheckpointId id = a.checkpoint.id;
  Check(persisted_.count(id) != 0, "completed before its metadata was persisted");
  Check(!IsSavepoint(a.checkpoint.kind) || a.checkpoint.claim != ClaimMode::kOwn,
        "a savepoint enters the store");
  CheckDurable(id, a.checkpoint.location, a.checkpoint.shared_files);
  retained_.insert(id);
  ++own_completed_;
  (void)store_.AddCompleted(job_id_, a.checkpoint);
}

void CheckpointSimulation::Execute(checkpoint::RemoveCompleted& a) {
  const CheckpointId id = a.checkpoint;
  Check(retained_.erase(id) != 0, "removed an unknown checkpoint");
  (void)store_.RemoveCompleted(job_id_, id);
  if (claims_.count(id) != 0 && claims_[id] == ClaimMode::kNoClaim) {
    Probe("no-claim snapshot left alone");
  }
}

void CheckpointSimulation::Execute(checkpoint::DiscardCheckpoint& a) {
  const CheckpointId id = a.checkpoint.id;
  Check(savepoints_.count(id) == 0, "a savepoint is discarded");
  retained_.erase(id);
  DeleteDirectory(a.checkpoint.location);
  if (a.checkpoint.claim == ClaimMode::kClaim) Probe("claimed snapshot deleted");
  for (const std::string& file : contents_[id]) {
    if (durable_.count(file) != 0 && foreign_.count(file) == 0 &&
        !coordinator_->registry().IsReferenced(file)) {
      Probe("file held for a pending attempt");
      break;
    }
  }
}

void CheckpointSimulation::Execute(checkpoint::DiscardPending& a) {
  Check(retained_.count(a.checkpoint) == 0 && savepoints_.count(a.checkpoint) == 0,
        "a completed snapshot is discarded as pending");
  Check(a.location == locations_[a.checkpoint], "the location is wrong");
  DeleteDirectory(a.location);
}

void CheckpointSimulation::Execute(checkpoint::DisposePeriodicSavepoint& a) {
  const CheckpointId id = a.savepoint.id;
  const auto max = static_cast<size_t>(options_.num_retained_periodic_savepoints);
  Check(retained_periodic_.size() > max, "a periodic savepoint is disposed of too early");
  Check(!retained_periodic_.empty() && retained_periodic_.front() == id,
        "a periodic savepoint is disposed of that is not the oldest");
  Check(a.savepoint.location == locations_[id], "the location is wrong");
  if (!failure_.empty()) return;
  CheckDurable(retained_periodic_.back(), locations_[retained_periodic_.back()], {});
  retained_periodic_.pop_front();
  savepoints_.erase(id);
  DeleteDirectory(a.savepoint.location);
  Probe("periodic savepoint disposed of");
}

void CheckpointSimulation::Execute(checkpoint::PeriodicSavepointMissed& a) {
  Check(!a.message.empty(), "a missed periodic savepoint gives no reason");
  Check(a.checkpoint == 0 || periodic_.count(a.checkpoint) != 0, "not a periodic savepoint");
  Probe(a.checkpoint == 0 ? "periodic savepoint left out" : "periodic savepoint failed");
}

void CheckpointSimulation::Execute(checkpoint::DiscardSnapshot& a) {
  Probe("late acknowledgement discarded");
  DeleteFile(a.state);
  for (const std::string& file : a.files) DeleteFile(file);
}

void CheckpointSimulation::Execute(checkpoint::DeleteFiles& a) {
  for (const std::string& file : a.files) DeleteFile(file);
}

void CheckpointSimulation::Execute(checkpoint::NotifyComplete& a) {
  Check(persisted_.count(a.checkpoint) != 0, "notified before the metadata was persisted");
  Check(job_ == Job::kRunning, "notified while the job was not running");
  Check(kinds_[a.checkpoint] == a.kind, "notified with another kind");
  Check(!IsSavepoint(a.kind) || IsStop(a.kind), "an intermediate savepoint is notified");
  Check(IsStop(a.kind) || retained_.count(a.checkpoint) != 0, "notified before it was stored");
  if (!IsStop(a.kind) && a.kind != SnapshotKind::kFinalCheckpoint) return;
  attempt_done_ = true;
  Probe(IsStop(a.kind) ? "stop with savepoint" : "final checkpoint");
  const int attempt = attempt_;
  const bool fails = Chance(trouble_);
  After(Random(1, 50), [this, attempt, fails] {
    if (attempt != attempt_) return;
    if (fails) {
      FailAttempt();
    } else {
      EndJob(JobStatus::kFinished);
    }
  });
}

void CheckpointSimulation::Execute(checkpoint::CompleteRequest& a) {
  Check(open_requests_.erase(a.request) == 1, "a request is answered twice");
  if (terminating_ && a.checkpoint == *terminating_) {
    terminating_.reset();
    if (a.ok) attempt_done_ = true;
    if (!a.ok && job_ == Job::kRunning) Probe("stop failed and the job went on");
  }
  if (!a.ok) {
    Check(!a.message.empty(), "a failed request gives no reason");
    if (a.message.find("The maximum number of queued") == 0) Probe("queue full");
    if (a.message.find("have already finished") != std::string::npos) {
      Probe("refused because subtasks have finished");
    }
    if (a.message.find("Not all required tasks") != std::string::npos) {
      Probe("refused while not running");
    }
    return;
  }
  Check(persisted_.count(a.checkpoint) != 0, "answered before the metadata was persisted");
  Check(a.path == "file:/" + locations_[a.checkpoint], "answered with a wrong path");
  Check(kinds_[a.checkpoint] == a.kind, "answered with another kind");
  if (!IsSavepoint(a.kind)) return;
  Probe("savepoint completed");
  savepoints_.insert(a.checkpoint);
  CheckDurable(a.checkpoint, locations_[a.checkpoint], {});
}

void CheckpointSimulation::Execute(checkpoint::CancelJob&) {
  Check(job_ == Job::kRunning, "cancelled while the job was not running");
  Probe("cancel with savepoint");
  attempt_done_ = true;
  const int attempt = attempt_;
  After(Random(1, 50), [this, attempt] {
    if (attempt == attempt_) EndJob(JobStatus::kCanceled);
  });
}

void CheckpointSimulation::Execute(checkpoint::FailJob& a) {
  Check(job_ == Job::kRunning, "failed while the job was not running");
  Check(!a.message.empty(), "the job fails without a reason");
  Probe("job failed by checkpoints");
  const int attempt = attempt_;
  After(Random(0, 20), [this, attempt] {
    if (attempt == attempt_) FailAttempt();
  });
}

}  // namespace flink::jobmanager
