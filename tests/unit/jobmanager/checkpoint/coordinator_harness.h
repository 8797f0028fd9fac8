#pragma once

/// Drives a CheckpointCoordinator in unit tests: a plan of one source (2 subtasks, one source
/// coordinator) and one sink (2 subtasks), a manual clock, and shorthands for the protocol.

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "jobmanager/checkpoint/checkpoint_coordinator.h"

namespace flink::jobmanager {

template <class Id>
Id MakeId(uint8_t last) {
  std::array<uint8_t, 16> bytes{};
  bytes[15] = last;
  return Id(bytes);
}

class CoordinatorHarness {
 public:
  static constexpr int64_t kStart = 1'000'000;

  explicit CoordinatorHarness(CheckpointCoordinatorOptions options = {})
      : coordinator(std::move(options)) {}

  static CheckpointCoordinatorOptions Periodic(int64_t interval_ms) {
    CheckpointCoordinatorOptions options;
    options.interval_ms = interval_ms;
    return options;
  }

  static JobVertexId Source() { return MakeId<JobVertexId>(1); }
  static JobVertexId Sink() { return MakeId<JobVertexId>(2); }
  static OperatorId SourceOperator() { return MakeId<OperatorId>(11); }
  static CheckpointPlan Plan() {
    CheckpointPlan plan;
    plan.vertices.push_back({Source(), 2, true, "Source: Events"});
    plan.vertices.push_back({Sink(), 2, false, "Sink"});
    plan.coordinators.push_back({SourceOperator(), Source()});
    plan.edges.push_back({0, 1, false});
    return plan;
  }
  static std::vector<SubtaskRef> Subtasks() {
    return {{Source(), 0}, {Source(), 1}, {Sink(), 0}, {Sink(), 1}};
  }

  /// Sends an event after `after_ms`; its actions are `actions` and are appended to `log`.
  void Send(checkpoint::Event event, int64_t after_ms = 0) {
    now += after_ms;
    actions = coordinator.Step(std::move(event), now);
    log.insert(log.end(), actions.begin(), actions.end());
  }
  void Advance(int64_t ms) { Send(checkpoint::Tick{}, ms); }
  void Run() {
    checkpoint::JobRunning running;
    running.plan = Plan();
    Send(std::move(running));
  }
  void Savepoint(RequestId request, SnapshotKind kind = SnapshotKind::kSavepoint) {
    checkpoint::TriggerSavepoint trigger;
    trigger.request = request;
    trigger.target_dir = "/savepoints";
    trigger.kind = kind;
    Send(std::move(trigger));
  }
  void Manual(RequestId request, bool full = false) {
    Send(checkpoint::TriggerCheckpoint{request, full});
  }

  void Locate(CheckpointId id) {
    Send(checkpoint::LocationCreated{id, "/dir-" + std::to_string(id)});
  }
  void AckCoordinator(CheckpointId id) {
    Send(checkpoint::CoordinatorAcked{id, SourceOperator(), "offsets"});
  }
  void Trigger(CheckpointId id) {
    Locate(id);
    AckCoordinator(id);
  }
  void Ack(CheckpointId id, SubtaskRef subtask, std::vector<std::string> shared = {}) {
    checkpoint::SubtaskAcked ack;
    ack.checkpoint = id;
    ack.subtask = subtask;
    ack.snapshot.state = "state";
    ack.snapshot.shared_files = std::move(shared);
    ack.snapshot.metrics.state_size = 10;
    ack.snapshot.metrics.checkpointed_size = 4;
    Send(std::move(ack));
  }
  /// The first subtask names `shared`.
  void AckAll(CheckpointId id, std::vector<std::string> shared = {}) {
    for (const SubtaskRef& subtask : Subtasks()) {
      Ack(id, subtask, std::move(shared));
      shared.clear();
    }
  }
  void Persist(CheckpointId id) {
    const std::string number = std::to_string(id);
    Send(checkpoint::MetadataPersisted{id, "file:/dir-" + number, "handle-" + number});
  }
  void Finish(CheckpointId id, std::vector<std::string> shared = {}) {
    Trigger(id);
    AckAll(id, std::move(shared));
    Persist(id);
  }
  void Decline(CheckpointId id,
               CheckpointFailureReason reason = CheckpointFailureReason::kCheckpointDeclined) {
    Send(checkpoint::SubtaskDeclined{id, {Sink(), 1}, reason, "disk full"});
  }

  /// Actions of the last step.
  template <class A>
  std::vector<A> Get() const {
    return Select<A>(actions);
  }
  /// Actions of all steps.
  template <class A>
  std::vector<A> All() const {
    return Select<A>(log);
  }
  /// The id of the only attempt the last step started; 0 when it started none.
  CheckpointId Started() const {
    const auto created = Get<checkpoint::CreateLocation>();
    EXPECT_LE(created.size(), 1u);
    return created.empty() ? 0 : created[0].checkpoint;
  }
  std::vector<CheckpointId> Retained() const {
    std::vector<CheckpointId> ids;
    for (const CompletedCheckpoint& c : coordinator.store().All()) ids.push_back(c.id);
    return ids;
  }
  template <class A>
  static size_t IndexOf(const std::vector<checkpoint::Action>& in) {
    const auto it = std::find_if(in.begin(), in.end(), [](const checkpoint::Action& a) {
      return std::holds_alternative<A>(a);
    });
    return static_cast<size_t>(it - in.begin());
  }

  int64_t now = kStart;
  CheckpointCoordinator coordinator;
  std::vector<checkpoint::Action> actions;
  std::vector<checkpoint::Action> log;

 private:
  template <class A>
  static std::vector<A> Select(const std::vector<checkpoint::Action>& from) {
    std::vector<A> result;
    for (const checkpoint::Action& action : from) {
      if (const A* a = std::get_if<A>(&action)) result.push_back(*a);
    }
    return result;
  }
};

}  // namespace flink::jobmanager
