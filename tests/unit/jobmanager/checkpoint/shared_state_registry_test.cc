#include "jobmanager/checkpoint/shared_state_registry.h"

#include <gtest/gtest.h>

namespace flink::jobmanager {
namespace {

using Files = std::vector<std::string>;

TEST(SharedStateRegistryTest, AFileIsDeletableOnceNobodyNamesIt) {
  SharedStateRegistry registry;
  registry.Register(1, {"a", "b"});
  registry.Register(2, {"b"});
  registry.Register(2, {"c"});
  EXPECT_EQ(registry.FilesOf(2), (Files{"b", "c"}));
  EXPECT_EQ(registry.Unregister(1), Files{"a"});
  EXPECT_TRUE(registry.IsReferenced("b"));
  EXPECT_EQ(registry.Unregister(2), (Files{"b", "c"}));
  EXPECT_EQ(registry.size(), 0u);
  EXPECT_TRUE(registry.Unregister(2).empty());
}

TEST(SharedStateRegistryTest, APendingAttemptHoldsFilesThatWereThereWhenItStarted) {
  SharedStateRegistry registry;
  registry.Register(1, {"a"});
  registry.Pin(5);
  EXPECT_TRUE(registry.Unregister(1).empty());
  EXPECT_FALSE(registry.IsReferenced("a"));
  registry.Pin(6);  // Started later: it cannot name "a".
  EXPECT_EQ(registry.Unpin(5), Files{"a"});
  EXPECT_TRUE(registry.Unpin(6).empty());
}

TEST(SharedStateRegistryTest, AFileNamedAgainWhileHeldIsKept) {
  SharedStateRegistry registry;
  registry.Register(1, {"a"});
  registry.Pin(5);
  registry.Unregister(1);
  registry.Register(5, {"a"});
  EXPECT_TRUE(registry.Unpin(5).empty());
  EXPECT_TRUE(registry.IsReferenced("a"));
}

TEST(SharedStateRegistryTest, ForeignFilesStayForeign) {
  SharedStateRegistry registry;
  registry.Register(1, {"f"}, /*owned=*/false);
  EXPECT_TRUE(registry.Unregister(1).empty());
  registry.Register(2, {"f", "g"});
  EXPECT_EQ(registry.ForeignOf({"f", "g"}), Files{"f"});
  EXPECT_EQ(registry.Unregister(2), Files{"g"});
  EXPECT_TRUE(registry.Unreferenced({"f"}).empty());
}

TEST(SharedStateRegistryTest, UnreferencedFilesOfLateAcknowledgementsAreFound) {
  SharedStateRegistry registry;
  registry.Register(1, {"a"});
  EXPECT_EQ(registry.Unreferenced({"a", "b"}), Files{"b"});
}

}  // namespace
}  // namespace flink::jobmanager
