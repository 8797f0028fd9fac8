// In which forms keyed state is refused, and that files are read for it as they are found.

#include "common/snapshot/state_form.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "common/io/file_system.h"
#include "common/io/temp_directory.h"
#include "common/snapshot/heap_state.h"
#include "common/snapshot/keyed_state_header.h"
#include "common/snapshot/serializer_snapshot.h"
#include "common/snapshot/stream_content.h"

namespace flink::snapshot {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kByte[] =
    "org.apache.flink.api.common.typeutils.base.ByteSerializer$ByteSerializerSnapshot";

std::string Kryo() {
  JavaWriter writer;
  writer.WriteUtf("org.apache.flink.api.java.typeutils.runtime.kryo.KryoSerializerSnapshot");
  writer.WriteI32(2);
  writer.WriteUtf("a.Type");
  for (int map = 0; map < 3; ++map) {
    writer.WriteI64(0x000004F2C69A3D70);
    writer.WriteI32(0);
  }
  return writer.TakeBytes();
}

/// One service with this number of timers, all of whose bytes are `timers`.
std::string RawGroup(const std::string& key, int32_t count, const std::string& timers) {
  JavaWriter writer;
  writer.WriteI32(static_cast<int32_t>(0xF1CD859F));
  writer.WriteI32(2);
  writer.WriteI32(1);
  writer.WriteUtf("user-timers");
  writer.WriteBytes(key);
  writer.WriteBytes(SimpleSerializerSnapshot(kByte));
  writer.WriteI32(count);
  writer.WriteBytes(timers);
  if (count == 0) writer.WriteI32(0);
  return writer.TakeBytes();
}

/// Key groups from 64 on.
KeyGroupsHandle Groups(const std::vector<std::string>& groups, std::string* bytes) {
  KeyGroupsHandle handle;
  handle.kind = KeyGroupsHandle::Kind::kKeyGroups;
  handle.start_key_group = 64;
  for (const std::string& group : groups) {
    handle.offsets.push_back(static_cast<int64_t>(bytes->size()));
    *bytes += group;
  }
  return handle;
}

OperatorSnapshot Raw(const std::vector<std::string>& groups) {
  std::string bytes;
  KeyGroupsHandle handle = Groups(groups, &bytes);
  handle.stream = InlineHandle{"raw", bytes};
  OperatorSnapshot op;
  op.subtasks[0].raw_keyed_state = handle;
  return op;
}

TEST(StateFormTest, WithoutTimersRawTimersAreNothingWhateverTheirKeysAre) {
  const std::string byte = SimpleSerializerSnapshot(kByte);
  for (const std::string& key : {byte, Kryo()}) {
    EXPECT_EQ(FormProblemOf(Raw({RawGroup(key, 0, ""), RawGroup(key, 0, "")}), "/").value(), "");
  }
}

TEST(StateFormTest, TheFirstTimerDecides) {
  const std::string byte = SimpleSerializerSnapshot(kByte);
  const std::string none = RawGroup(byte, 0, "");
  // Nothing behind the number of timers is looked at: neither they nor other key groups.
  for (const std::string& some : {RawGroup(byte, 1 << 30, ""), RawGroup(Kryo(), 1, "xyz")}) {
    EXPECT_THAT(FormProblemOf(Raw({none, some, "damaged"}), "/").value(),
                HasSubstr("it has timers on the heap beside its RocksDB state"));
  }
  EXPECT_THAT(FormProblemOf(Raw({none, "of its own: x"}), "/").value(),
              HasSubstr("it has raw state, which only its class in Apache Flink reads"));
  EXPECT_THAT(FormProblemOf(Raw({none + "more"}), "/").value(), HasSubstr("it has raw state"));
  const auto cut = FormProblemOf(Raw({none, none.substr(0, none.size() - 1)}), "/");
  EXPECT_EQ(cut.status().code(), absl::StatusCode::kDataLoss);
  EXPECT_THAT(Message(cut.status()), HasSubstr("key group 65"));
}

// More than is read at first.
TEST(StateFormTest, ServicesAreReadHoweverLongTheyAre) {
  std::string many(RawGroup(SimpleSerializerSnapshot(kByte), 0, ""));
  const std::string service = many.substr(12);
  constexpr int kServices = 2000;
  for (int i = 1; i < kServices; ++i) many += service;
  JavaWriter count;
  count.WriteI32(kServices);
  many.replace(8, 4, count.bytes());
  ASSERT_GT(many.size(), 128u << 10);
  EXPECT_EQ(FormProblemOf(Raw({many}), "/").value(), "");
  EXPECT_THAT(FormProblemOf(Raw({many + "more"}), "/").value(), HasSubstr("it has raw state"));
  many.replace(many.size() - 1, 1, "\1");
  EXPECT_THAT(FormProblemOf(Raw({many}), "/").value(), HasSubstr("it has timers"));
}

// What is damaged may look as if it went on: the JobManager does not read gigabytes of it.
TEST(StateFormTest, ServicesThatDoNotEndAreAnError) {
  std::string many(RawGroup(SimpleSerializerSnapshot(kByte), 0, ""));
  const std::string service = many.substr(12);
  const auto services = static_cast<int32_t>((17 << 20) / service.size());
  many.reserve((17 << 20) + service.size());
  for (int32_t i = 1; i < services; ++i) many += service;
  JavaWriter count;
  count.WriteI32(services);
  many.replace(8, 4, count.bytes());
  many.replace(many.size() - 1, 1, "\1");
  ASSERT_GT(many.size(), 16u << 20);
  EXPECT_EQ(FormProblemOf(Raw({many}), "/").status().code(), absl::StatusCode::kDataLoss);
}

TEST(StateFormTest, RocksDbFilesThatWereMergedAreRefused) {
  IncrementalHandle files;
  files.meta = InlineHandle{"meta", ""};
  files.shared_files = {{"000007.sst", FileHandle{"/d/a", 5}}};
  files.private_files = {{"CURRENT", InlineHandle{"b", "x"}},
                         {"MANIFEST", RelativeFileHandle{"c", 5}}};
  OperatorSnapshot op;
  op.subtasks[0].managed_keyed_state = files;
  EXPECT_EQ(FormProblemOf(op, "/").value(), "");
  for (const StreamStateHandle& part :
       {StreamStateHandle(FileSegmentHandle{100, 5, 1, "/d/merged", "id"}),
        StreamStateHandle(OpaqueStreamHandle{"\3"})}) {
    for (auto list : {&IncrementalHandle::shared_files, &IncrementalHandle::private_files}) {
      IncrementalHandle merged = files;
      (merged.*list).push_back({"000008.sst", part});
      op.subtasks[0].managed_keyed_state = merged;
      EXPECT_THAT(FormProblemOf(op, "/").value(),
                  HasSubstr("its keyed state has RocksDB files that are no files of their own"));
    }
  }
}

class StateFormFileTest : public ::testing::Test {
 protected:
  /// Writes `bytes`, which `check` reads, and cuts them while the file is open: a mapped one would
  /// end the process.
  void CutBehind(const std::string& bytes, KeyGroupsHandle* handle,
                 const std::function<Status(const StreamRanges&)>& check) {
    handle->stream = FileHandle{path_, static_cast<int64_t>(bytes.size())};
    ASSERT_TRUE(io::WriteFileDurably(path_, bytes).ok());
    const auto ranges = StreamRanges::Open(handle->stream, "/");
    ASSERT_TRUE(ranges.ok() && check(*ranges).ok());
    std::filesystem::resize_file(path_, bytes.size() / 4);
    EXPECT_THAT(Message(check(*ranges)), HasSubstr(path_));
  }

  io::TempDirectory directory_ = io::TempDirectory::Create("form").value();
  std::string path_ = directory_.File("state");
};

TEST_F(StateFormFileTest, AFileThatShrinksMeanwhileIsAnError) {
  KeyedStateHeader header;
  header.key_serializer = SimpleSerializerSnapshot(kByte);
  std::string bytes = SerializeKeyedStateHeader(header).value();
  std::vector<std::string> groups;
  for (int32_t number = 64; number < 128; ++number) {
    JavaWriter group;
    group.WriteI32(number);
    groups.push_back(group.bytes() + std::string(100, '\0'));
  }
  KeyGroupsHandle handle = Groups(groups, &bytes);
  CutBehind(bytes, &handle,
            [&](const StreamRanges& ranges) { return HoldsRows(handle, header, ranges).status(); });
  OperatorSnapshot op;
  op.subtasks[0].managed_keyed_state = handle;
  EXPECT_THAT(Message(FormProblemOf(op, "/").status()), HasSubstr(path_));
}

TEST_F(StateFormFileTest, ARawFileThatShrinksMeanwhileIsAnError) {
  const std::string none = RawGroup(SimpleSerializerSnapshot(kByte), 0, "");
  std::string bytes;
  KeyGroupsHandle handle = Groups(std::vector<std::string>(256, none), &bytes);
  CutBehind(bytes, &handle,
            [&](const StreamRanges& ranges) { return HoldsRawTimers(handle, ranges).status(); });
  OperatorSnapshot op;
  op.subtasks[0].raw_keyed_state = handle;
  EXPECT_THAT(Message(FormProblemOf(op, "/").status()), HasSubstr(path_));
}

TEST_F(StateFormFileTest, AStreamOfTheNestedFormIsNamedAsThat) {
  KeyGroupsHandle handle;
  handle.kind = KeyGroupsHandle::Kind::kKeyGroups;
  handle.offsets = {0};
  handle.stream = OpaqueStreamHandle{"\3"};
  OperatorSnapshot managed;
  managed.subtasks[0].managed_keyed_state = handle;
  OperatorSnapshot raw;
  raw.subtasks[0].raw_keyed_state = handle;
  for (const OperatorSnapshot& op : {managed, raw}) {
    EXPECT_THAT(Message(FormProblemOf(op, "/").status()),
                HasSubstr("the nested key-group form of old Flink releases"));
  }
}

}  // namespace
}  // namespace flink::snapshot
