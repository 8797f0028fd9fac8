#include "common/base/failpoint.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace flink::internal {
namespace {

/// Empty: off.
const std::string& Directory() {
  static const std::string* const directory = [] {
    const char* value = std::getenv("FLINK_FAILPOINTS");
    if (value == nullptr || *value == '\0') return new std::string;
    return new std::string(std::string(value) + "/" + program_invocation_short_name + "/");
  }();
  return *directory;
}

struct Armed {
  std::string action;
  int hit = 1;
  std::vector<std::string> texts;
};

bool ReadArmed(const std::string& path, Armed* armed) {
  std::ifstream file(path);
  if (!(file >> armed->action)) return false;
  file >> armed->hit;
  for (std::string text; file >> text;) armed->texts.push_back(text);
  return true;
}

/// Appears with its content in it.
void WritePid(const std::string& path) {
  const std::string temporary = path + "." + std::to_string(::getpid());
  std::ofstream(temporary) << ::getpid() << '\n';
  ::rename(temporary.c_str(), path.c_str());
}

/// Counts the hits of an armed failpoint; another file of the same name counts from the start.
bool IsTheTurn(const std::string& path, int wanted) {
  static std::mutex* const mutex = new std::mutex;
  static auto* const hits = new std::map<std::string, int>;
  std::lock_guard lock(*mutex);
  if (++(*hits)[path] < wanted) return false;
  hits->erase(path);
  return true;
}

}  // namespace

const bool failpoints_on = !Directory().empty();

Status HitFailpoint(std::string_view name, std::string_view detail) {
  const std::string path = Directory() + std::string(name);
  Armed armed;
  if (!ReadArmed(path, &armed)) return OkStatus();
  for (const std::string& text : armed.texts) {
    if (detail.find(text) == std::string_view::npos) return OkStatus();
  }
  if (!IsTheTurn(path, armed.hit)) return OkStatus();
  // Whoever takes the file away is the one that acts.
  if (::unlink(path.c_str()) != 0) return OkStatus();
  const std::string hit = path + ".hit";
  WritePid(hit);
  if (armed.action == "kill") ::kill(::getpid(), SIGKILL);
  if (armed.action == "error") return Internal("failpoint {}", name);
  while (::access(hit.c_str(), F_OK) == 0) ::poll(nullptr, 0, 1);
  return OkStatus();
}

}  // namespace flink::internal
