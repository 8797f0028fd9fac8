#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "flink/connector/file_source.h"
#include "tests/testing/source_harness.h"

namespace flink {
namespace {

using testing::SourceHarness;
using testing::SourceSnapshot;
using Strings = std::vector<std::string>;

class TextFileSourceTest : public ::testing::Test {
 protected:
  TextFileSourceTest() {
    std::string name =
        (std::filesystem::temp_directory_path() / "text-file-source-XXXXXX").string();
    directory_ = ::mkdtemp(name.data());
  }
  ~TextFileSourceTest() override { std::filesystem::remove_all(directory_); }

  void Write(const std::string& name, const std::string& content) {
    const std::filesystem::path path = directory_ / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path, std::ios::binary) << content;
  }
  Strings ReadAll(const TextFileSource& source, int subtasks = 1) {
    SourceHarness<TextFileSource> h(source, subtasks);
    h.Start();
    h.RunToEnd();
    return h.SortedRecords();
  }
  std::string ErrorOf(const TextFileSource& source) {
    try {
      ReadAll(source);
    } catch (const std::exception& e) {
      return e.what();
    }
    return "";
  }

  std::filesystem::path directory_;
};

TEST_F(TextFileSourceTest, ABatchOfLongLinesIsBoundedInBytes) {
  std::string content;
  for (int i = 0; i < 1000; ++i) content += std::string(9'999, 'x') + "\n";
  Write("long", content);
  SourceHarness<TextFileSource> h(TextFileSource(directory_ / "long"), 1);
  h.Start();
  for (int i = 0; i < 3 && h.SortedRecords().empty(); ++i) h.Step(0);
  EXPECT_GT(h.SortedRecords().size(), 50u);
  EXPECT_LT(h.SortedRecords().size(), 200u);
  h.RunToEnd();
  EXPECT_EQ(h.SortedRecords().size(), 1000u);
}

TEST_F(TextFileSourceTest, LineEndsAreNoPartOfTheRecord) {
  Write("a", "one\ntwo\r\n\nthree\r\r\nlast");
  EXPECT_EQ(ReadAll(TextFileSource(directory_ / "a")),
            (Strings{"", "last", "one", "three\r", "two"}));
  Write("b", "x\n");
  EXPECT_EQ(ReadAll(TextFileSource("file://" + (directory_ / "b").string())), (Strings{"x"}));
  Write("c", "");
  EXPECT_EQ(ReadAll(TextFileSource(directory_ / "c")), Strings{});
}

TEST_F(TextFileSourceTest, DirectoriesAreReadRecursivelyWithoutHiddenFiles) {
  Write("b.txt", "b\n");
  Write("sub/deep/a.txt", "a\n");
  Write(".hidden", "no\n");
  Write("_SUCCESS", "no\n");
  Write("_tmp/x", "no\n");
  Write("sub/.x/y", "no\n");
  EXPECT_EQ(ReadAll(TextFileSource(directory_.string() + "/")), (Strings{"a", "b"}));
  const auto splits = TextFileSource(directory_).MakeSplits(1);
  ASSERT_EQ(splits.size(), 2u);
  EXPECT_EQ(splits[0].path, (directory_ / "b.txt").string());
}

TEST_F(TextFileSourceTest, ALineBelongsToTheRangeItBeginsIn) {
  std::mt19937 random(3);
  for (int round = 0; round < 60; ++round) {
    std::string content;
    Strings lines;
    const size_t n = random() % 30;
    for (size_t i = 0; i < n; ++i) {
      lines.push_back(std::string(random() % 12, static_cast<char>('a' + i % 26)));
      content += lines.back() + (random() % 3 == 0 ? "\r\n" : "\n");
    }
    if (random() % 2 == 0) {
      lines.push_back("end");
      content += "end";
    }
    Write("f", content);
    std::sort(lines.begin(), lines.end());
    for (const int64_t split_bytes : {1, 2, 3, 7, 50, 1000}) {
      ASSERT_EQ(ReadAll(TextFileSource(directory_ / "f").WithSplitBytes(split_bytes), 2), lines)
          << "split " << split_bytes << " of:\n"
          << content;
    }
  }
}

TEST_F(TextFileSourceTest, LinesLongerThanTheBufferAreRead) {
  Write("f", "short\n" + std::string(3'000'000, 'x') + "\nshort");
  const Strings all = ReadAll(TextFileSource(directory_ / "f").WithSplitBytes(100'000), 2);
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[2].size(), 3'000'000u);
}

TEST_F(TextFileSourceTest, ARestoreAtAnyOffsetGivesEveryLineOnce) {
  std::string content;
  for (int i = 0; i < 20'000; ++i) content += "line " + std::to_string(i) + "\n";
  Write("a", content);
  Write("b", content);
  Strings expected = ReadAll(TextFileSource(directory_));
  ASSERT_EQ(expected.size(), 40'000u);
  std::mt19937 random(5);
  for (int round = 0; round < 15; ++round) {
    const TextFileSource source =
        TextFileSource(directory_).WithSplitBytes(30'000 + random() % 100'000);
    SourceHarness<TextFileSource> first(source, 1 + static_cast<int>(random() % 3));
    first.Start();
    first.RunSteps(random() % 45, random);
    const SourceSnapshot snapshot = first.Snapshot();
    Strings all = first.SortedRecords();
    SourceHarness<TextFileSource> second(source, 1 + static_cast<int>(random() % 3));
    second.Restore(snapshot);
    second.RunToEnd();
    const Strings rest = second.SortedRecords();
    all.insert(all.end(), rest.begin(), rest.end());
    std::sort(all.begin(), all.end());
    ASSERT_EQ(all, expected) << "round " << round;
  }
}

TEST_F(TextFileSourceTest, SmallInputsGiveSeveralSplitsPerSubtask) {
  Write("f", std::string(1'000'000, '\n'));
  EXPECT_EQ(TextFileSource(directory_).MakeSplits(2).size(), 8u);
  EXPECT_EQ(TextFileSource(directory_).MakeSplits(100).size(), 16u);
}

TEST_F(TextFileSourceTest, RestoredSplitsAreReadInTheOrderOfTheFile) {
  Write("f", "1\n2\n3\n4\n");
  const TextFileSource source(directory_ / "f");
  SourceSnapshot snapshot;
  const std::string path = (directory_ / "f").string();
  for (const auto& split : {TextFileSource::Split{path, 6, 8}, TextFileSource::Split{path, 2, 4}}) {
    BufferWriter out;
    TypeSerializer<Bytes>::Write(out, Bytes{internal::EncodeSplit<TextFileSource>(split)});
    snapshot.splits.push_back(out.TakeString());
  }
  snapshot.coordinator = std::string("\0\0\0\1\0\0\0\1\0\0\0\4\0\0\0\0", 16);
  SourceHarness<TextFileSource> h(source, 1);
  h.Restore(snapshot);
  h.RunToEnd();
  EXPECT_EQ(h.out(0).records, (Strings{"2", "4"}));
}

TEST_F(TextFileSourceTest, MistakesAreNamed) {
  EXPECT_EQ(ErrorOf(TextFileSource(directory_ / "none")),
            "input path " + (directory_ / "none").string() +
                ": it does not exist; check the job's arguments");
  EXPECT_THROW(TextFileSource(""), std::invalid_argument);
  EXPECT_THROW(TextFileSource("s3://bucket/x"), std::invalid_argument);

  Write("f", "0123456789\n");
  SourceHarness<TextFileSource> h(TextFileSource(directory_ / "f"), 1);
  h.Start();
  Write("f", "0");
  try {
    h.RunToEnd();
    FAIL();
  } catch (const std::runtime_error& e) {
    EXPECT_NE(std::string(e.what()).find("files must not change"), std::string::npos) << e.what();
  }
}

TEST_F(TextFileSourceTest, RelativePathsStartAtTheWorkingDirectory) {
  Write("f", "x\n");
  TextFileSource source("f");
  source.SetWorkingDirectory(directory_);
  EXPECT_EQ(ReadAll(source), Strings{"x"});
}

}  // namespace
}  // namespace flink
