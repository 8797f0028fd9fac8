// Where entries of heap state end, for every type whose values say so.

#include "common/snapshot/heap_state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "common/snapshot/serializer_snapshot.h"

namespace flink::snapshot {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kBase[] = "org.apache.flink.api.common.typeutils.base.";
constexpr char kRuntime[] = "org.apache.flink.api.java.typeutils.runtime.";

std::string Basic(const std::string& type) {
  return SimpleSerializerSnapshot(kBase + type + "Serializer$" + type + "SerializerSnapshot");
}
std::string Made(const std::string& class_name, const std::vector<std::string>& nested,
                 int32_t version = 1, const std::string& body = "") {
  return CompositeSerializerSnapshot(class_name, version, body, nested);
}
std::string VoidNamespace() {
  return SimpleSerializerSnapshot(
      "org.apache.flink.runtime.state.VoidNamespaceSerializer$VoidNamespaceSerializerSnapshot");
}
std::string Utf(const std::string& text) {
  JavaWriter writer;
  writer.WriteUtf(text);
  return writer.TakeBytes();
}
std::string Kryo() {
  JavaWriter writer;
  writer.WriteUtf(std::string(kRuntime) + "kryo.KryoSerializerSnapshot");
  writer.WriteI32(2);
  writer.WriteUtf("a.Type");
  for (int map = 0; map < 3; ++map) {
    writer.WriteI64(0x000004F2C69A3D70);
    writer.WriteI32(0);
  }
  return writer.TakeBytes();
}
/// Of a class with one field.
std::string Pojo(const std::string& field) {
  JavaWriter writer;
  writer.WriteUtf(std::string(kRuntime) + "PojoSerializerSnapshot");
  writer.WriteI32(2);
  writer.WriteUtf("a.Pojo");
  for (int map = 0; map < 3; ++map) {
    writer.WriteI64(0x000004F2C69A3D70);
    writer.WriteI32(map == 0 ? 1 : 0);
    if (map != 0) continue;
    writer.WriteUtf("field");
    writer.WriteBool(false);
    writer.WriteBool(true);
    writer.WriteSizedBytes(field);
  }
  return writer.TakeBytes();
}
std::string Bytes(std::initializer_list<int> bytes) {
  std::string text;
  for (const int byte : bytes) text += static_cast<char>(byte);
  return text;
}

struct Stream {
  KeyedStateHeader header;
  KeyGroupsHandle handle;
  std::string bytes;
};

/// One key group with these values of a state by Byte, and a state behind it that holds one entry.
Stream StreamOf(const std::string& type, const std::string& kind,
                const std::vector<std::string>& values) {
  Stream stream;
  stream.header.key_serializer = Basic("Byte");
  stream.header.states = {
      StateMetaInfo::KeyValue("tested", kind, VoidNamespace(), type),
      StateMetaInfo::KeyValue("behind", "VALUE", VoidNamespace(), Basic("Int"))};
  stream.bytes = SerializeKeyedStateHeader(stream.header).value();
  stream.handle.kind = KeyGroupsHandle::Kind::kKeyGroups;
  stream.handle.start_key_group = 7;
  stream.handle.offsets = {static_cast<int64_t>(stream.bytes.size())};
  JavaWriter group;
  group.WriteI32(7);
  group.WriteI16(0);
  group.WriteI32(static_cast<int32_t>(values.size()));
  for (const std::string& value : values) group.WriteBytes(Bytes({0, 9}) + value);
  group.WriteI16(1);
  group.WriteI32(1);
  group.WriteBytes(Bytes({0, 9, 1, 2, 3, 4}));
  stream.bytes += group.TakeBytes();
  return stream;
}

StatusOr<HeapStateCounts> Count(const Stream& stream) {
  return CountHeapState(stream.handle, stream.header, stream.bytes);
}

TEST(HeapStateTest, ValuesOfEveryTypeAreReadToTheirEnd) {
  const std::string row = std::string(kRuntime) + "RowSerializer$RowSerializerSnapshot";
  const std::string list = std::string(kBase) + "ListSerializerSnapshot";
  struct Case {
    std::string type;
    std::vector<std::string> values;
  };
  const std::vector<Case> cases = {
      {Basic("Short"), {Bytes({1, 2})}},
      {Basic("String"), {Bytes({0}), Bytes({1}), Bytes({3, 'a', 0xe9, 1})}},
      // Not one more than its characters, as a String: there is no null.
      {SimpleSerializerSnapshot(std::string(kBase) + "StringValueSerializer$"
                                                     "StringValueSerializerSnapshot"),
       {Bytes({0}), Bytes({2, 'a', 0xe9, 1}), Bytes({3, 0xac, 0xc1, 3, 'b', 'c'})}},
      {Basic("BigInt"), {Bytes({0, 0, 0, 0}), Bytes({0, 0, 0, 3}), Bytes({0, 0, 0, 6, 1, 2})}},
      {Basic("BigDec"),
       {Bytes({0, 0, 0, 0}), Bytes({0, 0, 0, 5, 7, 0, 0, 0, 2}), Bytes({0, 0, 0, 1, 0, 0, 0, 0})}},
      {Basic("SqlTimestamp"), {std::string(12, '\1')}},
      {Basic("LocalDateTime"), {std::string(13, '\1')}},
      {SimpleSerializerSnapshot(std::string(kBase) + "array.LongPrimitiveArraySerializer$"
                                                     "LongPrimitiveArraySerializerSnapshot"),
       {Bytes({0, 0, 0, 0}), Bytes({0, 0, 0, 1}) + std::string(8, '\1')}},
      {SimpleSerializerSnapshot(std::string(kBase) +
                                "array.StringArraySerializer$StringArraySerializerSnapshot"),
       {Bytes({0, 0, 0, 2, 0, 2, 'a'})}},
      {Made(list, {Made(list, {Basic("Byte")})}), {Bytes({0, 0, 0, 2, 0, 0, 0, 1, 5, 0, 0, 0, 0})}},
      {Made(std::string(kBase) + "SetSerializerSnapshot", {Basic("Byte")}),
       {Bytes({0, 0, 0, 2, 1, 0, 5})}},
      {Made(std::string(kBase) + "MapSerializerSnapshot", {Basic("Byte"), Basic("Short")}),
       {Bytes({0, 0, 0, 2, 1, 0, 5, 5, 2, 1})}},
      {Made(std::string(kBase) + "GenericArraySerializerSnapshot", {Basic("Byte")}, 1,
            Utf("java.lang.Byte")),
       {Bytes({0, 0, 0, 2, 0, 1, 5})}},
      {Made(std::string(kRuntime) + "TupleSerializerSnapshot", {Basic("Byte"), Basic("String")}, 2,
            Utf("org.apache.flink.api.java.tuple.Tuple2")),
       {Bytes({1, 2, 'a'})}},
      // Bits in front: kind of the row, then a mark for each null.
      {Made(row, {Basic("Byte"), Basic("Short")}, 4, Bytes({1})),
       {Bytes({0x00, 1, 2, 2}), Bytes({0x20, 2, 2}), Bytes({0xf0})}},
      {Made(row, {Basic("Byte"), Basic("Short")}, 4, Bytes({0})),
       {Bytes({0x80, 2, 2}), Bytes({0x40, 1})}},
      {Made(row, {Basic("Byte"), Basic("Short")}, 3), {Bytes({0xc0}), Bytes({0, 1, 2, 2})}},
      {Made(std::string(kRuntime) + "NullableSerializer$NullableSerializerSnapshot",
            {Basic("Short")}, 2, Bytes({0, 0, 0, 2})),
       {Bytes({1, 0, 0}), Bytes({0, 1, 2})}},
      {Made(std::string(kRuntime) + "JavaEitherSerializerSnapshot",
            {Basic("Byte"), Basic("Short")}),
       {Bytes({1, 1}), Bytes({0, 2, 2})}},
      {Made("org.apache.flink.runtime.state.ttl.TtlStateFactory$TtlSerializerSnapshot",
            {Basic("Long"), Basic("Byte")}, 2),
       {std::string(9, '\1')}},
  };
  for (const Case& given : cases) {
    const std::string where = TypeNameOf(given.type);
    const Stream stream = StreamOf(given.type, "VALUE", given.values);
    const auto counts = Count(stream);
    ASSERT_TRUE(counts.ok()) << where << ": " << counts.status();
    EXPECT_THAT(counts->reason, IsEmpty()) << where;
    size_t bytes = 0;
    for (const std::string& value : given.values) bytes += 2 + value.size();
    EXPECT_EQ(counts->states[0].entries, static_cast<int64_t>(given.values.size())) << where;
    EXPECT_EQ(counts->states[0].bytes, static_cast<int64_t>(bytes)) << where;
    EXPECT_EQ(counts->states[1].entries, 1) << where;
    EXPECT_EQ(counts->states[1].bytes, 6) << where;
    for (size_t size = stream.bytes.size();
         size-- > static_cast<size_t>(stream.handle.offsets[0]);) {
      Stream cut = stream;
      cut.bytes.resize(size);
      EXPECT_FALSE(Count(cut).ok()) << where << " " << size;
    }
  }
}

TEST(HeapStateTest, AMapHasAnEntryPerKey) {
  const auto counts = Count(StreamOf(
      Made(std::string(kBase) + "MapSerializerSnapshot", {Basic("Byte"), Basic("Byte")}), "MAP",
      {Bytes({0, 0, 0, 2, 1, 0, 5, 2, 1}), Bytes({0, 0, 0, 0}), Bytes({0, 0, 0, 1, 1, 0, 5})}));
  ASSERT_TRUE(counts.ok()) << counts.status();
  EXPECT_EQ(counts->states[0].entries, 3);
}

TEST(HeapStateTest, BehindValuesThatOnlyTheirClassCanReadNothingIsKnown) {
  const auto counts = Count(StreamOf(Kryo(), "VALUE", {"abc", "abcdef"}));
  ASSERT_TRUE(counts.ok()) << counts.status();
  EXPECT_EQ(counts->states[0].entries, 2);
  EXPECT_EQ(counts->states[0].bytes, std::nullopt);
  EXPECT_EQ(counts->states[1].entries, std::nullopt);
  EXPECT_EQ(counts->states[1].bytes, std::nullopt);
  EXPECT_EQ(counts->reason,
            "where a value of the type Kryo<Type> ends is known only to its class, so the bytes of "
            "the state \"tested\" are unknown, and the states behind it");
  // As long as there is none, everything is.
  const auto none = Count(StreamOf(Kryo(), "VALUE", {}));
  ASSERT_TRUE(none.ok()) << none.status();
  EXPECT_EQ(none->states[0].bytes, 0);
  EXPECT_EQ(none->states[1].entries, 1);
  EXPECT_THAT(none->reason, IsEmpty());
}

// What is known of its start does not make a shorter row of it.
TEST(HeapStateTest, AFieldThatIsKnownInPartIsUnknown) {
  JavaWriter later;
  later.WriteUtf(std::string(kBase) + "ShortSerializer$ShortSerializerSnapshot");
  later.WriteI32(9);
  const std::string row = std::string(kRuntime) + "RowSerializer$RowSerializerSnapshot";
  const auto pojo_of = [&](const std::string& second) {
    return Pojo(Made(row, {Basic("Byte"), second, Basic("Byte")}, 4, Bytes({0})));
  };
  const std::string value = Bytes({2, 0, 0, 1, 0, 2, 3});
  const auto known = Count(StreamOf(pojo_of(Basic("Short")), "VALUE", {value}));
  ASSERT_TRUE(known.ok()) << known.status();
  EXPECT_EQ(known->states[0].bytes, 2 + static_cast<int64_t>(value.size()));
  EXPECT_EQ(known->states[1].entries, 1);
  const auto counts = Count(StreamOf(pojo_of(later.bytes()), "VALUE", {value}));
  ASSERT_TRUE(counts.ok()) << counts.status();
  EXPECT_EQ(counts->states[0].entries, 1);
  EXPECT_EQ(counts->states[0].bytes, std::nullopt);
  EXPECT_THAT(counts->reason, HasSubstr("where a value of the type ? ends"));
}

TEST(HeapStateTest, DamageIsNamedWithItsKeyGroup) {
  Stream other_group = StreamOf(Basic("Int"), "VALUE", {});
  other_group.handle.start_key_group = 8;
  Stream too_many = StreamOf(Basic("Int"), "VALUE", {});
  const auto count_at = static_cast<size_t>(too_many.handle.offsets[0]) + 6;
  too_many.bytes.replace(count_at, 4, Bytes({0x7f, 0xff, 0xff, 0xff}));
  Stream same_state = StreamOf(Basic("Int"), "VALUE", {});
  same_state.bytes[count_at + 5] = 0;
  Stream longer = StreamOf(Basic("Int"), "VALUE", {});
  longer.bytes += "x";
  Stream outside = StreamOf(Basic("Int"), "VALUE", {});
  outside.handle.offsets[0] = static_cast<int64_t>(outside.bytes.size()) + 1;
  const std::vector<std::pair<Stream, std::string>> cases = {
      {other_group, "expected number of a key group (8), found 7"},
      {too_many, "number of entries is 2147483647, but only"},
      {same_state, "expected the id of another one of 2 states, found 0"},
      {longer, "expected the end of a key group, but 1 bytes follow"},
      {outside, "does not lie in the stream"}};
  for (const auto& [stream, text] : cases) {
    const auto counts = Count(stream);
    ASSERT_FALSE(counts.ok()) << text;
    EXPECT_EQ(counts.status().code(), absl::StatusCode::kDataLoss);
    EXPECT_THAT(Message(counts.status()), HasSubstr("key group "));
    EXPECT_THAT(Message(counts.status()), HasSubstr(text));
  }
}

bool Rows(const Stream& stream) {
  return HoldsRows(stream.handle, stream.header, StreamRanges(stream.bytes)).value();
}

// Group 0 is the only one whose number a row can begin with.
TEST(HeapStateTest, RowsAreToldFromHeapStateInASingleGroup) {
  Stream heap = StreamOf(Basic("Int"), "VALUE", {Bytes({0, 0, 0, 1})});
  EXPECT_FALSE(Rows(heap));
  heap.handle.start_key_group = 0;
  heap.bytes[static_cast<size_t>(heap.handle.offsets[0]) + 3] = 0;
  EXPECT_FALSE(Rows(heap));
  Stream rows = heap;
  rows.bytes.resize(static_cast<size_t>(rows.handle.offsets[0]));
  // State 0; key of three bytes with the mark that the end follows; value; end.
  rows.bytes += Bytes({0, 0, 0, 0, 0, 3, 0x80, 9, 0, 0, 0, 0, 4, 1, 2, 3, 4, 0xff, 0xff});
  EXPECT_TRUE(Rows(rows));
  rows.handle.kind = KeyGroupsHandle::Kind::kLegacy;
  EXPECT_TRUE(Rows(rows));
}

/// Key group 0 alone, as before Flink 1.13, of which `states` states are known.
bool RowsInGroup0(const std::string& group, size_t states) {
  Stream stream;
  stream.header.key_serializer = Basic("Byte");
  for (size_t i = 0; i < states; ++i) {
    stream.header.states.push_back(
        StateMetaInfo::KeyValue(std::to_string(i), "VALUE", VoidNamespace(), Basic("Int")));
  }
  stream.bytes = SerializeKeyedStateHeader(stream.header).value();
  stream.handle.kind = KeyGroupsHandle::Kind::kLegacy;
  stream.handle.offsets = {static_cast<int64_t>(stream.bytes.size())};
  stream.bytes += group;
  return Rows(stream);
}

// Frames stand where rows have the length of a key, and look like a long one.
TEST(HeapStateTest, CompressedHeapStateOfKeyGroup0IsNotTakenForRows) {
  Stream stream;
  stream.header.compressed = true;
  stream.header.key_serializer = Basic("Byte");
  stream.header.states.push_back(
      StateMetaInfo::KeyValue("seen", "VALUE", VoidNamespace(), Basic("Int")));
  stream.bytes = SerializeKeyedStateHeader(stream.header).value();
  stream.handle.kind = KeyGroupsHandle::Kind::kKeyGroups;
  stream.handle.offsets = {static_cast<int64_t>(stream.bytes.size())};
  const std::string frames = Bytes({0xff, 6, 0, 0, 's', 'N', 'a', 'P', 'p', 'Y'});
  const std::string bytes = stream.bytes;
  stream.bytes = bytes + Bytes({0, 0, 0, 0}) + frames;
  EXPECT_FALSE(Rows(stream));
  stream.bytes = bytes + frames;
  EXPECT_TRUE(Rows(stream));
}

TEST(HeapStateTest, TheFirstRowOfKeyGroup0Decides) {
  const std::string row = Bytes({0, 0, 0, 0, 0, 3, 0x00, 9, 0, 0, 0, 0, 4, 1, 2, 3, 4});
  // Damaged behind it, they are rows all the same.
  for (const std::string& rest : {std::string(), Bytes({0}), std::string(20, '\xff')}) {
    EXPECT_TRUE(RowsInGroup0(row + rest, 1)) << rest.size();
  }
  for (size_t size = 6; size < row.size(); ++size) {
    EXPECT_TRUE(RowsInGroup0(row.substr(0, size) + std::string(5, '\0'), 1)) << size;
  }
  // Where a state on the heap can have the length of the key for its id, more of it is looked at.
  const std::string next = row.substr(2);
  EXPECT_TRUE(RowsInGroup0(row + next + next + next + next, 5));
  EXPECT_TRUE(RowsInGroup0(row, 5));
  std::string last = row;
  last[6] = '\x80';
  EXPECT_TRUE(RowsInGroup0(last, 5));
  EXPECT_TRUE(RowsInGroup0(last + Bytes({0xff, 0xff}), 5));
  EXPECT_TRUE(RowsInGroup0(last + Bytes({0, 4}) + next, 5));
  EXPECT_FALSE(RowsInGroup0(last + Bytes({0, 5}) + next, 5));
  std::string other_group = row;
  other_group[6] = 1;
  EXPECT_FALSE(RowsInGroup0(other_group, 5));
}

// The id of its first state stands where rows have the length of a key.
TEST(HeapStateTest, HeapStateOfKeyGroup0IsToldWhateverItsFirstStateIs) {
  for (int first = 0; first < 6; ++first) {
    for (int count = 0; count < 2; ++count) {
      JavaWriter group;
      group.WriteI32(0);
      for (int nth = 0; nth < 6; ++nth) {
        group.WriteI16(static_cast<int16_t>((first + nth) % 6));
        group.WriteI32(count);
        if (count == 1) group.WriteBytes(Bytes({0, 9, 0, 0, 0, 1}));
      }
      EXPECT_FALSE(RowsInGroup0(group.bytes(), 6)) << first << " " << count;
    }
  }
}

}  // namespace
}  // namespace flink::snapshot
