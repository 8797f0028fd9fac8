#include "common/snapshot/state_types.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/io/checksum.h"
#include "common/io/file_system.h"
#include "common/io/temp_directory.h"
#include "common/snapshot/restore_plan.h"
#include "common/snapshot/restore_plan_json.h"
#include "common/snapshot/serializer_snapshot.h"

namespace flink::snapshot {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

std::string Basic(const std::string& type) {
  return SimpleSerializerSnapshot("org.apache.flink.api.common.typeutils.base." + type +
                                  "Serializer$" + type + "SerializerSnapshot");
}
std::string Timer(const std::string& key) {
  return CompositeSerializerSnapshot(
      "org.apache.flink.streaming.api.operators.TimerSerializerSnapshot", 2, {},
      std::vector<std::string>{Basic(key), Basic("Void")});
}
StateMetaInfo Value(const std::string& name, const std::string& type,
                    std::string_view kind = "VALUE") {
  return StateMetaInfo::KeyValue(
      name, kind,
      SimpleSerializerSnapshot("org.apache.flink.runtime.state.VoidNamespaceSerializer$"
                               "VoidNamespaceSerializerSnapshot"),
      Basic(type));
}
KeyedStateHeader Header(const std::string& key, std::vector<StateMetaInfo> states) {
  KeyedStateHeader header;
  header.key_serializer = Basic(key);
  header.states = std::move(states);
  return header;
}

OperatorId Count() { return OperatorId(std::array<uint8_t, 16>{7}); }

/// One keyed operator, which declares this; nothing: it is not known.
graph::JobGraph Graph(const std::optional<KeyedStateHeader>& declared,
                      const std::string& uid = "count") {
  graph::JobGraph graph;
  graph::JobVertex& vertex = graph.vertices.emplace_back();
  vertex.name = "Sum";
  graph::OperatorDescription& op = vertex.operators.emplace_back();
  op.id = Count();
  op.name = "Sum";
  op.uid = uid;
  op.stateful = op.keyed = true;
  if (declared.has_value()) op.declared_states = SerializeKeyedStateHeader(*declared).value();
  return graph;
}

KeyGroupsHandle Canonical(StreamStateHandle stream) {
  KeyGroupsHandle keyed;
  keyed.offsets.assign(128, 0);
  keyed.stream = std::move(stream);
  return keyed;
}

LoadedSnapshot Snapshot(KeyedStateHandle handle) {
  LoadedSnapshot snapshot;
  snapshot.directory = "/sp";
  OperatorSnapshot& op = snapshot.metadata.operators.emplace_back();
  op.operator_id = Count();
  op.parallelism = 1;
  op.max_parallelism = 128;
  op.subtasks[0].managed_keyed_state = std::move(handle);
  return snapshot;
}
LoadedSnapshot Snapshot(const KeyedStateHeader& stored) {
  return Snapshot(Canonical(InlineHandle{"x", SerializeKeyedStateHeader(stored).value()}));
}

RestorePlan Plan(const KeyedStateHeader& stored, const graph::JobGraph& graph) {
  return PlanRestore(Snapshot(stored), graph, {"file:/sp", false});
}

const auto kStored = Header("String", {Value("_op_state", "Int"), Value("seen", "Boolean")});

TEST(StateTypesTest, UnchangedTypesFitAndAddedAndLeftOutStatesToo) {
  EXPECT_THAT(Plan(kStored, Graph(kStored)).problems, IsEmpty());
  const auto other = Header("String", {Value("added", "Long"), Value("_op_state", "Int")});
  const RestorePlan plan = Plan(kStored, Graph(other));
  EXPECT_THAT(plan.problems, IsEmpty());
  EXPECT_EQ(plan.operators.at(0).verdict, RestoreVerdict::kMatched);
}

TEST(StateTypesTest, AChangedValueTypeIsAProblemThatNamesOperatorStateAndBothTypes) {
  const RestorePlan plan = Plan(kStored, Graph(Header("String", {Value("_op_state", "Long")})));
  EXPECT_THAT(
      plan.problems,
      ElementsAre("Failed to rollback to checkpoint/savepoint file:/sp. In the operator \"Sum\" "
                  "with the uid \"count\" the state \"_op_state\" is stored as VALUE state of "
                  "Integer by String, but the job declares it as VALUE state of Long by String: "
                  "restore with the old type, or give the operator another uid and start with "
                  "--allowNonRestoredState."));
  EXPECT_EQ(plan.operators.at(0).verdict, RestoreVerdict::kIncompatible);
  const auto json = ToJson(plan);
  EXPECT_EQ(json["restorable"], false);
  EXPECT_EQ(json["operators"][0]["verdict"], "incompatible");
  EXPECT_EQ(json["operators"][0]["conflicts"].dump(),
            R"([{"state":"_op_state","stored":"VALUE state of Integer by String",)"
            R"("declared":"VALUE state of Long by String"}])");
}

TEST(StateTypesTest, AUsersStateMayGetAnotherName) {
  const auto declared = Header("String", {Value("seen", "Long")});
  const RestorePlan plan = Plan(kStored, Graph(declared, /*uid=*/""));
  ASSERT_THAT(plan.problems, SizeIs(1));
  EXPECT_THAT(plan.problems[0], HasSubstr("In the operator \"Sum\" without uid the state \"seen\" "
                                          "is stored as VALUE state of Boolean by String, but the "
                                          "job declares it as VALUE state of Long by String: "
                                          "restore with the old type, or give the state another "
                                          "name."));
}

TEST(StateTypesTest, AChangedKeyTypeIsToldOnceAndNotOfEachTimer) {
  const auto timers = [](const std::string& key) {
    return Header(key, {StateMetaInfo::PriorityQueue("_timer_state/event_user-timers", Timer(key)),
                        Value("seen", "Boolean")});
  };
  const RestorePlan plan = Plan(timers("String"), Graph(timers("Long")));
  ASSERT_THAT(plan.problems, SizeIs(1));
  EXPECT_THAT(
      plan.problems[0],
      HasSubstr("In the operator \"Sum\" with the uid \"count\" the state is stored by keys "
                "of type String, but the job declares keys of type Long: restore with the "
                "old key type, or give the operator another uid and start with "
                "--allowNonRestoredState."));
  EXPECT_THAT(plan.operators.at(0).conflicts, ElementsAre(TypeConflict{"", "String", "Long"}));
}

TEST(StateTypesTest, AChangedKindIsAProblem) {
  const RestorePlan reducing =
      Plan(kStored, Graph(Header("String", {Value("seen", "Boolean", "REDUCING")})));
  ASSERT_THAT(reducing.problems, SizeIs(1));
  EXPECT_THAT(reducing.problems[0],
              HasSubstr("is stored as VALUE state of Boolean by String, but the job declares it as "
                        "REDUCING state of Boolean by String"));
  const auto queue = StateMetaInfo::PriorityQueue("seen", Timer("String"));
  const RestorePlan timers = Plan(kStored, Graph(Header("String", {queue})));
  ASSERT_THAT(timers.problems, SizeIs(1));
  EXPECT_THAT(timers.problems[0], HasSubstr("declares it as Timer<String,Void>"));
}

TEST(StateTypesTest, OneTypeInTwoFormsIsTold) {
  JavaWriter old;
  old.WriteUtf("org.apache.flink.api.common.typeutils.base.LongSerializerSnapshot");
  old.WriteI32(3);
  const auto stored = StateMetaInfo::KeyValue("seen", "VALUE", Basic("Void"), old.TakeBytes());
  const auto declared = StateMetaInfo::KeyValue("seen", "VALUE", Basic("Void"), Basic("Long"));
  const auto conflict = StateConflict(stored, Basic("Int"), declared, Basic("Int"));
  ASSERT_TRUE(conflict.has_value());
  EXPECT_THAT(
      TextOf(*conflict, "Sum", ""),
      HasSubstr("is stored as VALUE state of Long by Integer and Void, but the job declares "
                "it as VALUE state of Long by Integer and Void in another form of its "
                "serializer: "));
}

TEST(StateTypesTest, WhatTheGraphDoesNotSayIsNotCompared) {
  EXPECT_THAT(Plan(kStored, Graph(std::nullopt)).problems, IsEmpty());
  graph::JobGraph odd = Graph(kStored);
  odd.vertices[0].operators[0].declared_states = "no header";
  EXPECT_THAT(Plan(kStored, odd).problems, IsEmpty());
  // Nor is a stream read that no one compares.
  EXPECT_THAT(
      PlanRestore(Snapshot(Canonical(InlineHandle{"x", "?"})), Graph(std::nullopt), {"/sp", false})
          .problems,
      IsEmpty());
  // What a failover restores the job wrote itself: nothing is read.
  EXPECT_THAT(MakeRestorePlan(Snapshot(kStored).metadata,
                              Graph(Header("Long", {Value("seen", "Long")})), {"/sp", false, true})
                  .problems,
              IsEmpty());
}

TEST(StateTypesTest, EverySubtaskCountsAndEqualOnesAreToldOnce) {
  LoadedSnapshot snapshot = Snapshot(kStored);
  OperatorSnapshot& op = snapshot.metadata.operators[0];
  const auto part = [](const KeyedStateHeader& header, int start) {
    KeyGroupsHandle handle =
        Canonical(InlineHandle{"x", SerializeKeyedStateHeader(header).value()});
    handle.start_key_group = start;
    handle.offsets.assign(32, 0);
    return handle;
  };
  // As in a job of Flink that registers a state with its first record.
  const auto early = Header("String", {Value("_op_state", "Int")});
  op.parallelism = 4;
  for (int i = 0; i < 4; ++i) {
    op.subtasks[i].managed_keyed_state = part(i == 0 ? early : kStored, 32 * i);
  }
  const auto types = ReadStoredTypes(snapshot, Graph(kStored));
  ASSERT_TRUE(types.ok()) << Message(types.status());
  EXPECT_THAT(types->at(Count()), ElementsAre(early, kStored));
  const auto declared =
      Header("String", {Value("_op_state", "Long"), Value("seen", "Long"), Value("new", "Long")});
  EXPECT_THAT(PlanRestore(snapshot, Graph(declared), {"/sp", false}).problems, SizeIs(2));
}

TEST(StateTypesTest, ARunningJobIsComparedByWhatItDeclares) {
  const auto changed = Header("String", {Value("seen", "Long")});
  const RestoreOptions options{"of the running job", false};
  EXPECT_THAT(PlanRestoreOfRunning(Graph(kStored), Graph(kStored), options).problems, IsEmpty());
  EXPECT_THAT(PlanRestoreOfRunning(Graph(kStored), Graph(changed), options).problems, SizeIs(1));
  EXPECT_THAT(PlanRestoreOfRunning(Graph(std::nullopt), Graph(changed), options).problems,
              IsEmpty());
}

/// A snapshot directory with the header in a file, as native snapshots have it, or in front of the
/// rows of a canonical one.
class StoredTypesTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto directory = io::TempDirectory::Create("state-types");
    ASSERT_TRUE(directory.ok()) << directory.status();
    directory_ = *std::move(directory);
  }
  std::string Write(const std::string& bytes) {
    std::string path = directory_.File("state");
    EXPECT_TRUE(io::WriteFileDurably(path, bytes).ok());
    return path;
  }
  LoadedSnapshot Native(const std::string& bytes) {
    IncrementalHandle files;
    files.key_group_count = 128;
    files.meta = RelativeFileHandle{"state", static_cast<int64_t>(bytes.size())};
    LoadedSnapshot snapshot = Snapshot(files);
    snapshot.directory = directory_.path();
    return snapshot;
  }
  void WriteSideFile(const std::string& bytes) {
    const std::string text = fmt::format(
        R"({{"format_version":2,"checksum":"xxh3-64","files":{{"state":{{"size":{},"checksum":"{:016x}"}}}}}})",
        bytes.size(), io::Checksum64(bytes));
    ASSERT_TRUE(io::WriteFileDurably(directory_.File(std::string(kSideFileName)), text).ok());
  }

  io::TempDirectory directory_;
};

TEST_F(StoredTypesTest, HeadsAreReadFromFilesOfBothFormats) {
  // Longer than what is read at first.
  std::vector<StateMetaInfo> many;
  many.reserve(2000);
  for (int i = 0; i < 2000; ++i) many.push_back(Value("state-" + std::to_string(i), "Int"));
  const auto header = Header("Long", many);
  std::string bytes = SerializeKeyedStateHeader(header).value();
  ASSERT_GT(bytes.size(), 100'000u);
  Write(bytes);
  const auto native = ReadStoredTypes(Native(bytes), Graph(header));
  ASSERT_TRUE(native.ok()) << Message(native.status());
  EXPECT_THAT(native->at(Count()), ElementsAre(header));

  bytes += std::string(300'000, 'r');
  Write(bytes);
  LoadedSnapshot canonical = Native(bytes);
  const RelativeFileHandle whole{"state", static_cast<int64_t>(bytes.size())};
  canonical.metadata.operators[0].subtasks[0].managed_keyed_state = Canonical(whole);
  const auto rows = ReadStoredTypes(canonical, Graph(header));
  ASSERT_TRUE(rows.ok()) << Message(rows.status());
  EXPECT_THAT(rows->at(Count()), ElementsAre(header));

  // As Flink's file merging stores it.
  const std::string path = Write("other" + bytes);
  FileSegmentHandle segment;
  segment.start = 5;
  segment.size = static_cast<int64_t>(bytes.size());
  segment.path = path;
  canonical.metadata.operators[0].subtasks[0].managed_keyed_state = Canonical(segment);
  const auto merged = ReadStoredTypes(canonical, Graph(header));
  ASSERT_TRUE(merged.ok()) << Message(merged.status());
  EXPECT_THAT(merged->at(Count()), ElementsAre(header));
}

TEST_F(StoredTypesTest, DamageIsNotTakenForAnotherType) {
  const auto stored = Header("Long", {Value("seen", "Int")});
  const std::string bytes = SerializeKeyedStateHeader(stored).value();
  WriteSideFile(bytes);
  std::string other = bytes;
  other.replace(other.find("seen"), 4, "sEen");
  const auto wanted = Graph(Header("Long", {Value("sEen", "Long")}));
  const std::string path = Write(other);
  const RestorePlan damaged = PlanRestore(Native(bytes), wanted, {"/sp", false});
  ASSERT_THAT(damaged.problems, SizeIs(1));
  EXPECT_THAT(damaged.problems[0], HasSubstr(path + " has the checksum "));
  EXPECT_THAT(damaged.problems[0], Not(HasSubstr("declares")));

  Write(bytes.substr(0, 10));
  EXPECT_THAT(Message(ReadStoredTypes(Native(bytes), wanted).status()),
              HasSubstr(path + " has 10 bytes"));
  ASSERT_TRUE(io::RemoveFile(path).ok());
  EXPECT_THAT(
      PlanRestore(Native(bytes), wanted, {"/sp", false}).problems,
      ElementsAre("Failed to rollback to checkpoint/savepoint /sp. The state of the operator "
                  "\"Sum\" cannot be read: the state file " +
                  path + " is missing"));
}

TEST_F(StoredTypesTest, StateThatCannotBeReadIsOneProblem) {
  KeyGroupsHandle handle = Canonical(FileHandle{"/nowhere/state", 100});
  handle.kind = KeyGroupsHandle::Kind::kKeyGroups;
  const auto wanted = Graph(Header("Long", {Value("seen", "Int")}));
  EXPECT_THAT(PlanRestore(Snapshot(handle), wanted, {"/sp", false}).problems,
              ElementsAre(HasSubstr("cannot be read: the state file /nowhere/state is missing")));
}

TEST_F(StoredTypesTest, AStreamThatIsNoneIsAProblemThatNamesIt) {
  const std::string bytes = "this is no keyed state";
  const std::string path = Write(bytes);
  const RestorePlan plan = PlanRestore(Native(bytes), Graph(kStored), {"/sp", false});
  ASSERT_THAT(plan.problems, SizeIs(1));
  EXPECT_THAT(plan.problems[0], HasSubstr("reading " + path));
  EXPECT_THAT(plan.problems[0], HasSubstr("operator \"Sum\""));
}

}  // namespace
}  // namespace flink::snapshot
