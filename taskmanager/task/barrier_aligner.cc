#include "taskmanager/task/barrier_aligner.h"

#include <algorithm>

namespace flink::taskmanager {
namespace {

std::chrono::milliseconds Since(BarrierAligner::Time begin, BarrierAligner::Time now) {
  return std::chrono::duration_cast<std::chrono::milliseconds>(now - begin);
}

}  // namespace

BarrierAligner::Answer BarrierAligner::OnBarrier(
    int channel, const std::shared_ptr<const CheckpointBarrier>& barrier, bool overdue, Time now) {
  Answer answer;
  const int64_t id = barrier->checkpoint_id;
  if (IsOver(id)) return answer;
  Alignment& alignment = Begin(barrier, now, answer);
  alignment.arrived.insert(channel);
  if (alignment.overtaking) {
    if (!alignment.announced.insert(channel).second) return answer;
    answer.closed.push_back({channel, false});
    FinishWhenClosed(alignment, now, answer);
    return answer;
  }
  CompleteWhenArrived(alignment, now, answer);
  if (answer.complete) return answer;
  if (overdue) {
    Overtake(alignment, now, answer);
  } else {
    answer.block_channel = exactly_once_;
  }
  return answer;
}

std::vector<BarrierAligner::Answer> BarrierAligner::OnEndAnnounced(int channel, Time now) {
  ending_.insert(channel);
  return CloseAtEnd(channel, true, now);
}

std::vector<BarrierAligner::Answer> BarrierAligner::OnEndOfChannel(int channel, Time now) {
  ending_.insert(channel);
  ended_.insert(channel);
  return CloseAtEnd(channel, false, now);
}

std::vector<BarrierAligner::Answer> BarrierAligner::CloseAtEnd(int channel, bool capture_queue,
                                                               Time now) {
  std::vector<int64_t> ids;
  for (const auto& [id, alignment] : alignments_) ids.push_back(id);
  std::vector<Answer> answers;
  for (const int64_t id : ids) {
    const auto found = alignments_.find(id);
    if (found == alignments_.end()) continue;
    Answer answer;
    Alignment& alignment = found->second;
    if (!alignment.overtaking) {
      CompleteWhenArrived(alignment, now, answer);
    } else if (alignment.announced.insert(channel).second) {
      answer.closed.push_back({channel, capture_queue});
      FinishWhenClosed(alignment, now, answer);
    }
    answers.push_back(std::move(answer));
  }
  return answers;
}

bool BarrierAligner::IsAll(const std::set<int>& channels) const {
  int count = static_cast<int>(channels.size());
  for (const int channel : ended_) count += channels.count(channel) == 0 ? 1 : 0;
  return count == channels_;
}

void BarrierAligner::CompleteWhenArrived(const Alignment& alignment, Time now, Answer& answer) {
  const bool begun = alignment.triggered || !alignment.arrived.empty();
  if (!begun || !IsAll(alignment.arrived)) return;
  answer.complete = alignment.barrier;
  answer.alignment = Since(alignment.begin, now);
  answer.release_all = answer.release_all || exactly_once_;
  Finish(alignment.barrier->checkpoint_id, answer);
}

BarrierAligner::Answer BarrierAligner::OnAnnounced(
    int channel, const std::shared_ptr<const CheckpointBarrier>& barrier, bool overdue, Time now) {
  Answer answer;
  if (IsOver(barrier->checkpoint_id)) return answer;
  Alignment& alignment = Begin(barrier, now, answer);
  if (!alignment.announced.insert(channel).second) return answer;
  if (alignment.overtaking) {
    answer.closed.push_back({channel, true});
    FinishWhenClosed(alignment, now, answer);
  } else if (overdue) {
    Overtake(alignment, now, answer);
  } else if (!alignment.has_timer) {
    alignment.has_timer = true;
    answer.start_timer = barrier;
  }
  return answer;
}

BarrierAligner::Answer BarrierAligner::OnTrigger(
    const std::shared_ptr<const CheckpointBarrier>& barrier, bool overdue, Time now) {
  Answer answer;
  if (IsOver(barrier->checkpoint_id)) return answer;
  Alignment& alignment = Begin(barrier, now, answer);
  alignment.triggered = true;
  CompleteWhenArrived(alignment, now, answer);
  if (answer.complete) return answer;
  if (overdue) {
    Overtake(alignment, now, answer);
  } else if (barrier->aligned_timeout_ms) {
    answer.start_timer = barrier;
  }
  return answer;
}

BarrierAligner::Answer BarrierAligner::OnTimeout(int64_t checkpoint_id, Time now) {
  Answer answer;
  const auto found = alignments_.find(checkpoint_id);
  if (found != alignments_.end() && !found->second.overtaking) {
    Overtake(found->second, now, answer);
  }
  return answer;
}

bool BarrierAligner::Abort(int64_t checkpoint_id) {
  if (checkpoint_id <= last_finished_) return false;
  aborted_.insert(checkpoint_id);
  return alignments_.erase(checkpoint_id) > 0 && exactly_once_;
}

BarrierAligner::Alignment& BarrierAligner::Begin(
    const std::shared_ptr<const CheckpointBarrier>& barrier, Time now, Answer& answer) {
  const int64_t id = barrier->checkpoint_id;
  if (exactly_once_) {
    while (!alignments_.empty() && alignments_.begin()->first < id) {
      answer.subsumed.push_back(alignments_.begin()->first);
      answer.release_all = true;
      last_finished_ = std::max(last_finished_, alignments_.begin()->first);
      alignments_.erase(alignments_.begin());
    }
  }
  const auto [it, is_new] = alignments_.try_emplace(id);
  if (is_new) {
    it->second.barrier = barrier;
    it->second.begin = now;
  }
  return it->second;
}

void BarrierAligner::Overtake(Alignment& alignment, Time now, Answer& answer) {
  alignment.overtaking = true;
  answer.overtake = alignment.barrier;
  answer.release_all = true;
  alignment.announced.insert(alignment.arrived.begin(), alignment.arrived.end());
  alignment.announced.insert(ending_.begin(), ending_.end());
  for (const int channel : alignment.announced) {
    answer.closed.push_back({channel, alignment.arrived.count(channel) == 0});
  }
  FinishWhenClosed(alignment, now, answer);
}

void BarrierAligner::FinishWhenClosed(const Alignment& alignment, Time now, Answer& answer) {
  if (!IsAll(alignment.announced)) return;
  answer.drained = alignment.barrier->checkpoint_id;
  answer.alignment = Since(alignment.begin, now);
  Finish(*answer.drained, answer);
}

void BarrierAligner::Finish(int64_t checkpoint_id, Answer& answer) {
  last_finished_ = checkpoint_id;
  for (auto it = alignments_.begin(); it != alignments_.end() && it->first <= checkpoint_id;) {
    if (it->first < checkpoint_id) answer.subsumed.push_back(it->first);
    it = alignments_.erase(it);
  }
  aborted_.erase(aborted_.begin(), aborted_.upper_bound(checkpoint_id));
}

}  // namespace flink::taskmanager
