#pragma once

/// What the mains of JobManager and TaskManager have in common: arguments, configuration, the ready
/// signal, and the end by SIGTERM or SIGINT.

#include <functional>
#include <string>
#include <thread>
#include <vector>

#include "common/base/status.h"
#include "common/config/configuration.h"

namespace flink {

/// Names a descriptor (a decimal number) that gets the line "ready" once the process serves.
inline constexpr const char* kReadyDescriptorVariable = "FLINK_READY_FD";

/// "--configDir <dir>" (or -c; else $FLINK_CONF_DIR; else <distribution>/conf, next to the binary's
/// folder) with every -Dkey=value over it. Anything else on the command line is an error.
StatusOr<Configuration> LoadServerConfiguration(const std::vector<std::string>& arguments);

/// The directory of the running binary.
StatusOr<std::string> OwnBinaryDirectory();

/// Writes "ready\n" to the descriptor of kReadyDescriptorVariable, closes it, and forgets it; later
/// calls do nothing. TakeReadyDescriptor must have been called before any child process is started.
void SignalReady();
/// Reads kReadyDescriptorVariable and keeps the descriptor from child processes.
void TakeReadyDescriptor();

/// Blocks SIGTERM and SIGINT in the calling thread and all it starts, and ignores SIGPIPE. First
/// act of a main.
void BlockTerminationSignals();
/// Waits for SIGTERM or SIGINT, which BlockTerminationSignals blocked; returns the signal.
int WaitForTermination();
/// Ends WaitForTermination as a SIGTERM from outside would. Any thread.
void RequestTermination();

}  // namespace flink
