#include "taskmanager/network/connection.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "taskmanager/network/credit.h"

namespace flink::taskmanager {
namespace {

constexpr size_t kMaxFreeBuffers = 64;
constexpr size_t kMaxKeptBufferBytes = 256 << 10;
/// Frames per gathered write.
constexpr size_t kFramesPerWrite = 32;
/// Reads before other connections get their turn.
constexpr int kReadsPerTurn = 16;

bool WouldBlock(int error) { return error == EAGAIN || error == EWOULDBLOCK || error == EINTR; }

}  // namespace

BufferWriter Connection::TakeBuffer() {
  std::lock_guard lock(mutex_);
  if (free_.empty()) return {};
  BufferWriter buffer = std::move(free_.back());
  free_.pop_back();
  buffer.Clear();
  return buffer;
}

void Connection::Enqueue(BufferWriter frame, bool more_expected) {
  {
    std::lock_guard lock(mutex_);
    if (closed_for_senders_) return;
    pending_bytes_ += frame.size();
    pending_.push_back(std::move(frame));
    if (write_posted_) return;
    if (more_expected && pending_bytes_ < static_cast<size_t>(kAnnounceBytes)) return;
    write_posted_ = true;
  }
  PostWrite();
}

void Connection::Announce() {
  {
    std::lock_guard lock(mutex_);
    if (write_posted_ || pending_.empty()) return;
    write_posted_ = true;
  }
  PostWrite();
}

void Connection::PostWrite() {
  asio::post(*io_, [self = shared_from_this()] {
    self->TakePending();
    if (self->may_write_ && !self->writing_) self->Write();
  });
}

void Connection::Start() {
  std::error_code ignored;
  socket_.native_non_blocking(true, ignored);
  WaitReadable();
}

void Connection::AllowWriting() {
  may_write_ = true;
  TakePending();
  if (!writing_) Write();
}

void Connection::SendNow(const BufferWriter& frame) {
  // The socket's buffer is empty and far larger than a greeting.
  const std::string_view bytes = frame.view();
  const ssize_t n = ::send(socket_.native_handle(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
  if (n == static_cast<ssize_t>(bytes.size())) return;
  End(Unavailable("greeting failed: {}", n < 0 ? std::strerror(errno) : "short write"));
}

void Connection::CloseGracefully() {
  if (ended_ || goodbye_enqueued_) return;
  goodbye_enqueued_ = true;
  if (!socket_.is_open()) return End(OkStatus());
  TakePending();
  if (!may_write_) outgoing_.clear();
  BufferWriter goodbye;
  FrameHeader header;
  header.type = FrameType::kGoodbye;
  MakeControlFrame(header, goodbye);
  outgoing_.push_back(std::move(goodbye));
  may_write_ = true;
  if (!writing_) Write();
}

void Connection::Fail(const Status& reason) { End(reason); }

void Connection::WaitReadable() {
  socket_.async_wait(StreamSocket::wait_read,
                     [self = shared_from_this()](const std::error_code& error) {
                       if (self->ended_) return;
                       if (error) return self->End(Unavailable("{}", error.message()));
                       self->OnReadable();
                     });
}

void Connection::OnReadable() {
  for (int i = 0; i < kReadsPerTurn; ++i) {
    iovec parts[2];
    int count = 0;
    if (header_have_ == sizeof header_) {
      parts[count++] = {payload_.data() + payload_have_, payload_.size() - payload_have_};
    }
    parts[count++] = {spill_.data(), spill_.size()};
    const ssize_t n = ::readv(socket_.native_handle(), parts, count);
    if (n < 0) {
      if (WouldBlock(errno)) break;
      return End(Unavailable("{}", std::strerror(errno)));
    }
    if (n == 0) {
      return End(peer_said_goodbye_ ? OkStatus() : Unavailable("the connection was closed"));
    }
    if (!Consume(static_cast<size_t>(n))) return handler_.OnReadTurnOver();
  }
  handler_.OnReadTurnOver();
  WaitReadable();
}

bool Connection::Consume(size_t bytes) {
  if (header_have_ == sizeof header_) {
    const size_t in_place = std::min(bytes, payload_.size() - payload_have_);
    payload_have_ += in_place;
    bytes -= in_place;
    if (payload_have_ < payload_.size()) return true;
    if (!FinishReceivedFrame()) return false;
  }
  const char* at = spill_.data();
  while (bytes > 0) {
    if (header_have_ < sizeof header_) {
      const size_t n = std::min(bytes, sizeof header_ - header_have_);
      std::memcpy(reinterpret_cast<char*>(&header_) + header_have_, at, n);
      header_have_ += n;
      at += n;
      bytes -= n;
      if (header_have_ < sizeof header_) return true;
      if (header_.length > kMaxFrameBytes) {
        End(DataLoss("damaged frame: length {}", header_.length));
        return false;
      }
      payload_ = FrameBytes(header_.length);
      payload_have_ = 0;
    }
    const size_t n = std::min(bytes, payload_.size() - payload_have_);
    if (n > 0) std::memcpy(payload_.data() + payload_have_, at, n);
    payload_have_ += n;
    at += n;
    bytes -= n;
    if (payload_have_ < payload_.size()) return true;
    if (!FinishReceivedFrame()) return false;
  }
  return true;
}

bool Connection::FinishReceivedFrame() {
  header_have_ = 0;
  Status status = VerifyFrame(header_, payload_.view());
  if (status.ok()) {
    if (header_.type == FrameType::kGoodbye) {
      peer_said_goodbye_ = true;
    } else {
      status = handler_.OnFrame(*this, header_, std::move(payload_));
    }
  }
  payload_ = FrameBytes();
  if (!status.ok()) End(status);
  return !ended_;
}

void Connection::TakePending() {
  std::lock_guard lock(mutex_);
  write_posted_ = false;
  pending_bytes_ = 0;
  for (BufferWriter& frame : pending_) outgoing_.push_back(std::move(frame));
  pending_.clear();
}

void Connection::Write() {
  writing_ = true;
  while (!ended_ && !outgoing_.empty()) {
    iovec parts[kFramesPerWrite];
    size_t count = 0;
    for (; count < std::min(kFramesPerWrite, outgoing_.size()); ++count) {
      const std::string_view frame = outgoing_[count].view().substr(count == 0 ? front_sent_ : 0);
      parts[count] = {const_cast<char*>(frame.data()), frame.size()};
    }
    msghdr message{};
    message.msg_iov = parts;
    message.msg_iovlen = count;
    ssize_t n = ::sendmsg(socket_.native_handle(), &message, MSG_NOSIGNAL);
    if (n < 0) {
      if (WouldBlock(errno)) return WaitWritable();
      return End(Unavailable("{}", std::strerror(errno)));
    }
    front_sent_ += static_cast<size_t>(n);
    RecycleWritten();
    if (outgoing_.empty()) TakePending();
  }
  writing_ = false;
  if (goodbye_enqueued_ && !ended_ && !shut_down_) {
    shut_down_ = true;
    ::shutdown(socket_.native_handle(), SHUT_WR);
  }
}

void Connection::WaitWritable() {
  socket_.async_wait(StreamSocket::wait_write,
                     [self = shared_from_this()](const std::error_code& error) {
                       if (self->ended_) return;
                       if (error) return self->End(Unavailable("{}", error.message()));
                       self->Write();
                     });
}

void Connection::RecycleWritten() {
  std::lock_guard lock(mutex_);
  while (!outgoing_.empty() && front_sent_ >= outgoing_.front().size()) {
    front_sent_ -= outgoing_.front().size();
    if (free_.size() < kMaxFreeBuffers && outgoing_.front().size() <= kMaxKeptBufferBytes) {
      free_.push_back(std::move(outgoing_.front()));
    }
    outgoing_.pop_front();
  }
}

void Connection::End(const Status& reason) {
  if (ended_) return;
  ended_ = true;
  {
    std::lock_guard lock(mutex_);
    closed_for_senders_ = true;
    pending_.clear();
    free_.clear();
  }
  std::error_code ignored;
  socket_.close(ignored);
  outgoing_.clear();
  const auto keep = shared_from_this();
  handler_.OnClosed(*this, reason);
}

}  // namespace flink::taskmanager
