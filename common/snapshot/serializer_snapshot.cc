#include "common/snapshot/serializer_snapshot.h"

#include <array>

namespace flink::snapshot {
namespace {

/// Version of the frame around a snapshot in stream headers.
constexpr int32_t kFrameVersion = 2;
constexpr int32_t kSimpleVersion = 3;
constexpr int32_t kCompositeVersion = 3;
constexpr int32_t kCompositeMagic = 911108;
constexpr int32_t kNestedMagic = 1333245;
constexpr int32_t kNestedVersion = 1;
constexpr int64_t kOptionalMapMagic = 0x000004F2C69A3D70;
constexpr int kMaxDepth = 64;

Status SkipVersioned(JavaReader& reader, int depth);

enum class OuterBody { kNone, kClassName, kInt, kBool };

struct Composite {
  std::string_view name;
  OuterBody body;
};

constexpr std::array kComposites = {
    Composite{"ListSerializerSnapshot", OuterBody::kNone},
    Composite{"MapSerializerSnapshot", OuterBody::kNone},
    Composite{"SetSerializerSnapshot", OuterBody::kNone},
    Composite{"ArrayListSerializerSnapshot", OuterBody::kNone},
    Composite{"JavaEitherSerializerSnapshot", OuterBody::kNone},
    Composite{"TimerSerializerSnapshot", OuterBody::kNone},
    Composite{"TtlSerializerSnapshot", OuterBody::kNone},
    Composite{"UnionSerializerSnapshot", OuterBody::kNone},
    Composite{"StreamElementSerializerSnapshot", OuterBody::kNone},
    Composite{"StateSerializerSnapshot", OuterBody::kNone},
    Composite{"LockableTypeSerializerSnapshot", OuterBody::kNone},
    Composite{"NodeIdSerializerSnapshot", OuterBody::kNone},
    Composite{"TupleSerializerSnapshot", OuterBody::kClassName},
    Composite{"GenericArraySerializerSnapshot", OuterBody::kClassName},
    Composite{"NullableSerializerSnapshot", OuterBody::kInt},
    Composite{"RowSerializerSnapshot", OuterBody::kBool},
};

/// "a.b.Outer$Inner" -> "Inner".
std::string_view ShortName(std::string_view class_name) {
  const size_t at = class_name.find_last_of(".$");
  return at == std::string_view::npos ? class_name : class_name.substr(at + 1);
}

Status SkipComposite(JavaReader& reader, OuterBody body, int depth) {
  RETURN_IF_ERROR(reader.ExpectI32(kCompositeMagic, "magic number of a composite serializer"));
  ASSIGN_OR_RETURN(const int32_t outer_version, reader.ReadI32("version of a serializer"));
  switch (body) {
    case OuterBody::kNone:
      break;
    case OuterBody::kClassName:
      RETURN_IF_ERROR(reader.ReadUtf("class of a serializer").status());
      break;
    case OuterBody::kInt:
      RETURN_IF_ERROR(reader.ReadI32("padding of a serializer").status());
      break;
    case OuterBody::kBool:
      // Rows have the flag since version 4.
      if (outer_version > 3) RETURN_IF_ERROR(reader.ReadBool("row kind flag").status());
      break;
  }
  RETURN_IF_ERROR(reader.ExpectI32(kNestedMagic, "magic number of nested serializers"));
  RETURN_IF_ERROR(reader.ExpectI32(kNestedVersion, "version of nested serializers"));
  ASSIGN_OR_RETURN(const int32_t n, reader.ReadCount("number of nested serializers", 6));
  for (int32_t i = 0; i < n; ++i) RETURN_IF_ERROR(SkipVersioned(reader, depth + 1));
  return OkStatus();
}

/// Names with a sized key and a sized value each, both optional.
Status SkipOptionalMap(JavaReader& reader) {
  const size_t at = reader.offset();
  ASSIGN_OR_RETURN(const int64_t magic, reader.ReadI64("magic number of an optional map"));
  if (magic != kOptionalMapMagic) return reader.Error(at, "expected an optional map");
  ASSIGN_OR_RETURN(const int32_t n, reader.ReadCount("size of an optional map", 4));
  for (int32_t i = 0; i < n; ++i) {
    RETURN_IF_ERROR(reader.ReadUtf("name in an optional map").status());
    for (const std::string_view part : {"key in an optional map", "value in an optional map"}) {
      ASSIGN_OR_RETURN(const bool present, reader.ReadBool(part));
      if (present) RETURN_IF_ERROR(reader.ReadSizedBytes(part).status());
    }
  }
  return OkStatus();
}

Status SkipClassAndMaps(JavaReader& reader) {
  RETURN_IF_ERROR(reader.ReadUtf("class of a serializer").status());
  for (int map = 0; map < 3; ++map) RETURN_IF_ERROR(SkipOptionalMap(reader));
  return OkStatus();
}

Status SkipEnum(JavaReader& reader) {
  RETURN_IF_ERROR(reader.ReadUtf("class of an enum").status());
  ASSIGN_OR_RETURN(const int32_t n, reader.ReadCount("number of enum constants", 2));
  for (int32_t i = 0; i < n; ++i) RETURN_IF_ERROR(reader.ReadUtf("enum constant").status());
  return OkStatus();
}

/// Flink's encoding of text in values: a count of UTF-16 units plus one, then the units, all of
/// variable length.
Status SkipStringValue(JavaReader& reader) {
  const auto read_number = [&reader]() -> StatusOr<uint32_t> {
    uint32_t number = 0;
    for (int shift = 0; shift < 32; shift += 7) {
      ASSIGN_OR_RETURN(const uint8_t byte, reader.ReadU8("text of a serializer"));
      number |= static_cast<uint32_t>(byte & 0x7f) << shift;
      if (byte < 0x80) break;
    }
    return number;
  };
  ASSIGN_OR_RETURN(const uint32_t count, read_number());
  for (uint32_t i = 1; i < count; ++i) RETURN_IF_ERROR(read_number().status());
  return OkStatus();
}

Status SkipAvro(JavaReader& reader, int32_t version) {
  if (version < 3) {
    RETURN_IF_ERROR(reader.ReadUtf("class of an Avro type").status());
    return reader.ReadUtf("schema of an Avro type").status();
  }
  RETURN_IF_ERROR(SkipStringValue(reader));
  return SkipStringValue(reader);
}

Status SkipVersioned(JavaReader& reader, int depth) {
  const size_t at = reader.offset();
  if (depth > kMaxDepth) return reader.Error(at, "serializers nest deeper than {}", kMaxDepth);
  ASSIGN_OR_RETURN(const std::string class_name, reader.ReadUtf("class of a serializer snapshot"));
  ASSIGN_OR_RETURN(const int32_t version, reader.ReadI32("version of a serializer snapshot"));
  const std::string_view name = ShortName(class_name);
  for (const Composite& composite : kComposites) {
    if (composite.name != name) continue;
    if (version != kCompositeVersion) {
      return reader.Error(at, "expected version {} of {}, found {}", kCompositeVersion, class_name,
                          version);
    }
    return SkipComposite(reader, composite.body, depth);
  }
  if (name == "PojoSerializerSnapshot" || name == "KryoSerializerSnapshot") {
    return SkipClassAndMaps(reader);
  }
  if (name == "EnumSerializerSnapshot") return SkipEnum(reader);
  if (name == "AvroSerializerSnapshot") return SkipAvro(reader, version);
  if (name == "RowDataSerializerSnapshot") {
    return reader.Error(at, "the type {} cannot be read here", class_name);
  }
  // Basic types have no body; version 2 named the serializer.
  if (version == 2) return reader.ReadUtf("class of a serializer").status();
  if (version == kSimpleVersion) return OkStatus();
  return reader.Error(at, "version {} of the type {} cannot be read here", version, class_name);
}

}  // namespace

std::string SimpleSerializerSnapshot(std::string_view class_name) {
  JavaWriter writer;
  writer.WriteUtf(class_name);
  writer.WriteI32(kSimpleVersion);
  return writer.TakeBytes();
}

std::string CompositeSerializerSnapshot(std::string_view class_name, int32_t outer_version,
                                        std::string_view outer_body,
                                        std::span<const std::string> nested) {
  JavaWriter writer;
  writer.WriteUtf(class_name);
  writer.WriteI32(kCompositeVersion);
  writer.WriteI32(kCompositeMagic);
  writer.WriteI32(outer_version);
  writer.WriteBytes(outer_body);
  writer.WriteI32(kNestedMagic);
  writer.WriteI32(kNestedVersion);
  writer.WriteI32(static_cast<int32_t>(nested.size()));
  for (const std::string& snapshot : nested) writer.WriteBytes(snapshot);
  return writer.TakeBytes();
}

StatusOr<std::string> ReadSerializerSnapshot(JavaReader& reader) {
  const size_t start = reader.offset();
  RETURN_IF_ERROR(SkipVersioned(reader, 0));
  return std::string(reader.Since(start));
}

StatusOr<std::string> ReadFramedSerializerSnapshot(JavaReader& reader) {
  RETURN_IF_ERROR(reader.ExpectI32(kFrameVersion, "version of a serializer frame"));
  return ReadSerializerSnapshot(reader);
}

void WriteFramedSerializerSnapshot(JavaWriter& writer, std::string_view snapshot) {
  writer.WriteI32(kFrameVersion);
  writer.WriteBytes(snapshot);
}

StatusOr<std::string> SerializerSnapshotClass(std::string_view snapshot) {
  JavaReader reader(snapshot);
  return reader.ReadUtf("class of a serializer snapshot");
}

}  // namespace flink::snapshot
