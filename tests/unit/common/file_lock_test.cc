#include "common/io/file_lock.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <future>
#include <optional>

#include "common/io/file_system.h"
#include "common/io/temp_directory.h"

namespace flink::io {
namespace {

constexpr std::chrono::milliseconds kShort{20};

class FileLockTest : public ::testing::Test {
 protected:
  TempDirectory directory_ = TempDirectory::Create("file-lock").value();
};

TEST_F(FileLockTest, ALockThatIsNotGivenUpIsNotWaitedForWithoutLimit) {
  const FileLock first = FileLock::OfDirectory(directory_.path()).value();
  const Status second = FileLock::OfDirectory(directory_.path(), kShort).status();
  EXPECT_TRUE(absl::IsAlreadyExists(second));
  EXPECT_EQ(Message(second), directory_.path() + " has been locked by another process for 0.02 s");
}

TEST_F(FileLockTest, AnExclusiveLockWaitsForNobody) {
  const std::string path = directory_.File("lock");
  const FileLock shared = FileLock::Share(path).value();
  EXPECT_TRUE(FileLock::Share(path).ok());
  EXPECT_TRUE(absl::IsAlreadyExists(FileLock::Exclusive(path).status()));
}

/// Whoever removes a lock that nobody has does it under the lock.
TEST_F(FileLockTest, ALockIsOfTheFileThatBearsTheName) {
  const std::string path = directory_.File("lock");
  std::optional<FileLock> remover = FileLock::Exclusive(path).value();
  auto shared = std::async(std::launch::async, [&] { return FileLock::Share(path); });
  EXPECT_EQ(shared.wait_for(kShort), std::future_status::timeout);
  ASSERT_TRUE(RemoveFile(path).ok());
  remover.reset();
  ASSERT_TRUE(shared.get().ok());
  EXPECT_TRUE(Exists(path));
}

}  // namespace
}  // namespace flink::io
