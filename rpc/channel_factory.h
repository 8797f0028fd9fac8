#pragma once

/// The one place where gRPC channels and listeners are made, on both sides, so that credentials are
/// decided here alone.

#include <grpcpp/grpcpp.h>

#include <memory>
#include <string>

#include "common/base/status.h"
#include "common/config/configuration.h"

namespace flink {

/// Serialized size of the largest message either side takes. Bytes.
inline constexpr int kMaxRpcMessageBytes = 512 << 20;

/// A channel that keeps trying to reach host:port, a few times a second, as long as a call waits
/// for it. Proxy settings of the environment do not count. The last reference must not be dropped
/// on a thread of gRPC, so not by what runs in a callback: gRPC 1.51 then ends the threads of all
/// callbacks from one of them, and the process aborts.
std::shared_ptr<grpc::Channel> CreateChannel(const Configuration& configuration,
                                             const std::string& host, int port);

/// Listens for `services` on bind_host:port; port 0 takes any free one. "localhost" is the IPv4
/// loopback address. `bound_port` receives the port. kUnavailable when the port is taken or the
/// host is not one of this machine.
StatusOr<std::unique_ptr<grpc::Server>> StartServer(const Configuration& configuration,
                                                    const std::string& bind_host, int port,
                                                    grpc::Service* service, int* bound_port);

/// gRPC's status as ours; the codes are the same.
Status FromGrpc(const grpc::Status& status);
grpc::Status ToGrpc(const Status& status);

}  // namespace flink
