#include "common/concurrency/mailbox.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <thread>
#include <vector>

#include "common/base/clock.h"
#include "common/concurrency/worker_pool.h"

namespace flink {
namespace {

using std::chrono::milliseconds;
using SteadyClock = std::chrono::steady_clock;

TEST(Mailbox, RunsMailsInOrderOfPosting) {
  Mailbox mailbox;
  std::vector<int> seen;
  EXPECT_FALSE(mailbox.HasMail());
  EXPECT_FALSE(mailbox.TryRunAll());
  for (int i = 0; i < 3; ++i) mailbox.Post([&seen, i] { seen.push_back(i); });
  EXPECT_TRUE(mailbox.HasMail());
  EXPECT_TRUE(mailbox.RunOne());
  EXPECT_TRUE(mailbox.TryRunAll());
  EXPECT_FALSE(mailbox.RunOne());
  EXPECT_EQ(seen, (std::vector<int>{0, 1, 2}));
}

TEST(Mailbox, TakesMoveOnlyMails) {
  Mailbox mailbox;
  auto value = std::make_unique<int>(5);
  int seen = 0;
  mailbox.Post([value = std::move(value), &seen] { seen = *value; });
  mailbox.TryRunAll();
  EXPECT_EQ(seen, 5);
}

TEST(Mailbox, MailsPostedByMailsRunInTheNextRound) {
  Mailbox mailbox;
  int seen = 0;
  mailbox.Post([&] {
    ++seen;
    mailbox.Post([&] { ++seen; });
  });
  mailbox.TryRunAll();
  EXPECT_EQ(seen, 1);
  EXPECT_TRUE(mailbox.HasMail());
  mailbox.TryRunAll();
  EXPECT_EQ(seen, 2);
}

TEST(Mailbox, TimersRunByTimeThenByOrder) {
  Mailbox mailbox;
  std::vector<int> seen;
  const auto past = SteadyClock::now() - milliseconds(10);
  mailbox.PostAt(past + milliseconds(1), [&seen] { seen.push_back(3); });
  mailbox.PostAt(past, [&seen] { seen.push_back(1); });
  mailbox.PostAt(past, [&seen] { seen.push_back(2); });
  mailbox.PostAt(SteadyClock::now() + std::chrono::hours(1), [&seen] { seen.push_back(4); });
  EXPECT_EQ(mailbox.NextTimer(), past);
  mailbox.TryRunAll();
  EXPECT_EQ(seen, (std::vector<int>{1, 2, 3}));
  EXPECT_FALSE(mailbox.TryRunAll());
}

TEST(Mailbox, CancelledTimersDoNotRun) {
  Mailbox mailbox;
  bool ran = false;
  const auto id = mailbox.PostAt(SteadyClock::now(), [&ran] { ran = true; });
  EXPECT_TRUE(mailbox.CancelTimer(id));
  EXPECT_FALSE(mailbox.CancelTimer(id));
  mailbox.TryRunAll();
  EXPECT_FALSE(ran);
}

TEST(Mailbox, WaitsForMailsTimersAndDeadlines) {
  Mailbox mailbox;
  const auto start = SteadyClock::now();
  EXPECT_TRUE(mailbox.WaitAndRun(start + milliseconds(20)));
  EXPECT_GE(SteadyClock::now() - start, milliseconds(20));
  int seen = 0;
  mailbox.PostAfter(milliseconds(20), [&seen] { ++seen; });
  EXPECT_TRUE(mailbox.RunUntil([&seen] { return seen == 1; }));
  EXPECT_GE(SteadyClock::now() - start, milliseconds(40));
  std::thread poster([&mailbox, &seen] { mailbox.Post([&seen] { ++seen; }); });
  EXPECT_TRUE(mailbox.RunUntil([&seen] { return seen == 2; }));
  poster.join();
  EXPECT_FALSE(mailbox.RunUntil([] { return false; }, SteadyClock::now() + milliseconds(5)));
}

TEST(Mailbox, AfterCloseAcceptedMailsRunAndTimersDoNot) {
  Mailbox mailbox;
  int seen = 0;
  mailbox.Post([&seen] { ++seen; });
  mailbox.PostAfter(milliseconds(0), [&seen] { seen += 100; });
  mailbox.Close();
  EXPECT_TRUE(mailbox.closed());
  EXPECT_FALSE(mailbox.Post([&seen] { seen += 10; }));
  EXPECT_EQ(mailbox.PostAfter(milliseconds(0), [] {}), 0u);
  mailbox.RunUntilClosed();
  EXPECT_EQ(seen, 1);
  EXPECT_FALSE(mailbox.WaitAndRun());
}

TEST(MailboxThread, RunsEverythingOfManyPostersInEachOnesOrder) {
  constexpr int kPosters = 4;
  constexpr int kMails = 5000;
  std::vector<std::vector<int>> seen(kPosters);
  {
    MailboxThread owner("owner-of-vectors");
    std::vector<std::thread> posters;
    posters.reserve(kPosters);
    for (int p = 0; p < kPosters; ++p) {
      posters.emplace_back([&owner, &seen, p] {
        for (int i = 0; i < kMails; ++i) {
          owner.Post([&owner, &seen, p, i] {
            EXPECT_TRUE(owner.IsCurrentThread());
            seen[static_cast<size_t>(p)].push_back(i);
          });
        }
      });
    }
    for (std::thread& poster : posters) poster.join();
    EXPECT_FALSE(owner.IsCurrentThread());
  }
  for (const auto& mails : seen) {
    ASSERT_EQ(mails.size(), static_cast<size_t>(kMails));
    for (int i = 0; i < kMails; ++i) ASSERT_EQ(mails[static_cast<size_t>(i)], i);
  }
}

TEST(MailboxThread, ClosesFromWithin) {
  MailboxThread owner("closes-itself");
  owner.Post([&owner] { owner.mailbox().Close(); });
  owner.CloseAndJoin();
  EXPECT_FALSE(owner.Post([] {}));
}

TEST(WorkerPool, RunsWhatItAcceptedBeforeShutdown) {
  std::atomic<int> ran{0};
  WorkerPool pool("worker", 3);
  for (int i = 0; i < 100; ++i) {
    EXPECT_TRUE(pool.Submit([&ran] { ++ran; }));
  }
  pool.Shutdown();
  EXPECT_EQ(ran, 100);
  EXPECT_FALSE(pool.Submit([&ran] { ++ran; }));
  pool.Shutdown();
}

TEST(WorkerPool, StandsBackWhenToldTo) {
  std::promise<int> priority;
  WorkerPool pool("nice", 1, 9);
  ASSERT_TRUE(pool.Submit([&] { priority.set_value(getpriority(PRIO_PROCESS, 0)); }));
  const int here = getpriority(PRIO_PROCESS, 0);
  EXPECT_EQ(priority.get_future().get(), std::max(here, 9));
}

TEST(Clock, ManualTimeMovesWhenTold) {
  ManualClock clock;
  clock.SetWallMs(1000);
  const auto before = clock.NowSteady();
  clock.Advance(milliseconds(5));
  EXPECT_EQ(clock.NowMs(), 1005);
  EXPECT_EQ(clock.NowSteady() - before, milliseconds(5));
  EXPECT_GT(Clock::System().NowMs(), 1600000000000);
}

}  // namespace
}  // namespace flink
