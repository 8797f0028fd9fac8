#include "taskmanager/executor/coordinator_host.h"

#include <exception>
#include <utility>

#include "common/base/status.h"
#include "taskmanager/task/wire_ids.h"

namespace flink::taskmanager {

namespace pb = ::flink::pb::cluster::v1;

class CoordinatorHost::Context final : public SourceCoordinator::Context {
 public:
  Context(const CoordinatorHost& host, int parallelism) : host_(host), parallelism_(parallelism) {}
  int parallelism() const override { return parallelism_; }
  void SendToReader(int subtask, std::string payload) override {
    pb::ExecutorMessage message;
    pb::CoordinatorEvent& event = *message.mutable_coordinator_event();
    event.set_operator_id(host_.operator_id_);
    event.set_subtask(subtask);
    event.set_payload(std::move(payload));
    host_.report_(std::move(message));
  }

 private:
  const CoordinatorHost& host_;
  const int parallelism_;
};

CoordinatorHost::CoordinatorHost(const OperatorId& operator_id, const std::string& operator_name,
                                 int parallelism, Report report)
    : operator_id_(ToWire(operator_id)),
      operator_name_(operator_name),
      report_(std::move(report)),
      context_(std::make_unique<Context>(*this, parallelism)),
      thread_("coordinator") {}

CoordinatorHost::~CoordinatorHost() {
  thread_.Post([this] { coordinator_.reset(); });
  thread_.CloseAndJoin();
}

void CoordinatorHost::Run(const std::function<void()>& call) {
  if (failed_) return;
  std::string what = "unknown exception";
  try {
    return call();
  } catch (const std::exception& e) {
    what = e.what();
  } catch (...) {
  }
  failed_ = true;
  pb::ExecutorMessage message;
  message.mutable_failed()->set_message(
      fmt::format("the source coordinator of {} failed: {}", operator_name_, what));
  message.mutable_failed()->set_user_error(true);
  message.mutable_failed()->set_retryable(true);
  report_(std::move(message));
}

void CoordinatorHost::Start(Factory factory, bool restored, std::string state) {
  thread_.Post([this, factory = std::move(factory), restored, state = std::move(state)] {
    Run([&] {
      coordinator_ = factory();
      coordinator_->Start(*context_, restored, state);
    });
  });
}

void CoordinatorHost::HandleEvent(int subtask, std::string payload) {
  thread_.Post([this, subtask, payload = std::move(payload)] {
    Run([&] { coordinator_->HandleEvent(subtask, payload); });
  });
}

void CoordinatorHost::Snapshot(int64_t checkpoint_id) {
  thread_.Post([this, checkpoint_id] {
    Run([&] {
      pb::ExecutorMessage message;
      pb::CoordinatorAck& ack = *message.mutable_coordinator_ack();
      ack.set_checkpoint_id(checkpoint_id);
      ack.set_operator_id(operator_id_);
      ack.set_state(coordinator_->Snapshot(checkpoint_id));
      report_(std::move(message));
    });
  });
}

}  // namespace flink::taskmanager
