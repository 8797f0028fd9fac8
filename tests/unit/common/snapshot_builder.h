#pragma once

/// Snapshots on disk for tests: metadata, a side file and data files, without a job.

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "common/graph/operator_id.h"
#include "common/io/file_system.h"
#include "common/snapshot/metadata.h"
#include "common/snapshot/side_file.h"

namespace flink::snapshot {

struct TestSnapshot {
  std::string directory;
  int64_t checkpoint_id = 1;
  /// Written into `directory`, ten bytes each.
  std::vector<std::string> own_files;
  /// Absolute paths, written unless they are there.
  std::vector<std::string> shared_files;
  /// Without one no side file is written.
  std::string job;
  std::string kind = "savepoint";
  int64_t time_ms = 1;
};

inline void WriteTestFile(const std::string& path, std::string_view bytes = "0123456789") {
  ASSERT_TRUE(io::CreateDirectories(io::DirectoryName(path)).ok()) << path;
  ASSERT_TRUE(io::WriteFileDurably(path, bytes).ok()) << path;
}

/// As a job with the one operator "count", that has RocksDB files, would have written it.
inline void WriteTestSnapshot(const TestSnapshot& snapshot) {
  IncrementalHandle files;
  files.backend_id = "backend";
  files.key_group_count = 128;
  files.meta = InlineHandle{"meta", "not a header"};
  for (const std::string& name : snapshot.own_files) {
    WriteTestFile(io::JoinPath(snapshot.directory, name));
    files.private_files.push_back({name, RelativeFileHandle{name, 10}});
  }
  for (const std::string& path : snapshot.shared_files) {
    if (!io::Exists(path)) WriteTestFile(path);
    files.shared_files.push_back({io::BaseName(path), FileHandle{io::QualifyPath(path), 10}});
  }
  CheckpointMetadata metadata;
  metadata.checkpoint_id = snapshot.checkpoint_id;
  OperatorSnapshot& op = metadata.operators.emplace_back();
  op.operator_id = OperatorIdFromUid("count");
  op.parallelism = 1;
  op.max_parallelism = 128;
  op.subtasks[0].managed_keyed_state = files;
  const auto bytes = SerializeMetadata(metadata);
  ASSERT_TRUE(bytes.ok()) << bytes.status();
  if (!snapshot.job.empty()) {
    WriteTestFile(
        io::JoinPath(snapshot.directory, kSideFileName),
        fmt::format(
            R"({{"format_version":1,"checksum":"xxh3-64","files":{{}},"kind":"{}","trigger_timestamp_ms":{},"job_id":"{}","job_name":"Words",)"
            R"("operators":[{{"id":"{}","uid":"count","name":"Counter"}}]}})",
            snapshot.kind, snapshot.time_ms, snapshot.job, OperatorIdFromUid("count").ToHex()));
  }
  WriteTestFile(io::JoinPath(snapshot.directory, kMetadataFileName), *bytes);
}

}  // namespace flink::snapshot
