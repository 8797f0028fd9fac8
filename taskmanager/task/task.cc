#include "taskmanager/task/task.h"

#include <exception>
#include <utility>

#include "common/base/clock.h"
#include "common/base/failpoint.h"
#include "common/base/logging.h"
#include "flink/buffer.h"
#include "taskmanager/task/wire_ids.h"

namespace flink::taskmanager {

Task::Task(TaskDeployment deployment, const TaskEnvironment& environment)
    : deployment_(std::move(deployment)),
      environment_(environment),
      inbox_(deployment_.inbox),
      gate_(deployment_.gate),
      head_operator_id_(ToWire(deployment_.operators.at(0).description.id)) {}

Task::~Task() {
  Cancel();
  Join();
}

void Task::Start() {
  thread_ = std::thread([this] { Run(); });
}

void Task::Cancel() {
  cancel_requested_.store(true);
  inbox_->mailbox().Post([this] {
    if (end_ == End::kNone) end_ = End::kCanceled;
  });
}

void Task::Join() {
  if (thread_.joinable()) thread_.join();
}

pb::SubtaskRef Task::ref() const {
  pb::SubtaskRef ref;
  ref.set_vertex_id(ToWire(deployment_.vertex));
  ref.set_subtask(deployment_.subtask);
  return ref;
}

// ---- Mail
// ------------------------------------------------------------------------------------------------------------

void Task::PostGuarded(std::function<void()> fn) {
  inbox_->mailbox().Post([this, fn = std::move(fn)] { RunGuarded(fn); });
}

void Task::RunGuarded(const std::function<void()>& fn) {
  if (end_ != End::kNone || chain_ == nullptr) return;
  try {
    fn();
  } catch (...) {
    FailWithCurrentException();
  }
}

void Task::FailWithCurrentException() {
  if (end_ == End::kFailed) return;
  user_error_ = true;
  std::string what = "unknown exception";
  try {
    throw;
  } catch (const RuntimeFault& e) {
    user_error_ = false;
    what = e.what();
    // Until then data can only be lost in the snapshot that is restored, later on its way as well.
    retryable_ = initialized_ || e.code() != absl::StatusCode::kDataLoss;
  } catch (const DecodeError& e) {
    user_error_ = false;
    what = e.what();
    retryable_ = initialized_;
  } catch (const StateTypeError& e) {
    what = e.what();
    retryable_ = false;
  } catch (const std::exception& e) {
    what = e.what();
  } catch (...) {
  }
  end_ = End::kFailed;
  std::string name = chain_ ? chain_->failed_operator() : "";
  if (name.empty()) name = deployment_.vertex_name;
  failure_ =
      fmt::format("{} ({}/{}): {}", name, deployment_.subtask + 1, deployment_.parallelism, what);
}

void Task::TriggerCheckpoint(std::shared_ptr<const CheckpointBarrier> barrier) {
  PostGuarded([this, barrier = std::move(barrier)] { OnTrigger(barrier); });
}

void Task::NotifyCheckpointComplete(int64_t checkpoint_id) {
  PostGuarded([this, checkpoint_id] { OnCheckpointComplete(checkpoint_id); });
}

void Task::NotifyCheckpointAborted(int64_t checkpoint_id) {
  PostGuarded([this, checkpoint_id] { OnCheckpointAborted(checkpoint_id); });
}

void Task::HandleCoordinatorEvent(std::string payload) {
  PostGuarded([this, payload = std::move(payload)] {
    SourceOperator* source = chain_->source();
    if (source == nullptr || input_ended_ || deployment_.finished_before) return;
    source_waiting_ = false;
    chain_->Call(0, [&] { source->HandleCoordinatorEvent(payload); });
  });
}

void Task::Finish(int64_t checkpoint_id) {
  PostGuarded([this, checkpoint_id] {
    OnCheckpointComplete(checkpoint_id);
    PassFailpoint("task.finish");
    if (input_ended_) chain_->EndChannels();
    end_ = End::kFinished;
  });
}

void Task::RegisterTimer(int64_t time_ms, std::function<void()> callback) {
  const int64_t delay = time_ms - Clock::System().NowMs();
  // Beyond a century nothing fires; this also keeps the sum in range.
  constexpr int64_t kFarMs = int64_t{100} * 365 * 24 * 3600 * 1000;
  if (delay > kFarMs) return;
  inbox_->mailbox().PostAfter(std::chrono::milliseconds(std::max<int64_t>(delay, 0)),
                              [this, callback = std::move(callback)]() mutable {
                                RunGuarded([&] { FireTimer(std::move(callback)); });
                              });
}

void Task::FireTimer(std::function<void()> callback) {
  if (input_ended_ || stopped_for_good_) return;
  if (stopped_by_checkpoint_ != 0) {
    held_timers_.push_back(std::move(callback));
    return;
  }
  source_waiting_ = false;
  // Behind the end of input no operator has anything to emit any more.
  if (!ended_before_) callback();
}

void Task::SendToCoordinator(const OperatorId& operator_id, std::string payload) {
  pb::ExecutorMessage message;
  pb::CoordinatorEvent& event = *message.mutable_coordinator_event();
  event.set_operator_id(ToWire(operator_id));
  event.set_to_coordinator(true);
  event.set_subtask(deployment_.subtask);
  event.set_payload(std::move(payload));
  Report(std::move(message));
}

// ---- Life
// ------------------------------------------------------------------------------------------------------------

void Task::Run() {
  SetCurrentThreadName(fmt::format("{}/{}", deployment_.subtask + 1, deployment_.vertex_name));
  ReportState("INITIALIZING");
  try {
    if (Initialize()) {
      initialized_ = true;
      ReportState("RUNNING");
      RunLoop();
    } else if (end_ == End::kNone) {
      end_ = End::kCanceled;
    }
  } catch (...) {
    FailWithCurrentException();
  }
  Release();
  switch (end_) {
    case End::kFinished:
      ReportState("FINISHED");
      break;
    case End::kFailed:
      ReportFailure();
      break;
    default:
      ReportState("CANCELED");
      break;
  }
}

bool Task::Initialize() {
  ChainHost& host = *this;
  ended_before_ = RestoredBehindEndOfInput();
  chain_ = std::make_unique<OperatorChain>(deployment_, environment_, host, counters_);
  int input_count = 0;
  for (const InputChannelDeployment& channel : deployment_.input_channels) {
    input_count = std::max(input_count, channel.input_index + 1);
  }
  inputs_.resize(static_cast<size_t>(input_count));
  for (const InputChannelDeployment& channel : deployment_.input_channels) {
    valve_channel_.push_back(inputs_[static_cast<size_t>(channel.input_index)].valve.AddChannel());
  }
  for (int i = 0; i < input_count; ++i) chain_->head_input(i);
  if (input_count == 0 && chain_->source() == nullptr) {
    throw RuntimeFault(Internal("{} has neither inputs nor a source", deployment_.vertex_name));
  }
  aligner_ = std::make_unique<BarrierAligner>(static_cast<int>(valve_channel_.size()),
                                              environment_.exactly_once);
  if (!chain_->Open()) return false;
  if (Status status = RecoverInFlightData(deployment_); !status.ok()) throw RuntimeFault(status);
  deployment_.in_flight.clear();
  return true;
}

void Task::RunLoop() {
  while (end_ == End::kNone) {
    inbox_->mailbox().TryRunAll();
    if (end_ != End::kNone) return;
    const Step step = RunDefaultAction();
    const bool more_to_sweep = chain_->AdvanceSnapshots();
    if (step == Step::kProgress) continue;
    // Without credit, partial batches would only overdraw more; with nothing to do, they would wait
    // in vain.
    if (step == Step::kIdle)
      chain_->Flush();
    else
      chain_->AnnounceOutputs();
    if (!more_to_sweep) Wait();
  }
}

bool Task::MayProcess() const {
  if (stopped_by_checkpoint_ != 0) return false;
  // Behind the end of data barriers still come, so a task with inputs goes on polling.
  return !input_ended_ || chain_->source() == nullptr;
}

Task::Step Task::RunDefaultAction() {
  if (!MayProcess()) return Step::kIdle;
  if (deployment_.finished_before && !input_ended_) {
    OnAllInputEnded();
    return Step::kProgress;
  }
  if (gate_->HasAnnounced()) OnAnnounced();
  if (!inbox_->OutputsAvailable()) return Step::kNoCredit;
  if (chain_->source() != nullptr) return Produce();
  std::optional<InputGate::Polled> polled = gate_->Poll();
  if (!polled) return Step::kIdle;
  Process(polled->channel, std::move(polled->element));
  return Step::kProgress;
}

Task::Step Task::Produce() {
  if (source_waiting_) return Step::kIdle;
  SourceStatus status = SourceStatus::kWaiting;
  chain_->Call(0, [&] { status = chain_->source()->Produce(); });
  switch (status) {
    case SourceStatus::kMore:
      return Step::kProgress;
    case SourceStatus::kWaiting:
      source_waiting_ = true;
      return Step::kIdle;
    case SourceStatus::kEnd:
      break;
  }
  EndSource();
  return Step::kProgress;
}

void Task::EndSource() {
  chain_->EmitFromSource(kMaxWatermark);
  if (OutputBase* output = chain_->source()->output(); output != nullptr && !ended_before_) {
    chain_->Call(0, [&] { output->EmitEndOfInput(); });
  }
  OnAllInputEnded();
}

void Task::EndInputForDrain() {
  chain_->EndAtBarrier();
  if (chain_->source() != nullptr) return EndSource();
  for (size_t i = 0; i < valve_channel_.size(); ++i) {
    const int input = deployment_.input_channels[i].input_index;
    Apply(input, inputs_[static_cast<size_t>(input)].valve.OnEndOfData(valve_channel_[i]));
  }
}

void Task::Wait() {
  inbox_->Arm();
  const bool has_input = chain_->source() != nullptr ? !source_waiting_ : gate_->HasReady();
  const bool can_work =
      MayProcess() && ((inbox_->OutputsAvailable() && has_input) || gate_->HasAnnounced());
  if (!can_work) inbox_->mailbox().WaitAndRun();
  inbox_->Disarm();
}

void Task::Process(int channel, StreamElement element) {
  const InputChannelDeployment& from = deployment_.input_channels[static_cast<size_t>(channel)];
  const size_t input = static_cast<size_t>(from.input_index);
  WatermarkValve& valve = inputs_[input].valve;
  const int valve_channel = valve_channel_[static_cast<size_t>(channel)];
  if (recorder_ != nullptr && recorder_->IsOpen(channel)) recorder_->Record(channel, element);
  switch (element.kind) {
    case StreamElement::Kind::kEncodedBatch: {
      BufferReader in(element.bytes.view());
      element.batch = from.type->Decode(in);
      if (in.remaining() != 0) {
        throw RuntimeFault(DataLoss("{} bytes are left behind a batch of records", in.remaining()));
      }
      [[fallthrough]];
    }
    case StreamElement::Kind::kBatch:
      if (deployment_.finished_before) return;
      TaskCounters::Add(counters_.records_in, static_cast<int64_t>(element.batch->size()));
      TaskCounters::Add(counters_.bytes_in, element.cost);
      chain_->head_input(from.input_index)->ProcessBatch(*element.batch);
      return;
    case StreamElement::Kind::kWatermark:
      return Apply(from.input_index, valve.OnWatermark(valve_channel, element.value));
    case StreamElement::Kind::kIdle:
      return Apply(from.input_index, valve.OnIdle(valve_channel, true));
    case StreamElement::Kind::kActive:
      return Apply(from.input_index, valve.OnIdle(valve_channel, false));
    case StreamElement::Kind::kEndOfData:
      return Apply(from.input_index, valve.OnEndOfData(valve_channel));
    case StreamElement::Kind::kEndOfChannel:
      for (const auto& answer : aligner_->OnEndOfChannel(channel, Steady::now())) {
        Align(channel, answer);
      }
      return;
    case StreamElement::Kind::kBarrier:
      return OnBarrier(channel, element.barrier);
  }
}

void Task::Apply(int input, const WatermarkValve::Change& change) {
  if (deployment_.finished_before) return;
  InputPort* port = chain_->head_input(input);
  if (change.became_active) port->ProcessIdle(false);
  if (change.watermark_ms) {
    port->ProcessWatermark(*change.watermark_ms);
    int64_t least = kMaxWatermark;
    for (const Input& i : inputs_) least = std::min(least, i.valve.watermark_ms());
    counters_.watermark_ms.store(least, std::memory_order_relaxed);
  }
  if (change.became_idle) port->ProcessIdle(true);
  if (!change.ended) return;
  if (!ended_before_) port->EndOfInput();
  for (const Input& i : inputs_) {
    if (!i.valve.ended()) return;
  }
  OnAllInputEnded();
}

void Task::OnAllInputEnded() {
  chain_->EndOutputs();
  input_ended_ = true;
  counters_.watermark_ms.store(kMaxWatermark, std::memory_order_relaxed);
  if (stopped_for_good_) return;  // The data goes on, but not in this job.
  pb::ExecutorMessage message;
  *message.mutable_end_of_data()->mutable_subtask() = ref();
  Report(std::move(message));
}

void Task::Release() {
  if (chain_ != nullptr) {
    try {
      chain_->Close();
    } catch (...) {
      if (end_ == End::kFinished) FailWithCurrentException();
    }
  }
  for (auto& [id, running] : running_) running.snapshot->Abandon();
  running_.clear();
  if (gate_ != nullptr) gate_->Close();
  chain_.reset();
  held_timers_.clear();
  inbox_->mailbox().Close();
  // What was accepted before does nothing any more; it only goes.
  inbox_->mailbox().TryRunAll();
}

void Task::ReportState(const char* state) {
  pb::ExecutorMessage message;
  pb::TaskStateChanged& changed = *message.mutable_task_state();
  *changed.mutable_subtask() = ref();
  changed.set_state(state);
  Report(std::move(message));
}

void Task::ReportFailure() {
  LOG_ERROR("task failed: {}", failure_);
  pb::ExecutorMessage message;
  pb::TaskStateChanged& changed = *message.mutable_task_state();
  *changed.mutable_subtask() = ref();
  changed.set_state("FAILED");
  changed.set_message(failure_);
  changed.set_user_error(user_error_);
  changed.set_retryable(retryable_);
  Report(std::move(message));
}

}  // namespace flink::taskmanager
