#pragma once

/// Task: one subtask. One thread, one mailbox; everything that happens to the chain happens there,
/// one at a time.
///
/// Between mails the thread runs its default action: take the next element of the input gate, or
/// let the source produce, unless an output channel is out of credit. When there is nothing to take
/// it sends on partial batches and sleeps until mail, input or credit comes. Barriers that overtake
/// are taken ahead of all, also without credit.
///
/// Threading: Start once; Cancel, the commands and the getters from the control thread; the rest is
/// the task's thread. Commands are mails: they take effect in the order of the calls. Reports go
/// through TaskEnvironment::report, states in their order INITIALIZING, RUNNING, then one of
/// FINISHED, CANCELED, FAILED, which is the task's last message. Ownership: the control thread owns
/// the Task; the task's thread owns the operator chain with operators, keyed backends and output
/// channels, and releases them in this order before it reports its last state, whether the task
/// finishes, fails or is cancelled: Close of the operators (head first), input gate emptied,
/// operators, backends, outputs. The destructor cancels and joins the thread. The inbox and the
/// gate may live longer, in other tasks' channels.

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "taskmanager/task/barrier_aligner.h"
#include "taskmanager/task/in_flight_data.h"
#include "taskmanager/task/operator_chain.h"
#include "taskmanager/task/subtask_snapshot.h"
#include "taskmanager/task/task_counters.h"
#include "taskmanager/task/task_deployment.h"
#include "taskmanager/task/watermark_valve.h"

namespace flink::taskmanager {

class Task final : private ChainHost {
 public:
  /// `environment` outlives the task.
  Task(TaskDeployment deployment, const TaskEnvironment& environment);
  ~Task() override;
  Task(const Task&) = delete;
  Task& operator=(const Task&) = delete;

  void Start();
  /// Stops at the next batch boundary. Repeatable.
  void Cancel();
  /// Waits for the end of the thread.
  void Join();

  // Commands.
  /// Sources, and tasks whose producers have all finished.
  void TriggerCheckpoint(std::shared_ptr<const CheckpointBarrier> barrier);
  void NotifyCheckpointComplete(int64_t checkpoint_id);
  void NotifyCheckpointAborted(int64_t checkpoint_id);
  void HandleCoordinatorEvent(std::string payload);
  /// The job's last snapshot is complete: notify it, close, FINISHED.
  void Finish(int64_t checkpoint_id);

  const JobVertexId& vertex() const { return deployment_.vertex; }
  int subtask() const { return deployment_.subtask; }
  const std::string& head_operator_id() const { return head_operator_id_; }  ///< As in messages.
  const TaskCounters& counters() const { return counters_; }
  pb::SubtaskRef ref() const;

 private:
  using Steady = std::chrono::steady_clock;
  enum class Step { kProgress, kIdle, kNoCredit };
  enum class End { kNone, kFinished, kCanceled, kFailed };

  // ChainHost.
  void RegisterTimer(int64_t time_ms, std::function<void()> callback) override;
  void SendToCoordinator(const OperatorId& operator_id, std::string payload) override;
  bool cancel_requested() const override { return cancel_requested_.load(); }

  /// Posts a mail whose exceptions fail the task, and that does nothing once the task is ending.
  void PostGuarded(std::function<void()> fn);
  void RunGuarded(const std::function<void()>& fn);
  /// In a catch block: remembers the exception as the task's failure.
  void FailWithCurrentException();

  void Run();
  bool Initialize();
  void RunLoop();
  bool MayProcess() const;
  Step RunDefaultAction();
  Step Produce();
  void Process(int channel, StreamElement element);
  void EndSource();
  /// Behind the barrier of a drain nothing comes, so the operators end in front of it.
  void EndInputForDrain();
  void Apply(int input, const WatermarkValve::Change& change);
  void OnAllInputEnded();
  void Wait();
  void FireTimer(std::function<void()> callback);
  void Release();

  OperatorListState EndOfInputMark() const;
  bool RestoredBehindEndOfInput() const;
  void OnTrigger(const std::shared_ptr<const CheckpointBarrier>& barrier);
  void OnBarrier(int channel, const std::shared_ptr<const CheckpointBarrier>& barrier);
  void OnAnnounced();
  /// Does as the aligner says.
  void Align(int channel, const BarrierAligner::Answer& answer);
  void ReleaseAlignment();
  void StartAlignmentTimer(const CheckpointBarrier& barrier);
  void AddInFlightData(int64_t checkpoint_id, std::chrono::milliseconds alignment);
  /// The task will not acknowledge it.
  void DropSnapshot(int64_t checkpoint_id);
  void TakeSnapshot(const std::shared_ptr<const CheckpointBarrier>& barrier,
                    std::chrono::milliseconds alignment, bool expect_in_flight_data);
  void OnSnapshotDone(int64_t checkpoint_id, StatusOr<pb::CheckpointAck> ack);
  void OnCheckpointComplete(int64_t checkpoint_id);
  void OnCheckpointAborted(int64_t checkpoint_id);
  void Decline(int64_t checkpoint_id, const char* reason, const std::string& message);

  void Report(pb::ExecutorMessage message) { environment_.report(std::move(message)); }
  void ReportState(const char* state);
  void ReportFailure();

  TaskDeployment deployment_;
  const TaskEnvironment& environment_;
  const std::shared_ptr<TaskInbox> inbox_;
  const std::shared_ptr<InputGate> gate_;
  const std::string head_operator_id_;
  TaskCounters counters_;
  std::atomic<bool> cancel_requested_{false};
  std::thread thread_;

  // The task's thread.
  std::unique_ptr<OperatorChain> chain_;
  End end_ = End::kNone;
  bool initialized_ = false;
  std::string failure_;
  bool user_error_ = false;
  bool retryable_ = true;

  struct Input {
    WatermarkValve valve;
  };
  std::vector<Input> inputs_;
  std::vector<int> valve_channel_;  // by channel of the gate
  std::unique_ptr<BarrierAligner> aligner_;
  std::unique_ptr<InFlightRecorder> recorder_;  // while a barrier that overtook is under way

  bool source_waiting_ = false;
  bool input_ended_ = false;   // all of it
  bool ended_before_ = false;  // in the snapshot that was restored: EndOfInput is not called again
  /// Set by a synchronous savepoint: nothing is processed behind its barrier.
  int64_t stopped_by_checkpoint_ = 0;
  bool stopped_for_good_ = false;  // after a drain
  std::vector<std::function<void()>> held_timers_;

  struct Timing {
    Steady::time_point begin;
    int64_t sync_ms = 0;
    int64_t alignment_ms = 0;
    int64_t start_delay_ms = 0;
    bool unaligned = false;
  };
  struct Running {
    std::shared_ptr<SubtaskSnapshot> snapshot;
    Timing timing;
    bool end_of_data = false;
  };
  std::map<int64_t, Running> running_;
  /// Taken and not yet notified; intermediate savepoints never are.
  std::map<int64_t, SnapshotKind> taken_;
  std::set<int64_t> aborted_;
  int64_t last_checkpoint_ = 0;
};

}  // namespace flink::taskmanager
