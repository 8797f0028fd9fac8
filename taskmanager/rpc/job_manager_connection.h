#pragma once

/// JobManagerConnection: one Connect stream of the TaskManager to a JobManager.

#include <grpcpp/grpcpp.h>
#include <grpcpp/support/client_callback.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>

#include "common/base/status.h"
#include "flink/pb/cluster/v1/cluster.pb.h"
#include "rpc/outbound_queue.h"

namespace flink::taskmanager {

/// Thread-safe. Keeps itself alive until the stream is over; a stream that has ended is not used
/// again.
class JobManagerConnection : public grpc::ClientBidiReactor<pb::cluster::v1::TaskManagerMessage,
                                                            pb::cluster::v1::JobManagerMessage> {
 public:
  using Token = OutboundQueue<pb::cluster::v1::TaskManagerMessage>::Token;

  /// Called on gRPC's threads, never two at a time; on_end once and last. By then the connection
  /// holds the channel no more.
  struct Callbacks {
    std::function<void(pb::cluster::v1::JobManagerMessage)> on_message;
    std::function<void(const Status&)> on_end;
  };

  /// Waits for the channel to connect for as long as it takes; Abort ends that too. The caller
  /// keeps the channel until on_end: the last reference to one must not go on a thread of gRPC,
  /// which would have to join itself.
  static std::shared_ptr<JobManagerConnection> Open(const std::shared_ptr<grpc::Channel>& channel,
                                                    Callbacks callbacks);

  /// Queues a message, never blocks; dropped when the stream has ended. The token goes when the
  /// message has been handed to the stream or dropped.
  void Send(pb::cluster::v1::TaskManagerMessage message, Token token = nullptr);
  /// Breaks the stream off; on_end follows.
  void Abort();

 private:
  explicit JobManagerConnection(Callbacks callbacks);
  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnDone(const grpc::Status& status) override;
  /// Nothing is queued any more. True when the caller must call RemoveHold, without mutex_. Needs
  /// mutex_.
  bool Close();

  const Callbacks callbacks_;
  pb::cluster::v1::JobManagerMessage incoming_;

  std::mutex mutex_;
  std::shared_ptr<JobManagerConnection> self_;    // until OnDone
  std::unique_ptr<grpc::ClientContext> context_;  // until OnDone; refers to the channel
  OutboundQueue<pb::cluster::v1::TaskManagerMessage> queue_;
  bool writing_ = false;
  bool closed_ = false;
  bool held_ = true;  // writes come from outside gRPC's callbacks, so the stream is held until no
                      // more can come
};

}  // namespace flink::taskmanager
