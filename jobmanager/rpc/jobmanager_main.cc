// The JobManager process: jobmanager --configDir <directory> [-Dkey=value ...]
#include <future>
#include <memory>
#include <string>
#include <vector>

#include "common/base/logging.h"
#include "common/concurrency/mailbox.h"
#include "common/config/options_without_effect.h"
#include "jobmanager/checkpoint/job_store.h"
#include "jobmanager/dispatcher/dispatcher.h"
#include "jobmanager/rest/rest_server.h"
#include "jobmanager/rpc/task_manager_gateway.h"
#include "rpc/server_process.h"

namespace flink::jobmanager {
namespace {

/// Runs `work` on the main thread and waits for it.
void RunOnMain(MailboxThread& main, Mail work) {
  std::promise<void> done;
  main.Post([&] {
    work();
    done.set_value();
  });
  done.get_future().wait();
}

Status Run(const std::vector<std::string>& arguments) {
  ASSIGN_OR_RETURN(const Configuration configuration, LoadServerConfiguration(arguments));
  LogOptionsWithoutEffect(configuration);
  ASSIGN_OR_RETURN(TaskManagerGatewayOptions gateway_options,
                   TaskManagerGatewayOptions::FromConfiguration(configuration));
  MailboxThread main("jobmanager");
  InMemoryJobStore store;
  Dispatcher::Options options;
  options.configuration = configuration;
  options.version = FLINK_VERSION;
  Dispatcher::Deps deps;
  deps.main = &main.mailbox();
  deps.store = &store;
  ASSIGN_OR_RETURN(std::unique_ptr<Dispatcher> dispatcher,
                   Dispatcher::Create(std::move(options), deps));
  auto gateway = TaskManagerGateway::Start(std::move(gateway_options), &main.mailbox(),
                                           dispatcher.get(), dispatcher->Artifacts());
  StatusOr<std::unique_ptr<RestServer>> rest = nullptr;
  if (!gateway.ok()) {
    rest = gateway.status();
  } else {
    RunOnMain(main, [&] { dispatcher->Connect(gateway->get()); });
    rest = RestServer::Start(configuration, dispatcher.get());
  }
  if (rest.ok()) {
    LOG_INFO("The JobManager serves clients on port {} and TaskManagers on port {}",
             (*rest)->port(), (*gateway)->port());
    SignalReady();
    const int signal = WaitForTermination();
    LOG_INFO("The JobManager ends (signal {})", signal);
    rest->reset();
    RunOnMain(main, [&] { dispatcher->Shutdown(); });
  }
  if (gateway.ok()) (*gateway)->Shutdown();
  main.CloseAndJoin();
  dispatcher.reset();
  return rest.status();
}

}  // namespace
}  // namespace flink::jobmanager

int main(int argc, char** argv) {
  flink::BlockTerminationSignals();
  flink::TakeReadyDescriptor();
  flink::InitLogging("jobmanager");
  const flink::Status status =
      flink::jobmanager::Run(std::vector<std::string>(argv + 1, argv + argc));
  if (status.ok()) return 0;
  LOG_ERROR("The JobManager cannot start: {}", flink::Message(status));
  return 1;
}
