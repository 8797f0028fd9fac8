#include "taskmanager/rpc/job_manager_connection.h"

#include <utility>

#include "flink/pb/cluster/v1/cluster.grpc.pb.h"
#include "rpc/channel_factory.h"

namespace flink::taskmanager {

using pb::cluster::v1::JobManagerGateway;
using pb::cluster::v1::TaskManagerMessage;

JobManagerConnection::JobManagerConnection(Callbacks callbacks)
    : callbacks_(std::move(callbacks)), context_(std::make_unique<grpc::ClientContext>()) {}

std::shared_ptr<JobManagerConnection> JobManagerConnection::Open(
    const std::shared_ptr<grpc::Channel>& channel, Callbacks callbacks) {
  std::shared_ptr<JobManagerConnection> connection(new JobManagerConnection(std::move(callbacks)));
  connection->self_ = connection;
  connection->context_->set_wait_for_ready(true);
  // The call needs the stub no longer than this.
  JobManagerGateway::NewStub(channel)->async()->Connect(connection->context_.get(),
                                                        connection.get());
  connection->AddHold();
  connection->StartRead(&connection->incoming_);
  connection->StartCall();
  return connection;
}

void JobManagerConnection::Send(TaskManagerMessage message, Token token) {
  std::lock_guard lock(mutex_);
  if (closed_) return;
  queue_.Push(std::move(message), std::move(token));
  if (writing_) return;
  writing_ = true;
  StartWrite(&queue_.front());
}

void JobManagerConnection::Abort() {
  std::lock_guard lock(mutex_);
  if (context_ != nullptr) context_->TryCancel();
}

bool JobManagerConnection::Close() {
  closed_ = true;
  queue_.Truncate(writing_ ? 1 : 0);
  return !writing_ && std::exchange(held_, false);
}

void JobManagerConnection::OnReadDone(bool ok) {
  if (ok) {
    callbacks_.on_message(std::move(incoming_));
    incoming_.Clear();
    StartRead(&incoming_);
    return;
  }
  bool release;
  {
    std::lock_guard lock(mutex_);
    release = Close();
  }
  // The server ended the stream, so a write that is still under way has nobody to take it.
  Abort();
  if (release) RemoveHold();
}

void JobManagerConnection::OnWriteDone(bool ok) {
  bool release = false;
  {
    std::lock_guard lock(mutex_);
    writing_ = false;
    queue_.PopFront();
    if (!ok || closed_) {
      release = Close();
    } else if (!queue_.empty()) {
      writing_ = true;
      StartWrite(&queue_.front());
    }
  }
  if (release) RemoveHold();
}

void JobManagerConnection::OnDone(const grpc::Status& status) {
  std::shared_ptr<JobManagerConnection> self;
  {
    std::lock_guard lock(mutex_);
    closed_ = true;
    queue_.Truncate(0);
    context_.reset();
    self = std::move(self_);
  }
  callbacks_.on_end(FromGrpc(status));
}

}  // namespace flink::taskmanager
