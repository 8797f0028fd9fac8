#include "jobmanager/rpc/task_manager_session.h"

#include <utility>

namespace flink::jobmanager {

using pb::cluster::v1::JobManagerMessage;
using pb::cluster::v1::TaskManagerMessage;

TaskManagerSession::TaskManagerSession(std::shared_ptr<TaskManagerSessionOwner> owner,
                                       grpc::CallbackServerContext* context, Limits limits)
    : owner_(std::move(owner)), limits_(limits), context_(context) {}

std::shared_ptr<TaskManagerSession> TaskManagerSession::Start(
    std::shared_ptr<TaskManagerSessionOwner> owner, grpc::CallbackServerContext* context,
    Limits limits) {
  std::shared_ptr<TaskManagerSession> session(
      new TaskManagerSession(std::move(owner), context, limits));
  session->self_ = session;
  session->StartRead(&session->incoming_);
  return session;
}

bool TaskManagerSession::Send(JobManagerMessage message) {
  std::shared_ptr<TaskManagerSession> overflowing;
  {
    std::lock_guard lock(mutex_);
    if (ending_) return false;
    if (queue_.bytes() <= limits_.max_queued_bytes) {
      queue_.Push(std::move(message));
      Proceed();
      return true;
    }
    overflowing = self_;
  }
  Abort();
  if (overflowing != nullptr) {
    owner_->OnSessionEnd(overflowing, "it does not take the messages that wait for it");
  }
  return false;
}

void TaskManagerSession::FinishSoon() {
  std::lock_guard lock(mutex_);
  if (done_) return;
  ending_ = true;
  Proceed();
}

void TaskManagerSession::Abort() {
  std::lock_guard lock(mutex_);
  if (done_) return;
  ending_ = true;
  queue_.Truncate(writing_ ? 1 : 0);
  context_->TryCancel();
  Proceed();
}

void TaskManagerSession::Handled(uint64_t bytes) {
  std::lock_guard lock(mutex_);
  unhandled_bytes_ -= bytes;
  if (!read_paused_ || unhandled_bytes_ > limits_.max_unhandled_bytes || ending_) return;
  read_paused_ = false;
  last_heard_ = Clock::now();
  StartRead(&incoming_);
}

TaskManagerSession::Clock::time_point TaskManagerSession::LastHeard() const {
  std::lock_guard lock(mutex_);
  return read_paused_ ? Clock::now() : last_heard_;
}

void TaskManagerSession::Proceed() {
  if (writing_ || finished_) return;
  if (!queue_.empty()) {
    writing_ = true;
    StartWrite(&queue_.front());
  } else if (ending_) {
    finished_ = true;
    Finish(grpc::Status::OK);
  }
}

void TaskManagerSession::OnReadDone(bool ok) {
  const std::shared_ptr<TaskManagerSession> self = shared_from_this();
  if (!ok) {
    owner_->OnSessionEnd(self, "its connection to the JobManager has ended");
    FinishSoon();
    return;
  }
  {
    std::lock_guard lock(mutex_);
    last_heard_ = Clock::now();
  }
  switch (incoming_.message_case()) {
    case TaskManagerMessage::kRegisterTaskManager:
      owner_->OnRegister(self, incoming_.register_task_manager());
      break;
    case TaskManagerMessage::kExecutor:
    case TaskManagerMessage::kExecutorExited: {
      const uint64_t bytes = incoming_.ByteSizeLong();
      {
        std::lock_guard lock(mutex_);
        unhandled_bytes_ += bytes;
      }
      owner_->OnSessionMessage(self, std::move(incoming_), bytes);
      break;
    }
    case TaskManagerMessage::kHeartbeat:
    case TaskManagerMessage::MESSAGE_NOT_SET:
      break;
  }
  incoming_.Clear();
  std::lock_guard lock(mutex_);
  if (finished_) return;
  if (unhandled_bytes_ > limits_.max_unhandled_bytes) {
    read_paused_ = true;
    return;
  }
  StartRead(&incoming_);
}

void TaskManagerSession::OnWriteDone(bool ok) {
  const std::shared_ptr<TaskManagerSession> self = shared_from_this();
  {
    std::lock_guard lock(mutex_);
    writing_ = false;
    queue_.PopFront();
    if (!ok) {
      ending_ = true;
      queue_.Truncate(0);
    }
    Proceed();
  }
  if (!ok) owner_->OnSessionEnd(self, "its connection to the JobManager broke");
}

void TaskManagerSession::OnCancel() {
  const std::shared_ptr<TaskManagerSession> self = shared_from_this();
  owner_->OnSessionEnd(self, "its connection to the JobManager broke");
  std::lock_guard lock(mutex_);
  ending_ = true;
  queue_.Truncate(writing_ ? 1 : 0);
  Proceed();
}

void TaskManagerSession::OnDone() {
  std::shared_ptr<TaskManagerSession> self;
  {
    std::lock_guard lock(mutex_);
    ending_ = true;
    finished_ = true;
    done_ = true;
    self = std::move(self_);
  }
  owner_->OnSessionEnd(self, "its connection to the JobManager has ended");
}

}  // namespace flink::jobmanager
