#include "jobmanager/checkpoint/restored_state.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/snapshot/operator_state_stream.h"
#include "common/snapshot/serializer_snapshot.h"
#include "scripted_cluster.h"

namespace flink::jobmanager {
namespace {

using ::testing::ElementsAre;
using ::testing::SizeIs;
using ::testing::UnorderedElementsAreArray;

std::string TypeOfBytes() {
  return snapshot::SimpleSerializerSnapshot(
      "org.apache.flink.api.common.typeutils.base.array.BytePrimitiveArraySerializer$"
      "BytePrimitiveArraySerializerSnapshot");
}

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

/// An operator state of this mode: subtask i of two has the elements "i0", "i1" and "i2".
snapshot::OperatorSnapshot WithElements(snapshot::DistributionMode mode) {
  snapshot::OperatorSnapshot op;
  op.operator_id = IdFromBytes<OperatorId>(TestId('b')).value();
  op.parallelism = 2;
  op.max_parallelism = 128;
  for (int i = 0; i < 2; ++i) {
    snapshot::OperatorState state;
    state.name = "elements";
    state.mode = mode;
    state.serializer = TypeOfBytes();
    for (int k = 0; k < 3; ++k) state.elements.push_back(fmt::format("{}{}", i, k));
    const snapshot::OperatorStateStream stream =
        snapshot::WriteOperatorStateStream(std::vector{state}).value();
    op.subtasks[i].managed_operator_state =
        stream.MakeHandle(snapshot::InlineHandle{fmt::format("s{}", i), stream.bytes});
  }
  return op;
}

/// What each subtask gets at this parallelism.
std::vector<std::vector<std::string>> Shares(snapshot::DistributionMode mode, int parallelism) {
  snapshot::LoadedSnapshot loaded;
  loaded.metadata.operators.push_back(WithElements(mode));
  const graph::JobGraph graph = SubmittedJob::FromProto(TestGraph(parallelism)).value().graph;
  const auto state = LoadRestoredState(
      loaded, graph, snapshot::MakeRestorePlan(loaded.metadata, graph, {"/sp", false}));
  EXPECT_TRUE(state.ok()) << Message(state.status());
  std::vector<std::vector<std::string>> shares;
  for (int i = 0; state.ok() && i < parallelism; ++i) {
    const auto& operators = state->subtasks.at({graph.vertices[1].id, i});
    const auto& elements = operators.at(0).list_states(0).elements();
    shares.emplace_back(elements.begin(), elements.end());
  }
  return shares;
}

// RescalingITCase: testSavepointRescaling{In,Out}PartitionedOperatorState
TEST(RestoredStateTest, ElementsOfASplitListAreDealtOutOnceAtAnyParallelism) {
  const std::vector<std::string> all = {"00", "01", "02", "10", "11", "12"};
  for (const int parallelism : {1, 2, 3, 5, 7}) {
    std::vector<std::string> got;
    for (const auto& share : Shares(snapshot::DistributionMode::kSplitDistribute, parallelism)) {
      got.insert(got.end(), share.begin(), share.end());
    }
    EXPECT_THAT(got, UnorderedElementsAreArray(all)) << parallelism;
  }
}

// RescalingITCase: testSavepointRescaling{In,Out}BroadcastOperatorState
TEST(RestoredStateTest, EverySubtaskGetsAllElementsOfAUnionListAtAnyParallelism) {
  for (const int parallelism : {1, 2, 3}) {
    for (const auto& share : Shares(snapshot::DistributionMode::kUnion, parallelism)) {
      EXPECT_THAT(share, ElementsAre("00", "01", "02", "10", "11", "12")) << parallelism;
    }
  }
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

TEST(RestoredStateTest, HowManySubtasksHadFinishedIsHandedOn) {
  snapshot::LoadedSnapshot loaded;
  snapshot::OperatorSnapshot op;
  op.operator_id = IdFromBytes<OperatorId>(TestId('b')).value();
  op.parallelism = 2;
  op.max_parallelism = 128;
  op.coordinator_state = snapshot::InlineHandle{"x", "state"};
  op.subtasks[1].finished = true;
  loaded.metadata.operators.push_back(op);
  const graph::JobGraph graph = SubmittedJob::FromProto(TestGraph(2)).value().graph;
  const auto state = LoadRestoredState(
      loaded, graph, snapshot::MakeRestorePlan(loaded.metadata, graph, {"/sp", false}));
  ASSERT_TRUE(state.ok()) << Message(state.status());
  EXPECT_EQ(state->subtasks.at({graph.vertices[1].id, 0})[0].finished_subtasks(), 1);
}

}  // namespace
}  // namespace flink::jobmanager
