#pragma once

/// Serialized Java objects, as the checkpoint properties at the end of `_metadata`. Nothing in them
/// is used; they are walked to find a file that was cut off.

#include "common/base/status.h"
#include "common/snapshot/java_data.h"

namespace flink::snapshot {

/// Moves past one object stream (head and one object). kDataLoss when it ends early or is none.
/// From an element of a kind that properties do not have, the rest of the bytes is taken unseen.
Status SkipJavaObjectStream(JavaReader& reader);

}  // namespace flink::snapshot
