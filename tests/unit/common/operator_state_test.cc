#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "common/snapshot/operator_state_stream.h"
#include "common/snapshot/redistribute.h"
#include "common/snapshot/serializer_snapshot.h"

namespace flink::snapshot {
namespace {

std::string LongSnapshot() {
  return SimpleSerializerSnapshot(
      "org.apache.flink.api.common.typeutils.base.LongSerializer$LongSerializerSnapshot");
}

std::vector<OperatorState> SampleStates() {
  return {{"rules",
           DistributionMode::kBroadcast,
           LongSnapshot(),
           LongSnapshot(),
           {std::string(4, '\0')}},
          {"list", DistributionMode::kSplitDistribute, LongSnapshot(), "", {"one", "two", "three"}},
          {"empty", DistributionMode::kSplitDistribute, LongSnapshot(), "", {}},
          {"union", DistributionMode::kUnion, LongSnapshot(), "", {"x"}}};
}

TEST(OperatorStateStream, ElementsAreReadBack) {
  const auto stream = WriteOperatorStateStream(SampleStates());
  ASSERT_TRUE(stream.ok()) << stream.status();
  const auto read = ReadOperatorStateStream(stream->bytes, stream->MakeHandle({}));
  ASSERT_TRUE(read.ok()) << read.status();
  const std::vector<OperatorState> sample = SampleStates();
  // Broadcast states stand last.
  EXPECT_EQ(*read, (std::vector<OperatorState>{sample[1], sample[2], sample[3], sample[0]}));
}

TEST(OperatorStateStream, EveryTruncationOfTheHeadIsAnError) {
  const auto stream = WriteOperatorStateStream(SampleStates());
  ASSERT_TRUE(stream.ok());
  const OperatorStateHandle handle = stream->MakeHandle({});
  const size_t head = static_cast<size_t>(handle.states[0].offsets[0]);
  for (size_t size = 0; size < head; ++size) {
    ASSERT_FALSE(
        ReadOperatorStateStream(std::string_view(stream->bytes).substr(0, size), handle).ok())
        << size;
  }
}

TEST(OperatorStateStream, OffsetsOutsideOfTheDataAreRefused) {
  const auto stream = WriteOperatorStateStream(SampleStates());
  ASSERT_TRUE(stream.ok());
  OperatorStateHandle handle = stream->MakeHandle({});
  for (const int64_t wrong : {int64_t{-1}, int64_t{3}, int64_t{1} << 40}) {
    handle.states[0].offsets[0] = wrong;
    EXPECT_FALSE(ReadOperatorStateStream(stream->bytes, handle).ok()) << wrong;
  }
  handle = stream->MakeHandle({});
  handle.states[0].name = "other";
  EXPECT_FALSE(ReadOperatorStateStream(stream->bytes, handle).ok());
}

TEST(OperatorStateStream, ABroadcastStateIsOnePiece) {
  std::vector<OperatorState> states = SampleStates();
  states[0].elements.push_back("second");
  EXPECT_FALSE(WriteOperatorStateStream(states).ok());
}

TEST(SplitDistribute, SharesAreContiguousAndLargerOnesFirst) {
  const std::vector<std::vector<int>> old = {{1, 2, 3, 4, 5}, {6, 7, 8}, {9, 10}};
  EXPECT_EQ(SplitDistribute(old, 4),
            (std::vector<std::vector<int>>{{1, 2, 3}, {4, 5, 6}, {7, 8}, {9, 10}}));
  EXPECT_EQ(SplitDistribute(old, 1),
            (std::vector<std::vector<int>>{{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}}));
  EXPECT_EQ(SplitDistribute(old, 3), old);
  EXPECT_EQ(UnionDistribute(old, 2)[1].size(), 10u);
}

std::optional<OperatorStateHandle> Handle(const std::string& file, std::vector<int64_t> split,
                                          std::vector<int64_t> all) {
  OperatorStateHandle handle;
  handle.states = {{"split", DistributionMode::kSplitDistribute, std::move(split)},
                   {"union", DistributionMode::kUnion, std::move(all)},
                   {"rules", DistributionMode::kBroadcast, {99}}};
  handle.stream = RelativeFileHandle{file, 1000};
  return handle;
}

std::vector<int64_t> OffsetsOf(const std::vector<OperatorStateHandle>& handles,
                               const std::string& state) {
  std::vector<int64_t> offsets;
  for (const OperatorStateHandle& handle : handles) {
    for (const OperatorStateOffsets& entry : handle.states) {
      if (entry.name == state) {
        offsets.insert(offsets.end(), entry.offsets.begin(), entry.offsets.end());
      }
    }
  }
  return offsets;
}

TEST(RedistributeOperatorState, DealsOffsetsOutByMode) {
  const std::vector<std::optional<OperatorStateHandle>> old = {
      Handle("a", {1, 2, 3}, {50}), std::nullopt, Handle("b", {11, 12}, {60, 61})};
  const auto two = RedistributeOperatorState(old, 2);
  ASSERT_EQ(two.size(), 2u);
  EXPECT_EQ(OffsetsOf(two[0], "split"), (std::vector<int64_t>{1, 2, 3}));
  EXPECT_EQ(OffsetsOf(two[1], "split"), (std::vector<int64_t>{11, 12}));
  for (const auto& handles : two) {
    EXPECT_EQ(OffsetsOf(handles, "union"), (std::vector<int64_t>{50, 60, 61}));
    EXPECT_EQ(OffsetsOf(handles, "rules"), (std::vector<int64_t>{99}));
  }
  const auto six = RedistributeOperatorState(old, 6);
  EXPECT_EQ(OffsetsOf(six[4], "split"), (std::vector<int64_t>{12}));
  EXPECT_TRUE(OffsetsOf(six[5], "split").empty());
  EXPECT_EQ(OffsetsOf(six[5], "union").size(), 3u);
}

TEST(RedistributeOperatorState, UnchangedParallelismKeepsListsInPlace) {
  const std::vector<std::optional<OperatorStateHandle>> old = {Handle("a", {1, 2, 3}, {50}),
                                                               Handle("b", {11}, {60})};
  const auto same = RedistributeOperatorState(old, 2);
  EXPECT_EQ(OffsetsOf(same[0], "split"), (std::vector<int64_t>{1, 2, 3}));
  EXPECT_EQ(OffsetsOf(same[1], "split"), (std::vector<int64_t>{11}));
  EXPECT_EQ(OffsetsOf(same[1], "union"), (std::vector<int64_t>{50, 60}));
}

TEST(KeyedStateForRange, CutsOffsetsAndKeepsWholeInstances) {
  KeyGroupsHandle groups;
  groups.start_key_group = 10;
  groups.offsets = {100, 110, 0, 130};
  IncrementalHandle files;
  files.start_key_group = 14;
  files.key_group_count = 10;
  const std::vector<KeyedStateHandle> handles = {groups, files, KeyedStateHandle()};
  const auto low = KeyedStateForRange(handles, {0, 11});
  ASSERT_EQ(low.size(), 1u);
  EXPECT_EQ(KeyGroupsOf(low[0]), (KeyGroupRange{10, 11}));
  EXPECT_EQ(std::get<KeyGroupsHandle>(low[0]).offsets, (std::vector<int64_t>{100, 110}));
  const auto middle = KeyedStateForRange(handles, {13, 15});
  ASSERT_EQ(middle.size(), 2u);
  EXPECT_EQ(std::get<KeyGroupsHandle>(middle[0]).offsets, (std::vector<int64_t>{130}));
  EXPECT_EQ(std::get<IncrementalHandle>(middle[1]), files);
  EXPECT_TRUE(KeyedStateForRange(handles, {40, 50}).empty());
}

}  // namespace
}  // namespace flink::snapshot
