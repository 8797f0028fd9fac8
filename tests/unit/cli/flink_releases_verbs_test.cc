// The verbs that need no cluster, on savepoints that releases of Apache Flink wrote.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <sstream>

#include "cli/flink_command.h"
#include "common/io/temp_directory.h"
#include "tests/testing/flink_releases.h"
#include "tests/unit/common/snapshot_builder.h"

namespace flink::cli {
namespace {

using ::flink::testing::ReleasedSavepoint;
using ::testing::AllOf;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using Json = nlohmann::json;

class FlinkReleasesVerbsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    snapshot::WriteTestFile(directory_.File("conf/config.yaml"), "rest.port: 1\n");
    savepoints_ = ::flink::testing::UnpackFlinkReleases(FLINK_SOURCE_DIR "/tests/golden/flink",
                                                        directory_.File("releases"));
    ASSERT_GT(savepoints_.size(), 40u);
  }
  std::string In(const std::string& name) const { return directory_.File("releases/" + name); }
  int Flink(const std::vector<std::string>& arguments) {
    out_.str("");
    err_.str("");
    return FlinkMain(arguments, directory_.File("conf"), out_, err_);
  }
  /// The states by operator id and name.
  std::map<std::string, std::map<std::string, Json>> InspectedStates(const std::string& name) {
    EXPECT_EQ(Flink({"savepoint", "inspect", "--json", In(name)}), 0) << err_.str();
    std::map<std::string, std::map<std::string, Json>> states;
    const Json inspection = Json::parse(out_.str());
    for (const Json& op : inspection["operators"]) {
      for (const Json& state : op["states"]) states[op["id"]][state["name"]] = state;
    }
    return states;
  }

  io::TempDirectory directory_ = io::TempDirectory::Create("releases").value();
  std::vector<ReleasedSavepoint> savepoints_;
  std::ostringstream out_, err_;
};

constexpr char kStates[] = "4afc3a2c585cb6fa3d943c20ef056131";
constexpr char kNumbers[] = "ca88eee0095684d687a1b6495617f957";

TEST_F(FlinkReleasesVerbsTest, InspectPrintsTheOldestOneInTheMiddleAndTheNewest) {
  // On the heap, before savepoints were canonical.
  ASSERT_EQ(Flink({"savepoint", "inspect", In("1.8/heap")}), 0) << err_.str();
  EXPECT_THAT(
      out_.str(),
      AllOf(HasSubstr("\n  savepoint, checkpoint 1, metadata version 2\n"),
            HasSubstr("no uid recorded, id 4afc3a2c585cb6fa3d943c20ef056131\n"
                      "  parallelism 2 of at most 128, 20294 bytes in 0 files\n"
                      "  keyed state (heap) by String, key groups 0-63, 64-127\n"),
            ContainsRegex("\n  recent +ValueState +Ttl<String> +20 +460\n"),
            HasSubstr("subtask 0 is not counted in full: where a value of the type Kryo<Opaque> "
                      "ends is known only to its class, so the bytes of the state \"opaque\" are "
                      "unknown")));
  ASSERT_EQ(Flink({"savepoint", "inspect", In("1.13/rocksdb")}), 0) << err_.str();
  EXPECT_THAT(out_.str(),
              AllOf(HasSubstr("\n  canonical savepoint, checkpoint 1, metadata version 3\n"),
                    HasSubstr("  keyed state (canonical) by Long, key groups 0-63, 64-127\n"),
                    HasSubstr("  rules      broadcast     String -> Integer        4     48\n")));
  ASSERT_EQ(Flink({"savepoint", "inspect", In("2.1/heap")}), 0) << err_.str();
  EXPECT_THAT(out_.str(),
              AllOf(HasSubstr("\n  canonical savepoint, checkpoint 1, metadata version 6\n"),
                    HasSubstr("\nStates, uid states, id 4afc3a2c585cb6fa3d943c20ef056131\n"),
                    HasSubstr("\nSlowly, uid slowly, id a8797a5eaf6737ed16de770a8582b8bd, no "
                              "state\n")));
}

TEST_F(FlinkReleasesVerbsTest, InspectPrintsTheSameStatesAsJson) {
  for (const std::string name : {"1.8/heap", "1.8/rocksdb", "1.12/rocksdb", "1.13/heap",
                                 "1.17/heap-native", "2.1/heap", "2.1/heap-native"}) {
    const auto states = InspectedStates(name);
    ASSERT_EQ(states.count(kStates), 1u) << name;
    EXPECT_THAT(states.at(kStates), SizeIs(10)) << name;
    const Json& table = states.at(kStates).at("table");
    EXPECT_EQ(table["kind"], "MapState") << name;
    EXPECT_EQ(table["type"], "Map<Integer,String>") << name;
    EXPECT_EQ(table["entries"], 60) << name;
    EXPECT_GT(table["bytes"], 0) << name;
    EXPECT_EQ(states.at(kStates).at("_timer_state/event_user-timers")["entries"], 20) << name;
    EXPECT_EQ(states.at(kNumbers).at("opaque")["entries"], 20) << name;
  }
  const auto states = InspectedStates("1.8/heap");
  EXPECT_TRUE(states.at(kNumbers).at("opaque")["bytes"].is_null());
}

TEST_F(FlinkReleasesVerbsTest, ListVerifyAndFsckTakeThem) {
  ASSERT_EQ(Flink({"savepoint", "list", "--json", "--dir", directory_.File("releases")}), 0)
      << err_.str();
  EXPECT_EQ(Json::parse(out_.str()).size(), savepoints_.size());
  EXPECT_THAT(err_.str(), IsEmpty());
  for (const ReleasedSavepoint& savepoint : savepoints_) {
    EXPECT_EQ(Flink({"savepoint", "verify", savepoint.path}), 0) << savepoint.Name() << err_.str();
    EXPECT_THAT(out_.str() + err_.str(),
                AllOf(HasSubstr("The snapshot has no checksums, as those of Apache Flink"),
                      HasSubstr("no damage found")))
        << savepoint.Name();
  }
  EXPECT_EQ(Flink({"fsck", "--older-than", "0s", directory_.File("releases")}), 0) << err_.str();
  EXPECT_THAT(out_.str(), HasSubstr("No orphans in ")) << err_.str();
}

}  // namespace
}  // namespace flink::cli
