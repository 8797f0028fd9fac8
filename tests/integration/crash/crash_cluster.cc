#include "tests/integration/crash/crash_cluster.h"

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "common/io/file_system.h"
#include "common/snapshot/metadata.h"
#include "common/snapshot/state_handle.h"
#include "tests/integration/word_count_output.h"

namespace flink::testing {
namespace {

namespace fs = std::filesystem;

constexpr std::chrono::seconds kPatience{60};
constexpr int kKeys = 100;  // Of the job.

pid_t ReadPid(const std::string& path) {
  pid_t pid = 0;
  std::ifstream(path) >> pid;
  return pid;
}

bool Lives(pid_t process) { return fs::exists("/proc/" + std::to_string(process) + "/exe"); }

bool IsTerminal(const std::string& state) {
  return state == "FINISHED" || state == "FAILED" || state == "CANCELED";
}

/// That all files of a snapshot are there, with the sizes it says; its id.
StatusOr<int64_t> CheckSnapshot(const std::string& directory) {
  ASSIGN_OR_RETURN(const snapshot::LoadedSnapshot loaded, snapshot::LoadSnapshot(directory));
  Status problem;
  for (const snapshot::OperatorSnapshot& op : loaded.metadata.operators) {
    for (const auto& [index, state] : op.subtasks) {
      snapshot::ForEachStream(state, [&](const snapshot::StreamStateHandle& stream) {
        if (std::holds_alternative<snapshot::InlineHandle>(stream)) return;
        const StatusOr<std::string> path = snapshot::ResolveStreamPath(stream, directory);
        const StatusOr<uint64_t> size =
            path.ok() ? io::FileSize(*path) : StatusOr<uint64_t>(path.status());
        if (!size.ok()) problem = size.status();
        if (size.ok() && static_cast<int64_t>(*size) != snapshot::StreamSize(stream)) {
          problem =
              DataLoss("{} has {} bytes instead of {}", *path, *size, snapshot::StreamSize(stream));
        }
      });
    }
  }
  if (!problem.ok()) return With(problem, "the snapshot {} cannot be restored", directory);
  return loaded.metadata.checkpoint_id;
}

/// All paths below a directory, also while somebody deletes in it.
std::vector<fs::path> PathsBelow(const std::string& directory) {
  while (true) {
    std::vector<fs::path> paths;
    std::error_code error;
    for (fs::recursive_directory_iterator it(directory, error), end; !error && it != end;
         it.increment(error)) {
      paths.push_back(it->path());
    }
    if (!error || !fs::exists(directory)) return paths;
  }
}

std::string Listing(const std::string& directory) {
  std::string text;
  for (const fs::path& path : PathsBelow(directory)) text += "\n  " + path.string();
  return text;
}

}  // namespace

const char* ProgramOf(Victim victim) {
  switch (victim) {
    case Victim::kJobManager:
      return "jobmanager";
    case Victim::kTaskManager:
      return "taskmanager";
    case Victim::kExecutor:
      return "task-executor";
  }
  return "";
}

StatusOr<std::unique_ptr<CrashCluster>> CrashCluster::Start() {
  std::unique_ptr<CrashCluster> self(new CrashCluster());
  ASSIGN_OR_RETURN(self->failpoints_, io::TempDirectory::Create("failpoints"));
  for (const Victim victim : kVictims) {
    fs::create_directories(self->failpoints_.File(ProgramOf(victim)));
  }
  ExternalCluster::Options options;
  options.task_managers = kTaskManagers;
  options.slots = kSlots;
  options.environment = {{"FLINK_FAILPOINTS", self->failpoints_.path()}};
  options.configuration = {
      {"heartbeat.interval", "250 ms"},
      {"heartbeat.timeout", "1500 ms"},
      {"execution.checkpointing.interval", "100 ms"},
      {"execution.checkpointing.incremental", "true"},
      // All state in files.
      {"execution.checkpointing.data-inline-threshold", "0 b"},
      {"restart-strategy.type", "fixed-delay"},
      {"restart-strategy.fixed-delay.attempts", "1000000"},
      {"restart-strategy.fixed-delay.delay", "20 ms"},
  };
  ASSIGN_OR_RETURN(self->cluster_, ExternalCluster::Start(options));
  return self;
}

// ---- Failpoints

std::string CrashCluster::FailpointFile(const std::string& program, const std::string& name) const {
  return failpoints_.File(program + "/" + name);
}

void CrashCluster::Arm(const std::string& program, const std::string& name,
                       const std::string& text) const {
  const std::string path = FailpointFile(program, name);
  fs::remove(path + ".hit");
  std::ofstream(path + ".new") << text << '\n';
  fs::rename(path + ".new", path);
}

pid_t CrashCluster::WaitForHit(const std::string& program, const std::string& name) const {
  const std::string hit = FailpointFile(program, name) + ".hit";
  WaitFor([&] { return fs::exists(hit); }, kPatience);
  return ReadPid(hit);
}

void CrashCluster::Release(const std::string& program, const std::string& name) const {
  fs::remove(FailpointFile(program, name));
  fs::remove(FailpointFile(program, name) + ".hit");
}

// ---- Processes

bool CrashCluster::Kill(Victim victim, pid_t held) const {
  std::vector<pid_t> candidates = cluster_->Processes(ProgramOf(victim));
  if (victim == Victim::kTaskManager) {
    // The one whose executor is held, or else one that has executors.
    const auto rank = [&](pid_t task_manager) {
      const std::vector<pid_t> executors = cluster_->ExecutorsOf(task_manager);
      if (std::count(executors.begin(), executors.end(), held) != 0) return 0;
      return executors.empty() ? 2 : 1;
    };
    std::stable_sort(candidates.begin(), candidates.end(),
                     [&](pid_t a, pid_t b) { return rank(a) < rank(b); });
  } else if (victim == Victim::kExecutor) {
    // Of the TaskManager that is held, if one is.
    const std::vector<pid_t> of_held = cluster_->ExecutorsOf(held);
    if (!of_held.empty()) candidates = of_held;
  }
  if (candidates.empty()) return false;
  ExternalCluster::Kill(candidates.front());
  return true;
}

Status CrashCluster::Heal() const {
  if (cluster_->Processes("jobmanager").empty()) {
    const std::vector<pid_t> orphans = cluster_->Processes("task-executor");
    for (const pid_t orphan : orphans) {
      if (!WaitFor([&] { return !Lives(orphan); }, kPatience)) {
        return Internal("task executor {} has outlived its JobManager", orphan);
      }
    }
    const CommandResult started = cluster_->Script("jobmanager.sh", {"start"});
    if (started.exit_code != 0) return Internal("jobmanager.sh: {}{}", started.out, started.err);
  }
  for (size_t n = cluster_->Processes("taskmanager").size(); n < kTaskManagers; ++n) {
    const CommandResult started = cluster_->Script("taskmanager.sh", {"start"});
    if (started.exit_code != 0) return Internal("taskmanager.sh: {}{}", started.out, started.err);
  }
  const bool complete = WaitFor(
      [&] {
        const auto overview = cluster_->Get("/overview");
        return overview.ok() && (*overview)["taskmanagers"] == kTaskManagers;
      },
      kPatience);
  return complete ? OkStatus() : Internal("the TaskManagers did not register");
}

// ---- The job

void CrashCluster::Begin(const std::string& name) {
  directory_ = cluster_->File(name);
  fs::create_directories(directory_);
  std::ofstream(Directory("trickle")) << "";
}

StatusOr<std::string> CrashCluster::Submit(const std::string& snapshot,
                                           const std::vector<std::string>& more,
                                           const std::string& output, int parallelism) const {
  std::vector<std::string> words = {"-p", std::to_string(parallelism)};
  if (!snapshot.empty()) words.insert(words.end(), {"-s", snapshot});
  // Files of a job beside the main one must not be taken for the main one's.
  const std::string checkpoints = output == "out" ? "chk" : output + "-chk";
  words.push_back("-Dexecution.checkpointing.dir=file://" + Directory(checkpoints));
  words.insert(words.end(), more.begin(), more.end());
  words.emplace_back(FLINK_TEST_JOBS "/TestJob.so");
  words.insert(words.end(),
               {"--case", "misbehave", "--mode", "none", "--count", std::to_string(kCount),
                "--slow-while", Directory("trickle"), "--output", Directory(output)});
  return cluster_->RunDetached(words);
}

void CrashCluster::LetGo() const { fs::remove(Directory("trickle")); }

Status CrashCluster::AwaitCheckpoints(const std::string& job, int n) const {
  int64_t wanted = -1;
  const bool came = WaitFor(
      [&] {
        const auto checkpoints = cluster_->Get("/jobs/" + job + "/checkpoints");
        if (!checkpoints.ok()) return false;
        const int64_t completed = (*checkpoints)["counts"]["completed"];
        if (wanted < 0) wanted = completed + n;
        return completed >= wanted;
      },
      kPatience);
  return came ? OkStatus() : Internal("job {} completes no checkpoint", job);
}

StatusOr<std::string> CrashCluster::AwaitEnd(const std::string& job) const {
  std::string state;
  if (WaitFor([&] { return IsTerminal(state = cluster_->JobState(job)); }, kPatience)) return state;
  return Internal("job {} does not end; it is {}", job, state);
}

// ---- Verdicts

StatusOr<std::string> CrashCluster::NewestSnapshot() const {
  std::string newest;
  int64_t highest = -1;
  for (const char* below : {"chk", "sp"}) {
    for (const fs::path& path : PathsBelow(Directory(below))) {
      if (path.filename() != snapshot::kMetadataFileName) continue;
      const StatusOr<int64_t> id = CheckSnapshot(path.parent_path());
      // Its metadata goes first, so what has none any more is being deleted.
      if (!id.ok() && !fs::exists(path)) continue;
      if (!id.ok()) return id.status();
      if (*id <= highest) continue;
      highest = *id;
      newest = path.parent_path();
    }
  }
  return newest;
}

StatusOr<std::string> CrashCluster::NewestListedSnapshot() const {
  ASSIGN_OR_RETURN(const std::string newest, NewestSnapshot());
  const CommandResult result = cluster_->Flink(
      {"savepoint", "list", "--json", "-Dexecution.checkpointing.dir=file://" + Directory("chk")});
  const auto list = nlohmann::json::parse(result.out, nullptr, /*allow_exceptions=*/false);
  if (result.exit_code != 0 || !list.is_array()) {
    return Internal("savepoint list: {} {}{}", result.exit_code, result.out, result.err);
  }
  std::string listed;
  for (const auto& entry : list) {
    ASSIGN_OR_RETURN(const std::string path, io::ParsePath(entry["path"].get<std::string>()));
    RETURN_IF_ERROR(With(CheckSnapshot(path).status(), "savepoint list shows {}", path));
    if (listed.empty()) listed = path;
  }
  if (listed != newest) {
    return Internal("the newest snapshot is \"{}\", savepoint list says \"{}\"", newest, listed);
  }
  return listed;
}

Status CrashCluster::CheckOutput() const {
  std::vector<std::string> expected;
  for (int key = 0; key < kKeys; ++key) {
    for (int n = 1; n <= kCount / kKeys; ++n) {
      expected.push_back(std::to_string(key) + "," + std::to_string(n));
    }
  }
  std::vector<std::string> lines = CommittedLines(Directory("out"));
  std::sort(expected.begin(), expected.end());
  std::sort(lines.begin(), lines.end());
  if (lines == expected) return OkStatus();
  std::vector<std::string> missing;
  std::vector<std::string> extra;
  std::set_difference(expected.begin(), expected.end(), lines.begin(), lines.end(),
                      std::back_inserter(missing));
  std::set_difference(lines.begin(), lines.end(), expected.begin(), expected.end(),
                      std::back_inserter(extra));
  return DataLoss("of {} lines {} are missing ({} …) and {} too many ({} …)", expected.size(),
                  missing.size(), missing.empty() ? "" : missing.front(), extra.size(),
                  extra.empty() ? "" : extra.front());
}

Status CrashCluster::CheckLeftovers() const {
  const std::vector<std::string> fsck = {"fsck", "--older-than", "0s", Directory("")};
  std::vector<std::string> remove = fsck;
  remove.insert(remove.end() - 1, "--delete");
  const CommandResult removed = cluster_->Flink(remove);
  if (removed.exit_code != 0) return Internal("fsck --delete: {}{}", removed.out, removed.err);
  const CommandResult again = cluster_->Flink(fsck);
  if (again.exit_code != 0 || again.out.find("No orphans") == std::string::npos) {
    return Internal("fsck again: {}{}", again.out, again.err);
  }
  for (const char* below : {"chk", "sp"}) {
    for (const fs::path& path : PathsBelow(Directory(below))) {
      const std::string name = path.filename();
      const bool snapshot = name.starts_with("chk-") || name.starts_with("savepoint-");
      if (snapshot && !fs::exists(path / snapshot::kMetadataFileName)) {
        return Internal("fsck has left {}:{}", path.string(), Listing(path));
      }
    }
  }
  return NewestSnapshot().status();
}

Status CrashCluster::CheckStorage(const std::string& job) const {
  const std::string of_job = Directory("chk/" + job);
  if (!WaitFor([&] { return !fs::exists(of_job); }, kPatience)) {
    return Internal("the job has left {}:{}", of_job, Listing(of_job));
  }
  if (!fs::exists(Directory("sp"))) return OkStatus();
  for (const auto& entry : fs::directory_iterator(Directory("sp"))) {
    const std::string metadata = entry.path() / snapshot::kMetadataFileName;
    if (!WaitFor([&] { return fs::exists(metadata) || !fs::exists(entry.path()); }, kPatience)) {
      return Internal("{} is no savepoint and was not removed:{}", entry.path().string(),
                      Listing(entry.path()));
    }
  }
  return NewestSnapshot().status();
}

}  // namespace flink::testing
