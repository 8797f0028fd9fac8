#include "common/snapshot/restore_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/graph/operator_id.h"
#include "common/snapshot/operator_state_stream.h"
#include "common/snapshot/restore_plan_json.h"

namespace flink::snapshot {
namespace {

using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using ::testing::StartsWith;

OperatorId Id(char fill) {
  std::array<uint8_t, 16> bytes{};
  bytes.fill(static_cast<uint8_t>(fill));
  return OperatorId(bytes);
}

graph::JobVertex Vertex(char id, const std::string& name, const std::string& uid, int parallelism) {
  graph::JobVertex vertex;
  vertex.id = JobVertexId(Id(id).bytes());
  vertex.name = name;
  vertex.parallelism = parallelism;
  graph::OperatorDescription op;
  op.id = Id(id);
  op.name = name;
  op.uid = uid;
  op.stateful = true;
  vertex.operators.push_back(std::move(op));
  return vertex;
}

/// Source 'a' -> keyed Sum 'b', both with this parallelism.
graph::JobGraph Graph(int parallelism) {
  graph::JobGraph graph;
  graph.vertices.push_back(Vertex('a', "Source: Lines", "source", parallelism));
  graph.vertices.push_back(Vertex('b', "Sum", "count", parallelism));
  graph.vertices.back().operators[0].keyed = true;
  return graph;
}

OperatorSnapshot Empty(char id, int parallelism, int max_parallelism = 128) {
  OperatorSnapshot op;
  op.operator_id = Id(id);
  op.parallelism = parallelism;
  op.max_parallelism = max_parallelism;
  return op;
}

KeyGroupsHandle Handle(KeyGroupRange range) {
  KeyGroupsHandle keyed;
  keyed.start_key_group = range.start;
  keyed.offsets.assign(static_cast<size_t>(range.size()), 0);
  keyed.stream = InlineHandle{"x", "state"};
  return keyed;
}

/// With keyed state of five bytes in every subtask.
OperatorSnapshot WithState(char id, int max_parallelism = 128, int parallelism = 1) {
  OperatorSnapshot op = Empty(id, parallelism, max_parallelism);
  for (int i = 0; i < parallelism; ++i) {
    op.subtasks[i].managed_keyed_state = Handle(RangeForOperator(max_parallelism, parallelism, i));
  }
  return op;
}

/// Nothing but the mark that the head of a chain sets at the end of its input.
OperatorSnapshot WithEndOfInputMark(char id) {
  OperatorSnapshot op = Empty(id, 1);
  OperatorStateHandle handle;
  handle.states.push_back({std::string(kEndOfInputState), DistributionMode::kUnion, {0}});
  handle.stream = InlineHandle{"m", "mark"};
  op.subtasks[0].managed_operator_state = handle;
  return op;
}

CheckpointMetadata Metadata(std::vector<OperatorSnapshot> operators) {
  CheckpointMetadata metadata;
  metadata.checkpoint_id = 5;
  metadata.operators = std::move(operators);
  return metadata;
}

RestorePlan Plan(std::vector<OperatorSnapshot> operators, const graph::JobGraph& graph,
                 bool allow = false) {
  return MakeRestorePlan(Metadata(std::move(operators)), graph, {"/sp", allow});
}

/// "matched count", in order; "dropped ?" without uid.
std::vector<std::string> Verdicts(const RestorePlan& plan) {
  std::vector<std::string> verdicts;
  for (const RestoredOperator& op : plan.operators) {
    verdicts.push_back(std::string(NameOf(op.verdict)) + " " + (op.uid.empty() ? "?" : op.uid));
  }
  return verdicts;
}

// flink-surface §4.4 no. 69
TEST(RestorePlanTest, MapsStateByOperatorId) {
  const RestorePlan plan = Plan({WithState('b')}, Graph(2));
  EXPECT_THAT(plan.problems, IsEmpty());
  EXPECT_THAT(Verdicts(plan), ElementsAre("new source", "matched count"));
  EXPECT_EQ(plan.checkpoint_id, 5);
  EXPECT_EQ(plan.operators[1].state_bytes, 5);
  EXPECT_EQ(plan.operators[1].old_parallelism, 1);
  EXPECT_EQ(plan.operators[1].parallelism, 2);
}

// flink-surface §4.4 no. 67
TEST(RestorePlanTest, StateWithoutOperatorIsAProblemThatNamesItAndWhatWouldBeDropped) {
  SideFile side;
  side.operators[Id('z')] = {"Join", "join-uid"};
  const RestorePlan plan =
      MakeRestorePlan(Metadata({WithState('z')}), Graph(2), {"file:/sp", false}, side);
  ASSERT_THAT(plan.problems, SizeIs(1));
  EXPECT_EQ(plan.problems[0],
            "Failed to rollback to checkpoint/savepoint file:/sp. Cannot map "
            "checkpoint/savepoint state for operator 7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a to the new "
            "program, because the operator is not available in the new program. If you want to "
            "allow to skip this, you can set the --allowNonRestoredState option on the CLI. The "
            "operator is \"Join\" with the uid \"join-uid\". Its 5 bytes of state would then be "
            "dropped.");
  EXPECT_FALSE(ProblemsOf(plan).ok());
  EXPECT_THAT(Verdicts(plan), ElementsAre("new source", "new count", "dropped join-uid"));
}

// flink-surface §4.4 no. 68
TEST(RestorePlanTest, AllowNonRestoredStateSkipsIt) {
  const RestorePlan plan = Plan({WithState('z')}, Graph(2), /*allow=*/true);
  EXPECT_THAT(plan.problems, IsEmpty());
  EXPECT_THAT(Verdicts(plan), ElementsAre("new source", "new count", "dropped ?"));
}

// flink-surface §4.4 no. 68
TEST(RestorePlanTest, EmptyStateOfAnAbsentOperatorIsNoProblem) {
  const RestorePlan plan = Plan({Empty('z', 2)}, Graph(2));
  EXPECT_THAT(plan.problems, IsEmpty());
  EXPECT_THAT(Verdicts(plan), ElementsAre("new source", "new count"));
}

// flink-surface §4.4 no. 70
TEST(RestorePlanTest, AFailoverToleratesStateThatTheJobLeftBehindAtItsStart) {
  const auto metadata = Metadata({WithState('z')});
  const RestorePlan plan =
      MakeRestorePlan(metadata, Graph(2), {"/sp", false, /*is_failover=*/true});
  EXPECT_THAT(plan.problems, IsEmpty());
}

TEST(RestorePlanTest, AnAbsentOperatorThatOnlyMarkedTheEndOfItsInputIsNoProblem) {
  EXPECT_THAT(Plan({WithEndOfInputMark('z')}, Graph(2)).problems, IsEmpty());
  OperatorSnapshot both = WithEndOfInputMark('z');
  both.subtasks[0].managed_keyed_state = Handle({0, 127});
  EXPECT_THAT(Plan({both}, Graph(2)).problems, SizeIs(1));
}

TEST(RestorePlanTest, AMarkedStatelessOperatorDoesNotFixTheMaximumParallelism) {
  graph::JobGraph graph = Graph(2);
  graph.vertices[1].max_parallelism = 64;
  graph.vertices[1].max_parallelism_configured = true;
  EXPECT_THAT(Plan({WithEndOfInputMark('b')}, graph).problems, IsEmpty());
}

// flink-surface §4.6 no. 87
TEST(RestorePlanTest, MaxParallelismIsTakenOverUnlessConfigured) {
  graph::JobGraph graph = Graph(2);
  const RestorePlan taken = Plan({WithState('b', 64)}, graph);
  EXPECT_THAT(taken.problems, IsEmpty());
  EXPECT_EQ(taken.max_parallelism.at(graph.vertices[1].id), 64);
  EXPECT_EQ(taken.max_parallelism.at(graph.vertices[0].id), 128);
}

// flink-surface §4.6 no. 86
TEST(RestorePlanTest, AnotherConfiguredMaxParallelismIsAProblem) {
  graph::JobGraph graph = Graph(2);
  graph.vertices[1].max_parallelism_configured = true;
  const RestorePlan refused = Plan({WithState('b', 64)}, graph);
  ASSERT_THAT(refused.problems, SizeIs(1));
  EXPECT_THAT(refused.problems[0],
              HasSubstr("Failed to rollback to checkpoint/savepoint Checkpoint Metadata. Max "
                        "parallelism mismatch between checkpoint/savepoint state and new program. "
                        "Cannot map operator 62626262626262626262626262626262 with max parallelism "
                        "64 to new program with max parallelism 128. This indicates that the "
                        "program has been changed in a non-compatible way after the "
                        "checkpoint/savepoint."));
  EXPECT_THAT(refused.problems[0],
              HasSubstr("/sp would restore with a maximum parallelism of 64: set that, or none."));
  EXPECT_THAT(Verdicts(refused), ElementsAre("new source", "incompatible count"));
}

// flink-surface §4.6 no. 88
TEST(RestorePlanTest, ParallelismAboveTheSnapshotsMaximumIsAProblemThatSaysWhatWorks) {
  const RestorePlan plan = Plan({WithState('b', 2)}, Graph(3));
  ASSERT_THAT(plan.problems, SizeIs(1));
  EXPECT_THAT(plan.problems[0],
              AllOf(HasSubstr("The maximum parallelism (2) of the restored state is lower than the "
                              "configured parallelism (3). Please reduce the parallelism of the "
                              "task to be lower or equal to the maximum parallelism."),
                    HasSubstr("The job can run with a parallelism of at most 2, because of the "
                              "state of \"Sum\" (uid \"count\").")));
  EXPECT_THAT(Verdicts(plan), ElementsAre("new source", "incompatible count"));
}

TEST(RestorePlanTest, AParallelismThatIsTooHighForSeveralVerticesIsOneProblem) {
  const RestorePlan plan = Plan({WithState('a', 4), WithState('b', 2)}, Graph(5));
  ASSERT_THAT(plan.problems, SizeIs(1));
  EXPECT_THAT(plan.problems[0], StartsWith("The state for task 62626262626262626262626262626262 "
                                           "can not be restored. The maximum parallelism (2)"));
  EXPECT_THAT(
      plan.problems[0],
      EndsWith("The job can run with a parallelism of at most 2, because of the state of "
               "\"Source: Lines\" (uid \"source\"), which allows 4, \"Sum\" (uid \"count\")."));
  EXPECT_THAT(Verdicts(plan), ElementsAre("incompatible source", "incompatible count"));
}

TEST(RestorePlanTest, OperatorsMayMoveToOtherVerticesAndStatelessOnesComeAndGo) {
  // Flink's ChainBreakTest, ChainUnionTest, ChainOrderTest, ChainLength{Increase,Decrease}Test: by
  // operator id, whatever the chain.
  graph::JobGraph graph = Graph(2);
  graph::OperatorDescription moved = graph.vertices[1].operators[0];
  graph.vertices.pop_back();
  graph::OperatorDescription added;
  added.id = Id('m');
  added.name = "Map";
  graph.vertices[0].operators.push_back(added);
  graph.vertices[0].operators.push_back(moved);
  const RestorePlan plan = Plan({WithState('b'), Empty('f', 1), WithState('a')}, graph);
  EXPECT_THAT(plan.problems, IsEmpty());
  EXPECT_THAT(Verdicts(plan), ElementsAre("matched source", "new ?", "matched count"));
}

TEST(RestorePlanTest, OneVertexCannotHaveTwoMaximaOfParallelism) {
  graph::JobGraph graph = Graph(2);
  graph.vertices[0].operators.push_back(graph.vertices[1].operators[0]);
  graph.vertices.pop_back();
  const RestorePlan plan = Plan({WithState('a', 64), WithState('b', 128)}, graph);
  ASSERT_THAT(plan.problems, SizeIs(1));
  EXPECT_THAT(plan.problems[0], HasSubstr("Max parallelism mismatch"));
}

TEST(RestorePlanTest, OneMismatchOfMaxParallelismIsSaidOnceForAllOperators) {
  graph::JobGraph graph = Graph(2);
  for (graph::JobVertex& vertex : graph.vertices) {
    vertex.max_parallelism = 32;
    vertex.max_parallelism_configured = true;
  }
  const RestorePlan plan = Plan({WithState('a', 64), WithState('b', 64)}, graph);
  ASSERT_THAT(plan.problems, SizeIs(1));
  EXPECT_THAT(
      plan.problems[0],
      AllOf(HasSubstr("Cannot map operator 61616161616161616161616161616161 with"),
            HasSubstr(" The same goes for the operator 62626262626262626262626262626262.")));
  EXPECT_THAT(Verdicts(plan), ElementsAre("incompatible source", "incompatible count"));
}

TEST(RestorePlanTest, KeyGroupsThatNoHandleCoversAreAProblemThatNamesThem) {
  OperatorSnapshot lost = WithState('b', 128, 4);
  lost.subtasks.erase(1);
  lost.subtasks[3].managed_keyed_state = Handle({100, 126});
  const RestorePlan plan = Plan({lost}, Graph(2));
  ASSERT_THAT(plan.problems, SizeIs(1));
  EXPECT_THAT(plan.problems[0],
              HasSubstr("It is incomplete: the operator 62626262626262626262626262626262 has no "
                        "state for the key groups 32 to 63, 96 to 99, 127 in it."));
  EXPECT_THAT(Verdicts(plan), ElementsAre("new source", "incompatible count"));
  EXPECT_THAT(Plan({lost}, Graph(2), /*allow=*/true).problems, IsEmpty());
}

TEST(RestorePlanTest, SubtasksThatFinishedOrHadNoKeyedStateNeedNoHandle) {
  OperatorSnapshot op = WithState('b', 128, 4);
  op.subtasks[1] = SubtaskState();
  op.subtasks[2] = SubtaskState();
  op.subtasks[2].finished = true;
  EXPECT_THAT(Plan({op}, Graph(2)).problems, IsEmpty());
  EXPECT_THAT(MissingKeyGroups(Empty('b', 4)), IsEmpty());
}

TEST(RestorePlanTest, AGraphThatRunsIsMatchedLikeASnapshotOfIt) {
  const RestoreOptions options{"of a job", false};
  EXPECT_THAT(PlanRestoreOfRunning(Graph(1), Graph(2), options).problems, IsEmpty());
  graph::JobGraph other = Graph(1);
  other.vertices[0] = Vertex('q', "Source: Queue", "queue", 1);
  const RestorePlan plan = PlanRestoreOfRunning(Graph(1), other, options);
  EXPECT_THAT(Verdicts(plan), ElementsAre("new queue", "matched count", "dropped source"));
  EXPECT_THAT(plan.problems, SizeIs(1));
}

TEST(RestorePlanTest, JsonHasVerdictsAndProblems) {
  const auto json = ToJson(Plan({WithState('z')}, Graph(2)));
  EXPECT_EQ(json["restorable"], false);
  EXPECT_EQ(json["snapshot"], "/sp");
  EXPECT_EQ(json["checkpoint-id"], 5);
  ASSERT_EQ(json["operators"].size(), 3u);
  EXPECT_EQ(json["operators"][2].dump(),
            R"({"verdict":"dropped","id":"7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a","uid":"","name":"",)"
            R"("state-bytes":5,"old-parallelism":1,"parallelism":0,"max-parallelism":128})");
  EXPECT_THAT(json["problems"], SizeIs(1));
}

/// What there is to say about a snapshot whose operator "count" has this state, and nothing else.
std::string ProblemWithStateOfCount(SubtaskState state) {
  LoadedSnapshot snapshot;
  OperatorSnapshot op = Empty('b', 1);
  op.subtasks[0] = std::move(state);
  snapshot.metadata = Metadata({op});
  snapshot.directory = "/sp";
  const RestorePlan plan = PlanRestore(snapshot, Graph(2), {"/sp", false});
  EXPECT_THAT(
      Verdicts(plan),
      ElementsAre("new source", plan.problems.empty() ? "matched count" : "incompatible count"));
  EXPECT_LE(plan.problems.size(), 1u);
  return plan.problems.empty() ? "" : plan.problems[0];
}

TEST(RestorePlanTest, StateThatNobodyHereReadsIsAProblemThatSaysWhatHelps) {
  const std::string who =
      "Failed to rollback to checkpoint/savepoint /sp. Of the operator \"Sum\" with the uid "
      "\"count\" nothing can be restored: ";
  const std::string raw =
      who +
      "it has raw state, which only its class in Apache Flink reads: give the operator another uid "
      "and start with --allowNonRestoredState to go on without its state.";
  SubtaskState of_operator;
  of_operator.raw_operator_state.emplace();
  of_operator.raw_operator_state->stream = InlineHandle{"r", "raw"};
  EXPECT_EQ(ProblemWithStateOfCount(of_operator), raw);

  SubtaskState keyed;
  KeyGroupsHandle groups = Handle({0, 127});
  groups.kind = KeyGroupsHandle::Kind::kKeyGroups;
  groups.stream = InlineHandle{"r", "not timers"};
  keyed.raw_keyed_state = groups;
  EXPECT_THAT(ProblemWithStateOfCount(keyed), HasSubstr("two key groups begin at offset 0"));
  groups.offsets.assign(128, -1);
  keyed.raw_keyed_state = groups;
  EXPECT_EQ(ProblemWithStateOfCount(keyed), "");
  groups.offsets[3] = 0;
  keyed.raw_keyed_state = groups;
  EXPECT_EQ(ProblemWithStateOfCount(keyed), raw);
  keyed.raw_keyed_state = IncrementalHandle();
  EXPECT_EQ(ProblemWithStateOfCount(keyed), raw);

  SubtaskState changelog;
  changelog.managed_keyed_state = OpaqueKeyedHandle{"\10", {0, 127}};
  EXPECT_EQ(ProblemWithStateOfCount(changelog),
            who +
                "its keyed state is in the form of Apache Flink's changelog, which cannot be "
                "read here: take a savepoint in canonical format and start from that.");
}

OperatorSnapshot Finished(char id) {
  OperatorSnapshot op = Empty(id, 2);
  op.fully_finished = true;
  return op;
}

graph::JobGraph ConnectedGraph(int parallelism) {
  graph::JobGraph graph = Graph(parallelism);
  graph::JobEdge edge;
  edge.source_vertex = 0;
  edge.target_vertex = 1;
  edge.ship_strategy = graph::ShipStrategy::kHash;
  graph.edges.push_back(edge);
  return graph;
}

TEST(RestorePlanTest, AVertexThatHadFinishedStaysFinished) {
  CheckpointMetadata metadata;
  metadata.operators = {Finished('a'), Empty('b', 2)};
  const graph::JobGraph graph = ConnectedGraph(3);
  const RestorePlan plan = MakeRestorePlan(metadata, graph, {"/chk", false});
  EXPECT_THAT(plan.problems, IsEmpty());
  EXPECT_THAT(plan.finished, ElementsAre(graph.vertices[0].id));
}

TEST(RestorePlanTest, AFinishedVertexBehindARunningOneIsAProblem) {
  CheckpointMetadata metadata;
  metadata.operators = {Empty('a', 2), Finished('b')};
  const RestorePlan plan = MakeRestorePlan(metadata, ConnectedGraph(2), {"/chk", false});
  ASSERT_THAT(plan.problems, SizeIs(1));
  EXPECT_THAT(plan.problems[0], HasSubstr("\"Sum\" had finished in it, but its input"));
  EXPECT_EQ(plan.operators[1].verdict, RestoreVerdict::kIncompatible);
}

TEST(RestorePlanTest, AnOperatorAddedToAFinishedChainIsAProblem) {
  CheckpointMetadata metadata;
  metadata.operators = {Finished('a')};
  graph::JobGraph graph = ConnectedGraph(2);
  graph::OperatorDescription added = graph.vertices[0].operators[0];
  added.id = Id('n');
  graph.vertices[0].operators.push_back(added);
  const RestorePlan plan = MakeRestorePlan(metadata, graph, {"/chk", false});
  ASSERT_THAT(plan.problems, SizeIs(1));
  EXPECT_THAT(plan.problems[0], HasSubstr("only some had finished"));
}

/// Of a sink with this uid, behind the first operator of the vertex.
void AddCommitter(const std::string& uid, graph::JobVertex* vertex) {
  vertex->operators[0].uid = uid;
  graph::OperatorDescription committer = vertex->operators[0];
  committer.id = CommitterOperatorId(vertex->operators[0].id, uid);
  committer.name = "Sink: Committer";
  committer.uid = uid.empty() ? "" : "Sink Committer: " + uid;
  vertex->operators.push_back(committer);
}

TEST(RestorePlanTest, SnapshotsFromBeforeCommittersRestore) {
  for (const std::string uid : {"sink", ""}) {
    graph::JobGraph graph = ConnectedGraph(2);
    AddCommitter(uid, &graph.vertices[1]);
    RestorePlan plan = Plan({Empty('a', 2), WithState('b', 128, 2)}, graph);
    EXPECT_THAT(plan.problems, IsEmpty());
    EXPECT_EQ(plan.operators[1].verdict, RestoreVerdict::kMatched);
    EXPECT_EQ(plan.operators[2].verdict, RestoreVerdict::kNew);
    EXPECT_EQ(plan.operators[2].name, "Sink: Committer");
    // Also of a job whose sink had finished: it stays so.
    plan = Plan({Finished('a'), Finished('b')}, graph);
    EXPECT_THAT(plan.problems, IsEmpty());
    EXPECT_THAT(plan.finished, ElementsAre(graph.vertices[0].id, graph.vertices[1].id));
  }
}

TEST(RestorePlanTest, ADroppedSinkIsNamedByTheUidsOfItsWriterAndCommitter) {
  OperatorSnapshot writer = WithEndOfInputMark('w');
  writer.subtasks[0].managed_operator_state->states[0].name = "writer_raw_states";
  OperatorSnapshot committer = writer;
  committer.operator_id = CommitterOperatorId(Id('w'), "sink");
  SideFile side;
  side.operators[writer.operator_id] = {"Sink: Writer", "sink"};
  side.operators[committer.operator_id] = {"Sink: Committer", "Sink Committer: sink"};
  const RestorePlan plan =
      MakeRestorePlan(Metadata({writer, committer}), Graph(1), {"/sp", false}, side);
  ASSERT_THAT(plan.problems, SizeIs(2));
  EXPECT_THAT(plan.problems[0],
              HasSubstr("The operator is \"Sink: Writer\" with the uid \"sink\"."));
  EXPECT_THAT(
      plan.problems[1],
      HasSubstr("The operator is \"Sink: Committer\" with the uid \"Sink Committer: sink\"."));
}

TEST(RestorePlanTest, RecordsInFlightAreOursAccordingToTheSideFile) {
  CheckpointMetadata metadata;
  metadata.operators = {Empty('a', 2), Empty('b', 2)};
  ChannelStateHandle handle;
  handle.stream = InlineHandle{"x", "data"};
  metadata.operators[1].subtasks[0].input_channel_state.push_back(handle);
  const graph::JobGraph graph = ConnectedGraph(3);
  const RestorePlan foreign = MakeRestorePlan(metadata, graph, {"file:/chk", false});
  ASSERT_THAT(foreign.problems, SizeIs(1));
  EXPECT_THAT(foreign.problems[0],
              AllOf(HasSubstr("file:/chk"), HasSubstr("to \"Sum\""), HasSubstr("another system")));
  EXPECT_EQ(foreign.operators[1].verdict, RestoreVerdict::kIncompatible);
  SideFile side;
  side.in_flight_data = true;
  EXPECT_THAT(MakeRestorePlan(metadata, graph, {"/chk", false}, side).problems, IsEmpty());
}

}  // namespace
}  // namespace flink::snapshot
