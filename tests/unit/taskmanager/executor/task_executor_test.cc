#include "taskmanager/executor/task_executor.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <set>
#include <thread>
#include <utility>

#include "common/base/clock.h"
#include "common/snapshot/operator_state_stream.h"
#include "common/snapshot/state_handle.h"
#include "flink/operators/one_input_operator.h"
#include "tests/unit/taskmanager/executor/executor_cluster.h"

namespace flink::taskmanager {
namespace {

using graph::ShipStrategy;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::UnorderedElementsAre;

/// What the operators of a test saw; shared by its threads.
struct Observed {
  void Add(const std::string& event) {
    std::lock_guard lock(mutex);
    events.push_back(event);
  }
  std::vector<std::string> Events() {
    std::lock_guard lock(mutex);
    return events;
  }
  int Count(const std::string& event) {
    std::lock_guard lock(mutex);
    return static_cast<int>(std::count(events.begin(), events.end(), event));
  }
  std::mutex mutex;
  std::vector<std::string> events;
  std::multiset<int64_t> records;
  std::map<int64_t, std::set<int>> subtasks_of_key;
  std::atomic<int64_t> produced{0};
  std::atomic<int64_t> next_tick_ms{0};
  std::atomic<bool> gate_open{true};
};

/// Numbers next, next + parallelism, ... below the limit; the position is list state.
class Numbers final : public SourceOperator {
 public:
  Numbers(std::shared_ptr<Observed> observed, int64_t limit)
      : observed_(std::move(observed)), limit_(limit) {}
  OutputBase* output() override { return &output_; }
  void Open(OperatorContext& context) override {
    context_ = &context;
    next_ = context.subtask_index();
    for (const std::string& element : context.RestoredListState("position")) {
      BufferReader in(element);
      next_ = in.Get<int64_t>();
      observed_->Add("restored " + std::to_string(next_));
    }
  }
  SourceStatus Produce() override {
    for (int i = 0; i < 1024 && next_ < limit_; ++i, next_ += context_->parallelism()) {
      output_.Collect(next_);
      observed_->produced.fetch_add(1);
    }
    return next_ < limit_ ? SourceStatus::kMore : SourceStatus::kEnd;
  }
  void SnapshotState(SnapshotContext& context) override {
    BufferWriter out;
    out.Put<int64_t>(next_);
    context.list_states.push_back(
        {"position", false, TypeSerializer<int64_t>::Snapshot(), {out.TakeString()}});
  }
  void HandleCoordinatorEvent(std::string_view payload) override {
    observed_->Add("event " + std::string(payload));
  }

 private:
  std::shared_ptr<Observed> observed_;
  const int64_t limit_;
  OperatorContext* context_ = nullptr;
  Output<int64_t> output_;
  int64_t next_ = 0;
};

/// Never has anything; waits for its coordinator.
class Listener final : public SourceOperator {
 public:
  explicit Listener(std::shared_ptr<Observed> observed) : observed_(std::move(observed)) {}
  OutputBase* output() override { return &output_; }
  void Open(OperatorContext& context) override { context.SendToCoordinator("hello"); }
  SourceStatus Produce() override { return SourceStatus::kWaiting; }
  void SnapshotState(SnapshotContext& context) override {
    observed_->Add("snapshot " + std::to_string(context.checkpoint_id));
  }
  void HandleCoordinatorEvent(std::string_view payload) override {
    observed_->Add("event " + std::string(payload));
  }

 private:
  std::shared_ptr<Observed> observed_;
  Output<int64_t> output_;
};

/// A number every 50 ms; asks to be woken up in between.
class Ticker final : public SourceOperator {
 public:
  explicit Ticker(std::shared_ptr<Observed> observed) : observed_(std::move(observed)) {}
  OutputBase* output() override { return &output_; }
  void Open(OperatorContext& context) override { time_ = &context.time_service(); }
  SourceStatus Produce() override {
    const int64_t now = time_->NowMs();
    if (now < observed_->next_tick_ms) {
      if (!std::exchange(wake_up_pending_, true)) {
        time_->RegisterTimer(observed_->next_tick_ms, [this] { wake_up_pending_ = false; });
      }
      return SourceStatus::kWaiting;
    }
    observed_->next_tick_ms = now + 50;
    output_.Collect(observed_->produced.fetch_add(1));
    return SourceStatus::kMore;
  }

 private:
  std::shared_ptr<Observed> observed_;
  ProcessingTimeService* time_ = nullptr;
  Output<int64_t> output_;
  bool wake_up_pending_ = false;
};

class Sink final : public Operator, public InputPort {
 public:
  explicit Sink(std::shared_ptr<Observed> observed) : observed_(std::move(observed)) {}
  int input_count() const override { return 1; }
  InputPort* input(int) override { return this; }
  void Open(OperatorContext& context) override { subtask_ = context.subtask_index(); }
  void ProcessBatch(BatchBase& base) override {
    while (!observed_->gate_open.load()) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    std::lock_guard lock(observed_->mutex);
    for (const int64_t n : static_cast<Batch<int64_t>&>(base).records) {
      if (n == poison) throw std::runtime_error("poisoned by " + std::to_string(n));
      observed_->records.insert(n);
      observed_->subtasks_of_key[n % 10].insert(subtask_);
    }
  }
  void ProcessWatermark(int64_t watermark_ms) override {
    if (watermark_ms == kMaxWatermark) observed_->Add("max watermark");
  }
  void ProcessIdle(bool) override {}
  void EndOfInput() override { observed_->Add("end of input"); }
  void Flush() override {}
  void NotifyCheckpointComplete(int64_t id) override {
    observed_->Add("complete " + std::to_string(id));
  }
  void SnapshotState(SnapshotContext& context) override {
    observed_->Add("snapshot " + std::to_string(context.checkpoint_id) + " of sink");
  }
  void Close() override { observed_->Add("close"); }

  int64_t poison = -1;

 private:
  std::shared_ptr<Observed> observed_;
  int subtask_ = 0;
};

/// Passes everything on, and emits one more number at the end.
class LastWord final : public OneInputOperator<int64_t, int64_t> {
 public:
  static constexpr int64_t kWord = -7;
  explicit LastWord(std::shared_ptr<Observed> observed) : observed_(std::move(observed)) {}
  void SnapshotState(SnapshotContext& context) override {
    observed_->Add("snapshot " + std::to_string(context.checkpoint_id) + " of last");
  }

 private:
  void ProcessRecords(Batch<int64_t>& batch) override { output_.EmitBatch(batch); }
  void OnEndOfInput() override {
    observed_->Add("end of last");
    output_.Collect(kWord);
  }
  std::shared_ptr<Observed> observed_;
};

struct Tens {
  int64_t operator()(const int64_t& n) const { return n % 10; }
};

class TaskExecutorTest : public testing::Test {
 protected:
  /// Numbers below `limit` -> by last digit -> sink, each with this parallelism.
  TestJob NumbersJob(int64_t limit, int parallelism, int64_t poison = -1) {
    TestJob job;
    const auto seen = seen_;
    const int source = job.AddVertex(
        "numbers", parallelism, [seen, limit] { return std::make_unique<Numbers>(seen, limit); });
    const int sink = job.AddVertex("sink", parallelism, [seen, poison] {
      auto made = std::make_unique<Sink>(seen);
      made->poison = poison;
      return made;
    });
    job.Connect(source, sink, ShipStrategy::kHash,
                std::make_shared<HashEdge<int64_t, Tens>>(Tens()));
    return job;
  }
  static constexpr int64_t kEndless = int64_t{1} << 60;
  std::shared_ptr<Observed> seen_ = std::make_shared<Observed>();
};

TEST_F(TaskExecutorTest, ABoundedJobOnTwoExecutorsDeliversEveryRecordOnceAndFinishes) {
  constexpr int64_t kCount = 300000;
  ExecutorCluster cluster(NumbersJob(kCount, 2).job(), 2);
  cluster.StartAndRun();
  cluster.AwaitEndOfData();
  {
    std::lock_guard lock(seen_->mutex);
    ASSERT_EQ(static_cast<size_t>(kCount), seen_->records.size());
    int64_t next = 0;
    for (const int64_t n : seen_->records) ASSERT_EQ(next++, n);
    for (const auto& [key, subtasks] : seen_->subtasks_of_key)
      EXPECT_EQ(1u, subtasks.size()) << key;
  }
  EXPECT_EQ(2, seen_->Count("max watermark"));
  EXPECT_EQ(2, seen_->Count("end of input"));
  cluster.Trigger(1, pb::SnapshotTarget::KIND_FINAL);
  cluster.AwaitAcks(1);
  cluster.Finish(1);
  cluster.executor(0).WaitUntilEnded();
  cluster.executor(1).WaitUntilEnded();
  cluster.AwaitAll("FINISHED");
  const std::vector<std::string> events = seen_->Events();
  EXPECT_EQ(2, seen_->Count("complete 1"));
  EXPECT_EQ(2, seen_->Count("close"));
  for (const auto& m : cluster.messages()) EXPECT_FALSE(m.has_failed()) << m.failed().message();
}

TEST_F(TaskExecutorTest, SnapshotsAreAcknowledgedWhileRecordsFlowAndRestoreGivesTheListStateBack) {
  std::string state;
  {
    ExecutorCluster cluster(NumbersJob(kEndless, 2).job(), 2);
    cluster.StartAndRun();
    for (int64_t id = 1; id <= 5; ++id) {
      cluster.Trigger(id, pb::SnapshotTarget::KIND_CHECKPOINT);
      cluster.AwaitAcks(id);
      cluster.Complete(id);
    }
    for (const auto& m : cluster.messages()) {
      if (!m.has_ack() || m.ack().checkpoint_id() != 5) continue;
      ASSERT_EQ(1, m.ack().operators_size());
      if (m.ack().subtask().vertex_id() == ToWire(VertexOf(1)) &&
          m.ack().subtask().subtask() == 0) {
        state = m.ack().operators(0).state();
        EXPECT_GT(m.ack().state_bytes(), 0);
      }
    }
  }
  const auto decoded = snapshot::DecodeSubtaskState(state);
  ASSERT_TRUE(decoded.ok());
  const auto& handle = *decoded->managed_operator_state;
  const auto states = snapshot::ReadOperatorStateStream(
      std::get<snapshot::InlineHandle>(handle.stream).bytes, handle);
  ASSERT_TRUE(states.ok()) << Message(states.status());
  ASSERT_EQ(1u, states->size());
  BufferReader in(states->at(0).elements.at(0));
  const int64_t position = in.Get<int64_t>();
  // Exactly the numbers of this subtask before the position crossed the barrier, or more behind it.
  EXPECT_EQ(0, position % 2);

  seen_ = std::make_shared<Observed>();
  ExecutorCluster restored(NumbersJob(kEndless, 2).job(), 2);
  restored.Start();
  restored.Deploy([&](int executor, pb::DeployTasks& deploy) {
    deploy.set_restored_checkpoint_id(5);
    if (executor != 0) return;
    pb::TaskRestore& task = *deploy.add_restores();
    *task.mutable_subtask() = ExecutorCluster::Ref(VertexOf(1), 0);
    pb::OperatorRestore& op = *task.add_operators();
    op.set_operator_id(ToWire(OperatorOf(1)));
    pb::ListStateRestore& list = *op.add_list_states();
    list.set_name("position");
    list.add_elements(states->at(0).elements.at(0));
  });
  restored.AwaitAll("RUNNING");
  EXPECT_EQ(1, seen_->Count("restored " + std::to_string(position)));
}

TEST_F(TaskExecutorTest, CoordinatorEventsAndTriggersReachAReaderInTheOrderTheyWereSent) {
  class Coordinator final : public SourceCoordinator {
   public:
    void Start(Context& context, bool, std::string_view) override { context_ = &context; }
    void HandleEvent(int subtask, std::string_view payload) override {
      context_->SendToReader(subtask, "reply to " + std::string(payload));
    }
    std::string Snapshot(int64_t id) override {
      context_->SendToReader(0, "before ack " + std::to_string(id));
      return "coordinator " + std::to_string(id);
    }

   private:
    Context* context_ = nullptr;
  };
  TestJob job;
  const auto seen = seen_;
  const int source = job.AddVertex(
      "listener", 1, [seen] { return std::make_unique<Listener>(seen); },
      [] { return std::make_unique<Coordinator>(); });
  const int sink = job.AddVertex("sink", 1, [seen] { return std::make_unique<Sink>(seen); });
  job.Connect(source, sink, ShipStrategy::kForward, std::make_shared<RebalanceEdge<int64_t>>());
  ExecutorCluster cluster(job.job(), 1);
  cluster.StartAndRun();
  cluster.AwaitMessage("reply", [](const auto& m) {
    return m.has_coordinator_event() && m.coordinator_event().payload() == "reply to hello";
  });
  cluster.Broadcast([&](pb::ExecutorCommand& command) {
    command.mutable_trigger_coordinator()->set_checkpoint_id(1);
    command.mutable_trigger_coordinator()->set_operator_id(ToWire(OperatorOf(source)));
  });
  cluster.AwaitMessage("coordinator ack", [](const auto& m) {
    return m.has_coordinator_ack() && m.coordinator_ack().state() == "coordinator 1";
  });
  cluster.Trigger(1, pb::SnapshotTarget::KIND_CHECKPOINT);
  cluster.AwaitAcks(1);
  std::vector<std::string> events = seen_->Events();
  std::erase(events, "snapshot 1 of sink");
  EXPECT_THAT(events, ElementsAre("event reply to hello", "event before ack 1", "snapshot 1"));
}

TEST_F(TaskExecutorTest, ASlowConsumerStopsTheSourceInTheOtherProcessToo) {
  seen_->gate_open = false;
  ExecutorCluster cluster(NumbersJob(kEndless, 2).job(), 2);
  cluster.StartAndRun();
  int64_t before = -1;
  for (int i = 0; i < 100 && seen_->produced.load() != before; ++i) {
    before = seen_->produced.load();
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  EXPECT_GT(before, 0);
  // 4 channels of 512 KiB, 8 to 16 bytes per record, and a few batches.
  EXPECT_LT(before, 400000);
  seen_->gate_open = true;
  for (int i = 0; i < 200 && seen_->produced.load() < 2 * before; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  EXPECT_GT(seen_->produced.load(), before);
}

TEST_F(TaskExecutorTest, StopWithSavepointDeliversExactlyWhatWasBeforeItsBarrier) {
  ExecutorCluster cluster(NumbersJob(kEndless, 2).job(), 2);
  cluster.StartAndRun();
  while (seen_->produced.load() < 10000) std::this_thread::yield();
  cluster.Trigger(7, pb::SnapshotTarget::KIND_SYNC_SAVEPOINT, /*drain=*/true);
  cluster.AwaitAcks(7);
  {
    std::lock_guard lock(seen_->mutex);
    EXPECT_EQ(static_cast<size_t>(seen_->produced.load()), seen_->records.size());
  }
  EXPECT_EQ(2, seen_->Count("max watermark"));
  EXPECT_EQ(2, seen_->Count("end of input"));
  cluster.Complete(7);
  cluster.Finish(7);
  cluster.AwaitAll("FINISHED");
  EXPECT_EQ(2, seen_->Count("complete 7"));
}

// SavepointITCase 1 to 3, 14.
TEST_F(TaskExecutorTest, ADrainEndsEveryOperatorBeforeItsSnapshotAndAStopEndsNone) {
  for (const bool drain : {true, false}) {
    seen_ = std::make_shared<Observed>();
    const auto seen = seen_;
    TestJob job;
    const int source =
        job.AddVertex("numbers", 1, [seen] { return std::make_unique<Numbers>(seen, kEndless); });
    const int last = job.AddVertex("last", 1, [seen] { return std::make_unique<LastWord>(seen); });
    const int sink = job.AddVertex("sink", 1, [seen] { return std::make_unique<Sink>(seen); });
    const auto type = std::make_shared<RebalanceEdge<int64_t>>();
    job.Connect(source, last, ShipStrategy::kRebalance, type);
    job.Connect(last, sink, ShipStrategy::kRebalance, type);
    ExecutorCluster cluster(job.job(), 1);
    cluster.StartAndRun();
    while (seen_->produced.load() < 10000) std::this_thread::yield();
    cluster.Trigger(1, pb::SnapshotTarget::KIND_SYNC_SAVEPOINT, drain);
    cluster.AwaitAcks(1);
    const std::vector<std::string> events = seen_->Events();
    const auto at = [&](const char* event) {
      return std::find(events.begin(), events.end(), event) - events.begin();
    };
    if (drain) {
      EXPECT_EQ(5u, events.size());
      EXPECT_LT(at("end of last"), at("snapshot 1 of last"));
      EXPECT_LT(at("max watermark"), at("end of input"));
      EXPECT_LT(at("end of input"), at("snapshot 1 of sink"));
    } else {
      EXPECT_THAT(events, UnorderedElementsAre("snapshot 1 of last", "snapshot 1 of sink"));
    }
    std::lock_guard lock(seen_->mutex);
    EXPECT_EQ(drain ? 1u : 0u, seen_->records.count(LastWord::kWord))
        << "what an operator emits at its end is in front of the barrier";
    // Who goes on from the savepoint reads on.
    for (const auto& m : cluster.messages()) {
      EXPECT_FALSE(m.has_end_of_data());
      EXPECT_FALSE(m.ack().end_of_data());
    }
  }
}

TEST_F(TaskExecutorTest, AnAbortedStopLetsTheJobGoOn) {
  ExecutorCluster cluster(NumbersJob(kEndless, 1).job(), 1);
  cluster.StartAndRun();
  cluster.Trigger(1, pb::SnapshotTarget::KIND_SYNC_SAVEPOINT);
  cluster.AwaitAcks(1);
  const int64_t before = seen_->produced.load();
  cluster.Broadcast(
      [](pb::ExecutorCommand& c) { c.mutable_checkpoint_aborted()->set_checkpoint_id(1); });
  cluster.Trigger(2, pb::SnapshotTarget::KIND_CHECKPOINT);
  cluster.AwaitAcks(2);
  while (seen_->produced.load() == before) std::this_thread::yield();
}

TEST_F(TaskExecutorTest, AfterAnAbortedDrainNoTaskStaysStopped) {
  ExecutorCluster cluster(NumbersJob(kEndless, 1).job(), 1);
  cluster.StartAndRun();
  cluster.Trigger(1, pb::SnapshotTarget::KIND_SYNC_SAVEPOINT, /*drain=*/true);
  cluster.AwaitAcks(1);
  cluster.Broadcast(
      [](pb::ExecutorCommand& c) { c.mutable_checkpoint_aborted()->set_checkpoint_id(1); });
  cluster.AwaitAll("FAILED");
  for (const auto& m : cluster.messages()) {
    if (!m.has_task_state() || m.task_state().state() != "FAILED") continue;
    EXPECT_THAT(m.task_state().message(), HasSubstr("stop --drain was aborted"));
    EXPECT_FALSE(m.task_state().user_error());
    EXPECT_TRUE(m.task_state().retryable());
  }
}

TEST_F(TaskExecutorTest, ASourceWhoseWakeUpCameDuringAnAbortedStopProducesAgain) {
  TestJob job;
  const auto seen = seen_;
  const int source = job.AddVertex("ticker", 1, [seen] { return std::make_unique<Ticker>(seen); });
  const int sink = job.AddVertex("sink", 1, [seen] { return std::make_unique<Sink>(seen); });
  job.Connect(source, sink, ShipStrategy::kForward, std::make_shared<RebalanceEdge<int64_t>>());
  ExecutorCluster cluster(job.job(), 1);
  cluster.StartAndRun();
  cluster.Trigger(1, pb::SnapshotTarget::KIND_SYNC_SAVEPOINT);
  cluster.AwaitAcks(1);
  while (Clock::System().NowMs() <= seen_->next_tick_ms + 1) std::this_thread::yield();
  // What the source does after that, it does after its timer.
  cluster.Trigger(2, pb::SnapshotTarget::KIND_SAVEPOINT);
  cluster.AwaitMessage("ack",
                       [](const auto& m) { return m.has_ack() && m.ack().checkpoint_id() == 2; });
  const int64_t before = seen_->produced.load();
  for (const int64_t id : {2, 1}) {
    cluster.Broadcast(
        [&](pb::ExecutorCommand& c) { c.mutable_checkpoint_aborted()->set_checkpoint_id(id); });
  }
  EXPECT_TRUE(Until([&] { return seen_->produced.load() > before; }));
}

TEST_F(TaskExecutorTest, IntermediateSavepointsAreNeverNotified) {  // flink-surface §4.3 no. 40
  ExecutorCluster cluster(NumbersJob(kEndless, 1).job(), 1);
  cluster.StartAndRun();
  cluster.Trigger(1, pb::SnapshotTarget::KIND_SAVEPOINT);
  cluster.AwaitAcks(1);
  cluster.Complete(1);
  cluster.Trigger(2, pb::SnapshotTarget::KIND_CHECKPOINT);
  cluster.AwaitAcks(2);
  cluster.Complete(2);
  cluster.Trigger(3, pb::SnapshotTarget::KIND_CHECKPOINT);
  cluster.AwaitAcks(3);
  EXPECT_EQ(0, seen_->Count("complete 1"));
  EXPECT_EQ(1, seen_->Count("complete 2"));
}

TEST_F(TaskExecutorTest, UserCodeThatThrowsFailsItsTaskWithOperatorSubtaskAndText) {
  ExecutorCluster cluster(NumbersJob(kEndless, 2, /*poison=*/5000).job(), 2);
  cluster.StartAndRun();
  cluster.AwaitMessage("failure", [](const auto& m) {
    return m.has_task_state() && m.task_state().state() == "FAILED";
  });
  for (const auto& m : cluster.messages()) {
    if (!m.has_task_state() || m.task_state().state() != "FAILED") continue;
    EXPECT_THAT(m.task_state().message(),
                testing::MatchesRegex("sink \\([12]/2\\): poisoned by 5000"));
    EXPECT_TRUE(m.task_state().user_error());
  }
}

TEST_F(TaskExecutorTest, CancelEndsEveryTaskAndTheExecutor) {
  ExecutorCluster cluster(NumbersJob(kEndless, 2).job(), 2);
  cluster.StartAndRun();
  cluster.Broadcast([](pb::ExecutorCommand& c) { c.mutable_cancel(); });
  cluster.executor(0).WaitUntilEnded();
  cluster.executor(1).WaitUntilEnded();
  cluster.AwaitAll("CANCELED");
  EXPECT_EQ(2, seen_->Count("close"));
}

TEST_F(TaskExecutorTest, AnExecutorThatGoesIsALostConnectionForItsPeers) {
  ExecutorCluster cluster(NumbersJob(kEndless, 2).job(), 2);
  cluster.settings(1).set_data_token("another");
  cluster.Start();
  cluster.Deploy();
  cluster.AwaitMessage("loss", [](const auto& m) {
    return m.has_failed() && m.failed().retryable() && !m.failed().user_error() &&
           m.failed().message().find("lost connection to task executor tm") != std::string::npos;
  });
}

TEST_F(TaskExecutorTest, AnotherDataflowThanTheClientsIsRefusedNamingTheVertices) {
  ExecutorCluster cluster(NumbersJob(10, 1).job(), 1);
  cluster.settings(0).set_graph_digest(1);
  cluster.Start();
  cluster.AwaitMessage("refusal", [](const auto& m) { return m.has_failed(); });
  const auto messages = cluster.messages();
  EXPECT_THAT(messages.back().failed().message(), HasSubstr("another dataflow than the client's"));
  EXPECT_THAT(messages.back().failed().message(), HasSubstr("vertex \"numbers\""));
  EXPECT_FALSE(messages.back().failed().retryable());
}

TEST_F(TaskExecutorTest, CommandsOfAnotherAttemptAreDropped) {
  ExecutorCluster cluster(NumbersJob(kEndless, 1).job(), 1);
  cluster.StartAndRun();
  pb::ExecutorCommand stale = cluster.Command();
  stale.set_attempt(0);
  stale.mutable_cancel();
  cluster.executor(0).Deliver(stale);
  cluster.Trigger(1, pb::SnapshotTarget::KIND_CHECKPOINT);
  cluster.AwaitAcks(1);
}

}  // namespace
}  // namespace flink::taskmanager
