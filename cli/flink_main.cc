#include <filesystem>
#include <iostream>
#include <string>
#include <vector>

#include "cli/flink_command.h"

int main(int argc, char** argv) {
  // The distribution is where this program lies, whatever the working directory and PATH are.
  std::error_code error;
  const auto program = std::filesystem::read_symlink("/proc/self/exe", error);
  const auto conf_dir = program.parent_path().parent_path() / "conf";
  return flink::cli::FlinkMain(std::vector<std::string>(argv + 1, argv + argc), conf_dir.string(),
                               std::cout, std::cerr);
}
