#include "taskmanager/network/input_gate.h"

#include <algorithm>

#include "common/base/check.h"

namespace flink::taskmanager {

int InputGate::AddChannel() {
  channels_.emplace_back();
  return static_cast<int>(channels_.size()) - 1;
}

void InputGate::SetCreditReturn(int channel, std::shared_ptr<CreditReturn> credit) {
  channels_[static_cast<size_t>(channel)].credit = std::move(credit);
}

void InputGate::Push(int channel, StreamElement element, bool more_expected) {
  bool wake = false;
  {
    std::lock_guard lock(mutex_);
    if (closed_) return;
    Channel& c = channels_[static_cast<size_t>(channel)];
    unannounced_bytes_ += std::max<int64_t>(element.cost, 1);
    c.queue.push_back(std::move(element));
    if (!c.listed && !c.blocked) {
      c.listed = true;
      ready_.push_back(channel);
    }
    wake = !more_expected || unannounced_bytes_ >= kAnnounceBytes;
    if (wake) unannounced_bytes_ = 0;
  }
  if (wake) consumer_->Wake();
}

void InputGate::Announce() {
  {
    std::lock_guard lock(mutex_);
    if (unannounced_bytes_ == 0) return;
    unannounced_bytes_ = 0;
  }
  consumer_->Wake();
}

std::optional<InputGate::Polled> InputGate::Poll() {
  std::optional<Polled> polled;
  CreditReturn* credit = nullptr;
  {
    std::lock_guard lock(mutex_);
    if (ready_.empty()) return std::nullopt;
    const int index = ready_.front();
    ready_.pop_front();
    Channel& c = channels_[static_cast<size_t>(index)];
    FLINK_CHECK(c.listed && !c.queue.empty(), "channel {} is ready without an element", index);
    polled.emplace();
    polled->channel = index;
    polled->element = std::move(c.queue.front());
    c.queue.pop_front();
    c.listed = !c.queue.empty();
    if (c.listed) ready_.push_back(index);
    credit = c.credit.get();
  }
  if (credit != nullptr && polled->element.cost > 0) credit->Return(polled->element.cost);
  return polled;
}

bool InputGate::HasReady() {
  std::lock_guard lock(mutex_);
  return !ready_.empty();
}

void InputGate::Block(int channel) {
  std::lock_guard lock(mutex_);
  Channel& c = channels_[static_cast<size_t>(channel)];
  c.blocked = true;
  if (!c.listed) return;
  c.listed = false;
  std::erase(ready_, channel);
}

void InputGate::Unblock(int channel) {
  std::lock_guard lock(mutex_);
  Channel& c = channels_[static_cast<size_t>(channel)];
  c.blocked = false;
  if (c.listed || c.queue.empty()) return;
  c.listed = true;
  ready_.push_back(channel);
}

void InputGate::Close() {
  std::vector<std::deque<StreamElement>> dropped;
  std::lock_guard lock(mutex_);
  closed_ = true;
  ready_.clear();
  for (Channel& c : channels_) {
    dropped.push_back(std::move(c.queue));
    c.queue.clear();
    c.listed = false;
    c.credit = nullptr;
  }
}

}  // namespace flink::taskmanager
