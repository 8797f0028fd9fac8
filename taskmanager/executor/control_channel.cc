#include "taskmanager/executor/control_channel.h"

#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

namespace flink::taskmanager {
namespace {

constexpr uint32_t kMaxControlFrame = 1u << 30;

bool ReadFully(int descriptor, char* to, size_t n) {
  while (n > 0) {
    const ssize_t got = ::read(descriptor, to, n);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) return false;
    to += got;
    n -= static_cast<size_t>(got);
  }
  return true;
}

bool WriteFully(int descriptor, const char* from, size_t n) {
  while (n > 0) {
    const ssize_t put = ::send(descriptor, from, n, MSG_NOSIGNAL);
    if (put < 0 && errno == EINTR) continue;
    if (put <= 0) return false;
    from += put;
    n -= static_cast<size_t>(put);
  }
  return true;
}

}  // namespace

DescriptorControlChannel::DescriptorControlChannel(int descriptor)
    : descriptor_(descriptor), writer_("control-out") {}

void DescriptorControlChannel::Send(const ::flink::pb::cluster::v1::ExecutorMessage& message) {
  std::string frame(sizeof(uint32_t), '\0');
  message.AppendToString(&frame);
  const uint32_t length = static_cast<uint32_t>(frame.size() - sizeof(uint32_t));
  std::memcpy(frame.data(), &length, sizeof length);
  writer_.Post([descriptor = descriptor_, frame = std::move(frame)] {
    if (!WriteFully(descriptor, frame.data(), frame.size())) ::_exit(1);
  });
}

bool ReadControlFrame(int descriptor, std::string* message) {
  uint32_t length = 0;
  if (!ReadFully(descriptor, reinterpret_cast<char*>(&length), sizeof length)) return false;
  if (length > kMaxControlFrame) return false;
  message->resize(length);
  return ReadFully(descriptor, message->data(), length);
}

}  // namespace flink::taskmanager
