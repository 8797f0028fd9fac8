// A task executor for tests: does what the job's first argument says, speaking the real protocol on
// descriptor 3.
#include <dirent.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

#include "flink/pb/cluster/v1/executor.pb.h"

namespace {

using flink::pb::cluster::v1::ExecutorCommand;
using flink::pb::cluster::v1::ExecutorMessage;
using flink::pb::cluster::v1::ExecutorSettings;

constexpr int kLine = 3;

bool ReadAll(char* to, size_t size) {
  while (size > 0) {
    const ssize_t count = read(kLine, to, size);
    if (count <= 0) return false;
    to += count;
    size -= static_cast<size_t>(count);
  }
  return true;
}

bool ReadFrame(std::string* out) {
  uint32_t size;
  if (!ReadAll(reinterpret_cast<char*>(&size), sizeof size)) return false;
  out->resize(size);
  return ReadAll(out->data(), size);
}

void WriteAll(const char* from, size_t size) {
  while (size > 0) {
    const ssize_t count = write(kLine, from, size);
    if (count <= 0) _exit(99);
    from += count;
    size -= static_cast<size_t>(count);
  }
}

void Say(const ExecutorSettings& settings, ExecutorMessage message) {
  message.set_job_id(settings.job_id());
  message.set_attempt(settings.attempt());
  const std::string bytes = message.SerializeAsString();
  const uint32_t size = static_cast<uint32_t>(bytes.size());
  WriteAll(reinterpret_cast<const char*>(&size), sizeof size);
  WriteAll(bytes.data(), bytes.size());
}

void SayReady(const ExecutorSettings& settings, const std::string& text) {
  ExecutorMessage message;
  message.mutable_ready()->set_data_address(text);
  Say(settings, std::move(message));
}

/// "fds=0,1,2,3 session=1 library=<content> tunables=..."
std::string Describe(const ExecutorSettings& settings) {
  std::string fds;
  DIR* directory = opendir("/proc/self/fd");
  while (const dirent* entry = readdir(directory)) {
    const int fd = atoi(entry->d_name);
    if (entry->d_name[0] == '.' || fd == dirfd(directory)) continue;
    fds += (fds.empty() ? "" : ",") + std::to_string(fd);
  }
  closedir(directory);
  std::ifstream library(settings.library_path());
  std::stringstream content;
  content << library.rdbuf();
  const char* tunables = getenv("GLIBC_TUNABLES");
  return "fds=" + fds + " session=" + (getsid(0) == getpid() ? "1" : "0") +
         " library=" + content.str() + " tunables=" + (tunables == nullptr ? "" : tunables);
}

}  // namespace

int main() {
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  std::string frame;
  ExecutorSettings settings;
  if (!ReadFrame(&frame) || !settings.ParseFromString(frame)) return 98;
  const std::string what = settings.arguments_size() > 0 ? settings.arguments(0) : "";
  const int number = settings.arguments_size() > 1 ? std::stoi(settings.arguments(1)) : 0;
  if (what == "exit") return number;
  if (what == "signal") {
    signal(number, SIG_DFL);
    raise(number);
  }
  if (what == "describe") SayReady(settings, Describe(settings));
  if (what == "garbage") WriteAll("\xff\xff\xff\xff", 4);
  if (what == "flood") {
    for (int i = 0; i < number; ++i)
      SayReady(settings, std::to_string(i) + std::string(1 << 20, 'x'));
  }
  if (what == "echo") SayReady(settings, settings.work_directory());
  if (what == "pid") SayReady(settings, std::to_string(getpid()));
  while (ReadFrame(&frame)) {
    ExecutorCommand command;
    if (!command.ParseFromString(frame)) return 97;
    if (command.has_cancel()) return 0;
    ExecutorMessage message;
    *message.mutable_coordinator_event() = command.coordinator_event();
    Say(settings, std::move(message));
  }
  return 0;
}
