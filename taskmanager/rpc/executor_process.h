#pragma once

/// ExecutorProcess: one child process of the TaskManager and the socket to it, from exec to
/// reaping.

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "common/base/status.h"

namespace flink::taskmanager {

/// How a child ended.
struct ExecutorExit {
  int exit_code = 0;    // when it exited
  int signal = 0;       // not 0: it was killed by this signal
  std::string problem;  // not empty: we killed it, because of this
  /// "was killed by signal 11 (segmentation fault)", "ended with exit code 3".
  std::string Sentence() const;
};

/// One thread per child starts it, moves messages both ways and reaps it; only that thread touches
/// pid and socket. It is also what the child's PDEATHSIG watches, so it lives as long as the child.
/// Messages are frames of a 4-byte little-endian length and the bytes, on the child's descriptor 3.
/// The child leads a session of its own; all of its process group dies with it.
class ExecutorProcess {
 public:
  /// Dropped by the receiver of a message when it needs no more memory for it.
  using Token = std::shared_ptr<void>;

  struct Options {
    std::string binary;                    // absolute path
    std::vector<std::string> environment;  // "NAME=value", over that of this process
    uint64_t max_message_bytes = 512ull << 20;
    /// While the receiver holds tokens for more than this, the child's messages stay in its socket.
    uint64_t max_unhandled_bytes = 32ull << 20;
    /// A child that leaves more than this unread is killed.
    uint64_t max_queued_bytes = 1024ull << 20;
  };
  /// Called on the child's thread; must not block long.
  struct Callbacks {
    std::function<void(std::string message, Token token)> on_message;
    /// Once, after the last on_message; the child has been reaped.
    std::function<void(const ExecutorExit&)> on_exit;
  };

  /// Returns when the binary runs, or why it does not (then no callback is ever called).
  static StatusOr<std::unique_ptr<ExecutorProcess>> Start(Options options, Callbacks callbacks);
  /// Kills the child and waits for its end; on_exit is called if it was not yet. Not from a
  /// callback.
  ~ExecutorProcess();
  ExecutorProcess(const ExecutorProcess&) = delete;
  ExecutorProcess& operator=(const ExecutorProcess&) = delete;

  /// Queues a message; thread-safe, never blocks, dropped when the child has gone.
  void Send(std::string message);
  /// SIGKILL to the child's process group, soon. Thread-safe, repeatable.
  void Kill();
  int pid() const { return pid_; }

 private:
  class Budget;
  ExecutorProcess(Options options, Callbacks callbacks);

  Status OpenDescriptors();
  Status Spawn();
  void Run();
  /// One round of poll and what it brought; false when the child can be reaped.
  bool Step();
  void ReadMessages(bool to_the_end);
  /// Hands on every whole frame of input_; false when a frame is too large.
  bool DeliverFrames();
  void WriteMessages();
  void CloseSocket();
  void KillGroup();
  /// Kills the child and remembers why, unless there is an earlier reason.
  void KillBecause(const std::string& problem);
  ExecutorExit Reap();

  const Options options_;
  const Callbacks callbacks_;
  int pid_ = -1;
  int pid_fd_ = -1;
  int socket_ = -1;
  int child_socket_ = -1;
  std::shared_ptr<Budget> budget_;

  // The child's thread only.
  std::string input_;
  std::string output_;
  size_t output_written_ = 0;
  std::string problem_;
  int64_t kill_at_ms_ = 0;  // steady; 0: never

  std::mutex mutex_;
  std::deque<std::string> queue_;
  uint64_t queued_bytes_ = 0;
  bool kill_requested_ = false;
  bool overflow_ = false;
  bool gone_ = false;

  std::thread thread_;
};

}  // namespace flink::taskmanager
