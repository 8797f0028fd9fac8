#include "cli/pause.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace flink::cli {
namespace {

// A signal handler can reach nothing but globals; the guard that owns them exists once.
int g_pipe[2] = {-1, -1};
volatile sig_atomic_t g_interrupted = 0;
struct sigaction g_previous_int;
struct sigaction g_previous_term;

void OnSignal(int number) {
  const int saved_errno = errno;
  if (g_interrupted != 0) {
    // Asked twice: whatever it hangs in is not waited for.
    signal(number, SIG_DFL);
    raise(number);
  }
  g_interrupted = 1;
  const char byte = 0;
  const ssize_t written = write(g_pipe[1], &byte, 1);
  static_cast<void>(written);  // The flag stands even if the pipe is full.
  errno = saved_errno;
}

/// Unless it is ignored: so it is by whoever started this in the background.
void Install(int number, struct sigaction* previous) {
  sigaction(number, nullptr, previous);
  if (previous->sa_handler == SIG_IGN) return;
  struct sigaction action {};
  action.sa_handler = OnSignal;
  sigaction(number, &action, nullptr);
}

}  // namespace

InterruptGuard::InterruptGuard() {
  g_interrupted = 0;
  if (pipe2(g_pipe, O_CLOEXEC | O_NONBLOCK) != 0) g_pipe[0] = g_pipe[1] = -1;
  Install(SIGINT, &g_previous_int);
  Install(SIGTERM, &g_previous_term);
}

InterruptGuard::~InterruptGuard() {
  sigaction(SIGINT, &g_previous_int, nullptr);
  sigaction(SIGTERM, &g_previous_term, nullptr);
  for (int& fd : g_pipe) {
    if (fd >= 0) close(fd);
    fd = -1;
  }
}

bool InterruptGuard::interrupted() const { return g_interrupted != 0; }

void Pause(std::chrono::milliseconds duration) {
  pollfd signalled{g_pipe[0], POLLIN, 0};
  poll(&signalled, 1, static_cast<int>(duration.count()));
}

void Backoff::Wait() {
  Pause(std::chrono::duration_cast<std::chrono::milliseconds>(next_));
  next_ = std::min<std::chrono::microseconds>(next_ * 5 / 4, longest_);
}

}  // namespace flink::cli
