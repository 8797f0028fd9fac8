// What is shown of snapshots: ours, and those that releases of Apache Flink wrote.

#include "common/snapshot/snapshot_inspection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <regex>

#include "common/io/temp_directory.h"
#include "tests/unit/common/snapshot_builder.h"

namespace flink::snapshot {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using Json = nlohmann::json;

class FlinkInspectionTest : public ::testing::Test {
 protected:
  void SetUp() override {
    const std::string archives = std::string(FLINK_SHARED_DIR) + "/golden";
    if (!io::IsDirectory(archives)) GTEST_SKIP() << "no snapshots of Flink in " << archives;
    for (const char* archive : {"flink-goldens", "flink-1.20-goldens"}) {
      const std::string target = directory_.File(archive);
      ASSERT_TRUE(io::CreateDirectories(target).ok());
      const std::string command =
          "tar xzf '" + archives + "/" + archive + ".tgz' -C '" + target + "'";
      ASSERT_EQ(std::system(command.c_str()), 0) << command;
    }
    for (const auto& entry : std::filesystem::recursive_directory_iterator(directory_.path())) {
      if (entry.path().filename() == "_metadata") {
        snapshots_.push_back(entry.path().parent_path().string());
      }
    }
    ASSERT_GT(snapshots_.size(), 100u);
  }

  io::TempDirectory directory_ = io::TempDirectory::Create("inspection").value();
  std::vector<std::string> snapshots_;
};

const InspectedState* FindState(const InspectedOperator& op, const std::string& name) {
  for (const InspectedState& state : op.states) {
    if (state.name == name) return &state;
  }
  return nullptr;
}

TEST_F(FlinkInspectionTest, EverySnapshotOfEveryReleaseCanBeLookedInto) {
  int with_states = 0;
  for (const std::string& directory : snapshots_) {
    const auto inspection = InspectSnapshot(directory);
    ASSERT_TRUE(inspection.ok()) << directory << ": " << inspection.status();
    EXPECT_FALSE(inspection->damaged) << directory;
    EXPECT_THAT(inspection->operators, ::testing::Not(IsEmpty())) << directory;
    for (const InspectedOperator& op : inspection->operators) {
      for (const std::string& note : op.notes) {
        // Types of Flink's tables are Java objects, as Avro's are; they are carried, not
        // understood.
        EXPECT_TRUE(note.find("RowDataSerializer") != std::string::npos ||
                    note.find("a value of the type Avro<") != std::string::npos ||
                    note.find("raw state") != std::string::npos)
            << directory << ": " << note;
      }
      for (const InspectedState& state : op.states) {
        ++with_states;
        EXPECT_THAT(state.type, ::testing::Not(IsEmpty())) << directory << ": " << state.name;
        if (op.keyed_format == "canonical") {
          EXPECT_TRUE(state.entries.has_value()) << directory << ": " << state.name;
          EXPECT_TRUE(state.bytes.has_value()) << directory << ": " << state.name;
        }
      }
    }
  }
  EXPECT_GT(with_states, 300);
}

/// Rows of a state as expected.json gives its entries: a map has one per key.
int64_t RowsOf(const Json& state) {
  if (state["kind"] != "MAP") return static_cast<int64_t>(state["entries"].size());
  int64_t rows = 0;
  for (const Json& entry : state["entries"]) rows += static_cast<int64_t>(entry["value"].size());
  return rows;
}

void CheckKeyedState(const InspectedOperator& op, const Json& expected, const std::string& where) {
  const bool canonical = op.keyed_format == "canonical";
  const bool counted = canonical || op.keyed_format == "heap";
  EXPECT_EQ(op.key_type, expected["keyType"].get<std::string>()) << where;
  for (const Json& state : expected["states"]) {
    const InspectedState* found = FindState(op, state["name"]);
    // A state that no subtask has used was not registered.
    if (found == nullptr && state.value("lazy", false) && RowsOf(state) == 0) continue;
    ASSERT_NE(found, nullptr) << where << ": " << state["name"];
    if (counted) {
      EXPECT_EQ(found->entries, RowsOf(state)) << where << ": " << found->name;
      EXPECT_TRUE(found->bytes.has_value()) << where << ": " << found->name;
    } else {
      EXPECT_FALSE(found->entries.has_value() && *found->entries != RowsOf(state)) << where;
    }
    if (canonical) {
      EXPECT_EQ(*found->bytes == 0, RowsOf(state) == 0) << where << ": " << found->name;
    }
    if (state["kind"] == "VALUE" && !state["ttl"].get<bool>()) {
      std::string type = found->type.substr(0, found->type.find('{'));
      EXPECT_EQ(type, state["type"].get<std::string>()) << where << ": " << found->name;
    }
    const std::string name_space = state.value("namespaceType", std::string("Void"));
    EXPECT_EQ(found->namespace_type, name_space == "Void" ? "" : name_space) << where;
  }
  for (const Json& timers : expected.value("timers", Json::array())) {
    for (const char* kind : {"event", "processing"}) {
      const InspectedState* found = FindState(
          op, fmt::format("_timer_state/{}_{}", kind, timers["service"].get<std::string>()));
      if (found == nullptr || !counted) continue;
      EXPECT_EQ(found->entries, static_cast<int64_t>(timers[kind].size())) << where << kind;
      EXPECT_EQ(found->kind, "timers");
    }
  }
}

void CheckOperatorState(const InspectedOperator& op, const Json& expected,
                        const std::string& where) {
  static const std::map<std::string, std::string> kinds = {
      {"SPLIT_DISTRIBUTE", "list (split)"}, {"UNION", "list (union)"}, {"BROADCAST", "broadcast"}};
  for (const Json& state : expected.value("operatorStates", Json::array())) {
    const InspectedState* found = FindState(op, state["name"]);
    ASSERT_NE(found, nullptr) << where << ": " << state["name"];
    EXPECT_EQ(found->kind, kinds.at(state["mode"].get<std::string>())) << where;
    int64_t elements = static_cast<int64_t>(state.value("entries", Json::array()).size());
    for (const Json& subtask : state.value("bySubtask", Json::array())) {
      elements += static_cast<int64_t>(subtask.size());
    }
    EXPECT_EQ(found->entries, elements) << where << ": " << found->name;
  }
}

TEST_F(FlinkInspectionTest, CountsWhatTheJobsWrote) {
  int checked = 0;
  int on_the_heap = 0;
  for (const std::string& directory : snapshots_) {
    const auto text = io::ReadFile(directory + "/expected.json");
    // Records in flight are not in the state yet.
    if (!text.ok() || directory.find("unaligned") != std::string::npos) continue;
    const auto inspection = InspectSnapshot("file:" + directory + "/_metadata");
    ASSERT_TRUE(inspection.ok()) << inspection.status();
    // Half of a surrogate pair, of which these have some, is no JSON for this parser.
    const Json json =
        Json::parse(std::regex_replace(*text, std::regex("\\\\u[dD][89a-fA-F].."), "?"));
    for (const Json& expected : json["operators"]) {
      const OperatorId id = OperatorIdFromUid(expected["uid"].get<std::string>());
      const auto op = std::find_if(inspection->operators.begin(), inspection->operators.end(),
                                   [&id](const InspectedOperator& o) { return o.id == id; });
      ASSERT_NE(op, inspection->operators.end()) << directory << expected["uid"];
      EXPECT_EQ(op->parallelism, expected["parallelism"].get<int>());
      EXPECT_EQ(op->max_parallelism, expected["maxParallelism"].get<int>());
      const std::string where = directory + " " + expected["uid"].get<std::string>();
      if (expected.contains("keyType")) {
        CheckKeyedState(*op, expected, where);
        ++checked;
        if (op->keyed_format == "heap") ++on_the_heap;
      }
      CheckOperatorState(*op, expected, where);
    }
  }
  EXPECT_GT(checked, 80);
  EXPECT_GT(on_the_heap, 10);
}

TEST_F(FlinkInspectionTest, TellsCanonicalFromNativeAndSavepointsFromCheckpoints) {
  for (const std::string& directory : snapshots_) {
    const std::string variant = io::BaseName(directory);
    const auto inspection = InspectSnapshot(directory);
    ASSERT_TRUE(inspection.ok()) << directory;
    const SnapshotSummary& summary = inspection->summary;
    if (variant.find("-canonical") != std::string::npos) {
      EXPECT_EQ(summary.format, "canonical") << directory;
    }
    if (variant.find("-native") != std::string::npos) {
      EXPECT_EQ(summary.format, "native") << directory;
    }
    if (variant.starts_with("chk-")) {
      EXPECT_EQ(summary.kind, "checkpoint") << directory;
      EXPECT_EQ(summary.job, io::BaseName(io::DirectoryName(directory)));
    }
    if (variant.ends_with("-savepoint")) {
      EXPECT_EQ(summary.kind, "savepoint") << directory;
    }
  }
}

class InspectionTest : public ::testing::Test {
 protected:
  void SetUp() override {
    TestSnapshot snapshot;
    snapshot.directory = path_;
    snapshot.own_files = {"000007.sst"};
    snapshot.shared_files = {directory_.File("shared/000008.sst")};
    snapshot.job = "0123456789abcdef0123456789abcdef";
    WriteTestSnapshot(snapshot);
  }
  io::TempDirectory directory_ = io::TempDirectory::Create("inspection").value();
  const std::string path_ = directory_.File("chk-1");
};

// flink-surface §4.4 no. 58
TEST_F(InspectionTest, TakesDirectoryAndMetadataFileWithAndWithoutScheme) {
  for (const std::string& pointer : {path_, path_ + "/", path_ + "/_metadata", "file:" + path_,
                                     "file://" + path_, "file:" + path_ + "/_metadata"}) {
    const auto inspection = InspectSnapshot(pointer);
    ASSERT_TRUE(inspection.ok()) << inspection.status();
    EXPECT_EQ(inspection->summary.directory, path_);
  }
  EXPECT_EQ(
      Message(InspectSnapshot(path_ + "x").status()),
      "Cannot find checkpoint or savepoint file/directory '" + path_ + "x' on file system 'file'.");
}

TEST_F(InspectionTest, NamesOperatorsFromTheSideFile) {
  const auto inspection = InspectSnapshot(path_);
  ASSERT_TRUE(inspection.ok());
  ASSERT_EQ(inspection->operators.size(), 1u);
  const InspectedOperator& op = inspection->operators[0];
  EXPECT_EQ(op.uid, "count");
  EXPECT_EQ(op.name, "Counter");
  EXPECT_EQ(op.keyed_format, "RocksDB files");
  EXPECT_EQ(op.files, 2);
  EXPECT_EQ(op.bytes, 10 + 10 + 12);
  ASSERT_EQ(op.key_groups.size(), 1u);
  EXPECT_EQ(op.key_groups[0].end, 127);
  // The header of this one is none, which does not hide the rest.
  EXPECT_THAT(op.notes, ElementsAre(HasSubstr("subtask 0 cannot be looked into")));
}

TEST_F(InspectionTest, RawStateIsNoted) {
  CheckpointMetadata metadata;
  metadata.checkpoint_id = 1;
  OperatorSnapshot& op = metadata.operators.emplace_back();
  op.operator_id = OperatorIdFromUid("count");
  op.parallelism = 3;
  op.max_parallelism = 128;
  op.subtasks[0].raw_operator_state.emplace();
  op.subtasks[0].raw_operator_state->stream = InlineHandle{"raw", "x"};
  KeyGroupsHandle groups;
  groups.kind = KeyGroupsHandle::Kind::kKeyGroups;
  groups.offsets = {0};
  groups.stream = InlineHandle{"raw", "not timers"};
  op.subtasks[1].raw_keyed_state = groups;
  // Not written: no timers.
  groups.offsets = {-1};
  op.subtasks[2].raw_keyed_state = groups;
  WriteTestFile(io::JoinPath(path_, kMetadataFileName), SerializeMetadata(metadata).value());
  const auto inspection = InspectSnapshot(path_);
  ASSERT_TRUE(inspection.ok()) << inspection.status();
  EXPECT_FALSE(inspection->damaged);
  ASSERT_EQ(inspection->operators.size(), 1u);
  EXPECT_THAT(inspection->operators[0].notes,
              ElementsAre("subtask 0 has raw state, which only its operator can read",
                          "subtask 1 has raw state, which only its operator can read"));
}

}  // namespace
}  // namespace flink::snapshot
