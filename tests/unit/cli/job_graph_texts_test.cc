#include "cli/job_graph_texts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace flink::cli {
namespace {

using pb::graph::v1::JobGraph;
using ::testing::StartsWith;

TEST(JobGraphTextsTest, EveryTextOfTheProgramMustBeUtf8) {
  JobGraph good;
  good.set_name("Wörter");
  pb::graph::v1::JobVertex* vertex = good.add_vertices();
  vertex->set_name("vertex");
  vertex->add_operators()->set_name("operator");
  EXPECT_TRUE(CheckTexts(good).ok());

  const auto refused = [&good](const auto& change) {
    JobGraph bad = good;
    change(bad);
    return Message(CheckTexts(bad));
  };
  EXPECT_EQ(refused([](JobGraph& g) { g.set_name("W\xf6rter"); }),
            "The name of the job \"W?rter\" is not UTF-8.");
  EXPECT_THAT(refused([](JobGraph& g) { g.mutable_vertices(0)->set_name("\xff"); }),
              StartsWith("The name of the vertex"));
  const auto op = [](JobGraph& g) { return g.mutable_vertices(0)->mutable_operators(0); };
  EXPECT_THAT(refused([&](JobGraph& g) { op(g)->set_name("\xff"); }),
              StartsWith("The name of the operator"));
  EXPECT_THAT(refused([&](JobGraph& g) { op(g)->set_uid("\xff"); }), StartsWith("The uid"));
}

}  // namespace
}  // namespace flink::cli
