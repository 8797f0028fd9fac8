// Checkpoints after tasks finished: flink-surface §4.1 no. 11, 12.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/unit/jobmanager/checkpoint/coordinator_harness.h"

namespace flink::jobmanager {
namespace {

using H = CoordinatorHarness;
using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;

const SubtaskRef kSource0{H::Source(), 0};
const SubtaskRef kSource1{H::Source(), 1};
const SubtaskRef kSink0{H::Sink(), 0};
const SubtaskRef kSink1{H::Sink(), 1};

class FinishedTasksTest : public ::testing::Test {
 protected:
  void Ack(CheckpointId id, const SubtaskRef& subtask, bool end_of_data = false,
           bool finished = false) {
    checkpoint::SubtaskAcked ack;
    ack.checkpoint = id;
    ack.subtask = subtask;
    ack.snapshot.state = "state";
    ack.snapshot.end_of_data = end_of_data;
    ack.snapshot.finished = finished;
    h.Send(std::move(ack));
  }
  /// Checkpoint `id` completes; these have ended.
  void Complete(CheckpointId id, const std::set<SubtaskRef>& ended) {
    h.Manual(static_cast<RequestId>(id));
    h.Trigger(id);
    for (const SubtaskRef& subtask : H::Subtasks()) Ack(id, subtask, ended.count(subtask) != 0);
    h.Persist(id);
  }
  std::vector<SubtaskRef> Finished() const {
    std::vector<SubtaskRef> all;
    for (const auto& action : h.Get<checkpoint::FinishSubtasks>()) {
      all.insert(all.end(), action.subtasks.begin(), action.subtasks.end());
    }
    return all;
  }
  H h;
};

TEST_F(FinishedTasksTest, WhoIsAtItsEndFinishesWhenACheckpointBehindItIsComplete) {
  h.Run();
  h.Send(checkpoint::SomeSubtasksEndOfData{});
  Complete(1, {kSource0});
  ASSERT_THAT(h.Get<checkpoint::FinishSubtasks>(), SizeIs(1));
  EXPECT_EQ(h.Get<checkpoint::FinishSubtasks>()[0].checkpoint, 1);
  EXPECT_THAT(Finished(), ElementsAre(kSource0));
  EXPECT_LT(H::IndexOf<checkpoint::NotifyComplete>(h.actions),
            H::IndexOf<checkpoint::FinishSubtasks>(h.actions))
      << "it commits before it finishes";
}

// Also flink-test-cases 114, testCheckpointTriggeredAfterSomeTasksFinishedIfAllowed.
TEST_F(FinishedTasksTest, TheNextCheckpointGoesOnWithoutThemAndRecordsThem) {
  h.Run();
  Complete(1, {kSource0});
  h.Manual(2);
  h.Trigger(2);
  ASSERT_THAT(h.Get<checkpoint::TriggerSources>(), SizeIs(1));
  EXPECT_THAT(h.Get<checkpoint::TriggerSources>()[0].subtasks, ElementsAre(1));
  Ack(2, kSource1);
  Ack(2, kSink0);
  Ack(2, kSink1);
  ASSERT_THAT(h.Get<checkpoint::PersistMetadata>(), SizeIs(1));
  const auto persist = h.Get<checkpoint::PersistMetadata>()[0];
  EXPECT_THAT(persist.plan.finished, ElementsAre(kSource0));
  EXPECT_THAT(persist.subtasks, SizeIs(3));
  EXPECT_THAT(persist.coordinators, SizeIs(1)) << "one reader is left";
  EXPECT_EQ(h.coordinator.statistics().Find(2)->num_acknowledged_subtasks, 4);
}

TEST_F(FinishedTasksTest, BehindFinishedTasksTheFirstThatRunAreTriggered) {
  h.Run();
  Complete(1, {kSource0, kSource1});
  EXPECT_THAT(Finished(), ElementsAre(kSource0, kSource1));
  h.Manual(2);
  h.Locate(2);
  ASSERT_THAT(h.Get<checkpoint::TriggerSources>(), SizeIs(1));
  EXPECT_EQ(h.Get<checkpoint::TriggerSources>()[0].vertex, H::Sink());
  EXPECT_THAT(h.Get<checkpoint::TriggerSources>()[0].subtasks, ElementsAre(0, 1));
  EXPECT_THAT(h.Get<checkpoint::TriggerCoordinator>(), IsEmpty()) << "its source has no state";
  Ack(2, kSink0);
  Ack(2, kSink1);
  EXPECT_THAT(h.Get<checkpoint::PersistMetadata>(), SizeIs(1));
}

TEST_F(FinishedTasksTest, PointwiseEachSubtaskHasOneInFront) {
  CheckpointPlan plan = H::Plan();
  plan.edges[0].pointwise = true;
  plan.finished = {kSource1};
  EXPECT_THAT(plan.ToTrigger(H::Source()), ElementsAre(0));
  EXPECT_THAT(plan.ToTrigger(H::Sink()), ElementsAre(1));
  plan.edges[0].pointwise = false;
  EXPECT_THAT(plan.ToTrigger(H::Sink()), IsEmpty());
}

TEST_F(FinishedTasksTest, NobodyFinishesWhileAnotherSnapshotWaitsForIt) {
  h.Run();
  h.Manual(1);
  h.Trigger(1);
  h.Savepoint(2);
  h.Trigger(2);
  for (const SubtaskRef& subtask : H::Subtasks()) Ack(1, subtask, subtask == kSource0);
  h.Persist(1);
  EXPECT_THAT(Finished(), IsEmpty());
  Ack(2, kSource0, true);
  EXPECT_THAT(Finished(), ElementsAre(kSource0));
}

// flink-test-cases 115, testTasksFinishDuringTriggering: a source reaches its end after the plan
// was made. Flink aborts; here it waits for this very checkpoint, and is still there.
TEST_F(FinishedTasksTest, ASourceThatEndsWhileACheckpointIsTriggeredTakesPartInIt) {
  h.Run();
  h.Manual(1);
  h.Locate(1);
  h.Send(checkpoint::SomeSubtasksEndOfData{});
  h.AckCoordinator(1);
  ASSERT_THAT(h.Get<checkpoint::TriggerSources>(), SizeIs(1));
  for (const SubtaskRef& subtask : H::Subtasks()) Ack(1, subtask, subtask == kSource0);
  h.Persist(1);
  EXPECT_TRUE(h.Get<checkpoint::CompleteRequest>()[0].ok);
  EXPECT_THAT(Finished(), ElementsAre(kSource0));
}

TEST_F(FinishedTasksTest, ASavepointFinishesNobodyBecauseItCommitsNothing) {
  h.Run();
  h.Savepoint(1);
  h.Trigger(1);
  for (const SubtaskRef& subtask : H::Subtasks()) Ack(1, subtask, true);
  h.Persist(1);
  EXPECT_THAT(Finished(), IsEmpty());
}

TEST_F(FinishedTasksTest, AtTheEndOfAllDataTheFinalCheckpointFinishesAll) {
  h.Run();
  h.Manual(1);
  h.Trigger(1);
  h.Send(checkpoint::AllSubtasksEndOfData{});
  for (const SubtaskRef& subtask : H::Subtasks()) Ack(1, subtask, true);
  h.Persist(1);
  EXPECT_THAT(Finished(), IsEmpty());
  EXPECT_EQ(h.Started(), 2);
}

TEST_F(FinishedTasksTest, WhatHadFinishedBeforeARestoreIsFinishedInTheNextCheckpoint) {
  h.Run();
  h.Manual(1);
  h.Trigger(1);
  Ack(1, kSource0, true, true);
  Ack(1, kSource1, true, true);
  Ack(1, kSink0);
  Ack(1, kSink1);
  const auto persist = h.Get<checkpoint::PersistMetadata>();
  ASSERT_THAT(persist, SizeIs(1));
  EXPECT_THAT(persist[0].plan.finished, ElementsAre(kSource0, kSource1));
  EXPECT_THAT(persist[0].coordinators, IsEmpty());
}

TEST_F(FinishedTasksTest, ANewAttemptBeginsWithNobodyFinished) {
  h.Run();
  Complete(1, {kSource0});
  h.Send(checkpoint::JobLeftRunning{});
  h.Run();
  h.Manual(2);
  h.Trigger(2);
  EXPECT_THAT(h.Get<checkpoint::TriggerSources>()[0].subtasks, ElementsAre(0, 1));
}

// flink-surface §4.1 no. 11; flink-test-cases 113, testCheckpointAbortsIfTriggerTasksAreFinished.
TEST(FinishedTasksForbiddenTest, RequestsAreRefusedWithFlinksText) {
  CheckpointCoordinatorOptions options = H::Periodic(1000);
  options.after_tasks_finish = false;
  H h(options);
  h.Run();
  h.Manual(1);
  h.Manual(2);  // Queued.
  h.Send(checkpoint::SomeSubtasksEndOfData{});
  const std::string text =
      "Some tasks of the job have already finished and checkpointing with finished tasks is not "
      "enabled. Failure reason: Not all required tasks are currently running. Set "
      "execution.checkpointing.checkpoints-after-tasks-finish to true.";
  ASSERT_THAT(h.Get<checkpoint::CompleteRequest>(), SizeIs(1));
  EXPECT_EQ(h.Get<checkpoint::CompleteRequest>()[0].request, 2u);
  EXPECT_EQ(h.Get<checkpoint::CompleteRequest>()[0].message, text);
  h.Finish(1);  // It was under way, and its tasks are alive.
  EXPECT_EQ(h.Retained(), std::vector<CheckpointId>{1});
  h.Advance(1000);
  EXPECT_EQ(h.Started(), 0);
  for (const auto kind : {SnapshotKind::kSavepoint, SnapshotKind::kStopDrain}) {
    h.Savepoint(3, kind);
    ASSERT_THAT(h.Get<checkpoint::CompleteRequest>(), SizeIs(1));
    EXPECT_EQ(h.Get<checkpoint::CompleteRequest>()[0].message, text);
  }
  // The last one is taken all the same, so that sinks can commit.
  h.Send(checkpoint::AllSubtasksEndOfData{});
  EXPECT_EQ(h.Started(), 2);
}

}  // namespace
}  // namespace flink::jobmanager
