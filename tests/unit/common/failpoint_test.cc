#include "common/base/failpoint.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <thread>

#include "common/io/file_system.h"
#include "common/io/temp_directory.h"

namespace flink {
namespace {

namespace fs = std::filesystem;

constexpr char kBodyVariable[] = "FAILPOINT_TEST_BODY";

int FailAtTheThirdHitAboutX() {
  int failed = 0;
  const auto expect = [&](const char* name, const char* detail, const char* message) {
    failed += Message(Failpoint(name, detail)) != message ? 1 : 0;
  };
  expect("point", "/dir/x", "");
  expect("point", "/dir/y", "");
  expect("other", "/dir/x", "");
  expect("point", "/dir/x", "");
  expect("point", "/dir/x", "failpoint point");
  expect("point", "/dir/x", "");
  return failed;
}

int Pass() {
  PassFailpoint("point");
  return 0;
}

// The variable is read when a process starts: what uses failpoints is this program started anew,
// which ends here.
[[maybe_unused]] const bool is_test_process = [] {
  const char* body = std::getenv(kBodyVariable);
  if (body != nullptr) _exit(*body == 'F' ? FailAtTheThirdHitAboutX() : Pass());
  return true;
}();

class FailpointTest : public ::testing::Test {
 protected:
  void SetUp() override {
    auto created = io::TempDirectory::Create("failpoint");
    ASSERT_TRUE(created.ok()) << Message(created.status());
    directory_ = *std::move(created);
    program_ = fs::read_symlink("/proc/self/exe").filename().string();
    fs::create_directories(directory_.File(program_));
  }
  std::string File(const std::string& name) const { return directory_.File(program_ + "/" + name); }
  void Arm(const std::string& name, const std::string& text) const {
    std::ofstream(File(name)) << text;
  }
  /// Runs "Fail..." or "Pass" in a process of its own; the status of waitpid.
  int RunBody(const char* body) const {
    const pid_t child = fork();
    if (child == 0) {
      setenv("FLINK_FAILPOINTS", directory_.path().c_str(), 1);
      setenv(kBodyVariable, body, 1);
      execl("/proc/self/exe", program_.c_str(), static_cast<char*>(nullptr));
      _exit(127);
    }
    int status = 0;
    waitpid(child, &status, 0);
    return status;
  }

  io::TempDirectory directory_;
  std::string program_;
};

TEST_F(FailpointTest, IsOffWithoutTheVariable) {
  Arm("point", "error");
  EXPECT_FALSE(FailpointsOn());
  EXPECT_TRUE(Failpoint("point").ok());
  EXPECT_TRUE(fs::exists(File("point")));
}

TEST_F(FailpointTest, ErrorComesAtTheHitAndForTheDetailAskedForAndOnce) {
  Arm("point", "error 3 /dir /x");
  const int status = RunBody("Fail");
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
  EXPECT_FALSE(fs::exists(File("point")));
  EXPECT_TRUE(fs::exists(File("point.hit")));
}

TEST_F(FailpointTest, KillEndsTheProcessBySigkill) {
  Arm("point", "kill");
  const int status = RunBody("Pass");
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << status;
  EXPECT_TRUE(fs::exists(File("point.hit")));
}

TEST_F(FailpointTest, PauseHoldsUntilTheFileIsGone) {
  Arm("point", "pause");
  bool released = false;
  std::thread releaser([&] {
    while (!fs::exists(File("point.hit"))) std::this_thread::yield();
    int pid = 0;
    std::ifstream(File("point.hit")) >> pid;
    EXPECT_EQ(kill(pid, 0), 0) << "the held process has ended";
    released = true;
    fs::remove(File("point.hit"));
  });
  const int status = RunBody("Pass");
  releaser.join();
  EXPECT_TRUE(released);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

}  // namespace
}  // namespace flink
