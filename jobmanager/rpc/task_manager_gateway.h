#pragma once

/// TaskManagerGateway: the JobManager's side of the line to its TaskManagers. A gRPC server that
/// turns streams into calls on one listener, all of them on the listener's mailbox.

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "common/base/status.h"
#include "common/concurrency/mailbox.h"
#include "common/config/configuration.h"
#include "flink/pb/cluster/v1/cluster.pb.h"

namespace flink::jobmanager {

/// What a TaskManager says of itself when it registers.
struct TaskManagerInfo {
  std::string id;    // "<host>:<pid>-<6 hex>", or taskmanager.resource-id
  std::string host;  // under which other TaskManagers reach it
  int slots = 0;
  int64_t process_id = 0;
  uint64_t managed_memory_bytes = 0;  // of all slots together
  uint64_t physical_memory_bytes = 0;
  int cpu_cores = 0;
  int data_port = 0;  // 0: every executor picks its own
  std::string version;
};

/// Implemented by the dispatcher. Every call runs on the mailbox given to the gateway, so never two
/// at a time. For one id the calls are: OnRegistered, any number of OnMessage, OnLost; then perhaps
/// OnRegistered again. OnLost comes exactly once per OnRegistered (except after Shutdown), and
/// nothing of a session comes after it.
class TaskManagerListener {
 public:
  virtual ~TaskManagerListener() = default;
  /// The TaskManager runs no executor of an earlier session: it kills them when its registration is
  /// accepted.
  virtual void OnRegistered(const TaskManagerInfo& info) = 0;
  /// ExecutorExited or ExecutorMessage; registrations and heartbeats stay in the gateway.
  virtual void OnMessage(const std::string& task_manager_id,
                         pb::cluster::v1::TaskManagerMessage message) = 0;
  /// Its executors must be taken for dead. `reason` is a readable sentence that names the
  /// TaskManager.
  virtual void OnLost(const std::string& task_manager_id, const std::string& reason) = 0;
};

/// How the dispatcher reaches TaskManagers; an interface so that tests put a recorder in its place.
class TaskManagerDirectory {
 public:
  virtual ~TaskManagerDirectory() = default;
  /// Queues a message; never blocks. Thread-safe; messages of one thread to one TaskManager keep
  /// their order. Reaches only a session whose OnRegistered has been called and that is not yet
  /// lost; false (and the message is dropped) otherwise. True is no promise of delivery: OnLost
  /// tells when it failed.
  virtual bool Send(const std::string& task_manager_id,
                    pb::cluster::v1::JobManagerMessage message) = 0;
  /// Ends the session as if its stream had ended: OnLost follows with this reason. The TaskManager
  /// may register again.
  virtual void Disconnect(const std::string& task_manager_id, const std::string& reason) = 0;
};

/// Digest of a job library -> path of the file that holds it, which must exist while TaskManagers
/// fetch it. Called on a thread of the gateway; must be thread-safe.
using ArtifactProvider = std::function<StatusOr<std::string>(const std::string& digest)>;

struct TaskManagerGatewayOptions {
  /// jobmanager.bind-host, jobmanager.rpc.port, heartbeat.interval, heartbeat.timeout. An error
  /// names the key.
  static StatusOr<TaskManagerGatewayOptions> FromConfiguration(const Configuration& configuration);

  std::string bind_host = "localhost";
  int port = 6123;  // 0: any free one
  std::chrono::milliseconds heartbeat_interval{10'000};
  std::chrono::milliseconds heartbeat_timeout{50'000};
  /// Names this life of the JobManager; empty: a random one.
  std::string leader_session_id;
  /// A session whose messages pile up beyond this is ended. Bytes.
  uint64_t max_queued_bytes = 512ull << 20;
  /// Beyond this much that the listener has not yet handled, nothing more is read of that
  /// TaskManager. Bytes.
  uint64_t max_unhandled_bytes = 64ull << 20;
  /// Where the credentials of the listener come from.
  Configuration configuration;
};

/// Thread-safe. Does not own the listener or its mailbox; both must outlive Shutdown.
class TaskManagerGateway : public TaskManagerDirectory {
 public:
  /// Begins to serve. A port that is taken gives kUnavailable with a sentence that names port and
  /// key.
  static StatusOr<std::unique_ptr<TaskManagerGateway>> Start(TaskManagerGatewayOptions options,
                                                             Mailbox* mailbox,
                                                             TaskManagerListener* listener,
                                                             ArtifactProvider artifacts);
  /// Same as Shutdown.
  ~TaskManagerGateway() override;

  bool Send(const std::string& task_manager_id,
            pb::cluster::v1::JobManagerMessage message) override;
  void Disconnect(const std::string& task_manager_id, const std::string& reason) override;

  /// The port it listens on.
  int port() const;
  const std::string& leader_session_id() const;

  /// Lets queued messages out (half a second at most), ends every stream and waits for the server's
  /// calls. Called on the mailbox's thread (or when that has stopped) the listener hears nothing
  /// more, also not from mails that are already in its mailbox. Repeatable.
  void Shutdown();

 private:
  class State;
  class Service;
  explicit TaskManagerGateway(std::shared_ptr<State> state);

  std::shared_ptr<State> state_;
  std::unique_ptr<Service> service_;
};

}  // namespace flink::jobmanager
