#include "jobmanager/dispatcher/async_operations.h"

#include <utility>

namespace flink::jobmanager {

bool AsyncOperations::Start(OperationKind kind, const JobId& job, const std::string& trigger_id,
                            int64_t now_ms) {
  for (auto it = operations_.begin(); it != operations_.end();) {
    it = Expired(it->second, now_ms) ? operations_.erase(it) : std::next(it);
  }
  return operations_.try_emplace(Key{kind, job, trigger_id}).second;
}

void AsyncOperations::SetRequest(OperationKind kind, const JobId& job,
                                 const std::string& trigger_id, uint64_t request) {
  const auto found = operations_.find(Key{kind, job, trigger_id});
  if (found != operations_.end()) found->second.request = request;
}

void AsyncOperations::Succeed(OperationKind kind, const JobId& job, const std::string& trigger_id,
                              std::string location, int64_t checkpoint_id, int64_t now_ms) {
  const auto found = operations_.find(Key{kind, job, trigger_id});
  if (found == operations_.end() || found->second.completed) return;
  found->second.completed = true;
  found->second.location = std::move(location);
  found->second.checkpoint_id = checkpoint_id;
  found->second.completion_ms = now_ms;
}

void AsyncOperations::Fail(OperationKind kind, const JobId& job, const std::string& trigger_id,
                           OperationFailure failure, int64_t now_ms) {
  const auto found = operations_.find(Key{kind, job, trigger_id});
  if (found == operations_.end() || found->second.completed) return;
  found->second.completed = true;
  found->second.failure = std::move(failure);
  found->second.completion_ms = now_ms;
}

const Operation* AsyncOperations::Find(OperationKind kind, const JobId& job,
                                       const std::string& trigger_id, int64_t now_ms) const {
  const auto found = operations_.find(Key{kind, job, trigger_id});
  if (found == operations_.end() || Expired(found->second, now_ms)) return nullptr;
  return &found->second;
}

}  // namespace flink::jobmanager
