// The part of Task that takes part in checkpoints.

#include <algorithm>
#include <utility>

#include "common/base/clock.h"
#include "common/base/failpoint.h"
#include "common/base/logging.h"
#include "common/snapshot/operator_state_stream.h"
#include "flink/type_serializer.h"
#include "taskmanager/task/task.h"

namespace flink::taskmanager {
namespace {

int64_t ToMs(std::chrono::steady_clock::duration d) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(d).count();
}

/// Of a barrier that may overtake. The clock of the JobManager's machine may be ahead.
int64_t UntilOverdue(const CheckpointBarrier& barrier) {
  const int64_t timeout = *barrier.aligned_timeout_ms;
  const int64_t left = barrier.timestamp_ms + timeout - Clock::System().NowMs();
  return std::clamp<int64_t>(left, 0, timeout);
}

bool IsOverdue(const CheckpointBarrier& barrier) {
  return barrier.aligned_timeout_ms && UntilOverdue(barrier) == 0;
}

}  // namespace

/// Union state of the chain's head, one element per subtask whose input has ended: its parallelism.
OperatorListState Task::EndOfInputMark() const {
  BufferWriter out;
  out.Put<int32_t>(deployment_.parallelism);
  return {std::string(snapshot::kEndOfInputState),
          true,
          TypeSerializer<int32_t>::Snapshot(),
          {out.TakeString()}};
}

/// True when the restored snapshot stands behind the end of input of all subtasks: the hooks have
/// run, and what they emitted is part of the snapshot.
bool Task::RestoredBehindEndOfInput() const {
  const pb::OperatorRestore& restore = deployment_.operators[0].restore;
  for (const auto& list : restore.list_states()) {
    if (list.name() != snapshot::kEndOfInputState || list.elements().empty()) continue;
    BufferReader in(list.elements(0));
    return list.elements_size() + restore.finished_subtasks() >= in.Get<int32_t>();
  }
  return false;
}

void Task::OnTrigger(const std::shared_ptr<const CheckpointBarrier>& barrier) {
  if (aborted_.count(barrier->checkpoint_id) != 0) return;
  if (barrier->checkpoint_id <= last_checkpoint_) return;
  if (chain_->source() != nullptr || deployment_.finished_before) {
    return TakeSnapshot(barrier, std::chrono::milliseconds(0), false);
  }
  // The producers have finished, but what they sent, be it an earlier barrier, may still stand in
  // the gate.
  Align(-1, aligner_->OnTrigger(barrier, IsOverdue(*barrier), Steady::now()));
}

void Task::OnBarrier(int channel, const std::shared_ptr<const CheckpointBarrier>& barrier) {
  Align(channel, aligner_->OnBarrier(channel, barrier, IsOverdue(*barrier), Steady::now()));
}

void Task::OnAnnounced() {
  for (const InputGate::Announced& a : gate_->TakeAnnounced()) {
    if (a.barrier == nullptr) {
      for (const auto& answer : aligner_->OnEndAnnounced(a.channel, Steady::now())) {
        Align(a.channel, answer);
      }
      continue;
    }
    Align(a.channel,
          aligner_->OnAnnounced(a.channel, a.barrier, IsOverdue(*a.barrier), Steady::now()));
  }
}

void Task::Align(int channel, const BarrierAligner::Answer& answer) {
  if (answer.release_all) ReleaseAlignment();
  for (const int64_t id : answer.subsumed) {
    DropSnapshot(id);
    Decline(id, "CHECKPOINT_DECLINED_SUBSUMED",
            "a barrier of a newer checkpoint came before all barriers of this one");
  }
  if (answer.block_channel) gate_->Block(channel);
  if (answer.complete) TakeSnapshot(answer.complete, answer.alignment, false);
  if (answer.overtake) {
    recorder_ = std::make_unique<InFlightRecorder>(*gate_, answer.overtake->checkpoint_id);
    TakeSnapshot(answer.overtake, std::chrono::milliseconds(0), true);
  }
  for (const BarrierAligner::Closed& closed : answer.closed) {
    recorder_->Close(closed.channel, closed.capture_queue);
  }
  if (answer.drained) AddInFlightData(*answer.drained, answer.alignment);
  if (answer.start_timer) StartAlignmentTimer(*answer.start_timer);
}

void Task::StartAlignmentTimer(const CheckpointBarrier& barrier) {
  inbox_->mailbox().PostAfter(std::chrono::milliseconds(UntilOverdue(barrier)),
                              [this, id = barrier.checkpoint_id] {
                                RunGuarded([&] {
                                  if (!MayProcess()) return;
                                  Align(-1, aligner_->OnTimeout(id, Steady::now()));
                                });
                              });
}

void Task::AddInFlightData(int64_t checkpoint_id, std::chrono::milliseconds alignment) {
  std::vector<RecordedChannel> recorded = recorder_->Take();
  recorder_.reset();
  const auto found = running_.find(checkpoint_id);
  if (found == running_.end()) return;
  found->second.timing.alignment_ms = alignment.count();
  found->second.timing.unaligned = true;
  const auto snapshot = found->second.snapshot;
  snapshot->AddInFlightData(std::move(recorded), deployment_.input_channels, deployment_.subtask);
}

void Task::DropSnapshot(int64_t checkpoint_id) {
  if (recorder_ != nullptr && recorder_->checkpoint_id() == checkpoint_id) recorder_.reset();
  if (const auto found = running_.find(checkpoint_id); found != running_.end()) {
    found->second.snapshot->Abandon();
    running_.erase(found);
  }
}

void Task::ReleaseAlignment() {
  for (int i = 0; i < gate_->channel_count(); ++i) gate_->Unblock(i);
}

void Task::TakeSnapshot(const std::shared_ptr<const CheckpointBarrier>& barrier,
                        std::chrono::milliseconds alignment, bool expect_in_flight_data) {
  const int64_t id = barrier->checkpoint_id;
  pb::SnapshotTarget target;
  if (!target.ParseFromString(barrier->target)) {
    throw RuntimeFault(DataLoss("the barrier of checkpoint {} is damaged", id));
  }
  PassFailpoint("task.aligned", target.exclusive_directory());
  last_checkpoint_ = id;
  const SnapshotKind kind = KindOf(target);
  Running running;
  running.timing.begin = Steady::now();
  running.timing.alignment_ms = alignment.count();
  // The end of a drain is not marked: who goes on from its savepoint reads on.
  const bool input_ended = input_ended_;
  running.end_of_data = input_ended;
  running.timing.unaligned = barrier->aligned_timeout_ms == 0;
  running.timing.start_delay_ms =
      std::max<int64_t>(0, Clock::System().NowMs() - barrier->timestamp_ms - alignment.count());

  if (kind == SnapshotKind::kSyncSavepoint) {
    if (target.drain()) {
      stopped_for_good_ = true;
      if (!input_ended_ && !deployment_.finished_before) EndInputForDrain();
    }
    stopped_by_checkpoint_ = id;
  }
  chain_->PrepareSnapshot(id);
  chain_->BroadcastBarrier(barrier);

  auto snapshot = std::make_shared<SubtaskSnapshot>(
      environment_, inbox_, id, target,
      [this, id](StatusOr<pb::CheckpointAck> ack) { OnSnapshotDone(id, std::move(ack)); });
  running.snapshot = snapshot;
  taken_[id] = kind;
  for (size_t i = 0; i < chain_->size(); ++i) {
    SnapshotContext context;
    context.checkpoint_id = id;
    context.kind = kind;
    // What throws here fails the task: an operator that stopped half-way in its snapshot (a file
    // written in part, say) is no longer what the next checkpoint would take it for.
    chain_->Call(i, [&] {
      if (deployment_.finished_before) return snapshot->AddOperator(chain_->description(i).id, {});
      chain_->op(i).SnapshotState(context);
      if (i == 0 && (input_ended || ended_before_)) context.list_states.push_back(EndOfInputMark());
      snapshot->AddOperator(chain_->description(i).id, std::move(context.list_states));
      if (KeyedStateBackend* backend = chain_->backend(i)) {
        snapshot->AddKeyedState(*backend);
        chain_->SnapshotBegun();
      }
    });
  }
  running.timing.sync_ms = ToMs(Steady::now() - running.timing.begin);
  running_[id] = std::move(running);
  PassFailpoint("task.snapshot-taken", target.exclusive_directory());
  if (expect_in_flight_data) snapshot->ExpectInFlightData();
  snapshot->Seal();
}

void Task::OnSnapshotDone(int64_t checkpoint_id, StatusOr<pb::CheckpointAck> ack) {
  const auto found = running_.find(checkpoint_id);
  if (found == running_.end()) return;
  const Timing timing = found->second.timing;
  PassFailpoint("task.ack", found->second.snapshot->directory());
  const bool end_of_data = found->second.end_of_data;
  running_.erase(found);
  if (!ack.ok()) {
    return Decline(checkpoint_id, "CHECKPOINT_ASYNC_EXCEPTION", Message(ack.status()));
  }
  *ack->mutable_subtask() = ref();
  ack->set_sync_duration_ms(timing.sync_ms);
  ack->set_async_duration_ms(ToMs(Steady::now() - timing.begin) - timing.sync_ms);
  ack->set_alignment_duration_ms(timing.alignment_ms);
  ack->set_start_delay_ms(timing.start_delay_ms);
  ack->set_unaligned(timing.unaligned);
  ack->set_end_of_data(end_of_data);
  ack->set_finished_before(deployment_.finished_before);
  pb::ExecutorMessage message;
  *message.mutable_ack() = std::move(ack).value();
  Report(std::move(message));
}

void Task::OnCheckpointComplete(int64_t checkpoint_id) {
  const auto found = taken_.find(checkpoint_id);
  if (found == taken_.end()) return;
  if (found->second == SnapshotKind::kSavepoint) {
    taken_.erase(found);
    return;
  }
  // An older checkpoint that is still open will not complete any more.
  taken_.erase(taken_.begin(), std::next(found));
  aborted_.erase(aborted_.begin(), aborted_.upper_bound(checkpoint_id));
  PassFailpoint("task.notified");
  chain_->NotifyCheckpointComplete(checkpoint_id);
}

void Task::OnCheckpointAborted(int64_t checkpoint_id) {
  if (checkpoint_id > last_checkpoint_) aborted_.insert(checkpoint_id);
  if (aligner_->Abort(checkpoint_id)) ReleaseAlignment();
  DropSnapshot(checkpoint_id);
  if (stopped_by_checkpoint_ == checkpoint_id) {
    if (stopped_for_good_) {
      throw RuntimeFault(
          Cancelled("stop --drain was aborted when the input had been ended for it"));
    }
    // The stop did not come about: the job goes on.
    stopped_by_checkpoint_ = 0;
    for (auto& timer : std::exchange(held_timers_, {})) FireTimer(std::move(timer));
  }
  if (taken_.erase(checkpoint_id) > 0) chain_->NotifyCheckpointAborted(checkpoint_id);
}

void Task::Decline(int64_t checkpoint_id, const char* reason, const std::string& text) {
  LOG_WARN("checkpoint {} declined by {} ({}/{}): {}", checkpoint_id, deployment_.vertex_name,
           deployment_.subtask + 1, deployment_.parallelism, text);
  pb::ExecutorMessage message;
  pb::CheckpointDecline& decline = *message.mutable_decline();
  decline.set_checkpoint_id(checkpoint_id);
  *decline.mutable_subtask() = ref();
  decline.set_reason(reason);
  decline.set_message(text);
  Report(std::move(message));
}

}  // namespace flink::taskmanager
