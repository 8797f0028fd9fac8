#pragma once

/// The fixture of tests that share one real cluster: each cleans up its jobs, has directories of
/// its own, and knows what a refusal looks like. One thread.

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "tests/testing/external_cluster.h"

namespace flink::testing {

using Words = std::vector<std::string>;
Words operator+(Words left, const Words& right);

/// A fixture derived from it says in SetUpTestSuite which cluster it wants (StartCluster). A test
/// that leaves a job running has it cancelled.
class SharedClusterTest : public ::testing::Test {
 protected:
  static void StartCluster(const ExternalCluster::Options& options);
  static void TearDownTestSuite();
  void TearDown() override;

  static std::string TestName();
  /// Below a directory of this test's own.
  static std::string Dir(const std::string& name);
  /// The names in a directory that start so, sorted; none when it is not there.
  static Words Entries(const std::string& directory, const std::string& prefix = "");
  /// One a line; also of a directory that is being removed, where iterators of C++ give up.
  static std::string FilesBelow(const std::string& directory);

  /// /jobs/overview.
  static nlohmann::json Jobs();
  static bool IsOver(const std::string& state);
  /// The living job with this test's name; empty when there is none.
  static std::string LivingJob();
  static void Cancel(const std::string& job);

  /// Exit code 1 and one line on stderr, with `text` in it and nothing that Java would say.
  static void ExpectRefused(const CommandResult& result, const std::string& text);
  /// The same for a mistake in the command line: the text stands on stdout, before the hint how to
  /// get help.
  static void ExpectUsageError(const CommandResult& result, const std::string& text);

  static ExternalCluster* cluster_;
};

}  // namespace flink::testing
