#include "api/graph/job_graph_builder.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "api/graph/state_info.h"
#include "common/graph/operator_id.h"
#include "common/snapshot/serializer_snapshot.h"
#include "common/snapshot/state_types.h"
#include "flink/stream_execution_environment.h"

namespace flink::graph {
namespace {

JobGraph Build(const StreamExecutionEnvironment& env, int parallelism = 2) {
  JobGraphOptions options;
  options.default_parallelism = parallelism;
  auto graph = BuildJobGraph(env.stream_graph(), options);
  EXPECT_TRUE(graph.ok()) << Message(graph.status());
  return graph.ok() ? *graph : JobGraph{};
}

std::string ErrorOf(const StreamExecutionEnvironment& env, JobGraphOptions options = {}) {
  return Message(BuildJobGraph(env.stream_graph(), options).status());
}

std::vector<std::string> Names(const JobGraph& graph) {
  std::vector<std::string> names;
  for (const JobVertex& v : graph.vertices) names.push_back(v.name);
  return names;
}

const auto kAddOne = [](int64_t v) { return v + 1; };
const auto kSelf = [](int64_t v) { return v; };
using Strings = std::vector<std::string>;

TEST(JobGraphBuilderTest, ForwardEdgesAreChainedAndKeyedOnesAreNot) {
  StreamExecutionEnvironment env;
  env.FromSequence(1, 9)
      .Uid("source")
      .Map(kAddOne)
      .KeyBy(kSelf)
      .Sum()
      .Uid("sum")
      .Map(kAddOne)
      .Print();
  const JobGraph graph = Build(env);
  EXPECT_EQ(Names(graph), (Strings{"Source: Sequence Source -> Map",
                                   "Keyed Aggregation -> Map -> Sink: Print to Std. Out"}));
  ASSERT_EQ(graph.edges.size(), 1u);
  EXPECT_EQ(graph.edges[0].ship_strategy, ShipStrategy::kHash);
  EXPECT_EQ(graph.edges[0].source_vertex, 0);
  EXPECT_EQ(graph.edges[0].target_vertex, 1);
  EXPECT_EQ(graph.edges[0].source_node, 2);
  EXPECT_EQ(graph.edges[0].target_node, 3);
  EXPECT_EQ(graph.vertices[0].id.ToHex(), "e5a72f353fc1e6bbf3bd96a41384998c");
  EXPECT_EQ(graph.vertices[0].operators[0].id, OperatorIdFromUid("source"));
  EXPECT_TRUE(graph.vertices[0].operators[0].has_coordinator);
  EXPECT_EQ(graph.vertices[0].operators[0].kind, "Data Source");
  EXPECT_TRUE(graph.vertices[1].operators[0].keyed);
  EXPECT_TRUE(graph.vertices[1].operators[0].stateful);
  EXPECT_EQ(graph.vertices[1].operators[2].kind, "Operator");
  EXPECT_EQ(graph.vertices[1].parallelism, 2);
}

TEST(JobGraphBuilderTest, BranchesAreNamedInParentheses) {
  StreamExecutionEnvironment env;
  const auto source = env.FromSequence(1, 9);
  source.Map(kAddOne).Name("a").Print();
  source.Map(kAddOne).Name("b").SinkTo(DiscardingSink<int64_t>()).Name("Out");
  EXPECT_EQ(Names(Build(env)),
            Strings{"Source: Sequence Source -> (a -> Sink: Print to Std. Out, b -> Out: Writer)"});
}

TEST(JobGraphBuilderTest, ChainsAreSplitWhereTheProgramSays) {
  StreamExecutionEnvironment env;
  env.FromSequence(1, 9)
      .Map(kAddOne)
      .Name("a")
      .StartNewChain()
      .Map(kAddOne)
      .Name("b")
      .DisableChaining()
      .Map(kAddOne)
      .Name("c");
  const JobGraph graph = Build(env);
  EXPECT_EQ(Names(graph), (Strings{"Source: Sequence Source", "a", "b", "c"}));
  for (const JobEdge& e : graph.edges) EXPECT_EQ(e.ship_strategy, ShipStrategy::kForward);

  StreamExecutionEnvironment unchained;
  unchained.DisableOperatorChaining();
  unchained.FromSequence(1, 9).Map(kAddOne).Print();
  EXPECT_EQ(Build(unchained).vertices.size(), 3u);
}

TEST(JobGraphBuilderTest, AnotherParallelismSettingMeansRebalance) {
  StreamExecutionEnvironment env;
  env.FromSequence(1, 9).Map(kAddOne).SetParallelism(2).Print();
  for (const int parallelism : {1, 2}) {  // Also when the numbers happen to be equal.
    const JobGraph graph = Build(env, parallelism);
    ASSERT_EQ(graph.vertices.size(), 3u);
    EXPECT_EQ(graph.edges[0].ship_strategy, ShipStrategy::kRebalance);
    EXPECT_EQ(graph.edges[1].ship_strategy, ShipStrategy::kRebalance);
    EXPECT_EQ(graph.vertices[1].parallelism, 2);
    EXPECT_EQ(graph.vertices[0].parallelism, parallelism);
  }
  EXPECT_EQ(Build(env, 1).Digest(), Build(env, 7).Digest());
}

TEST(JobGraphBuilderTest, AUnionIsOneInputWithSeveralEdges) {
  StreamExecutionEnvironment env;
  const auto a = env.FromSequence(1, 9).Name("a");
  const auto b = env.FromSequence(1, 9).Name("b");
  a.Union(b, a.Rebalance()).Map(kAddOne).Name("all");
  const JobGraph graph = Build(env);
  EXPECT_EQ(Names(graph), (Strings{"Source: a", "Source: b", "all"}));
  ASSERT_EQ(graph.edges.size(), 3u);
  for (const JobEdge& e : graph.edges) EXPECT_EQ(e.input_index, 0);
  EXPECT_EQ(graph.edges[2].ship_strategy, ShipStrategy::kRebalance);
}

TEST(JobGraphBuilderTest, TheMaximumParallelismIsDerivedUnlessItIsSet) {
  StreamExecutionEnvironment env;
  env.FromSequence(1, 9).StartNewChain().Map(kAddOne).StartNewChain().SetMaxParallelism(7);
  JobGraph graph = Build(env, 5);
  EXPECT_EQ(graph.vertices[0].max_parallelism, 128);
  EXPECT_FALSE(graph.vertices[0].max_parallelism_configured);
  EXPECT_EQ(graph.vertices[1].max_parallelism, 7);
  EXPECT_TRUE(graph.vertices[1].max_parallelism_configured);
  env.SetMaxParallelism(300);
  graph = Build(env, 5);
  EXPECT_EQ(graph.vertices[0].max_parallelism, 300);
  EXPECT_EQ(graph.vertices[1].max_parallelism, 7);
  EXPECT_NE(ErrorOf(env, {.default_parallelism = 8}).find("higher than its maximum parallelism 7"),
            std::string::npos);
  EXPECT_NE(ErrorOf(env, {.default_parallelism = 40'000})
                .find("its parallelism is 40000; it must be within 1..32768"),
            std::string::npos)
      << "no maximum would help";
  EXPECT_EQ(ErrorOf(env, {.default_parallelism = 1, .max_parallelism = 40'000}),
            "pipeline.max-parallelism is 40000; it must be within 1..32768, or -1 to derive it");
}

TEST(JobGraphBuilderTest, MistakesAreRefused) {  // flink-surface §4.6 no. 91
  StreamExecutionEnvironment env;
  EXPECT_NE(ErrorOf(env).find("has no operators"), std::string::npos);
  const auto source = env.FromSequence(1, 9).Uid("x");
  EXPECT_THROW(source.Map(kAddOne).Uid("x"), std::invalid_argument);
  EXPECT_THROW(source.Uid(""), std::invalid_argument);
  EXPECT_THROW(source.SetParallelism(0), std::invalid_argument);
  EXPECT_THROW(source.SetMaxParallelism(32769), std::invalid_argument);
  EXPECT_THROW(source.Rebalance().Uid("y"), std::logic_error);
  EXPECT_THROW(env.EnableCheckpointing(0), std::invalid_argument);
  StreamExecutionEnvironment other;
  EXPECT_THROW(source.Union(other.FromSequence(1, 2)), std::invalid_argument);
  EXPECT_NE(ErrorOf(env, {.auto_generate_uids = false}).find("\"Map\" has no uid"),
            std::string::npos);
}

TEST(JobGraphBuilderTest, OnlyOperatorsWithStateNeedAUid) {
  StreamExecutionEnvironment env;
  env.FromSequence(1, 9).Map(kAddOne).KeyBy(kSelf).Sum().Print();
  EXPECT_EQ(StatefulOperatorsWithoutUid(env.stream_graph()),
            (Strings{"Source: Sequence Source", "Keyed Aggregation"}));
}

TEST(JobGraphBuilderTest, SettingsOfTheProgramBecomeConfiguration) {
  StreamExecutionEnvironment env;
  env.SetJobName("name");
  env.EnableCheckpointing(std::chrono::seconds(10), CheckpointingMode::kAtLeastOnce);
  env.SetConfiguration("a.b", "c");
  env.FromSequence(1, 9).Print();
  const JobGraph graph = Build(env);
  EXPECT_EQ(graph.name, "name");
  EXPECT_EQ(graph.configuration.at("execution.checkpointing.interval"), "10000 ms");
  EXPECT_EQ(graph.configuration.at("execution.checkpointing.mode"), "AT_LEAST_ONCE");
  EXPECT_EQ(graph.configuration.at("a.b"), "c");
}

/// A sink with a committer; neither does anything.
class CommittingSink {
 public:
  using Record = int64_t;
  static constexpr bool kStateful = true;
  std::string Name() const { return "Sink: Writer"; }
  std::unique_ptr<Operator> MakeOperator() const { return std::make_unique<Writer>(); }
  std::unique_ptr<Operator> MakeCommitter() const { return std::make_unique<Committer>(); }

 private:
  class Writer final : public CommittingSinkOperator<int64_t, int64_t> {
    void Write(Batch<int64_t>& /*batch*/) override {}
  };
  class Committer final : public SinkOperator<int64_t> {
    void Write(Batch<int64_t>& /*batch*/) override {}
  };
};

TEST(JobGraphBuilderTest, ACommitterIsChainedToItsWriterWhateverIsSaid) {
  StreamExecutionEnvironment env;
  env.DisableOperatorChaining();
  const auto source = env.FromSequence(1, 9).Uid("source");
  source.SinkTo(CommittingSink()).SetParallelism(3).SetMaxParallelism(9).DisableChaining();
  source.SinkTo(CommittingSink()).Name("Out").Uid("fs-sink").StartNewChain();
  const JobGraph graph = Build(env);
  EXPECT_EQ(Names(graph), (Strings{"Source: Sequence Source", "Sink: Writer -> Sink: Committer",
                                   "Out: Writer -> Out: Committer"}));
  EXPECT_EQ(graph.edges.size(), 2u);
  EXPECT_EQ(graph.vertices[1].parallelism, 3);
  EXPECT_EQ(graph.vertices[1].max_parallelism, 9);
  const OperatorDescription& writer = graph.vertices[2].operators[0];
  const OperatorDescription& committer = graph.vertices[2].operators[1];
  EXPECT_EQ(writer.id, OperatorIdFromUid("fs-sink"));
  EXPECT_EQ(committer.uid, "Sink Committer: fs-sink");
  EXPECT_EQ(committer.id.ToHex(), "eda3d22215af2da0e9320abd7f76e4f5");  // As a FileSink's in Flink.
  EXPECT_TRUE(committer.stateful);
  EXPECT_EQ(committer.kind, "Operator");
  for (const StreamNode& node : env.stream_graph().nodes) {
    if (node.committer_of == 0) continue;
    const StreamNode& of = env.stream_graph().nodes[static_cast<size_t>(node.committer_of) - 1];
    EXPECT_EQ(node.parallelism, of.parallelism);
    EXPECT_EQ(node.max_parallelism, of.max_parallelism);
  }
  // It takes its uid from the sink, so nothing is missing but the one of the first sink.
  EXPECT_EQ(StatefulOperatorsWithoutUid(env.stream_graph()), Strings{"Sink: Writer"});
  EXPECT_NE(ErrorOf(env, {.auto_generate_uids = false}).find("\"Sink: Writer\" has no uid"),
            std::string::npos);
  EXPECT_THROW(source.Map(kAddOne).Uid("Sink Committer: fs-sink"), std::invalid_argument);
  const auto taken = source.Map(kAddOne).Uid("Sink Committer: other");
  EXPECT_THROW(taken.SinkTo(CommittingSink()).Uid("other"), std::invalid_argument);
}

/// The program twice: with a sink of one operator, as all were, and with one of two.
template <class Sink>
JobGraph WithoutUids(const Sink& first, const Sink& second) {
  StreamExecutionEnvironment env;
  const auto source = env.FromSequence(1, 9);
  source.Map(kAddOne).SinkTo(first);
  source.KeyBy(kSelf).Sum().SinkTo(second);
  env.FromSequence(1, 9).Map(kAddOne).Rebalance().Map(kAddOne).SinkTo(first);
  return Build(env);
}

TEST(JobGraphBuilderTest, CommittersDoNotChangeGeneratedIds) {
  const JobGraph before = WithoutUids(DiscardingSink<int64_t>(), DiscardingSink<int64_t>());
  const JobGraph now = WithoutUids(CommittingSink(), CommittingSink());
  ASSERT_EQ(before.vertices.size(), now.vertices.size());
  std::set<OperatorId> ids;
  for (size_t v = 0; v < now.vertices.size(); ++v) {
    std::vector<OperatorId> kept;
    for (const OperatorDescription& op : now.vertices[v].operators) {
      EXPECT_TRUE(ids.insert(op.id).second) << op.name;
      if (op.name == "Sink: Committer") {
        EXPECT_EQ(op.id, CommitterOperatorId(kept.back(), ""));
      } else {
        kept.push_back(op.id);
      }
    }
    std::vector<OperatorId> old;
    for (const OperatorDescription& op : before.vertices[v].operators) old.push_back(op.id);
    EXPECT_EQ(kept, old) << now.vertices[v].name;
  }
  EXPECT_EQ(ids.size(), 12u);
}

TEST(PlanJsonTest, ThePlanHasFlinksForm) {
  StreamExecutionEnvironment env;
  env.FromSequence(1, 9)
      .Name("Numbers")
      .KeyBy(kSelf)
      .Sum()
      .Name("Sum")
      .SinkTo(DiscardingSink<int64_t>())
      .Name("Out");
  const std::string expected = R"({
  "nodes" : [ {
    "id" : 1,
    "type" : "Source: Numbers",
    "pact" : "Data Source",
    "contents" : "Source: Numbers",
    "parallelism" : 2
  }, {
    "id" : 2,
    "type" : "Sum",
    "pact" : "Operator",
    "contents" : "Sum",
    "parallelism" : 2,
    "predecessors" : [ {
      "id" : 1,
      "ship_strategy" : "HASH",
      "side" : "second"
    } ]
  }, {
    "id" : 3,
    "type" : "Out: Writer",
    "pact" : "Operator",
    "contents" : "Out: Writer",
    "parallelism" : 2,
    "predecessors" : [ {
      "id" : 2,
      "ship_strategy" : "FORWARD",
      "side" : "second"
    } ]
  } ]
})";
  EXPECT_EQ(PlanJson(env.stream_graph(), 2), expected);
}

TEST(PlanJsonTest, AnyNameIsValidJson) {
  StreamExecutionEnvironment env;
  env.FromSequence(1, 9).Name("quote \" and \xff byte").Print();
  EXPECT_TRUE(nlohmann::json::accept(PlanJson(env.stream_graph(), 1)));
}

/// Two states that it always has, and one that it asks for when it is opened.
class Declaring : public KeyedProcessFunction<int64_t, int64_t, int64_t> {
 public:
  void DeclareStates(StateDeclarations& states) override {
    states.Value("count", &count_);
    states.Value("names", &names_);
  }
  void Open(RuntimeContext& context) override { last_ = context.GetValueState<int32_t>("last"); }
  void ProcessElement(int64_t&, Context&, Collector<int64_t>&) override {}

 private:
  ValueState<int64_t> count_;
  ValueState<std::vector<std::string>> names_;
  ValueState<int32_t> last_;
};

/// "name: kind value by key", in order.
Strings DeclaredStates(const OperatorDescription& op) {
  const auto header = snapshot::DeclaredTypes(op);
  if (!header.has_value()) return {};
  Strings states;
  for (const snapshot::StateMetaInfo& info : header->states) {
    states.push_back(info.name + ": " + std::string(info.Option(snapshot::kKeyedStateTypeOption)) +
                     " " + snapshot::TypeNameOf(info.Serializer(snapshot::kValueSerializerKey)) +
                     " by " + snapshot::TypeNameOf(header->key_serializer));
  }
  return states;
}

TEST(DeclaredStatesTest, KeyedOperatorsSayWhichStatesTheyHaveInAnyCase) {
  StreamExecutionEnvironment env;
  const auto numbers = env.FromSequence(1, 9);
  numbers.Map([](int64_t v) { return std::pair<std::string, int32_t>("a", v); })
      .KeyBy([](const std::pair<std::string, int32_t>& p) { return p.first; })
      .Sum<1>()
      .Print();
  numbers.KeyBy([](int64_t v) { return static_cast<int32_t>(v); })
      .Reduce([](int64_t a, int64_t b) { return a + b; })
      .Print();
  numbers.KeyBy(kSelf).Process(Declaring()).Print();
  std::map<std::string, Strings> declared;
  for (const JobVertex& vertex : Build(env).vertices) {
    for (const OperatorDescription& op : vertex.operators) {
      declared[op.name] = DeclaredStates(op);
      EXPECT_EQ(op.keyed, !op.declared_states.empty()) << op.name;
    }
  }
  EXPECT_EQ(declared["Keyed Aggregation"],
            Strings{"_op_state: VALUE Tuple2<String,Integer> by String"});
  EXPECT_EQ(declared["Keyed Reduce"], Strings{"_op_state: VALUE Long by Integer"});
  EXPECT_EQ(declared["KeyedProcess"],
            (Strings{"count: VALUE Long by Long", "names: VALUE List<String> by Long",
                     "_timer_state/processing_user-timers:  Timer<Long,VoidNamespace> by Long",
                     "_timer_state/event_user-timers:  Timer<Long,VoidNamespace> by Long"}));
}

TEST(DeclaredStatesTest, ATypeThatDescribesItselfWronglyIsLeftToTheTask) {
  StateDescription state;
  state.name = "odd";
  state.key_snapshot = TypeSerializer<int64_t>::Snapshot();
  state.namespace_snapshot = StateKeyTraits<int64_t>::NamespaceSnapshot();
  state.value_snapshot = TypeSerializer<int64_t>::Snapshot();
  EXPECT_NE(EncodeStates({state}), "");
  state.value_snapshot = "MyType";
  EXPECT_EQ(EncodeStates({state}), "");
  state.value_snapshot = TypeSerializer<int64_t>::Snapshot() + "more";
  EXPECT_EQ(EncodeStates({state}), "");
  EXPECT_EQ(EncodeStates({}), "");
}

}  // namespace
}  // namespace flink::graph
