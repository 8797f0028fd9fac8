#pragma once

/// AsyncOperations: the outcomes of savepoints, checkpoints and disposals that clients poll by
/// trigger id.

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "common/base/ids.h"

namespace flink::jobmanager {

enum class OperationKind { kSavepoint, kCheckpoint, kDisposal };

/// Why an operation failed: Flink's exception class and one readable text.
struct OperationFailure {
  std::string class_name;
  std::string message;
};

struct Operation {
  bool completed = false;
  std::optional<OperationFailure> failure;
  std::string location;       ///< Of a savepoint.
  int64_t checkpoint_id = 0;  ///< Of a checkpoint.
  int64_t completion_ms = 0;
  uint64_t request = 0;  ///< Of the job's checkpoint coordinator; 0 when there is none.
};

/// Remembers a completed operation for `store_ms`; one in progress until it completes. Confined to
/// the main thread.
class AsyncOperations {
 public:
  explicit AsyncOperations(int64_t store_ms) : store_ms_(store_ms) {}

  /// False when the id is known: the operation was started before and is not to be started again.
  bool Start(OperationKind kind, const JobId& job, const std::string& trigger_id, int64_t now_ms);
  void SetRequest(OperationKind kind, const JobId& job, const std::string& trigger_id,
                  uint64_t request);
  void Succeed(OperationKind kind, const JobId& job, const std::string& trigger_id,
               std::string location, int64_t checkpoint_id, int64_t now_ms);
  void Fail(OperationKind kind, const JobId& job, const std::string& trigger_id,
            OperationFailure failure, int64_t now_ms);
  /// Null when unknown or forgotten.
  const Operation* Find(OperationKind kind, const JobId& job, const std::string& trigger_id,
                        int64_t now_ms) const;

 private:
  struct Key {
    OperationKind kind;
    JobId job;
    std::string trigger_id;
    auto operator<=>(const Key&) const = default;
  };
  bool Expired(const Operation& operation, int64_t now_ms) const {
    return operation.completed && operation.completion_ms + store_ms_ < now_ms;
  }

  const int64_t store_ms_;
  std::map<Key, Operation> operations_;
};

}  // namespace flink::jobmanager
