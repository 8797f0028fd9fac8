#include "jobmanager/checkpoint/in_flight_restore.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "common/snapshot/in_flight_plan.h"
#include "tests/unit/jobmanager/checkpoint/coordinator_harness.h"

namespace flink::jobmanager {
namespace {

using graph::ShipStrategy;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr int kOldParallelism = 2;

/// Two sources -> "work", over edges of these strategies.
graph::JobGraph Graph(std::vector<ShipStrategy> strategies, int sources, int parallelism) {
  graph::JobGraph graph;
  const auto add = [&](uint8_t id, const std::string& name, int p) {
    graph::JobVertex vertex;
    vertex.id = MakeId<JobVertexId>(id);
    vertex.name = name;
    vertex.parallelism = p;
    graph::OperatorDescription op;
    op.id = MakeId<OperatorId>(id);
    op.name = name;
    vertex.operators.push_back(op);
    graph.vertices.push_back(vertex);
  };
  add(1, "a", sources);
  add(2, "b", sources);
  add(3, "work", parallelism);
  for (size_t i = 0; i < strategies.size(); ++i) {
    graph::JobEdge edge;
    edge.source_vertex = static_cast<int>(i);
    edge.target_vertex = 2;
    edge.ship_strategy = strategies[i];
    graph.edges.push_back(edge);
  }
  return graph;
}

/// Taken at parallelism 2: each subtask of "work" has something from each channel of both gates.
snapshot::LoadedSnapshot Snapshot() {
  snapshot::LoadedSnapshot loaded;
  loaded.directory = "/chk-1";
  for (const uint8_t id : {1, 2, 3}) {
    snapshot::OperatorSnapshot op;
    op.operator_id = MakeId<OperatorId>(id);
    op.parallelism = kOldParallelism;
    op.max_parallelism = 128;
    for (int subtask = 0; id == 3 && subtask < kOldParallelism; ++subtask) {
      for (int channel = 0; channel < 2 * kOldParallelism; ++channel) {
        snapshot::ChannelStateHandle handle;
        handle.subtask = subtask;
        handle.gate_or_partition = channel / kOldParallelism;
        handle.channel = channel % kOldParallelism;
        handle.stream = snapshot::InlineHandle{"x", "data"};
        op.subtasks[subtask].input_channel_state.push_back(handle);
      }
    }
    loaded.metadata.operators.push_back(op);
  }
  return loaded;
}

/// "old subtask/gate/channel>new channel", with "k" when keys are filtered, "e" with events.
std::vector<std::string> Of(const RestoredState& state, int subtask) {
  std::vector<std::string> result;
  const auto found = state.in_flight.find({MakeId<JobVertexId>(3), subtask});
  if (found == state.in_flight.end()) return result;
  for (const auto& restore : found->second) {
    const auto decoded = snapshot::DecodeSubtaskState(restore.state());
    const auto& handle = decoded.value().input_channel_state.at(0);
    EXPECT_EQ(handle.gate_or_partition, restore.gate());
    EXPECT_EQ("/chk-1", restore.base_directory());
    result.push_back(std::to_string(handle.subtask) + "/" +
                     std::to_string(handle.gate_or_partition) + "/" +
                     std::to_string(handle.channel) + ">" + std::to_string(restore.channel()) +
                     (restore.own_keys_only() ? "k" : "") + (restore.with_events() ? "e" : ""));
  }
  return result;
}

RestoredState Distribute(const graph::JobGraph& graph) {
  RestoredState result;
  EXPECT_THAT(snapshot::InFlightProblems(Snapshot().metadata, graph, 2, true), IsEmpty());
  DistributeInFlightData(Snapshot(), graph, 2, 128, result);
  return result;
}

TEST(InFlightRestoreTest, AtTheSameParallelismEachChannelGetsItsOwnBack) {
  for (const auto strategy : {ShipStrategy::kHash, ShipStrategy::kRebalance}) {
    const RestoredState state = Distribute(Graph({strategy, strategy}, 2, 2));
    EXPECT_THAT(Of(state, 0), ElementsAre("0/0/0>0e", "0/0/1>1e", "0/1/0>0e", "0/1/1>1e"));
    EXPECT_THAT(Of(state, 1), ElementsAre("1/0/0>0e", "1/0/1>1e", "1/1/0>0e", "1/1/1>1e"));
  }
}

TEST(InFlightRestoreTest, AHashEdgeGivesThemToAllWhoMayOwnTheKeys) {
  const RestoredState up = Distribute(Graph({ShipStrategy::kHash, ShipStrategy::kHash}, 2, 3));
  EXPECT_THAT(Of(up, 0), ElementsAre("0/0/0>0k", "0/0/1>1k", "0/1/0>0k", "0/1/1>1k"));
  EXPECT_THAT(Of(up, 1), SizeIs(8)) << "its key groups were those of both";
  EXPECT_THAT(Of(up, 2), ElementsAre("1/0/0>0k", "1/0/1>1k", "1/1/0>0k", "1/1/1>1k"));
  const RestoredState down = Distribute(Graph({ShipStrategy::kHash, ShipStrategy::kHash}, 1, 1));
  EXPECT_THAT(Of(down, 0), ElementsAre("0/0/0>0k", "0/0/1>0k", "0/1/0>0k", "0/1/1>0k", "1/0/0>0k",
                                       "1/0/1>0k", "1/1/0>0k", "1/1/1>0k"));
}

TEST(InFlightRestoreTest, ARebalanceEdgeGivesEachOldSubtasksToOneNewOne) {
  const RestoredState down =
      Distribute(Graph({ShipStrategy::kRebalance, ShipStrategy::kHash}, 2, 1));
  EXPECT_THAT(Of(down, 0), ElementsAre("0/0/0>0", "0/0/1>1", "0/1/0>0k", "0/1/1>1k", "1/0/0>0",
                                       "1/0/1>1", "1/1/0>0k", "1/1/1>1k"));
  const RestoredState up = Distribute(Graph({ShipStrategy::kRebalance, ShipStrategy::kHash}, 2, 3));
  EXPECT_THAT(Of(up, 1), testing::Contains("1/0/0>0"));
  EXPECT_THAT(Of(up, 2), testing::Not(testing::Contains("1/0/0>0")));
}

TEST(InFlightRestoreTest, WhenOnlyTheProducersChangedRecordsStayButEventsAreLeftBehind) {
  const RestoredState state = Distribute(Graph({ShipStrategy::kHash, ShipStrategy::kHash}, 1, 2));
  EXPECT_THAT(Of(state, 1), ElementsAre("1/0/0>0", "1/0/1>0", "1/1/0>0", "1/1/1>0"));
}

TEST(InFlightRestoreTest, AForwardEdgeKeepsItsParallelism) {
  const auto problems = [](int parallelism) {
    return snapshot::InFlightProblems(
        Snapshot().metadata,
        Graph({ShipStrategy::kForward, ShipStrategy::kHash}, parallelism, parallelism), 2, true);
  };
  EXPECT_THAT(problems(2), IsEmpty());
  ASSERT_THAT(problems(3), SizeIs(1));
  EXPECT_THAT(problems(3)[0], HasSubstr("restore with parallelism 2, or from a savepoint"));
}

TEST(InFlightRestoreTest, OtherInputsAndForeignDataAreProblems) {
  const auto one_input = Graph({ShipStrategy::kHash}, 2, 2);
  const auto problems = snapshot::InFlightProblems(Snapshot().metadata, one_input, 2, true);
  ASSERT_THAT(problems, SizeIs(1));
  EXPECT_THAT(problems[0], HasSubstr("other inputs"));
  const auto same = Graph({ShipStrategy::kHash, ShipStrategy::kHash}, 2, 2);
  const auto foreign = snapshot::InFlightProblems(Snapshot().metadata, same, 2, false);
  ASSERT_THAT(foreign, SizeIs(1));
  EXPECT_THAT(foreign[0], HasSubstr("another system wrote it"));
}

TEST(InFlightRestoreTest, AnOperatorThatIsNoHeadAnyMoreIsAProblem) {
  graph::JobGraph graph = Graph({ShipStrategy::kHash, ShipStrategy::kHash}, 2, 2);
  graph::OperatorDescription head;
  head.id = MakeId<OperatorId>(9);
  head.name = "new";
  auto& operators = graph.vertices[2].operators;
  operators.insert(operators.begin(), head);
  const auto problems = snapshot::InFlightProblems(Snapshot().metadata, graph, 2, true);
  ASSERT_THAT(problems, SizeIs(1));
  EXPECT_THAT(problems[0], HasSubstr("another place of its chain"));
}

}  // namespace
}  // namespace flink::jobmanager
