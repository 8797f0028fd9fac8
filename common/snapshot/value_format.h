#pragma once

/// Where the values of a type end in a stream that does not say how long they are: Flink's heap
/// state. Internal to common/snapshot.

#include <cstdint>
#include <string_view>
#include <vector>

#include "common/base/status.h"
#include "common/snapshot/java_data.h"
#include "common/snapshot/serializer_snapshot.h"

namespace flink::snapshot {

class ValueFormat {
 public:
  /// `snapshot`: versioned. kFailedPrecondition names the type when only its class knows how its
  /// values are written (Kryo, Avro, classes of users).
  static StatusOr<ValueFormat> Of(std::string_view snapshot);

  /// Reads over one value, which has at least one byte. kFailedPrecondition for a value that
  /// stands for an object of a class that is not in the snapshot; kDataLoss for what is no value.
  Status Skip(JavaReader& in) const;

 private:
  enum class Shape {
    kFixed,        // size_ bytes
    kString,       // one more than the units, then the units; all of variable length
    kStringValue,  // their number, then the units
    kBigInteger,
    kBigDecimal,
    kArray,     // count, then size_ bytes each
    kList,      // count, then elements
    kSet,       // count, then (is null, element)
    kMarked,    // count, then (is present, element)
    kMap,       // count, then (key, is null, value)
    kTuple,     // one after the other
    kRow,       // marks, then the fields that are not null
    kNullable,  // is null, then the value or size_ bytes
    kEither,    // is left, then one of two
    kPojo,      // flags, then (is null, value) per field
  };

  static StatusOr<ValueFormat> OfTree(const SerializerTree& tree);
  Status SkipCounted(JavaReader& in) const;
  Status SkipRow(JavaReader& in) const;
  Status SkipPojo(JavaReader& in) const;

  Shape shape_ = Shape::kFixed;
  size_t size_ = 0;
  /// Bits in front of a row's marks of its fields.
  size_t row_kind_bits_ = 0;
  std::vector<ValueFormat> nested_;
};

}  // namespace flink::snapshot
