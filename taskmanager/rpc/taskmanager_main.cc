// The TaskManager process: taskmanager --configDir <directory> [-Dkey=value ...]
#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "common/base/logging.h"
#include "rpc/server_process.h"
#include "taskmanager/rpc/task_manager.h"

namespace flink::taskmanager {
namespace {

Status Run(const std::vector<std::string>& arguments) {
  ASSIGN_OR_RETURN(const Configuration configuration, LoadServerConfiguration(arguments));
  ASSIGN_OR_RETURN(TaskManagerOptions options,
                   TaskManagerOptions::FromConfiguration(configuration));
  ASSIGN_OR_RETURN(const std::unique_ptr<TaskManager> task_manager,
                   TaskManager::Start(std::move(options), [] { SignalReady(); }));
  const int signal = WaitForTermination();
  LOG_INFO("TaskManager {} ends (signal {})", task_manager->id(), signal);
  return OkStatus();
}

}  // namespace
}  // namespace flink::taskmanager

int main(int argc, char** argv) {
  flink::BlockTerminationSignals();
  flink::TakeReadyDescriptor();
  flink::InitLogging("taskmanager");
  const flink::Status status =
      flink::taskmanager::Run(std::vector<std::string>(argv + 1, argv + argc));
  if (status.ok()) return 0;
  LOG_ERROR("The TaskManager cannot start: {}", flink::Message(status));
  return 1;
}
