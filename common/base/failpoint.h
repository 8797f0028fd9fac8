#pragma once

/// Failpoint: a named place at which a test kills the process, makes an operation fail, or holds
/// it.
///
/// In every build, so that what is tested is what is shipped; off unless the environment variable
/// FLINK_FAILPOINTS, read at the start of the process, names a directory. Then a failpoint is armed
/// by a file <directory>/<program>/<name>, for example jobmanager/checkpoint.all-acked, that holds
///
///     kill|error|pause [n [text...]]
///
/// and acts on its n-th hit (default 1) whose detail contains every `text`. It takes the file away,
/// so that one process acts once, and leaves <name>.hit with its pid. After "pause" the thread goes
/// on when <name>.hit has been removed. Thread-safe.

#include <string_view>

#include "common/base/status.h"

namespace flink {

namespace internal {
/// Constant after static initialization.
extern const bool failpoints_on;
Status HitFailpoint(std::string_view name, std::string_view detail);
}  // namespace internal

/// True when failpoints can be armed in this process.
inline bool FailpointsOn() { return internal::failpoints_on; }

/// `detail` says what it is about, as a path. An error only by the action "error".
inline Status Failpoint(std::string_view name, std::string_view detail = {}) {
  if (!FailpointsOn()) [[likely]]
    return OkStatus();
  return internal::HitFailpoint(name, detail);
}

/// At a place that cannot fail: "error" has no effect.
inline void PassFailpoint(std::string_view name, std::string_view detail = {}) {
  IgnoreError(Failpoint(name, detail), "there is nobody to answer to");
}

}  // namespace flink
