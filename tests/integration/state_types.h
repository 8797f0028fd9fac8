#pragma once

/// What the job StateTypesJob holds, computed from its description alone.

#include <nlohmann/json.hpp>
#include <set>
#include <string>

namespace flink::testing {

/// The content of a savepoint of `--case write --keys <keys>` after it has seen each key, in the
/// form of flink_savepoint_logic.py.
nlohmann::json ExpectedStates(int keys, int parallelism);
/// The distinct lines that `--case read` writes from that state.
std::set<std::string> ExpectedLines(int keys);

}  // namespace flink::testing
