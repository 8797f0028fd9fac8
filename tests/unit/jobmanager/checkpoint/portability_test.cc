#include "jobmanager/checkpoint/portability.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/io/file_system.h"
#include "common/io/temp_directory.h"
#include "common/snapshot/keyed_state_header.h"
#include "common/snapshot/serializer_snapshot.h"

namespace flink::jobmanager {
namespace {

using snapshot::StateMetaInfo;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

std::string Flinks(const std::string& name) {
  return snapshot::SimpleSerializerSnapshot("org.apache.flink.api.common.typeutils.base." + name);
}
std::string Long() { return Flinks("LongSerializer$LongSerializerSnapshot"); }
std::string Money() { return snapshot::SimpleSerializerSnapshot("com.acme.MoneySnapshot"); }
std::string ListOf(const std::string& element) {
  return snapshot::CompositeSerializerSnapshot(
      "org.apache.flink.api.common.typeutils.base.ListSerializerSnapshot", 1, {},
      std::vector<std::string>{element});
}

std::string Head(const std::string& key, const std::vector<StateMetaInfo>& states) {
  snapshot::KeyedStateHeader header;
  header.key_serializer = key;
  header.states = states;
  return snapshot::SerializeKeyedStateHeader(header).value();
}
snapshot::OperatorSnapshot WithStream(snapshot::StreamStateHandle stream) {
  snapshot::KeyGroupsHandle handle;
  handle.offsets = {0};
  handle.stream = std::move(stream);
  snapshot::OperatorSnapshot op;
  op.subtasks[0].managed_keyed_state = std::move(handle);
  return op;
}

TEST(Portability, AStateWithAForeignClassAnywhereInItsTypeIsNamed) {
  const auto found = FindNotPortableStates(
      WithStream(snapshot::InlineHandle{
          "name", Head(Long(), {StateMetaInfo::KeyValue("plain", "VALUE", Long(), ListOf(Long())),
                                StateMetaInfo::KeyValue("nested", "VALUE", Long(), ListOf(Money())),
                                StateMetaInfo::KeyValue("space", "VALUE", Money(), Long())})}),
      "");
  ASSERT_TRUE(found.ok()) << Message(found.status());
  const std::string reason = "the class com.acme.MoneySnapshot is not Flink's";
  EXPECT_THAT(*found,
              ElementsAre(NotPortableState{"nested", reason}, NotPortableState{"space", reason}));
}

TEST(Portability, FlinkHasNoArraysAsKeys) {
  const std::string bytes =
      Flinks("array.BytePrimitiveArraySerializer$BytePrimitiveArraySerializerSnapshot");
  const auto found = FindNotPortableStates(
      WithStream(snapshot::InlineHandle{
          "name", Head(bytes, {StateMetaInfo::KeyValue("v", "VALUE", Long(), Long())})}),
      "");
  ASSERT_TRUE(found.ok());
  EXPECT_THAT(*found, ElementsAre(NotPortableState{"v", "the key is an array"}));
}

TEST(Portability, AHeadLargerThanTheFirstReadIsReadWhole) {
  auto directory = io::TempDirectory::Create("portability").value();
  std::vector<StateMetaInfo> states;
  states.reserve(2000);
  for (int i = 0; i < 2000; ++i) {
    states.push_back(StateMetaInfo::KeyValue("state" + std::to_string(i), "VALUE", Long(), Long()));
  }
  const std::string head = Head(Long(), states);
  ASSERT_GT(head.size(), 128u << 10);
  ASSERT_TRUE(
      io::WriteFileDurably(directory.File("stream"), head + std::string(1 << 20, 'x')).ok());
  const auto op = WithStream(
      snapshot::RelativeFileHandle{"stream", static_cast<int64_t>(head.size()) + (1 << 20)});
  const auto found = FindNotPortableStates(op, directory.path());
  ASSERT_TRUE(found.ok()) << Message(found.status());
  EXPECT_THAT(*found, IsEmpty());
}

}  // namespace
}  // namespace flink::jobmanager
