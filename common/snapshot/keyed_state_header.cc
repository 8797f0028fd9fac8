#include "common/snapshot/keyed_state_header.h"

#include "common/snapshot/serializer_snapshot.h"

namespace flink::snapshot {
namespace {

constexpr int32_t kHeaderVersion = 6;
constexpr size_t kMaxStates = 32767;

std::string_view Find(const std::vector<std::pair<std::string, std::string>>& entries,
                      std::string_view key) {
  for (const auto& entry : entries) {
    if (entry.first == key) return entry.second;
  }
  return {};
}

}  // namespace

std::string_view StateMetaInfo::Option(std::string_view key) const { return Find(options, key); }

std::string_view StateMetaInfo::Serializer(std::string_view key) const {
  return Find(serializers, key);
}

StateMetaInfo StateMetaInfo::KeyValue(std::string name, std::string_view type,
                                      std::string namespace_serializer,
                                      std::string value_serializer) {
  StateMetaInfo info;
  info.name = std::move(name);
  info.kind = StateKind::kKeyValue;
  info.options.emplace_back(kKeyedStateTypeOption, type);
  info.serializers.emplace_back(kValueSerializerKey, std::move(value_serializer));
  info.serializers.emplace_back(kNamespaceSerializerKey, std::move(namespace_serializer));
  return info;
}

StateMetaInfo StateMetaInfo::PriorityQueue(std::string name, std::string timer_serializer) {
  StateMetaInfo info;
  info.name = std::move(name);
  info.kind = StateKind::kPriorityQueue;
  info.serializers.emplace_back(kValueSerializerKey, std::move(timer_serializer));
  return info;
}

void WriteStateMetaInfo(JavaWriter& writer, const StateMetaInfo& info) {
  writer.WriteUtf(info.name);
  writer.WriteI32(static_cast<int32_t>(info.kind));
  writer.WriteI32(static_cast<int32_t>(info.options.size()));
  for (const auto& option : info.options) {
    writer.WriteUtf(option.first);
    writer.WriteUtf(option.second);
  }
  writer.WriteI32(static_cast<int32_t>(info.serializers.size()));
  for (const auto& serializer : info.serializers) {
    writer.WriteUtf(serializer.first);
    WriteFramedSerializerSnapshot(writer, serializer.second);
  }
}

StatusOr<StateMetaInfo> ReadStateMetaInfo(JavaReader& reader) {
  StateMetaInfo info;
  ASSIGN_OR_RETURN(info.name, reader.ReadUtf("name of a state"));
  const size_t at = reader.offset();
  ASSIGN_OR_RETURN(const int32_t kind, reader.ReadI32("kind of a state"));
  if (kind < 0 || kind > 4) {
    return reader.Error(at, "expected the kind of state \"{}\" (0 to 4), found {}", info.name,
                        kind);
  }
  info.kind = static_cast<StateKind>(kind);
  ASSIGN_OR_RETURN(const int32_t options, reader.ReadCount("number of options", 4));
  for (int32_t i = 0; i < options; ++i) {
    ASSIGN_OR_RETURN(std::string key, reader.ReadUtf("key of an option"));
    ASSIGN_OR_RETURN(std::string value, reader.ReadUtf("value of an option"));
    info.options.emplace_back(std::move(key), std::move(value));
  }
  ASSIGN_OR_RETURN(const int32_t serializers, reader.ReadCount("number of serializers", 12));
  for (int32_t i = 0; i < serializers; ++i) {
    ASSIGN_OR_RETURN(std::string key, reader.ReadUtf("key of a serializer"));
    StatusOr<std::string> snapshot = ReadFramedSerializerSnapshot(reader);
    if (!snapshot.ok()) return With(snapshot.status(), "{} of state \"{}\"", key, info.name);
    info.serializers.emplace_back(std::move(key), *std::move(snapshot));
  }
  return info;
}

StatusOr<std::string> SerializeKeyedStateHeader(const KeyedStateHeader& header) {
  if (header.states.size() > kMaxStates) {
    return InvalidArgument("an operator has {} keyed states, {} are allowed", header.states.size(),
                           kMaxStates);
  }
  JavaWriter writer;
  writer.WriteI32(kHeaderVersion);
  writer.WriteBool(header.compressed);
  WriteFramedSerializerSnapshot(writer, header.key_serializer);
  writer.WriteI16(static_cast<int16_t>(header.states.size()));
  for (const StateMetaInfo& info : header.states) WriteStateMetaInfo(writer, info);
  RETURN_IF_ERROR(writer.status());
  return writer.TakeBytes();
}

StatusOr<KeyedStateHeader> ParseKeyedStateHeader(std::string_view bytes, size_t* header_size) {
  JavaReader reader(bytes);
  KeyedStateHeader header;
  RETURN_IF_ERROR(reader.ExpectI32(kHeaderVersion, "version of a keyed-state header"));
  ASSIGN_OR_RETURN(header.compressed, reader.ReadBool("compression mark"));
  StatusOr<std::string> key = ReadFramedSerializerSnapshot(reader);
  if (!key.ok()) return With(key.status(), "key serializer");
  header.key_serializer = *std::move(key);
  const size_t at = reader.offset();
  ASSIGN_OR_RETURN(const int16_t states, reader.ReadI16("number of keyed states"));
  if (states < 0) return reader.Error(at, "expected a number of keyed states, found {}", states);
  for (int16_t i = 0; i < states; ++i) {
    ASSIGN_OR_RETURN(StateMetaInfo info, ReadStateMetaInfo(reader));
    header.states.push_back(std::move(info));
  }
  if (header_size != nullptr) *header_size = reader.offset();
  return header;
}

}  // namespace flink::snapshot
