#include "jobmanager/resource/slot_pool.h"

#include <algorithm>

namespace flink::jobmanager {

int SlotPool::Entry::free() const {
  int used = 0;
  for (const auto& [job, slots] : allocated) used += slots;
  return std::max(0, info.slots - used);
}

void SlotPool::Register(TaskManagerInfo info, int64_t now_ms) {
  Entry entry;
  entry.info = std::move(info);
  entry.last_message_ms = now_ms;
  const std::string id = entry.info.id;
  task_managers_[id] = std::move(entry);
}

bool SlotPool::Remove(const std::string& task_manager_id) {
  return task_managers_.erase(task_manager_id) != 0;
}

void SlotPool::Heard(const std::string& task_manager_id, int64_t now_ms) {
  const auto found = task_managers_.find(task_manager_id);
  if (found != task_managers_.end()) found->second.last_message_ms = now_ms;
}

namespace {

/// A sentence that goes on after one that says which job was not started, and a colon.
std::string TooFewSlots(int needed, int free, int total) {
  const char* plural = needed == 1 ? "" : "s";
  std::string text = fmt::format("it needs {} task slot{}, but ", needed, plural);
  if (total == 0) {
    text += "no TaskManager is there. Start one (bin/taskmanager.sh start).";
    return text;
  }
  if (free == 0) {
    text += fmt::format("none of the cluster's {} is free. ", total);
  } else {
    text += fmt::format("only {} of the cluster's {} {} free. Run it with -p {}{}, or ", free,
                        total, free == 1 ? "is" : "are", free, free == 1 ? "" : " or less");
  }
  const char* start = free == 0 ? "Start" : "start";
  text += fmt::format("{} more TaskManagers (bin/taskmanager.sh start)", start);
  text += free == total ? "." : ", or cancel another job.";
  return text;
}

}  // namespace

StatusOr<std::vector<SlotShare>> SlotPool::Allocate(const JobId& job, int count) {
  if (free() < count) {
    return ResourceExhausted("{}", TooFewSlots(count, free(), total()));
  }
  struct Candidate {
    Entry* entry;
    int taken = 0;
  };
  std::vector<Candidate> candidates;
  for (auto& [id, entry] : task_managers_) {
    if (entry.free() > 0) candidates.push_back({&entry, 0});
  }
  std::stable_sort(
      candidates.begin(), candidates.end(),
      [](const Candidate& a, const Candidate& b) { return a.entry->free() > b.entry->free(); });
  for (int left = count; left > 0;) {
    for (Candidate& candidate : candidates) {
      if (left > 0 && candidate.taken < candidate.entry->free()) {
        ++candidate.taken;
        --left;
      }
    }
  }
  std::vector<SlotShare> shares;
  for (const Candidate& candidate : candidates) {
    if (candidate.taken == 0) continue;
    const TaskManagerInfo& info = candidate.entry->info;
    SlotShare share;
    share.task_manager_id = info.id;
    share.host = info.host;
    share.slots = candidate.taken;
    share.data_port = info.data_port;
    share.task_manager_slots = info.slots;
    share.task_manager_managed_memory = info.managed_memory_bytes;
    shares.push_back(std::move(share));
    candidate.entry->allocated[job] += candidate.taken;
  }
  return shares;
}

void SlotPool::Release(const JobId& job, const std::string& task_manager_id) {
  const auto found = task_managers_.find(task_manager_id);
  if (found != task_managers_.end()) found->second.allocated.erase(job);
}

int SlotPool::total() const {
  int slots = 0;
  for (const auto& [id, entry] : task_managers_) slots += entry.info.slots;
  return slots;
}

int SlotPool::free() const {
  int slots = 0;
  for (const auto& [id, entry] : task_managers_) slots += entry.free();
  return slots;
}

const SlotPool::Entry* SlotPool::Find(const std::string& task_manager_id) const {
  const auto found = task_managers_.find(task_manager_id);
  return found == task_managers_.end() ? nullptr : &found->second;
}

}  // namespace flink::jobmanager
