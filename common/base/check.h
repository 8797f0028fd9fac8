#pragma once

/// FLINK_CHECK: a broken invariant of ours. Prints the condition, text and place, then aborts; on
/// in every build.

#include <fmt/core.h>

namespace flink {
[[noreturn]] void CheckFailed(const char* file, int line, const char* condition,
                              const std::string& text);
}  // namespace flink

#define FLINK_CHECK(cond, ...)                                                   \
  do {                                                                           \
    if (!(cond)) [[unlikely]]                                                    \
      ::flink::CheckFailed(__FILE__, __LINE__, #cond, fmt::format(__VA_ARGS__)); \
  } while (false)
