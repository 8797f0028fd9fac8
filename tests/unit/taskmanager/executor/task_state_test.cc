// What a task keeps across a checkpoint: keyed state, timers, what was aligned, and that its input
// had ended.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <mutex>
#include <set>

#include "common/base/clock.h"
#include "common/snapshot/operator_state_stream.h"
#include "common/snapshot/state_handle.h"
#include "flink/operators/keyed_operators.h"
#include "flink/operators/stateless_operators.h"
#include "flink/sink.h"
#include "tests/unit/taskmanager/executor/executor_cluster.h"

namespace flink::taskmanager {
namespace {

using graph::ShipStrategy;
using testing::HasSubstr;

constexpr int64_t kEndless = int64_t{1} << 60;

struct Tally {
  std::mutex mutex;
  std::multiset<int64_t> records;       // that the sinks saw
  std::map<int64_t, int64_t> sent;      // records of all sources before the barrier of a checkpoint
  std::map<int64_t, int64_t> received;  // records that an operator got before it
  std::atomic<int> hooks{0};            // calls of an end-of-input hook
  std::atomic<int64_t> timer_delay_ms{0};
  std::atomic<bool> snapshot_throws{false};

  size_t RecordCount() {
    std::lock_guard lock(mutex);
    return records.size();
  }
};
using SharedTally = std::shared_ptr<Tally>;

/// Numbers of the subtask, below `limit`; then the end, or `and_wait`s for ever.
class Numbers final : public SourceOperator {
 public:
  Numbers(SharedTally tally, int64_t limit, bool and_wait = false)
      : tally_(std::move(tally)), limit_(limit), and_wait_(and_wait) {}
  OutputBase* output() override { return &output_; }
  void Open(OperatorContext& context) override {
    next_ = context.subtask_index();
    step_ = context.parallelism();
  }
  SourceStatus Produce() override {
    for (int i = 0; i < 100 && next_ < limit_; ++i, next_ += step_, ++sent_) output_.Collect(next_);
    if (next_ < limit_) return SourceStatus::kMore;
    return and_wait_ ? SourceStatus::kWaiting : SourceStatus::kEnd;
  }
  void SnapshotState(SnapshotContext& context) override {
    std::lock_guard lock(tally_->mutex);
    tally_->sent[context.checkpoint_id] += sent_;
  }

 private:
  SharedTally tally_;
  const int64_t limit_;
  const bool and_wait_;
  Output<int64_t> output_;
  int64_t next_ = 0;
  int64_t step_ = 1;
  int64_t sent_ = 0;
};

/// Counts records of both inputs and passes none on.
class TwoInputs final : public Operator {
 public:
  explicit TwoInputs(SharedTally tally) : tally_(std::move(tally)) {}
  int input_count() const override { return 2; }
  InputPort* input(int index) override { return &ports_[index]; }
  void SnapshotState(SnapshotContext& context) override {
    if (tally_->snapshot_throws) throw std::runtime_error("disk full");
    std::lock_guard lock(tally_->mutex);
    tally_->received[context.checkpoint_id] += ports_[0].count + ports_[1].count;
  }

 private:
  struct Port final : InputPort {
    void ProcessBatch(BatchBase& batch) override { count += static_cast<int64_t>(batch.size()); }
    void ProcessWatermark(int64_t) override {}
    void ProcessIdle(bool) override {}
    void EndOfInput() override {}
    void Flush() override {}
    int64_t count = 0;
  };
  SharedTally tally_;
  Port ports_[2];
};

class Sink final : public SinkOperator<int64_t> {
 public:
  explicit Sink(SharedTally tally) : tally_(std::move(tally)) {}

 private:
  void Write(Batch<int64_t>& batch) override {
    std::lock_guard lock(tally_->mutex);
    tally_->records.insert(batch.records.begin(), batch.records.end());
  }
  void Finish() override { ++tally_->hooks; }
  SharedTally tally_;
};

constexpr int64_t kKeys = 1000;
struct KeyOfNumber {
  int64_t operator()(const int64_t& n) const { return n % kKeys; }
};

/// Emits key + kKeys * (how often the key came); with a delay, that many ms later.
class CountPerKey final : public KeyedProcessFunction<int64_t, int64_t, int64_t> {
 public:
  explicit CountPerKey(SharedTally tally) : tally_(std::move(tally)) {}
  void Open(RuntimeContext& context) override { count_ = context.GetValueState<int64_t>("count"); }
  void ProcessElement(int64_t&, Context& context, Collector<int64_t>& out) override {
    int64_t& count = count_.Mutable();
    ++count;
    if (tally_->timer_delay_ms == 0) {
      out.Collect(context.CurrentKey() + kKeys * count);
    } else {
      TimerService& timers = context.Timers();
      timers.RegisterProcessingTimeTimer(timers.CurrentProcessingTime() + tally_->timer_delay_ms);
    }
  }
  void OnTimer(int64_t, OnTimerContext& context, Collector<int64_t>& out) override {
    EXPECT_EQ(TimeDomain::kProcessingTime, context.domain);
    out.Collect(context.CurrentKey() + kKeys * count_.Value());
  }

 private:
  SharedTally tally_;
  ValueState<int64_t> count_;
};

class TaskStateTest : public testing::Test {
 protected:
  LoadedJob KeyedJob(int64_t limit, bool and_wait, int parallelism) {
    TestJob job;
    const SharedTally tally = tally_;
    const int source = job.AddVertex(
        "numbers", 2, [=] { return std::make_unique<Numbers>(tally, limit, and_wait); });
    const int count = job.AddVertex("count", parallelism, [=] {
      return std::make_unique<KeyedProcessOperator<int64_t, KeyOfNumber, CountPerKey>>(
          KeyOfNumber(), CountPerKey(tally));
    });
    job.SetKeyed(count);
    job.Chain("sink", [=] { return std::make_unique<Sink>(tally); });
    job.Connect(source, count, ShipStrategy::kHash,
                std::make_shared<HashEdge<int64_t, KeyOfNumber>>(KeyOfNumber()));
    count_ = count;
    return job.job();
  }
  /// Two sources to the inputs 0 and `second_input` of one operator.
  LoadedJob TwoSourcesJob(int64_t first_limit, int second_input) {
    TestJob job;
    const SharedTally tally = tally_;
    const int a =
        job.AddVertex("a", 2, [=] { return std::make_unique<Numbers>(tally, first_limit); });
    const int b = job.AddVertex("b", 1, [=] { return std::make_unique<Numbers>(tally, kEndless); });
    const int both = job.AddVertex("both", 2, [=] { return std::make_unique<TwoInputs>(tally); });
    const auto type = std::make_shared<RebalanceEdge<int64_t>>();
    job.Connect(a, both, ShipStrategy::kRebalance, type);
    job.Connect(b, both, ShipStrategy::kRebalance, type, second_input);
    return job.job();
  }

  static std::vector<std::string> StatesOf(ExecutorCluster& cluster, int64_t id, int node) {
    std::vector<std::string> states;
    for (const auto& m : cluster.messages()) {
      if (!m.has_ack() || m.ack().checkpoint_id() != id) continue;
      for (const auto& op : m.ack().operators()) {
        if (op.operator_id() == ToWire(OperatorOf(node))) states.push_back(op.state());
      }
    }
    return states;
  }
  /// Gives the states to every subtask of the vertex that `node` is the head of, union lists as
  /// lists.
  static void Restore(const std::vector<std::string>& states, const std::string& directory,
                      int node, int parallelism, pb::DeployTasks& deploy) {
    deploy.set_restored_checkpoint_id(1);
    for (int s = 0; s < parallelism; ++s) {
      pb::TaskRestore& task = *deploy.add_restores();
      *task.mutable_subtask() = ExecutorCluster::Ref(VertexOf(node), s);
      pb::OperatorRestore& op = *task.add_operators();
      op.set_operator_id(ToWire(OperatorOf(node)));
      op.set_base_directory(directory);
      std::map<std::string, pb::ListStateRestore*> lists;
      for (const std::string& bytes : states) {
        op.add_subtask_states(bytes);
        const auto state = snapshot::DecodeSubtaskState(bytes);
        ASSERT_TRUE(state.ok());
        if (!state->managed_operator_state) continue;
        const auto& handle = *state->managed_operator_state;
        const auto read = snapshot::ReadOperatorStateStream(
            std::get<snapshot::InlineHandle>(handle.stream).bytes, handle);
        ASSERT_TRUE(read.ok());
        for (const snapshot::OperatorState& list : *read) {
          if (list.mode != snapshot::DistributionMode::kUnion) continue;
          pb::ListStateRestore*& to = lists[list.name];
          if (to == nullptr) to = op.add_list_states();
          to->set_name(list.name);
          for (const std::string& element : list.elements) to->add_elements(element);
        }
      }
    }
  }
  static void RunRestored(ExecutorCluster& cluster, const std::vector<std::string>& states,
                          const std::string& directory, int node, int parallelism) {
    cluster.Start();
    cluster.Deploy([&](int, pb::DeployTasks& deploy) {
      Restore(states, directory, node, parallelism, deploy);
    });
    cluster.AwaitAll("RUNNING");
  }

  SharedTally tally_ = std::make_shared<Tally>();
  int count_ = 0;
};

TEST_F(TaskStateTest, KeyedStateComesBackAtAnotherParallelism) {
  constexpr int64_t kRounds = 20;
  ExecutorCluster cluster(KeyedJob(kKeys * kRounds, false, 2), 2);
  cluster.StartAndRun();
  cluster.AwaitEndOfData();
  cluster.Trigger(1, pb::SnapshotTarget::KIND_CHECKPOINT);
  cluster.AwaitAcks(1);
  const std::vector<std::string> states = StatesOf(cluster, 1, count_);
  ASSERT_EQ(2u, states.size());

  tally_ = std::make_shared<Tally>();
  ExecutorCluster restored(KeyedJob(kKeys * kRounds, false, 3), 2);
  RunRestored(restored, states, cluster.CheckpointDirectory(1), count_, 3);
  restored.AwaitEndOfData();
  std::multiset<int64_t> expected;
  for (int64_t key = 0; key < kKeys; ++key) {
    for (int64_t n = kRounds + 1; n <= 2 * kRounds; ++n) expected.insert(key + kKeys * n);
  }
  std::lock_guard lock(tally_->mutex);
  EXPECT_TRUE(tally_->records == expected) << tally_->records.size();
}

TEST_F(TaskStateTest, ProcessingTimeTimersFireOncePerKey) {
  tally_->timer_delay_ms = 20;
  ExecutorCluster cluster(KeyedJob(500, true, 2), 2);
  cluster.StartAndRun();
  cluster.Await("timers", [&] { return tally_->RecordCount() >= 500; });
}

TEST_F(TaskStateTest, ProcessingTimeTimersComeBackAtAnotherParallelism) {
  tally_->timer_delay_ms = 3000;
  std::vector<std::string> states;
  ExecutorCluster cluster(KeyedJob(500, true, 2), 2);
  cluster.StartAndRun();
  // Checkpoints are taken until one has all records.
  int64_t id = 0;
  for (int64_t received = 0; received < 500; received = tally_->sent[id]) {
    cluster.Trigger(++id, pb::SnapshotTarget::KIND_CHECKPOINT);
    cluster.AwaitAcks(id);
  }
  ASSERT_EQ(0u, tally_->RecordCount()) << "this machine was too slow for the test";
  states = StatesOf(cluster, id, count_);
  const SharedTally before = tally_;
  tally_ = std::make_shared<Tally>();
  ExecutorCluster restored(KeyedJob(0, true, 3), 1);
  RunRestored(restored, states, cluster.CheckpointDirectory(id), count_, 3);
  for (int i = 0; i < 200 && tally_->RecordCount() < 500; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  std::lock_guard lock(tally_->mutex);
  EXPECT_EQ(500u, tally_->records.size());
  for (int64_t key = 0; key < 500; ++key) EXPECT_EQ(1u, tally_->records.count(key + kKeys)) << key;
}

TEST_F(TaskStateTest, ACheckpointOfTwoInputsHasExactlyTheRecordsBeforeTheBarriers) {
  ExecutorCluster cluster(TwoSourcesJob(kEndless, 1), 2);
  cluster.StartAndRun();
  for (int64_t id = 1; id <= 10; ++id) {
    cluster.Trigger(id, pb::SnapshotTarget::KIND_CHECKPOINT);
    cluster.AwaitAcks(id);
    EXPECT_EQ(tally_->sent[id], tally_->received[id]);
  }
  EXPECT_GT(tally_->sent[10], tally_->sent[1]);
}

TEST_F(TaskStateTest, ACheckpointOfAUnionGoesOnWhenOneSideHasEnded) {
  ExecutorCluster cluster(TwoSourcesJob(1001, 0), 2);
  cluster.StartAndRun();
  cluster.AwaitMessage(
      "end of a", [](const auto& m) { return m.has_end_of_data(); }, 2);
  for (int64_t id = 1; id <= 10; ++id) {
    cluster.Trigger(id, pb::SnapshotTarget::KIND_CHECKPOINT);
    cluster.AwaitAcks(id);
    EXPECT_EQ(tally_->sent[id], tally_->received[id]);
  }
}

TEST_F(TaskStateTest, AnOperatorThatThrowsInItsSnapshotFailsItsTask) {  // flink-surface §4.3 no. 56
  tally_->snapshot_throws = true;
  ExecutorCluster cluster(TwoSourcesJob(kEndless, 1), 1);
  cluster.StartAndRun();
  cluster.Trigger(1, pb::SnapshotTarget::KIND_CHECKPOINT);
  cluster.AwaitMessage("failure", [](const auto& m) {
    return m.has_task_state() && m.task_state().state() == "FAILED" &&
           m.task_state().message().find("disk full") != std::string::npos;
  });
}

TEST_F(TaskStateTest, EndOfInputIsNotCalledAgainBehindACheckpointOfAllThatHadEnded) {
  ExecutorCluster cluster(KeyedJob(5000, false, 2), 2);
  cluster.StartAndRun();
  cluster.AwaitEndOfData();
  EXPECT_EQ(2, tally_->hooks);
  cluster.Trigger(1, pb::SnapshotTarget::KIND_FINAL);
  cluster.AwaitAcks(1);
  const std::vector<std::string> states = StatesOf(cluster, 1, count_);

  for (const size_t ended : {states.size(), states.size() - 1}) {
    tally_ = std::make_shared<Tally>();
    ExecutorCluster restored(KeyedJob(0, false, 3), 2);
    RunRestored(restored, {states.begin(), states.begin() + static_cast<std::ptrdiff_t>(ended)},
                cluster.CheckpointDirectory(1), count_, 3);
    restored.AwaitEndOfData();
    EXPECT_EQ(ended == states.size() ? 0 : 3, tally_->hooks);
    // The mark stays.
    restored.Trigger(2, pb::SnapshotTarget::KIND_FINAL);
    restored.AwaitAcks(2);
    restored.Finish(2);
    restored.AwaitAll("FINISHED");
  }
}

TEST_F(TaskStateTest, OverdueTimersDoNotFireBehindARestoredEndOfInput) {
  tally_->timer_delay_ms = 1000;
  ExecutorCluster cluster(KeyedJob(500, false, 2), 2);
  cluster.StartAndRun();
  cluster.AwaitEndOfData();
  const int64_t ended_ms = Clock::System().NowMs();
  cluster.Trigger(1, pb::SnapshotTarget::KIND_CHECKPOINT);
  cluster.AwaitAcks(1);
  ASSERT_EQ(0u, tally_->RecordCount()) << "this machine was too slow for the test";
  ASSERT_TRUE(Until([&] { return Clock::System().NowMs() > ended_ms + 1000; }));
  tally_ = std::make_shared<Tally>();
  ExecutorCluster restored(KeyedJob(0, false, 2), 2);
  RunRestored(restored, StatesOf(cluster, 1, count_), cluster.CheckpointDirectory(1), count_, 2);
  restored.AwaitEndOfData();
  restored.Trigger(2, pb::SnapshotTarget::KIND_FINAL);
  restored.AwaitAcks(2);
  EXPECT_EQ(0u, tally_->RecordCount());
}

// flink-surface §4.1 no. 11, 12.
TEST_F(TaskStateTest, CheckpointsGoOnBehindTasksThatHaveFinished) {
  for (const int executors : {1, 2}) {
    tally_ = std::make_shared<Tally>();
    ExecutorCluster cluster(TwoSourcesJob(1001, 0), executors);
    cluster.StartAndRun();
    cluster.AwaitMessage(
        "end of a", [](const auto& m) { return m.has_end_of_data(); }, 2);
    cluster.Trigger(1, pb::SnapshotTarget::KIND_CHECKPOINT);
    cluster.AwaitAcks(1);
    int ended = 0;
    for (const auto& m : cluster.messages()) ended += m.has_ack() && m.ack().end_of_data() ? 1 : 0;
    EXPECT_EQ(2, ended);
    cluster.Complete(1);
    cluster.Broadcast([](pb::ExecutorCommand& command) {
      command.mutable_finish()->set_checkpoint_id(1);
      for (const int s : {0, 1}) {
        *command.mutable_finish()->add_subtasks() = ExecutorCluster::Ref(VertexOf(1), s);
      }
    });
    cluster.Await("finished", [&] { return cluster.CountState("FINISHED") == 2; });
    for (int64_t id = 2; id <= 5; ++id) {
      // Those that have finished do not answer any more.
      cluster.Trigger(id, pb::SnapshotTarget::KIND_CHECKPOINT);
      cluster.AwaitMessage(
          "acks", [&](const auto& m) { return m.has_ack() && m.ack().checkpoint_id() == id; },
          cluster.task_count() - 2);
      EXPECT_EQ(tally_->sent[id] + 1001, tally_->received[id]);
    }
  }
}

TEST_F(TaskStateTest, ATaskThatHadFinishedBeforeEndsAtOnceAndOpensNothing) {
  ExecutorCluster cluster(TwoSourcesJob(kEndless, 0), 2);
  cluster.Start();
  cluster.Deploy([](int, pb::DeployTasks& deploy) {
    deploy.set_restored_checkpoint_id(1);
    for (auto& vertex : *deploy.mutable_vertices()) {
      if (vertex.vertex_id() == ToWire(VertexOf(1))) vertex.set_finished_before(true);
    }
  });
  cluster.AwaitAll("RUNNING");
  cluster.AwaitMessage(
      "end of a", [](const auto& m) { return m.has_end_of_data(); }, 2);
  cluster.Trigger(2, pb::SnapshotTarget::KIND_CHECKPOINT);
  cluster.AwaitAcks(2);
  int finished = 0;
  for (const auto& m : cluster.messages()) {
    if (!m.has_ack() || !m.ack().finished_before()) continue;
    ++finished;
    EXPECT_TRUE(m.ack().end_of_data());
    EXPECT_EQ("", m.ack().operators(0).state());
  }
  EXPECT_EQ(2, finished);
  EXPECT_EQ(tally_->sent[2], tally_->received[2]) << "only the other source sent records";
}

}  // namespace
}  // namespace flink::taskmanager
