#include "taskmanager/task/operator_chain.h"

#include <exception>
#include <stdexcept>

#include "common/base/clock.h"
#include "common/snapshot/state_handle.h"
#include "flink/key_group.h"

namespace flink::taskmanager {

/// Passes everything on, and notes which operator an exception came from.
class OperatorChain::Port final : public InputPort {
 public:
  Port(OperatorChain& chain, const std::string& operator_name, InputPort* port)
      : chain_(chain), operator_name_(operator_name), port_(port) {}

  void ProcessBatch(BatchBase& batch) override {
    Guard([&] { port_->ProcessBatch(batch); });
  }
  void ProcessWatermark(int64_t watermark_ms) override {
    Guard([&] { port_->ProcessWatermark(watermark_ms); });
  }
  void ProcessIdle(bool idle) override {
    Guard([&] { port_->ProcessIdle(idle); });
  }
  void EndOfInput() override {
    Guard([&] { port_->EndOfInput(); });
  }
  void Flush() override {
    Guard([&] { port_->Flush(); });
  }

 private:
  template <class F>
  void Guard(F&& fn) {
    try {
      fn();
    } catch (...) {
      chain_.NoteFailure(operator_name_);
      throw;
    }
  }
  OperatorChain& chain_;
  const std::string& operator_name_;
  InputPort* const port_;
};

class OperatorChain::Context final : public OperatorContext, public ProcessingTimeService {
 public:
  Context(OperatorChain& chain, size_t index, const pb::OperatorRestore& restore)
      : chain_(chain),
        index_(index),
        operator_id_(chain.deployment_.operators[index].description.id.ToHex()) {
    for (const auto& list : restore.list_states()) {
      list_states_[list.name()] = {list.elements().begin(), list.elements().end()};
    }
  }

  const std::string& job_id() const override { return chain_.environment_.job_id; }
  const std::string& job_name() const override { return chain_.environment_.job_name; }
  int attempt() const override { return chain_.environment_.attempt; }
  const std::string& operator_id() const override { return operator_id_; }
  const std::string& operator_name() const override { return description().name; }
  int subtask_index() const override { return chain_.deployment_.subtask; }
  int parallelism() const override { return chain_.deployment_.parallelism; }
  int max_parallelism() const override { return chain_.deployment_.max_parallelism; }
  ProcessingTimeService& time_service() override { return *this; }
  KeyedStateStore* keyed_state() override { return chain_.slots_[index_]->backend.get(); }
  bool is_restored() const override { return chain_.deployment_.restored_checkpoint_id != 0; }
  int64_t restored_checkpoint_id() const override {
    return chain_.deployment_.restored_checkpoint_id;
  }
  const std::vector<std::string>& RestoredListState(const std::string& name) const override {
    static const std::vector<std::string> kNone;
    const auto found = list_states_.find(name);
    return found == list_states_.end() ? kNone : found->second;
  }
  void SendToCoordinator(std::string payload) override {
    chain_.host_.SendToCoordinator(description().id, std::move(payload));
  }
  const std::string& work_directory() const override { return chain_.environment_.work_directory; }
  std::string ConfigurationValue(const std::string& key) const override {
    const auto found = chain_.environment_.configuration.find(key);
    return found == chain_.environment_.configuration.end() ? "" : found->second;
  }

  int64_t NowMs() const override { return Clock::System().NowMs(); }
  void RegisterTimer(int64_t time_ms, std::function<void()> callback) override {
    chain_.host_.RegisterTimer(
        time_ms, [this, callback = std::move(callback)] { chain_.Call(index_, callback); });
  }

 private:
  const graph::OperatorDescription& description() const {
    return chain_.slots_[index_]->description;
  }
  OperatorChain& chain_;
  const size_t index_;
  const std::string operator_id_;
  std::map<std::string, std::vector<std::string>> list_states_;
};

OperatorChain::Slot::~Slot() {
  op.reset();
  ports.clear();
  context.reset();
  backend.reset();
}

OperatorChain::OperatorChain(TaskDeployment& deployment, const TaskEnvironment& environment,
                             ChainHost& host, TaskCounters& counters)
    : deployment_(deployment), environment_(environment), host_(host) {
  for (size_t i = 0; i < deployment.operators.size(); ++i) {
    OperatorDeployment& d = deployment.operators[i];
    auto slot = std::make_unique<Slot>();
    slot->description = d.description;
    slots_.push_back(std::move(slot));
    Call(i, [&] { slots_[i]->op = d.node->make_operator(); });
    if (slots_[i]->op == nullptr) {
      throw RuntimeFault(Internal("operator {} was not made", d.description.name));
    }
    slots_[i]->context = std::make_unique<Context>(*this, i, d.restore);
  }
  for (const ChainedEdge& edge : deployment.chained_edges) {
    OutputBase* output = op(static_cast<size_t>(edge.source)).output();
    InputPort* port = PortOf(static_cast<size_t>(edge.target), edge.input_index);
    if (output == nullptr || port == nullptr) {
      throw RuntimeFault(Internal("operators of {} do not fit together", deployment.vertex_name));
    }
    output->AddTarget(port);
  }
  for (OutputDeployment& d : deployment.outputs) {
    OutputBase* output = op(static_cast<size_t>(d.source)).output();
    if (output == nullptr) {
      throw RuntimeFault(Internal("{} has an outgoing edge but no output", deployment.vertex_name));
    }
    outputs_.push_back(
        std::make_unique<ExchangeOutput>(std::move(d), deployment.subtask, counters));
    output->AddTarget(outputs_.back().get());
  }
  source_ = dynamic_cast<SourceOperator*>(&op(0));
  for (int i = 0; i < op(0).input_count(); ++i) head_ports_.push_back(PortOf(0, i));
}

OperatorChain::~OperatorChain() {
  while (!slots_.empty()) slots_.pop_back();
}

InputPort* OperatorChain::PortOf(size_t target, int index) {
  InputPort* port = op(target).input(index);
  if (port == nullptr) return nullptr;
  Slot& slot = *slots_[target];
  slot.ports.push_back(std::make_unique<Port>(*this, slot.description.name, port));
  return slot.ports.back().get();
}

InputPort* OperatorChain::head_input(int index) {
  if (index < 0 || index >= head_input_count() ||
      head_ports_[static_cast<size_t>(index)] == nullptr) {
    throw RuntimeFault(Internal("{} has no input {}", deployment_.vertex_name, index));
  }
  return head_ports_[static_cast<size_t>(index)];
}

void OperatorChain::OpenBackend(size_t i) {
  Slot& slot = *slots_[i];
  KeyedStateBackend::Options options;
  options.type = environment_.state_backend;
  options.operator_id = slot.description.id.ToHex();
  options.operator_name = slot.description.name;
  options.operator_uid = slot.description.uid;
  options.directory = environment_.work_directory + "/" + options.operator_id.substr(0, 8) + "-" +
                      std::to_string(deployment_.subtask);
  options.max_parallelism = deployment_.max_parallelism;
  options.key_groups =
      RangeForOperator(deployment_.max_parallelism, deployment_.parallelism, deployment_.subtask);
  options.memory_budget_bytes = environment_.keyed_memory_bytes;
  options.inline_threshold_bytes = environment_.inline_threshold_bytes;
  options.io_pool = environment_.io_pool;
  options.flush_pool = environment_.flush_pool;
  options.background_pool = environment_.background_pool;
  options.post = [inbox = deployment_.inbox](Mail mail) { inbox->mailbox().Post(std::move(mail)); };
  const pb::OperatorRestore& restore = deployment_.operators[i].restore;
  for (const std::string& bytes : restore.subtask_states()) {
    StatusOr<snapshot::SubtaskState> state = snapshot::DecodeSubtaskState(bytes);
    if (!state.ok()) {
      throw RuntimeFault(With(state.status(), "restoring operator {}", slot.description.name));
    }
    if (std::holds_alternative<std::monostate>(state->managed_keyed_state)) continue;
    options.restore.push_back({std::move(state->managed_keyed_state), restore.base_directory()});
  }
  StatusOr<std::unique_ptr<KeyedStateBackend>> backend =
      KeyedStateBackend::Create(std::move(options));
  if (!backend.ok()) {
    NoteFailure(slot.description.name);
    throw RuntimeFault(With(backend.status(), "cannot open the keyed state"));
  }
  slot.backend = std::move(backend).value();
}

bool OperatorChain::Open() {
  if (deployment_.finished_before) return true;
  for (size_t i = slots_.size(); i-- > 0;) {
    if (host_.cancel_requested()) return false;
    if (slots_[i]->description.keyed) OpenBackend(i);
    if (host_.cancel_requested()) return false;
    // Close is due also when Open throws half-way.
    slots_[i]->opened = true;
    Call(i, [&] { op(i).Open(*slots_[i]->context); });
  }
  return true;
}

void OperatorChain::Close() {
  std::exception_ptr first;
  for (size_t i = 0; i < slots_.size(); ++i) {
    if (!slots_[i]->opened) continue;
    slots_[i]->opened = false;
    try {
      Call(i, [&] { op(i).Close(); });
    } catch (...) {
      if (!first) first = std::current_exception();
    }
  }
  if (first) std::rethrow_exception(first);
}

void OperatorChain::Flush() {
  if (deployment_.finished_before) return;
  for (InputPort* port : head_ports_) {
    if (port != nullptr) port->Flush();
  }
  for (size_t i = 0; i < slots_.size(); ++i) {
    if (OutputBase* output = op(i).output()) Call(i, [&] { output->Flush(); });
  }
}

void OperatorChain::AnnounceOutputs() {
  for (const auto& output : outputs_) output->Announce();
}

void OperatorChain::EmitFromSource(int64_t watermark_ms) {
  if (source_ == nullptr || source_->output() == nullptr) return;
  Call(0, [&] { source_->output()->EmitWatermark(watermark_ms); });
}

void OperatorChain::EndAtBarrier() {
  for (const auto& output : outputs_) output->EndAtBarrier();
}

void OperatorChain::EndOutputs() {
  Flush();
  for (const auto& output : outputs_) output->EndOfInput();
}

void OperatorChain::EndChannels() {
  for (const auto& output : outputs_) output->EndOfChannel();
}

void OperatorChain::PrepareSnapshot(int64_t checkpoint_id) {
  if (deployment_.finished_before) return;
  for (size_t i = 0; i < slots_.size(); ++i) {
    Call(i, [&] { op(i).PrepareSnapshot(checkpoint_id); });
    if (OutputBase* output = op(i).output()) Call(i, [&] { output->Flush(); });
  }
}

void OperatorChain::BroadcastBarrier(const std::shared_ptr<const CheckpointBarrier>& barrier) {
  Flush();
  for (const auto& output : outputs_) output->BroadcastBarrier(barrier);
}

bool OperatorChain::AdvanceSnapshots() {
  if (!advancing_) return false;
  bool more = false;
  for (size_t i = 0; i < slots_.size(); ++i) {
    if (KeyedStateBackend* b = backend(i)) {
      Call(i, [&] { more = b->AdvanceSnapshot() || more; });
    }
  }
  advancing_ = more;
  return more;
}

void OperatorChain::NotifyCheckpointComplete(int64_t checkpoint_id) {
  if (deployment_.finished_before) return;
  for (size_t i = 0; i < slots_.size(); ++i) {
    if (KeyedStateBackend* b = backend(i)) b->NotifyCheckpointComplete(checkpoint_id);
    Call(i, [&] { op(i).NotifyCheckpointComplete(checkpoint_id); });
  }
}

void OperatorChain::NotifyCheckpointAborted(int64_t checkpoint_id) {
  if (deployment_.finished_before) return;
  for (size_t i = 0; i < slots_.size(); ++i) {
    if (KeyedStateBackend* b = backend(i)) b->NotifyCheckpointAborted(checkpoint_id);
    Call(i, [&] { op(i).NotifyCheckpointAborted(checkpoint_id); });
  }
}

}  // namespace flink::taskmanager
