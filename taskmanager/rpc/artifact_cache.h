#pragma once

/// ArtifactCache: job libraries of this TaskManager, fetched from the JobManager once each.

#include <grpcpp/grpcpp.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "common/concurrency/mailbox.h"
#include "common/concurrency/worker_pool.h"

namespace flink::taskmanager {

/// Belongs to the thread of `main`: all calls and callbacks are there, except Cancel (any thread).
/// Fetching is done by `workers`. A digest is the XXH3 of the content in 16 hexadecimal digits;
/// what arrives is checked against it.
class ArtifactCache {
 public:
  /// Files are <directory>/<digest>.so. `main`, `workers` outlive the cache; call Cancel and shut
  /// `workers` down before it goes.
  ArtifactCache(std::string directory, Mailbox* main, WorkerPool* workers);

  using Done = std::function<void(const StatusOr<std::string>& path)>;
  /// Calls `done` later with the path of the file, which stays until Release is called as often as
  /// `done` got a path. Requests for the same digest share one transfer. A failure is not
  /// remembered.
  void Fetch(const std::shared_ptr<grpc::Channel>& channel, const std::string& digest, Done done);
  void Release(const std::string& digest);
  /// Breaks transfers off; those and all later ones fail.
  void Cancel();

  /// Files nobody uses beyond this number are deleted, the least recently released first.
  static constexpr size_t kMaxUnused = 8;

 private:
  struct Artifact {
    std::string path;  // empty while it is being fetched
    int users = 0;
    uint64_t released = 0;  // order of becoming unused
    std::vector<Done> waiting;
  };
  /// On a worker: transfers to a temporary name, checks, renames.
  Status Transfer(const std::shared_ptr<grpc::Channel>& channel, const std::string& digest,
                  const std::string& path);
  Status Receive(const std::shared_ptr<grpc::Channel>& channel, const std::string& digest,
                 const std::string& path);
  void OnFetched(const std::string& digest, const StatusOr<std::string>& path);
  void RemoveUnused();

  const std::string directory_;
  Mailbox* const main_;
  WorkerPool* const workers_;
  std::map<std::string, Artifact> artifacts_;
  uint64_t releases_ = 0;

  std::mutex mutex_;  // of the following
  bool cancelled_ = false;
  std::set<grpc::ClientContext*> transfers_;
};

}  // namespace flink::taskmanager
