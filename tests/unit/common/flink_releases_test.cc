// Savepoints of one job, written by every release of Apache Flink from 1.8 to 2.1. What is expected
// of them is what the program puts into its state: tests/golden/flink/generate.

#include "tests/testing/flink_releases.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "common/graph/operator_id.h"
#include "common/io/file_system.h"
#include "common/io/temp_directory.h"
#include "common/snapshot/heap_state.h"
#include "common/snapshot/keyed_state_rows.h"
#include "common/snapshot/operator_state_stream.h"
#include "common/snapshot/restore_plan.h"
#include "common/snapshot/snapshot_inspection.h"

namespace flink::snapshot {
namespace {

using ::flink::testing::ReleasedSavepoint;
using ::flink::testing::UnpackFlinkReleases;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;

constexpr int kNewHeapBackend = 113;  // Savepoints have been canonical since.

struct ExpectedState {
  std::string kind;
  std::string type;
  int64_t entries;
  std::string namespace_type;
};
struct ExpectedOperator {
  std::string name;
  std::string key_type;
  std::map<std::string, ExpectedState> states;
};

/// By uid.
std::map<std::string, ExpectedOperator> ExpectedOperators(int release) {
  const ExpectedState user_timers = {"timers", "Timer<String,VoidNamespace>", 0, ""};
  const ExpectedState window_timers = {"timers", "Timer<String,TimeWindow>", 0, ""};
  const ExpectedState number_timers = {"timers", "Timer<Long,VoidNamespace>", 0, ""};
  const auto some = [](ExpectedState timers, int64_t entries) {
    timers.entries = entries;
    return timers;
  };
  std::map<std::string, ExpectedOperator> operators;
  operators["source"] = {"Source: Records",
                         "",
                         {{"positions", {"list (split)", "Long", 6, ""}},
                          {"names", {"list (union)", "String", 4, ""}},
                          {"rules", {"broadcast", "String -> Integer", 4, ""}}}};
  operators["states"] = {"States",
                         "String",
                         {{"count", {"ValueState", "Long", 20, ""}},
                          {"words", {"ListState", "List<String>", 20, ""}},
                          {"table", {"MapState", "Map<Integer,String>", 60, ""}},
                          {"total", {"ReducingState", "Long", 20, ""}},
                          {"most", {"AggregatingState", "Integer", 20, ""}},
                          {"person", {"ValueState", "Person{age: Integer, name: String}", 20, ""}},
                          {"pair", {"ValueState", "Tuple2<String,Integer>", 20, ""}},
                          {"recent", {"ValueState", "Ttl<String>", 20, ""}},
                          {"_timer_state/event_user-timers", some(user_timers, 20)},
                          {"_timer_state/processing_user-timers", user_timers}}};
  operators["numbers"] = {"Numbers",
                          "Long",
                          {{"opaque", {"ValueState", "Kryo<Opaque>", 20, ""}},
                           {"share", {"ValueState", "Double", 20, ""}},
                           {"_timer_state/event_user-timers", number_timers},
                           {"_timer_state/processing_user-timers", number_timers}}};
  operators["sums"] = {
      "Sums", "String", {{"_op_state", {"ValueState", "Tuple2<String,Integer>", 20, ""}}}};
  operators["window"] = {
      "Window",
      "String",
      {{"window-contents", {"ReducingState", "Tuple2<String,Integer>", 60, "TimeWindow"}},
       {"_timer_state/event_window-timers", some(window_timers, 60)},
       {"_timer_state/processing_window-timers", window_timers}}};
  // The source with an enumerator came with 1.12.
  if (release >= 112) {
    operators["sequence"] = {
        "Source: Sequence", "", {{"SourceReaderState", {"list (split)", "byte[]", 2, ""}}}};
    operators["slowly"] = {"Slowly", "", {}};
  }
  return operators;
}

std::string ExpectedFormat(const ReleasedSavepoint& savepoint) {
  if (savepoint.variant.starts_with("heap") &&
      (savepoint.IsNative() || savepoint.Number() < kNewHeapBackend)) {
    return "heap";
  }
  // In 1.15 a RocksDB backend without incremental checkpoints knows only one form.
  if (savepoint.IsNative() && savepoint.variant.starts_with("rocksdb") &&
      savepoint.Number() > 115) {
    return "RocksDB files";
  }
  return "canonical";
}

class FlinkReleasesTest : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    directory_ = new io::TempDirectory(io::TempDirectory::Create("releases").value());
    savepoints_ = new std::vector<ReleasedSavepoint>(
        UnpackFlinkReleases(FLINK_SOURCE_DIR "/tests/golden/flink", directory_->path()));
  }
  static void TearDownTestSuite() {
    delete savepoints_;
    delete directory_;
  }
  static const ReleasedSavepoint& Find(const std::string& name) {
    const auto found = std::find_if(savepoints_->begin(), savepoints_->end(),
                                    [&](const auto& s) { return s.Name() == name; });
    if (found == savepoints_->end()) throw std::out_of_range(name);
    return *found;
  }
  /// Calls `visit` with handle, header, and bytes of every stream of key groups.
  template <class Visit>
  static void ForEachKeyedStream(const LoadedSnapshot& loaded, const Visit& visit) {
    for (const OperatorSnapshot& op : loaded.metadata.operators) {
      for (const auto& [index, state] : op.subtasks) {
        const auto* groups = std::get_if<KeyGroupsHandle>(&state.managed_keyed_state);
        if (groups == nullptr) continue;
        const auto bytes = ReadStream(groups->stream, loaded.directory);
        ASSERT_TRUE(bytes.ok()) << bytes.status();
        size_t header_size = 0;
        const auto header = ParseKeyedStateHeader(*bytes, &header_size);
        ASSERT_TRUE(header.ok()) << header.status();
        visit(*groups, *header, *bytes, header_size);
      }
    }
  }

  static io::TempDirectory* directory_;
  static std::vector<ReleasedSavepoint>* savepoints_;
};
io::TempDirectory* FlinkReleasesTest::directory_ = nullptr;
std::vector<ReleasedSavepoint>* FlinkReleasesTest::savepoints_ = nullptr;

TEST_F(FlinkReleasesTest, EveryReleaseIsThere) {
  std::set<std::string> names;
  for (const ReleasedSavepoint& savepoint : *savepoints_) names.insert(savepoint.Name());
  for (int number = 108; number <= 201; number = number == 120 ? 200 : number + 1) {
    const std::string release = fmt::format("{}.{}", number / 100, number % 100);
    for (const std::string variant : {"heap", "heap-snappy", "rocksdb", "rocksdb-snappy",
                                      "heap-native", "heap-native-snappy", "rocksdb-native"}) {
      const bool since_115 = variant.find("native") != std::string::npos;
      EXPECT_EQ(names.count(release + "/" + variant), since_115 && number < 115 ? 0u : 1u)
          << release << variant;
    }
  }
}

void CheckState(const InspectedState& state, const ExpectedState& expected,
                const InspectedOperator& op, const std::string& where) {
  EXPECT_EQ(state.kind, expected.kind) << where;
  EXPECT_EQ(state.type, expected.type) << where;
  const bool timers = state.kind == "timers";
  EXPECT_EQ(state.namespace_type, timers ? "" : expected.namespace_type) << where;
  // Only the task executor reads RocksDB.
  if (op.keyed_format == "RocksDB files") {
    EXPECT_FALSE(state.entries.has_value()) << where;
    return;
  }
  const bool opaque = op.keyed_format == "heap" && state.name == "opaque";
  const bool maybe_behind_opaque = op.keyed_format == "heap" && op.key_type == "Long" && !opaque;
  if (maybe_behind_opaque && !state.entries.has_value()) {
    EXPECT_FALSE(state.bytes.has_value()) << where;
    EXPECT_THAT(op.notes, Not(IsEmpty())) << where;
    return;
  }
  EXPECT_EQ(state.entries, expected.entries) << where;
  EXPECT_EQ(state.bytes.has_value(), !opaque) << where;
  if (state.bytes.has_value()) {
    EXPECT_EQ(*state.bytes == 0, expected.entries == 0) << where;
  }
}

TEST_F(FlinkReleasesTest, InspectShowsWhatTheJobHolds) {
  for (const ReleasedSavepoint& savepoint : *savepoints_) {
    const auto inspection = InspectSnapshot(savepoint.path);
    ASSERT_TRUE(inspection.ok()) << savepoint.Name() << ": " << inspection.status();
    EXPECT_FALSE(inspection->damaged) << savepoint.Name();
    const int number = savepoint.Number();
    const int version = number <= 110   ? 2
                        : number <= 115 ? 3
                        : number <= 120 ? 4
                                        : number - 195;  // 2.0 writes 5, 2.1 writes 6.
    EXPECT_EQ(inspection->metadata_version, version) << savepoint.Name();
    EXPECT_EQ(inspection->summary.kind, "savepoint") << savepoint.Name();
    EXPECT_EQ(inspection->files,
              savepoint.variant == "heap" && number > 110 ? (number >= 112 ? 12 : 10) : 0)
        << savepoint.Name();
    std::map<OperatorId, InspectedOperator> by_id;
    for (const InspectedOperator& op : inspection->operators) by_id[op.id] = op;
    const auto expected = ExpectedOperators(number);
    EXPECT_EQ(by_id.size(), expected.size()) << savepoint.Name();
    for (const auto& [uid, wanted] : expected) {
      const std::string where = savepoint.Name() + " " + uid;
      ASSERT_EQ(by_id.count(OperatorIdFromUid(uid)), 1u) << where;
      const InspectedOperator& op = by_id[OperatorIdFromUid(uid)];
      EXPECT_EQ(op.uid, number >= 200 ? uid : "") << where;
      EXPECT_EQ(op.name, number >= 200 ? wanted.name : "") << where;
      EXPECT_EQ(op.parallelism, 2) << where;
      EXPECT_EQ(op.max_parallelism, 128) << where;
      EXPECT_EQ(op.bytes > 0, !wanted.states.empty()) << where;
      EXPECT_EQ(op.coordinator_bytes > 0, uid == "sequence") << where;
      EXPECT_EQ(op.key_type, wanted.key_type) << where;
      EXPECT_EQ(op.keyed_format, wanted.key_type.empty() ? "" : ExpectedFormat(savepoint)) << where;
      if (!wanted.key_type.empty()) {
        ASSERT_EQ(op.key_groups.size(), 2u) << where;
        EXPECT_EQ(op.key_groups[0], (KeyGroupRange{0, 63})) << where;
        EXPECT_EQ(op.key_groups[1], (KeyGroupRange{64, 127})) << where;
      }
      const bool opaque = op.keyed_format == "heap" && uid == "numbers";
      EXPECT_THAT(op.notes, SizeIs(opaque ? 2 : 0)) << where;
      EXPECT_EQ(op.states.size(), wanted.states.size()) << where;
      for (const InspectedState& state : op.states) {
        ASSERT_EQ(wanted.states.count(state.name), 1u) << where << " " << state.name;
        CheckState(state, wanted.states.at(state.name), op, where + " " + state.name);
      }
    }
  }
}

// Nothing in a stream goes unread: what was counted and the marks between it are all its bytes.
TEST_F(FlinkReleasesTest, EveryByteOfAStreamBelongsToSomething) {
  int rows_streams = 0;
  int heap_streams = 0;
  for (const ReleasedSavepoint& savepoint : *savepoints_) {
    const auto loaded = LoadSnapshot(savepoint.path);
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    ForEachKeyedStream(*loaded, [&](const KeyGroupsHandle& handle, const KeyedStateHeader& header,
                                    const std::string& bytes, size_t header_size) {
      const bool rows = HoldsRows(handle, header, StreamRanges(bytes)).value();
      EXPECT_EQ(rows, ExpectedFormat(savepoint) == "canonical") << savepoint.Name();
      size_t read = header_size;
      EXPECT_EQ(header.compressed, savepoint.variant.ends_with("snappy")) << savepoint.Name();
      if (!rows) {
        const auto counts = CountHeapState(handle, header, bytes);
        ASSERT_TRUE(counts.ok()) << savepoint.Name() << ": " << counts.status();
        ++heap_streams;
        // What is compressed has another size.
        if (!counts->reason.empty() || header.compressed) return;
        // Per group its number, per state in it an id and a count.
        read += handle.offsets.size() * (4 + 6 * header.states.size());
        for (const HeapStateCount& count : counts->states) {
          read += static_cast<size_t>(*count.bytes);
        }
      } else {
        ++rows_streams;
        if (header.compressed) return;
        for (const int64_t offset : handle.offsets) {
          int last = -1;
          const Status walked =
              ForEachRow(header, bytes, offset, static_cast<int64_t>(bytes.size()),
                         [&](int state, std::string_view key, std::string_view value) {
                           // Two lengths; in front of the first row of a state its id, behind the
                           // last state the end.
                           read += 8 + key.size() + value.size() + (state == last ? 0 : 2) +
                                   (last == -1 ? 2 : 0);
                           last = state;
                           return OkStatus();
                         });
          EXPECT_TRUE(walked.ok()) << savepoint.Name() << ": " << walked;
        }
      }
      EXPECT_EQ(read, bytes.size()) << savepoint.Name();
    });
    for (const OperatorSnapshot& op : loaded->metadata.operators) {
      for (const auto& [index, state] : op.subtasks) {
        if (!state.managed_operator_state) continue;
        const auto bytes = ReadStream(state.managed_operator_state->stream, loaded->directory);
        ASSERT_TRUE(bytes.ok()) << bytes.status();
        const auto head = ReadOperatorStateHead(*bytes);
        ASSERT_TRUE(head.ok()) << savepoint.Name() << ": " << head.status();
        if (head->compressed) continue;
        const auto states = ReadOperatorStateStream(*bytes, *state.managed_operator_state);
        ASSERT_TRUE(states.ok()) << savepoint.Name() << ": " << states.status();
        size_t read = head->data_offset;
        for (const OperatorState& list : *states) {
          for (const std::string& element : list.elements) read += element.size();
        }
        EXPECT_EQ(read, bytes->size()) << savepoint.Name();
      }
    }
  }
  EXPECT_GT(rows_streams, 200);
  EXPECT_GT(heap_streams, 90);
}

TEST_F(FlinkReleasesTest, AreListed) {
  const auto listing = ListSnapshotsBelow(directory_->path());
  ASSERT_TRUE(listing.ok()) << listing.status();
  EXPECT_THAT(listing->problems, IsEmpty());
  ASSERT_EQ(listing->snapshots.size(), savepoints_->size());
  std::map<std::string, SnapshotSummary> by_path;
  for (const SnapshotSummary& summary : listing->snapshots) by_path[summary.directory] = summary;
  for (const ReleasedSavepoint& savepoint : *savepoints_) {
    ASSERT_EQ(by_path.count(savepoint.path), 1u) << savepoint.Name();
    const SnapshotSummary& summary = by_path[savepoint.path];
    EXPECT_TRUE(summary.IsSavepoint()) << savepoint.Name();
    // Before 1.13 there was one kind.
    const bool native = savepoint.IsNative() && ExpectedFormat(savepoint) != "canonical";
    EXPECT_EQ(summary.format, native                                  ? "native"
                              : savepoint.Number() >= kNewHeapBackend ? "canonical"
                                                                      : "")
        << savepoint.Name();
    EXPECT_EQ(summary.parallelism, 2) << savepoint.Name();
    EXPECT_GT(summary.state_bytes, 10000) << savepoint.Name();
  }
}

/// A job with operators of these uids whose types nobody says.
RestorePlan PlanOf(const ReleasedSavepoint& savepoint, const std::vector<std::string>& uids) {
  graph::JobGraph graph;
  for (const std::string& uid : uids) {
    graph::JobVertex& vertex = graph.vertices.emplace_back();
    vertex.parallelism = 1;
    vertex.max_parallelism = 128;
    graph::OperatorDescription& op = vertex.operators.emplace_back();
    op.id = OperatorIdFromUid(uid);
    op.uid = uid;
    op.name = "The " + uid;
    op.stateful = true;
  }
  const auto loaded = LoadSnapshot(savepoint.path);
  if (!loaded.ok()) throw std::runtime_error(Message(loaded.status()));
  return PlanRestore(*loaded, graph, {"/sp", /*allow_non_restored_state=*/true});
}

TEST_F(FlinkReleasesTest, StateOfTheHeapBackendIsRefusedBeforeAnythingStarts) {
  for (const ReleasedSavepoint& savepoint : *savepoints_) {
    // Nothing of the operators that are dropped is looked at.
    EXPECT_THAT(PlanOf(savepoint, {"source"}).problems, IsEmpty()) << savepoint.Name();
    const RestorePlan plan = PlanOf(savepoint, {"source", "sums"});
    if (ExpectedFormat(savepoint) != "heap") {
      EXPECT_THAT(plan.problems, IsEmpty()) << savepoint.Name();
      continue;
    }
    EXPECT_THAT(
        plan.problems,
        ElementsAre("Failed to rollback to checkpoint/savepoint /sp. Of the operator \"The sums\" "
                    "with the uid \"sums\" nothing can be restored: its keyed state is in the form "
                    "of Apache Flink's heap state backend, which only that backend reads: start "
                    "the job from it in the same or a later release of Apache Flink, 1.13 at "
                    "least, with the heap state backend, take a savepoint in canonical format "
                    "there, and start from that."))
        << savepoint.Name();
    EXPECT_EQ(plan.operators.at(0).verdict, RestoreVerdict::kMatched);
    EXPECT_EQ(plan.operators.at(1).verdict, RestoreVerdict::kIncompatible);
  }
}

TEST_F(FlinkReleasesTest, TimersThatWereKeptBesideRocksDbAreNotLostSilently) {
  for (const std::string release : {"1.8", "1.9"}) {
    const RestorePlan plan = PlanOf(Find(release + "/rocksdb"), {"sums", "states", "numbers"});
    EXPECT_THAT(plan.problems, ElementsAre(AllOf(HasSubstr("\"The states\""),
                                                 HasSubstr("has timers on the heap"))));
  }
  EXPECT_THAT(PlanOf(Find("1.10/rocksdb"), {"states", "window", "numbers"}).problems, IsEmpty());
}

// Damage is an error or another number, and never more work than the stream has bytes.
TEST_F(FlinkReleasesTest, DamagedHeapStateIsCountedOrRefused) {
  const auto loaded = LoadSnapshot(Find("1.8/heap").path);
  ASSERT_TRUE(loaded.ok());
  int refused = 0;
  ForEachKeyedStream(*loaded, [&](const KeyGroupsHandle& handle, const KeyedStateHeader& header,
                                  const std::string& bytes, size_t header_size) {
    const std::string_view whole = bytes;
    const auto undamaged = CountHeapState(handle, header, bytes);
    ASSERT_TRUE(undamaged.ok()) << undamaged.status();
    // Values that only their class can read may end anywhere.
    if (!undamaged->reason.empty()) return;
    for (size_t size = header_size; size < whole.size(); size += 17) {
      const auto cut = CountHeapState(handle, header, whole.substr(0, size));
      ASSERT_FALSE(cut.ok()) << size;
      EXPECT_EQ(cut.status().code(), absl::StatusCode::kDataLoss);
      EXPECT_THAT(Message(cut.status()), HasSubstr("key group "));
    }
    for (size_t at = header_size; at < whole.size(); at += 7) {
      for (const char mask : {'\x01', '\x40', '\x80', '\xff'}) {
        std::string damaged = bytes;
        damaged[at] = static_cast<char>(damaged[at] ^ mask);
        const auto counts = CountHeapState(handle, header, damaged);
        if (!counts.ok()) {
          ++refused;
          continue;
        }
        for (const HeapStateCount& count : counts->states) {
          if (!count.entries) continue;
          ASSERT_GE(*count.entries, 0);
          ASSERT_LE(*count.entries, static_cast<int64_t>(bytes.size()));
        }
      }
    }
  });
  EXPECT_GT(refused, 500);
}

}  // namespace
}  // namespace flink::snapshot
