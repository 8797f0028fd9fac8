#pragma once

/// The stream of one subtask's operator state: list states (split or union) and broadcast states.

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"
#include "common/snapshot/keyed_state_header.h"
#include "common/snapshot/state_handle.h"

namespace flink::snapshot {

/// The union state in which the head of a chain keeps that the input of the chain has ended. It is
/// of no operator's own: a snapshot in which an operator has nothing else holds no state of it.
inline constexpr std::string_view kEndOfInputState = "_end_of_input";

/// One operator state with its elements as encoded bytes. A broadcast state has one element: count
/// and entries.
struct OperatorState {
  std::string name;
  DistributionMode mode = DistributionMode::kSplitDistribute;
  /// Versioned serializer snapshot of the element; for a broadcast state of the value.
  std::string serializer;
  /// Broadcast only.
  std::string key_serializer;
  std::vector<std::string> elements;
  bool operator==(const OperatorState&) const = default;
};

struct OperatorStateStream {
  std::string bytes;
  /// What goes into the handle, in the order of the stream.
  std::vector<OperatorStateOffsets> states;

  /// A handle with these offsets for the stream.
  OperatorStateHandle MakeHandle(StreamStateHandle stream) const;
};

/// List states first, then broadcast states, each in the given order.
StatusOr<OperatorStateStream> WriteOperatorStateStream(std::span<const OperatorState> states);

/// What stands in front of the elements.
struct OperatorStateHead {
  /// The elements are snappy-framed.
  bool compressed = false;
  std::vector<StateMetaInfo> infos;
  /// Where the elements begin.
  size_t data_offset = 0;

  /// Null when there is none.
  const StateMetaInfo* Find(std::string_view name) const;
};
StatusOr<OperatorStateHead> ReadOperatorStateHead(std::string_view bytes);

/// The states the handle names, with the elements at its offsets. An element reaches to the next
/// offset that is known, or the end of the stream: exact for a whole handle; the last element of a
/// redistributed one (see redistribute.h) may carry bytes of its successors, which its decoder does
/// not read. Compressed streams are uncompressed.
StatusOr<std::vector<OperatorState>> ReadOperatorStateStream(std::string_view bytes,
                                                             const OperatorStateHandle& handle);

}  // namespace flink::snapshot
