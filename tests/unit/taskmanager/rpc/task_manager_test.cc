#include "taskmanager/rpc/task_manager.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <future>

#include "common/io/checksum.h"
#include "common/io/file_system.h"
#include "common/io/temp_directory.h"
#include "tests/unit/jobmanager/rpc/recording_listener.h"

namespace flink::taskmanager {
namespace {

using jobmanager::RecordingListener;
using jobmanager::TaskManagerGateway;
using jobmanager::TaskManagerGatewayOptions;
using pb::cluster::v1::ExecutorExited;
using pb::cluster::v1::JobManagerMessage;
using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;
using testing::HasSubstr;
using testing::StartsWith;
using Event = RecordingListener::Event;

const std::string kJob(16, 'j');

size_t CountEntries(const std::string& directory) {
  const auto entries = io::ListDirectory(directory);
  return entries.ok() ? entries->size() : 0;
}

/// Ends when the condition holds or ten seconds have passed.
bool Eventually(const std::function<bool()>& condition) {
  for (int i = 0; i < 1000; ++i) {
    if (condition()) return true;
    usleep(10'000);
  }
  return false;
}

uint64_t ResidentBytes() {
  const std::string text = io::ReadFile("/proc/self/statm").value();
  return std::stoull(text.substr(text.find(' '))) * 4096;
}

bool IsRunning(pid_t pid) { return kill(pid, 0) == 0; }

class TaskManagerTest : public testing::Test {
 protected:
  void SetUp() override {
    temporary_ = io::TempDirectory::Create("tm-test").value();
    ASSERT_TRUE(io::CreateDirectories(temporary_.File("tmp")).ok());
    options_.executor_path = SCRIPTED_EXECUTOR;
    options_.slots = 2;
    options_.tmp_directories = {temporary_.File("tmp")};
    gateway_options_.port = 0;
    library_ = temporary_.File("library.so");
    ASSERT_TRUE(io::WriteFileDurably(library_, "library content").ok());
    digest_ = fmt::format("{:016x}", io::Checksum64("library content"));
  }
  void TearDown() override {
    task_manager_.reset();
    EXPECT_EQ(CountEntries(temporary_.File("tmp")), 0u);
    EXPECT_EQ(waitpid(-1, nullptr, WNOHANG), -1) << "a child is left behind";
    EXPECT_EQ(errno, ECHILD);
  }
  void StartGateway() {
    auto gateway =
        TaskManagerGateway::Start(gateway_options_, &listener_.main.mailbox(), &listener_,
                                  [this](const std::string& digest) -> StatusOr<std::string> {
                                    ++fetches_;
                                    if (digest == digest_) return library_;
                                    if (digest == std::string(16, 'b')) return library_;
                                    return NotFound("no job library {}", digest);
                                  });
    ASSERT_TRUE(gateway.ok()) << gateway.status();
    gateway_ = std::move(gateway).value();
    gateway_options_.port = gateway_->port();
    options_.job_manager_port = gateway_->port();
  }
  void StartTaskManager() {
    auto started = TaskManager::Start(options_, nullptr);
    ASSERT_TRUE(started.ok()) << started.status();
    task_manager_ = std::move(started).value();
    const Event event = listener_.Next();
    ASSERT_EQ(event.kind, Event::kRegistered) << event.reason;
    id_ = event.id;
  }
  void StartBoth() {
    StartGateway();
    StartTaskManager();
  }
  void StartExecutor(const std::vector<std::string>& arguments, int attempt = 1,
                     const std::string& job = kJob, const std::string& digest = "") {
    JobManagerMessage message;
    auto* order = message.mutable_start_executor();
    order->mutable_settings()->set_job_id(job);
    order->mutable_settings()->set_attempt(attempt);
    order->mutable_settings()->set_job_name("test job");
    for (const std::string& a : arguments) order->mutable_settings()->add_arguments(a);
    order->set_library_digest(digest.empty() ? digest_ : digest);
    EXPECT_TRUE(gateway_->Send(id_, std::move(message)));
  }
  void StopExecutor(int attempt, milliseconds grace) {
    JobManagerMessage message;
    message.mutable_stop_executor()->set_job_id(kJob);
    message.mutable_stop_executor()->set_attempt(attempt);
    message.mutable_stop_executor()->set_grace_ms(grace.count());
    EXPECT_TRUE(gateway_->Send(id_, std::move(message)));
  }
  void SendCommand(int attempt, const std::string& payload, bool cancel = false) {
    JobManagerMessage message;
    message.mutable_executor()->set_job_id(kJob);
    message.mutable_executor()->set_attempt(attempt);
    if (cancel) message.mutable_executor()->mutable_cancel();
    if (!cancel) message.mutable_executor()->mutable_coordinator_event()->set_payload(payload);
    EXPECT_TRUE(gateway_->Send(id_, std::move(message)));
  }
  std::string NextReady() {
    const Event event = listener_.Next();
    EXPECT_TRUE(event.message.executor().has_ready())
        << event.reason << event.message.ShortDebugString();
    return event.message.executor().ready().data_address();
  }
  ExecutorExited NextExit() {
    const Event event = listener_.Next();
    EXPECT_TRUE(event.message.has_executor_exited())
        << event.reason << event.message.ShortDebugString().substr(0, 200);
    return event.message.executor_exited();
  }

  io::TempDirectory temporary_;
  std::string library_;
  std::string digest_;
  std::string id_;
  std::atomic<int> fetches_{0};
  TaskManagerOptions options_;
  TaskManagerGatewayOptions gateway_options_;
  RecordingListener listener_;
  std::unique_ptr<TaskManagerGateway> gateway_;
  std::unique_ptr<TaskManager> task_manager_;
};

TEST_F(TaskManagerTest, RegistersWithWhatItOffers) {
  options_.managed_memory_bytes = 123;
  options_.host = "127.0.0.1";
  StartGateway();
  auto started = TaskManager::Start(options_, nullptr);
  ASSERT_TRUE(started.ok()) << started.status();
  task_manager_ = std::move(started).value();
  const Event event = listener_.Next();
  EXPECT_EQ(event.id, task_manager_->id());
  EXPECT_THAT(event.id, StartsWith("127.0.0.1:" + std::to_string(getpid()) + "-"));
  EXPECT_EQ(event.info.slots, 2);
  EXPECT_EQ(event.info.managed_memory_bytes, 123u);
  EXPECT_EQ(event.info.process_id, getpid());
  EXPECT_GT(event.info.cpu_cores, 0);
}

TEST_F(TaskManagerTest, FindsAJobManagerThatStartsLater) {
  StartGateway();
  gateway_.reset();
  auto started = TaskManager::Start(options_, nullptr);
  ASSERT_TRUE(started.ok()) << started.status();
  task_manager_ = std::move(started).value();
  const auto begin = steady_clock::now();
  StartGateway();
  EXPECT_EQ(listener_.Next().kind, Event::kRegistered);
  EXPECT_LT(steady_clock::now() - begin, seconds(5));
}

TEST_F(TaskManagerTest, ItsEndIsNoticedAtOnce) {
  StartBoth();
  const auto begin = steady_clock::now();
  task_manager_.reset();
  EXPECT_EQ(listener_.Next().kind, Event::kLost);
  EXPECT_LT(steady_clock::now() - begin, seconds(5));
}

TEST_F(TaskManagerTest, AnExecutorGetsOnlyItsDescriptorsTheLibraryAndItsOwnSession) {
  StartBoth();
  StartExecutor({"describe"});
  EXPECT_EQ(NextReady(),
            "fds=0,1,2,3 session=1 library=library content tunables=glibc.malloc.hugetlb=1");
}

TEST_F(TaskManagerTest, CommandsAndMessagesAreRelayedInOrder) {
  StartBoth();
  StartExecutor({"echo"});
  // Sent before the executor runs.
  for (int i = 0; i < 100; ++i) SendCommand(1, std::to_string(i));
  SendCommand(2, "for another attempt");
  EXPECT_THAT(NextReady(), StartsWith(temporary_.File("tmp")));
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(listener_.Next().message.executor().coordinator_event().payload(), std::to_string(i));
  }
  SendCommand(1, "", true);
  const ExecutorExited exit = NextExit();
  EXPECT_TRUE(exit.expected());
  EXPECT_EQ(exit.job_id(), kJob);
  EXPECT_EQ(exit.attempt(), 1);
}

TEST_F(TaskManagerTest, AnExitCodeIsReported) {
  StartBoth();
  StartExecutor({"exit", "3"}, 4);
  const ExecutorExited exit = NextExit();
  EXPECT_EQ(exit.exit_code(), 3);
  EXPECT_EQ(exit.attempt(), 4);
  EXPECT_FALSE(exit.expected());
  EXPECT_THAT(exit.message(), HasSubstr("ended with exit code 3"));
}

TEST_F(TaskManagerTest, ASignalIsReportedByNumberAndName) {
  StartBoth();
  StartExecutor({"signal", "11"});
  const ExecutorExited exit = NextExit();
  EXPECT_EQ(exit.signal(), 11);
  EXPECT_FALSE(exit.expected());
  EXPECT_THAT(exit.message(), HasSubstr("was killed by signal 11 (segmentation fault)"));
  EXPECT_THAT(exit.message(), HasSubstr("6a6a6a6a"));
}

TEST_F(TaskManagerTest, AnotherExecutorDoesNotNoticeACrash) {
  StartBoth();
  const std::string other(16, 'k');
  StartExecutor({"echo"}, 1, kJob);
  NextReady();
  StartExecutor({"signal", "6"}, 1, other);
  EXPECT_EQ(NextExit().job_id(), other);
  SendCommand(1, "still there");
  EXPECT_EQ(listener_.Next().message.executor().coordinator_event().payload(), "still there");
}

TEST_F(TaskManagerTest, StopWithoutGraceKillsAtOnceAndRemovesTheWorkDirectory) {
  StartBoth();
  StartExecutor({"echo"});
  const std::string work = NextReady();
  EXPECT_TRUE(io::IsDirectory(work));
  StopExecutor(1, milliseconds(0));
  const ExecutorExited exit = NextExit();
  EXPECT_TRUE(exit.expected());
  EXPECT_EQ(exit.signal(), SIGKILL);
  EXPECT_TRUE(Eventually([&] { return !io::Exists(work); }));
}

TEST_F(TaskManagerTest, StopWithGraceKillsAfterIt) {
  StartBoth();
  StartExecutor({"echo"});
  NextReady();
  const auto begin = steady_clock::now();
  StopExecutor(1, milliseconds(100));
  EXPECT_EQ(NextExit().signal(), SIGKILL);
  EXPECT_GE(steady_clock::now() - begin, milliseconds(100));
}

TEST_F(TaskManagerTest, ANewAttemptKillsTheEarlierOne) {
  StartBoth();
  StartExecutor({"echo"}, 1);
  NextReady();
  StartExecutor({"exit", "0"}, 2);
  ExecutorExited first = NextExit();
  ExecutorExited second = NextExit();
  if (first.attempt() == 2) std::swap(first, second);
  EXPECT_EQ(first.signal(), SIGKILL);
  EXPECT_TRUE(first.expected());
  EXPECT_EQ(second.signal(), 0);
}

TEST_F(TaskManagerTest, ALibraryIsFetchedOnceForSeveralExecutors) {
  StartBoth();
  for (int i = 0; i < 4; ++i)
    StartExecutor({"echo"}, 1, std::string(16, static_cast<char>('a' + i)));
  for (int i = 0; i < 4; ++i) NextReady();
  EXPECT_EQ(fetches_, 1);
}

TEST_F(TaskManagerTest, ALibraryThatIsNotThereIsReported) {
  StartBoth();
  StartExecutor({"echo"}, 1, kJob, std::string(16, 'a'));
  ExecutorExited exit = NextExit();
  EXPECT_FALSE(exit.expected());
  EXPECT_THAT(exit.message(), HasSubstr("could not be started: fetching job library"));
  EXPECT_THAT(exit.message(), HasSubstr("no job library aaaaaaaaaaaaaaaa"));
  StartExecutor({"echo"}, 2, kJob, std::string(16, 'b'));
  EXPECT_THAT(NextExit().message(), HasSubstr("what arrived has the digest " + digest_));
  StartExecutor({"echo"}, 3, kJob, "../../etc/passwd");
  EXPECT_THAT(NextExit().message(), HasSubstr("not the digest of a job library"));
}

TEST_F(TaskManagerTest, ALibraryOfManyChunksArrivesWhole) {
  std::string content;
  for (int i = 0; content.size() < (5u << 20) + 17; ++i) content += std::to_string(i);
  ASSERT_TRUE(io::WriteFileDurably(library_, content).ok());
  digest_ = fmt::format("{:016x}", io::Checksum64(content));
  StartBoth();
  StartExecutor({"describe"});
  EXPECT_THAT(NextReady(), HasSubstr(content));
}

TEST_F(TaskManagerTest, AnExecutorThatSendsNonsenseIsKilled) {
  StartBoth();
  StartExecutor({"garbage"});
  EXPECT_THAT(NextExit().message(), HasSubstr("it sent something that is not a message"));
}

TEST_F(TaskManagerTest, AFloodOfMessagesWaitsInTheExecutorAndLosesNothing) {
  gateway_options_.max_unhandled_bytes = 2 << 20;
  StartBoth();
  std::promise<void> go_on;
  listener_.main.Post([&] { go_on.get_future().wait(); });
  constexpr int kMessages = 300;
  const uint64_t before = ResidentBytes();
  StartExecutor({"flood", std::to_string(kMessages)});
  EXPECT_TRUE(listener_.NothingFor(milliseconds(800)));
  // Both sides are in this process: 300 MiB are said, and what is on the way is bounded.
  EXPECT_LT(ResidentBytes(), before + (150ull << 20));
  go_on.set_value();
  for (int i = 0; i < kMessages; ++i) {
    EXPECT_THAT(NextReady(), StartsWith(std::to_string(i) + "x"));
  }
}

TEST_F(TaskManagerTest, ExecutorsDieWhenNoJobManagerComesBackInTime) {
  gateway_options_.heartbeat_interval = milliseconds(50);
  gateway_options_.heartbeat_timeout = milliseconds(400);
  StartBoth();
  StartExecutor({"pid"});
  const pid_t pid = std::stoi(NextReady());
  const auto begin = steady_clock::now();
  gateway_.reset();
  EXPECT_TRUE(Eventually([&] { return !IsRunning(pid); }));
  EXPECT_GE(steady_clock::now() - begin, milliseconds(400));
  EXPECT_LT(steady_clock::now() - begin, seconds(10));
}

TEST_F(TaskManagerTest, ExecutorsOfAnEarlierSessionDieAtTheNextRegistrationAndSayNothing) {
  StartBoth();
  StartExecutor({"pid"});
  const pid_t pid = std::stoi(NextReady());
  gateway_.reset();
  EXPECT_TRUE(IsRunning(pid));
  StartGateway();
  EXPECT_EQ(listener_.Next().kind, Event::kRegistered);
  EXPECT_TRUE(Eventually([&] { return !IsRunning(pid); }));
  // The same job and attempt may run again.
  StartExecutor({"exit", "5"});
  EXPECT_EQ(NextExit().exit_code(), 5);
  EXPECT_TRUE(listener_.NothingFor(milliseconds(50)));
}

TEST_F(TaskManagerTest, LeavesNoDescriptorBehind) {
  StartBoth();
  const size_t before = CountEntries("/proc/self/fd");
  for (int attempt = 1; attempt <= 10; ++attempt) {
    StartExecutor({"exit", "0"}, attempt);
    NextExit();
  }
  EXPECT_TRUE(Eventually([&] { return CountEntries("/proc/self/fd") <= before; }));
}

TEST_F(TaskManagerTest, RemovesWhatATaskManagerThatIsGoneLeftBehind) {
  const pid_t child = fork();
  if (child == 0) _exit(0);
  waitpid(child, nullptr, 0);
  const std::string left = temporary_.File(fmt::format("tmp/flink-cpp-tm-{}-abcdef", child));
  const std::string alive = temporary_.File(fmt::format("tmp/flink-cpp-tm-{}-abcdef", getppid()));
  ASSERT_TRUE(io::CreateDirectories(left + "/artifacts").ok());
  ASSERT_TRUE(io::CreateDirectories(alive).ok());
  StartBoth();
  EXPECT_FALSE(io::Exists(left));
  EXPECT_TRUE(io::Exists(alive));
  ASSERT_TRUE(io::RemoveAll(alive).ok());
}

/// A real TaskManager process with the scripted executor beside it.
class TaskManagerProcessTest : public TaskManagerTest {
 protected:
  void SetUp() override {
    TaskManagerTest::SetUp();
    StartGateway();
    const std::string bin = temporary_.File("dist/bin");
    ASSERT_TRUE(io::CreateDirectories(bin).ok());
    ASSERT_TRUE(io::CreateDirectories(temporary_.File("dist/conf")).ok());
    // A link would be resolved, and the process looks beside its own binary.
    ASSERT_TRUE(io::CopyFile(TASK_MANAGER_BINARY, bin + "/taskmanager").ok());
    ASSERT_TRUE(io::CopyFile(SCRIPTED_EXECUTOR, bin + "/task-executor").ok());
    chmod((bin + "/taskmanager").c_str(), 0755);
    chmod((bin + "/task-executor").c_str(), 0755);
    ASSERT_TRUE(io::WriteFileDurably(
                    temporary_.File("dist/conf/config.yaml"),
                    fmt::format("jobmanager.rpc.address: localhost\njobmanager.rpc.port: {}\n"
                                "taskmanager.numberOfTaskSlots: 3\nio.tmp.dirs: {}\n",
                                gateway_->port(), temporary_.File("tmp")))
                    .ok());
  }
  /// Returns once the process has said that it is ready.
  void StartProcess() {
    int line[2];
    ASSERT_EQ(pipe(line), 0);
    const std::string binary = temporary_.File("dist/bin/taskmanager");
    pid_ = fork();
    if (pid_ == 0) {
      setenv("FLINK_READY_FD", std::to_string(line[1]).c_str(), 1);
      close(line[0]);
      execl(binary.c_str(), binary.c_str(), "-Dtaskmanager.numberOfTaskSlots=4", nullptr);
      _exit(127);
    }
    close(line[1]);
    char text[16] = {};
    EXPECT_EQ(read(line[0], text, sizeof text), 6);
    EXPECT_STREQ(text, "ready\n");
    close(line[0]);
    const Event event = listener_.Next();
    EXPECT_EQ(event.info.slots, 4);
    id_ = event.id;
  }
  int Wait() {
    int status = 0;
    waitpid(pid_, &status, 0);
    return status;
  }
  pid_t pid_ = -1;
};

TEST_F(TaskManagerProcessTest, AKilledOneIsNoticedWithinATenthOfASecondAndItsExecutorsDie) {
  StartProcess();
  StartExecutor({"pid"});
  const pid_t executor = std::stoi(NextReady());
  const auto begin = steady_clock::now();
  kill(pid_, SIGKILL);
  EXPECT_EQ(listener_.Next().kind, Event::kLost);
  EXPECT_LT(steady_clock::now() - begin, seconds(5));
  Wait();
  EXPECT_TRUE(Eventually([&] { return !IsRunning(executor); }));
  EXPECT_EQ(CountEntries(temporary_.File("tmp")), 1u);
  // The next one cleans up.
  StartProcess();
  EXPECT_EQ(CountEntries(temporary_.File("tmp")), 1u);
  kill(pid_, SIGTERM);
  EXPECT_EQ(Wait(), 0);
}

TEST_F(TaskManagerProcessTest, EndsCleanlyOnSigtermWithExecutorsRunning) {
  StartProcess();
  StartExecutor({"pid"});
  const pid_t executor = std::stoi(NextReady());
  kill(pid_, SIGTERM);
  EXPECT_EQ(Wait(), 0);
  EXPECT_FALSE(IsRunning(executor));
}

TEST_F(TaskManagerProcessTest, AnUnknownArgumentIsAnError) {
  const std::string binary = temporary_.File("dist/bin/taskmanager");
  pid_ = fork();
  if (pid_ == 0) {
    execl(binary.c_str(), binary.c_str(), "--nonsense", nullptr);
    _exit(127);
  }
  EXPECT_EQ(WEXITSTATUS(Wait()), 1);
}

}  // namespace
}  // namespace flink::taskmanager
