#pragma once

/// Runs a source with its coordinator and several reader subtasks by hand.

#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "flink/source.h"
#include "tests/testing/operator_harness.h"

namespace flink::testing {

class RecordingCoordinatorContext final : public SourceCoordinator::Context {
 public:
  int subtasks = 1;
  std::vector<std::pair<int, std::string>> sent;

  int parallelism() const override { return subtasks; }
  void SendToReader(int subtask, std::string payload) override {
    sent.emplace_back(subtask, std::move(payload));
  }
};

struct SourceSnapshot {
  std::string coordinator;
  std::vector<std::string> splits;  ///< Elements of all subtasks' list states.
};

template <class Source>
class SourceHarness {
 public:
  using Record = typename Source::Record;

  SourceHarness(const Source& source, int subtasks) : coordinator_(source) {
    coordinator_context_.subtasks = subtasks;
    for (int i = 0; i < subtasks; ++i) {
      readers_.push_back(std::make_unique<Reader>(source));
      readers_.back()->context.subtask = i;
      readers_.back()->context.subtasks = subtasks;
      readers_.back()->op.output()->AddTarget(&readers_.back()->out);
    }
  }

  void Start() {
    coordinator_.Start(coordinator_context_, false, "");
    for (auto& r : readers_) r->op.Open(r->context);
  }
  /// Deals the splits out round robin.
  void Restore(const SourceSnapshot& snapshot) {
    coordinator_.Start(coordinator_context_, true, snapshot.coordinator);
    for (size_t i = 0; i < snapshot.splits.size(); ++i) {
      readers_[i % readers_.size()]->context.lists["SourceReaderState"].push_back(
          snapshot.splits[i]);
    }
    for (auto& r : readers_) r->op.Open(r->context);
  }
  SourceSnapshot Snapshot() {
    Deliver();
    SourceSnapshot snapshot;
    snapshot.coordinator = coordinator_.Snapshot(1);
    for (auto& r : readers_) {
      SnapshotContext context;
      r->op.SnapshotState(context);
      for (const OperatorListState& s : context.list_states) {
        snapshot.splits.insert(snapshot.splits.end(), s.elements.begin(), s.elements.end());
      }
    }
    return snapshot;
  }

  SourceStatus Step(int subtask) {
    const SourceStatus status = readers_[static_cast<size_t>(subtask)]->op.Produce();
    Deliver();
    return status;
  }
  void RunSteps(size_t steps, std::mt19937& random) {
    for (size_t i = 0; i < steps; ++i) Step(static_cast<int>(random() % readers_.size()));
  }
  void RunToEnd() {
    size_t ended = 0;
    while (ended < readers_.size()) {
      ended = 0;
      for (size_t i = 0; i < readers_.size(); ++i)
        ended += Step(static_cast<int>(i)) == SourceStatus::kEnd ? 1 : 0;
    }
  }

  std::vector<Record> SortedRecords() const {
    std::vector<Record> all;
    for (const auto& r : readers_)
      all.insert(all.end(), r->out.records.begin(), r->out.records.end());
    std::sort(all.begin(), all.end());
    return all;
  }
  TestOperatorContext& context(size_t subtask) { return readers_[subtask]->context; }
  RecordingPort<Record>& out(size_t subtask) { return readers_[subtask]->out; }

 private:
  struct Reader {
    explicit Reader(const Source& source) : op(source) {}
    TestOperatorContext context;
    RecordingPort<Record> out;
    SplitSourceOperator<Source> op;
  };

  /// Until nobody has anything to say.
  void Deliver() {
    for (bool again = true; again;) {
      again = false;
      for (size_t i = 0; i < readers_.size(); ++i) {
        auto requests = std::move(readers_[i]->context.sent_to_coordinator);
        readers_[i]->context.sent_to_coordinator.clear();
        for (const std::string& r : requests) coordinator_.HandleEvent(static_cast<int>(i), r);
      }
      auto sent = std::move(coordinator_context_.sent);
      coordinator_context_.sent.clear();
      for (const auto& [subtask, payload] : sent) {
        readers_[static_cast<size_t>(subtask)]->op.HandleCoordinatorEvent(payload);
        again = true;
      }
    }
  }

  RecordingCoordinatorContext coordinator_context_;
  SplitSourceCoordinator<Source> coordinator_;
  std::vector<std::unique_ptr<Reader>> readers_;
};

}  // namespace flink::testing
