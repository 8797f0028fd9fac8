#include "common/snapshot/snapshot_claim.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <optional>
#include <thread>
#include <vector>

#include "common/io/file_system.h"
#include "common/io/temp_directory.h"

namespace flink::snapshot {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

JobId Job(uint8_t fill) {
  std::array<uint8_t, 16> bytes{};
  bytes.fill(fill);
  return JobId(bytes);
}

class SnapshotClaimTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto made = io::TempDirectory::Create("claim");
    ASSERT_TRUE(made.ok());
    directory_.emplace(*std::move(made));
  }
  const std::string& dir() const { return directory_->path(); }
  std::string metadata() const { return directory_->File(kMetadataFileName); }
  /// The claim of another process of this machine that is alive, made by it.
  void ClaimFromAnotherProcess(pid_t* child) const {
    int ready[2];
    ASSERT_EQ(pipe(ready), 0);
    *child = fork();
    ASSERT_GE(*child, 0);
    if (*child == 0) {
      const auto claimed = ClaimSnapshot(metadata(), Job(1), "theirs");
      const char answer = claimed.ok() ? '1' : '0';
      if (write(ready[1], &answer, 1) != 1) _exit(1);
      pause();
      _exit(0);
    }
    char answer = 0;
    ASSERT_EQ(read(ready[0], &answer, 1), 1);
    ASSERT_EQ(answer, '1');
    close(ready[0]);
    close(ready[1]);
  }
  static void End(pid_t child) {
    kill(child, SIGKILL);
    waitpid(child, nullptr, 0);
  }
  std::optional<io::TempDirectory> directory_;
};

TEST_F(SnapshotClaimTest, AClaimStandsUntilItsLockIsGivenUp) {
  EXPECT_FALSE(FindClaim(dir()).value().has_value());
  auto lock = ClaimSnapshot(metadata(), Job(1), "Word count");
  ASSERT_TRUE(lock.ok()) << Message(lock.status());
  const auto claim = FindClaim(dir()).value();
  ASSERT_TRUE(claim.has_value());
  EXPECT_EQ(claim->job, Job(1));
  EXPECT_EQ(claim->job_name, "Word count");
  EXPECT_EQ(claim->process, getpid());
  EXPECT_EQ(ClaimSnapshot(metadata(), Job(2), "second").status().code(),
            absl::StatusCode::kAlreadyExists);
  { const io::FileLock given_up = *std::move(lock); }
  EXPECT_FALSE(FindClaim(dir()).value().has_value());
  const auto second = ClaimSnapshot(metadata(), Job(2), "second");
  ASSERT_TRUE(second.ok()) << Message(second.status());
  // Late, of the job that had it before.
  ASSERT_TRUE(RemoveClaim(dir(), Job(1)).ok());
  EXPECT_EQ(FindClaim(dir()).value()->job, Job(2));
  ASSERT_TRUE(RemoveClaim(dir(), Job(2)).ok());
  EXPECT_EQ(io::ListDirectory(dir()).value().size(), 0u);
}

TEST_F(SnapshotClaimTest, TheClaimOfALivingProcessStandsAndSaysWhoHoldsIt) {
  pid_t child = 0;
  ClaimFromAnotherProcess(&child);
  const Status refused = ClaimSnapshot(metadata(), Job(2), "ours").status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_THAT(Message(refused),
              AllOf(HasSubstr(dir()), HasSubstr("was claimed by the job " + Job(1).ToHex()),
                    HasSubstr("\"theirs\""), HasSubstr("process id " + std::to_string(child)),
                    HasSubstr("Cancel that job first"), HasSubstr(kClaimFileName)));
  End(child);
}

TEST_F(SnapshotClaimTest, TheClaimOfAProcessThatDiedIsReplaced) {
  pid_t child = 0;
  ClaimFromAnotherProcess(&child);
  // Also told where the file must not be written.
  ASSERT_EQ(chmod(directory_->File(kClaimFileName).c_str(), 0444), 0);
  End(child);
  EXPECT_TRUE(io::Exists(directory_->File(kClaimFileName)));
  EXPECT_FALSE(FindClaim(dir()).value().has_value());
  const auto lock = ClaimSnapshot(metadata(), Job(2), "ours");
  ASSERT_TRUE(lock.ok()) << Message(lock.status());
  EXPECT_EQ(FindClaim(dir()).value()->job, Job(2));
}

TEST_F(SnapshotClaimTest, OfManyThatReplaceAStaleClaimOneGetsIt) {
  constexpr uint8_t kClaimants = 6;
  for (int round = 0; round < 200; ++round) {
    { const auto stale = ClaimSnapshot(metadata(), Job(100), "gone").value(); }
    std::vector<std::optional<io::FileLock>> locks(kClaimants);
    std::vector<std::thread> threads;
    threads.emplace_back([this] { EXPECT_TRUE(RemoveClaim(dir(), Job(100)).ok()); });
    for (uint8_t i = 0; i < kClaimants; ++i) {
      threads.emplace_back([this, &locks, i] {
        auto claimed = ClaimSnapshot(metadata(), Job(i), "claimant");
        if (claimed.ok()) locks[i] = *std::move(claimed);
      });
    }
    for (std::thread& thread : threads) thread.join();
    const auto winner =
        std::find_if(locks.begin(), locks.end(), [](const auto& lock) { return lock.has_value(); });
    ASSERT_NE(winner, locks.end()) << round;
    ASSERT_EQ(
        std::count_if(locks.begin(), locks.end(), [](const auto& l) { return l.has_value(); }), 1)
        << round;
    const auto claim = FindClaim(dir());
    ASSERT_TRUE(claim.ok() && claim->has_value()) << round;
    ASSERT_EQ((*claim)->job, Job(static_cast<uint8_t>(winner - locks.begin()))) << round;
  }
}

TEST_F(SnapshotClaimTest, ALockedFileThatIsNoClaimIsNamed) {
  for (const char* text : {"", "[]", "{}", "{\"job_id\":\"zz\"}"}) {
    const std::string path = directory_->File(kClaimFileName);
    ASSERT_TRUE(io::WriteFileDurably(path, text).ok());
    const auto lock = io::FileLock::Share(path);
    ASSERT_TRUE(lock.ok());
    const auto claim = FindClaim(dir());
    ASSERT_FALSE(claim.ok()) << text;
    EXPECT_THAT(Message(claim.status()), HasSubstr(path));
    EXPECT_FALSE(ClaimSnapshot(metadata(), Job(1), "a job").ok());
  }
}

TEST_F(SnapshotClaimTest, ATurnThatSomebodyKeepsIsAnErrorThatNamesTheDirectory) {
  const auto backup = io::FileLock::OfDirectory(dir());
  EXPECT_THAT(Message(TakeTurn(dir(), std::chrono::milliseconds(5)).status()),
              HasSubstr(dir() + " has been locked by another process"));
}

TEST_F(SnapshotClaimTest, AJobDeletesWhatItHasClaimedAndNobodyElseDoes) {
  const auto claim = ClaimSnapshot(metadata(), Job(1), "owner").value();
  EXPECT_TRUE(TakeTurnToDelete(metadata(), Job(1)).ok());
  EXPECT_THAT(Message(TakeTurnToDelete(metadata(), Job(2)).status()), HasSubstr("claimed by"));
  EXPECT_THAT(Message(TakeTurnToDelete(metadata()).status()), HasSubstr("claimed by"));
}

TEST_F(SnapshotClaimTest, ADirectoryThatCannotBeWrittenCannotBeClaimed) {
  EXPECT_EQ(Message(ClaimSnapshot(directory_->File("absent/_metadata"), Job(1), "a job").status()),
            "cannot create " + directory_->File("absent/_flink_cpp_claim.json") +
                ": No such file or directory");
}

}  // namespace
}  // namespace flink::snapshot
