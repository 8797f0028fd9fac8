#pragma once

/// The two ends of a channel between processes, as the tasks see them.

#include <cstdint>
#include <memory>
#include <utility>

#include "taskmanager/network/connection.h"
#include "taskmanager/network/credit.h"
#include "taskmanager/network/output_channel.h"

namespace flink::taskmanager {

/// Encodes each element into a frame on the producing task's thread. Throws std::runtime_error for
/// a batch that is too large to be sent.
class RemoteOutputChannel final : public OutputChannel {
 public:
  RemoteOutputChannel(std::shared_ptr<Connection> connection, uint64_t channel_id,
                      std::shared_ptr<OutputCredit> credit)
      : connection_(std::move(connection)), channel_id_(channel_id), credit_(std::move(credit)) {}

  int64_t Send(StreamElement element, bool more_expected) override;
  void Announce() override { connection_->Announce(); }

 private:
  const std::shared_ptr<Connection> connection_;
  const uint64_t channel_id_;
  const std::shared_ptr<OutputCredit> credit_;
  uint32_t sequence_ = 0;
};

/// Collects the credit of a received channel and sends it back in portions. The I/O thread sets the
/// connection before the first element; Return is called on the consumer's thread.
class RemoteCreditReturn final : public CreditReturn {
 public:
  explicit RemoteCreditReturn(uint64_t channel_id) : channel_id_(channel_id) {}
  void set_connection(std::shared_ptr<Connection> connection) {
    connection_ = std::move(connection);
  }
  void Return(int64_t bytes) override;

 private:
  const uint64_t channel_id_;
  std::shared_ptr<Connection> connection_;
  int64_t collected_ = 0;
};

/// The element of a received frame; kDataLoss for a type that is none.
StatusOr<StreamElement> ElementOfFrame(const FrameHeader& header, FrameBytes payload);

}  // namespace flink::taskmanager
