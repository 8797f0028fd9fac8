#include "taskmanager/task/watermark_valve.h"

#include <gtest/gtest.h>

namespace flink::taskmanager {
namespace {

class WatermarkValveTest : public testing::Test {
 protected:
  WatermarkValveTest() {
    valve_.AddChannel();
    valve_.AddChannel();
  }
  WatermarkValve valve_;
};

TEST_F(WatermarkValveTest, TheInputHasTheLeastWatermarkOfItsChannels) {
  EXPECT_FALSE(valve_.OnWatermark(0, 10).watermark_ms);
  EXPECT_EQ(5, valve_.OnWatermark(1, 5).watermark_ms);
  EXPECT_EQ(10, valve_.OnWatermark(1, 12).watermark_ms);
  EXPECT_FALSE(valve_.OnWatermark(1, 13).watermark_ms);
}

TEST_F(WatermarkValveTest, AWatermarkNeverGoesBack) {
  valve_.OnWatermark(0, 10);
  valve_.OnWatermark(1, 10);
  EXPECT_FALSE(valve_.OnWatermark(1, 7).watermark_ms);
  EXPECT_EQ(10, valve_.watermark_ms());
}

TEST_F(WatermarkValveTest, AnIdleChannelDoesNotHoldTheOthersBack) {
  valve_.OnWatermark(0, 10);
  EXPECT_EQ(10, valve_.OnIdle(1, true).watermark_ms);
  // Back with an older watermark, it holds from then on but does not turn time back.
  EXPECT_FALSE(valve_.OnIdle(1, false).watermark_ms);
  EXPECT_FALSE(valve_.OnWatermark(0, 20).watermark_ms);
  EXPECT_EQ(15, valve_.OnWatermark(1, 15).watermark_ms);
}

TEST_F(WatermarkValveTest, TheInputIsIdleWhenAllChannelsAre) {
  EXPECT_FALSE(valve_.OnIdle(0, true).became_idle);
  EXPECT_TRUE(valve_.OnIdle(1, true).became_idle);
  EXPECT_TRUE(valve_.OnIdle(0, false).became_active);
}

TEST_F(WatermarkValveTest, AnEndedChannelDoesNotCount) {
  valve_.OnWatermark(1, 5);
  valve_.OnWatermark(0, kMaxWatermark);
  EXPECT_FALSE(valve_.OnEndOfData(0).ended);
  EXPECT_EQ(5, valve_.watermark_ms());
  EXPECT_EQ(8, valve_.OnWatermark(1, 8).watermark_ms);
}

TEST_F(WatermarkValveTest, AnIdleChannelKeepsTheEndOfAnotherFromEndingTime) {
  valve_.OnWatermark(0, 10);
  valve_.OnIdle(1, true);
  valve_.OnWatermark(0, 11);
  EXPECT_TRUE(valve_.OnEndOfData(0).became_idle);
  EXPECT_EQ(11, valve_.watermark_ms());
}

TEST_F(WatermarkValveTest, AllChannelsEndedIsTheMaximumThenTheEnd) {
  valve_.OnEndOfData(0);
  const WatermarkValve::Change change = valve_.OnEndOfData(1);
  EXPECT_EQ(kMaxWatermark, change.watermark_ms);
  EXPECT_TRUE(change.ended);
  EXPECT_TRUE(valve_.ended());
}

}  // namespace
}  // namespace flink::taskmanager
