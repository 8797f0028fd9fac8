/// Nothing damaged is restored: every refusal names the file, no refused job is tried again.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "tests/integration/lifecycle_fixture.h"

namespace flink::testing {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

std::string ReadAll(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}
/// Another inode: other snapshots may have links to the old one.
void Replace(const std::string& path, const std::string& bytes) {
  fs::remove(path);
  std::ofstream(path, std::ios::binary) << bytes;
}

class DamagedSnapshotTest : public LifecycleTest {
 protected:
  /// Every stream is a file of its own.
  static Words NoInline() { return {"-Dexecution.checkpointing.data-inline-threshold=0"}; }
  /// A savepoint of a job that was cancelled then.
  static std::string MakeSavepoint(const Words& options = {}) {
    const std::string job = RunningJob(NoInline() + options);
    std::string path = TakeSavepoint(job);
    Cancel(job);
    return path;
  }
  static CommandResult RunFrom(const std::string& path, const Words& options = {}) {
    return cluster_->Flink(Words{"run", "-d", "-s", path} + options + Settings() +
                           Counting("again", 10'000));
  }
  static std::string IdIn(const std::string& out) {
    const std::string before = "JobID ";
    const size_t at = out.find(before);
    return at == std::string::npos ? "" : out.substr(at + before.size(), 32);
  }
  /// A refusal at submission, before any task is started.
  static void ExpectRefusedAtOnce(const CommandResult& run, const std::string& text) {
    ExpectRefused(run, text);
    EXPECT_THAT(run.out, Not(HasSubstr("submitted")));
  }
};

TEST_F(DamagedSnapshotTest, AChangedByteInAnyFileEndsTheRunWithTheNameOfTheFile) {
  for (const char* type : {"native", "canonical"}) {
    const std::string job = RunningJob(NoInline());
    const CommandResult taken = cluster_->Flink({"savepoint", "--type", type, job});
    Cancel(job);
    if (taken.exit_code != 0) {
      EXPECT_STREQ(type, "canonical") << taken.err;
      continue;
    }
    const size_t at = taken.out.find("file:");
    const std::string path = taken.out.substr(at + 5, taken.out.find('\n', at) - at - 5);
    int state_files = 0;
    for (const std::string& name : Entries(path)) {
      if (name[0] == '_') continue;
      ++state_files;
      const std::string file = path + "/" + name;
      const std::string bytes = ReadAll(file);
      std::string damaged = bytes;
      damaged[bytes.size() / 2] = static_cast<char>(damaged[bytes.size() / 2] ^ 0x10);
      Replace(file, damaged);
      const CommandResult run = RunFrom(path);
      ExpectRefused(run, file + " has the checksum ");
      const std::string id = IdIn(run.out);
      if (!id.empty()) {  // State that the tasks read: the job was there, and was not tried again.
        EXPECT_EQ(cluster_->JobState(id), "FAILED");
        const auto history = cluster_->Get("/jobs/" + id + "/exceptions");
        ASSERT_TRUE(history.ok());
        EXPECT_EQ((*history)["exceptionHistory"]["entries"].size(), 1u) << history->dump();
      }
      Replace(file, bytes);
    }
    EXPECT_GE(state_files, 1) << type;
    const CommandResult intact = RunFrom(path);
    EXPECT_EQ(intact.exit_code, 0) << intact.err << cluster_->Logs();
    EXPECT_EQ(cluster_->JobState(IdIn(intact.out)), "RUNNING");
    Cancel(IdIn(intact.out));
  }
}

TEST_F(DamagedSnapshotTest, DamagedMetadataIsRefusedBeforeAnyTaskStarts) {
  const std::string path = MakeSavepoint();
  const std::string file = path + "/_metadata";
  const std::string bytes = ReadAll(file);
  for (const size_t size : {size_t{0}, size_t{5}, size_t{8}, bytes.size() / 2, bytes.size() - 1}) {
    Replace(file, bytes.substr(0, size));
    ExpectRefusedAtOnce(RunFrom(path), file + " has " + std::to_string(size) + " bytes");
  }
  std::string damaged = bytes;
  damaged[20] = static_cast<char>(damaged[20] ^ 1);
  Replace(file, damaged);
  ExpectRefusedAtOnce(RunFrom(path), file + " has the checksum ");
  fs::remove(file);
  fs::create_directory(file);
  ExpectRefusedAtOnce(RunFrom(path), file);
}

TEST_F(DamagedSnapshotTest, WhatIsNoSavepointIsRefusedByName) {
  const std::string path = MakeSavepoint();
  const std::string empty = Dir("empty");
  fs::create_directories(empty);
  // flink-surface §4.4 no. 59
  ExpectRefusedAtOnce(RunFrom(empty),
                      "Cannot find meta data file '_metadata' in directory '" + empty +
                          "'. Please try to load the checkpoint/savepoint directly from the "
                          "metadata file instead of the directory.");
  ExpectRefusedAtOnce(RunFrom(Dir("nowhere")),
                      "Cannot find checkpoint or savepoint file/directory '" + Dir("nowhere") +
                          "' on file system 'file'.");
  const std::string old = Dir("savepoint-2e5d1c");
  std::string bytes = ReadAll(path + "/_metadata");
  for (const auto& [version, text] : std::vector<std::pair<char, std::string>>{
           {1, "a savepoint of Flink 1.2"}, {9, "found 9: a newer Flink"}}) {
    bytes[7] = version;
    Replace(old, bytes);
    ExpectRefusedAtOnce(RunFrom(old), text);
    ExpectRefusedAtOnce(RunFrom(old), old);
  }
  Replace(old, "this is no savepoint");
  ExpectRefusedAtOnce(RunFrom(old), old + ": not readable as snapshot metadata: Unexpected magic");
}

TEST_F(DamagedSnapshotTest, MissingAndShortFilesAreRefusedBeforeAnyTaskStarts) {
  const std::string path = MakeSavepoint();
  for (const std::string& name : Entries(path)) {
    if (name[0] == '_') continue;
    const std::string file = path + "/" + name;
    const std::string bytes = ReadAll(file);
    fs::remove(file);
    ExpectRefusedAtOnce(RunFrom(path), "the state file " + file + " is missing");
    Replace(file, bytes.substr(0, bytes.size() - 1));
    ExpectRefusedAtOnce(RunFrom(path),
                        file + " has " + std::to_string(bytes.size() - 1) + " bytes");
    Replace(file, bytes);
    return;
  }
  FAIL() << "no state file in " << path;
}

// flink-surface §4.4 no. 58
TEST_F(DamagedSnapshotTest, TheDirectoryAndTheMetadataFileNameTheSameSavepoint) {
  const std::string path = MakeSavepoint();
  for (const std::string& pointer : {path, path + "/_metadata", "file://" + path}) {
    const CommandResult run = RunFrom(pointer);
    ASSERT_EQ(run.exit_code, 0) << run.err;
    EXPECT_EQ(cluster_->JobState(IdIn(run.out)), "RUNNING") << "run -d -s returned too early";
    Cancel(IdIn(run.out));
  }
}

TEST_F(DamagedSnapshotTest, VerifyTellsEveryDamagedFile) {
  const std::string path = MakeSavepoint();
  const CommandResult intact = cluster_->Flink({"savepoint", "verify", path});
  EXPECT_EQ(intact.exit_code, 0) << intact.out << intact.err;
  EXPECT_THAT(intact.out, HasSubstr("no damage found"));
  Words files;
  for (const std::string& name : Entries(path)) {
    if (name[0] != '_' && files.size() < 2) files.push_back(path + "/" + name);
  }
  ASSERT_GE(files.size(), 1u);
  for (const std::string& file : files) {
    std::string bytes = ReadAll(file);
    bytes.back() = static_cast<char>(bytes.back() ^ 1);
    Replace(file, bytes);
  }
  const CommandResult damaged = cluster_->Flink({"savepoint", "verify", path + "/_metadata"});
  EXPECT_EQ(damaged.exit_code, 1);
  for (const std::string& file : files) {
    EXPECT_THAT(damaged.out, HasSubstr(file + " has the checksum "));
  }
  EXPECT_THAT(damaged.err, HasSubstr("of the snapshot file:" + path + " "));
  EXPECT_THAT(damaged.err, HasSubstr("damaged or missing"));
  const CommandResult json = cluster_->Flink({"savepoint", "verify", path, "--json"});
  EXPECT_EQ(json.exit_code, 1);
  const auto parsed = nlohmann::json::parse(json.out, nullptr, false);
  ASSERT_TRUE(parsed.is_object()) << json.out;
  EXPECT_EQ(parsed["intact"], false);
  EXPECT_EQ(parsed["checksums"], true);
  EXPECT_EQ(parsed["problems"].size(), files.size());
  // Without checksums only sizes are left to look at.
  fs::remove(path + "/_flink_cpp.json");
  const CommandResult plain = cluster_->Flink({"savepoint", "verify", path});
  EXPECT_EQ(plain.exit_code, 0) << plain.out << plain.err;
  EXPECT_THAT(plain.out, HasSubstr("The snapshot has no checksums"));
}

TEST_F(DamagedSnapshotTest, AJobWhoseLatestCheckpointIsDamagedEndsWithTheNameOfTheFile) {
  const std::string job = RunningJob(NoInline() + Checkpoints("1 h"), 2000);
  ASSERT_EQ(cluster_->Flink({"checkpoint", job}).exit_code, 0);
  const std::string shared = Dir("chk") + "/" + job + "/shared";
  const Words files = Entries(shared);
  ASSERT_GE(files.size(), 1u);
  std::string bytes = ReadAll(shared + "/" + files[0]);
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  Replace(shared + "/" + files[0], bytes);
  ExternalCluster::Kill(cluster_->Processes("task-executor").front());
  ASSERT_TRUE(cluster_->WaitForJobState(job, "FAILED")) << cluster_->Logs();
  const auto history = cluster_->Get("/jobs/" + job + "/exceptions");
  ASSERT_TRUE(history.ok());
  EXPECT_THAT((*history)["exceptionHistory"]["entries"][0].dump(),
              AllOf(HasSubstr(shared + "/" + files[0] + " has the checksum "),
                    HasSubstr("an error that a restart cannot repair")));
}

}  // namespace
}  // namespace flink::testing
