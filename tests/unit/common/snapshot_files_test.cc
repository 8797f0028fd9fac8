#include "common/snapshot/snapshot_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <future>
#include <map>
#include <optional>

#include "common/io/file_lock.h"
#include "common/io/temp_directory.h"
#include "common/snapshot/orphans.h"
#include "common/snapshot/snapshot_claim.h"
#include "tests/unit/common/snapshot_builder.h"

namespace flink::snapshot {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr char kJob[] = "0123456789abcdef0123456789abcdef";
constexpr char kOtherJob[] = "fedcba9876543210fedcba9876543210";

class SnapshotFilesTest : public ::testing::Test {
 protected:
  std::string In(const std::string& path) const { return directory_.File(path); }
  std::string Checkpoint(const std::string& job, int id) const {
    return In(fmt::format("{}/chk-{}", job, id));
  }
  std::string Shared(const std::string& job, const std::string& name) const {
    return In(fmt::format("{}/shared/{}", job, name));
  }
  static void Write(const std::string& directory, std::vector<std::string> own,
                    std::vector<std::string> shared = {}) {
    TestSnapshot snapshot;
    snapshot.directory = directory;
    snapshot.own_files = std::move(own);
    snapshot.shared_files = std::move(shared);
    snapshot.job = kJob;
    WriteTestSnapshot(snapshot);
  }

  io::TempDirectory directory_ = io::TempDirectory::Create("snapshot-files").value();
};

// flink-surface §4.7 no. 94
TEST_F(SnapshotFilesTest, DisposeRemovesTheDirectoryAndFailsTheSecondTime) {
  const std::string path = In("savepoint-012345-0123456789ab");
  Write(path, {"a", "b"});
  EXPECT_TRUE(DisposeSnapshot("file:" + path).ok());
  EXPECT_FALSE(io::Exists(path));
  EXPECT_EQ(Message(DisposeSnapshot("file:" + path)),
            "Cannot find checkpoint or savepoint file/directory 'file:" + path +
                "' on file system 'file'.");
}

// flink-surface §4.7 no. 95
TEST_F(SnapshotFilesTest, DisposeOfOneSavepointLeavesItsNeighbours) {
  Write(In("savepoint-012345-000000000001"), {"a"});
  Write(In("savepoint-012345-000000000002"), {"a"});
  ASSERT_TRUE(DisposeSnapshot(In("savepoint-012345-000000000001") + "/_metadata").ok());
  EXPECT_FALSE(io::Exists(In("savepoint-012345-000000000001")));
  EXPECT_TRUE(LoadSnapshot(In("savepoint-012345-000000000002")).ok());
  EXPECT_TRUE(io::Exists(In("savepoint-012345-000000000002/a")));
}

// SavepointITCase, testTriggerSavepointAndResumeWithFileBasedCheckpointsAndRelocateBasePath
TEST_F(SnapshotFilesTest, DisposeOfARenamedSavepointRemovesItsFiles) {
  Write(In("savepoint-012345-0123456789ab"), {"a"});
  std::filesystem::rename(In("savepoint-012345-0123456789ab"), In("friday"));
  ASSERT_TRUE(DisposeSnapshot(In("friday")).ok());
  EXPECT_FALSE(io::Exists(In("friday")));
}

TEST_F(SnapshotFilesTest, DisposeLeavesOtherFilesOfADirectoryThatIsTheUsers) {
  Write(In("friday"), {"a"});
  WriteTestFile(In("friday/notes.txt"));
  WriteTestFile(In("friday/photos/1.jpg"));
  ASSERT_TRUE(DisposeSnapshot(In("friday")).ok());
  EXPECT_FALSE(io::Exists(In("friday/_metadata")));
  EXPECT_FALSE(io::Exists(In("friday/a")));
  EXPECT_TRUE(io::Exists(In("friday/notes.txt")));
  EXPECT_TRUE(io::Exists(In("friday/photos/1.jpg")));
}

TEST_F(SnapshotFilesTest, DisposeLeavesASnapshotThatLiesInADirectoryOfAnother) {
  const std::string outer = In("savepoint-012345-0123456789ab");
  const std::string inner = outer + "/savepoint-012345-cccccccccccc";
  Write(outer, {"a"});
  Write(inner, {"a"});
  ASSERT_TRUE(DisposeSnapshot(outer).ok());
  EXPECT_FALSE(io::Exists(outer + "/_metadata"));
  EXPECT_FALSE(io::Exists(outer + "/a"));
  EXPECT_TRUE(LoadSnapshot(inner).ok());
  EXPECT_TRUE(io::Exists(inner + "/a"));
  ASSERT_TRUE(DisposeSnapshot(inner).ok());
  EXPECT_FALSE(io::Exists(outer)) << "emptied before";
}

TEST_F(SnapshotFilesTest, DisposeLeavesTheUsersFilesInADirectoryThatAClusterNamed) {
  const std::string savepoint = In("savepoint-012345-0123456789ab");
  const std::string uuid = "/f81d4fae-7dec-11d0-a765-00a0c91e6bf6";
  for (const std::string& path : {savepoint, Checkpoint(kJob, 3)}) {
    Write(path, {"a"});
    WriteTestFile(path + "/notes.txt");
    WriteTestFile(path + "/sub/b");
    for (const char* name : {"/.x.1-2.tmp", "/_flink_cpp_lock"}) WriteTestFile(path + name);
    WriteTestFile(path + uuid);
    ASSERT_TRUE(DisposeSnapshot(path).ok());
    EXPECT_THAT(io::ListDirectory(path).value(), ElementsAre(io::DirectoryEntry{"notes.txt", false},
                                                             io::DirectoryEntry{"sub", true}));
    EXPECT_TRUE(io::Exists(path + "/sub/b"));
  }
}

TEST_F(SnapshotFilesTest, NothingOfASnapshotThatIsNotCompleteStays) {
  const std::string directory = Checkpoint(kJob, 3);
  for (const char* name : {"/f81d4fae-7dec-11d0-a765-00a0c91e6bf6", "/_flink_cpp.json",
                           "/.f81d4fae-7dec-11d0-a765-00a0c91e6bf6.12-3.tmp", "/_flink_cpp_lock",
                           "/._metadata.12-4.tmp"}) {
    WriteTestFile(directory + name);
  }
  ASSERT_TRUE(RemoveSnapshotDirectory(directory).ok());
  EXPECT_FALSE(io::Exists(directory));
}

TEST_F(SnapshotFilesTest, DisposeFollowsALinkAndLeavesIt) {
  int i = 0;
  for (const char* pointer : {"link", "link/", "link/_metadata"}) {
    // As a job that knows its directory by a link names its files.
    const std::string directory = Checkpoint(kJob, ++i);
    Write(directory, {"a"}, {Shared(kJob, "1.sst")});
    ASSERT_EQ(symlink(directory.c_str(), In("link").c_str()), 0);
    ASSERT_TRUE(DisposeSnapshot(In(pointer)).ok()) << pointer;
    EXPECT_FALSE(io::Exists(directory)) << pointer;
    EXPECT_FALSE(io::Exists(Shared(kJob, "1.sst"))) << pointer;
    EXPECT_TRUE(io::IsSymbolicLink(In("link"))) << pointer;
    ASSERT_TRUE(io::RemoveFile(In("link")).ok());
  }
  const std::string savepoint = In("savepoint-012345-0123456789ab");
  Write(savepoint, {"a"});
  ASSERT_EQ(symlink(savepoint.c_str(), In("link").c_str()), 0);
  ASSERT_TRUE(DeleteClaimedSnapshot(In("link/_metadata")).ok());
  EXPECT_FALSE(io::Exists(savepoint));
}

TEST_F(SnapshotFilesTest, DisposeOfACheckpointWhoseFilesAreNamedThroughALinkRemovesThem) {
  ASSERT_TRUE(io::CreateDirectories(In("disk")).ok());
  ASSERT_EQ(symlink(In("disk").c_str(), In("link").c_str()), 0);
  const std::string job = std::string("/") + kJob;
  Write(In("link") + job + "/chk-1", {"a"}, {In("link") + job + "/shared/1.sst"});
  ASSERT_TRUE(DisposeSnapshot(In("disk") + job + "/chk-1").ok());
  EXPECT_FALSE(io::Exists(In("disk") + job));
}

TEST_F(SnapshotFilesTest, TheDirectoryOfAJobGoesWithItsLastCheckpoint) {
  Write(Checkpoint(kJob, 1), {}, {Shared(kJob, "1.sst")});
  Write(Checkpoint(kJob, 2), {}, {Shared(kJob, "1.sst")});
  ASSERT_TRUE(io::CreateDirectories(In(std::string(kJob) + "/taskowned")).ok());
  WriteTestFile(In(std::string(kJob) + "/" + kLockFileName));
  ASSERT_TRUE(DisposeSnapshot(Checkpoint(kJob, 1)).ok());
  EXPECT_TRUE(io::Exists(Shared(kJob, "1.sst")));
  ASSERT_TRUE(DisposeSnapshot(Checkpoint(kJob, 2)).ok());
  EXPECT_FALSE(io::Exists(In(kJob)));

  ASSERT_TRUE(io::CreateDirectories(In(std::string(kJob) + "/shared")).ok());
  const auto lock = io::FileLock::Share(In(std::string(kJob) + "/" + kLockFileName));
  RemoveEmptyJobDirectory(In(kJob));
  EXPECT_TRUE(io::Exists(In(std::string(kJob) + "/shared"))) << "a job lives there";
}

TEST_F(SnapshotFilesTest, ASnapshotThatIsHeldIsNeitherDeletedNorClaimed) {
  const std::string path = In("savepoint-012345-0123456789ab");
  Write(path, {"a"});
  const LoadedSnapshot loaded = LoadSnapshot(path).value();
  const JobId job = JobId::FromHex(kOtherJob).value();
  std::optional<io::FileLock> first = HoldSnapshot(loaded).value();
  std::optional<io::FileLock> second = HoldSnapshot(loaded).value();
  ASSERT_TRUE(first.has_value() && second.has_value());
  first.reset();
  EXPECT_EQ(
      Message(DisposeSnapshot(path)),
      "The snapshot " + path +
          "/_metadata cannot be deleted now, because a job that was "
          "restored from it may have to go back to it: cancel that job, or wait for its first "
          "checkpoint (in claim mode LEGACY for its end).");
  EXPECT_THAT(Message(ClaimSnapshot(path + "/_metadata", job, "claims").status()),
              HasSubstr("cannot be claimed now"));
  EXPECT_TRUE(io::Exists(path + "/a"));
  second.reset();
  {
    const auto claim = ClaimSnapshot(path + "/_metadata", job, "claims");
    ASSERT_TRUE(claim.ok()) << Message(claim.status());
    EXPECT_THAT(Message(HoldSnapshot(loaded).status()), HasSubstr("was claimed by the job"));
  }
  EXPECT_TRUE(DisposeSnapshot(path).ok());
  EXPECT_TRUE(absl::IsNotFound(HoldSnapshot(loaded).status()));
}

/// So that none is deleted between the look at it and the lock.
TEST_F(SnapshotFilesTest, WhoeverHoldsASnapshotWaitsForADisposal) {
  const std::string path = In("savepoint-012345-0123456789ab");
  Write(path, {"a"});
  const LoadedSnapshot loaded = LoadSnapshot(path).value();
  auto turn = std::make_optional(io::FileLock::OfDirectory(path).value());
  auto held = std::async(std::launch::async, [&] { return HoldSnapshot(loaded).status(); });
  EXPECT_EQ(held.wait_for(std::chrono::milliseconds(50)), std::future_status::timeout);
  ASSERT_TRUE(io::RemoveFile(path + "/_metadata").ok());
  turn.reset();
  EXPECT_EQ(Message(held.get()), "the snapshot " + path + "/_metadata was deleted a moment ago");
}

TEST_F(SnapshotFilesTest, ASnapshotInADirectoryThatCannotBeWrittenIsHeld) {
  const std::string path = In("savepoint-012345-0123456789ab");
  Write(path, {"a"});
  const LoadedSnapshot loaded = LoadSnapshot(path).value();
  namespace fs = std::filesystem;
  fs::permissions(directory_.path(), fs::perms(0755));
  fs::permissions(path + "/_metadata", fs::perms(0444));
  fs::permissions(path, fs::perms(0555));
  const bool is_root = ::geteuid() == 0;
  const bool changed = !is_root || ::seteuid(65534) == 0;  // Root may write everywhere.
  const bool writable = ::eaccess((path + "/_metadata").c_str(), W_OK) == 0;
  const auto held = HoldSnapshot(loaded);
  ASSERT_TRUE(changed && (!is_root || ::seteuid(0) == 0));
  fs::permissions(path, fs::perms::owner_all);
  EXPECT_FALSE(writable);
  EXPECT_TRUE(held.ok() && held->has_value());
}

TEST_F(SnapshotFilesTest, AClaimedSnapshotLeavesOtherFilesOfADirectoryThatIsTheUsers) {
  Write(In("work"), {"a"}, {Shared(kJob, "1.sst")});
  WriteTestFile(In("work/_flink_cpp_claim.json"));
  WriteTestFile(In("work/notes.txt"));
  WriteTestFile(In("work/photos/1.jpg"));
  ASSERT_TRUE(DeleteClaimedSnapshot(In("work/_metadata")).ok());
  for (const char* gone : {"_metadata", "a", "_flink_cpp.json", "_flink_cpp_claim.json"}) {
    EXPECT_FALSE(io::Exists(In("work/") + gone)) << gone;
  }
  EXPECT_TRUE(io::Exists(In("work/notes.txt")));
  EXPECT_TRUE(io::Exists(In("work/photos/1.jpg")));
  EXPECT_TRUE(io::Exists(Shared(kJob, "1.sst"))) << "the job counts its users";
  EXPECT_TRUE(DeleteClaimedSnapshot(In("work/_metadata")).ok()) << "it is gone";
}

TEST_F(SnapshotFilesTest, ASnapshotOfAnotherNameLeavesTheOneBesideIt) {
  Write(In("work"), {"both"});
  ASSERT_TRUE(io::CopyFile(In("work/_metadata"), In("work/older")).ok());
  ASSERT_TRUE(DeleteClaimedSnapshot(In("work/older")).ok());
  EXPECT_FALSE(io::Exists(In("work/older")));
  EXPECT_TRUE(LoadSnapshot(In("work")).ok());
  EXPECT_TRUE(io::Exists(In("work/both")));
  EXPECT_TRUE(io::Exists(In("work/_flink_cpp.json")));
}

TEST_F(SnapshotFilesTest, ASnapshotOfAnotherNameLeavesTheSharedFilesOfTheOneBesideIt) {
  const std::string directory = Checkpoint(kJob, 5);
  Write(directory, {}, {Shared(kJob, "1.sst")});
  ASSERT_TRUE(io::CopyFile(directory + "/_metadata", directory + "/copy").ok());
  ASSERT_TRUE(DisposeSnapshot(directory + "/copy").ok());
  EXPECT_TRUE(io::Exists(Shared(kJob, "1.sst")));
  EXPECT_TRUE(LoadSnapshot(directory).ok());
}

TEST_F(SnapshotFilesTest, AClaimedSnapshotThatCannotBeReadIsNoneAfterwards) {
  Write(In("work"), {"a"});
  ASSERT_TRUE(io::WriteFileDurably(In("work/_metadata"), "damaged").ok());
  const Status status = DeleteClaimedSnapshot(In("work/_metadata"));
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(Message(status), ::testing::Not(HasSubstr("is left as it is")));
  EXPECT_FALSE(io::Exists(In("work/_metadata")));
}

TEST_F(SnapshotFilesTest, EverySnapshotIsReadOnceAlthoughOthersVanish) {
  for (int i = 1; i <= 20; ++i) Write(Checkpoint(kJob, i), {});
  int round = 0;
  std::map<std::string, int> seen;
  const auto list = [&]() -> StatusOr<std::vector<std::string>> {
    auto found = FindSnapshots(In(kJob), 1, nullptr);
    // One goes behind each listing.
    if (++round < 20) std::filesystem::remove_all(Checkpoint(kJob, round));
    return found;
  };
  const Status all = ForEachSnapshot(
      list, [&](const std::string& directory, const StatusOr<LoadedSnapshot>& loaded) {
        if (loaded.ok()) ++seen[directory];
        return OkStatus();
      });
  EXPECT_EQ(round, 2) << "the second time nothing new was listed that vanished";
  EXPECT_TRUE(all.ok()) << Message(all);
  for (const auto& [directory, times] : seen) EXPECT_EQ(times, 1) << directory;
}

TEST_F(SnapshotFilesTest, DisposeOfAnotherFileIsRefusedByItsName) {
  Write(In("friday"), {"a"});
  for (const char* name : {"friday/a", "plain"}) {
    WriteTestFile(In(name));
    EXPECT_EQ(Message(DisposeSnapshot("file://" + In(name))),
              "'file://" + In(name) +
                  "' is not a savepoint: name its directory, or the file _metadata in it");
  }
  EXPECT_TRUE(LoadSnapshot(In("friday")).ok());
  ASSERT_TRUE(DisposeSnapshot(In("friday/_metadata")).ok());
  EXPECT_FALSE(io::Exists(In("friday")));
}

// flink-surface §4.7 no. 93. That the metadata goes first is seen in the kill matrix.
TEST_F(SnapshotFilesTest, DisposeTriesEverythingAndReturnsTheFirstError) {
  Write(In("friday"), {"a", "b", "c"});
  ASSERT_TRUE(io::RemoveFile(In("friday/b")).ok());
  WriteTestFile(In("friday/b/not-to-be-deleted"));
  EXPECT_THAT(Message(DisposeSnapshot(In("friday"))), HasSubstr(In("friday/b")));
  EXPECT_FALSE(io::Exists(In("friday/_metadata")));
  EXPECT_FALSE(io::Exists(In("friday/a")));
  EXPECT_FALSE(io::Exists(In("friday/c")));
  EXPECT_TRUE(io::Exists(In("friday/b/not-to-be-deleted")));
}

TEST_F(SnapshotFilesTest, DisposeOfACheckpointRemovesSharedFilesThatNoOtherNames) {
  Write(Checkpoint(kJob, 1), {"a"}, {Shared(kJob, "1.sst"), Shared(kJob, "both.sst")});
  Write(Checkpoint(kJob, 2), {"a"}, {Shared(kJob, "both.sst"), Shared(kJob, "2.sst")});
  ASSERT_TRUE(DisposeSnapshot(Checkpoint(kJob, 1)).ok());
  EXPECT_FALSE(io::Exists(Checkpoint(kJob, 1)));
  EXPECT_FALSE(io::Exists(Shared(kJob, "1.sst")));
  EXPECT_TRUE(io::Exists(Shared(kJob, "both.sst")));
  EXPECT_TRUE(io::Exists(Shared(kJob, "2.sst")));
  ASSERT_TRUE(DisposeSnapshot(Checkpoint(kJob, 2)).ok());
  EXPECT_FALSE(io::Exists(Shared(kJob, "both.sst")));
  EXPECT_FALSE(io::Exists(Shared(kJob, "2.sst")));
}

TEST_F(SnapshotFilesTest, DisposeKeepsSharedFilesThatAnotherJobNames) {
  Write(Checkpoint(kJob, 1), {}, {Shared(kJob, "1.sst")});
  Write(Checkpoint(kOtherJob, 7), {}, {Shared(kJob, "1.sst")});
  ASSERT_TRUE(DisposeSnapshot(Checkpoint(kJob, 1)).ok());
  EXPECT_TRUE(io::Exists(Shared(kJob, "1.sst")));
}

TEST_F(SnapshotFilesTest, DisposeKeepsSharedFilesWhenAnotherSnapshotCannotBeRead) {
  Write(Checkpoint(kJob, 1), {"a"}, {Shared(kJob, "1.sst")});
  WriteTestFile(Checkpoint(kJob, 2) + "/_metadata", "damaged");
  ASSERT_TRUE(DisposeSnapshot(Checkpoint(kJob, 1)).ok());
  EXPECT_FALSE(io::Exists(Checkpoint(kJob, 1)));
  EXPECT_TRUE(io::Exists(Shared(kJob, "1.sst")));
}

TEST_F(SnapshotFilesTest, DisposeLeavesSharedFilesOfAnotherDirectory) {
  Write(Checkpoint(kOtherJob, 1), {}, {Shared(kJob, "1.sst")});
  ASSERT_TRUE(DisposeSnapshot(Checkpoint(kOtherJob, 1)).ok());
  EXPECT_TRUE(io::Exists(Shared(kJob, "1.sst")));
}

TEST_F(SnapshotFilesTest, DisposeLeavesADirectoryWhoseMetadataCannotBeRead) {
  WriteTestFile(In("savepoint-012345-0123456789ab/_metadata"), "damaged");
  const Status status = DisposeSnapshot(In("savepoint-012345-0123456789ab"));
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(Message(status),
              StartsWith("it is left as it is, because its metadata cannot be read: "));
  EXPECT_TRUE(io::Exists(In("savepoint-012345-0123456789ab/_metadata")));
}

TEST_F(SnapshotFilesTest, DisposeLeavesACheckpointWhoseJobLives) {
  Write(Checkpoint(kJob, 1), {"a"});
  ASSERT_EQ(symlink(In(kJob).c_str(), In("link").c_str()), 0);
  {
    const auto lock = io::FileLock::Share(In(std::string(kJob) + "/" + kLockFileName));
    ASSERT_TRUE(lock.ok());
    for (const std::string& path : {Checkpoint(kJob, 1), In("link/chk-1")}) {
      EXPECT_THAT(Message(DisposeSnapshot(path)), HasSubstr(std::string("of the job ") + kJob));
    }
    EXPECT_TRUE(LoadSnapshot(Checkpoint(kJob, 1)).ok());
  }
  EXPECT_TRUE(DisposeSnapshot(Checkpoint(kJob, 1)).ok());
}

TEST_F(SnapshotFilesTest, ASavepointThatMayNotBeLookedAtIsNotTakenForAnotherFile) {
  const std::string path = In("mine/savepoint-012345-0123456789ab");
  Write(path, {"a"});
  namespace fs = std::filesystem;
  const bool is_root = ::geteuid() == 0;
  fs::permissions(directory_.path(), fs::perms::owner_all | fs::perms::others_exec);
  fs::permissions(In("mine"), is_root ? fs::perms::owner_all : fs::perms::none);
  const bool changed = !is_root || ::seteuid(65534) == 0;  // Root may look everywhere.
  const Status status = DisposeSnapshot(path);
  ASSERT_TRUE(changed && (!is_root || ::seteuid(0) == 0));
  fs::permissions(In("mine"), fs::perms::owner_all);
  EXPECT_EQ(Message(status),
            "it is left as it is, because its metadata cannot be read: cannot read the size of " +
                path + ": Permission denied");
}

/// Each looks whether the other is there and then acts, so only one of them may be at it.
TEST_F(SnapshotFilesTest, ADisposalAndAClaimWaitForEachOther) {
  const std::string path = In("savepoint-012345-0123456789ab");
  Write(path, {"a"});
  const JobId job = JobId::FromHex(kOtherJob).value();
  auto turn = std::make_optional(io::FileLock::OfDirectory(path).value());
  auto claimed = std::async(std::launch::async,
                            [&] { return ClaimSnapshot(path + "/_metadata", job, "claims"); });
  EXPECT_EQ(claimed.wait_for(std::chrono::milliseconds(50)), std::future_status::timeout);
  EXPECT_FALSE(FindClaim(path).value().has_value());
  turn.reset();
  std::optional<io::FileLock> claim(claimed.get().value());
  EXPECT_THAT(Message(DisposeSnapshot(path)), HasSubstr("was claimed by the job"));
  claim.reset();

  turn = io::FileLock::OfDirectory(path).value();
  auto disposed = std::async(std::launch::async, [&] { return DisposeSnapshot(path); });
  EXPECT_EQ(disposed.wait_for(std::chrono::milliseconds(50)), std::future_status::timeout);
  EXPECT_TRUE(io::Exists(path + "/_metadata"));
  turn.reset();
  EXPECT_TRUE(disposed.get().ok());
  EXPECT_FALSE(io::Exists(path));
}

TEST_F(SnapshotFilesTest, FindsSnapshotsToTheDepthAskedForAndFollowsNoLinks) {
  Write(In("chk-1"), {});
  Write(Checkpoint(kJob, 2), {});
  Write(In("a/b/c/savepoint"), {});
  ASSERT_EQ(symlink(directory_.path().c_str(), In("a/loop").c_str()), 0);
  EXPECT_THAT(FindSnapshots(directory_.path(), 2, nullptr),
              ElementsAre(Checkpoint(kJob, 2), In("chk-1")));
  EXPECT_THAT(FindSnapshots(directory_.path(), 64, nullptr),
              ElementsAre(Checkpoint(kJob, 2), In("a/b/c/savepoint"), In("chk-1")));
}

TEST(SnapshotNameTest, KnowsTheNamesThatClustersGive) {
  EXPECT_TRUE(IsCheckpointName("chk-17"));
  EXPECT_FALSE(IsCheckpointName("chk-"));
  EXPECT_FALSE(IsCheckpointName("chk-1a"));
  EXPECT_TRUE(IsSavepointName("savepoint-012345-0123456789ab"));
  EXPECT_FALSE(IsSavepointName("savepoint-012345-0123456789a"));
  EXPECT_FALSE(IsSavepointName("savepoint-friday-0123456789ab"));
}

}  // namespace
}  // namespace flink::snapshot
