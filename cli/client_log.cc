#include "cli/client_log.h"

#include <pwd.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/null_sink.h>
#include <spdlog/spdlog.h>
#include <unistd.h>

#include <array>
#include <cstdlib>
#include <memory>
#include <utility>

namespace flink::cli {
namespace {

/// As the scripts name the logs of the daemons: $USER, else what `id -un` says.
std::string UserName() {
  const char* user = std::getenv("USER");
  if (user != nullptr && *user != '\0') return user;
  const passwd* entry = getpwuid(geteuid());
  return entry != nullptr ? std::string(entry->pw_name) : std::to_string(geteuid());
}

std::string LogFile(const std::string& distribution) {
  const char* directory = std::getenv("FLINK_LOG_DIR");
  std::array<char, 256> host{};
  if (gethostname(host.data(), host.size() - 1) != 0) host[0] = '\0';
  return (directory != nullptr ? std::string(directory) : distribution + "/log") + "/flink-" +
         UserName() + "-client-" + host.data() + ".log";
}

}  // namespace

void InitClientLog(const std::string& distribution) {
  spdlog::sink_ptr sink;
  try {
    sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(LogFile(distribution));
  } catch (const spdlog::spdlog_ex&) {
    sink = std::make_shared<spdlog::sinks::null_sink_mt>();
  }
  auto logger = std::make_shared<spdlog::logger>("flink", std::move(sink));
  logger->set_pattern("%Y-%m-%d %H:%M:%S,%e %-5l %n [%t] - %v");
  logger->flush_on(spdlog::level::info);
  spdlog::set_default_logger(std::move(logger));
}

}  // namespace flink::cli
