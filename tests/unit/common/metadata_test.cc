#include "common/snapshot/metadata.h"

#include <gtest/gtest.h>

#include <random>
#include <string>

#include "common/graph/operator_id.h"
#include "common/io/file_system.h"
#include "common/io/temp_directory.h"
#include "common/snapshot/java_data.h"

namespace flink::snapshot {
namespace {

SubtaskState SampleSubtask() {
  SubtaskState state;
  OperatorStateHandle list;
  list.states = {{"offsets", DistributionMode::kSplitDistribute, {10, 20, 30}},
                 {"all", DistributionMode::kUnion, {}},
                 {"rules", DistributionMode::kBroadcast, {40}}};
  list.stream = InlineHandle{"some-name", "bytes of the stream"};
  state.managed_operator_state = list;
  IncrementalHandle files;
  files.checkpoint_id = 7;
  files.backend_id = "backend";
  files.start_key_group = 43;
  files.key_group_count = 43;
  files.checkpointed_size = 999;
  files.meta = RelativeFileHandle{"meta-file", 100};
  files.shared_files = {{"000012.sst", FileHandle{"file:/ckp/shared/x", 12345}}};
  files.private_files = {{"MANIFEST", FileHandle{"/ckp/shared/y", 55}}};
  files.state_handle_id = "handle-id";
  state.managed_keyed_state = files;
  KeyGroupsHandle raw;
  raw.kind = KeyGroupsHandle::Kind::kKeyGroups;
  raw.start_key_group = 43;
  raw.offsets = {-1, 4, 0};
  raw.stream = FileSegmentHandle{1, 2, 1, "/segment", "logical"};
  raw.state_handle_id = "raw-id";
  state.raw_keyed_state = raw;
  state.input_channel_state = {{0, 1, 2, {4, 8}, 16, FileHandle{"/channel", 20}, {}}};
  state.output_channel_state = {{1, 0, 3, {}, 0, EmptySegmentHandle{}, {}}};
  return state;
}

CheckpointMetadata SampleMetadata() {
  CheckpointMetadata metadata;
  metadata.checkpoint_id = 42;
  metadata.master_states = {{1, "hook", "state of the hook"}};
  OperatorSnapshot source;
  source.operator_id = OperatorIdFromUid("source");
  source.parallelism = 3;
  source.max_parallelism = 128;
  source.coordinator_state = InlineHandle{"coordinator", "splits"};
  source.subtasks[0].finished = true;
  source.subtasks[1] = SampleSubtask();
  metadata.operators.push_back(source);
  OperatorSnapshot done;
  done.operator_id = OperatorIdFromUid("done");
  done.parallelism = 2;
  done.max_parallelism = 128;
  done.fully_finished = true;
  metadata.operators.push_back(done);
  OperatorSnapshot keyed;
  keyed.operator_id = OperatorIdFromUid("keyed");
  keyed.parallelism = 1;
  keyed.max_parallelism = 4;
  KeyGroupsHandle groups;
  groups.offsets = {0, 100, 0, 200};
  groups.stream = RelativeFileHandle{"0b1c", 300};
  keyed.subtasks[0].managed_keyed_state = groups;
  metadata.operators.push_back(keyed);
  return metadata;
}

TEST(Metadata, WhatIsWrittenIsReadBack) {
  CheckpointMetadata metadata = SampleMetadata();
  const auto bytes = SerializeMetadata(metadata);
  ASSERT_TRUE(bytes.ok()) << bytes.status();
  EXPECT_EQ(bytes->substr(0, 8), std::string("\x49\x60\x67\x2d\0\0\0\4", 8));
  EXPECT_EQ(bytes->substr(bytes->size() - 5), "\xac\xed" + std::string("\0\5\x70", 3));
  const auto read = ParseMetadata(*bytes);
  ASSERT_TRUE(read.ok()) << read.status();
  metadata.properties = std::string("\xac\xed\0\5\x70", 5);
  EXPECT_EQ(*read, metadata);
  EXPECT_EQ(read->FindOperator(OperatorIdFromUid("keyed")), &read->operators[2]);
  EXPECT_EQ(read->FindOperator(OperatorIdFromUid("other")), nullptr);
  EXPECT_TRUE(read->operators[0].HasState());
  EXPECT_FALSE(read->operators[1].HasState());
  // A channel counts with its own part (16) of the file (20) that it shares with others.
  EXPECT_EQ(read->StateSize(), 6 + 19 + 100 + 12345 + 55 + 2 + 16 + 300);
}

TEST(Metadata, EveryTruncationIsAnError) {
  const auto bytes = SerializeMetadata(SampleMetadata());
  ASSERT_TRUE(bytes.ok());
  for (size_t size = 0; size < bytes->size(); ++size) {
    const auto read = ParseMetadata(std::string_view(*bytes).substr(0, size));
    ASSERT_FALSE(read.ok()) << size;
    ASSERT_NE(Message(read.status()).find("at offset "), std::string::npos) << read.status();
  }
}

TEST(Metadata, ChangedBytesNeverCrashTheReader) {
  const auto bytes = SerializeMetadata(SampleMetadata());
  ASSERT_TRUE(bytes.ok());
  std::mt19937 random(20240517);
  for (int round = 0; round < 20000; ++round) {
    std::string damaged = *bytes;
    for (int change = 0; change < 3; ++change) {
      damaged[random() % damaged.size()] = static_cast<char>(random());
    }
    const auto read = ParseMetadata(damaged);
    if (read.ok()) {
      EXPECT_TRUE(SerializeMetadata(*read).ok());
    }
  }
}

TEST(Metadata, UnknownVersionIsNamed) {
  auto bytes = SerializeMetadata(SampleMetadata());
  ASSERT_TRUE(bytes.ok());
  (*bytes)[7] = 7;
  const auto read = ParseMetadata(*bytes);
  ASSERT_FALSE(read.ok());
  EXPECT_NE(Message(read.status()).find("found 7"), std::string::npos) << read.status();
}

/// The frame of an operator without coordinator state and its one subtask, up to the subtask's
/// state.
void WriteFrame(JavaWriter& writer, int32_t version) {
  writer.WriteI32(0x4960672D);
  writer.WriteI32(version);
  writer.WriteI64(9);
  writer.WriteI32(0);
  writer.WriteI32(1);
  if (version >= 5) {
    writer.WriteUtf("a name");
    writer.WriteUtf("a");
  }
  const OperatorId id = OperatorIdFromUid("a");
  for (const uint8_t byte : id.bytes()) writer.WriteU8(byte);
  writer.WriteI32(1);
  writer.WriteI32(128);
  if (version >= 3) {
    writer.WriteU8(0);
  } else {
    writer.WriteI32(1);
  }
  writer.WriteI32(1);
  writer.WriteI32(0);
}

TEST(Metadata, Version2HasDurationsAndNoChannels) {
  JavaWriter writer;
  WriteFrame(writer, 2);
  writer.WriteI64(-1);
  for (int i = 0; i < 3; ++i) writer.WriteI32(0);
  writer.WriteU8(3);  // Key groups in the old form: from 4, one offset, inline bytes.
  writer.WriteI32(4);
  writer.WriteI32(1);
  writer.WriteI64(11);
  writer.WriteU8(1);
  writer.WriteUtf("n");
  writer.WriteSizedBytes("bytes");
  writer.WriteU8(0);
  const auto read = ParseMetadata(writer.bytes());
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->version, 2);
  const auto& handle =
      std::get<KeyGroupsHandle>(read->operators[0].subtasks.at(0).managed_keyed_state);
  EXPECT_EQ(handle.kind, KeyGroupsHandle::Kind::kLegacy);
  EXPECT_EQ(handle.range(), (KeyGroupRange{4, 4}));
}

TEST(Metadata, Version3EndsWithoutProperties) {
  auto bytes = SerializeMetadata(SampleMetadata());
  ASSERT_TRUE(bytes.ok());
  (*bytes)[7] = 3;
  EXPECT_FALSE(ParseMetadata(*bytes).ok());
  bytes->resize(bytes->size() - 5);
  const auto read = ParseMetadata(*bytes);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->operators, SampleMetadata().operators);
}

TEST(Metadata, Version6HasNamesAndMergedChannels) {
  JavaWriter writer;
  WriteFrame(writer, 6);
  for (int i = 0; i < 2; ++i) writer.WriteI32(0);
  for (int i = 0; i < 2; ++i) writer.WriteU8(0);
  writer.WriteI32(1);
  writer.WriteU8(3);
  writer.WriteI32(0);
  writer.WriteI64(77);
  writer.WriteU8(16);
  writer.WriteSizedBytes("packed");
  writer.WriteI32(0);
  writer.WriteBytes("\xac\xed" + std::string("\0\5\x70", 3));
  const auto read = ParseMetadata(writer.bytes());
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->operators[0].name, "a name");
  EXPECT_EQ(read->operators[0].uid, "a");
  EXPECT_EQ(read->operators[0].subtasks.at(0).input_channel_state[0].merged_offsets, "packed");
  const auto written = SerializeMetadata(*read);
  ASSERT_FALSE(written.ok());
  EXPECT_NE(Message(written.status()).find("Flink 2.1"), std::string::npos);
}

TEST(Metadata, ChangelogHandlesAreCarried) {
  JavaWriter handle;
  handle.WriteU8(14);
  handle.WriteI32(0);
  handle.WriteI32(128);
  handle.WriteI64(1000);
  handle.WriteI32(1);  // One base handle: key groups.
  handle.WriteU8(7);
  handle.WriteI32(0);
  handle.WriteI32(0);
  handle.WriteU8(0);
  handle.WriteI32(1);  // One increment, inline.
  handle.WriteU8(9);
  handle.WriteI32(0);
  handle.WriteI32(128);
  handle.WriteI64(1);
  handle.WriteI64(2);
  handle.WriteI32(1);
  handle.WriteI32(5);
  handle.WriteSizedBytes("change");
  handle.WriteUtf("increment");
  handle.WriteI64(3);
  handle.WriteI64(4);
  handle.WriteUtf("changelog");
  JavaWriter writer;
  WriteFrame(writer, 4);
  for (int i = 0; i < 2; ++i) writer.WriteI32(0);
  writer.WriteBytes(handle.bytes());
  writer.WriteU8(0);
  for (int i = 0; i < 2; ++i) writer.WriteI32(0);
  writer.WriteBytes("\xac\xed" + std::string("\0\5\x70", 3));
  const auto read = ParseMetadata(writer.bytes());
  ASSERT_TRUE(read.ok()) << read.status();
  const auto& keyed = read->operators[0].subtasks.at(0).managed_keyed_state;
  EXPECT_EQ(std::get<OpaqueKeyedHandle>(keyed).encoded, handle.bytes());
  EXPECT_EQ(KeyGroupsOf(keyed), (KeyGroupRange{0, 127}));
  EXPECT_EQ(SerializeMetadata(*read).value(), writer.bytes());
}

TEST(Metadata, NamesThatTheFormatCannotHoldAreRefused) {
  CheckpointMetadata metadata = SampleMetadata();
  metadata.operators[2].subtasks[0].managed_operator_state = OperatorStateHandle();
  metadata.operators[2].subtasks[0].managed_operator_state->states = {
      {std::string(70000, 'n'), DistributionMode::kUnion, {}}};
  const auto bytes = SerializeMetadata(metadata);
  ASSERT_FALSE(bytes.ok());
  EXPECT_NE(Message(bytes.status()).find("70000"), std::string::npos);
  metadata = SampleMetadata();
  metadata.operators[0].coordinator_state = FileHandle{"/x", 1};
  EXPECT_FALSE(SerializeMetadata(metadata).ok());
}

TEST(SubtaskStateCodec, IsSymmetric) {
  SubtaskState state = SampleSubtask();
  auto read = DecodeSubtaskState(EncodeSubtaskState(state));
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(*read, state);
  EXPECT_FALSE(read->empty());
  state = SubtaskState();
  state.finished = true;
  read = DecodeSubtaskState(EncodeSubtaskState(state));
  ASSERT_TRUE(read.ok());
  EXPECT_EQ(*read, state);
  EXPECT_TRUE(read->empty());
}

TEST(SubtaskStateCodec, EveryTruncationAndEveryExtraByteIsAnError) {
  const std::string bytes = EncodeSubtaskState(SampleSubtask());
  for (size_t size = 0; size < bytes.size(); ++size) {
    ASSERT_FALSE(DecodeSubtaskState(std::string_view(bytes).substr(0, size)).ok()) << size;
  }
  EXPECT_FALSE(DecodeSubtaskState(bytes + "x").ok());
}

TEST(StateHandle, StreamsAreVisitedAndChanged) {
  SubtaskState state = SampleSubtask();
  int streams = 0;
  ForEachStream(state, [&streams](StreamStateHandle& handle) {
    ++streams;
    if (auto* file = std::get_if<FileHandle>(&handle)) file->path = "/moved";
  });
  EXPECT_EQ(streams, 7);
  const auto& files = std::get<IncrementalHandle>(state.managed_keyed_state);
  EXPECT_EQ(std::get<FileHandle>(files.shared_files[0].stream).path, "/moved");
}

TEST(StateHandle, StreamsAreReadFromWhereTheyAre) {
  auto directory = io::TempDirectory::Create("state-handle");
  ASSERT_TRUE(directory.ok());
  ASSERT_TRUE(io::WriteFileDurably(directory->File("f"), "0123456789").ok());
  EXPECT_EQ(ReadStream(InlineHandle{"n", "abc"}, "/none").value(), "abc");
  EXPECT_EQ(ReadStream(RelativeFileHandle{"f", 10}, directory->path()).value(), "0123456789");
  EXPECT_EQ(ReadStream(FileHandle{"file:" + directory->File("f"), 10}, "/none").value(),
            "0123456789");
  EXPECT_EQ(ReadStream(FileSegmentHandle{2, 3, 0, directory->File("f"), ""}, "/none").value(),
            "234");
  EXPECT_EQ(ReadStream({}, "/none").value(), "");
  const auto wrong_size = ReadStream(RelativeFileHandle{"f", 11}, directory->path());
  ASSERT_FALSE(wrong_size.ok());
  EXPECT_NE(Message(wrong_size.status()).find(directory->File("f")), std::string::npos);
}

}  // namespace
}  // namespace flink::snapshot
