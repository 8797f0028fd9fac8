#include "taskmanager/network/input_gate.h"

#include <gtest/gtest.h>

#include <thread>

#include "taskmanager/network/output_channel.h"

namespace flink::taskmanager {
namespace {

StreamElement Numbers(int64_t first, int count) {
  auto batch = std::make_unique<Batch<int64_t>>();
  for (int i = 0; i < count; ++i) batch->records.push_back(first + i);
  return StreamElement::Records(std::move(batch));
}

class InputGateTest : public testing::Test {
 protected:
  InputGateTest() {
    gate_->AddChannel();
    gate_->AddChannel();
  }
  int64_t PollWatermark(int* channel = nullptr) {
    auto polled = gate_->Poll();
    if (!polled) return -1;
    if (channel != nullptr) *channel = polled->channel;
    return polled->element.value;
  }
  std::shared_ptr<TaskInbox> consumer_ = std::make_shared<TaskInbox>();
  std::shared_ptr<TaskInbox> producer_ = std::make_shared<TaskInbox>();
  std::shared_ptr<InputGate> gate_ = std::make_shared<InputGate>(consumer_);
};

TEST_F(InputGateTest, AChannelKeepsItsOrderAndChannelsTakeTurns) {
  gate_->Push(0, StreamElement::Watermark(1));
  gate_->Push(0, StreamElement::Watermark(2));
  gate_->Push(1, StreamElement::Watermark(11));
  EXPECT_EQ(1, PollWatermark());
  EXPECT_EQ(11, PollWatermark());
  EXPECT_EQ(2, PollWatermark());
  EXPECT_FALSE(gate_->HasReady());
}

TEST_F(InputGateTest, ABlockedChannelKeepsItsElementsUntilItIsReleased) {
  gate_->Push(0, StreamElement::Watermark(1));
  gate_->Block(0);
  gate_->Push(0, StreamElement::Watermark(2));
  gate_->Push(1, StreamElement::Watermark(11));
  EXPECT_EQ(11, PollWatermark());
  EXPECT_EQ(-1, PollWatermark());
  gate_->Unblock(0);
  gate_->Unblock(0);
  EXPECT_EQ(1, PollWatermark());
  EXPECT_EQ(2, PollWatermark());
  EXPECT_EQ(-1, PollWatermark());
}

TEST_F(InputGateTest, AFullChannelTakesTheProducersAvailabilityAndTheConsumerGivesItBack) {
  auto credit = std::make_shared<OutputCredit>(ChannelWindowBytes(1), producer_);
  gate_->SetCreditReturn(0, credit);
  LocalOutputChannel channel(gate_, 0, credit);
  int sent = 0;
  while (producer_->OutputsAvailable()) {
    channel.Send(Numbers(0, 1024));
    ++sent;
  }
  EXPECT_GE(sent, 8);
  EXPECT_LE(sent, 40);
  EXPECT_TRUE(gate_->Poll());
  EXPECT_TRUE(producer_->OutputsAvailable());
  while (gate_->Poll()) {
  }
  EXPECT_EQ(ChannelWindowBytes(1), credit->available());
}

TEST_F(InputGateTest, OneExhaustedChannelOfSeveralIsEnough) {
  auto a = std::make_shared<OutputCredit>(100, producer_);
  auto b = std::make_shared<OutputCredit>(100, producer_);
  a->Take(150);
  b->Take(100);
  EXPECT_FALSE(producer_->OutputsAvailable());
  a->Return(50);
  EXPECT_FALSE(producer_->OutputsAvailable());
  a->Return(1);
  EXPECT_FALSE(producer_->OutputsAvailable());
  b->Return(1);
  EXPECT_TRUE(producer_->OutputsAvailable());
}

TEST_F(InputGateTest, ASleepingConsumerIsWokenByTheFirstElement) {
  std::thread consumer([&] {
    int64_t next = 1;
    while (next <= 10000) {
      if (auto polled = gate_->Poll()) {
        ASSERT_EQ(next, polled->element.value);
        ++next;
        continue;
      }
      consumer_->Arm();
      if (!gate_->HasReady()) consumer_->mailbox().WaitAndRun();
      consumer_->Disarm();
    }
  });
  for (int64_t i = 1; i <= 10000; ++i) gate_->Push(0, StreamElement::Watermark(i));
  consumer.join();
}

TEST_F(InputGateTest, AClosedGateDropsEverything) {
  gate_->Push(0, StreamElement::Watermark(1));
  gate_->Close();
  gate_->Push(0, StreamElement::Watermark(2));
  EXPECT_FALSE(gate_->Poll());
}

}  // namespace
}  // namespace flink::taskmanager
