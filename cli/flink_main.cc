#include <fcntl.h>
#include <unistd.h>

#include <filesystem>
#include <iostream>
#include <string>
#include <vector>

#include "cli/client_log.h"
#include "cli/flink_command.h"

namespace {

/// Else the next file that is opened gets the number of a stream that the caller has closed, and
/// what is printed goes there. Writing fails, as it did before.
void OccupyClosedStreams() {
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    // The lowest free number is this one.
    if (fcntl(stream, F_GETFD) < 0) static_cast<void>(open("/dev/null", O_RDONLY));
  }
}

}  // namespace

int main(int argc, char** argv) {
  OccupyClosedStreams();
  // The distribution is where this program lies, whatever the working directory and PATH are.
  std::error_code error;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", error);
  const auto distribution = program.parent_path().parent_path();
  flink::cli::InitClientLog(distribution.string());
  const bool on_terminal = isatty(STDOUT_FILENO) != 0 && isatty(STDERR_FILENO) != 0;
  return flink::cli::FlinkMain(std::vector<std::string>(argv + 1, argv + argc),
                               (distribution / "conf").string(), std::cout, std::cerr, on_terminal);
}
