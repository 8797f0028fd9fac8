// The layout of canonical keyed streams, written out: the expected bytes come from a writer that is
// not ours (flink_savepoint_logic.py, proven against Flink 1.20).

#include "taskmanager/state/canonical_format.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <tuple>

#include "flink/state/timer_queue.h"
#include "flink/state/value_table.h"
#include "taskmanager/state/keyed_state_restore.h"
#include "tests/unit/taskmanager/state/canonical_harness.h"

namespace flink::taskmanager {
namespace {

using snapshot::InlineHandle;
using snapshot::KeyGroupsHandle;
using ::testing::HasSubstr;

/// Blanks between digits are for the reader.
std::string Hex(std::string_view text) {
  std::string digits;
  for (const char c : text) {
    if (c != ' ') digits += c;
  }
  std::string bytes;
  for (size_t i = 0; i < digits.size(); i += 2) {
    bytes += static_cast<char>(std::stoul(digits.substr(i, 2), nullptr, 16));
  }
  return bytes;
}
std::string Utf(const std::string& text) {
  return std::string{static_cast<char>(text.size() >> 8), static_cast<char>(text.size())} + text;
}

std::string Base(const std::string& name) {
  return Utf("org.apache.flink.api.common.typeutils.base." + name) + Hex("00000003");
}
std::string Long() { return Base("LongSerializer$LongSerializerSnapshot"); }
std::string Int() { return Base("IntSerializer$IntSerializerSnapshot"); }
std::string Text() { return Base("StringSerializer$StringSerializerSnapshot"); }
std::string VoidNamespace() {
  return Utf("org.apache.flink.runtime.state.VoidNamespaceSerializer$"
             "VoidNamespaceSerializerSnapshot") +
         Hex("00000003");
}
/// Tuple2<String,Integer>.
std::string Pair() {
  return Utf("org.apache.flink.api.java.typeutils.runtime.TupleSerializerSnapshot") +
         Hex("00000003 000DE704 00000002") + Utf("org.apache.flink.api.java.tuple.Tuple2") +
         Hex("001457FD 00000001 00000002") + Text() + Int();
}
std::string ValueState(const std::string& name, const std::string& value,
                       const std::string& name_space) {
  return Utf(name) + Hex("00000000 00000001") + Utf("KEYED_STATE_TYPE") + Utf("VALUE") +
         Hex("00000002") + Utf("VALUE_SERIALIZER") + Hex("00000002") + value +
         Utf("NAMESPACE_SERIALIZER") + Hex("00000002") + name_space;
}
std::string Timers(const std::string& name) {
  return Utf(name) + Hex("00000003 00000000 00000001") + Utf("VALUE_SERIALIZER") + Hex("00000002") +
         Utf("org.apache.flink.streaming.api.operators.TimerSerializerSnapshot") +
         Hex("00000003 000DE704 00000002 001457FD 00000001 00000002") + Long() + VoidNamespace();
}

/// Offsets of groups with rows, by group.
std::map<int, int64_t> Filled(const KeyGroupsHandle& handle) {
  std::map<int, int64_t> filled;
  for (size_t i = 0; i < handle.offsets.size(); ++i) {
    if (handle.offsets[i] != 0)
      filled[handle.start_key_group + static_cast<int>(i)] = handle.offsets[i];
  }
  return filled;
}

TEST(CanonicalFormat, ValuesAndTimersStandAsFlinkWritesThem) {
  CanonicalHarness harness;
  auto backend = harness.Open({0, 127}, 128);
  ValueTable<int64_t, int64_t> v(*backend, "v");
  ValueTable<int64_t, std::pair<std::string, int32_t>> t(*backend, "t");
  TimerQueue<int64_t> processing(*backend, TimerQueue<int64_t>::Processing("user-timers"));
  TimerQueue<int64_t> event(*backend, TimerQueue<int64_t>::Event("user-timers"));
  v.Upsert(42, v.Hash(42)) = -1;
  v.Upsert(1, v.Hash(1)) = 10;
  t.Upsert(1, t.Hash(1)) = {"é", 7};
  event.Register(1744381408632, 1);
  processing.Register(-5, 42);
  const KeyGroupsHandle handle = harness.Take(*backend);
  EXPECT_EQ(handle.kind, KeyGroupsHandle::Kind::kSavepoint);
  EXPECT_EQ(Filled(handle), (std::map<int, int64_t>{{29, 1523}, {86, 1581}}));
  const std::string header =
      Hex("00000006 00 00000002") + Long() + Hex("0004") +
      ValueState("v", Long(), VoidNamespace()) + ValueState("t", Pair(), VoidNamespace()) +
      Timers("_timer_state/processing_user-timers") + Timers("_timer_state/event_user-timers");
  const std::string data =
      // Group 29: state 0, key 42 (its last row, so marked), then state 2, then the end.
      Hex("0000 0000000A 9D 000000000000002A 00 00000008 FFFFFFFFFFFFFFFF") +
      Hex("0002 00000012 9D 7FFFFFFFFFFFFFFB 000000000000002A 00 00000000 FFFF") +
      // Group 86: states 0, 1 and 3.
      Hex("0000 0000000A D6 0000000000000001 00 00000008 000000000000000A") +
      Hex("0001 0000000A D6 0000000000000001 00 00000007 02E901 00000007") +
      Hex("0003 00000012 D6 80000196253BF578 0000000000000001 00 00000000 FFFF");
  EXPECT_EQ(CanonicalHarness::BytesOf(handle), header + data);
}

TEST(CanonicalFormat, WideKeyGroupsAndAmbiguousKeysStandAsFlinkWritesThem) {
  using Key = NamespacedKey<std::pair<std::string, int32_t>, std::string>;
  CanonicalHarness harness;
  auto backend = harness.Open({0, 4095}, 4096);
  ValueTable<Key, int32_t> n(*backend, "n");
  const Key key{{"ab", 5}, "w"};
  n.Upsert(key, n.Hash(key)) = 9;
  const KeyGroupsHandle handle = harness.Take(*backend);
  EXPECT_EQ(Filled(handle), (std::map<int, int64_t>{{933, 580}}));
  EXPECT_EQ(CanonicalHarness::BytesOf(handle),
            Hex("00000006 00 00000002") + Pair() + Hex("0001") + ValueState("n", Int(), Text()) +
                // Group, key, its length 7, namespace, its length 2.
                Hex("0000 0000000D 83A5 036162 00000005 07 0277 02 00000004 00000009 FFFF"));
}

TEST(CanonicalFormat, AnOperatorWithoutEntriesHasAHeaderAndNoGroups) {
  CanonicalHarness harness;
  auto backend = harness.Open({0, 127}, 128);
  ValueTable<int64_t, int64_t> v(*backend, "v");
  const KeyGroupsHandle handle = harness.Take(*backend);
  EXPECT_EQ(handle.offsets, std::vector<int64_t>(128, 0));
  EXPECT_EQ(CanonicalHarness::BytesOf(handle), Hex("00000006 00 00000002") + Long() + Hex("0001") +
                                                   ValueState("v", Long(), VoidNamespace()));
}

// ---- Writer and reader alone --------------------------------------------------------------------

std::string SmallHeader() {
  return Hex("00000006 00 00000002") + Long() + Hex("0002") +
         ValueState("a", Long(), VoidNamespace()) + ValueState("b", Long(), VoidNamespace());
}

/// A stream with this data in group 5 of 128.
KeyGroupsHandle Stream(const std::string& data) {
  KeyGroupsHandle handle;
  handle.start_key_group = 5;
  handle.offsets = {static_cast<int64_t>(SmallHeader().size())};
  handle.stream = InlineHandle{"name", SmallHeader() + data};
  return handle;
}

Status ReadGroup(const KeyGroupsHandle& handle, CanonicalReader::Group* group,
                 CanonicalReader* reader) {
  RETURN_IF_ERROR(reader->Open(handle, ""));
  return reader->ReadGroup(5, KeyGroupPrefix(5, 128), group);
}

TEST(CanonicalFormat, RowsComeSortedWhateverTheirOrderInTheStream) {
  CanonicalReader reader;
  CanonicalReader::Group group;
  const Status read =
      ReadGroup(Stream(Hex("0001 00000002 0503 00000001 33 00000002 8501 00000001 31") +
                       Hex("0000 00000002 8509 00000001 39 FFFF")),
                &group, &reader);
  ASSERT_TRUE(read.ok()) << Message(read);
  ASSERT_EQ(group.rows.size(), 3u);
  const char* const expected[] = {"\x05\x09", "\x05\x01", "\x05\x03"};
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(group.rows[i].key, expected[i]);
  EXPECT_EQ(group.rows[0].state, 0);
  EXPECT_EQ(group.rows[2].value, "3");
}

TEST(CanonicalFormat, RowsThatCannotBeAreRefused) {
  const std::map<std::string, std::string> wrong = {
      {Hex("0000 00000002 8609 00000001 39 FFFF"), "a key of another key group"},
      {Hex("0000 00000002 0509 00000001 39 00000002 8509 00000001 39 FFFF"),
       "key of state a twice"},
      {Hex("0002 00000002 8509 00000001 39 FFFF"), "state id below 2, found 2"},
      {Hex("0000 00000000 00000001 39 FFFF"), "a key is empty"},
      {Hex("0000 7FFFFFFF 8509"), "key"},
      {Hex("0000 FFFFFFFF 8509"), "key"},
  };
  for (const auto& [data, text] : wrong) {
    CanonicalReader reader;
    CanonicalReader::Group group;
    const Status read = ReadGroup(Stream(data), &group, &reader);
    ASSERT_FALSE(read.ok()) << text;
    EXPECT_THAT(Message(read), HasSubstr(text));
  }
}

TEST(CanonicalFormat, EveryTruncationIsAnError) {
  const KeyGroupsHandle whole =
      Stream(Hex("0000 00000002 0501 00000001 39 00000002 8509 00000001 39 FFFF"));
  const std::string bytes = std::get<InlineHandle>(whole.stream).bytes;
  for (size_t size = 0; size < bytes.size(); ++size) {
    KeyGroupsHandle cut = whole;
    cut.stream = InlineHandle{"name", bytes.substr(0, size)};
    CanonicalReader reader;
    CanonicalReader::Group group;
    ASSERT_FALSE(ReadGroup(cut, &group, &reader).ok()) << size;
  }
}

// As Flink merges the files of checkpoints.
TEST(CanonicalFormat, AStreamMayBeAPartOfAFile) {
  CanonicalHarness harness;
  KeyGroupsHandle handle = Stream(Hex("0000 00000002 8509 00000001 39 FFFF"));
  const std::string bytes = std::get<InlineHandle>(handle.stream).bytes;
  const std::string path = harness.File("merged");
  ASSERT_TRUE(io::WriteFileDurably(path, "before" + bytes + "behind").ok());
  const auto size = static_cast<int64_t>(bytes.size());
  handle.stream = snapshot::FileSegmentHandle{6, size, 0, path, "id"};
  CanonicalReader reader;
  CanonicalReader::Group group;
  const Status read = ReadGroup(handle, &group, &reader);
  ASSERT_TRUE(read.ok()) << Message(read);
  ASSERT_EQ(group.rows.size(), 1u);
  EXPECT_EQ(group.rows[0].value, "9");
  handle.stream = snapshot::FileSegmentHandle{20, size, 0, path, "id"};
  CanonicalReader beyond;
  EXPECT_THAT(Message(ReadGroup(handle, &group, &beyond)), HasSubstr(path));
}

TEST(CanonicalFormat, OnlyAStreamOverTheThresholdIsAFile) {
  CanonicalHarness harness;
  for (const bool over : {false, true}) {
    const std::string path = harness.File(over ? "over" : "under");
    CanonicalWriter writer({.path = path, .key_groups = {5, 5}, .inline_threshold_bytes = 4000},
                           SmallHeader());
    const int rows = over ? 100'000 : 10;
    for (int i = 0; i < rows; ++i) {
      std::string key = "\x05" + std::to_string(1'000'000 + i);
      ASSERT_TRUE(writer.Add(5, i < rows / 2 ? 0 : 1, key, "value").ok());
    }
    const auto stream = writer.Finish();
    ASSERT_TRUE(stream.ok()) << Message(stream.status());
    EXPECT_EQ(stream->bytes.has_value(), !over);
    EXPECT_EQ(io::Exists(path), over);
    KeyGroupsHandle handle;
    handle.start_key_group = 5;
    handle.offsets = stream->offsets;
    if (over) {
      EXPECT_EQ(stream->checksum, io::Checksum64OfFile(path).value());
      handle.stream = snapshot::FileHandle{path, stream->size};
    } else {
      handle.stream = InlineHandle{"name", *stream->bytes};
    }
    CanonicalReader reader;
    CanonicalReader::Group group;
    ASSERT_TRUE(ReadGroup(handle, &group, &reader).ok());
    ASSERT_EQ(group.rows.size(), static_cast<size_t>(rows));
    EXPECT_EQ(group.rows.back().key, "\x05" + std::to_string(1'000'000 + rows - 1));
    EXPECT_EQ(group.rows.back().state, 1);
  }
}

}  // namespace
}  // namespace flink::taskmanager
