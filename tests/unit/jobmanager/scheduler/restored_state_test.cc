#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "jobmanager/checkpoint/restore_plan.h"
#include "scripted_cluster.h"

namespace flink::jobmanager {
namespace {

using ::testing::SizeIs;

TEST(RestoredStateTest, KeyedStateGoesToTheSubtasksOfItsKeyGroups) {
  snapshot::LoadedSnapshot loaded;
  loaded.directory = "/sp";
  loaded.metadata.checkpoint_id = 5;
  snapshot::OperatorSnapshot op;
  op.operator_id = IdFromBytes<OperatorId>(TestId('b')).value();
  op.parallelism = 1;
  op.max_parallelism = 128;
  snapshot::KeyGroupsHandle keyed;
  keyed.offsets.assign(128, 0);
  keyed.stream = snapshot::InlineHandle{"x", "state"};
  op.subtasks[0].managed_keyed_state = keyed;
  loaded.metadata.operators.push_back(op);
  const graph::JobGraph graph = SubmittedJob::FromProto(TestGraph(2)).value().graph;
  const snapshot::RestorePlan plan =
      snapshot::MakeRestorePlan(loaded.metadata, graph, {"/sp", false});
  const auto state = LoadRestoredState(loaded, graph, plan);
  ASSERT_TRUE(state.ok()) << Message(state.status());
  ASSERT_THAT(state->subtasks, SizeIs(2));
  const auto& second = state->subtasks.at({graph.vertices[1].id, 1});
  ASSERT_EQ(second.size(), 1u);
  const auto decoded = snapshot::DecodeSubtaskState(second[0].subtask_states(0));
  ASSERT_TRUE(decoded.ok());
  EXPECT_EQ(snapshot::KeyGroupsOf(decoded->managed_keyed_state), (KeyGroupRange{64, 127}));
}

// flink-surface §4.6 no. 92
TEST(RestoredStateTest, StateThatNoPlanMentionsIsAnError) {
  snapshot::LoadedSnapshot loaded;
  snapshot::OperatorSnapshot op;
  op.operator_id = IdFromBytes<OperatorId>(TestId('z')).value();
  op.coordinator_state = snapshot::InlineHandle{"x", "state"};
  loaded.metadata.operators.push_back(op);
  const graph::JobGraph graph = SubmittedJob::FromProto(TestGraph(2)).value().graph;
  const auto state = LoadRestoredState(loaded, graph, snapshot::RestorePlan());
  ASSERT_FALSE(state.ok());
  EXPECT_EQ(Message(state.status()),
            "There is no operator for the state 7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a");
}

}  // namespace
}  // namespace flink::jobmanager
