#include "taskmanager/rpc/executor_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cctype>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <future>
#include <utility>

#include "common/base/check.h"
#include "common/concurrency/mailbox.h"

extern char** environ;

namespace flink::taskmanager {
namespace {

constexpr int kChildDescriptor = 3;
constexpr size_t kReadBytes = 256 << 10;
constexpr size_t kLengthBytes = 4;
/// A child that has closed its descriptor has ended or is out of order.
constexpr int64_t kEndAfterHangupMs = 10'000;

int64_t SteadyMs() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

std::string Lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

/// This process's environment with `changes` over it.
std::vector<std::string> Environment(const std::vector<std::string>& changes) {
  std::vector<std::string> out = changes;
  for (char** variable = environ; *variable != nullptr; ++variable) {
    const std::string text = *variable;
    const std::string name = text.substr(0, text.find('=') + 1);
    const bool changed = std::any_of(changes.begin(), changes.end(), [&](const std::string& c) {
      return c.compare(0, name.size(), name) == 0;
    });
    if (!changed) out.push_back(text);
  }
  return out;
}

}  // namespace

std::string ExecutorExit::Sentence() const {
  if (!problem.empty()) return "was killed: " + problem;
  if (signal == 0) return fmt::format("ended with exit code {}", exit_code);
  const char* description = sigdescr_np(signal);
  std::string out = fmt::format("was killed by signal {} ({})", signal,
                                description == nullptr ? "unknown" : Lower(description));
  if (signal == SIGKILL) out += "; if nobody did that, the machine ran out of memory";
  return out;
}

/// Counts what the receiver holds. Outlives the process object, as tokens may.
class ExecutorProcess::Budget : public std::enable_shared_from_this<Budget> {
 public:
  explicit Budget(uint64_t limit) : limit_(limit) {
    event_ = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  }
  ~Budget() {
    if (event_ >= 0) close(event_);
  }
  Token Take(uint64_t bytes) {
    held_.fetch_add(bytes);
    return Token(nullptr, [self = shared_from_this(), bytes](void*) { self->Return(bytes); });
  }
  bool exhausted() const { return held_.load() > limit_; }
  /// Readable after Wake.
  int event() const { return event_; }
  void Wake() {
    const uint64_t one = 1;
    if (write(event_, &one, sizeof one) < 0) return;  // full: awake anyway
  }
  void ClearWake() {
    uint64_t count;
    if (read(event_, &count, sizeof count) < 0) return;
  }

 private:
  void Return(uint64_t bytes) {
    const uint64_t before = held_.fetch_sub(bytes);
    if (before > limit_ && before - bytes <= limit_) Wake();
  }
  const uint64_t limit_;
  std::atomic<uint64_t> held_{0};
  int event_ = -1;
};

ExecutorProcess::ExecutorProcess(Options options, Callbacks callbacks)
    : options_(std::move(options)), callbacks_(std::move(callbacks)) {}

StatusOr<std::unique_ptr<ExecutorProcess>> ExecutorProcess::Start(Options options,
                                                                  Callbacks callbacks) {
  std::unique_ptr<ExecutorProcess> process(
      new ExecutorProcess(std::move(options), std::move(callbacks)));
  RETURN_IF_ERROR(process->OpenDescriptors());
  std::promise<Status> started;
  std::future<Status> outcome = started.get_future();
  process->thread_ = std::thread([p = process.get(), &started] {
    SetCurrentThreadName("executor-watch");
    const Status status = p->Spawn();
    started.set_value(status);
    if (status.ok()) p->Run();
  });
  RETURN_IF_ERROR(outcome.get());
  return process;
}

ExecutorProcess::~ExecutorProcess() {
  if (thread_.joinable()) {
    Kill();
    thread_.join();
  }
  for (const int fd : {pid_fd_, socket_, child_socket_}) {
    if (fd >= 0) close(fd);
  }
}

Status ExecutorProcess::OpenDescriptors() {
  int pair[2];
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) != 0) {
    return Internal("cannot create a socket for a task executor: {}", strerror(errno));
  }
  socket_ = pair[0];
  child_socket_ = pair[1];
  // Only our end: the flag belongs to the end's open file.
  fcntl(socket_, F_SETFL, fcntl(socket_, F_GETFL) | O_NONBLOCK);
  budget_ = std::make_shared<Budget>(options_.max_unhandled_bytes);
  if (budget_->event() < 0)
    return Internal("cannot create an event descriptor: {}", strerror(errno));
  return OkStatus();
}

Status ExecutorProcess::Spawn() {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, child_socket_, kChildDescriptor);
  posix_spawn_file_actions_addclosefrom_np(&actions, kChildDescriptor + 1);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  sigset_t none;
  sigemptyset(&none);
  sigset_t defaults;
  sigemptyset(&defaults);
  for (const int s : {SIGPIPE, SIGTERM, SIGINT, SIGHUP, SIGCHLD}) sigaddset(&defaults, s);
  posix_spawnattr_setsigmask(&attributes, &none);
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  posix_spawnattr_setflags(&attributes,
                           POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
  std::vector<std::string> environment = Environment(options_.environment);
  std::vector<char*> variables;
  variables.reserve(environment.size() + 1);
  for (std::string& variable : environment) variables.push_back(variable.data());
  variables.push_back(nullptr);
  std::string binary = options_.binary;
  char* arguments[] = {binary.data(), nullptr};
  const int error =
      posix_spawn(&pid_, binary.c_str(), &actions, &attributes, arguments, variables.data());
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  if (error != 0) return Internal("cannot start {}: {}", options_.binary, strerror(error));
  close(child_socket_);
  child_socket_ = -1;
  // The child is not reaped by anybody else, so the pid is still its own.
  pid_fd_ = static_cast<int>(syscall(SYS_pidfd_open, pid_, 0));
  if (pid_fd_ >= 0) return OkStatus();
  Status status = Internal("cannot watch process {}: {}", pid_, strerror(errno));
  KillGroup();
  waitpid(pid_, nullptr, 0);
  return status;
}

void ExecutorProcess::Send(std::string message) {
  {
    std::lock_guard lock(mutex_);
    if (gone_) return;
    queued_bytes_ += message.size();
    if (queued_bytes_ > options_.max_queued_bytes) {
      overflow_ = true;
    } else {
      queue_.push_back(std::move(message));
    }
  }
  budget_->Wake();
}

void ExecutorProcess::Kill() {
  {
    std::lock_guard lock(mutex_);
    kill_requested_ = true;
  }
  budget_->Wake();
}

void ExecutorProcess::Run() {
  while (Step()) {
  }
  ReadMessages(true);
  const ExecutorExit exit = Reap();
  CloseSocket();
  {
    std::lock_guard lock(mutex_);
    gone_ = true;
    queue_.clear();
  }
  callbacks_.on_exit(exit);
}

bool ExecutorProcess::Step() {
  bool kill_now;
  bool overflow;
  bool output_waits;
  {
    std::lock_guard lock(mutex_);
    kill_now = std::exchange(kill_requested_, false);
    overflow = overflow_;
    output_waits = !queue_.empty() || output_written_ < output_.size();
  }
  if (kill_now) KillGroup();
  if (overflow) KillBecause("it does not read the commands sent to it");
  int timeout = -1;
  if (kill_at_ms_ != 0) {
    timeout = static_cast<int>(std::max<int64_t>(0, kill_at_ms_ - SteadyMs()));
    if (timeout == 0) {
      kill_at_ms_ = 0;
      KillBecause("it closed its connection to the TaskManager and did not end");
      timeout = -1;
    }
  }
  short wanted = 0;
  if (!budget_->exhausted()) wanted |= POLLIN;
  if (output_waits) wanted |= POLLOUT;
  pollfd fds[] = {
      {pid_fd_, POLLIN, 0}, {budget_->event(), POLLIN, 0}, {wanted == 0 ? -1 : socket_, wanted, 0}};
  if (poll(fds, 3, timeout) < 0) return true;  // EINTR
  if (fds[1].revents != 0) budget_->ClearWake();
  if ((fds[2].revents & POLLOUT) != 0) WriteMessages();
  // A hang-up is noticed by reading, after what was sent before it.
  if ((fds[2].revents & (POLLIN | POLLHUP | POLLERR)) != 0) ReadMessages(false);
  return fds[0].revents == 0;
}

void ExecutorProcess::ReadMessages(bool to_the_end) {
  while (socket_ >= 0 && (to_the_end || !budget_->exhausted())) {
    const size_t before = input_.size();
    input_.resize(before + kReadBytes);
    const ssize_t count = recv(socket_, input_.data() + before, kReadBytes, 0);
    const int error = errno;
    input_.resize(before + static_cast<size_t>(std::max<ssize_t>(count, 0)));
    if (count < 0 && error == EINTR) continue;
    if (count < 0 && (error == EAGAIN || error == EWOULDBLOCK)) return;
    if (count <= 0) {
      CloseSocket();
      kill_at_ms_ = SteadyMs() + kEndAfterHangupMs;
      return;
    }
    if (!DeliverFrames()) {
      KillBecause("it sent something that is not a message");
      CloseSocket();
      return;
    }
  }
}

bool ExecutorProcess::DeliverFrames() {
  size_t at = 0;
  while (input_.size() - at >= kLengthBytes) {
    uint64_t length = 0;
    for (size_t i = 0; i < kLengthBytes; ++i) {
      length |= static_cast<uint64_t>(static_cast<unsigned char>(input_[at + i])) << (8 * i);
    }
    if (length > options_.max_message_bytes) return false;
    if (input_.size() - at - kLengthBytes < length) break;
    callbacks_.on_message(input_.substr(at + kLengthBytes, length), budget_->Take(length));
    at += kLengthBytes + length;
  }
  input_.erase(0, at);
  return true;
}

void ExecutorProcess::WriteMessages() {
  while (socket_ >= 0) {
    if (output_written_ == output_.size()) {
      output_.clear();
      output_written_ = 0;
      std::lock_guard lock(mutex_);
      if (queue_.empty()) return;
      const std::string& message = queue_.front();
      for (size_t i = 0; i < kLengthBytes; ++i) {
        output_.push_back(static_cast<char>(message.size() >> (8 * i)));
      }
      output_ += message;
      queued_bytes_ -= message.size();
      queue_.pop_front();
    }
    const ssize_t count = send(socket_, output_.data() + output_written_,
                               output_.size() - output_written_, MSG_NOSIGNAL);
    if (count < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN || errno == EWOULDBLOCK) return;
      // The reading end is closed; the read that follows sees the end.
      std::lock_guard lock(mutex_);
      gone_ = true;
      queue_.clear();
      output_.clear();
      output_written_ = 0;
      return;
    }
    output_written_ += static_cast<size_t>(count);
  }
}

void ExecutorProcess::CloseSocket() {
  if (socket_ < 0) return;
  close(socket_);
  socket_ = -1;
  output_.clear();
  output_written_ = 0;
  std::lock_guard lock(mutex_);
  gone_ = true;
  queue_.clear();
}

void ExecutorProcess::KillGroup() {
  FLINK_CHECK(pid_ > 1, "no child to kill: {}", pid_);
  kill(-pid_, SIGKILL);
}

void ExecutorProcess::KillBecause(const std::string& problem) {
  if (problem_.empty()) problem_ = problem;
  KillGroup();
}

ExecutorExit ExecutorProcess::Reap() {
  // What the child started dies with it. As long as it is not reaped, its group's number cannot be
  // anybody else's.
  KillGroup();
  siginfo_t info{};
  int result;
  do {
    result = waitid(P_PIDFD, static_cast<id_t>(pid_fd_), &info, WEXITED);
  } while (result != 0 && errno == EINTR);
  ExecutorExit exit;
  if (result != 0) {
    exit.problem = fmt::format("its end could not be observed ({})", strerror(errno));
  } else if (info.si_code == CLD_EXITED) {
    exit.exit_code = info.si_status;
  } else {
    exit.signal = info.si_status;
  }
  if (exit.signal == SIGKILL && !problem_.empty()) exit.problem = problem_;
  return exit;
}

}  // namespace flink::taskmanager
