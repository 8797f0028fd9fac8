#include "taskmanager/network/frame.h"

#include <xxhash.h>

#include <cstring>

namespace flink::taskmanager {
namespace {

constexpr uint32_t kHelloMagic = 0x464c4b58;
constexpr uint32_t kProtocolVersion = 1;

uint32_t ChecksumOf(FrameHeader header, std::string_view payload) {
  header.checksum = 0;
  const uint64_t seed = XXH3_64bits(&header, sizeof header);
  return static_cast<uint32_t>(XXH3_64bits_withSeed(payload.data(), payload.size(), seed));
}

void PutString(BufferWriter& out, std::string_view s) {
  out.Put<uint32_t>(static_cast<uint32_t>(s.size()));
  out.PutBytes(s);
}
std::string GetString(BufferReader& in) { return std::string(in.GetBytes(in.Get<uint32_t>())); }

}  // namespace

void BeginFrame(BufferWriter& out) {
  out.Clear();
  out.Extend(sizeof(FrameHeader));
}

Status FinishFrame(FrameHeader header, BufferWriter& out) {
  const size_t length = out.size() - sizeof(FrameHeader);
  if (length > kMaxFrameBytes) {
    return ResourceExhausted(
        "a batch takes {} bytes on the wire, more than the {} allowed: make the records smaller",
        length, kMaxFrameBytes);
  }
  header.length = static_cast<uint32_t>(length);
  header.checksum = ChecksumOf(header, out.view().substr(sizeof(FrameHeader)));
  std::memcpy(out.MutableData(), &header, sizeof header);
  return OkStatus();
}

void MakeControlFrame(FrameHeader header, BufferWriter& out) {
  BeginFrame(out);
  IgnoreError(FinishFrame(header, out), "an empty payload is never too long");
}

Status VerifyFrame(const FrameHeader& header, std::string_view payload) {
  if (header.checksum == ChecksumOf(header, payload)) return OkStatus();
  return DataLoss("checksum mismatch in a frame of {} bytes", payload.size());
}

void EncodeHello(const Hello& hello, BufferWriter& out) {
  out.Put<uint32_t>(kHelloMagic);
  out.Put<uint32_t>(kProtocolVersion);
  out.Put<int32_t>(hello.attempt);
  PutString(out, hello.job_id);
  PutString(out, hello.token);
  PutString(out, hello.executor_id);
}

StatusOr<Hello> DecodeHello(std::string_view payload) {
  try {
    BufferReader in(payload);
    Hello hello;
    if (in.Get<uint32_t>() != kHelloMagic) return DataLoss("not a task executor");
    if (const uint32_t version = in.Get<uint32_t>(); version != kProtocolVersion) {
      return FailedPrecondition("exchange protocol {} instead of {}", version, kProtocolVersion);
    }
    hello.attempt = in.Get<int32_t>();
    hello.job_id = GetString(in);
    hello.token = GetString(in);
    hello.executor_id = GetString(in);
    return hello;
  } catch (const DecodeError& e) {
    return DataLoss("bad greeting: {}", e.what());
  }
}

}  // namespace flink::taskmanager
