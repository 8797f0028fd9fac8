#include "proto/conversion/job_graph_proto.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace flink::graph {
namespace {

using testing::HasSubstr;

JobVertex Vertex(int node, uint8_t id) {
  JobVertex vertex;
  vertex.id = JobVertexId(std::array<uint8_t, 16>{id});
  vertex.name = "vertex " + std::to_string(node);
  vertex.parallelism = 3;
  vertex.max_parallelism = 64;
  vertex.max_parallelism_configured = true;
  OperatorDescription op;
  op.node_id = node;
  op.id = OperatorId(std::array<uint8_t, 16>{id});
  op.name = "operator";
  op.uid = "uid";
  op.stateful = true;
  op.keyed = true;
  op.has_coordinator = node == 1;
  op.kind = "Operator";
  op.declared_states = std::string("head\0of a stream", 16);
  vertex.operators.push_back(op);
  return vertex;
}

JobGraph Graph() {
  JobGraph graph;
  graph.name = "a job";
  graph.vertices = {Vertex(1, 11), Vertex(2, 12)};
  graph.edges.push_back({.source_vertex = 0,
                         .target_vertex = 1,
                         .source_node = 1,
                         .target_node = 2,
                         .input_index = 1,
                         .ship_strategy = ShipStrategy::kHash});
  graph.configuration["a.key"] = "value";
  return graph;
}

TEST(JobGraphProtoTest, AGraphSurvivesTheWire) {
  const JobGraph graph = Graph();
  const auto back = FromProto(ToProto(graph));
  ASSERT_TRUE(back.ok()) << Message(back.status());
  EXPECT_EQ(back->Digest(), graph.Digest());
  EXPECT_EQ(back->name, "a job");
  EXPECT_EQ(back->configuration, graph.configuration);
  ASSERT_EQ(back->vertices.size(), 2u);
  EXPECT_EQ(back->vertices[1].parallelism, 3);
  EXPECT_EQ(back->vertices[1].max_parallelism, 64);
  EXPECT_TRUE(back->vertices[1].max_parallelism_configured);
  const OperatorDescription& op = back->vertices[0].operators.at(0);
  EXPECT_EQ(op.uid, "uid");
  EXPECT_TRUE(op.stateful && op.keyed && op.has_coordinator);
  EXPECT_EQ(op.declared_states, graph.vertices[0].operators[0].declared_states);
  ASSERT_EQ(back->edges.size(), 1u);
  EXPECT_EQ(back->edges[0].input_index, 1);
  EXPECT_EQ(back->edges[0].ship_strategy, ShipStrategy::kHash);
  EXPECT_EQ(ToProto(graph).digest(), graph.Digest());
}

TEST(JobGraphProtoTest, AGraphThatDoesNotKnowItsStatesIsTheSameGraph) {
  pb::graph::v1::JobGraph message = ToProto(Graph());
  for (auto& vertex : *message.mutable_vertices()) {
    for (auto& op : *vertex.mutable_operators()) op.clear_declared_states();
  }
  const auto back = FromProto(message);
  ASSERT_TRUE(back.ok()) << Message(back.status());
  EXPECT_EQ(back->Digest(), Graph().Digest());
  EXPECT_EQ(back->vertices[0].operators[0].declared_states, "");
}

TEST(JobGraphProtoTest, WhatAReceiverCouldNotUseIsRefused) {
  const auto error = [](const auto& damage) {
    pb::graph::v1::JobGraph message = ToProto(Graph());
    damage(message);
    return Message(FromProto(message).status());
  };
  EXPECT_THAT(error([](auto& m) { m.clear_vertices(); }), HasSubstr("no operators"));
  EXPECT_THAT(error([](auto& m) { m.mutable_vertices(0)->set_id("short"); }),
              HasSubstr("5 bytes instead of 16"));
  EXPECT_THAT(error([](auto& m) { m.mutable_vertices(0)->set_parallelism(0); }),
              HasSubstr("at least 1"));
  EXPECT_THAT(error([](auto& m) { m.mutable_vertices(0)->set_parallelism(65); }),
              HasSubstr("higher than its maximum"));
  EXPECT_THAT(error([](auto& m) { m.mutable_vertices(0)->set_max_parallelism(40000); }),
              HasSubstr("within 1..32768"));
  EXPECT_THAT(error([](auto& m) { m.mutable_edges(0)->set_target_vertex(7); }),
              HasSubstr("edge 0 -> 7"));
  EXPECT_THAT(error([](auto& m) { m.mutable_edges(0)->set_source_vertex(1); }),
              HasSubstr("edge 1 -> 1"));
  EXPECT_THAT(error([](auto& m) { m.mutable_edges(0)->set_target_node(9); }),
              HasSubstr("names an operator"));
  EXPECT_THAT(error([](auto& m) { m.mutable_edges(0)->set_ship_strategy("ODD"); }),
              HasSubstr("\"ODD\""));
}

}  // namespace
}  // namespace flink::graph
