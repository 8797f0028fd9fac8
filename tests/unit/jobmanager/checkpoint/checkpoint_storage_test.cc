#include "jobmanager/checkpoint/checkpoint_storage.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <thread>

#include "common/graph/operator_id.h"
#include "common/io/file_system.h"
#include "common/io/temp_directory.h"
#include "common/snapshot/orphans.h"
#include "common/snapshot/snapshot_files.h"
#include "common/snapshot/snapshot_journal.h"
#include "flink/pb/cluster/v1/executor.pb.h"
#include "tests/unit/common/snapshot_builder.h"

namespace flink::jobmanager {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::MatchesRegex;
using ::testing::StartsWith;

constexpr char kJob[] = "0123456789abcdef0123456789abcdef";

class CheckpointStorageTest : public ::testing::Test {
 protected:
  std::string In(const std::string& path) const { return directory_.File(path); }
  CheckpointStorage::Options Options() const {
    CheckpointStorage::Options options;
    options.job = JobId::FromHex(kJob).value();
    options.directory = In(std::string("chk/") + kJob);
    options.journals = {In("chk")};
    return options;
  }

  /// Persists a snapshot whose one subtask has one state file.
  static StatusOr<PersistedMetadata> Persist(const CheckpointStorage& storage, SnapshotKind kind,
                                             const std::string& location,
                                             const std::string& state_file) {
    EXPECT_TRUE(io::WriteFileDurably(state_file, "state").ok());
    SnapshotDescription description;
    description.job = JobId::FromHex(kJob).value();
    description.job_name = "Words";
    SnapshotOperator& op = description.operators.emplace_back();
    op.id = OperatorIdFromUid("count");
    op.uid = "count";
    snapshot::SubtaskState state;
    state.managed_operator_state.emplace();
    state.managed_operator_state->stream = snapshot::FileHandle{state_file, 5};
    pb::cluster::v1::CheckpointAck ack;
    auto* acknowledged = ack.add_operators();
    for (const uint8_t byte : op.id.bytes()) {
      acknowledged->mutable_operator_id()->push_back(static_cast<char>(byte));
    }
    acknowledged->set_state(snapshot::EncodeSubtaskState(state));
    checkpoint::PersistMetadata action;
    action.checkpoint = 7;
    action.kind = kind;
    action.location = location;
    action.trigger_timestamp_ms = 1000;
    action.subtasks[SubtaskRef{}].state = ack.SerializeAsString();
    return storage.Persist(action, description);
  }
  static std::vector<std::string> FilesIn(const std::string& directory) {
    std::vector<std::string> names;
    const auto entries = io::ListDirectory(directory).value();
    names.reserve(entries.size());
    for (const io::DirectoryEntry& entry : entries) names.push_back(entry.name);
    return names;
  }

  io::TempDirectory directory_ = io::TempDirectory::Create("storage").value();
};

// flink-surface §4.2 no. 25
TEST_F(CheckpointStorageTest, ASavepointGetsANewDirectoryNamedAfterItsJob) {
  const CheckpointStorage storage(Options());
  const auto first = storage.CreateLocation(1, "file:" + In("sp"));
  const auto second = storage.CreateLocation(1, In("sp"));
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_NE(*first, *second);
  EXPECT_EQ(io::DirectoryName(*first), In("sp"));
  EXPECT_THAT(io::BaseName(*first), MatchesRegex("savepoint-012345-[0-9a-f]{12}"));
  ASSERT_TRUE(io::WriteFileDurably(In("file"), "x").ok());
  EXPECT_THAT(Message(storage.CreateLocation(1, In("file/sp")).status()),
              HasSubstr("Failed to create savepoint directory at " + In("file/sp")));
  // As recorded (79, 80): no directory at all, so no advice about directories.
  EXPECT_THAT(Message(storage.CreateLocation(1, "s3://bucket/sp").status()),
              StartsWith("Could not find a file system implementation for scheme 's3'"));
}

// flink-surface §4.2 no. 26, 27 and 30
TEST_F(CheckpointStorageTest, ASavepointIsMetadataBesideItsFilesAndMayBeMoved) {
  const CheckpointStorage storage(Options());
  const std::string location = storage.CreateLocation(7, In("sp")).value();
  const auto persisted = Persist(storage, SnapshotKind::kSavepoint, location, location + "/state");
  ASSERT_TRUE(persisted.ok()) << persisted.status();
  EXPECT_EQ(persisted->external_path, "file:" + location);
  EXPECT_THAT(FilesIn(location), ElementsAre(kSideFileName, "_metadata", "state"));
  std::filesystem::rename(In("sp"), In("moved"));
  const auto moved = snapshot::LoadSnapshot(In("moved/") + io::BaseName(location));
  ASSERT_TRUE(moved.ok()) << moved.status();
  EXPECT_THAT(FilesOutside(moved->metadata, moved->directory), IsEmpty());
}

// flink-surface §4.2 no. 28 and 31
TEST_F(CheckpointStorageTest, ACheckpointLiesInTheDirectoryOfItsJobAndNamesSharedFilesByPath) {
  const CheckpointStorage storage(Options());
  ASSERT_TRUE(storage.Prepare().ok());
  const std::string of_job = In(std::string("chk/") + kJob);
  EXPECT_TRUE(io::IsDirectory(of_job + "/shared"));
  EXPECT_TRUE(io::IsDirectory(of_job + "/taskowned"));
  const std::string location = storage.CreateLocation(7, "").value();
  EXPECT_EQ(location, of_job + "/chk-7");
  const auto persisted =
      Persist(storage, SnapshotKind::kCheckpoint, location, storage.shared_directory() + "/state");
  ASSERT_TRUE(persisted.ok()) << persisted.status();
  EXPECT_EQ(persisted->external_path, "file:" + location);
  const auto loaded = snapshot::LoadSnapshot(location);
  ASSERT_TRUE(loaded.ok());
  EXPECT_THAT(FilesOutside(loaded->metadata, location), ElementsAre(of_job + "/shared/state"));
}

// flink-surface §4.2 no. 29
TEST_F(CheckpointStorageTest, WithoutSubdirectoryTheLevelOfTheJobIsMissing) {
  CheckpointStorage::Options options = Options();
  options.directory = In("chk");
  options.owns_directory = false;
  const CheckpointStorage storage(options);
  ASSERT_TRUE(storage.Prepare().ok());
  EXPECT_EQ(storage.CreateLocation(7, "").value(), In("chk/chk-7"));
  storage.RemoveEmptyDirectories();
  EXPECT_TRUE(io::IsDirectory(In("chk/shared"))) << "other jobs use it";
}

TEST_F(CheckpointStorageTest, SavepointsAreNotedInTheJournalAndCheckpointsFoundWithoutIt) {
  const CheckpointStorage storage(Options());
  ASSERT_TRUE(storage.Prepare().ok());
  const std::string checkpoint = storage.CreateLocation(1, "").value();
  ASSERT_TRUE(Persist(storage, SnapshotKind::kCheckpoint, checkpoint, checkpoint + "/state").ok());
  EXPECT_THAT(snapshot::ReadJournal(In("chk")).value(), IsEmpty());
  const std::string savepoint = storage.CreateLocation(2, In("sp")).value();
  ASSERT_TRUE(Persist(storage, SnapshotKind::kStopSuspend, savepoint, savepoint + "/state").ok());
  const snapshot::JournalEntry expected{JobId::FromHex(kJob).value(), savepoint};
  EXPECT_THAT(snapshot::ReadJournal(In("chk")).value(), ElementsAre(expected));
}

TEST_F(CheckpointStorageTest, ACheckpointDirectoryElsewhereIsNotedOnce) {
  CheckpointStorage::Options options = Options();
  options.journals = {In("other")};
  const CheckpointStorage storage(options);
  ASSERT_TRUE(storage.Prepare().ok());
  const snapshot::JournalEntry expected{options.job, options.directory};
  EXPECT_THAT(snapshot::ReadJournal(In("other")).value(), ElementsAre(expected));
}

TEST_F(CheckpointStorageTest, AJournalThatCannotBeWrittenIsNoReasonToFail) {
  CheckpointStorage::Options options = Options();
  ASSERT_TRUE(io::WriteFileDurably(In("file"), "x").ok());
  options.journals = {In("file/below")};
  const CheckpointStorage storage(options);
  ASSERT_TRUE(storage.Prepare().ok());
  const std::string location = storage.CreateLocation(2, In("sp")).value();
  EXPECT_TRUE(Persist(storage, SnapshotKind::kSavepoint, location, location + "/state").ok());
}

TEST_F(CheckpointStorageTest, ADirectoryWithoutSubdirectoriesTakesOneJobAtATime) {
  CheckpointStorage::Options options = Options();
  options.directory = In("flat");
  options.owns_directory = false;
  const CheckpointStorage first(options);
  const CheckpointStorage second(options);
  ASSERT_TRUE(first.Prepare().ok());
  EXPECT_THAT(Message(second.Prepare()), HasSubstr("execution.checkpointing.create-subdir"));
  const auto owner = snapshot::LivingOwner(first.CreateLocation(3, "").value());
  ASSERT_TRUE(owner.has_value()) << "its checkpoints have one without a name";
  EXPECT_EQ(owner->job, std::nullopt);
  first.ReleaseLock(first.directory());
  EXPECT_TRUE(second.Prepare().ok());
}

TEST_F(CheckpointStorageTest, ACheckpointThatIsThereIsNotOverwritten) {
  const CheckpointStorage storage(Options());
  ASSERT_TRUE(storage.Prepare().ok());
  EXPECT_EQ(storage.HighestCheckpoint(), 0);
  for (const char* name : {"chk-3", "chk-12", "chk-99999999999999999999", "chk-x", "shared"}) {
    ASSERT_TRUE(io::CreateDirectories(io::JoinPath(storage.directory(), name)).ok());
  }
  EXPECT_EQ(storage.HighestCheckpoint(), 12);
  EXPECT_EQ(storage.CreateLocation(12, "").status().code(), absl::StatusCode::kAlreadyExists);
  EXPECT_TRUE(storage.CreateLocation(13, "").ok());
}

TEST_F(CheckpointStorageTest, TheLockOfTheJobsDirectoryEndsWithTheJob) {
  const CheckpointStorage storage(Options());
  ASSERT_TRUE(storage.Prepare().ok());
  const std::string checkpoint = storage.CreateLocation(7, "").value();
  ASSERT_TRUE(snapshot::LivingOwner(checkpoint).has_value());
  EXPECT_EQ(snapshot::LivingOwner(checkpoint)->job, JobId::FromHex(kJob).value());
  const std::string beside = storage.directory() + "/savepoint-012345-0123456789ab";
  ASSERT_TRUE(io::CreateDirectories(beside).ok());
  EXPECT_FALSE(snapshot::LivingOwner(beside).has_value()) << "it is the user's";
  storage.ReleaseLock(storage.directory());
  EXPECT_FALSE(snapshot::LivingOwner(checkpoint).has_value());
}

/// As when an earlier job of the id left its last checkpoint, which somebody disposes of.
TEST_F(CheckpointStorageTest, ADirectoryThatIsRemovedMeanwhileIsMadeAndLockedAllTheSame) {
  const std::string directory = In(std::string("chk/") + kJob);
  std::atomic<bool> end = false;
  std::thread other([&] {
    while (!end) snapshot::RemoveEmptyJobDirectory(directory);
  });
  for (int i = 0; i < 200; ++i) {
    const CheckpointStorage storage(Options());
    const Status prepared = storage.Prepare();
    EXPECT_TRUE(prepared.ok()) << Message(prepared);
    EXPECT_TRUE(io::IsLocked(io::JoinPath(directory, snapshot::kLockFileName)));
    EXPECT_TRUE(io::Exists(storage.shared_directory()));
  }
  end = true;
  other.join();
}

TEST_F(CheckpointStorageTest, ASavepointWithoutMetadataStaysLocked) {
  const CheckpointStorage storage(Options());
  const std::string location = storage.CreateLocation(2, In("sp")).value();
  // Cannot be replaced by the file.
  ASSERT_TRUE(io::CreateDirectories(location + "/_metadata/in-the-way").ok());
  ASSERT_FALSE(Persist(storage, SnapshotKind::kSavepoint, location, location + "/state").ok());
  EXPECT_TRUE(io::IsLocked(io::JoinPath(location, snapshot::kLockFileName)));
}

TEST_F(CheckpointStorageTest, WhatACopiedCheckpointNamesOfTheOriginalIsNotItsOwn) {
  const std::string shared = In("ckpt/job/shared/1");
  snapshot::TestSnapshot original;
  original.directory = In("ckpt/job/chk-5");
  original.own_files = {"own"};
  original.shared_files = {shared, In("ckpt/job/shared/merged/2")};
  snapshot::WriteTestSnapshot(original);
  std::filesystem::create_directories(In("backup"));
  std::filesystem::copy(original.directory, In("backup/chk-5"));
  const auto others = [](const std::string& directory) {
    const auto loaded = snapshot::LoadSnapshot(directory);
    EXPECT_TRUE(loaded.ok()) << loaded.status();
    return FilesOfOthers(*loaded, FilesOutside(loaded->metadata, loaded->directory));
  };
  EXPECT_THAT(others(original.directory), IsEmpty());
  EXPECT_THAT(others(In("backup/chk-5")), testing::ElementsAreArray(original.shared_files));
  // The same directory by another name.
  std::filesystem::create_directory_symlink(In("ckpt"), In("link"));
  EXPECT_THAT(others(In("link/job/chk-5")), IsEmpty());
  std::filesystem::create_directory_symlink(original.directory, In("latest"));
  EXPECT_THAT(others(In("latest")), IsEmpty());
  // A neighbour needs one of them.
  snapshot::TestSnapshot next;
  next.directory = In("ckpt/job/chk-6");
  next.shared_files = {shared};
  snapshot::WriteTestSnapshot(next);
  EXPECT_THAT(others(original.directory), ElementsAre(shared));
}

TEST_F(CheckpointStorageTest, LocksTheJobsDirectoryAndASavepointUntilItIsComplete) {
  const std::string lock = In(std::string("chk/") + kJob + "/" + snapshot::kLockFileName);
  {
    const CheckpointStorage storage(Options());
    ASSERT_TRUE(storage.Prepare().ok());
    EXPECT_TRUE(io::IsLocked(lock));
    const std::string location = storage.CreateLocation(2, In("sp")).value();
    EXPECT_TRUE(io::IsLocked(io::JoinPath(location, snapshot::kLockFileName)));
    ASSERT_TRUE(Persist(storage, SnapshotKind::kSavepoint, location, location + "/state").ok());
    EXPECT_FALSE(io::Exists(io::JoinPath(location, snapshot::kLockFileName)));
  }
  // As when the process was killed: the file stays, and nobody holds it.
  EXPECT_TRUE(io::Exists(lock));
  EXPECT_FALSE(io::IsLocked(lock));
  const CheckpointStorage storage(Options());
  ASSERT_TRUE(storage.Prepare().ok());
  storage.RemoveEmptyDirectories();
  EXPECT_FALSE(io::Exists(In(std::string("chk/") + kJob)));
}

}  // namespace
}  // namespace flink::jobmanager
