#pragma once

/// ExchangeNetwork: the channels between this task executor and its peers. One listener, one I/O
/// thread, at most one connection per ordered pair of executors (the producing side opens it),
/// channels multiplexed.
///
/// Threading: Listen, RegisterInput, MakeOutput, Start, Finish and Shutdown on the owner's thread.
/// The I/O thread pushes received elements into the gates and gives credit back to producers.
/// Ownership: owns the connections; channels keep the one they send over. Destroy it after the
/// tasks have ended. Errors: a connection that breaks, a damaged frame or a gap in a channel ends
/// the connection, and `on_lost` is called (I/O thread) with "lost connection to task executor X:
/// why". Nothing is delivered on its channels after that.

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "common/base/status.h"
#include "taskmanager/network/credit.h"
#include "taskmanager/network/frame.h"
#include "taskmanager/network/input_gate.h"
#include "taskmanager/network/output_channel.h"

namespace flink::taskmanager {

class ExchangeNetwork {
 public:
  struct Options {
    Hello self;                  ///< Who we are; peers must name the same job, attempt and token.
    std::string bind_address;    ///< Host to listen on.
    std::string public_address;  ///< Host that peers use; a loopback address selects a unix socket.
    std::string work_directory;  ///< For the socket file.
  };

  ExchangeNetwork(Options options, std::function<void(Status)> on_lost);
  ~ExchangeNetwork();
  ExchangeNetwork(const ExchangeNetwork&) = delete;
  ExchangeNetwork& operator=(const ExchangeNetwork&) = delete;

  /// Opens the listener; returns the address for peers: "host:port" or "unix:/path".
  StatusOr<std::string> Listen();

  /// Elements of this channel go into the gate. Before Start.
  void RegisterInput(uint64_t channel_id, std::shared_ptr<InputGate> gate, int channel);
  /// The sending end of a channel to a task of that executor. Before Start.
  std::unique_ptr<OutputChannel> MakeOutput(const std::string& executor_id,
                                            const std::string& address, uint64_t channel_id,
                                            std::shared_ptr<OutputCredit> credit);
  /// Opens the connections, and lets peers send.
  void Start();
  /// From here on a lost connection is no failure: the tasks are ending.
  void ExpectEnd();
  /// Says goodbye to all peers and waits until they close too, at most a second. Then as Shutdown.
  void Finish();
  /// Closes everything at once. Repeatable.
  void Shutdown();

 private:
  class Io;
  std::unique_ptr<Io> io_;
};

}  // namespace flink::taskmanager
