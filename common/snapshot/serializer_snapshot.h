#pragma once

/// Serializer snapshots: how Flink's files describe the types in them. We treat one as bytes: class
/// name, version, body ("versioned snapshot"). Reading only has to find its end.

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"
#include "common/snapshot/java_data.h"

namespace flink::snapshot {

/// A snapshot without body, as of all basic types: "…base.LongSerializer$LongSerializerSnapshot".
std::string SimpleSerializerSnapshot(std::string_view class_name);
/// A snapshot of a serializer made of others. `nested` are versioned snapshots; `outer_body` is
/// encoded already.
std::string CompositeSerializerSnapshot(std::string_view class_name, int32_t outer_version,
                                        std::string_view outer_body,
                                        std::span<const std::string> nested);

/// Reads one versioned snapshot and returns its bytes. A class whose layout is not known is an
/// error naming it.
StatusOr<std::string> ReadSerializerSnapshot(JavaReader& reader);
/// The same with the leading frame version that headers have.
StatusOr<std::string> ReadFramedSerializerSnapshot(JavaReader& reader);
void WriteFramedSerializerSnapshot(JavaWriter& writer, std::string_view snapshot);

/// A versioned snapshot as far as values depend on it.
struct SerializerTree {
  /// Of the snapshot, with its package.
  std::string class_name;
  /// See TypeNameOf. "?": a field of a POJO whose snapshot cannot be read.
  std::string type;
  /// A field of a POJO whose snapshot can be read only up to somewhere.
  bool partial = false;
  /// Elements, key and value, or fields, in the order in which a value has them.
  std::vector<SerializerTree> nested;
  /// Of a Nullable: bytes that stand for a missing value.
  int32_t padding = 0;
  /// Of a Row: two bits for the kind of the row stand in front of the marks of its fields.
  bool row_kind = false;
};
/// kDataLoss when `snapshot` is no versioned snapshot, or one of a class whose layout is not known.
StatusOr<SerializerTree> ParseSerializerSnapshot(std::string_view snapshot);

/// The classes of a versioned snapshot and of those nested in it, in order. kDataLoss when it is
/// none.
StatusOr<std::vector<std::string>> SerializerSnapshotClasses(std::string_view snapshot);
/// The Java class name at the start of a versioned snapshot.
StatusOr<std::string> SerializerSnapshotClass(std::string_view snapshot);

/// How people write the type of a versioned snapshot: "Long", "Tuple2<String,Integer>", "byte[]",
/// "Person{age: Integer, name: String}". For one that cannot be read the Java class of the
/// snapshot.
std::string TypeNameOf(std::string_view snapshot);

}  // namespace flink::snapshot
