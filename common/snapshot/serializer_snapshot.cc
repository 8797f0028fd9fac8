#include "common/snapshot/serializer_snapshot.h"

#include <array>
#include <cctype>
#include <vector>

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

/// Reads one versioned snapshot. After an error `tree` holds what came before it.
Status ReadVersioned(JavaReader& reader, int depth, SerializerTree* tree);

enum class OuterBody { kNone, kClassName, kInt, kBool };

struct Composite {
  std::string_view name;
  OuterBody body;
  /// What the type is called in front of its nested types; empty: the short name of its class.
  std::string_view type;
};

constexpr std::array kComposites = {
    Composite{"ListSerializerSnapshot", OuterBody::kNone, "List"},
    Composite{"MapSerializerSnapshot", OuterBody::kNone, "Map"},
    Composite{"SetSerializerSnapshot", OuterBody::kNone, "Set"},
    Composite{"ArrayListSerializerSnapshot", OuterBody::kNone, "List"},
    Composite{"JavaEitherSerializerSnapshot", OuterBody::kNone, "Either"},
    Composite{"TimerSerializerSnapshot", OuterBody::kNone, "Timer"},
    Composite{"TtlSerializerSnapshot", OuterBody::kNone, "Ttl"},
    Composite{"UnionSerializerSnapshot", OuterBody::kNone, "Union"},
    Composite{"StreamElementSerializerSnapshot", OuterBody::kNone, "StreamElement"},
    Composite{"StateSerializerSnapshot", OuterBody::kNone, "State"},
    Composite{"LockableTypeSerializerSnapshot", OuterBody::kNone, "Lockable"},
    Composite{"NodeIdSerializerSnapshot", OuterBody::kNone, "NodeId"},
    Composite{"TupleSerializerSnapshot", OuterBody::kClassName, ""},
    Composite{"GenericArraySerializerSnapshot", OuterBody::kClassName, "Array"},
    Composite{"NullableSerializerSnapshot", OuterBody::kInt, "Nullable"},
    Composite{"RowSerializerSnapshot", OuterBody::kBool, "Row"},
};

/// "a.b.Outer$Inner" -> "Inner".
std::string_view ShortName(std::string_view class_name) {
  const size_t at = class_name.find_last_of(".$");
  return at == std::string_view::npos ? class_name : class_name.substr(at + 1);
}

/// "LongSerializerSnapshot" -> "Long", and as Java calls it where Flink says it otherwise.
std::string BasicTypeName(std::string_view snapshot_class) {
  std::string name(snapshot_class);
  for (const std::string_view suffix : {"Snapshot", "Serializer"}) {
    if (name.size() > suffix.size() && name.ends_with(suffix)) {
      name.erase(name.size() - suffix.size());
    }
  }
  constexpr std::string_view kPrimitiveArray = "PrimitiveArray";
  if (name.ends_with(kPrimitiveArray)) {
    name.erase(name.size() - kPrimitiveArray.size());
    name[0] = static_cast<char>(std::tolower(static_cast<unsigned char>(name[0])));
    return name + "[]";
  }
  if (name == "Int") return "Integer";
  if (name == "BigInt") return "BigInteger";
  if (name == "BigDec") return "BigDecimal";
  if (name == "StringArray") return "String[]";
  return name;
}

std::string Generic(std::string_view type, const std::vector<SerializerTree>& arguments) {
  std::string name(type);
  name += '<';
  for (const SerializerTree& argument : arguments) {
    if (&argument != &arguments.front()) name += ',';
    name += argument.type;
  }
  return name + '>';
}

Status ReadComposite(JavaReader& reader, const Composite& composite, int depth,
                     SerializerTree* tree) {
  RETURN_IF_ERROR(reader.ExpectI32(kCompositeMagic, "magic number of a composite serializer"));
  ASSIGN_OR_RETURN(const int32_t outer_version, reader.ReadI32("version of a serializer"));
  std::string outer_class;
  switch (composite.body) {
    case OuterBody::kNone:
      break;
    case OuterBody::kClassName: {
      ASSIGN_OR_RETURN(outer_class, reader.ReadUtf("class of a serializer"));
      break;
    }
    case OuterBody::kInt: {
      ASSIGN_OR_RETURN(tree->padding, reader.ReadI32("padding of a serializer"));
      break;
    }
    case OuterBody::kBool:
      // Rows have the flag since version 4.
      if (outer_version > 3) {
        ASSIGN_OR_RETURN(tree->row_kind, reader.ReadBool("row kind flag"));
      }
      break;
  }
  RETURN_IF_ERROR(reader.ExpectI32(kNestedMagic, "magic number of nested serializers"));
  RETURN_IF_ERROR(reader.ExpectI32(kNestedVersion, "version of nested serializers"));
  ASSIGN_OR_RETURN(const int32_t n, reader.ReadCount("number of nested serializers", 6));
  const std::vector<SerializerTree>& nested = tree->nested;
  for (int32_t i = 0; i < n; ++i) {
    RETURN_IF_ERROR(ReadVersioned(reader, depth + 1, &tree->nested.emplace_back()));
  }
  if (composite.type == "Array" && nested.size() == 1) {
    tree->type = fmt::format("{}[]", nested[0].type);
  } else if (composite.type == "Ttl" && nested.size() == 2) {
    // The time of the last access stands in front of the value.
    tree->type = fmt::format("Ttl<{}>", nested[1].type);
  } else {
    tree->type = Generic(composite.type.empty() ? ShortName(outer_class) : composite.type, nested);
  }
  return OkStatus();
}

/// Names with a sized key and a sized value each, both optional. `visit` gets name, key and value.
template <class Visit>
Status ReadOptionalMap(JavaReader& reader, const Visit& visit) {
  const size_t at = reader.offset();
  ASSIGN_OR_RETURN(const int64_t magic, reader.ReadI64("magic number of an optional map"));
  if (magic != kOptionalMapMagic) return reader.Error(at, "expected an optional map");
  ASSIGN_OR_RETURN(const int32_t n, reader.ReadCount("size of an optional map", 4));
  for (int32_t i = 0; i < n; ++i) {
    ASSIGN_OR_RETURN(const std::string name, reader.ReadUtf("name in an optional map"));
    std::array<std::string_view, 2> parts;
    for (std::string_view& part : parts) {
      ASSIGN_OR_RETURN(const bool present, reader.ReadBool("part of an optional map"));
      if (!present) continue;
      ASSIGN_OR_RETURN(part, reader.ReadSizedBytes("part of an optional map"));
    }
    visit(name, parts[1]);
  }
  return OkStatus();
}

/// Of a POJO, and of a class that Kryo serializes.
Status ReadClassAndMaps(JavaReader& reader, bool pojo, int depth, SerializerTree* tree) {
  ASSIGN_OR_RETURN(const std::string class_name, reader.ReadUtf("class of a serializer"));
  std::string fields;
  RETURN_IF_ERROR(ReadOptionalMap(reader, [&](const std::string& name, std::string_view value) {
    JavaReader nested(value);
    SerializerTree& field = tree->nested.emplace_back();
    field.partial = !ReadVersioned(nested, depth + 1, &field).ok();
    if (field.partial) field.type.assign(1, '?');
    fields += (fields.empty() ? "" : ", ") + name + ": " + field.type;
  }));
  for (int map = 1; map < 3; ++map) {
    RETURN_IF_ERROR(ReadOptionalMap(reader, [](const std::string&, std::string_view) {}));
  }
  const std::string name(ShortName(class_name));
  tree->type = pojo ? fmt::format("{}{{{}}}", name, fields) : fmt::format("Kryo<{}>", name);
  return OkStatus();
}

StatusOr<std::string> ReadEnum(JavaReader& reader) {
  ASSIGN_OR_RETURN(const std::string class_name, reader.ReadUtf("class of an enum"));
  ASSIGN_OR_RETURN(const int32_t n, reader.ReadCount("number of enum constants", 2));
  for (int32_t i = 0; i < n; ++i) RETURN_IF_ERROR(reader.ReadUtf("enum constant").status());
  return std::string(ShortName(class_name));
}

/// Flink's encoding of text in values: a count of UTF-16 units plus one, then the units, all of
/// variable length. Units beyond ASCII are replaced: these are names of classes.
StatusOr<std::string> ReadStringValue(JavaReader& reader) {
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
  std::string text;
  for (uint32_t i = 1; i < count; ++i) {
    ASSIGN_OR_RETURN(const uint32_t unit, read_number());
    text += unit >= 0x20 && unit < 0x7f ? static_cast<char>(unit) : '?';
  }
  return text;
}

StatusOr<std::string> ReadAvro(JavaReader& reader, int32_t version) {
  std::string class_name;
  if (version < 3) {
    ASSIGN_OR_RETURN(class_name, reader.ReadUtf("class of an Avro type"));
    RETURN_IF_ERROR(reader.ReadUtf("schema of an Avro type").status());
  } else {
    ASSIGN_OR_RETURN(class_name, ReadStringValue(reader));
    RETURN_IF_ERROR(ReadStringValue(reader).status());
  }
  return "Avro<" + std::string(ShortName(class_name)) + ">";
}

Status ReadVersioned(JavaReader& reader, int depth, SerializerTree* tree) {
  const size_t at = reader.offset();
  if (depth > kMaxDepth) return reader.Error(at, "serializers nest deeper than {}", kMaxDepth);
  ASSIGN_OR_RETURN(tree->class_name, reader.ReadUtf("class of a serializer snapshot"));
  const std::string& class_name = tree->class_name;
  ASSIGN_OR_RETURN(const int32_t version, reader.ReadI32("version of a serializer snapshot"));
  const std::string_view name = ShortName(class_name);
  for (const Composite& composite : kComposites) {
    if (composite.name != name) continue;
    if (version != kCompositeVersion) {
      return reader.Error(at, "expected version {} of {}, found {}", kCompositeVersion, class_name,
                          version);
    }
    return ReadComposite(reader, composite, depth, tree);
  }
  const bool pojo = name == "PojoSerializerSnapshot";
  if (pojo || name == "KryoSerializerSnapshot") return ReadClassAndMaps(reader, pojo, depth, tree);
  if (name == "EnumSerializerSnapshot") {
    ASSIGN_OR_RETURN(tree->type, ReadEnum(reader));
    return OkStatus();
  }
  if (name == "AvroSerializerSnapshot") {
    ASSIGN_OR_RETURN(tree->type, ReadAvro(reader, version));
    return OkStatus();
  }
  if (name == "RowDataSerializerSnapshot") {
    return reader.Error(at, "the type {} cannot be read here", class_name);
  }
  // Basic types have no body; version 2 named the serializer.
  if (version == 2) {
    ASSIGN_OR_RETURN(const std::string named, reader.ReadUtf("class of a serializer"));
    const std::string type = BasicTypeName(name);
    const bool of_class = type == "Value" || type == "CopyableValue" || type == "Writable";
    tree->type = of_class ? std::string(ShortName(named)) : type;
    return OkStatus();
  }
  if (version == kSimpleVersion) {
    tree->type = BasicTypeName(name);
    return OkStatus();
  }
  return reader.Error(at, "version {} of the type {} cannot be read here", version, class_name);
}

void CollectClasses(const SerializerTree& tree, std::vector<std::string>* classes) {
  if (!tree.class_name.empty()) classes->push_back(tree.class_name);
  for (const SerializerTree& nested : tree.nested) CollectClasses(nested, classes);
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
  SerializerTree tree;
  RETURN_IF_ERROR(ReadVersioned(reader, 0, &tree));
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

StatusOr<SerializerTree> ParseSerializerSnapshot(std::string_view snapshot) {
  JavaReader reader(snapshot);
  SerializerTree tree;
  RETURN_IF_ERROR(ReadVersioned(reader, 0, &tree));
  RETURN_IF_ERROR(reader.ExpectEnd("a serializer snapshot"));
  return tree;
}

StatusOr<std::vector<std::string>> SerializerSnapshotClasses(std::string_view snapshot) {
  ASSIGN_OR_RETURN(const SerializerTree tree, ParseSerializerSnapshot(snapshot));
  std::vector<std::string> classes;
  CollectClasses(tree, &classes);
  return classes;
}

StatusOr<std::string> SerializerSnapshotClass(std::string_view snapshot) {
  JavaReader reader(snapshot);
  return reader.ReadUtf("class of a serializer snapshot");
}

std::string TypeNameOf(std::string_view snapshot) {
  JavaReader reader(snapshot);
  SerializerTree tree;
  if (ReadVersioned(reader, 0, &tree).ok()) return tree.type;
  const StatusOr<std::string> class_name = SerializerSnapshotClass(snapshot);
  return class_name.ok() ? *class_name : "an unknown type";
}

}  // namespace flink::snapshot
