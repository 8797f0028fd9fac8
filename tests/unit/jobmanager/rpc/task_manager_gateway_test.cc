#include "jobmanager/rpc/task_manager_gateway.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>

#include "rpc/channel_factory.h"
#include "taskmanager/rpc/job_manager_connection.h"
#include "tests/unit/jobmanager/rpc/recording_listener.h"

namespace flink::jobmanager {
namespace {

using pb::cluster::v1::JobManagerMessage;
using pb::cluster::v1::TaskManagerMessage;
using taskmanager::JobManagerConnection;
using testing::HasSubstr;
using Event = RecordingListener::Event;

/// A TaskManager that says only what the test lets it say.
class BareTaskManager {
 public:
  explicit BareTaskManager(int port) : channel_(CreateChannel(Configuration(), "localhost", port)) {
    JobManagerConnection::Callbacks callbacks;
    callbacks.on_message = [this](JobManagerMessage message) {
      std::lock_guard lock(mutex_);
      if (message.has_heartbeat()) ++heartbeats_;
      if (message.has_heartbeat()) return;
      messages_.push_back(std::move(message));
      wake_.notify_all();
    };
    callbacks.on_end = [this](const Status&) { ended_.set_value(); };
    connection_ = JobManagerConnection::Open(channel_, std::move(callbacks));
  }
  ~BareTaskManager() {
    Abort();
    AwaitEnd();
  }
  void Register(const std::string& id, int slots = 2) {
    TaskManagerMessage message;
    message.mutable_register_task_manager()->set_task_manager_id(id);
    message.mutable_register_task_manager()->set_slots(slots);
    connection_->Send(message);
  }
  void SendMetricsOf(const std::string& job) {
    TaskManagerMessage message;
    message.mutable_executor()->set_job_id(job);
    connection_->Send(message);
  }
  JobManagerMessage Next() {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(wake_.wait_for(lock, std::chrono::seconds(10), [&] { return !messages_.empty(); }));
    if (messages_.empty()) return {};
    JobManagerMessage message = messages_.front();
    messages_.erase(messages_.begin());
    return message;
  }
  void Abort() { connection_->Abort(); }
  void AwaitEnd() {
    if (end_.wait_for(std::chrono::seconds(10)) != std::future_status::ready) {
      ADD_FAILURE() << "the stream does not end";
    }
  }

 private:
  std::shared_ptr<grpc::Channel> channel_;
  std::shared_ptr<JobManagerConnection> connection_;
  std::promise<void> ended_;
  std::shared_future<void> end_ = ended_.get_future().share();
  std::mutex mutex_;
  std::condition_variable wake_;
  std::vector<JobManagerMessage> messages_;
  int heartbeats_ = 0;
};

class TaskManagerGatewayTest : public testing::Test {
 protected:
  void StartGateway(TaskManagerGatewayOptions options = {}) {
    options.port = 0;
    auto gateway =
        TaskManagerGateway::Start(options, &listener_.main.mailbox(), &listener_, nullptr);
    ASSERT_TRUE(gateway.ok()) << gateway.status();
    gateway_ = std::move(gateway).value();
  }
  void ExpectRegistered(const std::string& id) {
    const Event event = listener_.Next();
    EXPECT_EQ(event.kind, Event::kRegistered) << event.reason;
    EXPECT_EQ(event.id, id);
  }
  void ExpectLost(const std::string& id, const std::string& reason) {
    const Event event = listener_.Next();
    EXPECT_EQ(event.kind, Event::kLost);
    EXPECT_EQ(event.id, id);
    EXPECT_THAT(event.reason, HasSubstr(reason));
  }

  RecordingListener listener_;
  std::unique_ptr<TaskManagerGateway> gateway_;
};

TEST_F(TaskManagerGatewayTest, ARegistrationIsAcceptedWithSessionAndHeartbeats) {
  StartGateway();
  BareTaskManager tm(gateway_->port());
  tm.Register("a", 3);
  const Event event = listener_.Next();
  EXPECT_EQ(event.kind, Event::kRegistered);
  EXPECT_EQ(event.info.slots, 3);
  const JobManagerMessage answer = tm.Next();
  EXPECT_EQ(answer.accepted().leader_session_id(), gateway_->leader_session_id());
  EXPECT_EQ(answer.accepted().heartbeat_timeout_ms(), 50'000);
}

TEST_F(TaskManagerGatewayTest, ARegistrationWithoutSlotsIsRefused) {
  StartGateway();
  BareTaskManager tm(gateway_->port());
  tm.Register("a", 0);
  EXPECT_THAT(tm.Next().refused().reason(), HasSubstr("no slots"));
  tm.AwaitEnd();
}

TEST_F(TaskManagerGatewayTest, MessagesTravelBothWaysInOrder) {
  StartGateway();
  BareTaskManager tm(gateway_->port());
  tm.Register("a");
  ExpectRegistered("a");
  tm.Next();
  for (int i = 0; i < 100; ++i) tm.SendMetricsOf(std::to_string(i));
  for (int i = 0; i < 100; ++i) {
    JobManagerMessage stop;
    stop.mutable_stop_executor()->set_attempt(i);
    EXPECT_TRUE(gateway_->Send("a", stop));
  }
  for (int i = 0; i < 100; ++i) {
    EXPECT_EQ(listener_.Next().message.executor().job_id(), std::to_string(i));
    EXPECT_EQ(tm.Next().stop_executor().attempt(), i);
  }
  EXPECT_FALSE(gateway_->Send("b", {}));
}

TEST_F(TaskManagerGatewayTest, TheEndOfAStreamIsALostTaskManager) {
  StartGateway();
  BareTaskManager tm(gateway_->port());
  tm.Register("a");
  ExpectRegistered("a");
  tm.Abort();
  ExpectLost("a", "TaskManager a is lost");
  EXPECT_FALSE(gateway_->Send("a", {}));
}

TEST_F(TaskManagerGatewayTest, SilenceBeyondTheTimeoutIsALostTaskManager) {
  TaskManagerGatewayOptions options;
  options.heartbeat_interval = std::chrono::milliseconds(20);
  options.heartbeat_timeout = std::chrono::milliseconds(150);
  StartGateway(options);
  BareTaskManager tm(gateway_->port());
  tm.Register("a");
  ExpectRegistered("a");
  ExpectLost("a", "no heartbeat for 150 ms");
  tm.AwaitEnd();
}

TEST_F(TaskManagerGatewayTest, ASecondRegistrationReplacesTheFirst) {
  StartGateway();
  BareTaskManager first(gateway_->port());
  first.Register("a");
  ExpectRegistered("a");
  BareTaskManager second(gateway_->port());
  second.Register("a");
  ExpectLost("a", "connected again");
  ExpectRegistered("a");
  first.SendMetricsOf("stale");
  first.AwaitEnd();
  second.SendMetricsOf("current");
  EXPECT_EQ(listener_.Next().message.executor().job_id(), "current");
  EXPECT_TRUE(listener_.NothingFor(std::chrono::milliseconds(50)));
}

TEST_F(TaskManagerGatewayTest, ACommandForALostSessionDoesNotReachItsSuccessor) {
  StartGateway();
  BareTaskManager first(gateway_->port());
  first.Register("a");
  ExpectRegistered("a");
  // The dispatcher is busy while the TaskManager comes back, and still believes in the first
  // session.
  std::promise<void> go_on;
  std::promise<bool> sent;
  listener_.main.Post([&] {
    go_on.get_future().wait();
    sent.set_value(gateway_->Send("a", {}));
  });
  BareTaskManager second(gateway_->port());
  second.Register("a");
  EXPECT_TRUE(second.Next().has_accepted());
  go_on.set_value();
  EXPECT_FALSE(sent.get_future().get());
  ExpectLost("a", "connected again");
  ExpectRegistered("a");
}

TEST_F(TaskManagerGatewayTest, DisconnectEndsTheSession) {
  StartGateway();
  BareTaskManager tm(gateway_->port());
  tm.Register("a");
  ExpectRegistered("a");
  gateway_->Disconnect("a", "because the test wants it");
  ExpectLost("a", "because the test wants it");
  tm.AwaitEnd();
}

TEST_F(TaskManagerGatewayTest, ASlowListenerStopsTheSenderAndLosesNothing) {
  TaskManagerGatewayOptions options;
  options.max_unhandled_bytes = 1 << 20;
  StartGateway(options);
  BareTaskManager tm(gateway_->port());
  tm.Register("a");
  ExpectRegistered("a");
  std::promise<void> go_on;
  listener_.main.Post([&] { go_on.get_future().wait(); });
  const std::string big(256 << 10, 'x');
  for (int i = 0; i < 50; ++i) tm.SendMetricsOf(std::to_string(i) + big);
  EXPECT_TRUE(listener_.NothingFor(std::chrono::milliseconds(50)));
  go_on.set_value();
  for (int i = 0; i < 50; ++i) {
    EXPECT_EQ(listener_.Next().message.executor().job_id(), std::to_string(i) + big);
  }
}

TEST_F(TaskManagerGatewayTest, LastMessagesGetOutBeforeShutdown) {
  StartGateway();
  BareTaskManager tm(gateway_->port());
  tm.Register("a");
  ExpectRegistered("a");
  tm.Next();
  JobManagerMessage stop;
  stop.mutable_stop_executor()->set_attempt(7);
  EXPECT_TRUE(gateway_->Send("a", stop));
  gateway_->Shutdown();
  EXPECT_EQ(tm.Next().stop_executor().attempt(), 7);
  tm.AwaitEnd();
  EXPECT_TRUE(listener_.NothingFor(std::chrono::milliseconds(20)));
}

TEST_F(TaskManagerGatewayTest, APortInUseIsOneClearError) {
  StartGateway();
  TaskManagerGatewayOptions options;
  options.port = gateway_->port();
  const auto second =
      TaskManagerGateway::Start(options, &listener_.main.mailbox(), &listener_, nullptr);
  ASSERT_FALSE(second.ok());
  EXPECT_THAT(Message(second.status()), HasSubstr("localhost:" + std::to_string(gateway_->port()) +
                                                  ": Address already in use"));
  EXPECT_THAT(Message(second.status()), HasSubstr("jobmanager.rpc.port"));
}

}  // namespace
}  // namespace flink::jobmanager
