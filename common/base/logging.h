#pragma once

/// Process-wide logging. Lines go to stderr (the start scripts redirect it to log/) or to a file.
/// Never call it per record. Thread-safe.

#include <spdlog/spdlog.h>

#include <string_view>

namespace flink {

/// Sets pattern and level once, at the start of main. `process` names the process in every line.
void InitLogging(std::string_view process, std::string_view level = "info");

}  // namespace flink

#define LOG_INFO(...) ::spdlog::info(__VA_ARGS__)
#define LOG_WARN(...) ::spdlog::warn(__VA_ARGS__)
#define LOG_ERROR(...) ::spdlog::error(__VA_ARGS__)
#define LOG_DEBUG(...) ::spdlog::debug(__VA_ARGS__)
