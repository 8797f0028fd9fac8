// Checkpoints of tasks that are slower than their inputs: unaligned, with an aligned timeout, and
// at least once.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <optional>
#include <thread>

#include "common/base/clock.h"
#include "common/snapshot/state_handle.h"
#include "flink/operators/stateless_operators.h"
#include "flink/sink.h"
#include "tests/unit/taskmanager/executor/executor_cluster.h"

namespace flink::taskmanager {
namespace {

using graph::ShipStrategy;

using Records = std::vector<int64_t>;
Records Sorted(Records records) {
  std::sort(records.begin(), records.end());
  return records;
}

struct Counts {
  std::mutex mutex;
  std::map<int64_t, Records> sent;      // by the sources before a checkpoint
  std::map<int64_t, Records> received;  // by the consumers before it
  Records all_received;
  std::atomic<int64_t> largest_even_received{-1};
  std::atomic<int64_t> total_sent{0};
  std::atomic<int64_t> total_received{0};
  std::atomic<bool> slow{true};
  int ending_sources = 0;  // these end when they have sent all

  void Add(std::map<int64_t, Records>& to, int64_t checkpoint, const Records& records) {
    std::lock_guard lock(mutex);
    to[checkpoint].insert(to[checkpoint].end(), records.begin(), records.end());
  }
};
using SharedCounts = std::shared_ptr<Counts>;

/// Numbers of the subtask: so many, or (-1) without end; then it waits for ever, or ends.
class Numbers final : public SourceOperator {
 public:
  Numbers(SharedCounts counts, int64_t count) : counts_(std::move(counts)), left_(count) {}
  OutputBase* output() override { return &output_; }
  void Open(OperatorContext& context) override {
    next_ = context.subtask_index();
    step_ = context.parallelism();
    ends_ = context.subtask_index() < counts_->ending_sources;
    if (counts_->ending_sources != 0 && !ends_) left_ = -1;
  }
  SourceStatus Produce() override {
    for (int i = 0; i < 100; ++i, next_ += step_) {
      if (left_ == 0) return ends_ ? SourceStatus::kEnd : SourceStatus::kWaiting;
      if (left_ > 0) --left_;
      output_.Collect(next_);
      sent_.push_back(next_);
      ++counts_->total_sent;
    }
    return SourceStatus::kMore;
  }
  void SnapshotState(SnapshotContext& context) override {
    counts_->Add(counts_->sent, context.checkpoint_id, sent_);
  }

 private:
  SharedCounts counts_;
  int64_t left_;
  int64_t next_ = 0;
  int64_t step_ = 1;
  bool ends_ = false;
  Records sent_;
  Output<int64_t> output_;
};

/// Takes its time for each batch while the test says so.
class SlowSink final : public SinkOperator<int64_t> {
 public:
  explicit SlowSink(SharedCounts counts) : counts_(std::move(counts)) {}
  void SnapshotState(SnapshotContext& context) override {
    counts_->Add(counts_->received, context.checkpoint_id, received_);
  }

 private:
  void Write(Batch<int64_t>& batch) override {
    if (counts_->slow) std::this_thread::sleep_for(std::chrono::milliseconds(20));
    received_.insert(received_.end(), batch.records.begin(), batch.records.end());
    {
      std::lock_guard lock(counts_->mutex);
      auto& all = counts_->all_received;
      all.insert(all.end(), batch.records.begin(), batch.records.end());
    }
    for (const int64_t n : batch.records) {
      if (n % 2 == 0 && n > counts_->largest_even_received) counts_->largest_even_received = n;
    }
    counts_->total_received += static_cast<int64_t>(batch.records.size());
  }
  SharedCounts counts_;
  Records received_;
};

struct Self {
  int64_t operator()(const int64_t& n) const { return n; }
};

class UnalignedCheckpointTest : public testing::Test {
 protected:
  /// Two sources -> a step that passes all on, when asked -> sinks.
  LoadedJob Job(int parallelism, int64_t count = -1, bool with_middle = false) {
    TestJob job;
    const SharedCounts counts = counts_;
    int last =
        job.AddVertex("numbers", 2, [=] { return std::make_unique<Numbers>(counts, count); });
    if (with_middle) {
      const int middle = job.AddVertex("middle", 2, [] {
        return std::make_unique<MapOperator<int64_t, int64_t, Self>>(Self());
      });
      job.Connect(last, middle, ShipStrategy::kRebalance,
                  std::make_shared<RebalanceEdge<int64_t>>());
      last = middle;
    }
    sink_ = job.AddVertex("sink", parallelism, [=] { return std::make_unique<SlowSink>(counts); });
    job.Connect(last, sink_, ShipStrategy::kHash,
                std::make_shared<HashEdge<int64_t, Self>>(Self()));
    return job.job();
  }

  void Trigger(ExecutorCluster& cluster, int64_t id, std::optional<int64_t> aligned_timeout_ms,
               const std::vector<pb::SubtaskRef>& subtasks) {
    ASSERT_TRUE(io::CreateDirectories(cluster.CheckpointDirectory(id)).ok());
    cluster.Broadcast([&](pb::ExecutorCommand& command) {
      pb::TriggerCheckpoint& t = *command.mutable_trigger_checkpoint();
      t.set_checkpoint_id(id);
      t.set_timestamp_ms(Clock::System().NowMs());
      if (aligned_timeout_ms) t.set_aligned_timeout_ms(*aligned_timeout_ms);
      t.mutable_target()->set_kind(pb::SnapshotTarget::KIND_CHECKPOINT);
      t.mutable_target()->set_exclusive_directory(cluster.CheckpointDirectory(id));
      for (const pb::SubtaskRef& ref : subtasks) *t.add_subtasks() = ref;
    });
  }
  static std::vector<pb::SubtaskRef> Sources() {
    return {ExecutorCluster::Ref(VertexOf(1), 0), ExecutorCluster::Ref(VertexOf(1), 1)};
  }

  std::vector<pb::CheckpointAck> SinkAcks(ExecutorCluster& cluster, int64_t id) const {
    std::vector<pb::CheckpointAck> acks;
    for (const auto& m : cluster.messages()) {
      if (m.has_ack() && m.ack().checkpoint_id() == id &&
          m.ack().subtask().vertex_id() == ToWire(VertexOf(sink_))) {
        acks.push_back(m.ack());
      }
    }
    return acks;
  }
  /// Puts the handles of a snapshot into a deployment at the same or another parallelism; the
  /// JobManager's part of a restore.
  void RestoreInFlight(const std::vector<pb::CheckpointAck>& acks, const std::string& directory,
                       int parallelism, pb::DeployTasks& deploy) const {
    for (int s = 0; s < parallelism; ++s) {
      pb::TaskRestore& task = *deploy.add_restores();
      *task.mutable_subtask() = ExecutorCluster::Ref(VertexOf(sink_), s);
      for (const pb::CheckpointAck& ack : acks) {
        const bool same = static_cast<int>(acks.size()) == parallelism;
        if (same && ack.subtask().subtask() != s) continue;
        const auto state = snapshot::DecodeSubtaskState(ack.operators(0).state());
        ASSERT_TRUE(state.ok());
        for (const auto& handle : state->input_channel_state) {
          snapshot::SubtaskState one;
          one.input_channel_state.push_back(handle);
          pb::InFlightRestore& restore = *task.add_in_flight();
          restore.set_state(snapshot::EncodeSubtaskState(one));
          restore.set_base_directory(directory);
          restore.set_gate(handle.gate_or_partition);
          restore.set_channel(handle.channel);
          restore.set_with_events(same);
          restore.set_own_keys_only(!same);
        }
      }
    }
  }
  bool AwaitBacklog() {
    return Until([&] { return counts_->total_sent - counts_->total_received > 40'000; });
  }

  /// As the JobManager: checkpoint 1 is complete, and what has ended before it finishes.
  void FinishSources(ExecutorCluster& cluster, int count) {
    cluster.Complete(1);
    cluster.Broadcast([&](pb::ExecutorCommand& c) {
      c.mutable_finish()->set_checkpoint_id(1);
      for (int i = 0; i < count; ++i) *c.mutable_finish()->add_subtasks() = Sources()[i];
    });
    cluster.AwaitMessage(
        "finished", [](const auto& m) { return m.task_state().state() == "FINISHED"; }, count);
  }
  void AwaitEndOfData(ExecutorCluster& cluster, int count) {
    cluster.AwaitMessage(
        "end of data", [](const auto& m) { return m.has_end_of_data(); }, count);
  }
  void AwaitSinkAck(ExecutorCluster& cluster, int64_t id) {
    cluster.AwaitMessage("ack", [&](const auto& m) {
      return m.ack().checkpoint_id() == id &&
             m.ack().subtask().vertex_id() == ToWire(VertexOf(sink_));
    });
  }

  SharedCounts counts_ = std::make_shared<Counts>();
  int sink_ = 0;
};

TEST_F(UnalignedCheckpointTest, StateAndInFlightDataTogetherAreWhatTheSourcesSent) {
  for (const int executors : {1, 2}) {
    counts_ = std::make_shared<Counts>();
    ExecutorCluster cluster(Job(2), executors);
    cluster.StartAndRun();
    ASSERT_TRUE(AwaitBacklog());
    Trigger(cluster, 1, 0, Sources());
    cluster.AwaitAcks(1);
    const auto acks = SinkAcks(cluster, 1);
    ASSERT_EQ(2u, acks.size());
    for (const auto& ack : acks) {
      EXPECT_TRUE(ack.unaligned());
      EXPECT_GT(ack.persisted_bytes(), 0);
      // Two channels, each within its credit and what one step of the source emits.
      EXPECT_LT(ack.persisted_bytes(), 2 * (ChannelWindowBytes(2) + (64 << 10)));
    }
    const SharedCounts before = counts_;
    const size_t in_flight = before->sent[1].size() - before->received[1].size();
    EXPECT_GT(in_flight, 10'000u);
    for (const int parallelism : {2, 3, 1}) {
      counts_ = std::make_shared<Counts>();
      counts_->slow = false;
      // The sources send nothing: all that comes was in flight.
      ExecutorCluster restored(Job(parallelism, 0), executors);
      restored.Start();
      restored.Deploy([&](int, pb::DeployTasks& deploy) {
        RestoreInFlight(acks, cluster.CheckpointDirectory(1), parallelism, deploy);
      });
      EXPECT_TRUE(
          Until([&] { return counts_->total_received >= static_cast<int64_t>(in_flight); }));
      std::lock_guard lock(counts_->mutex);
      Records all = before->received[1];
      all.insert(all.end(), counts_->all_received.begin(), counts_->all_received.end());
      EXPECT_TRUE(Sorted(before->sent[1]) == Sorted(all)) << parallelism << ": " << all.size();
    }
    before->slow = false;
  }
}

TEST_F(UnalignedCheckpointTest, TheBarrierPassesATaskThatHasNoCredit) {
  ExecutorCluster cluster(Job(1, -1, /*with_middle=*/true), 2);
  cluster.StartAndRun();
  ASSERT_TRUE(AwaitBacklog());
  Trigger(cluster, 1, 0, Sources());
  cluster.AwaitAcks(1);
  EXPECT_LT(counts_->total_received, static_cast<int64_t>(counts_->sent[1].size()))
      << "the checkpoint waited for the records ahead of its barrier";
  counts_->slow = false;
}

// flink-surface §4.6 no. 83.
TEST_F(UnalignedCheckpointTest, ABarrierSwitchesWhenItsAlignedTimeoutHasPassed) {
  ExecutorCluster cluster(Job(1), 1);
  cluster.StartAndRun();
  ASSERT_TRUE(AwaitBacklog());
  Trigger(cluster, 1, 50, Sources());
  cluster.AwaitAcks(1);
  ASSERT_EQ(1u, SinkAcks(cluster, 1).size());
  EXPECT_TRUE(SinkAcks(cluster, 1)[0].unaligned());
  EXPECT_GT(SinkAcks(cluster, 1)[0].persisted_bytes(), 0);
  EXPECT_LT(counts_->total_received, static_cast<int64_t>(counts_->sent[1].size()));

  Trigger(cluster, 2, 3'600'000, Sources());
  counts_->slow = false;
  cluster.AwaitAcks(2);
  EXPECT_FALSE(SinkAcks(cluster, 2)[0].unaligned());
  EXPECT_EQ(0, SinkAcks(cluster, 2)[0].persisted_bytes());
  EXPECT_TRUE(Sorted(counts_->sent[2]) == Sorted(counts_->received[2]));
}

TEST_F(UnalignedCheckpointTest, AnAbortedOneLeavesNothingBehindForTheNext) {
  ExecutorCluster cluster(Job(1), 1);
  cluster.StartAndRun();
  ASSERT_TRUE(AwaitBacklog());
  // Its second barrier never comes.
  Trigger(cluster, 1, 0, {Sources()[0]});
  ASSERT_TRUE(Until([&] {
    std::lock_guard lock(counts_->mutex);
    return counts_->received.count(1) != 0;
  }));
  cluster.Broadcast(
      [](pb::ExecutorCommand& c) { c.mutable_checkpoint_aborted()->set_checkpoint_id(1); });
  Trigger(cluster, 2, 0, Sources());
  cluster.AwaitAcks(2);
  EXPECT_TRUE(SinkAcks(cluster, 1).empty());
  EXPECT_GT(SinkAcks(cluster, 2)[0].persisted_bytes(), 0);
  counts_->slow = false;
}

// The consumer still holds much of what its producers sent when they have finished.
TEST_F(UnalignedCheckpointTest, WhatFinishedProducersSentIsInTheNextSnapshot) {
  constexpr int64_t kEach = 60'000;
  for (const std::optional<int64_t> timeout_ms :
       {std::optional<int64_t>(0), std::optional<int64_t>(50), std::optional<int64_t>()}) {
    counts_ = std::make_shared<Counts>();
    counts_->ending_sources = 2;
    ExecutorCluster cluster(Job(1, kEach), 2);
    cluster.StartAndRun();
    AwaitEndOfData(cluster, 2);
    Trigger(cluster, 1, 0, Sources());
    cluster.AwaitAcks(1);
    ASSERT_EQ(1u, SinkAcks(cluster, 1).size());
    EXPECT_FALSE(SinkAcks(cluster, 1)[0].end_of_data());
    FinishSources(cluster, 2);
    Trigger(cluster, 2, timeout_ms, {ExecutorCluster::Ref(VertexOf(sink_), 0)});
    if (!timeout_ms) counts_->slow = false;
    AwaitSinkAck(cluster, 2);
    const auto acks = SinkAcks(cluster, 2);
    ASSERT_EQ(1u, acks.size());
    EXPECT_EQ(timeout_ms.has_value(), acks[0].unaligned());
    EXPECT_EQ(timeout_ms.has_value(), acks[0].persisted_bytes() > 0);
    EXPECT_EQ(!timeout_ms.has_value(), acks[0].end_of_data());

    const SharedCounts before = counts_;
    before->slow = false;
    counts_ = std::make_shared<Counts>();
    counts_->slow = false;
    counts_->ending_sources = 2;
    ExecutorCluster restored(Job(1, 0), 2);
    restored.Start();
    restored.Deploy([&](int, pb::DeployTasks& deploy) {
      RestoreInFlight(acks, cluster.CheckpointDirectory(2), 1, deploy);
    });
    restored.AwaitEndOfData();
    std::lock_guard lock(counts_->mutex);
    Records all = before->received[2];
    all.insert(all.end(), counts_->all_received.begin(), counts_->all_received.end());
    EXPECT_EQ(2u * kEach, all.size());
    EXPECT_TRUE(Sorted(before->sent[1]) == Sorted(all));
  }
}

TEST_F(UnalignedCheckpointTest, AnAbortedTriggerBehindFinishedProducersIsNotTaken) {
  counts_->ending_sources = 2;
  ExecutorCluster cluster(Job(1, 60'000), 1);
  cluster.StartAndRun();
  AwaitEndOfData(cluster, 2);
  Trigger(cluster, 1, 0, Sources());
  cluster.AwaitAcks(1);
  FinishSources(cluster, 2);
  const std::vector<pb::SubtaskRef> sink = {ExecutorCluster::Ref(VertexOf(sink_), 0)};
  Trigger(cluster, 2, std::nullopt, sink);
  cluster.Broadcast(
      [](pb::ExecutorCommand& c) { c.mutable_checkpoint_aborted()->set_checkpoint_id(2); });
  // When the consumer has taken this one, it has heard of the abort.
  Trigger(cluster, 3, 0, sink);
  AwaitSinkAck(cluster, 3);
  counts_->slow = false;
  AwaitEndOfData(cluster, 3);
  Trigger(cluster, 4, std::nullopt, sink);
  AwaitSinkAck(cluster, 4);
  EXPECT_TRUE(SinkAcks(cluster, 2).empty());
  EXPECT_EQ(120'000u, counts_->received[4].size());
  for (const auto& m : cluster.messages()) {
    EXPECT_FALSE(m.has_decline()) << m.decline().message();
  }
}

TEST_F(UnalignedCheckpointTest, TheBarrierAlsoPassesWhatAFinishedProducerSent) {
  constexpr int64_t kEven = 60'000;
  counts_->ending_sources = 1;
  ExecutorCluster cluster(Job(1, kEven), 2);
  cluster.StartAndRun();
  AwaitEndOfData(cluster, 1);
  Trigger(cluster, 1, 0, Sources());
  cluster.AwaitAcks(1);
  FinishSources(cluster, 1);
  Trigger(cluster, 2, 0, {Sources()[1]});
  AwaitSinkAck(cluster, 2);
  EXPECT_LT(counts_->largest_even_received, 2 * kEven - 2)
      << "the checkpoint waited for the end of the producer that has finished";
  counts_->slow = false;
}

// One of two channels delivers its barrier long before the other.
TEST_F(UnalignedCheckpointTest, AtLeastOnceBlocksNoChannelAndLosesNothing) {
  for (const bool exactly_once : {false, true}) {
    counts_ = std::make_shared<Counts>();
    counts_->slow = false;
    ExecutorCluster cluster(Job(1), 1);
    (*cluster.settings(0).mutable_configuration())["execution.checkpointing.mode"] =
        exactly_once ? "Exactly_Once" : "at_least_once";  // In any case.
    cluster.StartAndRun();
    Trigger(cluster, 1, std::nullopt, {Sources()[0]});
    ASSERT_TRUE(Until([&] {
      std::lock_guard lock(counts_->mutex);
      return counts_->sent.count(1) != 0;
    }));
    int64_t behind_the_barrier = 0;
    {
      std::lock_guard lock(counts_->mutex);
      behind_the_barrier = 2 * static_cast<int64_t>(counts_->sent[1].size());
    }
    if (exactly_once) {
      // The other channel goes on.
      const int64_t now = counts_->total_received;
      ASSERT_TRUE(Until([&] { return counts_->total_received > now + 100'000; }));
    } else {
      ASSERT_TRUE(Until([&] { return counts_->largest_even_received >= behind_the_barrier; }))
          << "the channel whose barrier has come is blocked";
    }
    Trigger(cluster, 1, std::nullopt, {Sources()[1]});
    cluster.AwaitAcks(1);
    std::lock_guard lock(counts_->mutex);
    const Records sent = Sorted(counts_->sent[1]);
    const Records received = Sorted(counts_->received[1]);
    EXPECT_TRUE(std::includes(received.begin(), received.end(), sent.begin(), sent.end()));
    if (exactly_once) {
      EXPECT_EQ(sent.size(), received.size());
    } else {
      EXPECT_GT(received.size(), sent.size()) << "these come twice after a restore";
    }
  }
}

}  // namespace
}  // namespace flink::taskmanager
