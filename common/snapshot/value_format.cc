#include "common/snapshot/value_format.h"

#include <algorithm>
#include <map>
#include <utility>

namespace flink::snapshot {
namespace {

/// What stands in front of a POJO.
constexpr uint8_t kNullPojo = 1;
constexpr uint8_t kPojoOfItsClass = 2;
/// BigIntegers of few bytes: null, 0, 1 and 10; of others their number of bytes is added to it.
constexpr int32_t kBigIntegerBytes = 4;

StatusOr<uint32_t> ReadVarint(JavaReader& in) {
  uint32_t number = 0;
  for (int shift = 0; shift < 35; shift += 7) {
    ASSIGN_OR_RETURN(const uint8_t byte, in.ReadU8("text"));
    number |= static_cast<uint32_t>(byte & 0x7f) << shift;
    if (byte < 0x80) return number;
  }
  return in.Error(in.offset(), "expected a number of at most 5 bytes");
}

/// `null`: 1 where a count of 0 stands for no text and others are one more, otherwise 0.
Status SkipString(JavaReader& in, uint32_t null) {
  const size_t at = in.offset();
  ASSIGN_OR_RETURN(const uint32_t count, ReadVarint(in));
  size_t left = count - std::min(count, null);
  if (left > in.remaining()) {
    return in.Error(at, "a text has {} characters, but only {} bytes follow", left, in.remaining());
  }
  // A character ends with its only byte below 0x80, so as many bytes as characters are missing
  // follow at least.
  while (left > 0) {
    ASSIGN_OR_RETURN(const std::string_view bytes, in.ReadBytes(left, "text"));
    left -= static_cast<size_t>(std::count_if(
        bytes.begin(), bytes.end(), [](char c) { return static_cast<uint8_t>(c) < 0x80; }));
  }
  return OkStatus();
}

/// False: null.
StatusOr<bool> SkipBigInteger(JavaReader& in) {
  const size_t at = in.offset();
  ASSIGN_OR_RETURN(const int32_t size, in.ReadI32("size of a BigInteger"));
  if (size < 0) return in.Error(at, "expected the size of a BigInteger, found {}", size);
  if (size > kBigIntegerBytes) {
    RETURN_IF_ERROR(
        in.ReadBytes(static_cast<size_t>(size - kBigIntegerBytes), "BigInteger").status());
  }
  return size != 0;
}

/// Bytes of every value of a serializer, by the class of its snapshot.
const std::map<std::string_view, size_t>& FixedSizes() {
  static const std::map<std::string_view, size_t> kSizes = {
      {"BooleanSerializerSnapshot", 1},      {"ByteSerializerSnapshot", 1},
      {"ShortSerializerSnapshot", 2},        {"CharSerializerSnapshot", 2},
      {"IntSerializerSnapshot", 4},          {"LongSerializerSnapshot", 8},
      {"FloatSerializerSnapshot", 4},        {"DoubleSerializerSnapshot", 8},
      {"BooleanValueSerializerSnapshot", 1}, {"ByteValueSerializerSnapshot", 1},
      {"ShortValueSerializerSnapshot", 2},   {"CharValueSerializerSnapshot", 2},
      {"IntValueSerializerSnapshot", 4},     {"LongValueSerializerSnapshot", 8},
      {"FloatValueSerializerSnapshot", 4},   {"DoubleValueSerializerSnapshot", 8},
      {"VoidSerializerSnapshot", 1},         {"VoidNamespaceSerializerSnapshot", 1},
      {"GlobalWindowSerializerSnapshot", 1}, {"TimeWindowSerializerSnapshot", 16},
      {"DateSerializerSnapshot", 8},         {"SqlDateSerializerSnapshot", 8},
      {"SqlTimeSerializerSnapshot", 8},      {"SqlTimestampSerializerSnapshot", 12},
      {"InstantSerializerSnapshot", 12},     {"LocalDateSerializerSnapshot", 6},
      {"LocalTimeSerializerSnapshot", 7},    {"LocalDateTimeSerializerSnapshot", 13},
      {"EnumSerializerSnapshot", 4},
  };
  return kSizes;
}

}  // namespace

StatusOr<ValueFormat> ValueFormat::Of(std::string_view snapshot) {
  ASSIGN_OR_RETURN(const SerializerTree tree, ParseSerializerSnapshot(snapshot));
  return OfTree(tree);
}

StatusOr<ValueFormat> ValueFormat::OfTree(const SerializerTree& tree) {
  struct Known {
    Shape shape;
    size_t size;
    /// Elements, key and value, …; nothing: any number, at least one.
    size_t nested;
  };
  static const std::map<std::string_view, Known> kOthers = {
      {"StringSerializerSnapshot", {Shape::kString, 0, 0}},
      {"StringValueSerializerSnapshot", {Shape::kStringValue, 0, 0}},
      {"BigIntSerializerSnapshot", {Shape::kBigInteger, 0, 0}},
      {"BigDecSerializerSnapshot", {Shape::kBigDecimal, 0, 0}},
      {"BooleanPrimitiveArraySerializerSnapshot", {Shape::kArray, 1, 0}},
      {"BytePrimitiveArraySerializerSnapshot", {Shape::kArray, 1, 0}},
      {"CharPrimitiveArraySerializerSnapshot", {Shape::kArray, 2, 0}},
      {"ShortPrimitiveArraySerializerSnapshot", {Shape::kArray, 2, 0}},
      {"IntPrimitiveArraySerializerSnapshot", {Shape::kArray, 4, 0}},
      {"LongPrimitiveArraySerializerSnapshot", {Shape::kArray, 8, 0}},
      {"FloatPrimitiveArraySerializerSnapshot", {Shape::kArray, 4, 0}},
      {"DoublePrimitiveArraySerializerSnapshot", {Shape::kArray, 8, 0}},
      {"StringArraySerializerSnapshot", {Shape::kList, 0, 0}},
      {"ListSerializerSnapshot", {Shape::kList, 0, 1}},
      {"ArrayListSerializerSnapshot", {Shape::kList, 0, 1}},
      {"SetSerializerSnapshot", {Shape::kSet, 0, 1}},
      {"GenericArraySerializerSnapshot", {Shape::kMarked, 0, 1}},
      {"MapSerializerSnapshot", {Shape::kMap, 0, 2}},
      {"TtlSerializerSnapshot", {Shape::kTuple, 0, 2}},
      {"TimerSerializerSnapshot", {Shape::kTuple, 0, 2}},
      {"TupleSerializerSnapshot", {Shape::kTuple, 0, SIZE_MAX}},
      {"RowSerializerSnapshot", {Shape::kRow, 0, SIZE_MAX}},
      {"NullableSerializerSnapshot", {Shape::kNullable, 0, 1}},
      {"JavaEitherSerializerSnapshot", {Shape::kEither, 0, 2}},
      {"PojoSerializerSnapshot", {Shape::kPojo, 0, SIZE_MAX}},
  };
  const std::string_view class_name = tree.partial ? std::string_view() : tree.class_name;
  const size_t at = class_name.find_last_of(".$");
  const std::string_view name =
      at == std::string_view::npos ? class_name : class_name.substr(at + 1);
  const bool is_of_flink = class_name.starts_with("org.apache.flink.");
  ValueFormat format;
  if (const auto fixed = FixedSizes().find(name); fixed != FixedSizes().end() && is_of_flink) {
    format.size_ = fixed->second;
    return format;
  }
  const auto known = kOthers.find(name);
  const bool fits = known != kOthers.end() &&
                    (known->second.nested == SIZE_MAX ? !tree.nested.empty()
                                                      : tree.nested.size() == known->second.nested);
  if (!fits || !is_of_flink) {
    return FailedPrecondition("where a value of the type {} ends is known only to its class",
                              tree.type);
  }
  format.shape_ = known->second.shape;
  format.size_ = known->second.size;
  for (const SerializerTree& nested : tree.nested) {
    ASSIGN_OR_RETURN(ValueFormat element, OfTree(nested));
    format.nested_.push_back(std::move(element));
  }
  if (name == "TimerSerializerSnapshot") {
    ValueFormat time;
    time.size_ = 8;
    format.nested_.insert(format.nested_.begin(), std::move(time));
  } else if (name == "StringArraySerializerSnapshot") {
    format.nested_.emplace_back().shape_ = Shape::kString;
  } else if (format.shape_ == Shape::kNullable) {
    format.size_ = static_cast<size_t>(std::max(tree.padding, 0));
  } else if (format.shape_ == Shape::kRow) {
    format.row_kind_bits_ = tree.row_kind ? 2 : 0;
  }
  return format;
}

Status ValueFormat::Skip(JavaReader& in) const {
  switch (shape_) {
    case Shape::kFixed:
      return in.ReadBytes(size_, "value").status();
    case Shape::kString:
      return SkipString(in, 1);
    case Shape::kStringValue:
      return SkipString(in, 0);
    case Shape::kBigInteger:
      return SkipBigInteger(in).status();
    case Shape::kBigDecimal: {
      ASSIGN_OR_RETURN(const bool present, SkipBigInteger(in));
      return present ? in.ReadI32("scale of a BigDecimal").status() : OkStatus();
    }
    case Shape::kArray: {
      ASSIGN_OR_RETURN(const int32_t count, in.ReadCount("length of an array", size_));
      return in.ReadBytes(static_cast<size_t>(count) * size_, "array").status();
    }
    case Shape::kList:
    case Shape::kSet:
    case Shape::kMarked:
    case Shape::kMap:
      return SkipCounted(in);
    case Shape::kTuple:
      for (const ValueFormat& field : nested_) RETURN_IF_ERROR(field.Skip(in));
      return OkStatus();
    case Shape::kRow:
      return SkipRow(in);
    case Shape::kNullable: {
      ASSIGN_OR_RETURN(const bool is_null, in.ReadBool("mark of a null"));
      return is_null ? in.ReadBytes(size_, "padding of a null").status() : nested_[0].Skip(in);
    }
    case Shape::kEither: {
      ASSIGN_OR_RETURN(const bool is_left, in.ReadBool("side of an Either"));
      return nested_[is_left ? 0 : 1].Skip(in);
    }
    case Shape::kPojo:
      return SkipPojo(in);
  }
  return OkStatus();
}

Status ValueFormat::SkipCounted(JavaReader& in) const {
  // Every element has a byte at least.
  ASSIGN_OR_RETURN(const int32_t count, in.ReadCount("number of elements", 1));
  for (int32_t i = 0; i < count; ++i) {
    bool there = true;
    if (shape_ == Shape::kMap) RETURN_IF_ERROR(nested_[0].Skip(in));
    if (shape_ == Shape::kMarked) {
      ASSIGN_OR_RETURN(there, in.ReadBool("mark of an element"));
    } else if (shape_ != Shape::kList) {
      ASSIGN_OR_RETURN(const bool is_null, in.ReadBool("mark of a null"));
      there = !is_null;
    }
    // A map writes the null form of its values behind the mark of a null only in other formats.
    if (there) RETURN_IF_ERROR(nested_.back().Skip(in));
  }
  return OkStatus();
}

Status ValueFormat::SkipRow(JavaReader& in) const {
  const size_t bits = row_kind_bits_ + nested_.size();
  ASSIGN_OR_RETURN(const std::string_view marks, in.ReadBytes((bits + 7) / 8, "marks of a row"));
  for (size_t i = 0; i < nested_.size(); ++i) {
    const size_t bit = row_kind_bits_ + i;
    const bool is_null = (static_cast<uint8_t>(marks[bit / 8]) & (0x80u >> (bit % 8))) != 0;
    if (!is_null) RETURN_IF_ERROR(nested_[i].Skip(in));
  }
  return OkStatus();
}

Status ValueFormat::SkipPojo(JavaReader& in) const {
  const size_t at = in.offset();
  ASSIGN_OR_RETURN(const uint8_t flags, in.ReadU8("flags of a POJO"));
  if (flags == kNullPojo) return OkStatus();
  if (flags != kPojoOfItsClass) {
    if (flags == 4 || flags == 8) {
      return FailedPrecondition("at offset {}: a POJO of a subclass, which only its class can read",
                                at);
    }
    return in.Error(at, "expected the flags of a POJO, found {}", flags);
  }
  for (const ValueFormat& field : nested_) {
    ASSIGN_OR_RETURN(const bool is_null, in.ReadBool("mark of a null"));
    if (!is_null) RETURN_IF_ERROR(field.Skip(in));
  }
  return OkStatus();
}

}  // namespace flink::snapshot
