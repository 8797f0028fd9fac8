#include "taskmanager/task/in_flight_data.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "common/io/checksum.h"
#include "common/io/file_system.h"
#include "common/io/temp_directory.h"
#include "flink/operators/edges.h"

namespace flink::taskmanager {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::SizeIs;

StreamElement Records(std::vector<int64_t> records) {
  auto batch = std::make_unique<Batch<int64_t>>();
  for (const int64_t r : records) batch->timestamps.push_back(r * 10);
  batch->records = std::move(records);
  return StreamElement::Records(std::move(batch));
}

StreamElement Barrier(int64_t id) {
  auto barrier = std::make_shared<CheckpointBarrier>();
  barrier->checkpoint_id = id;
  barrier->aligned_timeout_ms = 0;
  return StreamElement::Barrier(std::move(barrier));
}

struct Identity {
  int64_t operator()(const int64_t& n) const { return n; }
};

/// A task with two gates: gate 0 has one channel, gate 1 has two.
TaskDeployment Task(int subtask = 0, int parallelism = 1) {
  TaskDeployment task;
  task.vertex_name = "test";
  task.subtask = subtask;
  task.parallelism = parallelism;
  task.inbox = std::make_shared<TaskInbox>();
  task.gate = std::make_shared<InputGate>(task.inbox);
  const auto type = std::make_shared<HashEdge<int64_t, Identity>>(Identity());
  for (const auto& [gate, channel] : {std::pair{0, 0}, {1, 0}, {1, 1}}) {
    task.gate->AddChannel();
    task.input_channels.push_back({0, type, gate, channel});
  }
  return task;
}

pb::InFlightRestore RestoreOf(const snapshot::ChannelStateHandle& handle) {
  snapshot::SubtaskState state;
  state.input_channel_state.push_back(handle);
  pb::InFlightRestore restore;
  restore.set_state(snapshot::EncodeSubtaskState(state));
  restore.set_gate(handle.gate_or_partition);
  restore.set_channel(handle.channel);
  restore.set_with_events(true);
  return restore;
}

/// "r1,2" for records, "w5" for a watermark, "idle", "active".
std::vector<std::string> Drain(TaskDeployment& task, int channel) {
  std::vector<std::string> events;
  while (auto polled = task.gate->Poll()) {
    if (polled->channel != channel) continue;
    const StreamElement& e = polled->element;
    if (e.kind == StreamElement::Kind::kWatermark) events.push_back("w" + std::to_string(e.value));
    if (e.kind == StreamElement::Kind::kIdle) events.push_back("idle");
    if (e.kind == StreamElement::Kind::kActive) events.push_back("active");
    std::unique_ptr<BatchBase> decoded;
    if (e.kind == StreamElement::Kind::kEncodedBatch) {
      BufferReader in(e.bytes.view());
      decoded = task.input_channels[0].type->Decode(in);
    }
    const BatchBase* base = decoded != nullptr ? decoded.get() : e.batch.get();
    if (base == nullptr) continue;
    std::string text = "r";
    const auto& batch = static_cast<const Batch<int64_t>&>(*base);
    for (size_t i = 0; i < batch.records.size(); ++i) {
      EXPECT_EQ(batch.records[i] * 10, batch.TimestampAt(i));
      text += (i == 0 ? "" : ",") + std::to_string(batch.records[i]);
    }
    events.push_back(text);
  }
  return events;
}

class InFlightDataTest : public testing::Test {
 protected:
  StoredInFlightData Store(TaskDeployment& task, InFlightRecorder& recorder,
                           uint64_t inline_threshold) {
    StoredInFlightData stored = StoreInFlightData(recorder.Take(), task.input_channels,
                                                  task.subtask, path_, inline_threshold);
    EXPECT_EQ(stored.file_bytes.empty(), inline_threshold > 0);
    if (!stored.file_bytes.empty()) {
      EXPECT_TRUE(io::WriteFileDurably(path_, stored.file_bytes).ok());
    }
    return stored;
  }

  const io::TempDirectory directory_ = io::TempDirectory::Create("in-flight").value();
  const std::string path_ = directory_.File("in-flight-0");
};

TEST_F(InFlightDataTest, ComesBackChannelByChannelInOrderWithItsWatermarksAndIdleness) {
  for (const uint64_t inline_threshold : {0, 1 << 20}) {
    TaskDeployment task = Task();
    task.gate->Push(0, Records({1, 2}));
    task.gate->Push(0, StreamElement::Watermark(20));
    task.gate->Push(0, StreamElement::Idleness(true));
    task.gate->Push(0, StreamElement::Idleness(false));
    task.gate->Push(0, Records({3}));
    task.gate->Push(0, StreamElement::EndOfData());
    task.gate->Push(0, Barrier(4));
    task.gate->Push(0, Records({100}));
    task.gate->Push(2, Records({7}));
    task.gate->Push(2, Barrier(4));
    InFlightRecorder recorder(*task.gate, 4);
    recorder.Close(0, true);
    // Records that were polled before the barrier came.
    recorder.Record(2, Records({5, 6}));
    recorder.Close(2, true);
    recorder.Close(1, false);
    const StoredInFlightData stored = Store(task, recorder, inline_threshold);
    ASSERT_THAT(stored.handles, SizeIs(2));
    EXPECT_EQ(0, stored.handles[0].gate_or_partition);
    EXPECT_EQ(1, stored.handles[1].gate_or_partition);
    EXPECT_EQ(1, stored.handles[1].channel);

    TaskDeployment restored = Task();
    for (const auto& handle : stored.handles) restored.in_flight.push_back(RestoreOf(handle));
    restored.gate->Push(0, Records({200}));
    const Status status = RecoverInFlightData(restored);
    ASSERT_TRUE(status.ok()) << Message(status);
    EXPECT_THAT(Drain(restored, 0), ElementsAre("r1,2", "w20", "idle", "active", "r3", "r200"));

    TaskDeployment again = Task();
    for (const auto& handle : stored.handles) again.in_flight.push_back(RestoreOf(handle));
    ASSERT_TRUE(RecoverInFlightData(again).ok());
    EXPECT_THAT(Drain(again, 2), ElementsAre("r5,6", "r7"));
  }
}

// Flink's layout (flink-snapshot-formats §1.7): offsets point to the i32 length of each element,
// and the size of a handle of a shared file is that of its elements.
TEST_F(InFlightDataTest, HandlesOfOneFileNameTheLengthsOfTheirElements) {
  TaskDeployment task = Task();
  InFlightRecorder recorder(*task.gate, 1);
  recorder.Record(0, StreamElement::Watermark(1));
  recorder.Record(0, StreamElement::Watermark(2));
  recorder.Record(1, StreamElement::Watermark(3));
  const StoredInFlightData stored = Store(task, recorder, 0);
  ASSERT_THAT(stored.handles, SizeIs(2));
  EXPECT_THAT(stored.handles[0].offsets, ElementsAre(4, 17));
  EXPECT_THAT(stored.handles[1].offsets, ElementsAre(30));
  EXPECT_EQ(26, stored.handles[0].size);
  EXPECT_EQ(13, stored.handles[1].size);
  EXPECT_EQ(43u, stored.file_bytes.size());
  snapshot::SubtaskState state;
  state.input_channel_state = stored.handles;
  EXPECT_EQ(39, snapshot::StateSize(state));
}

TEST_F(InFlightDataTest, AtAnotherParallelismEachSubtaskKeepsTheRecordsOfItsKeyGroups) {
  std::vector<int64_t> numbers(1000);
  for (size_t i = 0; i < numbers.size(); ++i) numbers[i] = static_cast<int64_t>(i);
  TaskDeployment task = Task();
  InFlightRecorder recorder(*task.gate, 1);
  recorder.Record(0, Records({numbers.begin(), numbers.begin() + 500}));
  recorder.Record(0, StreamElement::Watermark(9));
  recorder.Record(0, Records({numbers.begin() + 500, numbers.end()}));
  const StoredInFlightData stored = Store(task, recorder, 0);
  std::multiset<int64_t> got;
  for (int subtask = 0; subtask < 3; ++subtask) {
    TaskDeployment restored = Task(subtask, 3);
    restored.in_flight.push_back(RestoreOf(stored.handles[0]));
    restored.in_flight[0].set_own_keys_only(true);
    restored.in_flight[0].set_with_events(false);
    ASSERT_TRUE(RecoverInFlightData(restored).ok());
    int64_t last = -1;
    while (auto polled = restored.gate->Poll()) {
      ASSERT_NE(nullptr, polled->element.batch);
      for (const int64_t n : static_cast<Batch<int64_t>&>(*polled->element.batch).records) {
        const int group = AssignToKeyGroup(TypeSerializer<int64_t>::HashCode(n), 128);
        EXPECT_EQ(subtask, OperatorIndexForKeyGroup(128, 3, group));
        EXPECT_LT(last, n);
        last = n;
        got.insert(n);
      }
    }
    EXPECT_GE(last, 0);
  }
  EXPECT_EQ(std::multiset<int64_t>(numbers.begin(), numbers.end()), got);
}

TEST_F(InFlightDataTest, WithoutEventsOnlyTheRecordsComeBack) {
  TaskDeployment task = Task();
  InFlightRecorder recorder(*task.gate, 1);
  recorder.Record(0, StreamElement::Watermark(1));
  recorder.Record(0, Records({1}));
  recorder.Record(0, StreamElement::Idleness(true));
  const StoredInFlightData stored = Store(task, recorder, 0);
  TaskDeployment restored = Task();
  restored.in_flight.push_back(RestoreOf(stored.handles[0]));
  restored.in_flight[0].set_with_events(false);
  ASSERT_TRUE(RecoverInFlightData(restored).ok());
  EXPECT_THAT(Drain(restored, 0), ElementsAre("r1"));
}

TEST_F(InFlightDataTest, DamagedAndForeignFilesAreRefusedByName) {
  TaskDeployment task = Task();
  InFlightRecorder recorder(*task.gate, 1);
  recorder.Record(0, Records({1, 2, 3}));
  const StoredInFlightData stored = Store(task, recorder, 0);
  std::string foreign = stored.file_bytes;
  foreign.replace(0, 4, std::string(4, '\0'));
  std::string length = stored.file_bytes;
  length[4] = '\x7f';
  std::string kind = stored.file_bytes;
  kind[8] = '\x63';
  for (const std::string& bytes : {foreign, length, kind, stored.file_bytes.substr(1)}) {
    ASSERT_TRUE(io::WriteFileDurably(path_, bytes).ok());
    TaskDeployment restored = Task();
    restored.in_flight.push_back(RestoreOf(stored.handles[0]));
    const Status status = RecoverInFlightData(restored);
    EXPECT_FALSE(status.ok());
    EXPECT_THAT(Message(status), HasSubstr(path_));
    EXPECT_THAT(Drain(restored, 0), IsEmpty());
  }
}

TEST_F(InFlightDataTest, AChangedByteInARecordIsFoundByTheChecksum) {
  TaskDeployment task = Task();
  InFlightRecorder recorder(*task.gate, 1);
  recorder.Record(0, Records({1, 2, 3}));
  recorder.Record(1, Records({4}));
  const StoredInFlightData stored = Store(task, recorder, 0);
  const std::string side_file = fmt::format(
      R"({{"format_version": 2, "checksum": "xxh3-64", "files":
          {{"in-flight-0": {{"size": {}, "checksum": "{:016x}"}}}}}})",
      stored.file_bytes.size(), io::Checksum64(stored.file_bytes));
  ASSERT_TRUE(io::WriteFileDurably(directory_.File("_flink_cpp.json"), side_file).ok());
  std::string damaged = stored.file_bytes;
  damaged.back() = static_cast<char>(damaged.back() ^ 1);
  for (const std::string& bytes : {stored.file_bytes, damaged}) {
    ASSERT_TRUE(io::WriteFileDurably(path_, bytes).ok());
    TaskDeployment restored = Task();
    for (const auto& handle : stored.handles) restored.in_flight.push_back(RestoreOf(handle));
    for (auto& restore : restored.in_flight) restore.set_base_directory(directory_.path());
    const Status status = RecoverInFlightData(restored);
    EXPECT_EQ(bytes == damaged ? absl::StatusCode::kDataLoss : absl::StatusCode::kOk,
              status.code());
    if (bytes == damaged) {
      EXPECT_THAT(Message(status), HasSubstr(path_ + " has the checksum "));
    }
  }
}

}  // namespace
}  // namespace flink::taskmanager
