#pragma once

/// SlotPool: registered TaskManagers and which job holds how many of their slots.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "common/base/ids.h"
#include "common/base/status.h"
#include "jobmanager/rpc/task_manager_gateway.h"

namespace flink::jobmanager {

/// How many slots of one TaskManager an allocation uses.
struct SlotShare {
  std::string task_manager_id;
  std::string host;
  int slots = 0;
  int data_port = 0;
  int task_manager_slots = 0;
  uint64_t task_manager_managed_memory = 0;
};

/// Pure. Confined to the main thread.
class SlotPool {
 public:
  struct Entry {
    TaskManagerInfo info;
    int64_t last_message_ms = 0;
    std::map<JobId, int> allocated;
    int free() const;
  };

  /// A TaskManager that registers again under its id starts with all slots free.
  void Register(TaskManagerInfo info, int64_t now_ms);
  /// All its slots go. False when unknown.
  bool Remove(const std::string& task_manager_id);
  void Heard(const std::string& task_manager_id, int64_t now_ms);

  /// `count` slots spread evenly: as many TaskManagers as possible, those with more free slots
  /// first. kResourceExhausted (nothing is taken) when fewer are free; its text says how many are
  /// needed, free and there in total.
  StatusOr<std::vector<SlotShare>> Allocate(const JobId& job, int count);
  /// The slots of a job on one TaskManager are free again.
  void Release(const JobId& job, const std::string& task_manager_id);

  int total() const;
  int free() const;
  const std::map<std::string, Entry>& task_managers() const { return task_managers_; }
  const Entry* Find(const std::string& task_manager_id) const;

 private:
  std::map<std::string, Entry> task_managers_;
};

}  // namespace flink::jobmanager
