#include "common/base/logging.h"

#include <spdlog/sinks/stdout_sinks.h>

#include <string>

namespace flink {

void InitLogging(std::string_view process, std::string_view level) {
  auto logger = std::make_shared<spdlog::logger>(std::string(process),
                                                 std::make_shared<spdlog::sinks::stderr_sink_mt>());
  logger->set_pattern("%Y-%m-%d %H:%M:%S,%e %-5l %n [%t] - %v");
  logger->set_level(spdlog::level::from_str(std::string(level)));
  logger->flush_on(spdlog::level::info);
  spdlog::set_default_logger(std::move(logger));
}

}  // namespace flink
