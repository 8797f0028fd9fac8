#include "tests/simulation/checkpoint_simulation.h"

#include <algorithm>
#include <memory>
#include <sstream>
#include <utility>

namespace flink::jobmanager {
namespace {

template <class Id>
Id MakeId(uint8_t last) {
  std::array<uint8_t, 16> bytes{};
  bytes[15] = last;
  return Id(bytes);
}

std::string NameOf(const SubtaskRef& subtask) {
  return std::to_string(subtask.vertex.bytes()[15]) + "-" + std::to_string(subtask.subtask);
}

}  // namespace

CheckpointSimulation::CheckpointSimulation(uint64_t seed, Probes* probes)
    : random_(seed), probes_(probes) {
  DrawOptions();
}

int64_t CheckpointSimulation::Random(int64_t low, int64_t high) {
  return low + static_cast<int64_t>(random_() % static_cast<uint64_t>(high - low + 1));
}

bool CheckpointSimulation::Chance(double probability) {
  return static_cast<double>(random_() >> 11) * 0x1p-53 < probability;
}

void CheckpointSimulation::After(int64_t delay, std::function<void()> run) {
  agenda_.push(Item{now_ + delay, next_sequence_++, std::move(run)});
}

void CheckpointSimulation::Check(bool condition, const std::string& what) {
  if (condition || !failure_.empty()) return;
  failure_ = what + " (at " + std::to_string(now_) + ")";
}

void CheckpointSimulation::DrawOptions() {
  options_.job = job_id_;
  if (Chance(0.8)) options_.interval_ms = Random(50, 400);
  options_.timeout_ms = Random(100, 1500);
  if (Chance(0.4)) options_.min_pause_ms = Random(1, 300);
  options_.max_concurrent = static_cast<int>(Random(1, 3));
  options_.tolerable_failures = static_cast<int>(Random(0, 5));
  options_.num_retained = static_cast<int>(Random(1, 3));
  options_.retention = static_cast<CheckpointRetention>(Random(0, 2));
  if (Chance(0.4)) {
    options_.periodic_savepoint_interval_ms = Random(50, 800);
    options_.periodic_savepoint_directory = "periodic";
    options_.num_retained_periodic_savepoints = static_cast<int>(Random(1, 3));
  }
  options_.unaligned = Chance(0.2);
  if (options_.unaligned) {
    options_.max_concurrent = 1;
    if (Chance(0.5)) options_.aligned_timeout_ms = Random(1, 300);
  }
  options_.after_tasks_finish = Chance(0.85);
  options_.incremental = Chance(0.7);
  options_.max_queued_requests = Chance(0.3) ? static_cast<size_t>(Random(1, 2)) : 1000;
  options_.final_retry_delay_ms = Random(1, 100);
  trouble_ = Chance(0.3) ? 0 : 0.01 * static_cast<double>(Random(1, 15));
  end_of_time_ = now_ + Random(500, 6000);
  const int32_t sources = static_cast<int32_t>(Random(1, 2));
  for (int32_t i = 0; i < sources; ++i) {
    const auto vertex = MakeId<JobVertexId>(static_cast<uint8_t>(1 + i));
    plan_.vertices.push_back({vertex, static_cast<int32_t>(Random(1, 2)), true, "Source"});
    if (Chance(0.7)) {
      plan_.coordinators.push_back({MakeId<OperatorId>(static_cast<uint8_t>(11 + i)), vertex});
    }
  }
  plan_.vertices.push_back({MakeId<JobVertexId>(5), static_cast<int32_t>(Random(1, 2)), false, ""});
  const size_t sink = plan_.vertices.size() - 1;
  for (size_t i = 0; i < sink; ++i) {
    const bool same = plan_.vertices[i].parallelism == plan_.vertices[sink].parallelism;
    plan_.edges.push_back({i, sink, same && Chance(0.3)});
  }
}

std::string CheckpointSimulation::Run() {
  coordinator_ = std::make_unique<CheckpointCoordinator>(options_);
  if (Chance(0.3)) StartFromForeignSnapshot();
  After(Random(0, 50), [this] { StartAttempt(); });
  ScheduleUsers();
  for (int64_t until = 0; until != end_of_time_;) {
    until = end_of_time_;  // A new leader of the job prolongs it.
    Drain(until);
  }
  if (job_ != Job::kEnded) {
    constexpr JobStatus kEnds[] = {JobStatus::kFinished, JobStatus::kCanceled, JobStatus::kFailed,
                                   JobStatus::kSuspended};
    EndJob(kEnds[Random(0, 3)]);
  }
  Drain(end_of_time_ + 1'000'000'000);
  Check(open_requests_.empty(), "a user request was never answered");
  Check(!coordinator_->AwaitsIo() && coordinator_->num_pending() == 0, "not quiescent");
  CheckNoLeak();
  return failure_;
}

void CheckpointSimulation::Drain(int64_t until) {
  while (failure_.empty()) {
    const std::optional<int64_t> wakeup = coordinator_->NextWakeup();
    const int64_t next = agenda_.empty() ? until + 1 : agenda_.top().at;
    if (wakeup && *wakeup <= until && *wakeup < next) {
      now_ = std::max(now_, *wakeup);
      Step(checkpoint::Tick{});
      continue;
    }
    if (next > until) return;
    now_ = std::max(now_, next);
    const std::function<void()> run = agenda_.top().run;
    agenda_.pop();
    run();
  }
}

// ---- The job ------------------------------------------------------------------------------------

void CheckpointSimulation::StartFromForeignSnapshot() {
  checkpoint::Restored restored;
  CompletedCheckpoint& s = restored.snapshot;
  s.id = Random(1, 20);
  s.claim = static_cast<ClaimMode>(Random(1, 3));
  s.kind = Chance(0.5) ? SnapshotKind::kSavepoint : SnapshotKind::kCheckpoint;
  s.location = "foreign";
  locations_[s.id] = s.location;
  Files files = {"foreign/_metadata", "foreign/state"};
  if (!IsSavepoint(s.kind)) {
    s.shared_files = {"foreign-shared-1", "foreign-shared-2"};
    files.insert(files.end(), s.shared_files.begin(), s.shared_files.end());
  }
  durable_.insert(files.begin(), files.end());
  if (s.claim != ClaimMode::kClaim) foreign_.insert(files.begin(), files.end());
  contents_[s.id] = files;
  kinds_[s.id] = s.kind;
  claims_[s.id] = s.claim;
  may_build_on_foreign_ = s.claim == ClaimMode::kLegacy;
  persisted_.insert(s.id);
  highest_id_ = s.id;
  Step(std::move(restored));
}

void CheckpointSimulation::StartAttempt() {
  if (job_ != Job::kWaiting) return;
  job_ = Job::kRunning;
  ++attempt_;
  terminating_.reset();
  attempt_done_ = false;
  end_of_data_ = false;
  final_attempts_ = 0;
  tasks_.clear();
  ended_.clear();
  finished_.clear();
  finished_before_.clear();
  const CompletedCheckpoint* from = coordinator_->LatestRestorable();
  Probe(from == nullptr ? "restored from nothing" : "restored from a checkpoint");
  if (attempt_ > 1 && !retained_periodic_.empty()) Probe("periodic savepoints outlive an attempt");
  Files shared;
  if (from != nullptr) {
    CheckDurable(from->id, from->location, from->shared_files);
    shared = from->shared_files;
    CheckpointPlan then = plan_;
    then.finished = finished_in_[from->id];
    for (const SubtaskRef& subtask : then.finished) {
      if (then.IsFinished(subtask.vertex)) finished_before_.insert(subtask);
    }
    ended_ = finished_before_;
  }
  for (const CheckpointPlan::Vertex& vertex : plan_.vertices) {
    for (int32_t i = 0; i < vertex.parallelism; ++i) {
      Task& task = tasks_[SubtaskRef{vertex.id, i}];
      // Rescaled state: any subtask may hold any file of the checkpoint.
      if (from == nullptr || IsSavepoint(from->kind)) continue;
      for (const std::string& file : shared) {
        if (Chance(0.5)) task.live.insert(file);
      }
      task.uploaded[from->id] = Files(task.live.begin(), task.live.end());
    }
  }
  if (from != nullptr && attempt_ > 1) Step(checkpoint::RestoredFromStore{from->id});
  if (!periodic_since_ms_) periodic_since_ms_ = now_;
  checkpoint::JobRunning running;
  running.plan = plan_;
  if (options_.interval_ms && Chance(0.5))
    running.initial_delay_ms = Random(0, *options_.interval_ms);
  Step(std::move(running));
  const int attempt = attempt_;
  if (!finished_before_.empty()) {
    Probe("restored with finished subtasks");
    Step(checkpoint::SomeSubtasksEndOfData{});
  }
  const bool ends = Chance(0.5);
  for (const auto& [subtask, task] : tasks_) {
    if (subtask.vertex == plan_.vertices.back().id || (!ends && Chance(0.7))) continue;
    After(Random(100, 3000), [this, attempt, subtask = subtask] {
      if (job_ == Job::kRunning && attempt == attempt_) ReachEndOfData(subtask);
    });
  }
  if (Chance(trouble_ * 4)) {
    After(Random(10, 2000), [this, attempt] {
      if (attempt == attempt_) FailAttempt();
    });
  }
}

void CheckpointSimulation::FailAttempt() {
  if (job_ != Job::kRunning) return;
  job_ = Job::kWaiting;
  Probe("suspended");
  Step(checkpoint::JobLeftRunning{});
  Check(coordinator_->num_pending() == 0, "pending checkpoints survive the attempt");
  After(Random(10, 200), [this] { StartAttempt(); });
}

void CheckpointSimulation::EndJob(JobStatus status) {
  if (job_ == Job::kEnded) return;
  job_ = Job::kEnded;
  if (!retained_.empty()) {
    if (!DiscardsOn(options_.retention, status)) Probe("retained at the end");
  }
  const CheckpointId newest = retained_.empty() ? 0 : *retained_.rbegin();
  const auto claim = claims_.find(newest);
  Step(checkpoint::Shutdown{status});
  if (claim == claims_.end() || claim->second != ClaimMode::kClaim) return;
  // The only state there is.
  if (status == JobStatus::kFinished) return;
  Probe("claimed snapshot outlives the job");
  CheckDurable(newest, locations_[newest], {});
}

void CheckpointSimulation::FailOverJobManager() {
  if (job_ == Job::kEnded) return;
  job_ = Job::kEnded;
  Step(checkpoint::Shutdown{JobStatus::kSuspended});
  // What is on its way arrives before the next leader takes over; what comes later is fenced off.
  After(5000, [this] {
    Check(!coordinator_->AwaitsIo(), "I/O outlives the leader");
    Check(open_requests_.empty(), "a user request was not answered by its leader");
    Probe("job manager failed over");
    CheckpointCoordinatorOptions options = options_;
    options.next_checkpoint_id = *store_.NextCheckpointId(job_id_);
    options.completed = *store_.Completed(job_id_);
    Check(options.next_checkpoint_id > highest_id_ || highest_id_ == 0, "the id counter went back");
    coordinator_ = std::make_unique<CheckpointCoordinator>(options);
    retained_periodic_.clear();  // They stay, but no longer count.
    periodic_since_ms_.reset();
    started_periodic_ = 0;
    job_ = Job::kWaiting;
    end_of_time_ = now_ + 3000;
    ScheduleUsers();
    StartAttempt();
  });
  end_of_time_ = now_ + 10'000;
}

void CheckpointSimulation::ScheduleUsers() {
  const int64_t span = std::max<int64_t>(1, end_of_time_ - now_);
  const int64_t requests = Chance(0.3) ? Random(5, 20) : Random(0, 5);
  for (int64_t i = 0; i < requests; ++i) {
    After(Random(0, span), [this] { UserRequest(); });
  }
  if (Chance(0.1)) {
    const int64_t at = Random(0, span);
    for (int i = 0; i < 6; ++i) After(at, [this] { UserRequest(); });
  }
  if (Chance(0.08)) After(Random(0, span), [this] { FailOverJobManager(); });
}

void CheckpointSimulation::UserRequest() {
  const RequestId request = next_request_++;
  open_requests_.insert(request);
  if (Chance(0.4)) {
    Step(checkpoint::TriggerCheckpoint{request, Chance(0.3)});
    return;
  }
  checkpoint::TriggerSavepoint trigger;
  trigger.request = request;
  trigger.target_dir = "target";
  if (Chance(0.25)) {
    constexpr SnapshotKind kKinds[] = {SnapshotKind::kCancelSavepoint, SnapshotKind::kStopSuspend,
                                       SnapshotKind::kStopDrain};
    trigger.kind = kKinds[Random(0, 2)];
  }
  Step(std::move(trigger));
}

// ---- Tasks --------------------------------------------------------------------------------------

void CheckpointSimulation::ReachEndOfData(SubtaskRef subtask) {
  if (!ended_.insert(subtask).second) return;
  for (int32_t i = 0; i < plan_.vertices.back().parallelism; ++i) {
    const SubtaskRef sink{plan_.vertices.back().id, i};
    bool all = true;
    for (const CheckpointPlan::Edge& edge : plan_.edges) {
      const CheckpointPlan::Vertex& source = plan_.vertices[edge.source];
      for (int32_t s = 0; s < source.parallelism; ++s) {
        if (edge.pointwise && s != i) continue;
        all = all && ended_.count(SubtaskRef{source.id, s}) != 0;
      }
    }
    if (all) ended_.insert(sink);
  }
  if (ended_.size() < tasks_.size()) {
    Step(checkpoint::SomeSubtasksEndOfData{});
    return;
  }
  end_of_data_ = true;
  Step(checkpoint::AllSubtasksEndOfData{});
}

bool CheckpointSimulation::IsFed(const SubtaskRef& sink) const {
  for (const CheckpointPlan::Edge& edge : plan_.edges) {
    const CheckpointPlan::Vertex& source = plan_.vertices[edge.source];
    for (int32_t s = 0; s < source.parallelism; ++s) {
      if (edge.pointwise && s != sink.subtask) continue;
      if (finished_.count(SubtaskRef{source.id, s}) == 0) return true;
    }
  }
  return false;
}

void CheckpointSimulation::EvolveState(Task& task) {
  for (auto it = task.live.begin(); it != task.live.end();) {
    it = Chance(0.25) ? task.live.erase(it) : std::next(it);
  }
}

void CheckpointSimulation::OnBarrier(const checkpoint::TriggerOptions& options, CheckpointId id,
                                     SubtaskRef subtask) {
  if (job_ != Job::kRunning) return;
  if (finished_.count(subtask) != 0) {
    Check(!InProgress(id), "a subtask has finished before its barrier came");
    return;
  }
  if (Chance(trouble_ / 2)) {
    Probe("declined");
    const int repeats = Chance(0.2) ? 2 : 1;
    for (int i = 0; i < repeats; ++i) {
      const auto reason = Chance(0.5) ? CheckpointFailureReason::kCheckpointDeclined
                                      : CheckpointFailureReason::kCheckpointDeclinedTaskNotReady;
      After(Random(0, 40), [this, id, subtask, reason] {
        Step(checkpoint::SubtaskDeclined{id, subtask, reason, "cannot"});
      });
    }
    return;
  }
  if (Chance(trouble_ / 4)) return;  // Never answers.
  const int64_t upload = Chance(0.1) ? Random(50, 2000) : Random(1, 60);
  const int attempt = attempt_;
  After(upload, [this, options, id, subtask, attempt] {
    // A process that died uploads nothing; one that is only slow to be stopped still may.
    if (attempt != attempt_ || tasks_.count(subtask) == 0) return;
    UploadAndAck(options, id, subtask);
  });
}

void CheckpointSimulation::UploadAndAck(const checkpoint::TriggerOptions& options, CheckpointId id,
                                        SubtaskRef subtask) {
  Task& task = tasks_[subtask];
  checkpoint::SubtaskAcked ack;
  ack.checkpoint = id;
  ack.subtask = subtask;
  ack.snapshot.state = options.location + "/" + NameOf(subtask);
  durable_.insert(ack.snapshot.state);
  if (options_.incremental && !IsSavepoint(options.kind)) {
    EvolveState(task);
    Files files;
    const auto base = task.uploaded.find(options.base);
    const Files reusable = base == task.uploaded.end() ? Files{} : base->second;
    std::set<std::string> live;
    for (const std::string& file : task.live) {
      if (std::find(reusable.begin(), reusable.end(), file) != reusable.end()) {
        Probe("base reused");
        Check(durable_.count(file) != 0 || coordinator_->statistics().Find(id) == nullptr ||
                  coordinator_->statistics().Find(id)->status != CheckpointStatsStatus::kInProgress,
              "a file of the base of a pending checkpoint is gone: " + file);
        if (foreign_.count(file) != 0) Probe("foreign file in own checkpoint");
        live.insert(file);
      }
    }
    for (int64_t i = Random(0, 2); i > 0; --i) {
      const std::string file = "shared-" + std::to_string(next_file_++);
      durable_.insert(file);
      live.insert(file);
    }
    // What is alive but not part of the base is uploaded again under a new name.
    for (size_t i = live.size(); i < task.live.size(); ++i) {
      const std::string file = "shared-" + std::to_string(next_file_++);
      durable_.insert(file);
      live.insert(file);
    }
    files.assign(live.begin(), live.end());
    task.live = live;
    task.uploaded[id] = files;
    ack.snapshot.shared_files = files;
  }
  ack.snapshot.metrics.state_size = 10;
  ack.snapshot.end_of_data = ended_at_[id].count(subtask) != 0;
  ack.snapshot.finished = finished_before_.count(subtask) != 0;
  const int repeats = Chance(0.1) ? 2 : 1;
  for (int i = 0; i < repeats; ++i) {
    const int64_t delay = Chance(0.05) ? Random(100, 1500) : Random(0, 20);
    After(delay, [this, ack, i] {
      if (i > 0) Probe("acknowledgement repeated");
      Step(ack);
    });
  }
}

}  // namespace flink::jobmanager
