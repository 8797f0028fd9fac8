#pragma once

/// The frames of a connection between two task executors. Little-endian; both ends are builds of
/// one release.
///
/// A connection carries records in one direction, from the executor that opened it, and credit in
/// the other:
///   -> kHello            <- kWelcome, as soon as the receiver has its channels
///   -> elements of any channel      <- kCredit       both: kGoodbye as the last frame of a clean
///   end
/// A frame is a fixed header and `length` bytes of payload. The checksum covers both. The sequence
/// number counts the element frames of a channel from 0.

#include <cstdint>
#include <string>
#include <string_view>

#include "common/base/status.h"
#include "flink/buffer.h"

namespace flink::taskmanager {

enum class FrameType : uint8_t {
  kHello = 1,
  kWelcome,
  kBatch,
  kWatermark,
  kIdle,
  kActive,
  kBarrier,
  kEndOfData,
  kCredit,
  kGoodbye,
  kEndOfChannel,
};

struct FrameHeader {
  uint64_t channel = 0;
  int64_t value = 0;  ///< Watermark, checkpoint id, or bytes of credit.
  uint32_t sequence = 0;
  uint32_t length = 0;
  FrameType type = FrameType::kHello;
  uint8_t reserved[3] = {0, 0, 0};
  uint32_t checksum = 0;
};
static_assert(sizeof(FrameHeader) == 32);

/// Frames above this are refused on both ends: a length that large is a damaged one, or a record
/// nobody should send.
inline constexpr uint32_t kMaxFrameBytes = 1u << 30;

/// What the opening side presents.
struct Hello {
  std::string job_id;
  int32_t attempt = 0;
  std::string token;
  std::string executor_id;
};

/// Makes room for a header; the payload is appended behind it.
void BeginFrame(BufferWriter& out);
/// Fills in length and checksum of a frame that is alone in `out` and writes its header.
Status FinishFrame(FrameHeader header, BufferWriter& out);
/// A frame without payload.
void MakeControlFrame(FrameHeader header, BufferWriter& out);

/// kDataLoss when header and payload are not what was sent.
Status VerifyFrame(const FrameHeader& header, std::string_view payload);

void EncodeHello(const Hello& hello, BufferWriter& out);
StatusOr<Hello> DecodeHello(std::string_view payload);

/// The id of the channel between two subtasks over one edge of the job graph.
inline uint64_t ChannelId(int edge, int source_subtask, int target_subtask) {
  return (static_cast<uint64_t>(edge) << 32) | (static_cast<uint64_t>(source_subtask) << 16) |
         static_cast<uint64_t>(target_subtask);
}

}  // namespace flink::taskmanager
