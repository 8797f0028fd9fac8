#pragma once

/// The key groups that Flink's heap state backend writes in its own format: in native savepoints
/// and checkpoints, and before Flink 1.13 in all savepoints. They can be counted, not restored.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"
#include "common/snapshot/keyed_state_header.h"
#include "common/snapshot/state_handle.h"
#include "common/snapshot/stream_content.h"

namespace flink::snapshot {

/// Whether the key groups hold rows of the canonical format. A handle of a savepoint says so; in
/// others both formats stand, which are told apart by what the groups of `stream` begin with: a few
/// bytes of each are read.
StatusOr<bool> HoldsRows(const KeyGroupsHandle& handle, const KeyedStateHeader& header,
                         const StreamRanges& stream);

struct HeapStateCount {
  /// As rows of the canonical format: a map has one per key. Nothing where a state in front of it
  /// has values whose end is not known, or it is a map of such.
  std::optional<int64_t> entries = 0;
  /// Of namespaces, keys and values. Nothing for such a state, too.
  std::optional<int64_t> bytes = 0;
};
struct HeapStateCounts {
  /// As KeyedStateHeader::states.
  std::vector<HeapStateCount> states;
  /// Why there is not everything; empty when there is.
  std::string reason;
};
/// `stream`: the whole one. kDataLoss names the key group; every byte of a group has to belong to
/// a state.
StatusOr<HeapStateCounts> CountHeapState(const KeyGroupsHandle& handle,
                                         const KeyedStateHeader& header, std::string_view stream);

/// Timers that are kept on the heap beside state in RocksDB, which are written as raw state. Flink
/// 1.8 and 1.9 did so by default, later releases where they are told to.
struct RawTimers {
  /// "user-timers", "window-timers".
  std::string service;
  /// Versioned serializer snapshots.
  std::string key_serializer;
  std::string namespace_serializer;
  int64_t event_timers = 0;
  int64_t event_bytes = 0;
  int64_t processing_timers = 0;
  int64_t processing_bytes = 0;
};
/// Whether raw state holds a timer; reads key groups up to the first one that does.
/// kFailedPrecondition when the raw state is something else, kDataLoss when it is damaged up to
/// there.
StatusOr<bool> HoldsRawTimers(const KeyGroupsHandle& handle, const StreamRanges& stream);
/// By service. kFailedPrecondition when the raw state is something else, or the timers are of a
/// type whose values cannot be told apart; kDataLoss when it is damaged.
StatusOr<std::vector<RawTimers>> CountRawTimers(const KeyGroupsHandle& handle,
                                                std::string_view stream);

}  // namespace flink::snapshot
