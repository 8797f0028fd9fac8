#include "taskmanager/network/input_gate.h"

#include <algorithm>
#include <iterator>
#include <utility>

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
    const bool may_overtake = element.barrier != nullptr && element.barrier->aligned_timeout_ms;
    if (may_overtake || element.kind == StreamElement::Kind::kEndOfChannel) {
      announced_.push_back({channel, element.barrier});
      has_announced_.store(true);
    }
    c.queue.push_back(std::move(element));
    List(channel);
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
    c.listed = false;
    if (recovered_ > 0) [[unlikely]] {
      --c.recovered;
      if (--recovered_ == 0) {
        for (int i = 0; i < channel_count(); ++i) List(i);
      }
    }
    List(index);
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
  List(channel);
}

void InputGate::List(int channel) {
  Channel& c = channels_[static_cast<size_t>(channel)];
  if (c.listed || !MayPoll(c)) return;
  c.listed = true;
  ready_.push_back(channel);
}

std::vector<InputGate::Announced> InputGate::TakeAnnounced() {
  std::lock_guard lock(mutex_);
  has_announced_.store(false);
  return std::exchange(announced_, {});
}

std::vector<const StreamElement*> InputGate::QueuedBefore(int channel, int64_t checkpoint_id) {
  // Only the consumer removes elements, and a deque leaves them in place when others are appended.
  std::vector<const StreamElement*> elements;
  std::lock_guard lock(mutex_);
  for (const StreamElement& element : channels_[static_cast<size_t>(channel)].queue) {
    if (element.barrier != nullptr && element.barrier->checkpoint_id == checkpoint_id) break;
    elements.push_back(&element);
  }
  return elements;
}

void InputGate::Recover(int channel, std::vector<StreamElement> elements) {
  std::lock_guard lock(mutex_);
  Channel& c = channels_[static_cast<size_t>(channel)];
  recovered_ += elements.size();
  // Behind those of an earlier call.
  const auto at = c.queue.begin() + static_cast<std::ptrdiff_t>(c.recovered);
  c.recovered += elements.size();
  c.queue.insert(at, std::make_move_iterator(elements.begin()),
                 std::make_move_iterator(elements.end()));
  ready_.clear();
  for (Channel& other : channels_) other.listed = false;
  for (int i = 0; i < channel_count(); ++i) List(i);
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
    c.recovered = 0;
    c.credit = nullptr;
  }
  recovered_ = 0;
  announced_.clear();
  has_announced_.store(false);
}

}  // namespace flink::taskmanager
