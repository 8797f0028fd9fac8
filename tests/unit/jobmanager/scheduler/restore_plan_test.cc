#include "jobmanager/checkpoint/restore_plan.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "scripted_cluster.h"

namespace flink::jobmanager {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

graph::JobGraph Graph(int parallelism) {
  return SubmittedJob::FromProto(TestGraph(parallelism)).value().graph;
}

snapshot::OperatorSnapshot WithState(char id, int max_parallelism = 128) {
  snapshot::OperatorSnapshot op;
  op.operator_id = IdFromBytes<OperatorId>(TestId(id)).value();
  op.parallelism = 1;
  op.max_parallelism = max_parallelism;
  snapshot::KeyGroupsHandle keyed;
  keyed.offsets.assign(static_cast<size_t>(max_parallelism), 0);
  keyed.stream = snapshot::InlineHandle{"x", "state"};
  op.subtasks[0].managed_keyed_state = keyed;
  return op;
}

snapshot::CheckpointMetadata Metadata(std::vector<snapshot::OperatorSnapshot> operators) {
  snapshot::CheckpointMetadata metadata;
  metadata.checkpoint_id = 5;
  metadata.operators = std::move(operators);
  return metadata;
}

TEST(RestorePlanTest, MapsStateByOperatorId) {
  const RestorePlan plan = MakeRestorePlan(Metadata({WithState('b')}), Graph(2), {"/sp", false});
  EXPECT_THAT(plan.problems, IsEmpty());
  EXPECT_THAT(plan.restored, SizeIs(1));
  EXPECT_THAT(plan.started_empty, SizeIs(1));
  EXPECT_EQ(plan.checkpoint_id, 5);
}

TEST(RestorePlanTest, StateWithoutOperatorIsAProblemThatNamesIt) {
  SideFile side;
  side.operators[IdFromBytes<OperatorId>(TestId('z')).value()] = {"Join", "join-uid"};
  const RestorePlan plan =
      MakeRestorePlan(Metadata({WithState('z')}), Graph(2), {"file:/sp", false}, side);
  ASSERT_THAT(plan.problems, SizeIs(1));
  EXPECT_THAT(
      plan.problems[0],
      HasSubstr("Failed to rollback to checkpoint/savepoint file:/sp. Cannot map "
                "checkpoint/savepoint state for "
                "operator 7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a to the new program, because the "
                "operator is not "
                "available in the new program. If you want to allow to skip this, you can set the "
                "--allowNonRestoredState option on the CLI."));
  EXPECT_THAT(plan.problems[0], HasSubstr("join-uid"));
  EXPECT_FALSE(ProblemsOf(plan).ok());
}

TEST(RestorePlanTest, AllowNonRestoredStateSkipsIt) {
  const RestorePlan plan = MakeRestorePlan(Metadata({WithState('z')}), Graph(2), {"/sp", true});
  EXPECT_THAT(plan.problems, IsEmpty());
  EXPECT_THAT(plan.skipped, SizeIs(1));
}

TEST(RestorePlanTest, EmptyStateOfAnAbsentOperatorIsNoProblem) {
  snapshot::OperatorSnapshot empty;
  empty.operator_id = IdFromBytes<OperatorId>(TestId('z')).value();
  empty.parallelism = 2;
  EXPECT_THAT(MakeRestorePlan(Metadata({empty}), Graph(2), {"/sp", false}).problems, IsEmpty());
}

TEST(RestorePlanTest, MaxParallelismIsTakenOverUnlessConfigured) {
  const auto metadata = Metadata({WithState('b', 64)});
  graph::JobGraph graph = Graph(2);
  const RestorePlan taken = MakeRestorePlan(metadata, graph, {"/sp", false});
  EXPECT_THAT(taken.problems, IsEmpty());
  EXPECT_EQ(taken.max_parallelism.at(graph.vertices[1].id), 64);
  EXPECT_EQ(taken.max_parallelism.at(graph.vertices[0].id), 128);

  graph.vertices[1].max_parallelism_configured = true;
  const RestorePlan refused = MakeRestorePlan(metadata, graph, {"/sp", false});
  ASSERT_THAT(refused.problems, SizeIs(1));
  EXPECT_THAT(refused.problems[0],
              HasSubstr("with max parallelism 64 to new program with max parallelism 128"));
}

TEST(RestorePlanTest, ParallelismAboveTheSnapshotsMaximumIsAProblem) {
  const RestorePlan plan = MakeRestorePlan(Metadata({WithState('b', 2)}), Graph(3), {"/sp", false});
  ASSERT_THAT(plan.problems, SizeIs(1));
  EXPECT_THAT(plan.problems[0], HasSubstr("The maximum parallelism (2) of the restored state is "
                                          "lower than the configured parallelism (3)"));
}

TEST(RestorePlanTest, KeyedStateGoesToTheSubtasksOfItsKeyGroups) {
  snapshot::LoadedSnapshot loaded;
  loaded.directory = "/sp";
  loaded.metadata = Metadata({WithState('b')});
  const graph::JobGraph graph = Graph(2);
  const RestorePlan plan = MakeRestorePlan(loaded.metadata, graph, {"/sp", false});
  const auto state = LoadRestoredState(loaded, graph, plan);
  ASSERT_TRUE(state.ok()) << Message(state.status());
  ASSERT_THAT(state->subtasks, SizeIs(2));
  const auto& second = state->subtasks.at({graph.vertices[1].id, 1});
  ASSERT_EQ(second.size(), 1u);
  const auto decoded = snapshot::DecodeSubtaskState(second[0].subtask_states(0));
  ASSERT_TRUE(decoded.ok());
  EXPECT_EQ(snapshot::KeyGroupsOf(decoded->managed_keyed_state), (KeyGroupRange{64, 127}));
}

}  // namespace
}  // namespace flink::jobmanager
