#include "cli/pause.h"

#include <gtest/gtest.h>
#include <signal.h>

namespace flink::cli {
namespace {

TEST(InterruptGuardTest, ASignalInterruptsUnlessItWasIgnoredBefore) {
  {
    const InterruptGuard guard;
    raise(SIGINT);
    EXPECT_TRUE(guard.interrupted());
  }
  // As a shell without job control does to what it starts in the background.
  const auto before = signal(SIGINT, SIG_IGN);
  {
    const InterruptGuard guard;
    raise(SIGINT);
    ASSERT_FALSE(guard.interrupted());
    raise(SIGTERM);
    EXPECT_TRUE(guard.interrupted());
  }
  EXPECT_EQ(signal(SIGINT, before), SIG_IGN);
}

}  // namespace
}  // namespace flink::cli
