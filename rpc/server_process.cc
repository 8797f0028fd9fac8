#include "rpc/server_process.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <climits>
#include <cstdlib>
#include <cstring>

#include "common/io/file_system.h"

namespace flink {
namespace {

std::atomic<int> ready_descriptor{-1};

sigset_t TerminationSignals() {
  sigset_t set;
  sigemptyset(&set);
  sigaddset(&set, SIGTERM);
  sigaddset(&set, SIGINT);
  return set;
}

}  // namespace

StatusOr<std::string> OwnBinaryDirectory() {
  char path[PATH_MAX];
  const ssize_t length = readlink("/proc/self/exe", path, sizeof path);
  if (length <= 0 || length >= static_cast<ssize_t>(sizeof path)) {
    return Internal("cannot read /proc/self/exe: {}", strerror(errno));
  }
  return io::DirectoryName(std::string(path, static_cast<size_t>(length)));
}

StatusOr<Configuration> LoadServerConfiguration(const std::vector<std::string>& arguments) {
  Configuration dynamic;
  ASSIGN_OR_RETURN(const std::vector<std::string> rest, dynamic.ApplyArguments(arguments));
  std::string directory;
  for (size_t i = 0; i < rest.size(); ++i) {
    const std::string& argument = rest[i];
    if (argument == "--configDir" || argument == "-c") {
      if (++i == rest.size()) return InvalidArgument("{} needs a directory", argument);
      directory = rest[i];
    } else if (argument.rfind("--configDir=", 0) == 0) {
      directory = argument.substr(strlen("--configDir="));
    } else {
      return InvalidArgument(
          "unknown argument \"{}\"; accepted are --configDir <directory> and -Dkey=value",
          argument);
    }
  }
  if (directory.empty()) {
    ASSIGN_OR_RETURN(const std::string binaries, OwnBinaryDirectory());
    directory = Configuration::ConfDir(io::JoinPath(io::DirectoryName(binaries), "conf"));
  }
  ASSIGN_OR_RETURN(Configuration configuration, Configuration::LoadFromDirectory(directory));
  configuration.Merge(dynamic);
  return configuration;
}

void TakeReadyDescriptor() {
  const char* text = getenv(kReadyDescriptorVariable);
  if (text == nullptr || *text == '\0') return;
  char* end = nullptr;
  const long fd = strtol(text, &end, 10);
  const bool number = *end == '\0' && fd >= 0 && fd <= INT_MAX;
  if (number && fcntl(static_cast<int>(fd), F_SETFD, FD_CLOEXEC) == 0) {
    ready_descriptor.store(static_cast<int>(fd));
  }
  unsetenv(kReadyDescriptorVariable);
}

void SignalReady() {
  const int fd = ready_descriptor.exchange(-1);
  if (fd < 0) return;
  static constexpr char kLine[] = "ready\n";
  while (write(fd, kLine, sizeof kLine - 1) < 0 && errno == EINTR) {
  }
  close(fd);
}

void BlockTerminationSignals() {
  const sigset_t set = TerminationSignals();
  pthread_sigmask(SIG_BLOCK, &set, nullptr);
  signal(SIGPIPE, SIG_IGN);
}

int WaitForTermination() {
  const sigset_t set = TerminationSignals();
  int number = 0;
  while (sigwait(&set, &number) != 0) {
  }
  return number;
}

void RequestTermination() { kill(getpid(), SIGTERM); }

}  // namespace flink
