#pragma once

/// A real cluster of processes for tests: its own copy of the distribution, its own ports and
/// directories.

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "common/base/status.h"

namespace flink::testing {

struct CommandResult {
  int exit_code = -1;  ///< 128 + signal when a signal ended it.
  std::string out;
  std::string err;
};

/// Runs a program to its end; after `timeout` it is killed. The first word is looked up in PATH.
CommandResult RunCommand(const std::vector<std::string>& words,
                         std::chrono::milliseconds timeout = std::chrono::minutes(2),
                         const std::string& working_directory = "",
                         const std::map<std::string, std::string>& environment = {});

/// Polls until `condition` holds; false when it did not within `timeout`.
bool WaitFor(const std::function<bool()>& condition,
             std::chrono::milliseconds timeout = std::chrono::seconds(30));

/// A port on which nobody listens at the moment.
int FreePort();

/// One thread. The destructor stops the cluster, reports as a test failure whatever is left of it
/// (a process whose executable is in the copy, a file below io.tmp.dirs), and removes the copy.
/// With FLINK_TEST_KEEP set it keeps the copy of a failed test.
class ExternalCluster {
 public:
  struct Options {
    int task_managers = 1;
    int slots = 2;  ///< Of each TaskManager.
    std::map<std::string, std::string> configuration = {};
    std::map<std::string, std::string> environment = {};  ///< Of the scripts and what they start.
  };

  /// Makes the copy and runs start-cluster.sh; returns when all TaskManagers are registered.
  static StatusOr<std::unique_ptr<ExternalCluster>> Start(const Options& options);
  /// The copy only.
  static StatusOr<std::unique_ptr<ExternalCluster>> Create(const Options& options);
  ~ExternalCluster();
  ExternalCluster(const ExternalCluster&) = delete;
  ExternalCluster& operator=(const ExternalCluster&) = delete;

  const std::string& home() const { return home_; }
  /// An absolute path below a directory that is removed with the cluster.
  std::string File(const std::string& name) const { return directory_ + "/" + name; }
  std::string Example(const std::string& name) const { return home_ + "/examples/" + name + ".so"; }
  int rest_port() const { return rest_port_; }

  /// bin/flink with these arguments.
  CommandResult Flink(const std::vector<std::string>& arguments,
                      std::chrono::milliseconds timeout = std::chrono::minutes(2)) const;
  /// bin/<name> with these arguments.
  CommandResult Script(const std::string& name,
                       const std::vector<std::string>& arguments = {}) const;

  /// `flink run -d` with these arguments; the job id.
  StatusOr<std::string> RunDetached(const std::vector<std::string>& arguments) const;
  /// Flink's name of the job's state; empty when the cluster does not know the job or does not
  /// answer.
  std::string JobState(const std::string& job_id) const;
  bool WaitForJobState(const std::string& job_id, const std::string& state,
                       std::chrono::milliseconds timeout = std::chrono::seconds(60)) const;

  StatusOr<nlohmann::json> Get(const std::string& path) const;

  /// Living processes of this copy by program: "jobmanager", "taskmanager" or "task-executor";
  /// ascending pids.
  std::vector<pid_t> Processes(const std::string& program) const;
  /// The task executors that this TaskManager started.
  std::vector<pid_t> ExecutorsOf(pid_t task_manager) const;
  /// kill -9, and waits until it is gone.
  static void Kill(pid_t process);
  /// VmHWM: the most memory the process ever held, in bytes; 0 when it is gone.
  static uint64_t PeakResidentBytes(pid_t process);

  /// The ends of all logs, for messages.
  std::string Logs() const;

 private:
  ExternalCluster() = default;
  Status MakeCopy(const Options& options);

  std::string directory_;
  std::string home_;
  std::map<std::string, std::string> environment_;
  int rest_port_ = 0;
};

}  // namespace flink::testing
