#pragma once

/// The rows of a canonical keyed-state stream: what stands behind its header.

#include <cstdint>
#include <functional>
#include <string_view>

#include "common/base/status.h"
#include "common/snapshot/keyed_state_header.h"

namespace flink::snapshot {

/// In the place of the next state's id: no rows follow.
inline constexpr uint16_t kEndOfGroup = 0xFFFF;
/// In the first byte of a key: a state id or the end of the group follows the row.
inline constexpr uint8_t kMetadataFollows = 0x80;

/// `state_id` is an index of KeyedStateHeader::states; `key` starts with the prefix of the key
/// group. What stands in the stream as it is points into it; the rest, keys with a mark and
/// compressed rows, lives as long as the call.
using VisitRow = std::function<Status(int state_id, std::string_view key, std::string_view value)>;

/// Visits the rows of the key group that starts at `offset` of `stream`; 0: a group without rows.
/// `end`: where the next group or the end of the stream is; only compressed groups need it to be
/// exact. kDataLoss names the offset.
Status ForEachRow(const KeyedStateHeader& header, std::string_view stream, int64_t offset,
                  int64_t end, const VisitRow& visit);

}  // namespace flink::snapshot
