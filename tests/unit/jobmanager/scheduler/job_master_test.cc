#include "jobmanager/scheduler/job_master.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "common/io/file_system.h"
#include "common/io/temp_directory.h"
#include "common/snapshot/metadata.h"
#include "common/snapshot/snapshot_claim.h"
#include "common/snapshot/snapshot_files.h"
#include "tests/unit/jobmanager/scheduler/job_master_harness.h"

namespace flink::jobmanager {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

TEST_F(JobMasterTest, IsRunningWhenAllTasksAre) {
  ASSERT_TRUE(Start(4).ok());
  EXPECT_EQ(master_->status(), JobStatus::kCreated);
  UntilStatus(JobStatus::kRunning);
  ASSERT_EQ(cluster_.started.size(), 2u);
  EXPECT_EQ(cluster_.started[0].settings().slots(), 2);
  EXPECT_EQ(cluster_.started[0].settings().managed_memory_bytes(), 1000u);
  EXPECT_EQ(cluster_.started[0].settings().data_token(),
            cluster_.started[1].settings().data_token());
  const pbc::DeployTasks& deploy = cluster_.deployed.at("tm1");
  EXPECT_EQ(deploy.placements_size(), 8);
  EXPECT_EQ(deploy.executor_addresses().size(), 2u);
  EXPECT_EQ(slots_.free(), 0);
  int coordinators = 0;
  for (const auto& [id, d] : cluster_.deployed) coordinators += d.coordinators_size();
  EXPECT_EQ(coordinators, 1);
}

TEST_F(JobMasterTest, SpreadsSlotsOverTaskManagers) {
  ASSERT_TRUE(Start(2).ok());
  UntilStatus(JobStatus::kRunning);
  ASSERT_EQ(cluster_.started.size(), 2u);
  EXPECT_EQ(cluster_.started[0].settings().managed_memory_bytes(), 500u);
  EXPECT_EQ(slots_.free(), 2);
}

TEST_F(JobMasterTest, TooFewSlotsRefuseTheSubmission) {
  const Status refused = Start(5);
  EXPECT_THAT(Message(refused),
              HasSubstr("it needs 5 task slots, but only 4 of the cluster's 4 are free"));
  EXPECT_EQ(master_->status(), JobStatus::kFailed);
  UntilEnded();
  EXPECT_TRUE(cluster_.started.empty());
}

TEST_F(JobMasterTest, UnwritableCheckpointDirectoryRefusesTheSubmission) {
  ASSERT_TRUE(io::WriteFileDurably(directory_.File("file"), "x").ok());
  Set("execution.checkpointing.dir", directory_.File("file") + "/sub");
  const Status refused = Start(2);
  EXPECT_THAT(Message(refused), HasSubstr(directory_.File("file")));
  EXPECT_EQ(slots_.free(), 4);
  UntilEnded();
}

TEST_F(JobMasterTest, EndOfDataLeadsToAFinalCheckpointAndFinished) {
  cluster_.finish_at_once = true;
  ASSERT_TRUE(Start(2).ok());
  UntilStatus(JobStatus::kFinished);
  EXPECT_EQ(cluster_.completed.size(), 2u);  // Both executors.
  EXPECT_EQ(cluster_.last_target.kind(), pbc::SnapshotTarget::KIND_FINAL);
  UntilEnded();
  EXPECT_EQ(slots_.free(), 4);
  EXPECT_FALSE(io::Exists(JobDirectory())) << "nothing is retained of a finished job";
}

TEST_F(JobMasterTest, SavepointIsCompleteAndRelocatable) {
  ASSERT_TRUE(Start(2).ok());
  UntilStatus(JobStatus::kRunning);
  const std::string path = Savepoint();
  EXPECT_EQ(path.compare(0, 6, "file:/"), 0) << path;
  EXPECT_THAT(path, HasSubstr("/savepoint-6a6a6a-"));
  const auto loaded = snapshot::LoadSnapshot(path);
  ASSERT_TRUE(loaded.ok()) << Message(loaded.status());
  EXPECT_EQ(loaded->metadata.operators.size(), 2u);
  EXPECT_TRUE(FilesOutside(loaded->metadata, loaded->directory).empty());
  for (const auto& op : loaded->metadata.operators) {
    for (const auto& [index, state] : op.subtasks) {
      snapshot::ForEachStream(state, [](const snapshot::StreamStateHandle& stream) {
        EXPECT_TRUE(std::holds_alternative<snapshot::RelativeFileHandle>(stream));
      });
    }
  }
  const SideFile side = ReadSideFile(loaded->directory);
  EXPECT_EQ(side.kind, "savepoint");
  ASSERT_EQ(side.operators.size(), 2u);
  EXPECT_EQ(side.operators.begin()->second.uid, "source");
  EXPECT_TRUE(cluster_.completed.empty()) << "an intermediate savepoint commits nothing";
}

TEST_F(JobMasterTest, TaskFailureRestartsFromTheLatestCheckpoint) {
  ASSERT_TRUE(Start(2).ok());
  UntilStatus(JobStatus::kRunning);
  const CheckpointId checkpoint = Checkpoint();
  cluster_.TaskState("tm1", cluster_.AnySubtaskOn("tm1"), "FAILED");
  UntilStatus(JobStatus::kRestarting);
  UntilStatus(JobStatus::kRunning);
  EXPECT_EQ(cluster_.deployed.at("tm1").restored_checkpoint_id(), checkpoint);
  EXPECT_GT(cluster_.deployed.at("tm1").restores_size(), 0);
  EXPECT_EQ(cluster_.started.back().settings().attempt(), 1);
  EXPECT_EQ(master_->Details().restarts, 1);
  ASSERT_EQ(master_->Details().exceptions.size(), 1u);
  EXPECT_THAT(master_->Details().exceptions[0].message, HasSubstr("thrown on purpose"));
}

TEST_F(JobMasterTest, ExecutorThatDiesRestartsTheJob) {
  ASSERT_TRUE(Start(2).ok());
  UntilStatus(JobStatus::kRunning);
  cluster_.Exit("tm2", 11, "The task executor of job \"Word count\" was killed by signal 11.");
  UntilStatus(JobStatus::kRestarting);
  UntilStatus(JobStatus::kRunning);
  EXPECT_EQ(master_->Details().restarts, 1);
}

TEST_F(JobMasterTest, SharedFilesThatNoAcknowledgementNamedGoWithTheAttempt) {
  Set("restart-strategy.fixed-delay.delay", "1 h");
  ASSERT_TRUE(Start(2).ok());
  UntilStatus(JobStatus::kRunning);
  const std::string orphan = JobDirectory() + "/shared/of-an-executor-killed-before-it-said-so";
  ASSERT_TRUE(io::WriteFileDurably(orphan, "x").ok());
  cluster_.Exit("tm2", 9, "killed");
  Until([&] { return !io::Exists(orphan); });
  EXPECT_EQ(master_->status(), JobStatus::kRestarting);
  EXPECT_TRUE(io::Exists(JobDirectory() + "/shared")) << "the next attempt writes into it";
}

TEST_F(JobMasterTest, SharedFilesThatNoAcknowledgementNamedGoWithTheJob) {
  ASSERT_TRUE(Start(2).ok());
  UntilStatus(JobStatus::kRunning);
  ASSERT_TRUE(io::WriteFileDurably(JobDirectory() + "/shared/orphan", "x").ok());
  ASSERT_TRUE(master_->Cancel().ok());
  UntilEnded();
  EXPECT_FALSE(io::Exists(JobDirectory()));
}

TEST_F(JobMasterTest, SharedFilesFromBeforeTheJobStay) {
  ASSERT_TRUE(Create(2).ok());
  const std::string earlier = JobDirectory() + "/shared/of-a-retained-checkpoint";
  master_.reset();
  ASSERT_TRUE(io::CreateDirectories(io::DirectoryName(earlier)).ok());
  ASSERT_TRUE(io::WriteFileDurably(earlier, "x").ok());
  ASSERT_TRUE(Start(2).ok());
  UntilStatus(JobStatus::kRunning);
  ASSERT_TRUE(master_->Cancel().ok());
  UntilEnded();
  EXPECT_TRUE(io::Exists(earlier));
}

TEST_F(JobMasterTest, LostTaskManagerMakesTheJobWaitForSlots) {
  ASSERT_TRUE(Start(4).ok());
  UntilStatus(JobStatus::kRunning);
  slots_.Remove("tm2");
  master_->OnTaskManagerLost("tm2", "TaskManager tm2 is lost.");
  Until([&] { return slots_.free() == 2; });
  EXPECT_EQ(master_->status(), JobStatus::kRestarting);
  while (mailbox_.RunOne()) {
  }
  slots_.Register(TestTaskManager("tm3", 2), 0);
  Until([&] {
    master_->OnSlotsFree();
    return master_->status() == JobStatus::kRunning;
  });
}

TEST_F(JobMasterTest, ErrorThatNoRestartRepairsFailsTheJob) {
  ASSERT_TRUE(Start(2).ok());
  UntilStatus(JobStatus::kRunning);
  cluster_.TaskState("tm1", cluster_.AnySubtaskOn("tm1"), "FAILED", /*retryable=*/false);
  UntilStatus(JobStatus::kFailed);
  const JobDetails details = master_->Details();
  ASSERT_TRUE(details.failure.has_value());
  EXPECT_THAT(details.failure->message, HasSubstr("thrown on purpose"));
  EXPECT_NE(details.timestamps[static_cast<size_t>(JobStatus::kFailing)], 0);
  UntilEnded();
  EXPECT_EQ(slots_.free(), 4);
}

TEST_F(JobMasterTest, RestartsRunOut) {
  Set("restart-strategy.fixed-delay.attempts", "1");
  ASSERT_TRUE(Start(2).ok());
  UntilStatus(JobStatus::kRunning);
  cluster_.TaskState("tm1", cluster_.AnySubtaskOn("tm1"), "FAILED");
  UntilStatus(JobStatus::kRestarting);
  UntilStatus(JobStatus::kRunning);
  cluster_.TaskState("tm1", cluster_.AnySubtaskOn("tm1"), "FAILED");
  UntilStatus(JobStatus::kFailed);
  EXPECT_THAT(master_->Details().failure->message, HasSubstr("Recovery is suppressed by"));
}

TEST_F(JobMasterTest, CancelKeepsRetainedCheckpointsAndFreesSlots) {
  Set("execution.checkpointing.externalized-checkpoint-retention", "RETAIN_ON_CANCELLATION");
  ASSERT_TRUE(Start(2).ok());
  UntilStatus(JobStatus::kRunning);
  const CheckpointId id = Checkpoint();
  EXPECT_TRUE(master_->Cancel().ok());
  EXPECT_EQ(master_->status(), JobStatus::kCancelling);
  UntilStatus(JobStatus::kCanceled);
  UntilEnded();
  EXPECT_EQ(cluster_.stopped.back().grace_ms(), 5000);
  EXPECT_TRUE(io::Exists(io::JoinPath(JobDirectory(), fmt::format("chk-{}/_metadata", id))));
  EXPECT_EQ(slots_.free(), 4);
  EXPECT_TRUE(master_->Cancel().ok()) << "a cancelled job may be cancelled again";
}

TEST_F(JobMasterTest, CheckpointsOfACancelledJobGoByDefault) {
  ASSERT_TRUE(Start(2).ok());
  UntilStatus(JobStatus::kRunning);
  Checkpoint();
  ASSERT_TRUE(master_->Cancel().ok());
  UntilEnded();
  EXPECT_FALSE(io::Exists(JobDirectory()));
}

// flink-surface §4.5 no. 72.
TEST_F(JobMasterTest, StopIsAnsweredWhenTheJobHasFinished) {
  ASSERT_TRUE(Start(2).ok());
  UntilStatus(JobStatus::kRunning);
  const std::string path = Savepoint(SnapshotKind::kStopSuspend);
  EXPECT_EQ(master_->status(), JobStatus::kFinished);
  EXPECT_TRUE(snapshot::LoadSnapshot(path).ok());
  UntilEnded();
  EXPECT_TRUE(snapshot::LoadSnapshot(path).ok()) << "savepoints belong to the user";
}

// flink-surface §4.5 no. 77.
TEST_F(JobMasterTest, CancelWithSavepointCancels) {
  ASSERT_TRUE(Start(2).ok());
  UntilStatus(JobStatus::kRunning);
  const std::string path = Savepoint(SnapshotKind::kCancelSavepoint);
  UntilStatus(JobStatus::kCanceled);
  EXPECT_TRUE(snapshot::LoadSnapshot(path).ok());
}

TEST_F(JobMasterTest, RestoresASavepointAtAnotherParallelism) {
  ASSERT_TRUE(Start(2).ok());
  UntilStatus(JobStatus::kRunning);
  const std::string path = Savepoint(SnapshotKind::kCancelSavepoint);
  UntilEnded();
  store_ = InMemoryJobStore();
  const Status started = Start(4, path);
  ASSERT_TRUE(started.ok()) << Message(started);
  UntilStatus(JobStatus::kRunning);
  int restores = 0;
  bool coordinator = false;
  for (const auto& [id, deploy] : cluster_.deployed) {
    EXPECT_EQ(deploy.restored_checkpoint_id(), 1);
    for (const auto& restore : deploy.restores()) {
      ++restores;
      EXPECT_EQ(restore.operators(0).subtask_states_size(), 1);
    }
    for (const auto& c : deploy.coordinators()) coordinator = c.state() == "splits";
  }
  EXPECT_EQ(restores, 8);
  EXPECT_TRUE(coordinator);
  EXPECT_EQ(master_->checkpoint_statistics().counts().restored, 1);
}

TEST_F(JobMasterTest, ASavepointThatDoesNotFitIsToldBeforeMissingSlots) {
  ASSERT_TRUE(Start(2).ok());
  UntilStatus(JobStatus::kRunning);
  const std::string path = Savepoint(SnapshotKind::kCancelSavepoint);
  UntilEnded();
  store_ = InMemoryJobStore();
  const Status refused = Start(200, path);
  EXPECT_THAT(Message(refused), HasSubstr("The maximum parallelism (128) of the restored state is "
                                          "lower than the configured parallelism (200)."));
  UntilEnded();
  store_ = InMemoryJobStore();
  EXPECT_THAT(Message(Start(5, path)), HasSubstr("it needs 5 task slots"));
  UntilEnded();
  EXPECT_EQ(slots_.free(), 4);
}

TEST_F(JobMasterTest, MissingSavepointRefusesTheSubmission) {
  const Status refused = Start(2, "file:///nowhere/savepoint-1");
  EXPECT_EQ(Message(refused),
            "Cannot find checkpoint or savepoint file/directory 'file:///nowhere/savepoint-1' on "
            "file system "
            "'file'.");
  EXPECT_EQ(master_->status(), JobStatus::kFailed);
  UntilEnded();
  EXPECT_EQ(slots_.free(), 4);
}

TEST_F(JobMasterTest, CancelWhileInitializingEndsTheJobBeforeItRuns) {
  ASSERT_TRUE(Create(2).ok());
  std::optional<Status> initialized;
  master_->Initialize([&](const Status& status) { initialized = status; });
  ASSERT_TRUE(master_->Cancel().ok());
  Until([&] { return initialized.has_value(); });
  EXPECT_FALSE(initialized->ok());
  EXPECT_EQ(master_->status(), JobStatus::kCanceled);
  UntilEnded();
  EXPECT_EQ(slots_.free(), 4);
  EXPECT_TRUE(cluster_.started.empty());
}

// flink-surface §4.5 no. 75.
TEST_F(JobMasterTest, StopThatDoesNotFinishFailsTheJobAndSaysWhereTheSavepointIs) {
  ASSERT_TRUE(Start(2).ok());
  UntilStatus(JobStatus::kRunning);
  cluster_.finish_tasks = false;
  std::optional<StatusOr<std::string>> answer;
  master_->TriggerSavepoint(directory_.File("savepoints"), SavepointFormat::kNative,
                            SnapshotKind::kStopSuspend,
                            [&](StatusOr<std::string> path) { answer = std::move(path); });
  Until([&] { return !cluster_.completed.empty(); });
  cluster_.Exit("tm1", 11, "segmentation fault");
  Until([&] { return answer.has_value(); });
  EXPECT_THAT(Message(answer->status()),
              AllOf(StartsWith("A savepoint has been created at: file:/"),
                    HasSubstr(", but the corresponding job " + master_->id().ToHex() +
                              " failed during stopping. The savepoint is consistent, but might "
                              "have uncommitted transactions. If you want to commit the "
                              "transaction please restart a job from this savepoint.")));
  // An earlier checkpoint would have the sinks write what they committed at the savepoint again.
  UntilStatus(JobStatus::kFailed);
  EXPECT_THAT(master_->Details().failure->message,
              HasSubstr("A savepoint has been created at: file:/"));
}

TEST_F(JobMasterTest, FirstAttemptThatFailsLeavesTheJobCreated) {
  cluster_.run_tasks = false;
  ASSERT_TRUE(Start(2).ok());
  Until([&] { return cluster_.deployed.size() == 2; });
  cluster_.run_tasks = true;
  cluster_.TaskState("tm1", cluster_.AnySubtaskOn("tm1"), "FAILED");
  Until([&] { return cluster_.started.size() == 4; });
  EXPECT_EQ(master_->status(), JobStatus::kCreated);
  UntilStatus(JobStatus::kRunning);
}

/// More slots would not help.
TEST_F(JobMasterTest, StateInAFormThatNobodyReadsIsSaidBeforeSlotsThatAreMissing) {
  ASSERT_TRUE(Start(2).ok());
  UntilStatus(JobStatus::kRunning);
  const std::string path = Savepoint(SnapshotKind::kCancelSavepoint).substr(5);
  UntilEnded();
  store_ = InMemoryJobStore();
  snapshot::LoadedSnapshot loaded = snapshot::LoadSnapshot(path).value();
  for (snapshot::OperatorSnapshot& op : loaded.metadata.operators) {
    for (auto& [index, state] : op.subtasks) {
      snapshot::IncrementalHandle raw;
      raw.meta = snapshot::InlineHandle{"meta", "x"};
      state = {};
      state.raw_keyed_state = raw;
    }
  }
  const std::string bytes = snapshot::SerializeMetadata(loaded.metadata).value();
  const std::string changed = directory_.File("changed");
  ASSERT_TRUE(io::CreateDirectories(changed).ok());
  ASSERT_TRUE(io::WriteFileDurably(changed + "/_metadata", bytes).ok());
  const std::string text = Message(Start(5, changed));
  EXPECT_THAT(text, HasSubstr("nothing can be restored"));
  EXPECT_THAT(text, Not(HasSubstr("task slots")));
}

TEST_F(JobMasterTest, AStartingJobUsesTheSnapshotThatItIsToStartFrom) {
  ASSERT_TRUE(Start(2).ok());
  UntilStatus(JobStatus::kRunning);
  const std::string path = Savepoint(SnapshotKind::kCancelSavepoint).substr(5);
  UntilEnded();
  store_ = InMemoryJobStore();
  std::filesystem::create_directory_symlink(path, directory_.File("link"));
  ASSERT_TRUE(Create(2, path).ok());
  EXPECT_EQ(master_->status(), JobStatus::kInitializing);
  EXPECT_TRUE(master_->Uses(path));
  EXPECT_TRUE(master_->Uses(directory_.File("link")));
  EXPECT_FALSE(master_->Uses(directory_.File("savepoints")));
}

TEST_F(JobMasterTest, APeriodicSavepointThatAJobOfAnotherJobManagerHasClaimedStays) {
  const std::string savepoints = directory_.File("periodic");
  Set("execution.checkpointing.periodic-savepoints.interval", "10 ms");
  Set("execution.checkpointing.periodic-savepoints.dir", savepoints);
  Set("execution.checkpointing.periodic-savepoints.num-retained", "1");
  Set("execution.checkpointing.periodic-savepoints.format-type", "NATIVE");
  ASSERT_TRUE(Start(2).ok());
  UntilStatus(JobStatus::kRunning);
  const auto taken = [&] { return master_->checkpoint_statistics().counts().completed; };
  Until([&] { return taken() == 1; });
  const std::string first = snapshot::FindSnapshots(savepoints, 1, nullptr).front();
  const auto claim =
      snapshot::ClaimSnapshot(first + "/_metadata", JobId(), "of another JobManager");
  ASSERT_TRUE(claim.ok()) << Message(claim.status());
  // The second goes when the third is there, behind the first.
  std::string second;
  Until([&] {
    for (const std::string& found : snapshot::FindSnapshots(savepoints, 1, nullptr)) {
      if (second.empty() && found != first) second = found;
    }
    return !second.empty() && !io::Exists(second);
  });
  EXPECT_TRUE(snapshot::LoadSnapshot(first).ok());
}

TEST_F(JobMasterTest, StaleMessagesAreDropped) {
  ASSERT_TRUE(Start(2).ok());
  UntilStatus(JobStatus::kRunning);
  pbc::ExecutorMessage stale;
  stale.set_attempt(7);
  stale.mutable_failed()->set_message("from another time");
  master_->OnExecutorMessage("tm1", stale);
  EXPECT_EQ(master_->status(), JobStatus::kRunning);
}

TEST_F(JobMasterTest, RelaysCoordinatorEvents) {
  ASSERT_TRUE(Start(2).ok());
  UntilStatus(JobStatus::kRunning);
  pbc::ExecutorMessage message;
  auto* event = message.mutable_coordinator_event();
  event->set_operator_id(TestId('a'));
  event->set_to_coordinator(true);
  event->set_subtask(1);
  event->set_payload("more");
  cluster_.FromExecutor("tm2", message);
  Until([&] { return !cluster_.coordinator_events.empty(); });
  EXPECT_EQ(cluster_.coordinator_events[0].payload(), "more");
}

TEST_F(JobMasterTest, ATaskManagerThatIsGoneAtTheStartDoesNotHoldUpTheNextAttempt) {
  ASSERT_TRUE(Create(2).ok());
  std::optional<Status> initialized;
  master_->Initialize([&](const Status& status) { initialized = status; });
  Until([&] { return initialized.has_value(); });
  // Its loss is known to the connection, and not yet to the job.
  cluster_.disconnected.insert("tm1");
  master_->Start();
  slots_.Remove("tm1");
  UntilStatus(JobStatus::kRunning);
  EXPECT_EQ(master_->Details().restarts, 1);
}

TEST_F(JobMasterTest, ExecutorThatNeverBecomesReadyFailsTheAttempt) {
  Set("slot.request.timeout", "20 ms");
  cluster_.start_executors = false;
  ASSERT_TRUE(Start(2).ok());
  Until([&] { return cluster_.started.size() == 2; });
  cluster_.start_executors = true;
  UntilStatus(JobStatus::kRunning);
  EXPECT_EQ(master_->Details().restarts, 1);
  EXPECT_THAT(master_->Details().exceptions[0].message,
              HasSubstr("The task executor on tm1, tm2 was not ready within 20 ms"));
}

TEST_F(JobMasterTest, ExecutorWhoseTasksAreFinishedMayGoBeforeTheOthers) {
  cluster_.finish_at_once = true;
  cluster_.finish_tasks = false;
  ASSERT_TRUE(Start(2).ok());
  Until([&] { return cluster_.completed.size() == 2; });
  for (const auto& subtask : cluster_.SubtasksOn("tm1")) {
    cluster_.TaskState("tm1", subtask, "FINISHED");
  }
  cluster_.Exit("tm1", 0, "Task executor has ended");
  while (mailbox_.RunOne()) {
  }
  EXPECT_EQ(master_->status(), JobStatus::kRunning);
  for (const auto& subtask : cluster_.SubtasksOn("tm2")) {
    cluster_.TaskState("tm2", subtask, "FINISHED");
  }
  UntilEnded();
  EXPECT_EQ(master_->status(), JobStatus::kFinished);
  EXPECT_EQ(master_->Details().restarts, 0);
  EXPECT_EQ(slots_.free(), 4);
}

TEST_F(JobMasterTest, WhatTasksWriteBehindADiscardedCheckpointGoesWithTheExecutors) {
  cluster_.ack_checkpoints = false;
  cluster_.exit_on_stop = false;
  ASSERT_TRUE(Start(2).ok());
  UntilStatus(JobStatus::kRunning);
  master_->TriggerCheckpoint(false, [](const StatusOr<CheckpointId>&) {});
  Until([&] { return !cluster_.last_target.exclusive_directory().empty(); });
  const std::string directory = cluster_.last_target.exclusive_directory();
  cluster_.TaskState("tm1", cluster_.AnySubtaskOn("tm1"), "FAILED");
  Until([&] { return cluster_.stopped.size() == 2; });
  Until([&] { return !io::Exists(directory); });
  // As when the deletion met a file that was created behind its back.
  ASSERT_TRUE(io::CreateDirectories(directory).ok());
  ASSERT_TRUE(io::WriteFileDurably(io::JoinPath(directory, StateFileName(9)), "state").ok());
  cluster_.exit_on_stop = true;
  cluster_.Exit("tm1", 9, "");
  cluster_.Exit("tm2", 9, "");
  UntilStatus(JobStatus::kRunning);
  Until([&] { return !io::Exists(directory); });
}

TEST_F(JobMasterTest, UnfinishedSavepointGoesWithTheJobManager) {
  cluster_.ack_checkpoints = false;
  ASSERT_TRUE(Start(2).ok());
  UntilStatus(JobStatus::kRunning);
  master_->TriggerSavepoint(directory_.File("savepoints"), SavepointFormat::kNative,
                            SnapshotKind::kSavepoint, [](const StatusOr<std::string>&) {});
  Until([&] { return !cluster_.last_target.exclusive_directory().empty(); });
  ASSERT_TRUE(io::Exists(cluster_.last_target.exclusive_directory()));
  master_->KillExecutors();
  master_.reset();
  pool_.Shutdown();
  EXPECT_FALSE(io::Exists(cluster_.last_target.exclusive_directory()));
}

TEST_F(JobMasterTest, UnwritableSavepointDirectoryIsOneSentence) {
  ASSERT_TRUE(Start(2).ok());
  UntilStatus(JobStatus::kRunning);
  ASSERT_TRUE(io::WriteFileDurably(directory_.File("file"), "x").ok());
  const std::string target = directory_.File("file") + "/sub";
  std::optional<StatusOr<std::string>> answer;
  master_->TriggerSavepoint(target, SavepointFormat::kNative, SnapshotKind::kSavepoint,
                            [&](StatusOr<std::string> path) { answer = std::move(path); });
  Until([&] { return answer.has_value(); });
  EXPECT_EQ(Message(answer->status()),
            fmt::format("Failed to create savepoint directory at {0}: cannot create the directory "
                        "{0}: Not a directory. Choose a directory that the JobManager and the "
                        "TaskManagers can write.",
                        target));
}

TEST_F(JobMasterTest, AnErrorThatIsNoUtf8Arrives) {
  ASSERT_TRUE(Start(2).ok());
  UntilStatus(JobStatus::kRunning);
  pbc::ExecutorMessage message;
  auto* change = message.mutable_task_state();
  *change->mutable_subtask() = cluster_.AnySubtaskOn("tm1");
  change->set_state("FAILED");
  change->set_message("no number: \xe4");
  pbc::ExecutorMessage received;
  ASSERT_TRUE(received.ParseFromString(message.SerializeAsString()));
  EXPECT_EQ(received.task_state().message(), "no number: \xe4");
}

TEST_F(JobMasterTest, BadConfigurationIsRefusedByName) {
  Set("execution.checkpointing.interval", "5 ms");
  EXPECT_THAT(Message(Create(1)),
              HasSubstr("Checkpoint interval must be larger than or equal to 10 ms"));
}

}  // namespace
}  // namespace flink::jobmanager
