#pragma once

/// Connection: frames over one stream socket (TCP or unix), driven by the I/O thread.
///
/// Threading: TakeBuffer and Enqueue from any thread; everything else on the I/O thread. Ownership:
/// shared by the exchange network and the channels that send over it. The handler outlives the I/O
/// thread's last work. Errors: a connection ends once, and its handler is told: OK after a goodbye
/// of the peer, else why it was lost. What is enqueued after that is dropped.

#ifndef ASIO_STANDALONE
#define ASIO_STANDALONE
#endif
#include <asio.hpp>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "common/base/status.h"
#include "taskmanager/network/frame.h"
#include "taskmanager/network/stream_element.h"

namespace flink::taskmanager {

using StreamSocket = asio::generic::stream_protocol::socket;

class Connection : public std::enable_shared_from_this<Connection> {
 public:
  /// Called on the I/O thread.
  class Handler {
   public:
    virtual ~Handler() = default;
    /// A verified frame. An error ends the connection.
    virtual Status OnFrame(Connection& connection, const FrameHeader& header,
                           FrameBytes payload) = 0;
    /// All that had arrived has been handed over.
    virtual void OnReadTurnOver() = 0;
    virtual void OnClosed(Connection& connection, const Status& reason) = 0;
  };

  Connection(std::shared_ptr<asio::io_context> io, Handler& handler, std::string peer_id)
      : io_(std::move(io)), handler_(handler), socket_(*io_), peer_id_(std::move(peer_id)) {}

  /// An empty buffer, mostly one that was used before.
  BufferWriter TakeBuffer();
  /// Sends a finished frame after those enqueued before. With `more_expected` it may wait for
  /// company until Announce.
  void Enqueue(BufferWriter frame, bool more_expected = false);
  /// Sends what waits for company.
  void Announce();

  StreamSocket& socket() { return socket_; }
  /// The peer's executor id; of an accepted connection known after its greeting.
  const std::string& peer_id() const { return peer_id_; }
  void set_peer_id(std::string id) { peer_id_ = std::move(id); }

  /// The socket is connected: begin to read.
  void Start();
  /// Enqueued frames wait for this: the peer must be ready to take elements.
  void AllowWriting();
  /// Writes one small frame past those that wait. Only before AllowWriting.
  void SendNow(const BufferWriter& frame);
  /// Says goodbye after all that is enqueued, then only listens until the peer closes.
  void CloseGracefully();
  void Fail(const Status& reason);
  bool ended() const { return ended_; }

 private:
  void WaitReadable();
  void OnReadable();
  /// False: the connection has ended.
  bool Consume(size_t bytes);
  bool FinishReceivedFrame();
  void PostWrite();
  void TakePending();
  void Write();
  void WaitWritable();
  void RecycleWritten();
  void End(const Status& reason);

  const std::shared_ptr<asio::io_context> io_;
  Handler& handler_;
  StreamSocket socket_;
  std::string peer_id_;
  bool ended_ = false;
  bool peer_said_goodbye_ = false;

  // Reading. A frame's payload is read in place; what lies behind it goes to spill_ and is copied
  // from there.
  FrameHeader header_;
  size_t header_have_ = 0;
  FrameBytes payload_;
  size_t payload_have_ = 0;
  std::vector<char> spill_ = std::vector<char>(16 << 10);

  // Writing.
  bool may_write_ = false;
  bool writing_ = false;  // frames are under way, or the socket is being waited for
  bool goodbye_enqueued_ = false;
  bool shut_down_ = false;
  std::deque<BufferWriter> outgoing_;
  size_t front_sent_ = 0;  // bytes of outgoing_.front()

  std::mutex mutex_;
  std::vector<BufferWriter> pending_;  // guarded by mutex_
  size_t pending_bytes_ = 0;           // guarded by mutex_
  std::vector<BufferWriter> free_;     // guarded by mutex_
  bool write_posted_ = false;          // guarded by mutex_
  bool closed_for_senders_ = false;    // guarded by mutex_
};

}  // namespace flink::taskmanager
