#pragma once

/// OperatorChain: the operators of one task, linked, with their contexts, keyed state and exchange
/// outputs.
///
/// Threading: built, used and destroyed on the task's thread. Ownership: owns all of them. On
/// destruction the operators go first (they hold typed state tables), then the keyed backends, then
/// the outputs. Errors: what user code throws passes through; failed_operator() then names the
/// innermost operator it came from.

#include <cstdint>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "common/base/status.h"
#include "flink/operator.h"
#include "taskmanager/state/keyed_state_backend.h"
#include "taskmanager/task/exchange_output.h"
#include "taskmanager/task/task_deployment.h"

namespace flink::taskmanager {

/// Thrown where the runtime, not user code, is at fault; the task fails without user_error.
class RuntimeFault : public std::runtime_error {
 public:
  explicit RuntimeFault(const Status& status)
      : std::runtime_error(Message(status)), code_(status.code()) {}
  absl::StatusCode code() const { return code_; }

 private:
  absl::StatusCode code_;
};

/// What a chain asks of its task.
class ChainHost {
 public:
  virtual ~ChainHost() = default;
  /// Runs `callback` on the task's thread; it may throw.
  virtual void RegisterTimer(int64_t time_ms, std::function<void()> callback) = 0;
  virtual void SendToCoordinator(const OperatorId& operator_id, std::string payload) = 0;
  /// Polled between long steps of Open.
  virtual bool cancel_requested() const = 0;
};

class OperatorChain {
 public:
  /// Constructs and links the operators.
  OperatorChain(TaskDeployment& deployment, const TaskEnvironment& environment, ChainHost& host,
                TaskCounters& counters);
  ~OperatorChain();

  /// Opens keyed backends and operators, the last one first. False when cancelled meanwhile. A
  /// chain that had finished before stays closed: it only passes barriers and ends on.
  bool Open();
  /// Closes the opened operators, head first; the first error is thrown after all were closed.
  void Close();

  size_t size() const { return slots_.size(); }
  Operator& op(size_t i) { return *slots_[i]->op; }
  KeyedStateBackend* backend(size_t i) { return slots_[i]->backend.get(); }
  const graph::OperatorDescription& description(size_t i) const { return slots_[i]->description; }
  /// Null unless the head is a source.
  SourceOperator* source() { return source_; }
  InputPort* head_input(int index);
  int head_input_count() const { return static_cast<int>(head_ports_.size()); }

  /// Calls `fn`, attributing what it throws to operator i.
  template <class F>
  void Call(size_t i, F&& fn) {
    try {
      fn();
    } catch (...) {
      NoteFailure(slots_[i]->description.name);
      throw;
    }
  }

  /// Sends on everything that is held back to fill batches.
  void Flush();
  /// The task will wait for credit: receivers must learn of all that was sent.
  void AnnounceOutputs();
  void EmitFromSource(int64_t watermark_ms);
  /// A barrier follows that tells receivers of the end of their input: exchanges do not.
  void EndAtBarrier();
  /// After the end of the head's inputs: every exchange says so too, whatever the operators did.
  void EndOutputs();
  /// The task finishes while others go on: nothing comes from it any more.
  void EndChannels();
  void PrepareSnapshot(int64_t checkpoint_id);
  void BroadcastBarrier(const std::shared_ptr<const CheckpointBarrier>& barrier);
  /// Lets snapshots of keyed state make progress; true when there is more to do at once.
  bool AdvanceSnapshots();
  /// A keyed snapshot was begun: AdvanceSnapshots has work.
  void SnapshotBegun() { advancing_ = true; }
  void NotifyCheckpointComplete(int64_t checkpoint_id);
  void NotifyCheckpointAborted(int64_t checkpoint_id);

  const std::string& failed_operator() const { return failed_operator_; }
  void NoteFailure(const std::string& operator_name) {
    if (failed_operator_.empty()) failed_operator_ = operator_name;
  }

 private:
  class Context;
  class Port;
  struct Slot {
    graph::OperatorDescription description;
    std::unique_ptr<KeyedStateBackend> backend;
    std::unique_ptr<Context> context;
    std::unique_ptr<Operator> op;
    std::vector<std::unique_ptr<Port>> ports;
    bool opened = false;
    ~Slot();
  };
  InputPort* PortOf(size_t target, int index);
  void OpenBackend(size_t i);

  TaskDeployment& deployment_;
  const TaskEnvironment& environment_;
  ChainHost& host_;
  std::vector<std::unique_ptr<ExchangeOutput>> outputs_;
  std::vector<std::unique_ptr<Slot>> slots_;
  std::vector<InputPort*> head_ports_;
  SourceOperator* source_ = nullptr;
  bool advancing_ = false;
  std::string failed_operator_;
};

}  // namespace flink::taskmanager
