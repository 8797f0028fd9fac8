#include "tests/testing/external_cluster.h"

#include <dirent.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <httplib.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <utility>

namespace flink::testing {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;
using std::chrono::milliseconds;

constexpr milliseconds kPollInterval{10};

/// The environment of tests must not lead a cluster to another one's files.
constexpr std::array<const char*, 3> kClearedVariables = {"FLINK_CONF_DIR", "FLINK_LOG_DIR",
                                                          "FLINK_PID_DIR"};

[[noreturn]] void BecomeCommand(const std::vector<std::string>& words,
                                const std::string& working_directory,
                                const std::map<std::string, std::string>& environment, int out,
                                int err) {
  for (const char* name : kClearedVariables) unsetenv(name);
  for (const auto& [name, value] : environment) setenv(name.c_str(), value.c_str(), 1);
  setpgid(0, 0);
  const int null = open("/dev/null", O_RDONLY);
  dup2(null, STDIN_FILENO);
  dup2(out, STDOUT_FILENO);
  dup2(err, STDERR_FILENO);
  if (!working_directory.empty() && chdir(working_directory.c_str()) != 0) _exit(126);
  std::vector<char*> argv;
  argv.reserve(words.size() + 1);
  for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  execvp(argv[0], argv.data());
  _exit(127);
}

int RemainingMs(Clock::time_point deadline) {
  const auto left = std::chrono::duration_cast<milliseconds>(deadline - Clock::now()).count();
  return static_cast<int>(std::max<int64_t>(0, left));
}

/// Reads both pipes until both end. A daemon that a script left behind must not hold them open.
void Collect(int out, int err, Clock::time_point deadline, CommandResult* result) {
  std::array<pollfd, 2> polled = {{{out, POLLIN, 0}, {err, POLLIN, 0}}};
  std::array<std::string*, 2> texts = {&result->out, &result->err};
  while ((polled[0].fd >= 0 || polled[1].fd >= 0) && RemainingMs(deadline) > 0) {
    if (poll(polled.data(), polled.size(), RemainingMs(deadline)) <= 0) continue;
    for (size_t i = 0; i < polled.size(); ++i) {
      if (polled[i].fd < 0 || polled[i].revents == 0) continue;
      char buffer[4096];
      const ssize_t n = read(polled[i].fd, buffer, sizeof buffer);
      if (n > 0) {
        texts[i]->append(buffer, static_cast<size_t>(n));
      } else {
        polled[i].fd = -1;
      }
    }
  }
}

std::string ExecutableOf(const std::string& pid) {
  std::error_code error;
  const fs::path path = fs::read_symlink("/proc/" + pid + "/exe", error);
  return error ? std::string() : path.string();
}

pid_t ParentOf(pid_t process) {
  std::ifstream file("/proc/" + std::to_string(process) + "/stat");
  std::string text;
  std::getline(file, text);
  // The name in parentheses may hold anything.
  const size_t close = text.rfind(')');
  if (close == std::string::npos) return 0;
  std::istringstream rest(text.substr(close + 1));
  std::string state;
  pid_t parent = 0;
  rest >> state >> parent;
  return parent;
}

std::vector<pid_t> ProcessesWithExecutable(const std::function<bool(const std::string&)>& wanted) {
  std::vector<pid_t> found;
  DIR* const processes = opendir("/proc");
  if (processes == nullptr) return found;
  while (const dirent* entry = readdir(processes)) {
    const std::string name = entry->d_name;
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    if (wanted(ExecutableOf(name))) found.push_back(static_cast<pid_t>(std::stol(name)));
  }
  closedir(processes);
  std::sort(found.begin(), found.end());
  return found;
}

Status WriteText(const std::string& path, const std::string& text) {
  std::ofstream file(path, std::ios::trunc);
  file << text;
  file.close();
  return file ? OkStatus() : Internal("cannot write {}", path);
}

}  // namespace

CommandResult RunCommand(const std::vector<std::string>& words, milliseconds timeout,
                         const std::string& working_directory,
                         const std::map<std::string, std::string>& environment) {
  CommandResult result;
  const Clock::time_point deadline = Clock::now() + timeout;
  int out[2];
  int err[2];
  if (pipe2(out, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0) return result;
  const pid_t child = fork();
  if (child == 0) BecomeCommand(words, working_directory, environment, out[1], err[1]);
  close(out[1]);
  close(err[1]);
  if (child > 0) {
    Collect(out[0], err[0], deadline, &result);
    if (RemainingMs(deadline) == 0) {
      kill(-child, SIGKILL);
      result.err += "\n(killed after " + std::to_string(timeout.count()) + " ms)\n";
    }
    int status = 0;
    waitpid(child, &status, 0);
    result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  close(out[0]);
  close(err[0]);
  return result;
}

bool WaitFor(const std::function<bool()>& condition, milliseconds timeout) {
  const Clock::time_point deadline = Clock::now() + timeout;
  while (!condition()) {
    if (Clock::now() >= deadline) return false;
    poll(nullptr, 0, static_cast<int>(kPollInterval.count()));
  }
  return true;
}

int FreePort() {
  while (true) {
    uint16_t random = 0;
    if (getrandom(&random, sizeof random, 0) != sizeof random) return 0;
    const int port = 10000 + random % 20000;  // Below the range of outgoing connections.
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<uint16_t>(port));
    const bool free = bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
    close(fd);
    if (free) return port;
  }
}

Status ExternalCluster::MakeCopy(const Options& options) {
  const std::string base = FLINK_TEST_DIRECTORY;
  std::error_code error;
  fs::create_directories(base, error);
  std::string name = base + "/cluster-XXXXXX";
  if (mkdtemp(name.data()) == nullptr) return Internal("cannot create a directory below {}", base);
  directory_ = name;
  home_ = directory_ + "/flink";
  environment_ = options.environment;
  fs::create_directories(directory_ + "/tmp", error);
  // Hard links: each process' executable then has a path inside this copy.
  fs::copy(FLINK_DIST, home_, fs::copy_options::recursive | fs::copy_options::create_hard_links,
           error);
  if (error) return Internal("cannot copy {}: {}", FLINK_DIST, error.message());
  for (const char* shared : {"/conf", "/log", "/run"}) fs::remove_all(home_ + shared, error);
  fs::create_directories(home_ + "/conf", error);

  rest_port_ = FreePort();
  std::map<std::string, std::string> configuration = {
      {"rest.port", std::to_string(rest_port_)},
      {"jobmanager.rpc.port", std::to_string(FreePort())},
      {"taskmanager.numberOfTaskSlots", std::to_string(options.slots)},
      {"io.tmp.dirs", directory_ + "/tmp"},
  };
  for (const auto& entry : options.configuration) configuration[entry.first] = entry.second;
  std::string text;
  for (const auto& entry : configuration) text += entry.first + ": \"" + entry.second + "\"\n";
  RETURN_IF_ERROR(WriteText(home_ + "/conf/config.yaml", text));
  std::string workers;
  for (int i = 0; i < options.task_managers; ++i) workers += "localhost\n";
  return WriteText(home_ + "/conf/workers", workers);
}

StatusOr<std::unique_ptr<ExternalCluster>> ExternalCluster::Create(const Options& options) {
  std::unique_ptr<ExternalCluster> cluster(new ExternalCluster());
  RETURN_IF_ERROR(cluster->MakeCopy(options));
  return cluster;
}

StatusOr<std::unique_ptr<ExternalCluster>> ExternalCluster::Start(const Options& options) {
  ASSIGN_OR_RETURN(std::unique_ptr<ExternalCluster> cluster, Create(options));
  const CommandResult started = cluster->Script("start-cluster.sh");
  if (started.err.find("the port is in use") != std::string::npos) {
    // Somebody has taken it since we looked.
    cluster.reset();
    return Start(options);
  }
  if (started.exit_code != 0) {
    return Internal("start-cluster.sh ended with {}:\n{}{}{}", started.exit_code, started.out,
                    started.err, cluster->Logs());
  }
  return cluster;
}

ExternalCluster::~ExternalCluster() {
  if (directory_.empty()) return;
  Script("stop-cluster.sh");
  const auto ours = [this](const std::string& executable) {
    return executable.starts_with(home_ + "/");
  };
  // Executors end with their TaskManager, but not in the same instant.
  const bool all_gone =
      WaitFor([&] { return ProcessesWithExecutable(ours).empty(); }, std::chrono::seconds(10));
  if (!all_gone) {
    for (const pid_t process : ProcessesWithExecutable(ours)) {
      ADD_FAILURE() << "the stopped cluster left process " << process
                    << " behind: " << ExecutableOf(std::to_string(process));
      kill(process, SIGKILL);
    }
  }
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(directory_ + "/tmp", error)) {
    ADD_FAILURE() << "the stopped cluster left " << entry.path() << " behind";
  }
  if (::testing::Test::HasFailure()) {
    fprintf(stderr, "%s", Logs().c_str());
    if (getenv("FLINK_TEST_KEEP") != nullptr) return;
  }
  fs::remove_all(directory_, error);
}

CommandResult ExternalCluster::Flink(const std::vector<std::string>& arguments,
                                     milliseconds timeout) const {
  std::vector<std::string> words = {home_ + "/bin/flink"};
  words.insert(words.end(), arguments.begin(), arguments.end());
  return RunCommand(words, timeout, directory_);
}

CommandResult ExternalCluster::Script(const std::string& name,
                                      const std::vector<std::string>& arguments) const {
  std::vector<std::string> words = {home_ + "/bin/" + name};
  words.insert(words.end(), arguments.begin(), arguments.end());
  return RunCommand(words, std::chrono::minutes(2), directory_, environment_);
}

StatusOr<std::string> ExternalCluster::RunDetached(
    const std::vector<std::string>& arguments) const {
  std::vector<std::string> words = {"run", "-d"};
  words.insert(words.end(), arguments.begin(), arguments.end());
  const CommandResult result = Flink(words);
  const std::string mark = "Job has been submitted with JobID ";
  const size_t found = result.out.find(mark);
  if (result.exit_code != 0 || found == std::string::npos) {
    return Internal("flink run ended with {}: {}{}", result.exit_code, result.out, result.err);
  }
  return result.out.substr(found + mark.size(), 32);
}

std::string ExternalCluster::JobState(const std::string& job_id) const {
  const auto answer = Get("/jobs/" + job_id + "/status");
  return answer.ok() ? answer->value("status", "") : std::string();
}

bool ExternalCluster::WaitForJobState(const std::string& job_id, const std::string& state,
                                      milliseconds timeout) const {
  return WaitFor([&] { return JobState(job_id) == state; }, timeout);
}

StatusOr<nlohmann::json> ExternalCluster::Get(const std::string& path) const {
  httplib::Client client("localhost", rest_port_);
  client.set_read_timeout(std::chrono::seconds(30));
  const auto result = client.Get(path);
  if (!result) return Unavailable("GET {}: {}", path, httplib::to_string(result.error()));
  nlohmann::json body = nlohmann::json::parse(result->body, nullptr, /*allow_exceptions=*/false);
  if (result->status != 200 || body.is_discarded()) {
    return Internal("GET {}: {} {}", path, result->status, result->body);
  }
  return body;
}

std::vector<pid_t> ExternalCluster::Processes(const std::string& program) const {
  const std::string path = home_ + "/bin/" + program;
  const std::vector<pid_t> all =
      ProcessesWithExecutable([&](const std::string& executable) { return executable == path; });
  // The child of a process that is starting another program is still the same program for a moment.
  std::vector<pid_t> processes;
  std::copy_if(all.begin(), all.end(), std::back_inserter(processes), [&](pid_t process) {
    return std::find(all.begin(), all.end(), ParentOf(process)) == all.end();
  });
  return processes;
}

std::vector<pid_t> ExternalCluster::ExecutorsOf(pid_t task_manager) const {
  std::vector<pid_t> executors = Processes("task-executor");
  executors.erase(std::remove_if(executors.begin(), executors.end(),
                                 [&](pid_t process) { return ParentOf(process) != task_manager; }),
                  executors.end());
  return executors;
}

void ExternalCluster::Kill(pid_t process) {
  kill(process, SIGKILL);
  const std::string pid = std::to_string(process);
  WaitFor([&] { return ExecutableOf(pid).empty(); });
}

uint64_t ExternalCluster::PeakResidentBytes(pid_t process) {
  std::ifstream file("/proc/" + std::to_string(process) + "/status");
  for (std::string line; std::getline(file, line);) {
    if (line.starts_with("VmHWM:")) return std::stoull(line.substr(6)) * 1024;
  }
  return 0;
}

std::string ExternalCluster::Logs() const {
  constexpr size_t kTail = 4000;
  std::string text;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(home_ + "/log", error)) {
    std::ifstream file(entry.path());
    std::ostringstream content;
    content << file.rdbuf();
    const std::string whole = content.str();
    if (whole.empty()) continue;
    text += "--- end of " + entry.path().filename().string() + "\n" +
            whole.substr(whole.size() > kTail ? whole.size() - kTail : 0) + "\n";
  }
  return text;
}

}  // namespace flink::testing
