#pragma once

/// The states of operators as snapshots and job graphs describe them. Pure functions.

#include <string>
#include <vector>

#include "api/flink/keyed_state_store.h"
#include "common/snapshot/keyed_state_header.h"

namespace flink::graph {

/// What a snapshot says about this state.
snapshot::StateMetaInfo InfoOf(const StateDescription& description);

/// For OperatorDescription::declared_states. Empty when there are none, or when a type of them
/// describes itself in a way that no snapshot could hold (the task refuses it).
std::string EncodeStates(const std::vector<StateDescription>& states);

}  // namespace flink::graph
