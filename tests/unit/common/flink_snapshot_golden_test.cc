// Snapshots that releases of Apache Flink wrote.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "common/graph/operator_id.h"
#include "common/io/file_system.h"
#include "common/io/temp_directory.h"
#include "common/snapshot/keyed_state_header.h"
#include "common/snapshot/metadata.h"
#include "common/snapshot/operator_state_stream.h"
#include "common/snapshot/restore_plan.h"

namespace flink::snapshot {
namespace {

class FlinkSnapshotGolden : public ::testing::Test {
 protected:
  struct Snapshot {
    std::string directory;
    std::string bytes;
    CheckpointMetadata metadata;
  };

  void SetUp() override {
    const std::string archives = std::string(FLINK_SHARED_DIR) + "/golden";
    if (!io::IsDirectory(archives)) GTEST_SKIP() << "no snapshots of Flink in " << archives;
    auto directory = io::TempDirectory::Create("flink-goldens");
    ASSERT_TRUE(directory.ok()) << directory.status();
    directory_ = *std::move(directory);
    for (const char* archive : {"flink-goldens", "flink-1.20-goldens"}) {
      const std::string target = directory_.File(archive);
      ASSERT_TRUE(io::CreateDirectories(target).ok());
      const std::string command =
          "tar xzf '" + archives + "/" + archive + ".tgz' -C '" + target + "'";
      ASSERT_EQ(std::system(command.c_str()), 0) << command;
    }
    Load();
  }

  void Load() {
    for (const auto& entry : std::filesystem::recursive_directory_iterator(directory_.path())) {
      if (entry.path().filename() != "_metadata") continue;
      Snapshot snapshot;
      snapshot.directory = entry.path().parent_path().string();
      snapshot.bytes = io::ReadFile(entry.path().string()).value();
      auto metadata = ParseMetadata(snapshot.bytes);
      ASSERT_TRUE(metadata.ok()) << snapshot.directory << ": " << metadata.status();
      snapshot.metadata = *std::move(metadata);
      snapshots_.push_back(std::move(snapshot));
    }
    ASSERT_GT(snapshots_.size(), 100u);
  }

  /// The bytes of a stream, also where its absolute path was that of another machine; false if they
  /// are not there.
  static bool Read(const Snapshot& snapshot, const StreamStateHandle& handle, std::string* bytes) {
    StreamStateHandle local = handle;
    if (const auto* file = std::get_if<FileHandle>(&handle)) {
      local = RelativeFileHandle{io::BaseName(file->path), file->size};
    }
    auto read = ReadStream(local, snapshot.directory);
    if (!read.ok()) return false;
    *bytes = *std::move(read);
    return true;
  }

  /// Calls fn(snapshot, operator, subtask state) for every subtask.
  template <class Fn>
  void ForEachSubtask(const Fn& fn) {
    for (const Snapshot& snapshot : snapshots_) {
      for (const OperatorSnapshot& op : snapshot.metadata.operators) {
        for (const auto& subtask : op.subtasks) fn(snapshot, op, subtask.second);
      }
    }
  }

  io::TempDirectory directory_;
  std::vector<Snapshot> snapshots_;
};

TEST_F(FlinkSnapshotGolden, Version4IsWrittenAgainByteForByte) {
  int checked = 0;
  for (const Snapshot& snapshot : snapshots_) {
    if (snapshot.metadata.version != 4) continue;
    const auto bytes = SerializeMetadata(snapshot.metadata);
    ASSERT_TRUE(bytes.ok()) << bytes.status();
    ASSERT_TRUE(*bytes == snapshot.bytes) << snapshot.directory;
    ++checked;
  }
  EXPECT_GE(checked, 80);
}

TEST_F(FlinkSnapshotGolden, NewerVersionsAreWrittenAsVersion4WithTheSameState) {
  int checked = 0;
  for (const Snapshot& snapshot : snapshots_) {
    if (snapshot.metadata.version <= 4) continue;
    CheckpointMetadata expected = snapshot.metadata;
    expected.version = 4;
    for (OperatorSnapshot& op : expected.operators) {
      if (!op.uid.empty()) {
        EXPECT_EQ(op.operator_id, OperatorIdFromUid(op.uid)) << op.uid;
      }
      op.name.clear();
      op.uid.clear();
    }
    const auto bytes = SerializeMetadata(snapshot.metadata);
    ASSERT_TRUE(bytes.ok()) << bytes.status();
    const auto read = ParseMetadata(*bytes);
    ASSERT_TRUE(read.ok()) << read.status();
    ASSERT_TRUE(*read == expected) << snapshot.directory;
    ++checked;
  }
  EXPECT_GE(checked, 10);
}

TEST_F(FlinkSnapshotGolden, StatesFitAJobThatDeclaresTheTypesThatFlinkWrote) {
  int checked = 0;
  for (const Snapshot& snapshot : snapshots_) {
    for (const OperatorSnapshot& op : snapshot.metadata.operators) {
      for (const auto& [index, subtask] : op.subtasks) {
        const auto* groups = std::get_if<KeyGroupsHandle>(&subtask.managed_keyed_state);
        std::string bytes;
        if (groups == nullptr || groups->kind != KeyGroupsHandle::Kind::kSavepoint ||
            std::holds_alternative<FileHandle>(groups->stream) ||
            !Read(snapshot, groups->stream, &bytes)) {
          continue;
        }
        auto header = ParseKeyedStateHeader(bytes);
        ASSERT_TRUE(header.ok()) << snapshot.directory << ": " << header.status();
        graph::JobGraph graph;
        graph::JobVertex& vertex = graph.vertices.emplace_back();
        vertex.parallelism = op.parallelism;
        vertex.max_parallelism = op.max_parallelism;
        graph::OperatorDescription& described = vertex.operators.emplace_back();
        described.id = op.operator_id;
        described.declared_states = SerializeKeyedStateHeader(*header).value();
        // Some subtasks of them had no record and wrote nothing.
        const RestoreOptions options{snapshot.directory, /*allow_non_restored_state=*/true};
        LoadedSnapshot loaded{snapshot.directory, io::JoinPath(snapshot.directory, "_metadata"),
                              snapshot.metadata};
        loaded.metadata.operators = {op};
        const RestorePlan same = PlanRestore(loaded, graph, options);
        EXPECT_TRUE(same.problems.empty()) << snapshot.directory << ": " << same.problems[0];
        if (header->states.empty()) continue;
        header->states[0].options = {{std::string(kKeyedStateTypeOption), "OTHER"}};
        described.declared_states = SerializeKeyedStateHeader(*header).value();
        const RestorePlan other = PlanRestore(loaded, graph, options);
        EXPECT_EQ(other.problems.size(), 1u) << snapshot.directory;
        ++checked;
      }
    }
  }
  EXPECT_GE(checked, 50);
}

TEST_F(FlinkSnapshotGolden, EverySubtaskStateSurvivesItsEncoding) {
  ForEachSubtask([](const Snapshot& snapshot, const OperatorSnapshot&, const SubtaskState& state) {
    const auto read = DecodeSubtaskState(EncodeSubtaskState(state));
    ASSERT_TRUE(read.ok()) << snapshot.directory << ": " << read.status();
    ASSERT_TRUE(*read == state) << snapshot.directory;
  });
}

TEST_F(FlinkSnapshotGolden, EveryTruncationIsAnError) {
  int checked = 0;
  for (const Snapshot& snapshot : snapshots_) {
    if (snapshot.bytes.size() > 12000) continue;
    for (size_t size = 0; size < snapshot.bytes.size(); ++size) {
      ASSERT_FALSE(ParseMetadata(std::string_view(snapshot.bytes).substr(0, size)).ok())
          << snapshot.directory << " cut at " << size << " of " << snapshot.bytes.size();
    }
    ++checked;
  }
  EXPECT_GE(checked, 10);
}

TEST_F(FlinkSnapshotGolden, ChangedBytesNeverCrashTheReader) {
  std::mt19937 random(20250311);
  for (const Snapshot& snapshot : snapshots_) {
    if (snapshot.bytes.size() > 12000) continue;
    for (int round = 0; round < 300; ++round) {
      std::string damaged = snapshot.bytes;
      for (int change = 0; change < 3; ++change) {
        // Every other change goes to the end, where the properties are.
        const size_t span = change == 1 ? std::min<size_t>(800, damaged.size()) : damaged.size();
        damaged[damaged.size() - 1 - random() % span] = static_cast<char>(random());
      }
      const auto read = ParseMetadata(damaged);
      if (!read.ok()) {
        ASSERT_FALSE(Message(read.status()).empty());
      }
    }
  }
}

TEST_F(FlinkSnapshotGolden, KeyedHeadersAreWrittenAgainByteForByte) {
  int checked = 0;
  ForEachSubtask(
      [&checked](const Snapshot& snapshot, const OperatorSnapshot&, const SubtaskState& state) {
        const auto* groups = std::get_if<KeyGroupsHandle>(&state.managed_keyed_state);
        const auto* files = std::get_if<IncrementalHandle>(&state.managed_keyed_state);
        if (groups == nullptr && files == nullptr) return;
        std::string bytes;
        if (!Read(snapshot, groups != nullptr ? groups->stream : files->meta, &bytes)) return;
        size_t size = 0;
        const auto header = ParseKeyedStateHeader(bytes, &size);
        ASSERT_TRUE(header.ok()) << snapshot.directory << ": " << header.status();
        const auto again = SerializeKeyedStateHeader(*header);
        ASSERT_TRUE(again.ok()) << again.status();
        ASSERT_TRUE(*again == bytes.substr(0, size)) << snapshot.directory;
        if (files != nullptr) {
          ASSERT_EQ(size, bytes.size()) << snapshot.directory;
        } else {
          int64_t first = static_cast<int64_t>(bytes.size());
          for (const int64_t offset : groups->offsets) {
            if (offset != 0) first = std::min(first, offset);
          }
          ASSERT_EQ(static_cast<int64_t>(size), first) << snapshot.directory;
        }
        ++checked;
      });
  EXPECT_GE(checked, 200);
}

TEST_F(FlinkSnapshotGolden, OperatorStateStreamsAreReadToTheLastByte) {
  int checked = 0;
  int identical = 0;
  ForEachSubtask([&](const Snapshot& snapshot, const OperatorSnapshot&, const SubtaskState& state) {
    if (!state.managed_operator_state) return;
    const OperatorStateHandle& handle = *state.managed_operator_state;
    std::string bytes;
    if (!Read(snapshot, handle.stream, &bytes)) return;
    const auto states = ReadOperatorStateStream(bytes, handle);
    ASSERT_TRUE(states.ok()) << snapshot.directory << ": " << states.status();
    const auto again = WriteOperatorStateStream(*states);
    ASSERT_TRUE(again.ok()) << again.status();
    const bool compressed = bytes[3] == 6 && bytes[4] != 0;
    if (!compressed) {
      ASSERT_EQ(again->bytes.size() - bytes.size(), bytes[3] == 6 ? 0u : 1u) << snapshot.directory;
    }
    const auto reread = ReadOperatorStateStream(again->bytes, again->MakeHandle({}));
    ASSERT_TRUE(reread.ok()) << reread.status();
    identical += again->bytes == bytes ? 1 : 0;
    ++checked;
  });
  EXPECT_GE(checked, 50);
  EXPECT_GE(identical, 30);
}

}  // namespace
}  // namespace flink::snapshot
