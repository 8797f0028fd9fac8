/// The configuration keys of checkpoints and savepoints, from Flink 1.1 to 2.x: flink-surface §3.2.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "common/config/configuration.h"
#include "common/config/options.h"
#include "common/config/options_without_effect.h"

namespace flink {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

/// Stands for an option that is known and has no effect.
constexpr ConfigOption kNoEffect{"", ""};

struct Row {
  ConfigOption option;
  std::string key;
  std::string default_value;
  std::vector<std::string> older;
};

/// Each key of §3.2 with its default and its older names, newest first.
const std::vector<Row>& Table() {
  using namespace options;  // NOLINT: thirty names of one table.
  const std::string c = "execution.checkpointing.";
  const std::string r = "execution.state-recovery.";
  static const std::vector<Row> table = {
      {kCheckpointingInterval, c + "interval", "", {}},
      {kNoEffect, c + "interval-during-backlog", "", {}},
      {kCheckpointingMode, c + "mode", "EXACTLY_ONCE", {}},
      {kCheckpointingTimeout, c + "timeout", "10 min", {}},
      {kCheckpointingMinPause, c + "min-pause", "0 ms", {}},
      {kMaxConcurrentCheckpoints, c + "max-concurrent-checkpoints", "1", {}},
      {kTolerableFailedCheckpoints, c + "tolerable-failed-checkpoints", "0", {}},
      {kRetainedCheckpoints, c + "num-retained", "1", {"state.checkpoints.num-retained"}},
      {kCheckpointDirectory,
       c + "dir",
       "",
       {"state.checkpoints.dir", "state.backend.fs.checkpointdir"}},
      {kSavepointDirectory,
       c + "savepoint-dir",
       "",
       {"state.savepoints.dir", "savepoints.state.backend.fs.dir",
        "savepoints.state.backend.fs.checkpointdir"}},
      {kCheckpointStorage, c + "storage", "", {"state.checkpoint-storage"}},
      {kCheckpointCreateSubdir, c + "create-subdir", "true", {"state.checkpoints.create-subdir"}},
      {kExternalizedCheckpointRetention,
       c + "externalized-checkpoint-retention",
       "NO_EXTERNALIZED_CHECKPOINTS",
       {}},
      {kIncrementalCheckpoints, c + "incremental", "false", {"state.backend.incremental"}},
      {kDataInlineThreshold,
       c + "data-inline-threshold",
       "20 kb",
       {"state.storage.fs.memory-threshold", "state.backend.fs.memory-threshold"}},
      {kCheckpointWriteBufferSize,
       c + "write-buffer-size",
       "4096",
       {"state.storage.fs.write-buffer-size", "state.backend.fs.write-buffer-size"}},
      {kNoEffect, c + "local-backup.enabled", "false", {"state.backend.local-recovery"}},
      {kNoEffect, c + "local-backup.dirs", "", {"taskmanager.state.local.root-dirs"}},
      {kUnalignedCheckpoints,
       c + "unaligned.enabled",
       "false",
       {"execution.checkpointing.unaligned"}},
      {kNoEffect, c + "unaligned.forced", "false", {}},
      {kAlignedCheckpointTimeout,
       c + "aligned-checkpoint-timeout",
       "0 ms",
       {"execution.checkpointing.alignment-timeout"}},
      {kNoEffect, c + "unaligned.max-subtasks-per-channel-state-file", "5", {}},
      {kNoEffect, c + "unaligned.interruptible-timers.enabled", "false", {}},
      {kCheckpointsAfterTasksFinish,
       c + "checkpoints-after-tasks-finish",
       "true",
       {"execution.checkpointing.checkpoints-after-tasks-finish.enabled"}},
      {kNoEffect, c + "cleaner.parallel-mode", "true", {"state.checkpoint.cleaner.parallel-mode"}},
      {kNoEffect, c + "file-merging.enabled", "false", {"state.checkpoints.file-merging.enabled"}},
      {kNoEffect,
       c + "file-merging.across-checkpoint-boundary",
       "false",
       {"state.checkpoints.file-merging.across-checkpoint-boundary"}},
      {kNoEffect,
       c + "file-merging.max-file-size",
       "32 mb",
       {"state.checkpoints.file-merging.max-file-size"}},
      {kNoEffect,
       c + "file-merging.max-space-amplification",
       "2.0",
       {"state.checkpoints.file-merging.max-space-amplification"}},
      {kNoEffect,
       c + "file-merging.pool-blocking",
       "false",
       {"state.checkpoints.file-merging.pool-blocking"}},
      {kNoEffect, "pipeline.sources.pause-until-first-checkpoint", "false", {}},
      {kRestorePath, r + "path", "", {"execution.savepoint.path"}},
      {kRestoreIgnoreUnclaimedState,
       r + "ignore-unclaimed-state",
       "false",
       {"execution.savepoint.ignore-unclaimed-state"}},
      {kRestoreClaimMode, r + "claim-mode", "NO_CLAIM", {"execution.savepoint-restore-mode"}},
      {kNoEffect, r + "from-local", "false", {"state.backend.local-recovery"}},
      {kNoEffect,
       r + "without-channel-state.checkpoint-id",
       "-1",
       {"execution.checkpointing.recover-without-channel-state.checkpoint-id"}},
  };
  return table;
}

/// The option of a row, of those that are read or else of those that are known only.
ConfigOption OptionOf(const Row& row) {
  if (!row.option.key.empty()) return row.option;
  for (const OptionWithoutEffect& known : options::kWithoutEffect) {
    if (known.option.key == row.key) return known.option;
  }
  return {};
}

TEST(CheckpointOptionsTest, EveryKeyIsKnownWithFlinksDefault) {
  for (const Row& row : Table()) {
    EXPECT_EQ(OptionOf(row).key, row.key);
    EXPECT_EQ(OptionOf(row).default_value, row.default_value) << row.key;
    EXPECT_EQ(Configuration().GetString(OptionOf(row)), row.default_value) << row.key;
  }
}

TEST(CheckpointOptionsTest, EveryOlderNameCountsUnlessANewerOneIsSet) {
  for (const Row& row : Table()) {
    std::map<std::string, std::string> values;
    // From the oldest to the newest, each beside all that are older.
    for (auto name = row.older.rbegin(); name != row.older.rend(); ++name) {
      values[*name] = "the value of " + *name;
      EXPECT_EQ(Configuration(values).GetString(OptionOf(row)), "the value of " + *name);
    }
    values[row.key] = "the newest";
    EXPECT_EQ(Configuration(values).GetString(OptionOf(row)), "the newest") << row.key;
  }
}

TEST(CheckpointOptionsTest, EveryOlderNameIsListed) {
  for (const Row& row : Table()) {
    std::vector<std::string> listed;
    for (const DeprecatedKeys& names : DeprecatedConfigKeys()) {
      if (names.key == row.key) listed.assign(names.older.begin(), names.older.end());
    }
    EXPECT_EQ(listed, row.older) << row.key;
  }
}

/// The page of Flink 1.1: savepoints.state.backend.fs.checkpointdir is the directory of savepoints.
TEST(CheckpointOptionsTest, TheKeysOfFlink11NameTheDirectories) {
  const Configuration oldest({{"savepoints.state.backend", "filesystem"},
                              {"savepoints.state.backend.fs.checkpointdir", "file:///savepoints"},
                              {"state.backend.fs.checkpointdir", "file:///checkpoints"}});
  EXPECT_EQ(oldest.GetString(options::kSavepointDirectory), "file:///savepoints");
  EXPECT_EQ(oldest.GetString(options::kCheckpointDirectory), "file:///checkpoints");
}

TEST(CheckpointOptionsTest, WhatHasNoEffectIsSaidByTheNameInUse) {
  EXPECT_THAT(WarningsOfNoEffect(Configuration()), IsEmpty());
  const Configuration defaults({{"execution.checkpointing.file-merging.enabled", "false"},
                                {"high-availability.type", "NONE"}});
  EXPECT_THAT(WarningsOfNoEffect(defaults), IsEmpty());
  const Configuration set({{"savepoints.state.backend", "jobmanager"},
                           {"state.checkpoints.file-merging.enabled", "true"},
                           {"execution.checkpointing.interval", "1 s"}});
  EXPECT_THAT(WarningsOfNoEffect(set),
              ElementsAre(HasSubstr("\"savepoints.state.backend\" (jobmanager) has no effect here: "
                                    "Savepoints always go to files."),
                          HasSubstr("\"state.checkpoints.file-merging.enabled\"")));
}

}  // namespace
}  // namespace flink
