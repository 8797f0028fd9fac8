#include "cli/native_state_count.h"

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "common/io/file_system.h"

namespace flink::cli {
namespace {

using snapshot::InspectedOperator;
using snapshot::InspectedState;
using Json = nlohmann::json;

/// What the program writes to stdout until it ends with exit code 0.
StatusOr<std::string> OutputOf(const std::string& program, std::vector<std::string> arguments) {
  int ends[2];
  if (::pipe(ends) != 0) return Unavailable("cannot make a pipe: {}", std::strerror(errno));
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
  posix_spawn_file_actions_addclose(&actions, ends[0]);
  posix_spawn_file_actions_addclose(&actions, ends[1]);
  arguments.insert(arguments.begin(), program);
  std::vector<char*> words;
  words.reserve(arguments.size() + 1);
  for (std::string& argument : arguments) words.push_back(argument.data());
  words.push_back(nullptr);
  pid_t child = 0;
  const int error = posix_spawn(&child, program.c_str(), &actions, nullptr, words.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  ::close(ends[1]);
  std::string output;
  char buffer[4096];
  ssize_t n = 0;
  while (error == 0 && ((n = ::read(ends[0], buffer, sizeof buffer)) > 0 || errno == EINTR)) {
    if (n > 0) output.append(buffer, static_cast<size_t>(n));
    if (n == 0) break;
  }
  ::close(ends[0]);
  if (error != 0) return Unavailable("cannot run {}: {}", program, std::strerror(error));
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (status != 0) return Internal("{} failed", program);
  return output;
}

void Fill(const Json& counted, InspectedOperator* op) {
  const std::string error = counted.value("error", "");
  if (!error.empty()) {
    op->notes.push_back("its rows cannot be counted: " + error);
    return;
  }
  const Json states = counted.value("states", Json::object());
  for (InspectedState& state : op->states) {
    if (state.entries.has_value()) continue;
    // A state that no subtask has written to has no column family everywhere.
    const Json count = states.value(state.name, Json::array({0, 0}));
    state.entries = count.at(0).get<int64_t>();
    state.bytes = count.at(1).get<int64_t>();
  }
}

}  // namespace

void CountNativeState(snapshot::Inspection* inspection) {
  const auto is_native = [](const InspectedOperator& op) {
    return op.keyed_format == "RocksDB files";
  };
  std::vector<InspectedOperator>& operators = inspection->operators;
  if (std::none_of(operators.begin(), operators.end(), is_native)) return;
  std::error_code error;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  const std::string program = io::JoinPath(io::DirectoryName(self.string()), "task-executor");
  if (error || !io::Exists(program)) return;
  const StatusOr<std::string> output =
      OutputOf(program, {"--count-rows", inspection->summary.directory});
  const Json counts = output.ok() ? Json::parse(*output, nullptr, false) : Json();
  for (InspectedOperator& op : operators) {
    if (!is_native(op)) continue;
    if (!counts.is_object()) {
      op.notes.push_back("its rows cannot be counted: " +
                         (output.ok() ? "no answer" : Message(output.status())));
      continue;
    }
    const auto counted = counts.find(op.id.ToHex());
    if (counted != counts.end()) Fill(*counted, &op);
  }
}

}  // namespace flink::cli
