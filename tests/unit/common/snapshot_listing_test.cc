#include "common/snapshot/snapshot_listing.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "common/io/temp_directory.h"
#include "common/snapshot/snapshot_journal.h"
#include "tests/unit/common/snapshot_builder.h"

namespace flink::snapshot {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kJob[] = "0123456789abcdef0123456789abcdef";

class SnapshotListingTest : public ::testing::Test {
 protected:
  SnapshotListingTest() { configuration_.Set("state.checkpoints.dir", In("checkpoints")); }

  std::string In(const std::string& path) const { return directory_.File(path); }
  void Write(const std::string& path, int64_t time_ms, const std::string& kind = "savepoint") {
    TestSnapshot snapshot;
    snapshot.directory = In(path);
    snapshot.job = kJob;
    snapshot.kind = kind;
    snapshot.time_ms = time_ms;
    snapshot.own_files = {"data"};
    WriteTestSnapshot(snapshot);
  }
  void Note(const std::string& path) {
    ASSERT_TRUE(AppendToJournal(In("checkpoints"), {JobId::FromHex(kJob).value(), In(path)}).ok());
  }
  std::vector<std::string> Known() {
    return Directories(ListKnownSnapshots(configuration_).value());
  }
  std::vector<std::string> Directories(const SnapshotListing& listing) {
    std::vector<std::string> directories;
    for (const SnapshotSummary& summary : listing.snapshots) {
      directories.push_back(summary.directory.substr(directory_.path().size() + 1));
    }
    return directories;
  }

  io::TempDirectory directory_ = io::TempDirectory::Create("listing").value();
  Configuration configuration_;
};

TEST_F(SnapshotListingTest, ShowsTheNewestFirst) {
  Write("checkpoints/savepoint-1", 100);
  Write("checkpoints/savepoint-2", 300);
  Write("checkpoints/savepoint-3", 200);
  EXPECT_THAT(Known(), ElementsAre("checkpoints/savepoint-2", "checkpoints/savepoint-3",
                                   "checkpoints/savepoint-1"));
}

// flink-surface §4.2 no. 28 and 29
TEST_F(SnapshotListingTest, FindsTheCheckpointsOfJobsWithAndWithoutTheirSubdirectory) {
  Write(std::string("checkpoints/") + kJob + "/chk-5", 100, "checkpoint");
  Write("checkpoints/chk-6", 200, "checkpoint");
  EXPECT_THAT(Known(),
              ElementsAre("checkpoints/chk-6", std::string("checkpoints/") + kJob + "/chk-5"));
}

TEST_F(SnapshotListingTest, FindsWhatTheJournalNamesInOtherDirectoriesOnce) {
  Write("elsewhere/savepoint-1", 100);
  Write("elsewhere/unnoted", 100);
  Write("own/" + std::string(kJob) + "/chk-1", 50, "checkpoint");
  Note("elsewhere/savepoint-1");
  Note("elsewhere/savepoint-1");
  Note("own/" + std::string(kJob));
  EXPECT_THAT(Known(), ElementsAre("elsewhere/savepoint-1", "own/" + std::string(kJob) + "/chk-1"));
}

TEST_F(SnapshotListingTest, LeavesOutWhatHasNoMetadata) {
  Write("elsewhere/savepoint-1", 100);
  Note("elsewhere/savepoint-1");
  Note("elsewhere/never-completed");
  ASSERT_TRUE(io::RemoveFile(In("elsewhere/savepoint-1/_metadata")).ok());
  const SnapshotListing listing = ListKnownSnapshots(configuration_).value();
  EXPECT_THAT(listing.snapshots, IsEmpty());
  EXPECT_THAT(listing.problems, IsEmpty());
}

TEST_F(SnapshotListingTest, SaysWhatASnapshotIs) {
  Write("checkpoints/savepoint-1", 100, "stop-savepoint");
  const SnapshotSummary summary = ListKnownSnapshots(configuration_)->snapshots.at(0);
  EXPECT_EQ(summary.job, kJob);
  EXPECT_EQ(summary.job_name, "Words");
  EXPECT_EQ(summary.time_ms, 100);
  EXPECT_EQ(summary.kind, "stop-savepoint");
  EXPECT_TRUE(summary.IsSavepoint());
  EXPECT_EQ(summary.format, "native");
  EXPECT_EQ(summary.state_bytes, 10 + 12);  // A file and its inline meta stream.
  EXPECT_EQ(summary.parallelism, 1);
  EXPECT_THAT(summary.operators, ElementsAre("Counter"));
}

TEST_F(SnapshotListingTest, TakesTheJobOfASnapshotWithoutSideFileFromItsPlace) {
  TestSnapshot snapshot;
  snapshot.directory = In(std::string("checkpoints/") + kJob + "/chk-3");
  WriteTestSnapshot(snapshot);
  snapshot.directory = In("checkpoints/savepoint-012345-0123456789ab");
  WriteTestSnapshot(snapshot);
  const SnapshotListing listing = ListKnownSnapshots(configuration_).value();
  ASSERT_EQ(listing.snapshots.size(), 2u);
  for (const SnapshotSummary& summary : listing.snapshots) {
    EXPECT_TRUE(summary.IsOfJob(JobId::FromHex(kJob).value())) << summary.directory;
    EXPECT_FALSE(summary.IsOfJob(JobId())) << summary.directory;
  }
}

TEST_F(SnapshotListingTest, SearchesADirectoryAtAnyDepthAndThroughNoLink) {
  Write("a/b/c/d/savepoint-1", 100);
  ASSERT_EQ(symlink(directory_.path().c_str(), In("a/loop").c_str()), 0);
  EXPECT_THAT(Directories(ListSnapshotsBelow("file:" + directory_.path()).value()),
              ElementsAre("a/b/c/d/savepoint-1"));
}

TEST_F(SnapshotListingTest, NamesAnUnreadableSnapshotAndShowsTheOthers) {
  Write("a/savepoint-1", 100);
  WriteTestFile(In("b/_metadata"), "damaged");
  const SnapshotListing listing = ListSnapshotsBelow(directory_.path()).value();
  EXPECT_THAT(Directories(listing), ElementsAre("a/savepoint-1"));
  EXPECT_THAT(listing.problems, ElementsAre(HasSubstr(In("b/_metadata"))));
}

TEST_F(SnapshotListingTest, ADirectoryThatIsNotThereIsAnError) {
  EXPECT_THAT(Message(ListSnapshotsBelow(In("nowhere")).status()), HasSubstr(In("nowhere")));
}

TEST_F(SnapshotListingTest, WithoutConfiguredDirectoryItSaysWhatToDo) {
  EXPECT_THAT(Message(ListKnownSnapshots(Configuration()).status()), HasSubstr("--dir"));
}

}  // namespace
}  // namespace flink::snapshot
