#pragma once

/// BarrierAligner: decides when a checkpoint is taken at a task with several channels, and which
/// channels wait.
///
/// Exactly once: a channel that delivered the barrier is blocked until all have. At least once: no
/// channel is blocked, so records behind the barrier may be in the snapshot. A barrier of a newer
/// checkpoint ends an older alignment, whose barriers are ignored from then on; so are those of
/// aborted ones.
///
/// A barrier with an aligned timeout is announced when it enters a queue. When its time is up and
/// some channel has not delivered it, it overtakes: the checkpoint is taken at once, no channel
/// waits, and what each channel holds ahead of the barrier belongs to the snapshot; the channel is
/// closed by its barrier, or by its end, as soon as that is in its queue.
///
/// When all producers have finished, no channel delivers a barrier: the JobManager triggers the
/// checkpoint, whose place is behind the ends of all channels. With an aligned timeout it overtakes
/// what they hold.
///
/// Threading: the task's thread. Pure: the caller does as the answer says, in the order of its
/// fields.

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "taskmanager/network/stream_element.h"

namespace flink::taskmanager {

class BarrierAligner {
 public:
  using Time = std::chrono::steady_clock::time_point;
  struct Closed {
    int channel = 0;
    /// Barrier or end still stand in the queue: the elements ahead of it belong to the snapshot.
    bool capture_queue = false;
    bool operator==(const Closed&) const = default;
  };
  struct Answer {
    bool release_all = false;
    std::vector<int64_t> subsumed;  ///< Given up because of a newer checkpoint.
    bool block_channel = false;     ///< The one that delivered the barrier.
    /// Set when the checkpoint is to be taken now, with nothing in flight.
    std::shared_ptr<const CheckpointBarrier> complete;
    /// Set when the checkpoint is to be taken now, and the elements of each channel are recorded
    /// until it is closed.
    std::shared_ptr<const CheckpointBarrier> overtake;
    std::vector<Closed> closed;
    /// The checkpoint whose channels are all closed.
    std::optional<int64_t> drained;
    /// Call OnTimeout for this barrier when its time is up.
    std::shared_ptr<const CheckpointBarrier> start_timer;
    std::chrono::milliseconds alignment{0};  ///< With `complete` or `drained`.
  };

  BarrierAligner(int channels, bool exactly_once)
      : channels_(channels), exactly_once_(exactly_once) {}

  /// The barrier came out of the channel. `overdue`: its aligned timeout has passed.
  Answer OnBarrier(int channel, const std::shared_ptr<const CheckpointBarrier>& barrier,
                   bool overdue, Time now);
  /// The barrier entered the queue of the channel.
  Answer OnAnnounced(int channel, const std::shared_ptr<const CheckpointBarrier>& barrier,
                     bool overdue, Time now);
  /// The checkpoint was triggered at this task, all of whose producers have finished.
  Answer OnTrigger(const std::shared_ptr<const CheckpointBarrier>& barrier, bool overdue, Time now);
  Answer OnTimeout(int64_t checkpoint_id, Time now);
  /// The end entered the queue of the channel: what stands there is all that comes. As
  /// OnEndOfChannel.
  std::vector<Answer> OnEndAnnounced(int channel, Time now);
  /// No barrier will come on this channel any more: nobody waits for one. One answer for each
  /// checkpoint that this concerns.
  std::vector<Answer> OnEndOfChannel(int channel, Time now);
  /// True when blocked channels must be released.
  bool Abort(int64_t checkpoint_id);

 private:
  struct Alignment {
    std::shared_ptr<const CheckpointBarrier> barrier;
    std::set<int> arrived;    // the barrier came out
    std::set<int> announced;  // it stands in the queue, or came out since; overtaking: or the end
    bool triggered = false;   // no channel delivers a barrier
    bool has_timer = false;
    bool overtaking = false;
    Time begin;
  };
  bool IsOver(int64_t checkpoint_id) const {
    return checkpoint_id <= last_finished_ || aborted_.count(checkpoint_id) != 0;
  }
  Alignment& Begin(const std::shared_ptr<const CheckpointBarrier>& barrier, Time now,
                   Answer& answer);
  void Overtake(Alignment& alignment, Time now, Answer& answer);
  /// Whether the channels in the set and those at their end are all there are.
  bool IsAll(const std::set<int>& channels) const;
  void CompleteWhenArrived(const Alignment& alignment, Time now, Answer& answer);
  std::vector<Answer> CloseAtEnd(int channel, bool capture_queue, Time now);
  void FinishWhenClosed(const Alignment& alignment, Time now, Answer& answer);
  void Finish(int64_t checkpoint_id, Answer& answer);

  const int channels_;
  const bool exactly_once_;
  std::map<int64_t, Alignment> alignments_;  // one at most when exactly once
  int64_t last_finished_ = 0;                // completed, subsumed or older
  std::set<int64_t> aborted_;                // above last_finished_
  std::set<int> ending_;                     // channels whose end stands in the queue, or came out
  std::set<int> ended_;                      // channels whose end came out
};

}  // namespace flink::taskmanager
