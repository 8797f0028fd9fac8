#pragma once

/// OutputChannel: the sending end of a channel. Never blocks; the task looks at its credit before
/// each step.
///
/// Threading: the producing task's thread.

#include <cstdint>
#include <memory>
#include <utility>

#include "taskmanager/network/credit.h"
#include "taskmanager/network/input_gate.h"
#include "taskmanager/network/stream_element.h"

namespace flink::taskmanager {

class OutputChannel {
 public:
  virtual ~OutputChannel() = default;
  /// Returns the bytes that the element takes. With `more_expected` the receiver may learn of it
  /// late; see Announce.
  virtual int64_t Send(StreamElement element, bool more_expected = false) = 0;
  /// Nothing more follows soon: the receiver must learn of all that was sent.
  virtual void Announce() = 0;
};

/// To a task of the same process: batches are moved into its gate.
class LocalOutputChannel final : public OutputChannel {
 public:
  LocalOutputChannel(std::shared_ptr<InputGate> gate, int channel,
                     std::shared_ptr<OutputCredit> credit)
      : gate_(std::move(gate)), channel_(channel), credit_(std::move(credit)) {}

  int64_t Send(StreamElement element, bool more_expected = false) override {
    element.cost = kElementOverheadBytes +
                   (element.batch ? static_cast<int64_t>(element.batch->MemoryBytes()) : 0);
    const int64_t cost = element.cost;
    credit_->Take(cost);
    gate_->Push(channel_, std::move(element), more_expected);
    return cost;
  }
  void Announce() override { gate_->Announce(); }

 private:
  const std::shared_ptr<InputGate> gate_;
  const int channel_;
  const std::shared_ptr<OutputCredit> credit_;
};

}  // namespace flink::taskmanager
