#pragma once

/// In which forms the keyed state of a snapshot can be restored here, whatever its types are.

#include <string>
#include <string_view>

#include "common/base/status.h"
#include "common/snapshot/metadata.h"

namespace flink::snapshot {

/// What there is to say about key groups of Flink's heap backend: the end of a sentence.
inline constexpr std::string_view kHeapForm =
    "is in the form of Apache Flink's heap state backend, which only that backend reads: start "
    "the job from it in the same or a later release of Apache Flink, 1.13 at least, with the heap "
    "state backend, take a savepoint in canonical format there, and start from that";

/// Why the state of an operator cannot be restored, as the end of a sentence that begins with the
/// operator; empty when it can. Blocks. Errors name the file that cannot be read.
StatusOr<std::string> FormProblemOf(const OperatorSnapshot& op, const std::string& directory);

}  // namespace flink::snapshot
