#include "api/graph/state_info.h"

#include <string_view>

namespace flink::graph {
namespace {

std::string_view NameOf(StateKind kind) {
  switch (kind) {
    case StateKind::kValue:
      return "VALUE";
    case StateKind::kList:
      return "LIST";
    case StateKind::kMap:
      return "MAP";
    case StateKind::kReducing:
      return "REDUCING";
    case StateKind::kAggregating:
      return "AGGREGATING";
    case StateKind::kPriorityQueue:
      break;
  }
  return "";
}

}  // namespace

snapshot::StateMetaInfo InfoOf(const StateDescription& description) {
  if (description.kind == StateKind::kPriorityQueue) {
    return snapshot::StateMetaInfo::PriorityQueue(description.name, description.value_snapshot);
  }
  return snapshot::StateMetaInfo::KeyValue(description.name, NameOf(description.kind),
                                           description.namespace_snapshot,
                                           description.value_snapshot);
}

std::string EncodeStates(const std::vector<StateDescription>& states) {
  if (states.empty()) return "";
  snapshot::KeyedStateHeader header;
  header.key_serializer = states[0].key_snapshot;
  for (const StateDescription& state : states) header.states.push_back(InfoOf(state));
  StatusOr<std::string> encoded = snapshot::SerializeKeyedStateHeader(header);
  if (!encoded.ok()) return "";
  const StatusOr<snapshot::KeyedStateHeader> back = snapshot::ParseKeyedStateHeader(*encoded);
  return back.ok() && *back == header ? *std::move(encoded) : "";
}

}  // namespace flink::graph
