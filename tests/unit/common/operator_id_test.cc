#include "common/graph/operator_id.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

namespace flink {
namespace {

TEST(OperatorId, OfAUidIsFlinksHash) {  // flink-surface §4.6 no. 90
  const std::vector<std::pair<std::string, std::string>> vectors = {
      {"a", "897859f6655555855a890e51483ab5e6"},
      {"source", "e5a72f353fc1e6bbf3bd96a41384998c"},
      {"my-operator-uid", "4a0e6dd79906c200056e3630371c5f92"},
      {"CheckpointingSource2", "1f2b5df5a66154aca61fcb26193792be"},
      {"window", "01203aa9a12dc1ec725e03853dd7c8f2"}};
  for (const auto& v : vectors) EXPECT_EQ(OperatorIdFromUid(v.first).ToHex(), v.second) << v.first;
}

TEST(OperatorId, WithoutUidIsFlinksGeneratedHash) {  // flink-surface §4.6 no. 90
  const OperatorId one = OperatorIdFromUid("CheckpointingTimelyStatefulOperator1");
  const OperatorId two = OperatorIdFromUid("CheckpointingTimelyStatefulOperator2");
  EXPECT_EQ(GeneratedOperatorId(6, 0, {&one, 1}).ToHex(), "330bf7ad4176e7c36829a4bf9459db07");
  EXPECT_EQ(GeneratedOperatorId(7, 0, {&two, 1}).ToHex(), "06d8049845c382d79d17d43c9ef349f7");
}

TEST(OperatorId, GeneratedDependsOnPlaceEdgesAndInputs) {
  const OperatorId input = OperatorIdFromUid("a");
  EXPECT_NE(GeneratedOperatorId(0, 0, {}), GeneratedOperatorId(1, 0, {}));
  EXPECT_NE(GeneratedOperatorId(1, 0, {}), GeneratedOperatorId(1, 1, {}));
  EXPECT_NE(GeneratedOperatorId(1, 0, {}), GeneratedOperatorId(1, 0, {&input, 1}));
}

TEST(OperatorId, OfACommitterComesFromItsSink) {
  const OperatorId writer = OperatorIdFromUid("fs-sink");
  // As a FileSink of Flink 1.20 with this uid has it.
  EXPECT_EQ(CommitterOperatorId(writer, "fs-sink").ToHex(), "eda3d22215af2da0e9320abd7f76e4f5");
  EXPECT_EQ(CommitterOperatorId(writer, ""), GeneratedOperatorId(0, 0, {&writer, 1}));
}

TEST(OperatorId, OfAUidHashIsTheHashItself) {
  const auto id = OperatorIdFromUidHash("1F2b5df5a66154aca61fcb26193792be");
  ASSERT_TRUE(id.ok());
  EXPECT_EQ(*id, OperatorIdFromUid("CheckpointingSource2"));
  const auto wrong = OperatorIdFromUidHash("1f2b");
  ASSERT_FALSE(wrong.ok());
  EXPECT_NE(Message(wrong.status()).find("1f2b"), std::string::npos);
}

}  // namespace
}  // namespace flink
