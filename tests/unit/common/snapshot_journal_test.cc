#include "common/snapshot/snapshot_journal.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <set>

#include "common/io/file_system.h"
#include "common/io/temp_directory.h"

namespace flink::snapshot {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class SnapshotJournalTest : public ::testing::Test {
 protected:
  static JournalEntry Entry(const std::string& path) {
    return {JobId::FromHex("0123456789abcdef0123456789abcdef").value(), path};
  }
  std::string File() const { return directory_.File(kJournalFileName); }

  io::TempDirectory directory_ = io::TempDirectory::Create("journal").value();
};

TEST_F(SnapshotJournalTest, GivesBackWhatWasAppendedInOrder) {
  ASSERT_TRUE(AppendToJournal(directory_.path(), Entry("/sp/savepoint-2")).ok());
  ASSERT_TRUE(AppendToJournal(directory_.path(), Entry("/sp/with \"quotes\"")).ok());
  EXPECT_THAT(ReadJournal(directory_.path()).value(),
              ElementsAre(Entry("/sp/savepoint-2"), Entry("/sp/with \"quotes\"")));
}

TEST_F(SnapshotJournalTest, IsCreatedWithItsDirectoryAndEmptyBefore) {
  const std::string below = directory_.File("not/yet");
  EXPECT_THAT(ReadJournal(below).value(), IsEmpty());
  ASSERT_TRUE(AppendToJournal(below, Entry("/a")).ok());
  EXPECT_THAT(ReadJournal(below).value(), ElementsAre(Entry("/a")));
}

TEST_F(SnapshotJournalTest, ALineThatACrashCutOffIsIgnoredWhereverItEnds) {
  ASSERT_TRUE(AppendToJournal(directory_.path(), Entry("/first")).ok());
  const std::string first = io::ReadFile(File()).value();
  ASSERT_TRUE(AppendToJournal(directory_.path(), Entry("/second")).ok());
  const std::string both = io::ReadFile(File()).value();
  for (size_t size = first.size(); size < both.size(); ++size) {
    ASSERT_TRUE(io::WriteFileDurably(File(), both.substr(0, size)).ok());
    EXPECT_THAT(ReadJournal(directory_.path()).value(), ElementsAre(Entry("/first"))) << size;
    ASSERT_TRUE(AppendToJournal(directory_.path(), Entry("/third")).ok());
    // The line lacks nothing but its end, which the next append supplies.
    if (size + 1 == both.size()) continue;
    EXPECT_THAT(ReadJournal(directory_.path()).value(),
                ElementsAre(Entry("/first"), Entry("/third")))
        << size;
  }
}

TEST_F(SnapshotJournalTest, LinesThatAreNoEntriesAreLeftOut) {
  ASSERT_TRUE(
      io::WriteFileDurably(File(), std::string("garbage\n{}\n[1]\n{\"job\":1}\n\0\xff\n", 28))
          .ok());
  ASSERT_TRUE(AppendToJournal(directory_.path(), Entry("/a")).ok());
  EXPECT_THAT(ReadJournal(directory_.path()).value(), ElementsAre(Entry("/a")));
}

TEST_F(SnapshotJournalTest, ProcessesThatAppendAtATimeDoNotMixTheirLines) {
  constexpr int kProcesses = 4;
  constexpr int kLines = 50;
  std::set<std::string> expected;
  std::vector<pid_t> children;
  for (int process = 0; process < kProcesses; ++process) {
    for (int i = 0; i < kLines; ++i) expected.insert(fmt::format("/{}/{}", process, i));
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child != 0) {
      children.push_back(child);
      continue;
    }
    bool ok = true;
    for (int i = 0; i < kLines; ++i) {
      ok = AppendToJournal(directory_.path(), Entry(fmt::format("/{}/{}", process, i))).ok() && ok;
    }
    _exit(ok ? 0 : 1);
  }
  for (const pid_t child : children) {
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
  const std::vector<JournalEntry> entries = ReadJournal(directory_.path()).value();
  EXPECT_EQ(entries.size(), expected.size());
  std::set<std::string> read;
  for (const JournalEntry& entry : entries) read.insert(entry.path);
  EXPECT_EQ(read, expected);
}

TEST(JournalDirectoryTest, IsTheCheckpointDirectoryElseTheSavepointDirectory) {
  Configuration configuration;
  EXPECT_EQ(JournalDirectory(configuration), std::nullopt);
  configuration.Set("state.savepoints.dir", "file:///sp");
  EXPECT_EQ(JournalDirectory(configuration), "/sp");
  configuration.Set("state.checkpoints.dir", "/cp");
  EXPECT_EQ(JournalDirectory(configuration), "/cp");
}

}  // namespace
}  // namespace flink::snapshot
