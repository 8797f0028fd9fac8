#pragma once

/// Operator ids: the 16 bytes under which an operator's state is found again. Pure functions,
/// thread-safe.

#include <span>
#include <string_view>

#include "common/base/ids.h"

namespace flink {

/// The id of an operator with this uid: MurmurHash3 (x64, 128 bits, seed 0) of its UTF-8 bytes.
OperatorId OperatorIdFromUid(std::string_view uid);

/// The id that a user gave as 32 hexadecimal digits (`setUidHash`); an error names the text.
StatusOr<OperatorId> OperatorIdFromUidHash(std::string_view hex);

/// The id of an operator without uid. It depends on the shape of the graph, so it changes when the
/// graph does. `hashes_so_far`: ids given before this one in breadth-first order from the sources
/// (sorted by node id); `chainable_out_edges`: out-edges along which the operator may be chained;
/// `inputs`: the ids of the operators it reads from, one per in-edge, in order.
OperatorId GeneratedOperatorId(int hashes_so_far, int chainable_out_edges,
                               std::span<const OperatorId> inputs);

/// The id of the committer behind the writer of a sink, which carries the sink's uid: that of
/// "Sink Committer: " and the uid, or without one an id that depends on the writer's alone.
OperatorId CommitterOperatorId(const OperatorId& writer, std::string_view uid);

}  // namespace flink
