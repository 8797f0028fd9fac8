#include "cli/rest_client.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

namespace flink::cli {
namespace {

using std::chrono::milliseconds;

/// A port of the loopback address at which nobody listens while this object lives.
class ClosedPort {
 public:
  ClosedPort() : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof(address);
    EXPECT_EQ(::bind(fd_, reinterpret_cast<sockaddr*>(&address), size), 0);
    EXPECT_EQ(::getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size), 0);
    number_ = ntohs(address.sin_port);
  }
  ~ClosedPort() { ::close(fd_); }
  int number() const { return number_; }

 private:
  int fd_;
  int number_ = 0;
};

TEST(RestClientTest, ARefusedConnectionIsUnavailable) {
  const ClosedPort port;
  RestClient client("127.0.0.1", port.number(), milliseconds(1000));
  const Status status = client.Get("/v1/jobs").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_NE(status.message().find(": connection refused."), std::string::npos) << status.message();
}

/// Who takes that for "no cluster runs" deletes files that a running one needs.
TEST(RestClientTest, AHostThatCannotBeReachedIsNotUnavailable) {
  RestClient client("127.255.255.255", 8081,
                    milliseconds(1000));  // Nobody connects to a broadcast.
  const Status status = client.Get("/v1/jobs").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(status.message().find("refused"), std::string::npos) << status.message();
}

/// Also where this machine has no IPv6: the other one may.
TEST(RestClientTest, ARemoteIpv6HostThatCannotBeReachedIsNotUnavailable) {
  RestClient client("2001:db8::1", 8081, milliseconds(50));  // Addresses of examples.
  EXPECT_EQ(client.Get("/v1/jobs").status().code(), absl::StatusCode::kDeadlineExceeded);
}

TEST(RestClientTest, ALoopbackAddressWithoutIpv6OrListenerIsUnavailable) {
  const ClosedPort port;
  RestClient client("::1", port.number(), milliseconds(1000));
  EXPECT_EQ(client.Get("/v1/jobs").status().code(), absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace flink::cli
