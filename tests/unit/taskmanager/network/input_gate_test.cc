#include "taskmanager/network/input_gate.h"

#include <gtest/gtest.h>

#include <set>
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

StreamElement Barrier(int64_t id, std::optional<int64_t> aligned_timeout_ms) {
  auto barrier = std::make_shared<CheckpointBarrier>();
  barrier->checkpoint_id = id;
  barrier->aligned_timeout_ms = aligned_timeout_ms;
  return StreamElement::Barrier(std::move(barrier));
}

TEST_F(InputGateTest, ABarrierThatMayOvertakeIsAnnouncedAndKeepsItsPlace) {
  gate_->Push(0, StreamElement::Watermark(1));
  gate_->Push(0, Barrier(7, std::nullopt));
  EXPECT_FALSE(gate_->HasAnnounced());
  gate_->Push(0, Barrier(8, 0));
  ASSERT_TRUE(gate_->HasAnnounced());
  const auto announced = gate_->TakeAnnounced();
  ASSERT_EQ(1u, announced.size());
  EXPECT_EQ(0, announced[0].channel);
  EXPECT_EQ(8, announced[0].barrier->checkpoint_id);
  EXPECT_FALSE(gate_->HasAnnounced());
  EXPECT_EQ(1, PollWatermark());
  EXPECT_EQ(7, gate_->Poll()->element.barrier->checkpoint_id);
  EXPECT_EQ(8, gate_->Poll()->element.barrier->checkpoint_id);
}

TEST_F(InputGateTest, TheEndOfAChannelIsAnnouncedAndKeepsItsPlace) {
  gate_->Push(1, StreamElement::Watermark(1));
  gate_->Push(1, StreamElement::EndOfData());
  EXPECT_FALSE(gate_->HasAnnounced());
  gate_->Push(1, StreamElement::EndOfChannel());
  const auto announced = gate_->TakeAnnounced();
  ASSERT_EQ(1u, announced.size());
  EXPECT_EQ(1, announced[0].channel);
  EXPECT_EQ(nullptr, announced[0].barrier);
  EXPECT_EQ(1, PollWatermark());
}

TEST_F(InputGateTest, WhatIsQueuedEndsAtTheBarrierOfTheCheckpoint) {
  gate_->Push(0, StreamElement::Watermark(1));
  gate_->Push(0, Numbers(1, 3));
  gate_->Push(0, Barrier(8, 0));
  gate_->Push(0, StreamElement::Watermark(2));
  gate_->Push(1, StreamElement::Watermark(11));
  const auto ahead = gate_->QueuedBefore(0, 8);
  ASSERT_EQ(2u, ahead.size());
  EXPECT_EQ(1, ahead[0]->value);
  EXPECT_EQ(3u, ahead[1]->batch->size());
  EXPECT_EQ(1u, gate_->QueuedBefore(1, 8).size());
  EXPECT_EQ(1, PollWatermark()) << "nothing was taken";
}

TEST_F(InputGateTest, RecoveredElementsOfAllChannelsComeBeforeAnythingNew) {
  gate_->Push(0, StreamElement::Watermark(100));
  gate_->Push(1, StreamElement::Watermark(200));
  std::vector<StreamElement> first, second;
  first.push_back(StreamElement::Watermark(1));
  first.push_back(StreamElement::Watermark(2));
  second.push_back(StreamElement::Watermark(3));
  gate_->Recover(1, std::move(first));
  gate_->Recover(1, std::move(second));
  gate_->Push(0, StreamElement::Watermark(101));
  for (const int64_t expected : {1, 2, 3}) {
    int channel = -1;
    EXPECT_EQ(expected, PollWatermark(&channel));
    EXPECT_EQ(1, channel);
  }
  std::multiset<int64_t> rest;
  for (int i = 0; i < 3; ++i) rest.insert(PollWatermark());
  EXPECT_EQ((std::multiset<int64_t>{100, 101, 200}), rest);
  EXPECT_EQ(-1, PollWatermark());
}

}  // namespace
}  // namespace flink::taskmanager
