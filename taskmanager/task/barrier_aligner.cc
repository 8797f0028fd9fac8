#include "taskmanager/task/barrier_aligner.h"

#include <algorithm>

namespace flink::taskmanager {

BarrierAligner::Answer BarrierAligner::OnBarrier(
    int channel, const std::shared_ptr<const CheckpointBarrier>& barrier, Time now) {
  Answer answer;
  const int64_t id = barrier->checkpoint_id;
  if (id <= last_finished_ || aborted_.count(id) != 0) return answer;
  if (exactly_once_) {
    while (!alignments_.empty() && alignments_.begin()->first < id) {
      answer.subsumed.push_back(alignments_.begin()->first);
      answer.release_all = true;
      last_finished_ = std::max(last_finished_, alignments_.begin()->first);
      alignments_.erase(alignments_.begin());
    }
  }
  Alignment& alignment = alignments_[id];
  if (alignment.arrived.empty()) alignment.begin = now;
  alignment.arrived.insert(channel);
  if (static_cast<int>(alignment.arrived.size()) < channels_) {
    answer.block_channel = exactly_once_;
    return answer;
  }
  answer.complete = barrier;
  answer.alignment = std::chrono::duration_cast<std::chrono::milliseconds>(now - alignment.begin);
  answer.release_all = answer.release_all || exactly_once_;
  last_finished_ = id;
  for (auto it = alignments_.begin(); it != alignments_.end() && it->first <= id;) {
    if (it->first < id) answer.subsumed.push_back(it->first);
    it = alignments_.erase(it);
  }
  aborted_.erase(aborted_.begin(), aborted_.upper_bound(id));
  return answer;
}

bool BarrierAligner::Abort(int64_t checkpoint_id) {
  if (checkpoint_id <= last_finished_) return false;
  aborted_.insert(checkpoint_id);
  return alignments_.erase(checkpoint_id) > 0 && exactly_once_;
}

}  // namespace flink::taskmanager
