#pragma once

/// ControlChannel: how a task executor's messages reach the JobManager (through its TaskManager).

#include <functional>
#include <memory>
#include <string>

#include "common/concurrency/mailbox.h"
#include "flink/pb/cluster/v1/executor.pb.h"

namespace flink::taskmanager {

class ControlChannel {
 public:
  virtual ~ControlChannel() = default;
  /// Never blocks. Called on the executor's control thread; messages keep their order.
  virtual void Send(const ::flink::pb::cluster::v1::ExecutorMessage& message) = 0;
  /// Waits until all that was sent has left the process.
  virtual void Flush() {}
};

/// Hands messages to a function: for executors inside a test process.
class InMemoryControlChannel final : public ControlChannel {
 public:
  using Receiver = std::function<void(const ::flink::pb::cluster::v1::ExecutorMessage&)>;
  explicit InMemoryControlChannel(Receiver receiver) : receiver_(std::move(receiver)) {}
  void Send(const ::flink::pb::cluster::v1::ExecutorMessage& message) override {
    receiver_(message);
  }

 private:
  const Receiver receiver_;
};

/// Frames on a socket: 4-byte little-endian length, then the message. A thread writes, so that a
/// slow TaskManager does not hold the control thread up. When writing fails the TaskManager has
/// gone: the process exits at once.
class DescriptorControlChannel final : public ControlChannel {
 public:
  /// The descriptor is not owned.
  explicit DescriptorControlChannel(int descriptor);
  void Send(const ::flink::pb::cluster::v1::ExecutorMessage& message) override;
  void Flush() override { writer_.CloseAndJoin(); }

 private:
  const int descriptor_;
  MailboxThread writer_;
};

/// Blocks until a whole frame was read into `message`; false at the end of the stream or for an
/// impossible length.
bool ReadControlFrame(int descriptor, std::string* message);

}  // namespace flink::taskmanager
