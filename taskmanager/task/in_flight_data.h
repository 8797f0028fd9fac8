#pragma once

/// In-flight data: the elements that a barrier overtook in the queues of a task. They are part of
/// the task's snapshot and are processed before anything else after a restore.
///
/// Stored in the handles that Flink has for them (one per channel, offsets into one file of the
/// subtask). The file: i32 version, then per element i32 length, u8 kind, content; big-endian. The
/// content is a batch as channels carry it, so only we can read it: the version is another than
/// Flink's.
///
/// How much there can be: per channel its credit window (credit.h) and what one processing step of
/// the producer emits.
///
/// Threading: the task's thread.

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "common/base/status.h"
#include "common/snapshot/state_handle.h"
#include "flink/buffer.h"
#include "taskmanager/network/input_gate.h"
#include "taskmanager/task/task_deployment.h"

namespace flink::taskmanager {

/// What is kept of one channel. Ends of data are not: a producer that was at its end is there again
/// after a restore, and says so.
struct RecordedChannel {
  int channel = 0;  ///< Of the gate.
  std::string frames;
  std::vector<int64_t> offsets;  ///< Of the elements in `frames`.
};

/// Collects the elements of one checkpoint, from the time its first barrier overtook until each
/// channel has been closed by its own.
class InFlightRecorder {
 public:
  /// All channels are open. The gate outlives the recorder.
  InFlightRecorder(InputGate& gate, int64_t checkpoint_id);

  int64_t checkpoint_id() const { return checkpoint_id_; }
  /// What is taken out of an open channel must be recorded before it is processed.
  bool IsOpen(int channel) const { return channels_[static_cast<size_t>(channel)].open; }
  void Record(int channel, const StreamElement& element);
  /// With `capture_queue`: records what the queue still holds ahead of the barrier.
  void Close(int channel, bool capture_queue);
  /// The channels that have something. Call once, at the end.
  std::vector<RecordedChannel> Take();

 private:
  struct Channel {
    bool open = true;
    BufferWriter frames;
    std::vector<int64_t> offsets;
  };
  InputGate& gate_;
  const int64_t checkpoint_id_;
  std::vector<Channel> channels_;
};

/// Handles for what was recorded, and the bytes of the file they name (empty: all is inline).
struct StoredInFlightData {
  std::vector<snapshot::ChannelStateHandle> handles;
  std::string file_bytes;
};
StoredInFlightData StoreInFlightData(std::vector<RecordedChannel> recorded,
                                     const std::vector<InputChannelDeployment>& input_channels,
                                     int subtask, const std::string& path,
                                     uint64_t inline_threshold_bytes);

/// Reads what the deployment says was in flight, compares it with the checksums of its snapshot and
/// puts it into the task's gate. Errors name the file and what does not fit.
Status RecoverInFlightData(const TaskDeployment& deployment);

}  // namespace flink::taskmanager
