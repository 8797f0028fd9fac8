// task-executor: the process that runs the tasks of one job attempt for one TaskManager. Descriptor
// 3 is a socket to it.

#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cstdio>
#include <memory>
#include <string>
#include <string_view>
#include <thread>

#include "common/base/logging.h"
#include "taskmanager/executor/control_channel.h"
#include "taskmanager/executor/loaded_job.h"
#include "taskmanager/executor/task_executor.h"
#include "taskmanager/state/native_state_count.h"

namespace {

constexpr int kControlDescriptor = 3;

}  // namespace

int main(int argc, char** argv) {
  namespace pb = flink::pb::cluster::v1;
  // For "flink savepoint inspect": this is the one program that reads RocksDB's files.
  if (argc == 3 && std::string_view(argv[1]) == "--count-rows") {
    const flink::StatusOr<std::string> counts = flink::taskmanager::CountNativeState(argv[2]);
    if (!counts.ok()) return 1;
    std::puts(counts->c_str());
    return 0;
  }
  const pid_t parent = ::getppid();
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  // If the parent died before the line above, no signal will come.
  if (::getppid() != parent) return 1;
  ::signal(SIGPIPE, SIG_IGN);
  flink::InitLogging("task-executor");

  std::string bytes;
  if (!flink::taskmanager::ReadControlFrame(kControlDescriptor, &bytes)) {
    std::fprintf(stderr,
                 "task-executor is started by a taskmanager, with a socket as descriptor 3\n");
    return 1;
  }
  pb::ExecutorSettings settings;
  if (!settings.ParseFromString(bytes)) {
    LOG_ERROR("the TaskManager sent settings that cannot be read: is it of the same release?");
    return 1;
  }
  LOG_INFO("task executor {} for job {} attempt {}", settings.executor_id(), settings.job_name(),
           settings.attempt());

  auto channel = std::make_unique<flink::taskmanager::DescriptorControlChannel>(kControlDescriptor);
  flink::taskmanager::TaskExecutor executor(settings, flink::taskmanager::LoadJobLibrary,
                                            std::move(channel));
  std::thread reader([&executor] {
    std::string frame;
    while (flink::taskmanager::ReadControlFrame(kControlDescriptor, &frame)) {
      pb::ExecutorCommand command;
      if (!command.ParseFromString(frame)) break;
      executor.Deliver(std::move(command));
    }
    // The TaskManager has gone: whatever this process still did would be done by an orphan.
    ::_exit(1);
  });
  executor.Start();
  executor.WaitUntilEnded();
  executor.Shutdown();
  spdlog::default_logger()->flush();
  // The reader is in a read, and user code may have left threads behind.
  ::_exit(0);
}
