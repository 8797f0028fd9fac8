#include "taskmanager/network/remote_channel.h"

#include <stdexcept>
#include <string>

namespace flink::taskmanager {
namespace {

constexpr int64_t kNeverOvertakes = -1;

FrameType TypeOf(StreamElement::Kind kind) {
  switch (kind) {
    case StreamElement::Kind::kBatch:
    case StreamElement::Kind::kEncodedBatch:
      return FrameType::kBatch;
    case StreamElement::Kind::kWatermark:
      return FrameType::kWatermark;
    case StreamElement::Kind::kIdle:
      return FrameType::kIdle;
    case StreamElement::Kind::kActive:
      return FrameType::kActive;
    case StreamElement::Kind::kBarrier:
      return FrameType::kBarrier;
    case StreamElement::Kind::kEndOfData:
      return FrameType::kEndOfData;
    case StreamElement::Kind::kEndOfChannel:
      return FrameType::kEndOfChannel;
  }
  return FrameType::kHello;
}

}  // namespace

int64_t RemoteOutputChannel::Send(StreamElement element, bool more_expected) {
  BufferWriter frame = connection_->TakeBuffer();
  BeginFrame(frame);
  FrameHeader header;
  header.channel = channel_id_;
  header.type = TypeOf(element.kind);
  header.sequence = sequence_++;
  header.value = element.value;
  if (element.batch != nullptr) {
    element.batch->Encode(frame);
  } else if (element.barrier != nullptr) {
    header.value = element.barrier->checkpoint_id;
    frame.Put<int64_t>(element.barrier->timestamp_ms);
    frame.Put<int64_t>(element.barrier->aligned_timeout_ms.value_or(kNeverOvertakes));
    frame.PutBytes(element.barrier->target);
  }
  if (Status status = FinishFrame(header, frame); !status.ok()) {
    throw std::runtime_error(Message(status));
  }
  const int64_t cost = static_cast<int64_t>(frame.size()) + kElementOverheadBytes;
  credit_->Take(cost);
  connection_->Enqueue(std::move(frame), more_expected);
  return cost;
}

void RemoteCreditReturn::Return(int64_t bytes) {
  collected_ += bytes;
  if (collected_ < kCreditPortionBytes || connection_ == nullptr) return;
  BufferWriter frame = connection_->TakeBuffer();
  FrameHeader header;
  header.type = FrameType::kCredit;
  header.channel = channel_id_;
  header.value = collected_;
  MakeControlFrame(header, frame);
  connection_->Enqueue(std::move(frame));
  collected_ = 0;
}

StatusOr<StreamElement> ElementOfFrame(const FrameHeader& header, FrameBytes payload) {
  StreamElement element;
  element.cost = static_cast<int64_t>(sizeof(FrameHeader) + payload.size()) + kElementOverheadBytes;
  element.value = header.value;
  switch (header.type) {
    case FrameType::kBatch:
      element.kind = StreamElement::Kind::kEncodedBatch;
      element.bytes = std::move(payload);
      return element;
    case FrameType::kWatermark:
      element.kind = StreamElement::Kind::kWatermark;
      return element;
    case FrameType::kIdle:
      element.kind = StreamElement::Kind::kIdle;
      return element;
    case FrameType::kActive:
      element.kind = StreamElement::Kind::kActive;
      return element;
    case FrameType::kEndOfData:
      element.kind = StreamElement::Kind::kEndOfData;
      return element;
    case FrameType::kEndOfChannel:
      element.kind = StreamElement::Kind::kEndOfChannel;
      return element;
    case FrameType::kBarrier: {
      if (payload.size() < 2 * sizeof(int64_t)) return DataLoss("a barrier without its times");
      BufferReader in(payload.view());
      auto barrier = std::make_shared<CheckpointBarrier>();
      barrier->checkpoint_id = header.value;
      barrier->timestamp_ms = in.Get<int64_t>();
      if (const auto timeout = in.Get<int64_t>(); timeout != kNeverOvertakes) {
        barrier->aligned_timeout_ms = timeout;
      }
      barrier->target = std::string(in.GetBytes(in.remaining()));
      element.kind = StreamElement::Kind::kBarrier;
      element.barrier = std::move(barrier);
      return element;
    }
    default:
      return DataLoss("unexpected frame type {}", static_cast<int>(header.type));
  }
}

}  // namespace flink::taskmanager
