#include "cli/error_text.h"

#include <gtest/gtest.h>

#include "cli/command.h"

namespace flink::cli {
namespace {

TEST(CauseTextTest, JoinsTheMessagesOfAllCausesWithoutClassesAndStack) {
  EXPECT_EQ(
      CauseText(
          "java.util.concurrent.CompletionException: java.util.concurrent.CompletionException: "
          "org.apache.flink.runtime.checkpoint.CheckpointException: IO-problem detected.\n"
          "\tat a.b.C(D.java:1)\n"
          "Caused by: org.apache.flink.runtime.checkpoint.CheckpointException: IO-problem "
          "detected.\n"
          "\t... 3 more\n"
          "Caused by: java.io.IOException: java.io.IOException: Failed to create savepoint "
          "directory at /afile/sub\n"),
      "IO-problem detected: Failed to create savepoint directory at /afile/sub");
}

TEST(CauseTextTest, AnIoProblemIsLeftToItsCause) {
  const std::string problem =
      "An Exception occurred while triggering the checkpoint. IO-problem detected.";
  EXPECT_EQ(CauseText("a.b.CheckpointException: " + problem +
                      "\nCaused by: java.io.IOException: no room"),
            "no room");
  EXPECT_EQ(CauseText("a.b.CheckpointException: no room Failure reason: " + problem), "no room");
  EXPECT_EQ(CauseText("a.b.CheckpointException: " + problem), problem);
}

TEST(CauseTextTest, APlainSentenceStaysAsItIs) {
  EXPECT_EQ(CauseText("Config key [execution.checkpointing.savepoint-dir] is not set."),
            "Config key [execution.checkpointing.savepoint-dir] is not set.");
}

TEST(CauseTextTest, AnExceptionWithoutMessageGivesItsName) {
  EXPECT_EQ(CauseText("java.util.concurrent.TimeoutException"), "TimeoutException");
  EXPECT_EQ(CauseText("org.apache.flink.util.FlinkException: Could not dispose savepoint /x.\n"
                      "Caused by: java.io.EOFException: java.io.EOFException\n"),
            "Could not dispose savepoint /x.");
}

TEST(CauseTextTest, AMessageOfSeveralLinesBecomesOne) {
  EXPECT_EQ(CauseText("a.b.E: first\nsecond\n\tat x\n"), "first second");
  const std::string inner = "a.b.E: first\nsecond\n";
  EXPECT_EQ(CauseText("a.b.Outer: " + inner + "Caused by: " + inner), "first second");
}

TEST(CauseTextTest, PathsAndHostsAreNotTakenForClasses) {
  EXPECT_EQ(CauseText("localhost:8081 refused"), "localhost:8081 refused");
  EXPECT_EQ(CauseText("word.Count: x"), "x");
  EXPECT_EQ(CauseText("conf.yaml: bad"), "conf.yaml: bad");
}

TEST(ErrorDetailsTest, SurviveContext) {
  const Status status =
      WithContext(WithDetails(Internal("cause"), "stack"), "Could not cancel job 1.");
  EXPECT_EQ(Message(status), "Could not cancel job 1: cause");
  EXPECT_EQ(Details(status), "stack");
}

TEST(CauseTextTest, ATraceMayBeginWithACause) {
  EXPECT_EQ(CauseText("Caused by: java.io.IOException: no room\n\tat a.b.C(D.java:1)\n"
                      "Caused by: a.b.E: on the disk\n"),
            "no room: on the disk");
}

TEST(FailedTest, ANamelessClusterNeedsNoIntroduction) {
  EXPECT_EQ(Message(Failed("Could not cancel.", Unavailable("no cluster"))), "no cluster");
}

TEST(AdviceTest, AMissingFileSystemNeedsNoOtherDirectory) {
  EXPECT_EQ(Advice("Failed to create savepoint directory at s3://b: Could not find a file system "
                   "implementation for scheme 's3'"),
            "");
  EXPECT_NE(Advice("Failed to create savepoint directory at /x: no space"), "");
  // Says already to name the file.
  EXPECT_EQ(Advice("Cannot find meta data file '_metadata' in directory '/x'. Please try to load "
                   "the checkpoint/savepoint directly from the metadata file instead of the "
                   "directory."),
            "");
}

struct Resolution {
  std::vector<std::string> tokens;
  std::string job;
  std::optional<std::string> directory;

  friend void PrintTo(const Resolution& resolution, std::ostream* out) {
    *out << testing::PrintToString(resolution.tokens);
  }
};

class CancelArgumentsTest : public testing::TestWithParam<Resolution> {};

TEST_P(CancelArgumentsTest, APositionalArgumentWinsAsJobId) {
  static const std::vector<OptionSpec> specs = {{"s", "withSavepoint", "dir", "", true}};
  const auto line = CommandLine::Parse(specs, GetParam().tokens, OptionScope::kEverywhere);
  ASSERT_TRUE(line.ok());
  const auto resolved = ResolveJobAndDirectory(*line, "s");
  if (GetParam().job.empty()) {
    EXPECT_EQ(Message(resolved.status()), "Missing JobId");
    EXPECT_TRUE(IsUsageError(resolved.status()));
    return;
  }
  ASSERT_TRUE(resolved.ok());
  EXPECT_EQ(resolved->job, GetParam().job);
  EXPECT_EQ(resolved->directory, GetParam().directory);
}

INSTANTIATE_TEST_SUITE_P(AsFlinkDoes, CancelArgumentsTest,
                         testing::Values(Resolution{{"-s", "id"}, "id", std::nullopt},
                                         Resolution{{"-s", "dir", "id"}, "id", "dir"},
                                         Resolution{{"id", "-s"}, "id", std::nullopt},
                                         Resolution{{"id", "-s", "dir"}, "id", "dir"},
                                         Resolution{{"-s"}, "", std::nullopt},
                                         Resolution{{"-s", "dir"}, "dir", std::nullopt}));

}  // namespace
}  // namespace flink::cli
