#pragma once

/// Runs a whole job on one thread with one subtask per operator: every edge is a direct call. Exact
/// for results, without exchanges, checkpoints or failures.

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "flink/stream_graph.h"
#include "tests/testing/operator_harness.h"
#include "tests/testing/source_harness.h"

namespace flink::testing {

/// The records of several edges into one input: it ends when all have ended.
class MergingPort final : public InputPort {
 public:
  MergingPort(InputPort* target, size_t edges) : target_(target), open_(edges) {}
  void ProcessBatch(BatchBase& batch) override { target_->ProcessBatch(batch); }
  void ProcessWatermark(int64_t watermark_ms) override {
    if (open_ == 1) target_->ProcessWatermark(watermark_ms);
  }
  void ProcessIdle(bool /*idle*/) override {}
  void EndOfInput() override {
    if (--open_ == 0) target_->EndOfInput();
  }
  void Flush() override { target_->Flush(); }

 private:
  InputPort* target_;
  size_t open_;
};

class LocalPipeline {
 public:
  explicit LocalPipeline(const StreamGraph& graph) {
    std::map<int, size_t> in_edges;
    for (const StreamEdge& e : graph.edges) ++in_edges[e.target];
    for (const StreamNode& node : graph.nodes) {
      auto& n = *nodes_.emplace_back(std::make_unique<Node>());
      n.context.name = node.name;
      n.context.id = std::string(30, '0') + std::to_string(10 + node.id);
      n.op = node.make_operator();
      if (n.op->input_count() > 0) {
        n.port = std::make_unique<MergingPort>(n.op->input(0), in_edges[node.id]);
      }
      if (node.make_coordinator) n.coordinator = node.make_coordinator();
    }
    for (const StreamEdge& e : graph.edges) {
      At(e.source).op->output()->AddTarget(At(e.target).port.get());
    }
  }

  /// Everything to the end, the final checkpoint included.
  void Run() {
    for (auto& n : nodes_) n->op->Open(n->context);
    for (auto& n : nodes_) {
      if (n->coordinator != nullptr) RunSource(*n);
    }
    for (auto& n : nodes_) {
      SnapshotContext snapshot;
      snapshot.checkpoint_id = 1;
      snapshot.kind = SnapshotKind::kFinal;
      n->op->SnapshotState(snapshot);
    }
    for (auto& n : nodes_) n->op->NotifyCheckpointComplete(1);
    for (auto& n : nodes_) n->op->Close();
  }

 private:
  struct Node {
    TestOperatorContext context;
    std::unique_ptr<Operator> op;
    std::unique_ptr<MergingPort> port;
    std::unique_ptr<SourceCoordinator> coordinator;
  };

  Node& At(int id) { return *nodes_[static_cast<size_t>(id) - 1]; }

  static void RunSource(Node& n) {
    RecordingCoordinatorContext coordinator_context;
    n.coordinator->Start(coordinator_context, false, "");
    auto& source = static_cast<SourceOperator&>(*n.op);
    while (source.Produce() != SourceStatus::kEnd) {
      for (const std::string& request : std::exchange(n.context.sent_to_coordinator, {})) {
        n.coordinator->HandleEvent(0, request);
      }
      for (const auto& [subtask, payload] : std::exchange(coordinator_context.sent, {})) {
        source.HandleCoordinatorEvent(payload);
      }
      if (const auto next = n.context.time.NextMs()) n.context.time.AdvanceTo(*next);
    }
    n.op->output()->EmitWatermark(kMaxWatermark);
    n.op->output()->EmitEndOfInput();
  }

  std::vector<std::unique_ptr<Node>> nodes_;
};

}  // namespace flink::testing
