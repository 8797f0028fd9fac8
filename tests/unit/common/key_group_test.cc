#include "flink/key_group.h"

#include <gtest/gtest.h>

#include <cstdint>
#include <limits>
#include <utility>
#include <vector>

namespace flink {
namespace {

struct Vector {
  int32_t hash_code;
  uint32_t murmur;
  int group_of_128;
};

TEST(KeyGroup, HashesAndGroupsAreFlinks) {
  const std::vector<Vector> vectors = {{0, 593689054, 94},           {97, 1455541201, 81},
                                       {99162322, 1715862179, 35},   {97520992, 1330823394, 98},
                                       {-147182656, 1600933524, 20}, {233, 1107437598, 30},
                                       {1772899, 1934073014, 54}};
  for (const Vector& v : vectors) {
    EXPECT_EQ(KeyGroupHash(v.hash_code), v.murmur) << v.hash_code;
    EXPECT_EQ(AssignToKeyGroup(v.hash_code, 128), v.group_of_128) << v.hash_code;
  }
}

TEST(KeyGroup, IntegersGoToFlinksGroups) {
  constexpr int32_t kMax = std::numeric_limits<int32_t>::max();
  constexpr int32_t kMin = std::numeric_limits<int32_t>::min();
  const std::vector<std::pair<int32_t, int>> vectors = {{0, 94},  {1, 86},    {2, 127},   {42, 29},
                                                        {-1, 80}, {kMax, 62}, {kMin, 108}};
  for (const auto& v : vectors) EXPECT_EQ(AssignToKeyGroup(v.first, 128), v.second) << v.first;
  // Tuple2("a", 1L) and Tuple3(7, "x", true).
  EXPECT_EQ(AssignToKeyGroup(3008, 128), 29);
  EXPECT_EQ(AssignToKeyGroup(11678, 128), 18);
}

TEST(KeyGroup, HashIsNeverNegative) {
  for (int64_t h = std::numeric_limits<int32_t>::min(); h <= std::numeric_limits<int32_t>::max();
       h += 9973) {
    ASSERT_LE(KeyGroupHash(static_cast<int32_t>(h)), 0x7fffffffu) << h;
  }
}

TEST(KeyGroup, RangesAreFlinks) {  // flink-surface §4.6 no. 89
  EXPECT_EQ(RangeForOperator(128, 3, 0), (KeyGroupRange{0, 42}));
  EXPECT_EQ(RangeForOperator(128, 3, 1), (KeyGroupRange{43, 85}));
  EXPECT_EQ(RangeForOperator(128, 3, 2), (KeyGroupRange{86, 127}));
  const std::vector<KeyGroupRange> sevenths = {{0, 14},  {15, 28}, {29, 42}, {43, 57},
                                               {58, 71}, {72, 85}, {86, 99}};
  for (int i = 0; i < 7; ++i) {
    EXPECT_EQ(RangeForOperator(100, 7, i), sevenths[static_cast<size_t>(i)]);
  }
  EXPECT_EQ(RangeForOperator(32768, 5, 0), (KeyGroupRange{0, 6553}));
  EXPECT_EQ(RangeForOperator(32768, 5, 1), (KeyGroupRange{6554, 13107}));
  EXPECT_EQ(RangeForOperator(32768, 32768, 32767), (KeyGroupRange{32767, 32767}));
}

TEST(KeyGroup, EveryGroupBelongsToTheSubtaskWhoseRangeHoldsIt) {
  for (const int max_parallelism : {1, 2, 100, 127, 128, 129, 1000}) {
    for (int parallelism = 1; parallelism <= max_parallelism; parallelism += 1 + parallelism / 7) {
      int next = 0;
      for (int i = 0; i < parallelism; ++i) {
        const KeyGroupRange range = RangeForOperator(max_parallelism, parallelism, i);
        ASSERT_EQ(range.start, next);
        for (int group = range.start; group <= range.end; ++group) {
          ASSERT_EQ(OperatorIndexForKeyGroup(max_parallelism, parallelism, group), i);
        }
        next = range.end + 1;
      }
      ASSERT_EQ(next, max_parallelism);
    }
  }
}

TEST(KeyGroup, DefaultMaxParallelismLeavesRoomToGrow) {  // flink-surface §4.6 no. 89
  EXPECT_EQ(DefaultMaxParallelism(1), 128);
  EXPECT_EQ(DefaultMaxParallelism(85), 128);
  EXPECT_EQ(DefaultMaxParallelism(86), 256);
  EXPECT_EQ(DefaultMaxParallelism(170), 256);
  EXPECT_EQ(DefaultMaxParallelism(171), 256);
  EXPECT_EQ(DefaultMaxParallelism(172), 512);
  EXPECT_EQ(DefaultMaxParallelism(1000), 2048);
  EXPECT_EQ(DefaultMaxParallelism(32768), 32768);
}

TEST(KeyGroupRange, IntersectsToTheCommonGroups) {
  EXPECT_EQ((KeyGroupRange{0, 9}.Intersect({5, 20})), (KeyGroupRange{5, 9}));
  EXPECT_TRUE((KeyGroupRange{0, 4}.Intersect({5, 20})).empty());
  EXPECT_EQ(KeyGroupRange{}.size(), 0);
  EXPECT_TRUE((KeyGroupRange{3, 5}.Contains(5)));
  EXPECT_FALSE((KeyGroupRange{3, 5}.Contains(6)));
}

}  // namespace
}  // namespace flink
