#include "common/snapshot/orphans.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include "common/base/clock.h"
#include "common/io/file_lock.h"
#include "common/io/temp_directory.h"
#include "tests/unit/common/snapshot_builder.h"

namespace flink::snapshot {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

constexpr char kJob[] = "0123456789abcdef0123456789abcdef";
constexpr char kOtherJob[] = "fedcba9876543210fedcba9876543210";
constexpr char kUuid[] = "00000000-1111-2222-3333-44444444444";  // Lacks its last digit.

class OrphansTest : public ::testing::Test {
 protected:
  std::string In(const std::string& path) const { return directory_.File(path); }
  static std::string Uuid(char digit) { return kUuid + std::string(1, digit); }
  std::string OfJob(const std::string& path) const { return In(std::string(kJob) + "/" + path); }
  std::string Shared(char digit) const { return OfJob("shared/" + Uuid(digit)); }

  void Write(const std::string& directory, std::vector<std::string> own,
             std::vector<std::string> shared = {}) {
    TestSnapshot snapshot;
    snapshot.directory = directory;
    snapshot.own_files = std::move(own);
    snapshot.shared_files = std::move(shared);
    snapshot.job = kJob;
    WriteTestSnapshot(snapshot);
  }

  OrphanReport Find(
      int64_t min_age_ms = 0, const std::string& directory = "",
      std::function<std::vector<std::string>(std::vector<Status>*)> other_snapshots = nullptr) {
    OrphanSearch search;
    search.directory = directory.empty() ? directory_.path() : directory;
    search.other_snapshots = std::move(other_snapshots);
    search.now_ms = Clock::System().NowMs();
    search.min_age_ms = min_age_ms;
    return FindOrphans(search).value();
  }
  static std::vector<std::string> Paths(const OrphanReport& report) {
    std::vector<std::string> paths;
    for (const Orphan& orphan : report.orphans) {
      if (orphan.kept.empty()) paths.push_back(orphan.path);
    }
    return paths;
  }

  io::TempDirectory directory_ = io::TempDirectory::Create("orphans").value();
};

TEST_F(OrphansTest, WhatSnapshotsNameIsNone) {
  Write(OfJob("chk-1"), {Uuid('1')}, {Shared('2'), Shared('3')});
  Write(OfJob("chk-2"), {}, {Shared('3')});
  Write(In("savepoint-012345-0123456789ab"), {Uuid('4')});
  Write(In("friday"), {Uuid('5')});
  const OrphanReport report = Find();
  EXPECT_THAT(report.orphans, IsEmpty());
  EXPECT_THAT(report.skipped, IsEmpty());
}

TEST_F(OrphansTest, FindsAllThatACrashLeaves) {
  Write(OfJob("chk-1"), {Uuid('1')}, {Shared('2')});
  WriteTestFile(Shared('3'));
  WriteTestFile(OfJob("chk-1/" + Uuid('4')));
  WriteTestFile(OfJob("chk-1/.x.12-0.tmp"));
  WriteTestFile(OfJob("chk-2/" + Uuid('5')));
  WriteTestFile(OfJob("chk-2/" + std::string(kSideFileName)));
  WriteTestFile(In("savepoint-012345-0123456789ab/" + Uuid('6')));
  ASSERT_TRUE(io::CreateDirectories(OfJob("chk-3")).ok());
  const OrphanReport report = Find();
  EXPECT_THAT(
      Paths(report),
      UnorderedElementsAre(Shared('3'), OfJob("chk-1/" + Uuid('4')), OfJob("chk-1/.x.12-0.tmp"),
                           OfJob("chk-2"), OfJob("chk-3"), In("savepoint-012345-0123456789ab")));
  uint64_t bytes = 0;
  for (const Orphan& orphan : report.orphans) bytes += orphan.bytes;
  EXPECT_EQ(bytes, 60u);
}

TEST_F(OrphansTest, DeletesThoseAndNothingElse) {
  Write(OfJob("chk-1"), {Uuid('1')}, {Shared('2')});
  WriteTestFile(Shared('3'));
  WriteTestFile(OfJob("chk-2/" + Uuid('5')));
  const OrphanReport report = Find();
  for (const Orphan& orphan : report.orphans) EXPECT_TRUE(DeleteOrphan(orphan).ok()) << orphan.path;
  EXPECT_FALSE(io::Exists(Shared('3')));
  EXPECT_FALSE(io::Exists(OfJob("chk-2")));
  EXPECT_TRUE(io::Exists(Shared('2')));
  EXPECT_TRUE(io::Exists(OfJob("chk-1/_metadata")));
  EXPECT_TRUE(io::Exists(OfJob("chk-1/" + Uuid('1'))));
  EXPECT_THAT(Find().orphans, IsEmpty());
}

TEST_F(OrphansTest, FilesThatNoClusterWroteAreNotLookedAt) {
  Write(OfJob("chk-1"), {});
  WriteTestFile(OfJob("shared/README"));
  WriteTestFile(OfJob("chk-1/notes.txt"));
  WriteTestFile(In("photos/1.jpg"));
  EXPECT_THAT(Find().orphans, IsEmpty());
}

TEST_F(OrphansTest, AnUnfinishedSnapshotWithAForeignFileIsLeftAlone) {
  WriteTestFile(OfJob("chk-1/notes.txt"));
  WriteTestFile(OfJob("chk-1/" + Uuid('1')));
  const OrphanReport report = Find();
  EXPECT_THAT(report.orphans, IsEmpty());
  EXPECT_THAT(report.skipped, ElementsAre(HasSubstr("notes.txt")));
}

TEST_F(OrphansTest, WhatLiesInADisposedSavepointIsJudgedByItself) {
  const std::string outer = In("savepoint-012345-0123456789ab");
  WriteTestFile(outer + "/" + Uuid('1'));
  Write(outer + "/savepoint-012345-aaaaaaaaaaaa", {Uuid('2')});
  WriteTestFile(outer + "/savepoint-012345-bbbbbbbbbbbb/" + Uuid('3'));
  const OrphanReport report = Find();
  EXPECT_THAT(Paths(report),
              ElementsAre(outer + "/" + Uuid('1'), outer + "/savepoint-012345-bbbbbbbbbbbb"));
  EXPECT_THAT(report.skipped, IsEmpty());
}

TEST_F(OrphansTest, ALockedDirectoryIsNotJudged) {
  WriteTestFile(Shared('1'));
  WriteTestFile(OfJob("chk-1/" + Uuid('2')));
  const std::string savepoint = In("savepoint-012345-0123456789ab");
  WriteTestFile(savepoint + "/" + Uuid('3'));
  {
    const auto job = io::FileLock::Share(OfJob(kLockFileName));
    const auto taking = io::FileLock::Share(savepoint + "/" + kLockFileName);
    ASSERT_TRUE(job.ok() && taking.ok());
    const OrphanReport report = Find();
    EXPECT_THAT(report.orphans, IsEmpty());
    EXPECT_THAT(report.skipped, UnorderedElementsAre(In(kJob) + ": a running JobManager uses it",
                                                     savepoint + ": a running JobManager uses it"));
  }
  EXPECT_THAT(Paths(Find()), UnorderedElementsAre(Shared('1'), OfJob("chk-1"), savepoint));
}

TEST_F(OrphansTest, APartOfAJobsDirectoryIsJudgedWithTheLockAndTheReferencesOfTheWhole) {
  Write(OfJob("chk-1"), {}, {Shared('1')});
  WriteTestFile(Shared('2'));
  WriteTestFile(OfJob("chk-2/" + Uuid('3')));
  EXPECT_THAT(Paths(Find(0, OfJob("shared"))), ElementsAre(Shared('2')));
  EXPECT_THAT(Paths(Find(0, OfJob("chk-2"))), ElementsAre(OfJob("chk-2")));
  const auto job = io::FileLock::Share(OfJob(kLockFileName));
  ASSERT_TRUE(job.ok());
  EXPECT_THAT(Find(0, OfJob("shared")).orphans, IsEmpty());
  EXPECT_THAT(Find(0, OfJob("chk-2")).orphans, IsEmpty());
}

TEST_F(OrphansTest, WhatWasChangedLatelyIsListedAndKept) {
  WriteTestFile(Shared('1'));
  const OrphanReport report = Find(/*min_age_ms=*/60'000);
  ASSERT_EQ(report.orphans.size(), 1u);
  EXPECT_THAT(report.orphans[0].kept, HasSubstr("something may be writing it"));
}

TEST_F(OrphansTest, AnUnreadableSnapshotKeepsWhatItMayName) {
  WriteTestFile(Shared('1'));
  WriteTestFile(OfJob("chk-1/_metadata"), "damaged");
  const OrphanReport report = Find();
  ASSERT_EQ(report.orphans.size(), 1u);
  EXPECT_THAT(report.orphans[0].kept, HasSubstr(OfJob("chk-1/_metadata")));
}

TEST_F(OrphansTest, ReferencesFromOtherJobsAndOtherDirectoriesCount) {
  Write(In(std::string(kOtherJob) + "/chk-1"), {}, {Shared('1')});
  WriteTestFile(Shared('2'));
  const io::TempDirectory elsewhere = io::TempDirectory::Create("orphans").value();
  Write(elsewhere.File("s"), {}, {Shared('3')});
  const auto others = [&](std::vector<Status>*) {
    return std::vector<std::string>{elsewhere.File("s")};
  };
  EXPECT_THAT(Paths(Find(0, OfJob(""), others)), ElementsAre(Shared('2')));
}

TEST_F(OrphansTest, WhatReplacesASnapshotThatVanishesIsLookedAt) {
  WriteTestFile(Shared('1'));
  WriteTestFile(Shared('2'));
  const io::TempDirectory elsewhere = io::TempDirectory::Create("orphans").value();
  int calls = 0;
  // A job elsewhere goes on to its next checkpoint, which goes on naming a file.
  const auto others = [&](std::vector<Status>*) -> std::vector<std::string> {
    if (++calls == 1) return {elsewhere.File("chk-1")};
    if (calls == 2) Write(elsewhere.File("chk-2"), {}, {Shared('1')});
    return {elsewhere.File("chk-2")};
  };
  EXPECT_THAT(Paths(Find(0, "", others)), ElementsAre(Shared('2')));
  EXPECT_EQ(calls, 2);
  // One that never comes to rest.
  const auto vanishing = [&](std::vector<Status>*) {
    return std::vector<std::string>{elsewhere.File("chk-1")};
  };
  EXPECT_THAT(Paths(Find(0, "", vanishing)), ElementsAre());
}

TEST_F(OrphansTest, AFileIsKnownByItsNameWhereverTheDirectoryIsMounted) {
  Write(OfJob("chk-1"), {}, {In("other-mount/" + Uuid('1'))});
  WriteTestFile(Shared('1'));
  EXPECT_THAT(Find().orphans, IsEmpty());
}

TEST_F(OrphansTest, TaskOwnedFilesAreOrphansOnlyWithoutAnySnapshotBesideThem) {
  WriteTestFile(OfJob("taskowned/" + Uuid('1')));
  Write(OfJob("chk-1"), {});
  EXPECT_THAT(Find().orphans, IsEmpty());
  EXPECT_THAT(Find().skipped, ElementsAre(HasSubstr("taskowned")));
  ASSERT_TRUE(io::RemoveAll(OfJob("chk-1")).ok());
  EXPECT_THAT(Paths(Find()), ElementsAre(OfJob("taskowned/" + Uuid('1'))));
}

TEST_F(OrphansTest, LinksAreNotFollowed) {
  const io::TempDirectory elsewhere = io::TempDirectory::Create("orphans").value();
  WriteTestFile(elsewhere.File("chk-1/" + Uuid('1')));
  ASSERT_EQ(symlink(elsewhere.path().c_str(), In("link").c_str()), 0);
  ASSERT_EQ(symlink(directory_.path().c_str(), In("loop").c_str()), 0);
  ASSERT_TRUE(io::CreateDirectories(OfJob("shared")).ok());
  ASSERT_EQ(symlink(elsewhere.File("chk-1/" + Uuid('1')).c_str(), Shared('1').c_str()), 0);
  EXPECT_THAT(Find().orphans, IsEmpty());
}

TEST_F(OrphansTest, WhatHasChangedSinceItWasFoundIsNotDeleted) {
  WriteTestFile(OfJob("chk-1/" + Uuid('1')));
  OrphanReport report = Find();
  ASSERT_EQ(report.orphans.size(), 1u);
  WriteTestFile(OfJob("chk-1/_metadata"));
  EXPECT_THAT(Message(DeleteOrphan(report.orphans[0])), HasSubstr("has become a snapshot"));
  ASSERT_TRUE(io::RemoveFile(OfJob("chk-1/_metadata")).ok());
  report.orphans[0].changed_ms -= 1000;
  EXPECT_THAT(Message(DeleteOrphan(report.orphans[0])), HasSubstr("has changed meanwhile"));
  EXPECT_TRUE(io::Exists(OfJob("chk-1/" + Uuid('1'))));
}

TEST_F(OrphansTest, HardLinksToOneFileAreDeletedOneAfterTheOther) {
  WriteTestFile(Shared('1'));
  ASSERT_TRUE(io::CreateDirectories(OfJob("chk-1")).ok());
  ASSERT_TRUE(io::LinkOrCopy(Shared('1'), OfJob("chk-1/" + Uuid('2'))).value());
  OrphanReport report = Find();
  ASSERT_EQ(report.orphans.size(), 2u);
  // As if the first were deleted a while after they were found.
  for (Orphan& orphan : report.orphans) {
    orphan.changed_ms = io::AttributesOf(Shared('1')).value().modified_ms;
  }
  for (const Orphan& orphan : report.orphans) {
    const Status deleted = DeleteOrphan(orphan);
    EXPECT_TRUE(deleted.ok()) << Message(deleted);
  }
  EXPECT_THAT(Find().orphans, IsEmpty());
}

TEST_F(OrphansTest, ADirectoryThatIsNotThereIsAnError) {
  OrphanSearch search;
  search.directory = In("nowhere");
  EXPECT_THAT(Message(FindOrphans(search).status()), HasSubstr(In("nowhere")));
}

}  // namespace
}  // namespace flink::snapshot
