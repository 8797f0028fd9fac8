#include "jobmanager/scheduler/job_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

#include "common/config/checkpoint_settings.h"

namespace flink::jobmanager {
namespace {

using ::testing::HasSubstr;

StatusOr<JobOptions> OptionsOf(const std::string& property) {
  Configuration configuration;
  const Status applied = configuration.ApplyDynamicProperty(property);
  if (!applied.ok()) return applied;
  return JobOptions::FromConfiguration(configuration);
}

TEST(JobOptionsTest, RetentionIsReadInAnyCase) {
  const std::string key = "execution.checkpointing.externalized-checkpoint-retention=";
  const std::pair<const char*, CheckpointRetention> cases[] = {
      {"NO_EXTERNALIZED_CHECKPOINTS", CheckpointRetention::kNoExternalized},
      {"DELETE_ON_CANCELLATION", CheckpointRetention::kDeleteOnCancellation},
      {"RETAIN_ON_CANCELLATION", CheckpointRetention::kRetainOnCancellation},
      {"retain_on_cancellation", CheckpointRetention::kRetainOnCancellation},
  };
  for (const auto& [text, retention] : cases) {
    const auto options = OptionsOf(key + text);
    ASSERT_TRUE(options.ok()) << Message(options.status());
    EXPECT_EQ(options->checkpointing.retention, retention) << text;
  }
  const auto wrong = OptionsOf(key + "KEEP");
  ASSERT_FALSE(wrong.ok());
  EXPECT_THAT(Message(wrong.status()), HasSubstr("\"KEEP\""));
}

// flink-surface §4.3 no. 36, 43
TEST(JobOptionsTest, OneCheckpointIsRetainedWhileTheJobRunsUnlessConfiguredByAnyName) {
  const JobOptions standard = JobOptions::FromConfiguration(Configuration()).value();
  EXPECT_EQ(standard.checkpointing.num_retained, 1);
  EXPECT_EQ(standard.checkpointing.retention, CheckpointRetention::kNoExternalized);
  for (const char* key :
       {"execution.checkpointing.num-retained", "state.checkpoints.num-retained"}) {
    const auto options = OptionsOf(std::string(key) + "=3");
    ASSERT_TRUE(options.ok()) << Message(options.status());
    EXPECT_EQ(options->checkpointing.num_retained, 3) << key;
  }
}

TEST(JobOptionsTest, ANumberOutOfItsBoundsIsRefusedWithThem) {
  const std::string c = "execution.checkpointing.";
  const std::map<std::string, std::string> refusals = {
      {c + "timeout=1 ms",
       c + "timeout is 1 ms: Checkpoint timeout must be larger than or equal to 10 ms"},
      {c + "tolerable-failed-checkpoints=-2",
       c + "tolerable-failed-checkpoints is -2; it must be at least 0"},
      {c + "num-retained=0", c + "num-retained is 0; it must be at least 1"},
      {c + "max-concurrent-checkpoints=0",
       c + "max-concurrent-checkpoints is 0; it must be at least 1"},
      {c + "max-concurrent-checkpoints=4294967297",
       c + "max-concurrent-checkpoints is 4294967297; it must be at most 2147483647"},
      {c + "periodic-savepoints.num-retained=-3",
       c + "periodic-savepoints.num-retained is -3; it must be at least 1"},
      {"pipeline.max-parallelism=0",
       "pipeline.max-parallelism is 0; it must be within 1..32768, or -1 to derive it"},
      {"pipeline.max-parallelism=32769",
       "pipeline.max-parallelism is 32769; it must be within 1..32768, or -1 to derive it"},
  };
  for (const auto& [setting, message] : refusals) {
    EXPECT_EQ(Message(OptionsOf(setting).status()), message);
  }
  for (const char* setting : {"execution.checkpointing.timeout=10 ms",
                              "execution.checkpointing.tolerable-failed-checkpoints=0",
                              "pipeline.max-parallelism=32768", "pipeline.max-parallelism=-1"}) {
    EXPECT_TRUE(OptionsOf(setting).ok()) << setting;
  }
}

StatusOr<JobOptions> Read(std::map<std::string, std::string> values) {
  return JobOptions::FromConfiguration(Configuration(std::move(values)));
}

TEST(JobOptionsTest, UnalignedCheckpointsAndTheirTimeoutAreRead) {
  const auto options = Read({{"execution.checkpointing.unaligned.enabled", "true"},
                             {"execution.checkpointing.aligned-checkpoint-timeout", "30 s"}});
  ASSERT_TRUE(options.ok()) << Message(options.status());
  EXPECT_TRUE(options->checkpointing.unaligned);
  EXPECT_EQ(options->checkpointing.aligned_timeout_ms, 30'000);
  EXPECT_FALSE(Read({})->checkpointing.unaligned);
  EXPECT_EQ(Read({})->checkpointing.aligned_timeout_ms, 0);
}

// flink-surface §4.6 no. 82.
TEST(JobOptionsTest, UnalignedCheckpointsNeedOneCheckpointAtATime) {
  const auto refused = Read({{"execution.checkpointing.unaligned.enabled", "true"},
                             {"execution.checkpointing.max-concurrent-checkpoints", "2"}});
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(Message(refused.status()),
              HasSubstr("execution.checkpointing.max-concurrent-checkpoints is 2"));
}

// flink-surface §4.6 no. 82: as Flink, with a warning.
TEST(JobOptionsTest, AtLeastOnceSwitchesUnalignedCheckpointsOff) {
  const auto options = Read({{"execution.checkpointing.unaligned.enabled", "true"},
                             {"execution.checkpointing.mode", "AT_LEAST_ONCE"},
                             {"execution.checkpointing.max-concurrent-checkpoints", "2"}});
  ASSERT_TRUE(options.ok()) << Message(options.status());
  EXPECT_FALSE(options->exactly_once);
  EXPECT_FALSE(options->checkpointing.unaligned);
}

TEST(JobOptionsTest, AnUnknownModeIsRefused) {
  const auto options = Read({{"execution.checkpointing.mode", "AT_MOST_ONCE"}});
  ASSERT_FALSE(options.ok());
  EXPECT_THAT(Message(options.status()), HasSubstr("AT_MOST_ONCE"));
}

TEST(JobOptionsTest, ModesAndFormatsAreReadInAnyCase) {
  for (const char* mode : {"exactly_once", "Exactly_Once", "EXACTLY_ONCE"}) {
    const auto options = Read({{"execution.checkpointing.mode", mode}});
    ASSERT_TRUE(options.ok()) << Message(options.status());
    EXPECT_TRUE(options->exactly_once) << mode;
  }
  for (const char* mode : {"at_least_once", "At_Least_Once"}) {
    EXPECT_FALSE(Read({{"execution.checkpointing.mode", mode}})->exactly_once) << mode;
  }
  const std::string periodic = "execution.checkpointing.periodic-savepoints.";
  const auto native = Read({{periodic + "interval", "1 min"},
                            {periodic + "dir", "/sp"},
                            {periodic + "format-type", "native"}});
  ASSERT_TRUE(native.ok()) << Message(native.status());
  EXPECT_EQ(native->checkpointing.periodic_savepoint_format, SavepointFormat::kNative);
}

// The names of all versions, flink-surface §3.3.
TEST(JobOptionsTest, AStateBackendHasManyNamesAndAnUnknownOneIsRefused) {
  const std::string classes = "org.apache.flink.";
  const std::map<std::string, std::vector<std::string>> names = {
      {"hashmap",
       {"hashmap", "HASHMAP", "HashMap", "filesystem", "FileSystem", "jobmanager",
        classes + "runtime.state.hashmap.HashMapStateBackendFactory",
        classes + "runtime.state.filesystem.FsStateBackendFactory",
        classes + "runtime.state.memory.MemoryStateBackendFactory"}},
      {"rocksdb",
       {"rocksdb", "RocksDB", "ROCKSDB",
        classes + "state.rocksdb.EmbeddedRocksDBStateBackendFactory",
        classes + "contrib.streaming.state.EmbeddedRocksDBStateBackendFactory",
        classes + "contrib.streaming.state.RocksDBStateBackendFactory"}}};
  for (const auto& [backend, texts] : names) {
    for (const std::string& text : texts) {
      for (const char* key : {"state.backend", "state.backend.type"}) {
        const auto options = Read({{key, text}});
        ASSERT_TRUE(options.ok()) << Message(options.status());
        EXPECT_EQ(options->state_backend, backend) << text;
      }
    }
  }
  for (const char* text : {"forst", "", "com.example.MyBackendFactory", "rocks"}) {
    const auto refused = Read({{"state.backend.type", text}});
    ASSERT_FALSE(refused.ok()) << text;
    EXPECT_EQ(Message(refused.status()), fmt::format("state.backend.type is \"{}\"; it must be "
                                                     "hashmap or rocksdb",
                                                     text));
  }
}

// flink-surface §4.2 no. 35; and as in Flink, whoever says "jobmanager" gets it with a directory,
// too, which has the metadata then.
TEST(JobOptionsTest, ADirectoryImpliesFilesUnlessTheStorageIsTheJobManager) {
  const std::string storage = "execution.checkpointing.storage";
  const auto implied = Read({{"execution.checkpointing.dir", "/chk"}});
  EXPECT_FALSE(implied->state_in_metadata);
  EXPECT_EQ(implied->checkpoint_directory, "/chk");
  for (const char* name : {"filesystem", "FileSystem"}) {
    EXPECT_FALSE(Read({{storage, name}})->state_in_metadata) << name;
  }
  for (const char* name : {"jobmanager", "JobManager"}) {
    const auto options =
        Read({{"state.checkpoint-storage", name}, {"execution.checkpointing.dir", "/chk"}});
    ASSERT_TRUE(options.ok()) << Message(options.status());
    EXPECT_TRUE(options->state_in_metadata) << name;
    EXPECT_EQ(options->checkpoint_directory, "/chk");
  }
  const auto refused = Read({{storage, "bogus"}});
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(Message(refused.status()),
            "execution.checkpointing.storage is \"bogus\"; it must be filesystem or jobmanager");
}

// flink-surface §4.2 no. 33 and 34: what is checked at submission and what counts in a task.
TEST(JobOptionsTest, AtMostAMegabyteStandsInTheMetadataAndFiveWithTheStorageJobManager) {
  const std::string key = "execution.checkpointing.data-inline-threshold";
  EXPECT_TRUE(Read({{key, "1 mb"}}).ok());
  for (const char* size : {"2 mb", "1048577"}) {
    const auto refused = Read({{key, size}});
    ASSERT_FALSE(refused.ok());
    EXPECT_THAT(Message(refused.status()), HasSubstr(key + " is "));
    EXPECT_THAT(Message(refused.status()), HasSubstr("it must be at most 1 mb"));
  }
  EXPECT_EQ(InlineThresholdFrom(Configuration()).value(), 20u << 10);
  Configuration in_job_manager;
  in_job_manager.Set("execution.checkpointing.storage", "jobmanager");
  EXPECT_EQ(InlineThresholdFrom(in_job_manager).value(), 5u << 20);
}

// flink-surface §4.1 no. 20.
TEST(JobOptionsTest, TheFirstCheckpointComesAtRandomBetweenTheShortestPauseAndTheInterval) {
  std::mt19937_64 random(20);
  std::set<int64_t> drawn;
  for (int i = 0; i < 1000; ++i) drawn.insert(DrawInitialDelay(1010, 1000, random));
  EXPECT_EQ(drawn.size(), 11u);
  EXPECT_EQ(*drawn.begin(), 1000);
  EXPECT_EQ(*drawn.rbegin(), 1010);
  EXPECT_EQ(DrawInitialDelay(1000, 5000, random), 1000) << "a longer pause is kept afterwards";
}

// flink-surface §4.1 no. 21.
TEST(JobOptionsTest, AnIntervalBelowTenMillisecondsIsRefused) {
  EXPECT_TRUE(Read({{"execution.checkpointing.interval", "10 ms"}}).ok());
  const auto refused = Read({{"execution.checkpointing.interval", "9 ms"}});
  ASSERT_FALSE(refused.ok());
  EXPECT_THAT(Message(refused.status()),
              HasSubstr("Checkpoint interval must be larger than or equal to 10 ms"));
}

}  // namespace
}  // namespace flink::jobmanager
