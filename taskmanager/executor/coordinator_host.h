#pragma once

/// CoordinatorHost: runs one source coordinator on a mailbox thread of its own.
///
/// Threading: the methods post and return; from the control thread. What the coordinator says goes
/// out through `report` in the order it was said, so an acknowledged snapshot stands between the
/// events sent before and after it. Ownership: owns the coordinator, which lives and ends on its
/// thread. Errors: what it throws is reported once, as an ExecutorFailed with user_error; nothing
/// is called after that.

#include <functional>
#include <memory>
#include <string>

#include "common/base/ids.h"
#include "common/concurrency/mailbox.h"
#include "flink/operator.h"
#include "flink/pb/cluster/v1/executor.pb.h"

namespace flink::taskmanager {

class CoordinatorHost {
 public:
  using Report = std::function<void(::flink::pb::cluster::v1::ExecutorMessage)>;
  using Factory = std::function<std::unique_ptr<SourceCoordinator>()>;

  CoordinatorHost(const OperatorId& operator_id, const std::string& operator_name, int parallelism,
                  Report report);
  ~CoordinatorHost();

  void Start(Factory factory, bool restored, std::string state);
  void HandleEvent(int subtask, std::string payload);
  void Snapshot(int64_t checkpoint_id);

 private:
  class Context;
  void Run(const std::function<void()>& call);

  const std::string operator_id_;  // as in messages
  const std::string operator_name_;
  const Report report_;
  std::unique_ptr<Context> context_;
  std::unique_ptr<SourceCoordinator> coordinator_;
  bool failed_ = false;
  MailboxThread thread_;
};

}  // namespace flink::taskmanager
