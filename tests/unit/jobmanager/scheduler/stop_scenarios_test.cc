// What happens to a job while it is being stopped: the scenarios of Apache Flink's
// StopWithSavepointTest and StopWithSavepointTerminationHandlerImplTest that no other test here is
// about. The whole list is in docs/flink-scenarios.md.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>

#include "common/snapshot/metadata.h"
#include "tests/unit/jobmanager/scheduler/job_master_harness.h"

namespace flink::jobmanager {
namespace {

using ::testing::HasSubstr;

class StopScenariosTest : public JobMasterTest {
 protected:
  /// Triggers a stop whose barrier nobody acknowledges.
  void BeginStop(SnapshotKind kind = SnapshotKind::kStopSuspend) {
    cluster_.ack_checkpoints = false;
    ASSERT_TRUE(Start(2).ok());
    UntilStatus(JobStatus::kRunning);
    Stop(kind);
    Until([&] { return !cluster_.last_target.exclusive_directory().empty(); });
    ASSERT_FALSE(answer_.has_value());
  }
  void Stop(SnapshotKind kind) {
    answer_.reset();
    cluster_.last_target.Clear();
    master_->TriggerSavepoint(directory_.File("savepoints"), SavepointFormat::kNative, kind,
                              [this](StatusOr<std::string> path) { answer_ = std::move(path); });
  }
  void UntilAnswered() {
    Until([&] { return answer_.has_value(); });
  }
  void Decline(const std::string& task_manager) {
    pbc::ExecutorMessage message;
    message.mutable_decline()->set_checkpoint_id(1);
    *message.mutable_decline()->mutable_subtask() = cluster_.AnySubtaskOn(task_manager);
    message.mutable_decline()->set_reason("CHECKPOINT_DECLINED");
    message.mutable_decline()->set_message("disk full");
    cluster_.FromExecutor(task_manager, std::move(message));
  }
  /// Whether this process has a file open below `directory`.
  static bool HasOpen(const std::string& directory) {
    const std::filesystem::directory_iterator descriptors("/proc/self/fd");
    return std::any_of(begin(descriptors), end(descriptors), [&](const auto& descriptor) {
      std::error_code gone;
      return std::filesystem::read_symlink(descriptor.path(), gone).string().starts_with(directory);
    });
  }
  bool NoSavepointIsLeft() const {
    const auto entries = io::ListDirectory(directory_.File("savepoints"));
    return entries.ok() && entries->empty();
  }

  std::optional<StatusOr<std::string>> answer_;
};

// flink-surface §4.1 no. 24, as the real one answers (recorded, rest/419).
TEST_F(StopScenariosTest, ASavepointThatWaitsWhenTheJobIsCancelledFailsByTheShutdown) {
  cluster_.ack_checkpoints = false;
  for (const SnapshotKind kind : {SnapshotKind::kSavepoint, SnapshotKind::kStopSuspend}) {
    store_ = InMemoryJobStore();
    ASSERT_TRUE(Start(2).ok());
    UntilStatus(JobStatus::kRunning);
    Stop(kind);
    Until([&] { return !cluster_.last_target.exclusive_directory().empty(); });
    ASSERT_FALSE(answer_.has_value());
    ASSERT_TRUE(master_->Cancel().ok());
    Until([&] { return answer_.has_value(); });
    EXPECT_THAT(Message(answer_->status()), HasSubstr("CheckpointCoordinator shutdown."));
    EXPECT_FALSE(IsStoppingFailure(answer_->status()));
    UntilStatus(JobStatus::kCanceled);
    UntilEnded();
  }
}

// testSavepointCreationFailureWithFailingExecutions (67),
// testRestartOnGlobalFailureIfRestartConfigured (79).
TEST_F(StopScenariosTest, ATaskThatFailsBesideAFailedSavepointCausesNoSecondRestart) {
  BeginStop();
  Decline("tm1");
  cluster_.TaskState("tm1", cluster_.AnySubtaskOn("tm1"), "FAILED");
  cluster_.TaskState("tm2", cluster_.AnySubtaskOn("tm2"), "FAILED");
  UntilAnswered();
  EXPECT_FALSE(answer_->ok());
  UntilStatus(JobStatus::kRestarting);
  cluster_.ack_checkpoints = true;
  UntilStatus(JobStatus::kRunning);
  while (mailbox_.RunOne()) {
  }
  EXPECT_EQ(master_->status(), JobStatus::kRunning);
  EXPECT_EQ(master_->Details().restarts, 1);
  Until([&] { return NoSavepointIsLeft(); });
  // Else the file system that it was on could not be unmounted.
  Until([&] { return !HasOpen(directory_.File("savepoints")); });
  EXPECT_TRUE(snapshot::LoadSnapshot(Savepoint(SnapshotKind::kStopSuspend)).ok())
      << "and it can be stopped after all";
}

// testFailingOnGlobalFailureIfNoRestartConfigured (79), testJobFailedAndSavepointOperationFails
// (76).
TEST_F(StopScenariosTest, WithoutRestartStrategyAFailureWhileStoppingFailsTheJobAndTheStop) {
  Set("restart-strategy.type", "none");
  BeginStop();
  cluster_.Exit("tm2", 11, "segmentation fault");
  UntilAnswered();
  EXPECT_FALSE(answer_->ok());
  UntilStatus(JobStatus::kFailed);
  UntilEnded();
  Until([&] { return NoSavepointIsLeft(); });
}

// testConcurrentSavepointFailureAndGloballyTerminalStateCauseRestart (83),
// testOnFailureWaitsForSavepointCompletion (81): here a failure aborts the savepoint instead.
TEST_F(StopScenariosTest, ASavepointThatFailsWhileAllExecutorsEndIsFollowedByARestart) {
  BeginStop();
  Decline("tm2");
  cluster_.Exit("tm1", 0, "Task executor has ended");
  cluster_.Exit("tm2", 0, "Task executor has ended");
  UntilAnswered();
  EXPECT_FALSE(answer_->ok());
  UntilStatus(JobStatus::kRestarting);
  UntilStatus(JobStatus::kRunning);
  EXPECT_EQ(master_->Details().restarts, 1);
}

// testRestartOnTaskFailureAfterSavepointCompletion (80), testFailedTerminationHandling (69),
// testJobFailedAndSavepointOperationSucceeds (75). Flink restarts from an earlier checkpoint; ours
// does not, whatever the restart strategy: what the sinks committed at the savepoint would be
// written again. The savepoint is not discarded.
TEST_F(StopScenariosTest, ATaskThatFailsBehindTheSavepointEndsTheJobWhichRestoresFromIt) {
  ASSERT_TRUE(Start(2).ok());
  UntilStatus(JobStatus::kRunning);
  Checkpoint();
  cluster_.finish_tasks = false;
  Stop(SnapshotKind::kStopSuspend);
  cluster_.completed.clear();
  Until([&] { return !cluster_.completed.empty(); });
  cluster_.TaskState("tm1", cluster_.AnySubtaskOn("tm1"), "FAILED");
  UntilAnswered();
  UntilEnded();
  EXPECT_EQ(master_->status(), JobStatus::kFailed);
  EXPECT_TRUE(IsStoppingFailure(answer_->status()));
  const std::string text = Message(answer_->status());
  const std::string mark = "A savepoint has been created at: ";
  ASSERT_THAT(text, HasSubstr(mark));
  const size_t begin = text.find(mark) + mark.size();
  const std::string path = text.substr(begin, text.find(',', begin) - begin);
  EXPECT_TRUE(snapshot::LoadSnapshot(path).ok());
  store_ = InMemoryJobStore();
  cluster_.finish_tasks = true;
  const Status started = Start(2, path);
  ASSERT_TRUE(started.ok()) << Message(started);
  UntilStatus(JobStatus::kRunning);
}

}  // namespace
}  // namespace flink::jobmanager
