#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <set>
#include <string>
#include <vector>

#include "flink/connector/file_sink.h"
#include "tests/testing/operator_harness.h"

namespace flink {
namespace {

using testing::OperatorSnapshot;
using Harness = testing::OperatorHarness<std::string, std::string>;
using Names = std::set<std::string>;
namespace fs = std::filesystem;

constexpr char kFinal0[] = "part-00112233-e5a7-1-0-0";

class TextFileSinkTest : public ::testing::Test {
 protected:
  TextFileSinkTest() {
    std::string name = (fs::temp_directory_path() / "text-file-sink-XXXXXX").string();
    root_ = ::mkdtemp(name.data());
    directory_ = root_ / "out";
  }
  ~TextFileSinkTest() override { fs::remove_all(root_); }

  std::unique_ptr<Harness> Make(int attempt = 1, const OperatorSnapshot* restored = nullptr,
                                int subtask = 0) {
    auto h = std::make_unique<Harness>(TextFileSink(directory_).MakeOperator());
    h->context.attempt_number = attempt;
    h->context.subtask = subtask;
    if (restored != nullptr) h->context.Restore(*restored);
    h->Open();
    return h;
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

  fs::path root_;
  fs::path directory_;
};

TEST_F(TextFileSinkTest, LinesAppearWhenTheirCheckpointIsComplete) {
  auto h = Make();
  h->Process({"a", "b"});
  EXPECT_EQ(Committed(), Names{});
  EXPECT_EQ(h->Snapshot(1).lists.at("pending-files").size(), 1u);
  h->Process({"c"});
  EXPECT_EQ(Committed(), Names{});
  h->op().NotifyCheckpointComplete(1);
  EXPECT_EQ(Committed(), Names{kFinal0});
  EXPECT_EQ(Content(kFinal0), "a\nb\n");
  h->Snapshot(2);
  h->op().NotifyCheckpointComplete(2);
  EXPECT_EQ(Content("part-00112233-e5a7-1-0-1"), "c\n");
  h->Snapshot(3);
  h->op().NotifyCheckpointComplete(3);
  EXPECT_EQ(All().size(), 2u);
}

TEST_F(TextFileSinkTest, ALaterCheckpointCommitsWhatEarlierOnesAndSavepointsLeft) {
  auto h = Make();
  h->Process({"a"});
  h->Snapshot(1);  // Aborted.
  h->op().NotifyCheckpointAborted(1);
  h->Process({"b"});
  EXPECT_EQ(h->Snapshot(2, SnapshotKind::kSavepoint).lists.at("pending-files").size(), 2u);
  h->Process({"c"});
  EXPECT_EQ(h->Snapshot(3).lists.at("pending-files").size(), 3u);
  h->Process({"d"});
  h->Snapshot(4);
  EXPECT_EQ(Committed(), Names{});
  h->op().NotifyCheckpointComplete(3);
  EXPECT_EQ(Committed().size(), 3u);
}

TEST_F(TextFileSinkTest, ARestoreCommitsThePendingFilesAndDropsWhatCameLater) {
  auto first = Make();
  first->Process({"a"});
  const OperatorSnapshot snapshot = first->Snapshot(1);
  first->Process({"lost"});
  auto second = Make(2, &snapshot);
  EXPECT_EQ(All(), Names{kFinal0});
  second->Process({"b"});
  second->Snapshot(2);
  second->op().NotifyCheckpointComplete(2);
  EXPECT_EQ(Content("part-00112233-e5a7-2-0-0"), "b\n");
  // The same snapshot once more, as by another subtask or job.
  auto third = Make(3, &snapshot, 1);
  EXPECT_EQ(Committed().size(), 2u);
  EXPECT_EQ(Content(kFinal0), "a\n");
}

TEST_F(TextFileSinkTest, ARestoreCommitsIntoTheDirectoryOfTheSnapshot) {
  auto first = Make();
  first->Process({"a"});
  const OperatorSnapshot snapshot = first->Snapshot(1);
  const fs::path old = directory_;
  directory_ = root_ / "other";
  auto second = Make(2, &snapshot);
  EXPECT_TRUE(fs::exists(old / kFinal0));
  EXPECT_EQ(All(), Names{});
}

TEST_F(TextFileSinkTest, AMissingPendingFileIsAnErrorThatNamesIt) {
  auto first = Make();
  first->Process({"a"});
  const OperatorSnapshot snapshot = first->Snapshot(1);
  for (const auto& e : fs::directory_iterator(directory_)) fs::remove(e.path());
  try {
    Make(2, &snapshot);
    FAIL();
  } catch (const std::runtime_error& e) {
    EXPECT_NE(std::string(e.what()).find(kFinal0), std::string::npos) << e.what();
  }
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
  h->op().NotifyCheckpointComplete(1);
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
  EXPECT_THROW(h->op().NotifyCheckpointComplete(1), std::runtime_error);
  EXPECT_EQ(Content(kFinal0), "keep");
}

TEST_F(TextFileSinkTest, ACancelledJobLeavesOnlyPendingFiles) {
  auto h = Make();
  h->Process({"a"});
  h->Snapshot(1);
  h->Process({"b"});
  EXPECT_EQ(All().size(), 2u);
  h->op().Close();
  EXPECT_EQ(All(), Names{".part-00112233445566778899aabbccddeeff-e5a7-1-0-0.pending"});
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
  h->op().NotifyCheckpointComplete(1);
  EXPECT_TRUE(Content(kFinal0) == expected);
}

}  // namespace
}  // namespace flink
