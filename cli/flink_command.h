#pragma once

/// The whole client behind main().

#include <iosfwd>
#include <string>
#include <vector>

namespace flink::cli {

/// `arguments` without the program's name; `conf_dir` is used unless $FLINK_CONF_DIR is set.
/// `on_terminal`: a person watches both streams, so that long waits may show how far they are.
/// Returns the exit code: 0, 1 when the command failed, 31 when it could not begin; a verb that
/// answers a question may have others, which its help names.
int FlinkMain(const std::vector<std::string>& arguments, const std::string& conf_dir,
              std::ostream& out, std::ostream& err, bool on_terminal = false);

}  // namespace flink::cli
