#pragma once

/// The fixture of tests of the JobMaster: a job on two scripted TaskManagers of two slots each, and
/// its mailbox, which runs as long as a test waits for something.

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "common/io/file_system.h"
#include "common/io/temp_directory.h"
#include "jobmanager/scheduler/job_master.h"
#include "tests/unit/jobmanager/scheduler/scripted_cluster.h"

namespace flink::jobmanager {

namespace pbc = pb::cluster::v1;

inline constexpr auto kPatience = std::chrono::seconds(30);

class JobMasterTest : public ::testing::Test {
 protected:
  JobMasterTest()
      : cluster_(&mailbox_,
                 [this](const std::string& task_manager, const pbc::TaskManagerMessage& message) {
                   if (master_ == nullptr) return;
                   if (message.has_executor()) {
                     master_->OnExecutorMessage(task_manager, message.executor());
                   } else {
                     master_->OnExecutorExited(task_manager, message.executor_exited());
                   }
                 }),
        directory_(io::TempDirectory::Create("job-master-test").value()) {
    slots_.Register(TestTaskManager("tm1", 2), 0);
    slots_.Register(TestTaskManager("tm2", 2), 0);
    Set("execution.checkpointing.dir", directory_.File("checkpoints"));
    Set("restart-strategy.type", "fixed-delay");
    Set("restart-strategy.fixed-delay.attempts", "3");
    Set("restart-strategy.fixed-delay.delay", "0 s");
  }
  ~JobMasterTest() override {
    master_.reset();
    pool_.Shutdown();
  }

  void Set(const std::string& key, const std::string& value) { configuration_.Set(key, value); }

  Status Create(int parallelism, const std::string& restore = {}) {
    pb::graph::v1::JobGraph graph = TestGraph(parallelism);
    for (auto& vertex : *graph.mutable_vertices()) {
      if (parallelism > vertex.max_parallelism()) vertex.set_max_parallelism(512);
    }
    graph.mutable_restore()->set_path(restore);
    graph.mutable_restore()->set_claim_mode(claim_);
    JobMaster::Deps deps;
    deps.main = &mailbox_;
    deps.io = &pool_;
    deps.clock = &Clock::System();
    deps.store = &store_;
    deps.slots = &slots_;
    deps.send = [this](const std::string& task_manager, pbc::JobManagerMessage message) {
      return cluster_.Send(task_manager, std::move(message));
    };
    deps.private_checkpoint_directory = directory_.File("private");
    deps.on_ended = [this](const JobId&) { ended_ = true; };
    ended_ = false;
    auto made =
        JobMaster::Create(SubmittedJob::FromProto(graph).value(), configuration_, std::move(deps));
    if (!made.ok()) return made.status();
    master_ = *std::move(made);
    return OkStatus();
  }
  /// Initializes the job and starts it when that succeeded.
  Status Start(int parallelism, const std::string& restore = {}) {
    RETURN_IF_ERROR(Create(parallelism, restore));
    std::optional<Status> initialized;
    master_->Initialize([&](const Status& status) { initialized = status; });
    Until([&] { return initialized.has_value(); });
    if (initialized->ok()) master_->Start();
    return *initialized;
  }
  void Until(const std::function<bool()>& done) {
    ASSERT_TRUE(mailbox_.RunUntil(done, std::chrono::steady_clock::now() + kPatience));
  }
  void UntilStatus(JobStatus status) {
    Until([&] { return master_->status() == status; });
  }
  void UntilEnded() {
    Until([&] { return ended_; });
  }
  std::string Savepoint(SnapshotKind kind = SnapshotKind::kSavepoint) {
    std::optional<StatusOr<std::string>> answer;
    master_->TriggerSavepoint(directory_.File("savepoints"), SavepointFormat::kNative, kind,
                              [&](StatusOr<std::string> path) { answer = std::move(path); });
    Until([&] { return answer.has_value(); });
    EXPECT_TRUE(answer->ok()) << Message(answer->status());
    return answer->ok() ? **answer : std::string();
  }
  CheckpointId Checkpoint() {
    std::optional<StatusOr<CheckpointId>> answer;
    master_->TriggerCheckpoint(false, [&](StatusOr<CheckpointId> id) { answer = std::move(id); });
    Until([&] { return answer.has_value(); });
    EXPECT_TRUE(answer->ok()) << Message(answer->status());
    return answer->ok() ? **answer : 0;
  }
  std::string JobDirectory() const {
    return io::JoinPath(directory_.File("checkpoints"), master_->id().ToHex());
  }

  Mailbox mailbox_;
  WorkerPool pool_{"io", 2};
  SlotPool slots_;
  InMemoryJobStore store_;
  ScriptedCluster cluster_;
  io::TempDirectory directory_;
  Configuration configuration_;
  std::unique_ptr<JobMaster> master_;
  bool ended_ = false;
  pb::graph::v1::SavepointRestoreSettings::ClaimMode claim_ =
      pb::graph::v1::SavepointRestoreSettings::CLAIM_MODE_NO_CLAIM;
};

}  // namespace flink::jobmanager
