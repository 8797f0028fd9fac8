#include "taskmanager/task/subtask_snapshot.h"

#include <gtest/gtest.h>

#include <optional>

#include "common/io/file_system.h"
#include "common/io/temp_directory.h"
#include "taskmanager/state/snapshot_writer.h"

namespace flink::taskmanager {
namespace {

/// Holds the callback of a snapshot until the test calls it.
class HeldBackend final : public KeyedStateBackend {
 public:
  KeyGroupRange key_groups() const override { return {0, 127}; }
  int max_parallelism() const override { return 128; }
  int RegisterState(const StateDescription&) override { return 0; }
  void RegisterTable(StateTableBase*) override {}
  void MultiGet(int, const std::vector<std::string_view>&,
                std::vector<std::optional<std::string>>*) override {}
  void Scan(int, const std::function<void(std::string_view, std::string_view)>&) override {}
  bool IsEmpty(int) const override { return true; }
  void FlushTable(StateTableBase*) override {}
  uint64_t cache_budget_bytes() const override { return 0; }
  void BeginSnapshot(const KeyedSnapshotRequest&, SnapshotCallback callback) override {
    done = std::move(callback);
  }
  bool AdvanceSnapshot() override { return false; }
  void NotifyCheckpointComplete(int64_t) override {}
  void NotifyCheckpointAborted(int64_t) override {}

  SnapshotCallback done;
};

class SubtaskSnapshotTest : public testing::Test {
 protected:
  /// The shared files that are left when the keyed part has come in.
  bool SharedFileStays(bool abandon) {
    const io::TempDirectory directory = io::TempDirectory::Create("snapshot").value();
    KeyedSnapshotResult result;
    for (const char* name : {"reused", "written"}) {
      EXPECT_TRUE(io::WriteFileDurably(directory.File(name), "x").ok());
      result.shared_files.push_back(directory.File(name));
      result.checksums[directory.File(name)] = 1;
    }
    result.written_shared_files = {directory.File("written")};
    TaskEnvironment environment;
    HeldBackend backend;
    bool acknowledged = false;
    auto snapshot = std::make_shared<SubtaskSnapshot>(
        environment, std::make_shared<TaskInbox>(), 1, pb::SnapshotTarget(),
        [&](const StatusOr<pb::CheckpointAck>& ack) { acknowledged = ack.ok(); });
    snapshot->AddOperator(OperatorId(), {});
    snapshot->AddKeyedState(backend);
    snapshot->Seal();
    if (abandon) snapshot->Abandon();
    backend.done(result);
    EXPECT_EQ(!abandon, acknowledged);
    EXPECT_TRUE(io::Exists(directory.File("reused")));
    return io::Exists(directory.File("written"));
  }
};

TEST_F(SubtaskSnapshotTest, WhatAnAbandonedSnapshotWroteIsDeleted) {
  EXPECT_TRUE(SharedFileStays(/*abandon=*/false));
  EXPECT_FALSE(SharedFileStays(/*abandon=*/true));
}

// flink-surface §4.7 no. 85: equal when everything was written, wherever to.
TEST_F(SubtaskSnapshotTest, StateInTheMetadataIsCountedOnce) {
  const io::TempDirectory directory = io::TempDirectory::Create("snapshot").value();
  for (const uint64_t threshold : {uint64_t{0}, uint64_t{20} << 10}) {
    KeyedSnapshotRequest request;
    request.exclusive_directory = directory.path();
    SnapshotWriter writer(request, threshold);
    KeyedSnapshotResult result;
    snapshot::KeyGroupsHandle handle;
    handle.offsets = {0};
    handle.stream = writer.AddBytes(std::string(100, 'k')).value();
    ASSERT_TRUE(writer.Finish(&result).ok());
    result.handle = handle;
    TaskEnvironment environment;
    environment.inline_threshold_bytes = threshold;
    pb::SnapshotTarget target;
    target.set_exclusive_directory(directory.path());
    HeldBackend backend;
    std::optional<pb::CheckpointAck> answer;
    auto inbox = std::make_shared<TaskInbox>();
    auto snapshot = std::make_shared<SubtaskSnapshot>(
        environment, inbox, 1, target,
        [&](const StatusOr<pb::CheckpointAck>& ack) { answer = ack.value(); });
    OperatorListState list;
    list.name = "list";
    list.elements = {"ab", "c"};
    snapshot->AddOperator(OperatorId(), {list});
    snapshot->AddKeyedState(backend);
    snapshot->Seal();
    backend.done(result);
    while (!answer.has_value()) ASSERT_TRUE(inbox->mailbox().RunOne());
    EXPECT_GT(answer->state_bytes(), 100);
    EXPECT_EQ(answer->checkpointed_bytes(), answer->state_bytes()) << threshold;
  }
}

// flink-surface §4.2 no. 34.
TEST_F(SubtaskSnapshotTest, WithTheStorageJobManagerAStateThatNeedsAFileFailsTheSnapshot) {
  for (const bool in_metadata : {false, true}) {
    const io::TempDirectory directory = io::TempDirectory::Create("snapshot").value();
    ASSERT_TRUE(io::WriteFileDurably(directory.File("written"), "x").ok());
    KeyedSnapshotResult result;
    snapshot::KeyGroupsHandle handle;
    handle.offsets = {0};
    handle.stream = snapshot::FileHandle{directory.File("written"), (5 << 20) + 1};
    result.handle = handle;
    result.shared_files = result.written_shared_files = {directory.File("written")};
    TaskEnvironment environment;
    environment.state_in_metadata = in_metadata;
    environment.inline_threshold_bytes = 5 << 20;
    HeldBackend backend;
    Status answer;
    auto snapshot = std::make_shared<SubtaskSnapshot>(
        environment, std::make_shared<TaskInbox>(), 1, pb::SnapshotTarget(),
        [&](const StatusOr<pb::CheckpointAck>& ack) { answer = ack.status(); });
    snapshot->AddOperator(OperatorId(), {});
    snapshot->AddKeyedState(backend);
    snapshot->Seal();
    backend.done(result);
    EXPECT_EQ(answer.ok(), !in_metadata);
    EXPECT_EQ(io::Exists(directory.File("written")), !in_metadata);
    if (!in_metadata) continue;
    EXPECT_EQ(Message(answer),
              "Size of the state is larger than the maximum permitted memory-backed state. "
              "Size=5242881, maxSize=5242880. Consider using a different checkpoint storage: set "
              "execution.checkpointing.storage to filesystem");
  }
}

TEST(BatchMemory, CountsWhatLongRecordsHoldOutsideOfThemselves) {
  Batch<std::string> batch;
  batch.records.assign(100, std::string(10'000, 'x'));
  EXPECT_GT(batch.MemoryBytes(), size_t{900'000});
  EXPECT_LT(batch.MemoryBytes(), size_t{1'300'000});
}

}  // namespace
}  // namespace flink::taskmanager
