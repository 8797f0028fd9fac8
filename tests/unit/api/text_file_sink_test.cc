#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include "connectors/file/file_sink_state.h"
#include "flink/connector/file_sink.h"
#include "flink/type_serializer.h"
#include "tests/testing/operator_harness.h"

namespace flink {
namespace {

using file::DecodeBucketState;
using file::DecodeCommitterState;
using testing::OperatorSnapshot;
using Names = std::set<std::string>;
namespace fs = std::filesystem;

constexpr char kFinal0[] = "part-00112233-e5a7-1-0-0";
constexpr char kPending0[] = ".part-00112233445566778899aabbccddeeff-e5a7-1-0-0.pending";

/// What a snapshot of the sink holds.
struct SinkSnapshot {
  OperatorSnapshot writer;
  OperatorSnapshot committer;

  std::vector<file::CheckpointCommittables> Checkpoints() const {
    return DecodeCommitterState(committer.lists.at(file::kCommitterState).at(0)).value();
  }
  /// Names of the files that wait, of all checkpoints.
  std::vector<std::string> Waiting() const {
    std::vector<std::string> names;
    for (const auto& checkpoint : Checkpoints()) {
      for (const file::CommitRequest& request : checkpoint.by_subtask.at(0).requests) {
        names.push_back(fs::path(request.committable.pending->file.target).filename());
      }
    }
    return names;
  }
};

/// Writer and committer as a task runs them.
class Sink {
 public:
  explicit Sink(const TextFileSink& sink)
      : writer_(sink.MakeOperator()), committer_(sink.MakeCommitter()) {
    writer_->output()->AddTarget(committer_->input(0));
  }
  testing::TestOperatorContext writer_context;
  testing::TestOperatorContext committer_context;

  void Open() {
    committer_->Open(committer_context);
    writer_->Open(writer_context);
  }
  void Process(std::vector<std::string> lines) {
    Batch<std::string> batch;
    batch.records = std::move(lines);
    writer_->input(0)->ProcessBatch(batch);
  }
  void EndOfInput() { writer_->input(0)->EndOfInput(); }
  SinkSnapshot Snapshot(int64_t checkpoint_id, SnapshotKind kind = SnapshotKind::kCheckpoint) {
    writer_->PrepareSnapshot(checkpoint_id);
    writer_->output()->Flush();
    committer_->PrepareSnapshot(checkpoint_id);
    return {StateOf(*writer_, checkpoint_id, kind), StateOf(*committer_, checkpoint_id, kind)};
  }
  void Complete(int64_t checkpoint_id) {
    writer_->NotifyCheckpointComplete(checkpoint_id);
    committer_->NotifyCheckpointComplete(checkpoint_id);
  }
  void Abort(int64_t checkpoint_id) {
    writer_->NotifyCheckpointAborted(checkpoint_id);
    committer_->NotifyCheckpointAborted(checkpoint_id);
  }
  void Close() {
    writer_->Close();
    committer_->Close();
  }

 private:
  static OperatorSnapshot StateOf(Operator& op, int64_t checkpoint_id, SnapshotKind kind) {
    SnapshotContext context;
    context.checkpoint_id = checkpoint_id;
    context.kind = kind;
    op.SnapshotState(context);
    OperatorSnapshot result;
    for (const OperatorListState& s : context.list_states) {
      EXPECT_FALSE(s.is_union);
      EXPECT_EQ(s.element_serializer_snapshot, TypeSerializer<Bytes>::Snapshot());
      result.lists[s.name] = s.elements;
    }
    return result;
  }

  std::unique_ptr<Operator> writer_;
  std::unique_ptr<Operator> committer_;
};

class TextFileSinkTest : public ::testing::Test {
 protected:
  TextFileSinkTest() {
    std::string name = (fs::temp_directory_path() / "text-file-sink-XXXXXX").string();
    root_ = ::mkdtemp(name.data());
    directory_ = root_ / "out";
  }
  ~TextFileSinkTest() override { fs::remove_all(root_); }

  std::unique_ptr<Sink> Make(int attempt = 1, const SinkSnapshot* restored = nullptr,
                             int subtask = 0) {
    auto sink = std::make_unique<Sink>(TextFileSink(directory_));
    for (auto* context : {&sink->writer_context, &sink->committer_context}) {
      context->attempt_number = attempt;
      context->subtask = subtask;
      context->subtasks = subtask + 1;
    }
    sink->committer_context.id = "00000000000000000000000000000000";
    if (restored != nullptr) {
      sink->writer_context.Restore(restored->writer);
      sink->committer_context.Restore(restored->committer);
    }
    sink->Open();
    return sink;
  }
  /// The text of the exception that a restore from `snapshot` throws.
  std::string ErrorOfRestore(const SinkSnapshot& snapshot) {
    try {
      Make(2, &snapshot);
    } catch (const std::runtime_error& e) {
      return e.what();
    }
    return "";
  }
  Names All() const {
    Names names;
    for (const auto& e : fs::directory_iterator(directory_)) names.insert(e.path().filename());
    return names;
  }
  Names Committed() const {
    Names names;
    for (const std::string& n : All()) {
      if (n[0] != '.') names.insert(n);
    }
    return names;
  }
  std::string Content(const std::string& name) const {
    std::ifstream in(directory_ / name, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void Put(const std::string& name, const std::string& content) const {
    fs::create_directories(directory_);
    std::ofstream(directory_ / name, std::ios::binary) << content;
  }
  /// State of Flink: `name` of `length` bytes, under `hidden` as long as it is not published.
  file::PartFile PartFile(const std::string& name, const std::string& hidden,
                          int64_t length) const {
    return {file::FileUri((directory_ / name).string()),
            {(directory_ / name).string(), (directory_ / hidden).string(), length}};
  }
  static SinkSnapshot WithRequest(file::CommitRequest request) {
    SinkSnapshot snapshot;
    snapshot.committer.lists[file::kCommitterState] = {
        file::EncodeCommitterState({{1, 1, {{0, {std::move(request)}, 1, 0, 0}}}})};
    return snapshot;
  }
  static SinkSnapshot WithPending(file::PartFile part) {
    file::CommitRequest request;
    request.committable.pending = std::move(part);
    return WithRequest(std::move(request));
  }
  SinkSnapshot WithInProgress(file::PartFile part) const {
    SinkSnapshot snapshot;
    snapshot.writer.lists[file::kWriterState] = {
        file::EncodeBucketState({"day", "file:" + directory_.string(), 5, std::move(part)})};
    return snapshot;
  }

  fs::path root_;
  fs::path directory_;
};

TEST_F(TextFileSinkTest, LinesAppearWhenTheirCheckpointIsComplete) {
  auto h = Make();
  h->Process({"a", "b"});
  EXPECT_EQ(Committed(), Names{});
  EXPECT_EQ(h->Snapshot(1).Waiting(), std::vector<std::string>{kFinal0});
  h->Process({"c"});
  EXPECT_EQ(Committed(), Names{});
  h->Complete(1);
  EXPECT_EQ(Committed(), Names{kFinal0});
  EXPECT_EQ(Content(kFinal0), "a\nb\n");
  h->Snapshot(2);
  h->Complete(2);
  EXPECT_EQ(Content("part-00112233-e5a7-1-0-1"), "c\n");
  h->Snapshot(3);
  h->Complete(3);
  EXPECT_EQ(All().size(), 2u);
}

TEST_F(TextFileSinkTest, ALaterCheckpointCommitsWhatEarlierOnesAndSavepointsLeft) {
  auto h = Make();
  h->Process({"a"});
  h->Snapshot(1);  // Aborted.
  h->Abort(1);
  h->Process({"b"});
  EXPECT_EQ(h->Snapshot(2, SnapshotKind::kSavepoint).Waiting().size(), 2u);
  h->Process({"c"});
  EXPECT_EQ(h->Snapshot(3).Waiting().size(), 3u);
  h->Process({"d"});
  h->Snapshot(4);
  EXPECT_EQ(Committed(), Names{});
  h->Complete(3);
  EXPECT_EQ(Committed().size(), 3u);
}

TEST_F(TextFileSinkTest, ARestoreCommitsThePendingFilesAndDropsWhatCameLater) {
  auto first = Make();
  first->Process({"a"});
  const SinkSnapshot snapshot = first->Snapshot(1);
  first->Process({"lost"});
  auto second = Make(2, &snapshot);
  EXPECT_EQ(All(), Names{kFinal0});
  second->Process({"b"});
  second->Snapshot(2);
  second->Complete(2);
  EXPECT_EQ(Content("part-00112233-e5a7-2-0-0"), "b\n");
  // The same snapshot once more, as by another subtask or job.
  auto third = Make(3, &snapshot, 1);
  EXPECT_EQ(Committed().size(), 2u);
  EXPECT_EQ(Content(kFinal0), "a\n");
}

TEST_F(TextFileSinkTest, ARestoreCommitsIntoTheDirectoryOfTheSnapshot) {
  auto first = Make();
  first->Process({"a"});
  const SinkSnapshot snapshot = first->Snapshot(1);
  const fs::path old = directory_;
  directory_ = root_ / "other";
  auto second = Make(2, &snapshot);
  EXPECT_TRUE(fs::exists(old / kFinal0));
  EXPECT_EQ(All(), Names{});
}

TEST_F(TextFileSinkTest, AMissingPendingFileIsAnErrorThatNamesIt) {
  auto first = Make();
  first->Process({"a"});
  const SinkSnapshot snapshot = first->Snapshot(1);
  for (const auto& e : fs::directory_iterator(directory_)) fs::remove(e.path());
  EXPECT_NE(ErrorOfRestore(snapshot).find(kFinal0), std::string::npos) << ErrorOfRestore(snapshot);
}

TEST_F(TextFileSinkTest, ForeignFilesAreNeverTouched) {
  fs::create_directories(directory_);
  const std::string job = "00112233445566778899aabbccddeeff";
  const Names foreign = {
      "part-00112233-e5a7-1-0-0",  // The name our first file would get.
      ".part-ffffffffffffffffffffffffffffffff-e5a7-0-0-0.inprogress",  // Another job.
      ".part-" + job + "-e5a7-0-0-5.pending",                          // May belong to a savepoint.
      ".part-" + job + "-aaaa-0-0-0.inprogress",                       // Another sink of the job.
      ".part-" + job + "-e5a7-1-3-0.inprogress",  // Another subtask of this attempt.
      "part-x",
      "notes.txt",
      ".hidden"};
  for (const std::string& n : foreign) std::ofstream(directory_ / n) << "keep";
  std::ofstream(directory_ / (".part-" + job + "-e5a7-0-7-0.inprogress")) << "an earlier attempt's";
  auto h = Make(1);
  EXPECT_EQ(All(), foreign);
  h->Process({"a"});
  h->Snapshot(1);
  h->Complete(1);
  Names expected = foreign;
  expected.insert("part-00112233-e5a7-1-0-1");
  EXPECT_EQ(All(), expected);
  for (const std::string& n : foreign) EXPECT_EQ(Content(n), "keep") << n;
}

TEST_F(TextFileSinkTest, AFileThatCameInBetweenIsNotOverwritten) {
  auto h = Make();
  h->Process({"a"});
  h->Snapshot(1);
  std::ofstream(directory_ / kFinal0) << "keep";
  EXPECT_THROW(h->Complete(1), std::runtime_error);
  EXPECT_EQ(Content(kFinal0), "keep");
}

TEST_F(TextFileSinkTest, ACancelledJobLeavesOnlyPendingFiles) {
  auto h = Make();
  h->Process({"a"});
  h->Snapshot(1);
  h->Process({"b"});
  EXPECT_EQ(All().size(), 2u);
  h->Close();
  EXPECT_EQ(All(), Names{kPending0});
}

TEST_F(TextFileSinkTest, ADirectoryThatCannotBeMadeIsNamed) {
  std::ofstream(root_ / "file") << "x";
  directory_ = root_ / "file" / "out";
  try {
    Make();
    FAIL();
  } catch (const std::runtime_error& e) {
    EXPECT_NE(std::string(e.what()).find("output directory " + directory_.string()),
              std::string::npos)
        << e.what();
  }
}

TEST_F(TextFileSinkTest, MuchIsWrittenUnchanged) {
  auto h = Make();
  std::string expected;
  for (int i = 0; i < 300; ++i) {
    std::vector<std::string> lines;
    for (int k = 0; k < 1000; ++k) {
      lines.push_back("line " + std::to_string(i * 1000 + k));
      expected += lines.back() + "\n";
    }
    h->Process(lines);
  }
  h->Snapshot(1);
  h->Complete(1);
  EXPECT_TRUE(Content(kFinal0) == expected);
}

TEST_F(TextFileSinkTest, SnapshotsHoldWhatFlinkHasOfASinkThatRollsWithCheckpoints) {
  auto h = Make();
  SinkSnapshot snapshot = h->Snapshot(3);
  EXPECT_EQ(snapshot.Checkpoints(),
            (std::vector<file::CheckpointCommittables>{{3, 1, {{0, {}, 0, 0, 0}}}}));
  EXPECT_TRUE(snapshot.writer.lists.at(file::kWriterState).empty());
  h->Process({"a", "bc"});
  snapshot = h->Snapshot(5, SnapshotKind::kSavepoint);
  file::CommitRequest request;
  request.committable.pending = PartFile(kFinal0, kPending0, 5);
  EXPECT_EQ(snapshot.Checkpoints(),
            (std::vector<file::CheckpointCommittables>{{5, 1, {{0, {request}, 1, 0, 0}}}}));
  ASSERT_EQ(snapshot.writer.lists.at(file::kWriterState).size(), 1u);
  EXPECT_EQ(DecodeBucketState(snapshot.writer.lists.at(file::kWriterState)[0]).value(),
            (file::BucketState{"", "file:" + directory_.string(), INT64_MAX, std::nullopt}));
  h->Complete(5);
  snapshot = h->Snapshot(6);
  EXPECT_EQ(snapshot.Checkpoints(),
            (std::vector<file::CheckpointCommittables>{{6, 1, {{0, {}, 0, 0, 0}}}}));
  EXPECT_TRUE(snapshot.writer.lists.at(file::kWriterState).empty());
}

TEST_F(TextFileSinkTest, SnapshotsThatNobodyIsToldOfDoNotAddUp) {
  auto h = Make();
  for (int64_t id = 1; id < 20; ++id) h->Snapshot(id, SnapshotKind::kSavepoint);
  EXPECT_EQ(h->Snapshot(20).Checkpoints().size(), 1u);
}

TEST_F(TextFileSinkTest, TheEndOfInputBelongsToTheNextCheckpoint) {
  auto h = Make();
  h->Process({"a"});
  h->Snapshot(4);
  h->Process({"b"});
  h->EndOfInput();
  h->Complete(4);
  EXPECT_EQ(Committed(), Names{kFinal0});
  const SinkSnapshot snapshot = h->Snapshot(7);
  ASSERT_EQ(snapshot.Checkpoints().size(), 1u);
  EXPECT_EQ(snapshot.Checkpoints()[0].checkpoint_id, 5);
  EXPECT_EQ(snapshot.Waiting().size(), 1u);
  h->Complete(7);
  EXPECT_EQ(Content("part-00112233-e5a7-1-0-1"), "b\n");
}

TEST_F(TextFileSinkTest, ARestoreReadsTheStateOfTheTimeBeforeCommitters) {
  Put(".x.pending", "old\n");
  BufferWriter out;
  for (const std::string& text :
       {directory_.string(), std::string(".x.pending"), std::string("x")}) {
    TypeSerializer<std::string>::Write(out, text);
  }
  SinkSnapshot snapshot;
  snapshot.writer.lists["pending-files"] = {out.TakeString()};
  Make(2, &snapshot);
  EXPECT_EQ(All(), Names{"x"});
  Make(3, &snapshot);
  EXPECT_EQ(Content("x"), "old\n");
}

TEST_F(TextFileSinkTest, APendingFileOfFlinkIsCutToItsLengthAndPublishedOnce) {
  Put(".p.inprogress.uuid", "a\nb\nlater");
  const SinkSnapshot snapshot = WithPending(PartFile("p", ".p.inprogress.uuid", 4));
  Make(2, &snapshot);
  EXPECT_EQ(All(), Names{"p"});
  EXPECT_EQ(Content("p"), "a\nb\n");
  Make(3, &snapshot);
  EXPECT_EQ(All(), Names{"p"});
}

TEST_F(TextFileSinkTest, APendingFileOfFlinkThatIsTooShortIsAnError) {
  Put(".p.inprogress.uuid", "a\n");
  const std::string error = ErrorOfRestore(WithPending(PartFile("p", ".p.inprogress.uuid", 4)));
  EXPECT_NE(error.find("of the 4 bytes of " + (directory_ / ".p.inprogress.uuid").string() +
                       " that the snapshot names only 2 are there"),
            std::string::npos)
      << error;
  EXPECT_EQ(All(), Names{".p.inprogress.uuid"});
}

TEST_F(TextFileSinkTest, CommittablesWithoutAFileToPublishAreDone) {
  Put(".p", "x");
  Put(".q", "x");
  file::CommitRequest request;
  request.committable.cleanup = PartFile("p", ".p", 1);
  const SinkSnapshot cleanup = WithRequest(request);
  Make(2, &cleanup);
  request = {};
  request.committable.pending = PartFile("q", ".q", 1);
  for (const auto state : {file::RequestState::kCommitted, file::RequestState::kFailed}) {
    request.state = state;
    const SinkSnapshot done = WithRequest(request);
    Make(2, &done);
  }
  EXPECT_EQ(All(), (Names{".p", ".q"}));
}

TEST_F(TextFileSinkTest, WhatTheSinkCannotTakeOverIsNamedBeforeAnythingIsPublished) {
  Put(".p", "x");
  file::CommitRequest request;
  request.committable.pending = PartFile("p", ".p", 1);
  request.committable.compacted = "file:/old";
  SinkSnapshot snapshot = WithRequest(request);
  EXPECT_NE(ErrorOfRestore(snapshot).find("with compaction"), std::string::npos);
  snapshot = WithPending(PartFile("p", ".p", 1));
  snapshot.committer.lists[file::kCommitterState].push_back("damaged");
  EXPECT_NE(ErrorOfRestore(snapshot).find("cannot be restored"), std::string::npos);
  EXPECT_EQ(All(), Names{".p"});
  // The one operator of Flink 1.14 had this state, and that of its StreamingFileSink the other.
  for (const std::string name : {file::kCommitterState, "bucket-states"}) {
    snapshot = {};
    snapshot.writer.lists[name] = {"x"};
    EXPECT_NE(ErrorOfRestore(snapshot).find("has the state \"" + name + "\""), std::string::npos);
    snapshot.writer.lists[name].clear();
    EXPECT_EQ(ErrorOfRestore(snapshot), "");
  }
  snapshot = {};
  snapshot.writer.lists[file::kWriterState] = {"damaged"};
  EXPECT_NE(ErrorOfRestore(snapshot).find("cannot be restored"), std::string::npos);
}

TEST_F(TextFileSinkTest,
       AFileInProgressIsPublishedWithTheFirstCheckpointAndStaysForTheNextRestore) {
  Put(".p.inprogress.uuid", "a\nb\nlater");
  const SinkSnapshot snapshot = WithInProgress(PartFile("p", ".p.inprogress.uuid", 4));
  auto h = Make(2, &snapshot);
  h->Process({"c"});
  EXPECT_EQ(Committed(), Names{});
  const SinkSnapshot savepoint = h->Snapshot(2, SnapshotKind::kSavepoint);
  EXPECT_EQ(savepoint.Waiting(), (std::vector<std::string>{"p", "part-00112233-e5a7-2-0-1"}));
  EXPECT_EQ(savepoint.Checkpoints()[0].by_subtask[0].requests[0].committable.bucket_id, "day");
  EXPECT_EQ(savepoint.Checkpoints()[0].by_subtask[0].requests[0].committable.pending->file.length,
            4);
  EXPECT_EQ(Committed(), Names{});
  h->Snapshot(3);
  h->Complete(3);
  EXPECT_EQ(Content("p"), "a\nb\n");
  EXPECT_EQ(Content("part-00112233-e5a7-2-0-1"), "c\n");
  EXPECT_EQ(Content(".p.inprogress.uuid"), "a\nb\nlater");
  // The same snapshot again: what is there is what belongs to it.
  auto again = Make(3, &snapshot);
  EXPECT_EQ(again->Snapshot(4).Waiting(), std::vector<std::string>{});
  EXPECT_EQ(All().size(), 3u);
}

TEST_F(TextFileSinkTest, ARestartBeforeTheFirstCheckpointCopiesTheFileInProgressAnew) {
  Put(".p.inprogress.uuid", "a\nb\n");
  const SinkSnapshot snapshot = WithInProgress(PartFile("p", ".p.inprogress.uuid", 4));
  directory_ = root_ / "other";  // The job writes there by now.
  auto killed = Make(2, &snapshot);
  const fs::path old = root_ / "out";
  EXPECT_TRUE(fs::exists(old / ".part-00112233445566778899aabbccddeeff-e5a7-2-0-0.inprogress"));
  auto h = Make(3, &snapshot);
  EXPECT_FALSE(fs::exists(old / ".part-00112233445566778899aabbccddeeff-e5a7-2-0-0.inprogress"));
  h->Snapshot(2);  // Aborted.
  h->Abort(2);
  h->Snapshot(3);
  h->Complete(3);
  directory_ = old;
  EXPECT_EQ(All(), (Names{"p", ".p.inprogress.uuid"}));
  EXPECT_EQ(Content("p"), "a\nb\n");
}

TEST_F(TextFileSinkTest, TwoJobsMayPublishTheSameFileInProgress) {
  Put(".p.inprogress.uuid", "a\nb\nlater");
  const SinkSnapshot snapshot = WithInProgress(PartFile("p", ".p.inprogress.uuid", 4));
  auto one = Make(2, &snapshot);
  auto other = Make(3, &snapshot, 1);
  one->Snapshot(2);
  const SinkSnapshot of_other = other->Snapshot(2);
  one->Complete(2);
  other->Complete(2);
  Make(4, &of_other);
  EXPECT_EQ(All(), (Names{"p", ".p.inprogress.uuid"}));
  EXPECT_EQ(Content("p"), "a\nb\n");
}

TEST_F(TextFileSinkTest, ACancelledJobRemovesItsCopyOfAFileInProgress) {
  Put(".p.inprogress.uuid", "a\n");
  const SinkSnapshot snapshot = WithInProgress(PartFile("p", ".p.inprogress.uuid", 2));
  auto h = Make(2, &snapshot);
  EXPECT_EQ(All().size(), 2u);
  h->Close();
  EXPECT_EQ(All(), Names{".p.inprogress.uuid"});
}

TEST_F(TextFileSinkTest, AFileInProgressThatIsNotWhatTheSnapshotNamesIsAnError) {
  const auto error = [&](int64_t length) {
    return ErrorOfRestore(WithInProgress(PartFile("p", ".p.inprogress.uuid", length)));
  };
  const std::string path = (directory_ / ".p.inprogress.uuid").string();
  fs::create_directories(directory_);
  EXPECT_NE(error(2).find(path + ": No such file"), std::string::npos) << error(2);
  Put(".p.inprogress.uuid", "a\n");
  EXPECT_NE(error(4).find("of the 4 bytes of " + path), std::string::npos) << error(4);
  Put("p", "b\n");
  EXPECT_NE(error(2).find("exists already and is not overwritten"), std::string::npos) << error(2);
  EXPECT_EQ(Content("p"), "b\n");
  // Flink itself went on from the savepoint and published just what belongs to it, or more.
  fs::rename(directory_ / ".p.inprogress.uuid", directory_ / "p");
  EXPECT_EQ(error(2), "");
  EXPECT_NE(error(1).find("p has been finished since the snapshot was taken"), std::string::npos)
      << error(1);
  EXPECT_EQ(All(), Names{"p"});
}

}  // namespace
}  // namespace flink
