#pragma once

/// Turns the exceptions that a JobManager reports into one readable line. Pure functions.

#include <string>
#include <string_view>

#include "common/base/status.h"

namespace flink::cli {

/// The messages of an exception and its causes in order, without class names, stack lines and
/// repetitions: "An Exception occurred while triggering the checkpoint: Failed to create …".
std::string CauseText(std::string_view stack_trace);

/// A sentence that says what to do about this error, or nothing.
std::string_view Advice(std::string_view error);

/// Long text about an error (the server's causes), printed with --verbose when it has a stack.
Status WithDetails(Status status, std::string_view details);
std::string Details(const Status& status);

/// Puts "context: " before the message and keeps code and details.
Status WithContext(const Status& status, std::string_view context);

}  // namespace flink::cli
