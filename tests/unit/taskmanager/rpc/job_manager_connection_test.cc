#include "taskmanager/rpc/job_manager_connection.h"

#include <gtest/gtest.h>

#include <chrono>
#include <future>

#include "rpc/channel_factory.h"

namespace flink::taskmanager {
namespace {

std::shared_ptr<grpc::Channel> ChannelToNobody() {
  return CreateChannel(Configuration(), "localhost", 1);
}

TEST(JobManagerConnectionTest, AtItsEndTheChannelIsTheCallersAlone) {
  std::shared_ptr<grpc::Channel> channel = ChannelToNobody();
  std::promise<long> references;
  JobManagerConnection::Callbacks callbacks;
  callbacks.on_message = [](const pb::cluster::v1::JobManagerMessage&) {};
  callbacks.on_end = [&](const Status&) { references.set_value(channel.use_count()); };
  const auto connection = JobManagerConnection::Open(channel, std::move(callbacks));
  connection->Abort();
  std::future<long> result = references.get_future();
  ASSERT_EQ(result.wait_for(std::chrono::seconds(10)), std::future_status::ready);
  EXPECT_EQ(result.get(), 1);
}

TEST(JobManagerConnectionTest, AfterItsEndItTakesCallsAndDoesNothing) {
  std::shared_ptr<grpc::Channel> channel = ChannelToNobody();
  std::promise<Status> ended;
  JobManagerConnection::Callbacks callbacks;
  callbacks.on_message = [](const pb::cluster::v1::JobManagerMessage&) {};
  callbacks.on_end = [&](const Status& status) { ended.set_value(status); };
  const auto connection = JobManagerConnection::Open(channel, std::move(callbacks));
  connection->Abort();
  std::future<Status> result = ended.get_future();
  ASSERT_EQ(result.wait_for(std::chrono::seconds(10)), std::future_status::ready);
  EXPECT_EQ(result.get().code(), absl::StatusCode::kCancelled);
  auto token = std::make_shared<int>();
  connection->Send({}, token);
  connection->Abort();
  EXPECT_EQ(token.use_count(), 1);
}

}  // namespace
}  // namespace flink::taskmanager
