#pragma once

/// The fixture of tests about the life of a job: a cluster of eight slots and a job that counts, of
/// which it can be told whether every record was counted exactly once. One thread.

#include <cstdint>
#include <future>
#include <nlohmann/json.hpp>
#include <string>

#include "tests/testing/shared_cluster_test.h"

namespace flink::testing {

/// How many records the counting job counts unless told otherwise.
inline constexpr int kCount = 40'000;

const char* TestJob();
const char* DrainJob();

/// The recorded text with the job's id for each JOB in it.
std::string Recorded(const std::string& text, const std::string& job);

/// "key,n" for keys 0..99: each n from 1 to count/100 exactly once in all directories together.
/// Empty when that holds, else what is wrong.
std::string CheckCounts(const Words& outputs, int count);

class LifecycleTest : public SharedClusterTest {
 protected:
  static void SetUpTestSuite();

  static Words Checkpoints(const std::string& interval);
  /// Directories of this test for its checkpoints and savepoints, and restarts without delay.
  static Words Settings();
  /// The counting job: library and arguments.
  static Words Counting(const std::string& output, int rate, int count = kCount);
  /// A counting job that has counted something.
  static std::string RunningJob(const Words& options, int rate = 10'000, int count = kCount);
  static int64_t RecordsRead(const std::string& job);
  static nlohmann::json Restored(const std::string& job);
  static int CompletedCheckpoints(const std::string& job);
  /// `flink savepoint`; the path without scheme.
  static std::string TakeSavepoint(const std::string& job);
  /// `flink run` attached, to the end of the job.
  static void RunToTheEnd(const Words& options, const std::string& output);
  /// bin/flink in the background.
  static std::future<CommandResult> Attached(const Words& words);
};

}  // namespace flink::testing
