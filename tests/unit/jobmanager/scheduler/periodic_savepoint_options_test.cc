#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "jobmanager/scheduler/job_options.h"

namespace flink::jobmanager {
namespace {

constexpr char kInterval[] = "execution.checkpointing.periodic-savepoints.interval";
constexpr char kDirectory[] = "execution.checkpointing.periodic-savepoints.dir";
constexpr char kRetained[] = "execution.checkpointing.periodic-savepoints.num-retained";
constexpr char kFormat[] = "execution.checkpointing.periodic-savepoints.format-type";
constexpr char kSavepoints[] = "execution.checkpointing.savepoint-dir";

StatusOr<JobOptions> Read(const std::map<std::string, std::string>& settings) {
  return JobOptions::FromConfiguration(Configuration(settings));
}

std::string Refusal(const std::map<std::string, std::string>& settings) {
  return Message(Read(settings).status());
}

TEST(PeriodicSavepointOptionsTest, WithoutAnIntervalThereAreNoPeriodicSavepoints) {
  for (const auto& settings : {std::map<std::string, std::string>{{kDirectory, "/s"}},
                               {{kInterval, "0 ms"}, {kDirectory, "/s"}}}) {
    const auto options = Read(settings);
    ASSERT_TRUE(options.ok()) << Message(options.status());
    EXPECT_FALSE(options->checkpointing.periodic_savepoint_interval_ms.has_value());
    EXPECT_EQ(options->checkpointing.periodic_savepoint_directory, "");
  }
}

TEST(PeriodicSavepointOptionsTest, PeriodicSavepointsAreReadWithTheirDefaults) {
  const auto options = Read({{kInterval, "1 min"}, {kDirectory, "file:/s"}});
  ASSERT_TRUE(options.ok()) << Message(options.status());
  EXPECT_EQ(options->checkpointing.periodic_savepoint_interval_ms, 60'000);
  EXPECT_EQ(options->checkpointing.periodic_savepoint_directory, "file:/s");
  EXPECT_EQ(options->checkpointing.num_retained_periodic_savepoints, 1);
  EXPECT_EQ(options->checkpointing.periodic_savepoint_format, SavepointFormat::kCanonical);
}

TEST(PeriodicSavepointOptionsTest, PeriodicSavepointsGoToTheSavepointDirectoryWhenTheyHaveNone) {
  const auto options =
      Read({{kInterval, "1 min"}, {kSavepoints, "/all"}, {kRetained, "7"}, {kFormat, "NATIVE"}});
  ASSERT_TRUE(options.ok()) << Message(options.status());
  EXPECT_EQ(options->checkpointing.periodic_savepoint_directory, "/all");
  EXPECT_EQ(options->checkpointing.num_retained_periodic_savepoints, 7);
  EXPECT_EQ(options->checkpointing.periodic_savepoint_format, SavepointFormat::kNative);
}

TEST(PeriodicSavepointOptionsTest, PeriodicSavepointsThatCannotBeTakenAreRefusedNamingTheKey) {
  using ::testing::HasSubstr;
  EXPECT_THAT(Refusal({{kInterval, "9 ms"}, {kDirectory, "/s"}}), HasSubstr(kInterval));
  EXPECT_THAT(Refusal({{kInterval, "soon"}, {kDirectory, "/s"}}), HasSubstr(kInterval));
  EXPECT_THAT(Refusal({{kInterval, "1 s"}}), HasSubstr(kDirectory));
  EXPECT_THAT(Refusal({{kInterval, "1 s"}, {kDirectory, "/s"}, {kRetained, "0"}}),
              HasSubstr(kRetained));
  EXPECT_THAT(Refusal({{kInterval, "1 s"}, {kDirectory, "/s"}, {kFormat, "ZIP"}}),
              HasSubstr(kFormat));
}

}  // namespace
}  // namespace flink::jobmanager
