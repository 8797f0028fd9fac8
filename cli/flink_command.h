#pragma once

/// The whole client behind main().

#include <iosfwd>
#include <string>
#include <vector>

namespace flink::cli {

/// `arguments` without the program's name; `conf_dir` is used unless $FLINK_CONF_DIR is set.
/// Returns the exit code: 0, 1 when the command failed, 31 when it could not begin.
int FlinkMain(const std::vector<std::string>& arguments, const std::string& conf_dir,
              std::ostream& out, std::ostream& err);

}  // namespace flink::cli
