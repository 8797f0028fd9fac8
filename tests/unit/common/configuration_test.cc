#include "common/config/configuration.h"

#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>

#include <chrono>
#include <map>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "common/base/logging.h"
#include "common/config/options.h"
#include "common/io/file_system.h"
#include "common/io/temp_directory.h"

namespace flink {
namespace {

using std::chrono::milliseconds;

Configuration Of(const std::vector<std::pair<std::string, std::string>>& values) {
  Configuration configuration;
  for (const auto& value : values) configuration.Set(value.first, value.second);
  return configuration;
}

TEST(ParseDuration, TakesFlinksGrammar) {
  constexpr int64_t kHundredYears = int64_t{100} * 365 * 24 * 3600 * 1000;
  const std::vector<std::pair<std::string, int64_t>> good = {
      {"10 s", 10000},
      {"500 ms", 500},
      {"1 min", 60000},
      {"1 h", 3600000},
      {"1 d", 86400000},
      {"PT10S", 10000},
      {"180000", 180000},
      {"10s", 10000},
      {" 2  sec ", 2000},
      {"3 minutes", 180000},
      {"1 day", 86400000},
      {"PT1M30.5S", 90500},
      {"P1DT2H", 93600000},
      {"0", 0},
      {"5000 micro", 5},
      {"2 hours", 7200000},
      {"9223372036854775807 ms", kHundredYears},
      {"292000000 d", kHundredYears}};
  for (const auto& c : good) {
    const auto duration = ParseDuration(c.first);
    ASSERT_TRUE(duration.ok()) << duration.status();
    EXPECT_EQ(duration->count(), c.second) << c.first;
  }
  for (const char* bad :
       {"", "s", "10 parsecs", "-1 s", "1.5 s", "PT", "P1S", "99999999999999 d"}) {
    EXPECT_FALSE(ParseDuration(bad).ok()) << bad;
  }
}

TEST(ParseMemorySize, TakesFlinksGrammar) {
  const std::vector<std::pair<std::string, uint64_t>> good = {
      {"4096", 4096},      {"128mb", 128u << 20},    {"1 gb", 1u << 30},
      {"20 kb", 20480},    {"1728m", 1728u << 20},   {"12 bytes", 12},
      {"1 T", 1ull << 40}, {"2 mebibytes", 2u << 20}};
  for (const auto& c : good) {
    const auto size = ParseMemorySize(c.first);
    ASSERT_TRUE(size.ok()) << size.status();
    EXPECT_EQ(*size, c.second) << c.first;
  }
  for (const char* bad : {"", "mb", "1 pb", "-1", "99999999999999999 tb"}) {
    EXPECT_FALSE(ParseMemorySize(bad).ok()) << bad;
  }
}

TEST(Configuration, YamlMayNestOrDot) {
  const auto parsed = Configuration::ParseYaml(
      "execution:\n  checkpointing:\n    interval: 10 s\n    unaligned.enabled: true\n"
      "rest.port: 8081\nempty:\nenv.java.opts.all: '--x=y # no comment'\nlist: [a, b]\n",
      "config.yaml");
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->GetDuration(options::kCheckpointingInterval).value(), milliseconds(10000));
  EXPECT_TRUE(parsed->GetBool(options::kUnalignedCheckpoints).value());
  EXPECT_EQ(parsed->GetInt(options::kRestPort).value(), 8081);
  EXPECT_EQ(parsed->GetString("env.java.opts.all", ""), "--x=y # no comment");
  EXPECT_EQ(parsed->GetList("list"), (std::vector<std::string>{"a", "b"}));
  EXPECT_FALSE(parsed->Contains("empty"));
}

TEST(Configuration, WrongYamlIsNamedWithItsLine) {
  const auto broken = Configuration::ParseYaml("a: 1\nb: [unclosed\n", "conf/config.yaml");
  ASSERT_FALSE(broken.ok());
  EXPECT_EQ(Message(broken.status()).find("conf/config.yaml:"), 0u) << broken.status();
  const auto twice = Configuration::ParseYaml("a.b: 1\na:\n  b: 2\n", "c");
  ASSERT_FALSE(twice.ok());
  EXPECT_NE(Message(twice.status()).find("\"a.b\""), std::string::npos);
  EXPECT_FALSE(Configuration::ParseYaml("just text", "c").ok());
}

TEST(Configuration, FlatLinesAreNotYaml) {
  const auto parsed = Configuration::ParseFlat(
      "# comment\nrest.port: 9999 # here too\n\nnot a setting\nkey: [not: yaml\n",
      "flink-conf.yaml");
  ASSERT_TRUE(parsed.ok());
  EXPECT_EQ(parsed->GetInt("rest.port", 0).value(), 9999);
  EXPECT_EQ(parsed->GetString("key", ""), "[not: yaml");
  EXPECT_EQ(parsed->values().size(), 2u);
}

TEST(Configuration, TheFlatFileWinsInADirectory) {
  auto directory = io::TempDirectory::Create("configuration");
  ASSERT_TRUE(directory.ok());
  const auto none = Configuration::LoadFromDirectory(directory->path());
  ASSERT_FALSE(none.ok());
  EXPECT_NE(Message(none.status()).find("FLINK_CONF_DIR"), std::string::npos);
  ASSERT_TRUE(io::PublishFile(directory->File("config.yaml"), "a: 1\nb: 1\n").ok());
  ASSERT_TRUE(io::PublishFile(directory->File("flink-conf.yaml"), "b: 2\n").ok());
  const auto loaded = Configuration::LoadFromDirectory(directory->path());
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  EXPECT_EQ(loaded->GetString("a", ""), "1");
  EXPECT_EQ(loaded->GetString("b", ""), "2");
}

TEST(Configuration, ArgumentsOverride) {
  Configuration configuration = Of({{"rest.port", "1"}, {"state.backend.type", "hashmap"}});
  const auto others = configuration.ApplyArguments(
      {"run", "-Drest.port=2", "-D", "pipeline.name=a=b", "-Dflag", "job.so"});
  ASSERT_TRUE(others.ok());
  EXPECT_EQ(*others, (std::vector<std::string>{"run", "job.so"}));
  EXPECT_EQ(configuration.GetInt("rest.port", 0).value(), 2);
  EXPECT_EQ(configuration.GetString("pipeline.name", ""), "a=b");
  EXPECT_TRUE(configuration.GetBool("flag", false).value());
  EXPECT_FALSE(configuration.ApplyArguments({"-D"}).ok());
  EXPECT_FALSE(configuration.ApplyDynamicProperty("=x").ok());
}

TEST(Configuration, OlderNamesAreHonouredAndNewerOnesWin) {
  const Configuration old = Of({{"state.savepoints.dir", "/old"}});
  EXPECT_EQ(old.GetString(options::kSavepointDirectory), "/old");
  EXPECT_TRUE(old.Contains(options::kSavepointDirectory));
  const auto both = Configuration::ParseFlat(
      "execution.checkpointing.savepoint-dir: /new\nstate.savepoints.dir: /old\n", "f");
  ASSERT_TRUE(both.ok());
  EXPECT_EQ(both->GetString(options::kSavepointDirectory), "/new");
  const Configuration oldest =
      Of({{"state.backend.fs.checkpointdir", "/x"}, {"state.backend", "rocksdb"}});
  EXPECT_EQ(oldest.GetString(options::kCheckpointDirectory), "/x");
  EXPECT_EQ(oldest.GetString(options::kStateBackendType), "rocksdb");
}

TEST(Configuration, AnOverrideByAnOlderNameDisplacesTheFilesValue) {
  Configuration configuration = Of({{"execution.checkpointing.dir", "/file"}});
  ASSERT_TRUE(configuration.ApplyDynamicProperty("state.checkpoints.dir=/override").ok());
  EXPECT_EQ(configuration.GetString(options::kCheckpointDirectory), "/override");
  ASSERT_TRUE(configuration
                  .ApplyDynamicProperties(
                      {"execution.checkpointing.dir=/newer", "state.checkpoints.dir=/older"})
                  .ok());
  EXPECT_EQ(configuration.GetString(options::kCheckpointDirectory), "/newer");
}

TEST(Configuration, AnOlderNameBesideANewerOneIsSaidToBeIgnoredOnce) {
  std::ostringstream log;
  const auto before = spdlog::default_logger();
  spdlog::set_default_logger(std::make_shared<spdlog::logger>(
      "test", std::make_shared<spdlog::sinks::ostream_sink_mt>(log)));
  // Of no other test here: what was said once is not said again.
  const Configuration configuration(std::map<std::string, std::string>{
      {"high-availability.type", "none"}, {"recovery.mode", "zookeeper"}});
  EXPECT_EQ(configuration.GetString("high-availability.type", ""), "none");
  EXPECT_EQ(configuration.GetString("high-availability.type", ""), "none");
  spdlog::set_default_logger(before);
  const std::string warning =
      "the configuration key \"recovery.mode\" is ignored, because \"high-availability.type\" is "
      "set, "
      "too";
  const size_t at = log.str().find(warning);
  EXPECT_NE(at, std::string::npos) << log.str();
  EXPECT_EQ(log.str().find(warning, at + 1), std::string::npos) << log.str();
}

TEST(Configuration, WrongValuesAreNamedWithTheirKey) {
  const Configuration configuration = Of({{"rest.port", "80a"},
                                          {"heartbeat.interval", "soon"},
                                          {"taskmanager.memory.segment-size", "big"},
                                          {"pipeline.object-reuse", "yes"}});
  const auto port = configuration.GetInt(options::kRestPort);
  ASSERT_FALSE(port.ok());
  EXPECT_NE(Message(port.status()).find("\"rest.port\""), std::string::npos);
  EXPECT_NE(Message(port.status()).find("\"80a\""), std::string::npos);
  EXPECT_FALSE(configuration.GetDuration(options::kHeartbeatInterval).ok());
  EXPECT_FALSE(configuration.GetMemorySize(options::kTaskManagerSegmentSize).ok());
  EXPECT_FALSE(configuration.GetBool(options::kObjectReuse).ok());
}

TEST(Configuration, DefaultsOfOptionsCount) {
  const Configuration configuration;
  EXPECT_EQ(configuration.GetInt(options::kMaxParallelism).value(), -1);
  EXPECT_EQ(configuration.GetDuration(options::kHeartbeatTimeout).value(), milliseconds(50000));
  EXPECT_EQ(configuration.GetMemorySize(options::kDataInlineThreshold).value(), 20480u);
  EXPECT_DOUBLE_EQ(configuration.GetDouble(options::kTaskManagerManagedFraction).value(), 0.4);
  const auto interval = configuration.GetDuration(options::kCheckpointingInterval);
  EXPECT_EQ(interval.status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(configuration.GetDuration("no.such.key", milliseconds(7)).value(), milliseconds(7));
}

TEST(Configuration, YamlIsReadBack) {
  const Configuration configuration = Of({{"a.b", "with: colon # and \"quotes\"\n"}, {"c", ""}});
  const auto again = Configuration::ParseYaml(configuration.ToYaml(), "again");
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(*again, configuration);
  EXPECT_TRUE(Configuration::ParseYaml(Configuration().ToYaml(), "empty").ok());
}

}  // namespace
}  // namespace flink
