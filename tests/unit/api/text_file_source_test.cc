#include <gtest/gtest.h>

#include <algorithm>
#include <deque>
#include <filesystem>
#include <fstream>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <utility>
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

/// Lines of a random file, and its content.
struct RandomText {
  explicit RandomText(std::mt19937& random) {
    const size_t n = random() % 30;
    for (size_t i = 0; i < n; ++i) {
      lines.push_back(
          std::string(random() % (random() % 8 == 0 ? 60 : 12), static_cast<char>('a' + i % 26)));
      content += lines.back() + (random() % 3 == 0 ? "\r\n" : "\n");
    }
    if (random() % 2 == 0) {
      lines.push_back("end");
      content += "end";
    }
  }
  Strings lines;
  std::string content;
};

TEST_F(TextFileSourceTest, ARangeBeginsAndEndsBetweenLines) {
  std::mt19937 random(3);
  for (int round = 0; round < 60; ++round) {
    const RandomText text(random);
    Write("f", text.content);
    Strings lines = text.lines;
    std::sort(lines.begin(), lines.end());
    for (const int64_t split_bytes : {1, 2, 3, 7, 50, 1000}) {
      const TextFileSource source = TextFileSource(directory_ / "f").WithSplitBytes(split_bytes);
      ASSERT_EQ(ReadAll(source, 2), lines) << "split " << split_bytes << " of:\n" << text.content;
      const auto splits = source.MakeSplits(2);
      int64_t at = 0;
      for (size_t i = 0; i < splits.size(); ++i) {
        ASSERT_EQ(splits[i].offset, at);
        ASSERT_GT(splits[i].length, 0);
        // Flink takes the last range of a file by its reader's position.
        ASSERT_EQ(splits[i].position.has_value(), at != 0);
        if (at != 0) {
          ASSERT_EQ(text.content[static_cast<size_t>(at) - 1], '\n');
        }
        at += splits[i].length;
        ASSERT_EQ(splits[i].id,
                  std::string(10 - std::to_string(i + 1).size(), '0') + std::to_string(i + 1));
      }
      ASSERT_EQ(at, static_cast<int64_t>(text.content.size()));
      // One range for each line is the most.
      if (split_bytes == 1) {
        ASSERT_EQ(splits.size(), text.lines.size());
      }
    }
  }
}

/// Every line of files of all kinds comes once, over any number of restores.
TEST_F(TextFileSourceTest, ManyRestoresOfRandomFilesGiveEveryLineOnce) {
  std::mt19937 random(17);
  for (int round = 0; round < 60; ++round) {
    std::filesystem::remove_all(directory_ / "in");
    std::filesystem::create_directories(directory_ / "in");
    Strings expected;
    const size_t files = 1 + random() % 4;
    for (size_t f = 0; f < files; ++f) {
      const RandomText text(random);
      Write("in/" + std::to_string(f), text.content);
      expected.insert(expected.end(), text.lines.begin(), text.lines.end());
    }
    std::sort(expected.begin(), expected.end());
    // One line at a time.
    TextFileSource source(directory_ / "in", {.records_per_second = 100});
    if (random() % 4 != 0) source = source.WithSplitBytes(1 + static_cast<int64_t>(random() % 100));
    Strings all;
    std::optional<SourceSnapshot> snapshot;
    for (bool ended = false; !ended;) {
      const int subtasks = 1 + static_cast<int>(random() % 3);
      SourceHarness<TextFileSource> h(source, subtasks);
      if (snapshot)
        h.Restore(*snapshot);
      else
        h.Start();
      int at_end = 0;
      for (size_t steps = random() % 40; steps != 0 && at_end < subtasks; --steps) {
        at_end = 0;
        for (int i = 0; i < subtasks; ++i) {
          auto& time = h.context(static_cast<size_t>(i)).time;
          time.AdvanceTo(time.NowMs() + 10);
          if (h.Step(i) == SourceStatus::kEnd) ++at_end;
        }
      }
      ended = at_end == subtasks;
      snapshot = h.Snapshot();
      const Strings some = h.SortedRecords();
      all.insert(all.end(), some.begin(), some.end());
      ASSERT_LE(all.size(), expected.size()) << "round " << round;
    }
    std::sort(all.begin(), all.end());
    ASSERT_EQ(all, expected) << "round " << round;
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

TEST_F(TextFileSourceTest, OnlyFilesLargerThanAShareAreDivided) {
  Write("f", std::string(1'000'000, '\n'));
  const TextFileSource source(directory_);
  EXPECT_EQ(source.MakeSplits(2).size(), 8u);
  EXPECT_EQ(source.MakeSplits(100).size(), 16u);
  EXPECT_EQ(source.MakeSplits(1).size(), 1u);
  EXPECT_EQ(source.WithWholeFiles().MakeSplits(100).size(), 1u);
  EXPECT_EQ(source.WithSplitBytes(500'000).MakeSplits(1).size(), 2u);
  // The share is a quarter of what one of two subtasks reads: 262145 bytes.
  Write("g", std::string(1'097'152, '\n'));
  EXPECT_EQ(source.MakeSplits(2).size(), 4u + 5u);
  for (int i = 0; i < 14; ++i) Write("h" + std::to_string(i), std::string(1'000'000, '\n'));
  EXPECT_EQ(source.MakeSplits(2).size(), 16u);
}

TEST_F(TextFileSourceTest, NoRangeBeginsWithinALongLine) {
  const std::string line(3'000'000, 'x');
  Write("f", "a\n" + line + "\nb\n" + line);
  const auto splits = TextFileSource(directory_).WithSplitBytes(100'000).MakeSplits(2);
  ASSERT_EQ(splits.size(), 2u);
  EXPECT_EQ(splits[1].offset, 3'000'003);
}

std::string FromHex(std::string_view digits) {
  std::string bytes;
  for (size_t i = 0; i < digits.size(); i += 2)
    bytes.push_back(static_cast<char>(std::stoi(std::string(digits.substr(i, 2)), nullptr, 16)));
  return bytes;
}
/// What Flink 1.20.3 wrote for a file of 6 bytes, /tmp/f, but for the reader's position.
const std::string kFlinkSplit = FromHex(
    "000a3030303030303030303101010566696c650000ffffffff01072f746d702f6600000000"
    "00000000000000000000000000060000019aa719520b000000000000000600000000");
const std::string kNoPosition = FromHex("00");
const std::string kOneLineRead = FromHex("01ffffffffffffffff0000000000000001");

std::string BigInt(uint32_t n) {
  BufferWriter out;
  out.Put<uint32_t>(n);
  return out.TakeString();
}
std::string LittleInt(uint32_t n) { return BigInt(internal::SwapBytes(n)); }
/// The coordinator's state with a body.
std::string Framed(const std::string& body) {
  return BigInt(1) + BigInt(1) + BigInt(static_cast<uint32_t>(body.size())) + body;
}
std::string LittleSplit(const std::string& split) {
  return LittleInt(static_cast<uint32_t>(split.size())) + split;
}
/// An element of the reader's list state.
std::string Element(const std::string& split) {
  const std::string versioned = BigInt(1) + BigInt(static_cast<uint32_t>(split.size())) + split;
  return BigInt(static_cast<uint32_t>(versioned.size())) + versioned;
}
const std::string kMagic = "\xef\xbe\xad\xde";
std::string Enumerator(uint32_t splits, uint32_t paths) {
  return kMagic + LittleInt(1) + LittleInt(splits) + LittleInt(paths);
}
const std::string kNothingWaits = Framed(Enumerator(0, 0));

TEST_F(TextFileSourceTest, SnapshotsHaveFlinksForm) {
  const std::string split = kFlinkSplit + kNoPosition;
  const std::string begun = kFlinkSplit + kOneLineRead;
  for (const std::string& bytes : {split, begun}) {
    BufferReader in(bytes);
    BufferWriter out;
    TextFileSource::WriteSplit(out, TextFileSource::ReadSplit(in, 1));
    EXPECT_EQ(out.view(), bytes);
  }
  const std::string state = Framed(Enumerator(2, 0) + LittleSplit(split) + LittleSplit(begun));
  SplitSourceCoordinator<TextFileSource> coordinator(TextFileSource("/tmp"));
  testing::RecordingCoordinatorContext context;
  coordinator.Start(context, true, state);
  EXPECT_EQ(coordinator.Snapshot(1), state);

  BufferReader in(begun);
  const TextFileSource::Split read = TextFileSource::ReadSplit(in, 1);
  EXPECT_EQ(read.id, "0000000001");
  EXPECT_EQ(read.path, "/tmp/f");
  EXPECT_EQ(read.offset, 0);
  EXPECT_EQ(read.length, 6);
  EXPECT_EQ(read.modification_time_ms, 0x19a'a719'520b);
  EXPECT_EQ(read.file_size, 6);
  EXPECT_TRUE(read.hosts.empty());
  ASSERT_TRUE(read.position.has_value());
  EXPECT_EQ(read.position->offset, -1);
  EXPECT_EQ(read.position->lines, 1);
}

TEST_F(TextFileSourceTest, WhatIsLeftOfAFileIsAPositionInIt) {
  Write("f", "one\ntwo\nthree\n");
  const TextFileSource source(directory_ / "f", {.records_per_second = 100});
  SourceHarness<TextFileSource> h(source, 1);
  h.Start();
  h.Step(0);
  auto& time = h.context(0).time;
  while (h.SortedRecords().size() < 2) {
    time.AdvanceTo(time.NowMs() + 10);
    h.Step(0);
  }
  const SourceSnapshot snapshot = h.Snapshot();
  EXPECT_EQ(snapshot.coordinator, kNothingWaits);
  ASSERT_EQ(snapshot.splits.size(), 1u);
  BufferReader in(std::string_view(snapshot.splits[0]).substr(12));
  const TextFileSource::Split split = TextFileSource::ReadSplit(in, 1);
  EXPECT_EQ(split.id, "0000000001");
  EXPECT_EQ(split.offset, 0);
  EXPECT_EQ(split.length, 14);
  EXPECT_EQ(split.file_size, 14);
  ASSERT_TRUE(split.position.has_value());
  EXPECT_EQ(split.position->offset, 8);
  EXPECT_EQ(split.position->lines, 0);
}

TEST_F(TextFileSourceTest, LinesThatFlinkHasReadAreSkipped) {
  // To Flink a \r ends a line, too: 1, 2, "", 3 and 4 are read.
  Write("f", "1\r\n2\r\r\n3\r4\r5\n6\r\n");
  SourceSnapshot snapshot;
  snapshot.coordinator = kNothingWaits;
  TextFileSource::Split split = TextFileSource(directory_).MakeSplits(1).at(0);
  const auto rest = [&](int64_t offset, int64_t lines) {
    split.position = TextFileSource::Split::Position{offset, lines};
    BufferWriter out;
    TextFileSource::WriteSplit(out, split);
    snapshot.splits = {Element(out.TakeString())};
    SourceHarness<TextFileSource> h(TextFileSource(directory_), 1);
    h.Restore(snapshot);
    EXPECT_EQ(h.Snapshot().splits, snapshot.splits);
    h.RunToEnd();
    return h.out(0).records;
  };
  EXPECT_EQ(rest(-1, 5), (Strings{"5", "6"}));
  EXPECT_EQ(rest(-1, 4), (Strings{"4\r5", "6"}));
  EXPECT_EQ(rest(-1, 1), (Strings{"2\r", "3\r4\r5", "6"}));
  EXPECT_EQ(rest(3, 1), (Strings{"", "3\r4\r5", "6"}));
  EXPECT_EQ(rest(3, 2), (Strings{"3\r4\r5", "6"}));
  EXPECT_EQ(rest(3, 6), Strings{});
  EXPECT_EQ(rest(-1, 7), Strings{});
  EXPECT_THROW(rest(-1, 8), std::runtime_error);
  Write("f", "1\n2\n3");
  split = TextFileSource(directory_).MakeSplits(1).at(0);
  EXPECT_EQ(rest(-1, 2), Strings{"3"});
  EXPECT_EQ(rest(-1, 3), Strings{});
  EXPECT_THROW(rest(-1, 4), std::runtime_error);
  Write("f", "1\r2\r");
  split = TextFileSource(directory_).MakeSplits(1).at(0);
  EXPECT_EQ(rest(-1, 1), Strings{"2\r"});
  EXPECT_EQ(rest(-1, 2), Strings{});
  EXPECT_THROW(rest(-1, 3), std::runtime_error);
}

/// A snapshot while many lines are being skipped loses none.
TEST_F(TextFileSourceTest, SkippingTakesSeveralSteps) {
  std::string content;
  for (int i = 0; i < 400'000; ++i) content += std::to_string(1'000'000 + i) + "\n";
  Write("f", content);
  TextFileSource::Split split = TextFileSource(directory_).MakeSplits(1).at(0);
  split.position = TextFileSource::Split::Position{-1, 399'990};
  BufferWriter out;
  TextFileSource::WriteSplit(out, split);
  SourceSnapshot snapshot;
  snapshot.coordinator = kNothingWaits;
  snapshot.splits = {Element(out.TakeString())};
  for (int round = 0; round < 2; ++round) {
    SourceHarness<TextFileSource> h(TextFileSource(directory_), 1);
    h.Restore(snapshot);
    h.Step(0);
    EXPECT_TRUE(h.SortedRecords().empty());
    const SourceSnapshot next = h.Snapshot();
    EXPECT_NE(next.splits, snapshot.splits);
    snapshot = next;
  }
  SourceHarness<TextFileSource> h(TextFileSource(directory_), 1);
  h.Restore(snapshot);
  h.RunToEnd();
  ASSERT_EQ(h.out(0).records.size(), 10u);
  EXPECT_EQ(h.out(0).records[0], "1399990");
}

/// i32 length of the path, path, i64 first byte, i64 end.
std::string OldSplit(const std::string& path, int64_t begin, int64_t end) {
  BufferWriter out;
  out.Put<int32_t>(static_cast<int32_t>(path.size()));
  out.PutBytes(path);
  out.Put<int64_t>(begin);
  out.Put<int64_t>(end);
  return out.TakeString();
}

TEST_F(TextFileSourceTest, SnapshotsInTheFormerFormGoOn) {
  Write("fü", "first\nsecond\nthird\nfourth");
  const std::string path = (directory_ / "fü").string();
  // Ranges of 9, 9 and 7 bytes; the reader of the first has one line behind it.
  SourceSnapshot snapshot;
  snapshot.splits = {Element(OldSplit(path, 6, 9))};
  snapshot.coordinator = Framed(BigInt(2) + OldSplit(path, 9, 18) + OldSplit(path, 18, 25));
  SourceHarness<TextFileSource> h(TextFileSource(directory_), 2);
  h.Restore(snapshot);
  const SourceSnapshot again = h.Snapshot();
  h.RunToEnd();
  EXPECT_EQ(h.SortedRecords(), (Strings{"fourth", "second", "third"}));

  SplitSourceCoordinator<TextFileSource> coordinator(TextFileSource("/unused"));
  testing::RecordingCoordinatorContext context;
  coordinator.Start(context, true, snapshot.coordinator);
  BufferReader in(std::string_view(again.coordinator).substr(12));
  const auto splits = TextFileSource::ReadEnumerator(in);
  EXPECT_EQ(coordinator.Snapshot(1), again.coordinator);
  ASSERT_EQ(splits.size(), 2u);
  EXPECT_EQ(splits[0].offset, 13);
  EXPECT_EQ(splits[0].length, 6);
  EXPECT_EQ(splits[1].offset, 19);
  EXPECT_EQ(splits[1].length, 6);
  EXPECT_EQ(splits[1].file_size, 25);
  // Flink reads ids as Java's form of UTF-8.
  EXPECT_EQ(splits[0].id, directory_.string() + "/f%195%%188%:9");

  // Nothing waits.
  coordinator.Start(context, true, Framed(BigInt(0)));
  Write("fü", "first");
  EXPECT_THROW(coordinator.Start(context, true, snapshot.coordinator), std::runtime_error);
}

TEST_F(TextFileSourceTest, WhatCannotGoOnIsNamed) {
  const std::string split = kFlinkSplit + kNoPosition;
  const auto reader_error = [](const std::string& bytes, int32_t version = 1) -> std::string {
    try {
      BufferReader in(bytes);
      TextFileSource::ReadSplit(in, version);
    } catch (const DecodeError& e) {
      return e.what();
    }
    return "none";
  };
  const auto coordinator_error = [](const std::string& state) -> std::string {
    try {
      SplitSourceCoordinator<TextFileSource> coordinator(TextFileSource("/tmp"));
      testing::RecordingCoordinatorContext context;
      coordinator.Start(context, true, Framed(state));
    } catch (const DecodeError& e) {
      return e.what();
    }
    return "none";
  };
  const std::string reader = "a reader of the text file source cannot be restored: ";
  const std::string coordinator = "the coordinator of the text file source cannot be restored: ";
  EXPECT_EQ(reader_error(split), "none");
  EXPECT_EQ(reader_error(split, 2),
            reader + "a split has version 2, which this build does not know");
  EXPECT_EQ(reader_error(split + "x"), reader + "a split is longer than its content");
  for (size_t n = 0; n < split.size(); ++n)
    EXPECT_EQ(reader_error(split.substr(0, n)).rfind(reader, 0), 0u) << n;

  std::string other = split;
  other.replace(other.find("file"), 4, "hdfs");
  EXPECT_EQ(reader_error(other), reader +
                                     "a split names hdfs:///tmp/f, but this source reads local "
                                     "files only");
  other = split;
  other[other.size() - 37] = '\x80';  // The offset.
  EXPECT_EQ(reader_error(other), reader + "a split has an impossible range of bytes");
  EXPECT_EQ(reader_error(kFlinkSplit + FromHex("0100000000000000070000000000000000")),
            reader + "a split's reader stands outside its range of bytes");
  EXPECT_EQ(reader_error(OldSplit("/tmp/f", -1, 4)),
            reader + "a split has an impossible range of bytes");
  EXPECT_EQ(reader_error(OldSplit("", 0, 0)), reader + "a split has no path");

  EXPECT_EQ(coordinator_error(Enumerator(1, 0) + LittleSplit(split)), "none");
  EXPECT_EQ(coordinator_error(Enumerator(1, 2) + LittleSplit(split) + LittleSplit("file:/tmp/f") +
                              LittleSplit("file:/tmp/g")),
            coordinator +
                "it watches a directory for new files and has seen 2; this source reads the files "
                "that are there when a job starts afresh, and would miss those that come later");
  EXPECT_EQ(coordinator_error(Enumerator(0x7fffffff, 0) + LittleSplit(split)),
            coordinator + "its state has more splits than bytes");
  EXPECT_EQ(coordinator_error(Enumerator(0xffffffff, 0)),
            coordinator + "its state has more splits than bytes");
  EXPECT_EQ(coordinator_error(BigInt(0x7fffffff)),
            coordinator + "its state begins like none that this build knows");
  EXPECT_EQ(coordinator_error(Enumerator(0, 0) + "x"),
            coordinator + "its state is longer than its content");
  EXPECT_EQ(coordinator_error(Enumerator(1, 0) + LittleInt(0xffffffff)),
            coordinator + "a split has a negative length");
}

TEST_F(TextFileSourceTest, RandomDamageIsAnErrorOrAnotherState) {
  std::mt19937 random(23);
  const std::string path = (directory_ / "f").string();
  Write("f", "1\n2\n3\n");
  const std::string flinks = kFlinkSplit + kOneLineRead;
  const std::string olds = OldSplit(path, 2, 6);
  size_t refused = 0;
  for (int round = 0; round < 20'000; ++round) {
    std::string bytes = random() % 2 == 0
                            ? Enumerator(2, 0) + LittleSplit(flinks) + LittleSplit(olds)
                            : BigInt(2) + olds + olds;
    for (size_t n = 1 + random() % 3; n != 0; --n)
      bytes[random() % bytes.size()] = static_cast<char>(random());
    if (random() % 4 == 0) bytes.resize(random() % bytes.size());
    BufferReader in(bytes);
    try {
      EXPECT_LE(TextFileSource::ReadEnumerator(in).size(), 2u);
    } catch (const std::runtime_error&) {  // DecodeError, or a file that is not there.
      ++refused;
    }
  }
  EXPECT_GT(refused, 10'000u);
  EXPECT_LT(refused, 20'000u);
}

TEST_F(TextFileSourceTest, CompressedFilesAreRefused) {
  for (const char* name : {"f.gz", "f.tgz", "f-xz"}) {
    Write(name, "x\n");
    EXPECT_EQ(ErrorOf(TextFileSource(directory_ / name)),
              "input file " + (directory_ / name).string() +
                  ": it is compressed, as its name says, which this source does not read; "
                  "decompress it");
  }
}

/// It had skipped the rest of a line that is longer than its range, and waited for its rate.
TEST_F(TextFileSourceTest, AReaderThatStoodBehindItsRangeInAnOldSnapshotHasNothingLeft) {
  Write("f", "0123456789\nb\n");
  const std::string old = OldSplit((directory_ / "f").string(), 11, 6);
  BufferReader in(old);
  const TextFileSource::Split split = TextFileSource::ReadSplit(in, TextFileSource::kSplitVersion);
  EXPECT_EQ(split.offset, 11);
  EXPECT_EQ(split.length, 0);
}

TEST_F(TextFileSourceTest, RestoredSplitsAreReadInTheOrderOfTheFile) {
  Write("f", "1\n2\n3\n4\n");
  const TextFileSource source = TextFileSource(directory_ / "f").WithSplitBytes(2);
  const auto splits = source.MakeSplits(1);
  ASSERT_EQ(splits.size(), 4u);
  SourceSnapshot snapshot;
  for (const size_t i : {3, 1}) {
    BufferWriter out;
    TextFileSource::WriteSplit(out, splits[i]);
    snapshot.splits.push_back(Element(out.TakeString()));
  }
  snapshot.coordinator = kNothingWaits;
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
