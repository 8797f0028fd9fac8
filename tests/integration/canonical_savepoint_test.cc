/// Canonical savepoints, end to end: what the job is known to hold stands in them as Apache Flink's
/// own reader and writer have it (flink_savepoint_logic.py beside the source tree, written from the
/// format alone and proven against the real Flink), and they restore on both backends, at any
/// parallelism.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <tuple>

#include "common/snapshot/metadata.h"
#include "tests/integration/state_types.h"
#include "tests/integration/word_count_output.h"
#include "tests/testing/flink_releases.h"
#include "tests/testing/shared_cluster_test.h"

namespace flink::testing {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr int kKeys = 60;

const char* StateTypesJob() { return FLINK_TEST_JOBS "/StateTypesJob.so"; }
std::string SharedDirectory() { return std::string(FLINK_SOURCE_DIR) + "/../shared"; }

/// The reader and writer of Flink's format that is not ours.
class Oracle {
 public:
  static bool IsPresent() { return fs::exists(Script()); }
  static void ExpectContent(const std::string& savepoint, const json& expected,
                            const std::string& scratch) {
    fs::create_directories(scratch);
    const std::string file = scratch + "/expected.json";
    std::ofstream(file) << expected.dump();
    const CommandResult compared = Run({"compare", savepoint, file});
    EXPECT_EQ(compared.exit_code, 0) << compared.out << compared.err;
    EXPECT_THAT(compared.out, ::testing::Not(HasSubstr("unexpected"))) << savepoint;
  }
  /// The streams of keyed state are those that it writes from the content alone: same states in the
  /// same order, same rows in the same order.
  static void ExpectSameStreams(const std::string& savepoint, const std::string& scratch) {
    const std::string written = scratch + "/written";
    fs::remove_all(written);
    const CommandResult write = Run({"write", scratch + "/expected.json", written});
    ASSERT_EQ(write.exit_code, 0) << write.err;
    const CommandResult same = Run({"same", savepoint, written});
    EXPECT_EQ(same.out, "\nSAME {}\n") << same.err;
  }
  static bool Decodes(const std::string& savepoint) {
    return Run({"decode", savepoint}).exit_code == 0;
  }

 private:
  static std::string Script() { return SharedDirectory() + "/interop/flink_savepoint_logic.py"; }
  static CommandResult Run(const Words& words) {
    return RunCommand(Words{"python3", "-B", Script()} + words);
  }
};

class CanonicalSavepointTest : public SharedClusterTest {
 protected:
  static void SetUpTestSuite() {
    ExternalCluster::Options options;
    options.slots = 8;
    options.configuration = {{"execution.checkpointing.interval", "500 ms"}};
    StartCluster(options);
  }
  static Words Settings(int parallelism, const std::string& backend) {
    return {"-p", std::to_string(parallelism), "-Dstate.backend.type=" + backend,
            "-Dexecution.checkpointing.dir=file://" + Dir("chk")};
  }
  static std::string Start(const Words& words) {
    const auto job = cluster_->RunDetached(words);
    EXPECT_TRUE(job.ok()) << Message(job.status()) << cluster_->Logs();
    if (!job.ok()) return "";
    EXPECT_TRUE(cluster_->WaitForJobState(*job, "RUNNING")) << cluster_->Logs();
    return *job;
  }
  static int64_t RecordsWritten(const std::string& job) {
    const auto answer = cluster_->Get("/jobs/" + job);
    return answer.ok() ? (*answer)["vertices"][0]["metrics"].value("write-records", int64_t{0}) : 0;
  }
  /// `verb` with its arguments; the directory of the savepoint that it took.
  static std::string Savepoint(const Words& words) {
    const CommandResult result = cluster_->Flink(words);
    EXPECT_EQ(result.exit_code, 0) << result.out << result.err << cluster_->Logs();
    const std::string path = SavepointPathIn(result.out);
    return path.substr(std::min(path.size(), std::string("file:").size()));
  }
  /// Lines of committed files, each once.
  static std::set<std::string> DistinctLines(const std::string& directory) {
    const Words lines = CommittedLines(directory);
    return {lines.begin(), lines.end()};
  }
  /// A job that reads the states of a snapshot and changes nothing: waits until it has written what
  /// it found, which must be `expected`.
  static std::string ReadBack(const Words& words, const std::string& output,
                              const std::set<std::string>& expected) {
    std::string job = Start(words);
    WaitFor([&] { return DistinctLines(output).size() >= expected.size(); },
            std::chrono::minutes(1));
    EXPECT_EQ(DistinctLines(output), expected) << cluster_->Logs();
    return job;
  }
};

// ---- Every type ---------------------------------------------------------------------------------

struct Step {
  const char* backend;
  int parallelism;
};

TEST_F(CanonicalSavepointTest, StatesOfAllTypesStandInItAsInFlinksAndRestoreAnywhere) {
  if (!Oracle::IsPresent()) GTEST_SKIP() << "no reader of Flink's format beside the source tree";
  const Words steps_arguments = {"--keys", std::to_string(kKeys), "--rate", "20000"};
  const std::string writer =
      Start(Settings(3, "rocksdb") + Words{StateTypesJob(), "--case", "write"} + steps_arguments);
  ASSERT_TRUE(WaitFor([&] { return RecordsWritten(writer) > 3 * kKeys; })) << cluster_->Logs();
  std::string savepoint = Savepoint({"stop", "-p", Dir("sp"), writer});
  Oracle::ExpectContent(savepoint, ExpectedStates(kKeys, 3), Dir("oracle-0"));
  Oracle::ExpectSameStreams(savepoint, Dir("oracle-0"));
  int number = 0;
  for (const Step& step : {Step{"hashmap", 1}, Step{"rocksdb", 5}, Step{"hashmap", 3}}) {
    const std::string name = std::to_string(++number);
    const std::string job = ReadBack(Settings(step.parallelism, step.backend) +
                                         Words{"-s", savepoint, StateTypesJob(), "--case", "read",
                                               "--output", Dir("out-" + name)} +
                                         steps_arguments,
                                     Dir("out-" + name), ExpectedLines(kKeys));
    savepoint = Savepoint({"stop", "-p", Dir("sp"), job});
    Oracle::ExpectContent(savepoint, ExpectedStates(kKeys, step.parallelism),
                          Dir("oracle-" + name));
    Oracle::ExpectSameStreams(savepoint, Dir("oracle-" + name));
  }
}

// flink-surface §4.6 no. 79
TEST_F(CanonicalSavepointTest, TheFormatIsCanonicalUnlessNativeIsAskedFor) {
  const std::string job =
      Start(Settings(2, "rocksdb") + Words{StateTypesJob(), "--case", "write", "--rate", "2000"});
  ASSERT_TRUE(WaitFor([&] { return RecordsWritten(job) > 0; }));
  const auto is_canonical = [](const std::string& path) {
    const auto loaded = snapshot::LoadSnapshot(path);
    EXPECT_TRUE(loaded.ok()) << Message(loaded.status());
    EXPECT_EQ(loaded->metadata.version, 4);
    int canonical = 0;
    int native = 0;
    for (const auto& op : loaded->metadata.operators) {
      for (const auto& [index, state] : op.subtasks) {
        const auto& keyed = state.managed_keyed_state;
        const auto* groups = std::get_if<snapshot::KeyGroupsHandle>(&keyed);
        canonical +=
            groups != nullptr && groups->kind == snapshot::KeyGroupsHandle::Kind::kSavepoint;
        native += std::holds_alternative<snapshot::IncrementalHandle>(keyed);
      }
    }
    EXPECT_EQ(canonical + native, 6);
    EXPECT_TRUE(canonical == 0 || native == 0);
    return canonical != 0;
  };
  EXPECT_TRUE(is_canonical(Savepoint({"savepoint", job, Dir("a")})));
  EXPECT_TRUE(is_canonical(Savepoint({"savepoint", "-type", "CANONICAL", job, Dir("b")})));
  EXPECT_FALSE(is_canonical(Savepoint({"savepoint", "--type", "native", job, Dir("c")})));
  const CommandResult wrong = cluster_->Flink({"savepoint", "--type", "fast", job, Dir("d")});
  EXPECT_EQ(wrong.exit_code, 1);
  EXPECT_THAT(wrong.err, HasSubstr("[CANONICAL, NATIVE]"));
  EXPECT_FALSE(is_canonical(Savepoint({"stop", "--type", "Native", "-p", Dir("e"), job})));
}

// SavepointFormatITCase: testTriggerSavepointAndResumeWithFileBasedCheckpointsAndRelocateBasePath;
// flink-surface §4.6 no. 80 (both formats are relocatable).
TEST_F(CanonicalSavepointTest, AMovedSavepointOfEitherFormatIsClaimedAndDeletedOnceSubsumed) {
  // The other pairs are ClaimTest's. Both backends are one engine here.
  for (const auto& [format, backend, incremental] :
       {std::tuple<std::string, std::string, std::string>{"canonical", "hashmap", "false"},
        {"native", "rocksdb", "true"}}) {
    const Words settings =
        Settings(2, backend) + Words{"-Dexecution.checkpointing.incremental=" + incremental};
    const std::string job = Start(
        settings + Words{StateTypesJob(), "--case", "write", "--keys", "60", "--rate", "20000"});
    ASSERT_TRUE(WaitFor([&] { return RecordsWritten(job) > 180; }));
    const std::string path = Savepoint({"stop", "--type", format, "-p", Dir(format), job});
    const std::string moved = Dir("moved-" + format);
    fs::rename(path, moved);
    const std::string output = Dir("out-" + format);
    const std::string reader =
        ReadBack(settings + Words{"-s", moved, "-claimMode", "CLAIM", StateTypesJob(), "--case",
                                  "read", "--keys", "60", "--rate", "20000", "--output", output},
                 output, ExpectedLines(60));
    EXPECT_TRUE(WaitFor([&] { return !fs::exists(moved); })) << format << cluster_->Logs();
    Cancel(reader);
  }
}

// ---- Savepoints of others -----------------------------------------------------------------------

TEST_F(CanonicalSavepointTest, SavepointsThatFlinkWroteOnEitherBackendRestore) {
  const std::string archive = SharedDirectory() + "/golden/flink-1.20-goldens.tgz";
  if (!fs::exists(archive)) GTEST_SKIP() << "no snapshots of Flink beside the source tree";
  fs::create_directories(Dir("golden"));
  RunCommand({"tar", "xzf", archive, "-C", Dir("golden"), "kv-string"});
  const std::set<std::string> expected = {"|0|false|(,1)",
                                          "a|1|true|(,0)",
                                          "hello|2|false|(,0)",
                                          "flink|42|true|(,0)",
                                          "é|2147483647|true|(,0)",
                                          "€|-2147483648|false|(,0)",
                                          "😀|741092396|true|(,0)",
                                          "user-42|-1|false|(user-42,-9223372036854775808)",
                                          "漢字かな|695031|false|(漢字かな,-44)"};
  for (const auto& [variant, step] : std::map<std::string, Step>{
           {"hashmap-canonical", {"rocksdb", 3}}, {"rocksdb-canonical", {"hashmap", 1}}}) {
    const std::string output = Dir("out-" + variant);
    Cancel(ReadBack(Settings(step.parallelism, step.backend) +
                        Words{"-s", Dir("golden/kv-string/" + variant), StateTypesJob(), "--case",
                              "golden", "--rate", "20000", "--output", output},
                    output, expected));
  }
}

/// A savepoint of every released version goes on restoring.
TEST_F(CanonicalSavepointTest, SavepointsOfReleasedVersionsRestore) {
  int restored = 0;
  for (const auto& version : fs::directory_iterator(FLINK_SOURCE_DIR "/tests/golden")) {
    // Those of Apache Flink have a test of their own.
    if (!version.is_directory() || version.path().filename() == "flink") continue;
    for (const std::string format : {"canonical", "native"}) {
      const std::string output = Dir("out-" + format + std::to_string(restored));
      Cancel(ReadBack(Settings(3, "rocksdb") + Words{"-s", version.path().string() + "/" + format,
                                                     StateTypesJob(), "--case", "read", "--keys",
                                                     "60", "--rate", "20000", "--output", output},
                      output, ExpectedLines(60)));
      ++restored;
    }
  }
  EXPECT_GE(restored, 2);
}

// ---- Releases of Apache Flink -------------------------------------------------------------------

/// What the job of tests/golden/flink holds under the uids "sums" and "states", each key once more.
std::set<std::string> LinesOfFlink(bool with_states) {
  std::set<std::string> lines;
  for (int n = 0; n < 20; ++n) {
    const std::string key = fmt::format("key-{:02}", n);
    lines.insert("sums|" + key + "|4");
    if (!with_states) continue;
    lines.insert("states|" + key + "|3|(" + key + ",2)");
    lines.insert("timer|" + key + "|4102444800000");
  }
  return lines;
}

TEST_F(CanonicalSavepointTest, SavepointsOfReleasesOfFlinkRestore) {
  UnpackFlinkReleases(FLINK_SOURCE_DIR "/tests/golden/flink", Dir("releases"));
  struct Case {
    const char* savepoint;
    int parallelism;
  };
  // Files of RocksDB are taken over as they are at the parallelism that they were written at.
  const Case cases[] = {
      {"1.8/rocksdb", 3},         {"1.10/rocksdb", 2},        {"1.12/rocksdb", 3},
      {"1.13/heap", 3},           {"1.15/rocksdb-native", 3}, {"1.17/rocksdb-native", 2},
      {"1.17/rocksdb-native", 3}, {"1.20/rocksdb-snappy", 3}, {"2.1/heap", 1},
      {"2.1/rocksdb-native", 2}};
  int restored = 0;
  for (const Case& given : cases) {
    // The timers of this one are beside its state.
    const bool with_states = given.savepoint != std::string("1.8/rocksdb");
    const std::string output = Dir("out-" + std::to_string(++restored));
    const CommandResult run = cluster_->Flink(
        Words{"run"} + Settings(given.parallelism, "rocksdb") +
        Words{"-Drestart-strategy.type=none", "-n", "-s", Dir("releases/") + given.savepoint,
              StateTypesJob(), "--case", "flink", "--output", output} +
        (with_states ? Words{} : Words{"--without-states", "true"}));
    EXPECT_EQ(run.exit_code, 0) << given.savepoint << run.out << run.err << cluster_->Logs();
    EXPECT_EQ(DistinctLines(output), LinesOfFlink(with_states)) << given.savepoint;
  }
}

TEST_F(CanonicalSavepointTest, SavepointsOfFlinksHeapBackendAreRefusedWithWhatToDo) {
  UnpackFlinkReleases(FLINK_SOURCE_DIR "/tests/golden/flink", Dir("releases"));
  for (const std::string name : {"1.8/heap", "1.12/heap", "2.1/heap-native"}) {
    for (const Words& verb : {Words{"run", "--dry-run"}, Words{"run"}}) {
      const CommandResult run =
          cluster_->Flink(verb + Settings(2, "rocksdb") +
                          Words{"-n", "-s", Dir("releases/") + name, StateTypesJob(), "--case",
                                "flink", "--output", Dir("out")});
      EXPECT_EQ(run.exit_code, 1) << name << run.out;
      EXPECT_THAT(run.out + run.err,
                  HasSubstr("its keyed state is in the form of Apache Flink's heap state backend, "
                            "which only that backend reads: start the job from it in the same or "
                            "a later release of Apache Flink, 1.13 at least, with the heap state "
                            "backend, take a savepoint in canonical format there, and start from "
                            "that."))
          << name;
    }
  }
}

// ---- Jobs with real data ------------------------------------------------------------------------

/// uid "count" as a program of Flink with keyBy and sum has it, of a WordCount that was stopped:
/// what it had committed says how far each word had been counted.
json ExpectedCounts(const std::string& output, int parallelism) {
  std::map<std::string, int> counts;
  for (const std::string& line : CommittedLines(output)) {
    const size_t comma = line.rfind(',');
    int& count = counts[line.substr(0, comma)];
    count = std::max(count, std::atoi(line.c_str() + comma + 1));
  }
  json entries = json::array();
  for (const auto& [word, count] : counts) {
    entries.push_back({{"key", word}, {"value", {word, count}}});
  }
  const json state = {
      {"name", "_op_state"},     {"kind", "VALUE"}, {"type", "Tuple2<String,Integer>"},
      {"namespaceType", "Void"}, {"ttl", false},    {"entries", std::move(entries)}};
  const json count = {
      {"uid", "count"},        {"what", "keyed"},     {"parallelism", parallelism},
      {"maxParallelism", 128}, {"keyType", "String"}, {"states", json::array({state})}};
  return {{"operators", json::array({count})}};
}

class WordCountSteps : public CanonicalSavepointTest {
 protected:
  void SetUp() override {
    if (!BooksArePresent()) GTEST_SKIP() << "the books are not beside the source tree";
    books_ = UnpackBooks(Dir("input"));
    output_ = Dir("output");
  }
  Words WordCount(const Words& options) const {
    return options + Words{cluster_->Example("WordCount"), "--input", books_, "--output", output_};
  }
  /// Starts or goes on, lets it commit something new, and stops it.
  std::string RunAndStop(const Words& options, const std::string& format) {
    const size_t before = CommittedLines(output_).size();
    const std::string job = Start(WordCount(options) + Words{"--rate", "15000"});
    EXPECT_TRUE(WaitFor([&] { return CommittedLines(output_).size() > before; }))
        << cluster_->Logs();
    return Savepoint({"stop", "--type", format, "-p", Dir("sp"), job});
  }
  void RunToTheEnd(const Words& options) const {
    const CommandResult run = cluster_->Flink(Words{"run"} + WordCount(options));
    ASSERT_EQ(run.exit_code, 0) << run.out << run.err << cluster_->Logs();
    EXPECT_THAT(DifferencesFromTruth(output_), IsEmpty()) << cluster_->Logs();
  }

  std::string books_;
  std::string output_;
};

// RescalingITCase: testSavepointRescaling{In,Out}KeyedStateDerivedMaxParallelism
TEST_F(WordCountSteps, StoppedCanonicalItHoldsTheCountsAndGoesOnAtAnotherParallelism) {
  const std::string savepoint = RunAndStop(Settings(2, "rocksdb"), "canonical");
  if (Oracle::IsPresent()) {
    Oracle::ExpectContent(savepoint, ExpectedCounts(output_, 2), Dir("oracle"));
    Oracle::ExpectSameStreams(savepoint, Dir("oracle"));
  }
  RunToTheEnd(Settings(4, "rocksdb") + Words{"-s", savepoint});
}

// RescalingITCase: testSavepointRescaling{In,Out}KeyedState, with keys of more than 128 groups.
TEST_F(WordCountSteps, AConfiguredMaxParallelismGoesInAndOutOfCanonicalSavepoints) {
  const Words maximum = {"-Dpipeline.max-parallelism=200"};
  std::string savepoint = RunAndStop(Settings(3, "rocksdb") + maximum, "canonical");
  savepoint = RunAndStop(Settings(1, "rocksdb") + maximum + Words{"-s", savepoint}, "canonical");
  RunToTheEnd(Settings(4, "rocksdb") + maximum + Words{"-s", savepoint});
}

// flink-surface §4.6 no. 80: the backend changes through canonical savepoints, the parallelism
// through both.
TEST_F(WordCountSteps, NativeCanonicalNativeAndOtherBackendsAndParallelismsChangeNothing) {
  std::string savepoint = RunAndStop(Settings(3, "rocksdb"), "native");
  savepoint = RunAndStop(Settings(1, "rocksdb") + Words{"-s", savepoint}, "canonical");
  savepoint = RunAndStop(Settings(2, "hashmap") + Words{"-s", savepoint}, "canonical");
  savepoint = RunAndStop(Settings(4, "rocksdb") + Words{"-s", savepoint}, "native");
  RunToTheEnd(Settings(2, "rocksdb") + Words{"-s", savepoint});
}

TEST_F(CanonicalSavepointTest, FlightsPerHourStoppedCanonicalGoOnWithTheirTimers) {
  const std::string archive = DataDirectory() + "/flights/flights_stream.csv.gz";
  if (!fs::exists(archive)) GTEST_SKIP() << "the flights are not beside the source tree";
  fs::create_directories(Dir("input"));
  std::ofstream(Dir("input/flights.csv")) << RunCommand({"zcat", archive}).out;
  const std::string output = Dir("output");
  const Words job_arguments = {cluster_->Example("HourlyOrigin"), "--input",
                               Dir("input/flights.csv"), "--output", output};
  const std::string job = Start(Settings(2, "rocksdb") + job_arguments + Words{"--rate", "60000"});
  ASSERT_TRUE(WaitFor([&] { return HasCommittedLines(output); })) << cluster_->Logs();
  const std::string savepoint = Savepoint({"stop", "-p", Dir("sp"), job});
  EXPECT_TRUE(!Oracle::IsPresent() || Oracle::Decodes(savepoint));
  const CommandResult run =
      cluster_->Flink(Words{"run", "-s", savepoint} + Settings(3, "hashmap") + job_arguments);
  ASSERT_EQ(run.exit_code, 0) << run.out << run.err << cluster_->Logs();
  Words lines = CommittedLines(output);
  std::sort(lines.begin(), lines.end());
  std::ifstream truth(DataDirectory() + "/truth/F1_hourly_origin.csv");
  Words expected;
  std::string line;
  std::getline(truth, line);
  while (std::getline(truth, line)) expected.push_back(line);
  std::sort(expected.begin(), expected.end());
  EXPECT_EQ(lines, expected);
}

}  // namespace
}  // namespace flink::testing
