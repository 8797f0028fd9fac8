#pragma once

/// Readable names of types from serializer snapshots, for messages.

#include <string>
#include <string_view>

namespace flink::taskmanager {

/// "Long", "Tuple2<String,Long>", "List<Integer>"; the class name when the layout is not known.
std::string TypeNameOfSnapshot(std::string_view serializer_snapshot);

}  // namespace flink::taskmanager
