#pragma once

/// The graph behind an environment and its streams, while a job is being described.

#include <functional>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "flink/key_group.h"
#include "flink/stream_graph.h"

namespace flink {

template <class T>
class Collector;

namespace internal {

/// One input of an operator to be.
struct Upstream {
  int node = 0;
  Partitioning partitioning = Partitioning::kForward;
  std::shared_ptr<const EdgeType> type;
};

class StreamGraphBuilder {
 public:
  StreamGraph graph;
  /// Relative paths of connectors start here; empty: where the process runs.
  std::string working_directory;

  int AddNode(StreamNode node, const std::vector<Upstream>& inputs) {
    node.id = static_cast<int>(graph.nodes.size()) + 1;
    for (const Upstream& u : inputs)
      graph.edges.push_back({u.node, node.id, 0, u.partitioning, u.type});
    graph.nodes.push_back(std::move(node));
    return graph.nodes.back().id;
  }
  /// The second operator of a sink, right behind its writer. What is set on the sink holds for
  /// both. The edge between them needs no type: it is always chained.
  void AddCommitter(int writer, std::function<std::unique_ptr<Operator>()> make_operator) {
    StreamNode committer;
    committer.name = WithoutWriter(node(writer).name) + ": Committer";
    committer.is_sink = true;
    committer.committer_of = writer;
    committer.stateful = true;
    committer.make_operator = std::move(make_operator);
    AddNode(std::move(committer), {{writer, Partitioning::kForward, nullptr}});
  }
  StreamNode& node(int id) { return graph.nodes[static_cast<size_t>(id) - 1]; }

  void SetUid(int id, const std::string& uid) {
    if (uid.empty())
      throw std::invalid_argument("the uid of operator \"" + node(id).name + "\" is empty");
    SetFreeUid(id, uid);
    if (StreamNode* committer = CommitterOf(id))
      SetFreeUid(committer->id, "Sink Committer: " + uid);
  }
  void SetName(int id, const std::string& name) {
    StreamNode& n = node(id);
    if (n.make_coordinator)
      n.name = "Source: " + name;
    else if (n.is_sink)
      n.name = name + kWriter;
    else
      n.name = name;
    if (StreamNode* committer = CommitterOf(id)) committer->name = name + ": Committer";
  }
  void SetParallelism(int id, int parallelism) {
    node(id).parallelism = CheckedParallelism(parallelism);
    if (StreamNode* committer = CommitterOf(id)) committer->parallelism = parallelism;
  }
  void SetMaxParallelism(int id, int max) {
    node(id).max_parallelism = CheckedMaxParallelism(max);
    if (StreamNode* committer = CommitterOf(id)) committer->max_parallelism = max;
  }

  static int CheckedParallelism(int parallelism) {
    if (parallelism < 1 || parallelism > kMaxMaxParallelism) {
      throw std::invalid_argument("a parallelism is 1 to 32768, not " +
                                  std::to_string(parallelism));
    }
    return parallelism;
  }
  static int CheckedMaxParallelism(int max) {
    if (max < 1 || max > kMaxMaxParallelism) {
      throw std::invalid_argument("a maximum parallelism is 1 to 32768, not " +
                                  std::to_string(max));
    }
    return max;
  }

  /// Sources and sinks with paths learn where relative ones start.
  template <class Connector>
  void Prepare(Connector& connector) const {
    if constexpr (requires { connector.SetWorkingDirectory(working_directory); }) {
      if (!working_directory.empty()) connector.SetWorkingDirectory(working_directory);
    }
  }

 private:
  static constexpr char kWriter[] = ": Writer";

  static std::string WithoutWriter(const std::string& name) {
    return name.ends_with(kWriter) ? name.substr(0, name.size() - (sizeof kWriter - 1)) : name;
  }
  /// The committer of the writer `id`, or null.
  StreamNode* CommitterOf(int id) {
    const bool there =
        static_cast<size_t>(id) < graph.nodes.size() && node(id + 1).committer_of == id;
    return there ? &node(id + 1) : nullptr;
  }
  void SetFreeUid(int id, const std::string& uid) {
    for (const StreamNode& other : graph.nodes) {
      if (other.id != id && other.uid == uid) {
        throw std::invalid_argument("two operators have the uid \"" + uid + "\": \"" + other.name +
                                    "\" and \"" + node(id).name +
                                    "\"; every uid must be unique in a job");
      }
    }
    node(id).uid = uid;
  }
};

using GraphPtr = std::shared_ptr<StreamGraphBuilder>;

template <class P>
struct CollectedType;
template <class T>
struct CollectedType<Collector<T>> {
  using Type = T;
};
template <class R, class A, class C>
auto SecondParameter(R (*)(A, C)) -> C;
template <class F, class R, class A, class C>
auto SecondParameter(R (F::*)(A, C)) -> C;
template <class F, class R, class A, class C>
auto SecondParameter(R (F::*)(A, C) const) -> C;
template <class F, class R, class A, class C>
auto SecondParameter(R (F::*)(A, C) noexcept) -> C;
template <class F, class R, class A, class C>
auto SecondParameter(R (F::*)(A, C) const noexcept) -> C;

template <class Out, class F>
struct FlatMapOutput {
  using Type = Out;
};
template <class F>
requires requires { &F::operator(); }
struct FlatMapOutput<void, F> {
  using Type =
      typename CollectedType<std::remove_cvref_t<decltype(SecondParameter(&F::operator()))>>::Type;
};
template <class R, class A, class C>
struct FlatMapOutput<void, R (*)(A, C)> {
  using Type = typename CollectedType<std::remove_cvref_t<C>>::Type;
};
template <class Out, class F>
using FlatMapResult = typename FlatMapOutput<Out, F>::Type;

}  // namespace internal
}  // namespace flink
