#pragma once

/// Where the client's log lines go: its stderr belongs to its user.

#include <string>

namespace flink::cli {

/// Lines are appended to flink-<user>-client-<host>.log in $FLINK_LOG_DIR, else in the
/// distribution's log/, as the start scripts name theirs; or go nowhere when that cannot be
/// written.
void InitClientLog(const std::string& distribution);

}  // namespace flink::cli
