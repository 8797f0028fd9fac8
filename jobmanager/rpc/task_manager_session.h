#pragma once

/// TaskManagerSession: one Connect stream, from the TaskManager's connection to its end.

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "flink/pb/cluster/v1/cluster.pb.h"
#include "rpc/outbound_queue.h"

namespace flink::jobmanager {

class TaskManagerSession;

/// Whoever keeps the sessions. Called on gRPC's threads, without a lock of the session.
class TaskManagerSessionOwner {
 public:
  virtual ~TaskManagerSessionOwner() = default;
  virtual void OnRegister(const std::shared_ptr<TaskManagerSession>& session,
                          const pb::cluster::v1::RegisterTaskManager& request) = 0;
  /// The message has been counted with AddUnhandled(`bytes`); the owner calls Handled when it is
  /// done with it.
  virtual void OnSessionMessage(const std::shared_ptr<TaskManagerSession>& session,
                                pb::cluster::v1::TaskManagerMessage message, uint64_t bytes) = 0;
  /// The stream has ended or is about to; may come more than once.
  virtual void OnSessionEnd(const std::shared_ptr<TaskManagerSession>& session,
                            const std::string& reason) = 0;
};

/// Keeps itself alive until the stream is over. Thread-safe.
class TaskManagerSession : public grpc::ServerBidiReactor<pb::cluster::v1::TaskManagerMessage,
                                                          pb::cluster::v1::JobManagerMessage>,
                           public std::enable_shared_from_this<TaskManagerSession> {
 public:
  using Clock = std::chrono::steady_clock;
  struct Limits {
    uint64_t max_queued_bytes;
    uint64_t max_unhandled_bytes;
  };

  static std::shared_ptr<TaskManagerSession> Start(std::shared_ptr<TaskManagerSessionOwner> owner,
                                                   grpc::CallbackServerContext* context,
                                                   Limits limits);

  /// Queues a message. False when the session is ending or the queue is full; a full queue ends the
  /// session.
  bool Send(pb::cluster::v1::JobManagerMessage message);
  /// Ends the stream after what is queued.
  void FinishSoon();
  /// Breaks the stream off.
  void Abort();
  /// The owner is done with a message of this size.
  void Handled(uint64_t bytes);
  /// When the TaskManager was last heard of; now, while it is us who do not read.
  Clock::time_point LastHeard() const;

  /// Owned by the owner, under its lock: the id once registered.
  std::string task_manager_id;

 private:
  TaskManagerSession(std::shared_ptr<TaskManagerSessionOwner> owner,
                     grpc::CallbackServerContext* context, Limits limits);
  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override;
  void OnDone() override;
  /// Starts the next write, or the end when that is all. Needs mutex_.
  void Proceed();

  const std::shared_ptr<TaskManagerSessionOwner> owner_;
  const Limits limits_;
  grpc::CallbackServerContext* const context_;  // valid until OnDone
  pb::cluster::v1::TaskManagerMessage incoming_;

  mutable std::mutex mutex_;
  std::shared_ptr<TaskManagerSession> self_;  // until OnDone
  OutboundQueue<pb::cluster::v1::JobManagerMessage> queue_;
  uint64_t unhandled_bytes_ = 0;
  bool read_paused_ = false;
  bool writing_ = false;
  bool ending_ = false;    // nothing more is queued
  bool finished_ = false;  // Finish has been called
  bool done_ = false;
  Clock::time_point last_heard_ = Clock::now();
};

}  // namespace flink::jobmanager
