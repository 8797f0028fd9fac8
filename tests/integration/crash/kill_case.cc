#include "tests/integration/crash/kill_case.h"

#include <algorithm>
#include <filesystem>
#include <future>
#include <optional>

#include "tests/integration/word_count_output.h"

namespace flink::testing {
namespace {

namespace fs = std::filesystem;

constexpr char kStoppedText[] = "A savepoint has been created at: ";

const char* NameOf(Operation operation) {
  switch (operation) {
    case Operation::kCheckpoint:
      return "checkpoint";
    case Operation::kSavepoint:
      return "savepoint";
    case Operation::kStop:
      return "stop";
    case Operation::kDrain:
      return "drain";
    case Operation::kDispose:
      return "dispose";
    case Operation::kClaim:
      return "claim";
  }
  return "";
}

std::string LocalPath(const std::string& uri) { return uri.substr(uri.find('/')); }

class Run {
 public:
  Run(const KillCase& kill_case, CrashCluster& cluster) : case_(kill_case), cluster_(cluster) {}

  Status Execute() {
    RETURN_IF_ERROR(Prepare());
    cluster_.Arm(program(), case_.point.name, ArmText());
    Operate();
    const Status struck = Strike();
    cluster_.Release(program(), case_.point.name);
    const Status healed = cluster_.Heal();
    Join();
    RETURN_IF_ERROR(struck);
    RETURN_IF_ERROR(healed);
    return Settle();
  }

  std::string Told() const {
    return fmt::format("\nthe operation: {} {}{}\nbeside it: {} {}{}", operated_.exit_code,
                       operated_.out, operated_.err, beside_.exit_code, beside_.out, beside_.err);
  }

 private:
  const char* program() const { return ProgramOf(case_.point.process); }
  bool IsSelfKill() const { return case_.victim == case_.point.process; }
  bool Claims() const { return case_.operation == Operation::kClaim; }
  bool OperationStops() const {
    return case_.operation == Operation::kStop || case_.operation == Operation::kDrain;
  }
  bool Stops() const { return OperationStops() || case_.point.activity == Activity::kStop; }
  /// Whether the operation alone brings the failpoint's activity about.
  bool NeedsHelp() const {
    switch (case_.point.activity) {
      case Activity::kSnapshot:
      case Activity::kCheckpoint:
        return false;
      case Activity::kStop:
        return !OperationStops();
      case Activity::kDispose:
        return case_.operation != Operation::kDispose && !Claims();
      case Activity::kRestore:
        return !Claims();
    }
    return false;
  }

  std::string ArmText() const {
    const bool savepoint = case_.operation == Operation::kSavepoint || OperationStops();
    const char* location = !case_.point.of_snapshot ? "" : savepoint ? "/savepoint-" : "/chk-";
    return fmt::format("{} 1 {} {}", IsSelfKill() ? "kill" : "pause", location, case_.point.detail);
  }

  CommandResult Flink(const std::vector<std::string>& words) const {
    return cluster_.cluster().Flink(words);
  }
  const char* Format() const { return case_.canonical ? "canonical" : "native"; }
  /// The case's job, from the beginning or from a snapshot.
  StatusOr<std::string> Submit(const std::string& snapshot = "",
                               std::vector<std::string> options = {}) const {
    options.push_back(
        fmt::format("-Dexecution.checkpointing.unaligned.enabled={}", case_.unaligned));
    return cluster_.Submit(snapshot, options);
  }
  CommandResult Stop(const std::string& job) const {
    return Flink({"stop", "--type", Format(), "-p", cluster_.Directory("sp"), job});
  }
  CommandResult Savepoint() const {
    return Flink({"savepoint", "--type", Format(), job_, cluster_.Directory("sp")});
  }

  StatusOr<std::string> TakeSavepoint() const {
    const CommandResult taken = Savepoint();
    if (taken.exit_code != 0) return Internal("no savepoint: {}{}", taken.out, taken.err);
    return SavepointPathIn(taken.out);
  }

  /// A running job with a checkpoint, and the savepoints that the case works on.
  Status Prepare() {
    std::string name = case_.Name();
    std::replace(name.begin(), name.end(), ' ', '_');
    std::replace(name.begin(), name.end(), '/', '_');
    cluster_.Begin(name);
    ASSIGN_OR_RETURN(job_, Submit());
    RETURN_IF_ERROR(cluster_.AwaitCheckpoints(job_, 1));
    if (Claims()) {
      const CommandResult stopped = Stop(job_);
      if (stopped.exit_code != 0) return Internal("no stop: {}{}", stopped.out, stopped.err);
      savepoint_ = SavepointPathIn(stopped.out);
    } else if (case_.operation == Operation::kDispose) {
      ASSIGN_OR_RETURN(savepoint_, TakeSavepoint());
    }
    if (NeedsHelp() && case_.point.activity != Activity::kStop) {
      ASSIGN_OR_RETURN(beside_savepoint_, TakeSavepoint());
      // A job that starts from it commits the output that it names, so the job of the case must not
      // fall back behind it.
      RETURN_IF_ERROR(cluster_.AwaitCheckpoints(job_, 1));
    }
    return OkStatus();
  }

  void Operate() {
    operation_ = std::async(std::launch::async, [this] {
      if (OperationStops() && case_.point.activity == Activity::kCheckpoint) {
        cluster_.WaitForHit(program(), case_.point.name);
      }
      operated_ = DoOperation();
      // A claim's job must be there before it can be stopped.
      if (NeedsHelp() && Claims()) beside_ = Help();
    });
    if (NeedsHelp() && !Claims()) {
      help_ = std::async(std::launch::async, [this] { beside_ = Help(); });
    }
  }

  CommandResult DoOperation() {
    switch (case_.operation) {
      case Operation::kCheckpoint:
        return Flink({"checkpoint", job_});
      case Operation::kSavepoint:
        return Savepoint();
      case Operation::kStop:
        return Stop(job_);
      case Operation::kDrain:
        return Flink({"stop", "--drain", "--type", Format(), "-p", cluster_.Directory("sp"), job_});
      case Operation::kDispose:
        return Flink({"savepoint", "-d", savepoint_});
      case Operation::kClaim:
        claimed_ = Submit(savepoint_, {"--claimMode", "CLAIM"});
        return {claimed_->ok() ? 0 : 1, "", Message(claimed_->status())};
    }
    return {};
  }

  CommandResult Help() {
    switch (case_.point.activity) {
      case Activity::kSnapshot:
      case Activity::kCheckpoint:
        break;
      case Activity::kStop: {
        const std::string job = Claims() && claimed_->ok() ? **claimed_ : job_;
        cluster_.cluster().WaitForJobState(job, "RUNNING");
        return Stop(job);
      }
      case Activity::kDispose:
        return Flink({"savepoint", "-d", beside_savepoint_});
      case Activity::kRestore: {
        const auto restored = cluster_.Submit(beside_savepoint_, {}, "beside", 1);
        return {restored.ok() ? 0 : 1, "", Message(restored.status())};
      }
    }
    return {};
  }

  void Join() {
    operation_.wait();
    if (help_.valid()) help_.wait();
  }

  /// Kills the victim while the failpoint holds, or sees it kill itself.
  Status Strike() {
    const pid_t hit = cluster_.WaitForHit(program(), case_.point.name);
    if (hit == 0) return Internal("the failpoint was not hit");
    if (IsSelfKill()) {
      const bool gone =
          WaitFor([&] { return !fs::exists("/proc/" + std::to_string(hit) + "/exe"); });
      return gone ? OkStatus() : Internal("process {} did not die at the failpoint", hit);
    }
    if (cluster_.Kill(case_.victim, hit)) return OkStatus();
    // Held before there is any executor: the first one dies. When the stop has ended, there is
    // nobody left.
    cluster_.Release(program(), case_.point.name);
    const auto struck = [&] {
      return cluster_.Kill(case_.victim, hit) ||
             (Stops() && operation_.wait_for(std::chrono::seconds(0)) == std::future_status::ready);
    };
    return WaitFor(struck) ? OkStatus()
                           : Internal("there was no {} to kill", ProgramOf(case_.victim));
  }

  /// The stop's savepoint, when it says that there is one.
  std::string StopSavepoint() const {
    const CommandResult& stop = OperationStops() ? operated_ : beside_;
    if (stop.exit_code == 0) return SavepointPathIn(stop.out);
    const std::string text = stop.out + stop.err;
    const size_t at = text.find(kStoppedText);
    if (at == std::string::npos) return "";
    std::string path = SavepointPathIn(text.substr(at));
    if (!path.empty() && path.back() == ',') path.pop_back();
    return path;
  }

  /// Ends what runs beside the job of the case.
  Status EndOthers() const {
    const auto overview = cluster_.cluster().Get("/jobs/overview");
    if (!overview.ok()) return overview.status();
    for (const auto& job : (*overview)["jobs"]) {
      const std::string id = job["jid"];
      const std::string state = cluster_.cluster().JobState(id);
      if (id == job_ || state == "FINISHED" || state == "FAILED" || state == "CANCELED") continue;
      Flink({"cancel", id});
      RETURN_IF_ERROR(cluster_.AwaitEnd(id).status());
    }
    return OkStatus();
  }

  Status Resume(const std::string& snapshot) {
    if (snapshot.empty()) return Internal("there is no snapshot to go on from");
    ASSIGN_OR_RETURN(job_, Submit(snapshot));
    return AwaitFinished();
  }
  Status AwaitFinished() const {
    ASSIGN_OR_RETURN(const std::string state, cluster_.AwaitEnd(job_));
    return state == "FINISHED" ? OkStatus() : Internal("job {} ended as {}", job_, state);
  }

  Status Settle() {
    if (Claims() && claimed_->ok()) job_ = **claimed_;
    const bool new_job_manager = case_.victim == Victim::kJobManager;
    RETURN_IF_ERROR(EndOthers());
    cluster_.LetGo();
    if (new_job_manager) {
      ASSIGN_OR_RETURN(const std::string newest, cluster_.NewestListedSnapshot());
      RETURN_IF_ERROR(Resume(newest));
    } else if (Claims() && !claimed_->ok()) {
      return With(claimed_->status(), "the job that claims was not taken");
    } else {
      RETURN_IF_ERROR(SettleSurvivor());
    }
    RETURN_IF_ERROR(cluster_.CheckOutput());
    // All that looks like a snapshot still is one, also what the resumed job left to its owner.
    RETURN_IF_ERROR(cluster_.NewestSnapshot().status());
    return new_job_manager ? cluster_.CheckLeftovers() : cluster_.CheckStorage(job_);
  }

  /// The JobManager lives: the job has ended by itself, or has been stopped.
  Status SettleSurvivor() {
    const std::string first = job_;
    ASSIGN_OR_RETURN(const std::string state, cluster_.AwaitEnd(job_));
    const std::string stopped = Stops() ? StopSavepoint() : "";
    if (!stopped.empty()) {
      RETURN_IF_ERROR(cluster_.CheckStorage(first));
      RETURN_IF_ERROR(Resume(stopped));
    } else if (state != "FINISHED") {
      return Internal("job {} ended as {}", job_, state);
    }
    if (case_.operation == Operation::kSavepoint && operated_.exit_code == 0) {
      const std::string path = LocalPath(SavepointPathIn(operated_.out));
      if (!fs::exists(path + "/_metadata")) return Internal("the savepoint {} is gone", path);
    }
    // A claimed one stays when the job has failed and no checkpoint has replaced it.
    const bool must_be_gone =
        (case_.operation == Operation::kDispose && operated_.exit_code == 0) ||
        (Claims() && state == "FINISHED");
    const std::string savepoint = must_be_gone ? LocalPath(savepoint_) : "";
    if (must_be_gone && !WaitFor([&] { return !fs::exists(savepoint); })) {
      return Internal("the savepoint {} is still there", savepoint);
    }
    return OkStatus();
  }

  const KillCase case_;
  CrashCluster& cluster_;
  std::string job_;
  std::string savepoint_;         // That the operation disposes of or claims.
  std::string beside_savepoint_;  // The same for what is done beside the operation.
  std::optional<StatusOr<std::string>> claimed_;
  CommandResult operated_;
  CommandResult beside_;
  std::future<void> operation_;
  std::future<void> help_;
};

}  // namespace

const std::vector<Point>& Points() {
  constexpr Victim kJm = Victim::kJobManager;
  constexpr Victim kTm = Victim::kTaskManager;
  constexpr Victim kEx = Victim::kExecutor;
  static const std::vector<Point> points = {
      {kJm, "checkpoint.location-created", Activity::kSnapshot, true, ""},
      {kJm, "checkpoint.triggered", Activity::kSnapshot, true, ""},
      {kEx, "task.aligned", Activity::kSnapshot, true, ""},
      {kEx, "sink.pending", Activity::kSnapshot, false, ""},
      {kEx, "task.snapshot-taken", Activity::kSnapshot, true, ""},
      {kEx, "snapshot.upload-begun", Activity::kSnapshot, true, ""},
      {kEx, "io.half-written", Activity::kSnapshot, true, ""},
      {kEx, "snapshot.files-durable", Activity::kSnapshot, true, ""},
      {kEx, "task.ack", Activity::kSnapshot, true, ""},
      {kTm, "taskmanager.ack-relay", Activity::kSnapshot, false, ""},
      {kJm, "checkpoint.all-acked", Activity::kSnapshot, true, ""},
      {kJm, "io.half-written", Activity::kSnapshot, true, "_metadata"},
      {kJm, "io.temporary-written", Activity::kSnapshot, true, "_metadata"},
      {kJm, "io.renamed", Activity::kSnapshot, true, "_metadata"},
      {kJm, "checkpoint.persisted", Activity::kSnapshot, true, ""},
      {kJm, "checkpoint.added", Activity::kCheckpoint, false, ""},
      {kJm, "checkpoint.notify", Activity::kSnapshot, false, ""},
      {kEx, "task.notified", Activity::kSnapshot, false, ""},
      {kEx, "sink.committed-one", Activity::kSnapshot, false, ""},
      {kJm, "snapshot.delete-begun", Activity::kSnapshot, false, "/chk-"},
      {kJm, "snapshot.metadata-deleted", Activity::kSnapshot, false, "/chk-"},
      {kJm, "stop.savepoint-durable", Activity::kStop, false, ""},
      {kEx, "task.finish", Activity::kStop, false, ""},
      {kJm, "snapshot.delete-begun", Activity::kDispose, false, "/savepoint-"},
      {kJm, "snapshot.metadata-deleted", Activity::kDispose, false, "/savepoint-"},
      {kJm, "job.restore-accepted", Activity::kRestore, false, ""},
      {kEx, "state.restoring", Activity::kRestore, false, "/savepoint-"},
  };
  return points;
}

std::string KillCase::Name() const {
  std::string name =
      fmt::format("{}/{} in {}", NameOf(operation), point.name, ProgramOf(point.process));
  if (point.activity == Activity::kDispose) name += " of a savepoint";
  return fmt::format("{}/kill {}/{}{}", name, ProgramOf(victim), canonical ? "canonical" : "native",
                     unaligned ? ", unaligned" : "");
}

std::vector<KillCase> AllKillCases() {
  std::vector<KillCase> cases;
  int point_number = 0;
  for (const Point& point : Points()) {
    int operation_number = point_number++;
    // A canonical snapshot of so little state has no file that this point could be hit in.
    const bool in_file =
        point.process == Victim::kExecutor && point.name == std::string_view("io.half-written");
    for (const Operation operation : kOperations) {
      bool unaligned = operation_number / 2 % 2 == 0;
      const bool canonical = operation_number++ % 2 == 0 && !in_file;
      for (const Victim victim : kVictims) {
        cases.push_back({operation, point, victim, canonical, unaligned});
        unaligned = !unaligned;
      }
    }
  }
  return cases;
}

Status RunKillCase(const KillCase& kill_case, CrashCluster& cluster) {
  Run run(kill_case, cluster);
  const Status status = run.Execute();
  return status.ok() ? status : Internal("{}{}", Message(status), run.Told());
}

}  // namespace flink::testing
