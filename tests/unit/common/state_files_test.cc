#include "common/snapshot/state_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "common/graph/operator_id.h"
#include "common/io/checksum.h"
#include "common/io/file_system.h"
#include "common/io/temp_directory.h"
#include "common/snapshot/file_list.h"
#include "common/snapshot/file_verifier.h"

namespace flink::snapshot {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

std::string ReadAll(const std::string& path) { return io::ReadFile(path).value(); }

/// Without fsync: thousands of them are written.
void Write(const std::string& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary | std::ios::trunc) << bytes;
}

/// A savepoint of one keyed operator with two files and more than 4 KiB of metadata, and a file
/// outside of its directory.
class StoredSnapshotTest : public ::testing::Test {
 protected:
  void SetUp() override {
    directory_ = io::TempDirectory::Create("stored-snapshot").value();
    ASSERT_TRUE(io::CreateDirectories(File("sp")).ok());
    Write(File("sp/keyed"), std::string(300, 'k'));
    Write(File("sp/list"), "0123456789");
    Write(File("outside"), "of the directory");
    OperatorSnapshot op;
    op.operator_id = OperatorIdFromUid("count");
    op.parallelism = 2;
    op.max_parallelism = 128;
    op.coordinator_state = InlineHandle{"coordinator", std::string(5000, 'c')};
    KeyGroupsHandle groups;
    groups.offsets.assign(128, 0);
    groups.stream = RelativeFileHandle{"keyed", 300};
    op.subtasks[0].managed_keyed_state = groups;
    OperatorStateHandle list;
    list.stream = RelativeFileHandle{"list", 10};
    op.subtasks[0].managed_operator_state = list;
    list.stream = FileHandle{"file:" + File("outside"), 16};
    op.subtasks[1].managed_operator_state = list;
    metadata_.checkpoint_id = 7;
    metadata_.operators.push_back(op);
    WriteSnapshot();
  }

  std::string File(const std::string& name) const { return directory_.File(name); }
  std::string MetadataFile() const { return File("sp/_metadata"); }

  void WriteSnapshot() {
    const std::string bytes = SerializeMetadata(metadata_).value();
    Write(MetadataFile(), bytes);
    list_.files["_metadata"] = {static_cast<int64_t>(bytes.size()), io::Checksum64(bytes)};
    for (const char* name : {"keyed", "list"}) AddToList(name, File("sp/") + name);
    AddToList(File("outside"), File("outside"));
    WriteSideFile();
  }
  void AddToList(const std::string& key, const std::string& path) {
    const std::string bytes = ReadAll(path);
    list_.files[key] = {static_cast<int64_t>(bytes.size()), io::Checksum64(bytes)};
  }
  void WriteSideFile() {
    nlohmann::json json = {{"format_version", list_.version}, {"checksum", "xxh3-64"}};
    for (const auto& [name, file] : list_.files) {
      json["files"][name] = {{"size", file.size},
                             {"checksum", fmt::format("{:016x}", *file.checksum)}};
    }
    Write(File("sp/_flink_cpp.json"), json.dump(1));
  }

  /// Everything that is checked before a record is processed.
  Status LoadAndVerify() {
    ASSIGN_OR_RETURN(const LoadedSnapshot loaded, LoadSnapshot(File("sp")));
    ASSIGN_OR_RETURN(const std::vector<SnapshotFile> files, StateFilesOf(loaded));
    for (const SnapshotFile& file : files) RETURN_IF_ERROR(VerifyFile(file));
    return OkStatus();
  }
  void ExpectRefused(const std::string& text) {
    const Status status = LoadAndVerify();
    ASSERT_FALSE(status.ok()) << text;
    EXPECT_THAT(Message(status), HasSubstr(text));
  }

  io::TempDirectory directory_;
  CheckpointMetadata metadata_;
  FileList list_;
};

TEST_F(StoredSnapshotTest, AnIntactOneIsRead) {
  const auto loaded = LoadSnapshot(File("sp"));
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  const auto files = StateFilesOf(*loaded);
  ASSERT_TRUE(files.ok()) << files.status();
  std::vector<std::string> paths;
  for (const SnapshotFile& file : *files) {
    paths.push_back(file.path);
    EXPECT_TRUE(file.checksum.has_value()) << file.path;
    EXPECT_TRUE(VerifyFile(file).ok()) << VerifyFile(file);
  }
  EXPECT_THAT(paths, ElementsAre(File("outside"), File("sp/keyed"), File("sp/list")));
  EXPECT_EQ(ChecksumsOf(*files).size(), 3u);
}

// flink-surface §4.4 no. 58
TEST_F(StoredSnapshotTest, IsFoundByItsDirectoryAndByItsMetadataFile) {
  for (const std::string& pointer : {File("sp"), File("sp/"), File("sp/_metadata"),
                                     "file:" + File("sp"), "file://" + File("sp/_metadata")}) {
    const auto loaded = LoadSnapshot(pointer);
    ASSERT_TRUE(loaded.ok()) << loaded.status();
    EXPECT_EQ(loaded->directory, File("sp"));
    EXPECT_EQ(loaded->metadata.checkpoint_id, 7);
  }
}

// flink-surface §4.4 no. 59
TEST_F(StoredSnapshotTest, WhatIsNotThereIsToldInTheWordsOfFlink) {
  const std::string missing = "file://" + File("nowhere");
  EXPECT_EQ(Message(LoadSnapshot(missing).status()),
            "Cannot find checkpoint or savepoint file/directory '" + missing +
                "' on file system 'file'.");
  ASSERT_TRUE(io::CreateDirectories(File("empty")).ok());
  EXPECT_EQ(Message(LoadSnapshot(File("empty")).status()),
            "Cannot find meta data file '_metadata' in directory '" + File("empty") +
                "'. Please try to load the checkpoint/savepoint directly from the metadata file "
                "instead of the directory.");
  EXPECT_EQ(Message(LoadSnapshot("").status()),
            "Checkpoint/savepoint path '' is not a valid file URI. Either the pointer path is "
            "invalid, or the checkpoint was created by a different state backend.");
  EXPECT_THAT(Message(LoadSnapshot("foo://a/b").status()),
              HasSubstr("Cannot access file system for checkpoint/savepoint path 'foo://a/b'"));
}

TEST_F(StoredSnapshotTest, MetadataThatIsNoFileIsRefused) {
  ASSERT_EQ(::unlink(MetadataFile().c_str()), 0);
  ASSERT_TRUE(io::CreateDirectories(MetadataFile()).ok());
  ExpectRefused(MetadataFile() + ": Is a directory");
  ASSERT_TRUE(io::RemoveFile(MetadataFile()).ok());
  ASSERT_EQ(::mkfifo(MetadataFile().c_str(), 0600), 0);
  ExpectRefused(MetadataFile() + " is not a regular file");
}

TEST_F(StoredSnapshotTest, FilesThatMayNotBeReadAreNamed) {
  // Root may read everything, so that the test becomes nobody.
  constexpr uid_t kNobody = 65534;
  const bool is_root = ::geteuid() == 0;
  ASSERT_EQ(::chmod(directory_.path().c_str(), 0755), 0);
  for (const std::string& file :
       {File("sp/keyed"), MetadataFile(), File("sp/_flink_cpp.json"), File("sp")}) {
    ASSERT_EQ(::chmod(file.c_str(), 0), 0);
    const bool changed = !is_root || ::seteuid(kNobody) == 0;
    const Status status = LoadAndVerify();
    ASSERT_TRUE(changed && (!is_root || ::seteuid(0) == 0));
    EXPECT_THAT(Message(status), HasSubstr(file));
    EXPECT_THAT(Message(status), HasSubstr("Permission denied"));
    ASSERT_EQ(::chmod(file.c_str(), 0755), 0);
  }
}

TEST_F(StoredSnapshotTest, EveryTruncationOfTheMetadataIsRefused) {
  for (const bool with_side_file : {true, false}) {
    if (!with_side_file) {
      ASSERT_TRUE(io::RemoveFile(File("sp/_flink_cpp.json")).ok());
    }
    Write(MetadataFile(), SerializeMetadata(metadata_).value());
    for (off_t size = 4096; size >= 0; --size) {
      ASSERT_EQ(::truncate(MetadataFile().c_str(), size), 0);
      const auto loaded = LoadSnapshot(File("sp"));
      ASSERT_FALSE(loaded.ok()) << size;
      ASSERT_THAT(Message(loaded.status()), HasSubstr(MetadataFile())) << size;
      ASSERT_EQ(loaded.status().code(), absl::StatusCode::kDataLoss) << size;
    }
  }
}

TEST_F(StoredSnapshotTest, EveryChangedByteOfTheMetadataIsRefused) {
  const std::string bytes = ReadAll(MetadataFile());
  for (size_t i = 0; i < bytes.size(); ++i) {
    std::string damaged = bytes;
    damaged[i] = static_cast<char>(damaged[i] ^ (1 << (i % 8)));
    Write(MetadataFile(), damaged);
    const auto loaded = LoadSnapshot(File("sp"));
    ASSERT_FALSE(loaded.ok()) << i;
    ASSERT_THAT(Message(loaded.status()), HasSubstr(MetadataFile())) << i;
  }
}

TEST_F(StoredSnapshotTest, EveryChangedByteOfAStateFileIsFound) {
  for (const std::string& path : {File("sp/keyed"), File("sp/list"), File("outside")}) {
    const std::string bytes = ReadAll(path);
    for (size_t i = 0; i < bytes.size(); ++i) {
      std::string damaged = bytes;
      damaged[i] = static_cast<char>(damaged[i] ^ (1 << (i % 8)));
      Write(path, damaged);
      const Status status = LoadAndVerify();
      ASSERT_EQ(status.code(), absl::StatusCode::kDataLoss) << path << " " << i;
      ASSERT_THAT(Message(status), HasSubstr(path)) << i;
    }
    Write(path, bytes);
  }
}

TEST_F(StoredSnapshotTest, NoChangedByteOfTheSideFileTurnsChecksOff) {
  const std::string path = File("sp/_flink_cpp.json");
  const std::string text = ReadAll(path);
  int refused = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    std::string damaged = text;
    damaged[i] = static_cast<char>(damaged[i] ^ (1 << (i % 7)));
    Write(path, damaged);
    const Status status = LoadAndVerify();
    if (!status.ok()) {
      ++refused;
      ASSERT_THAT(Message(status), HasSubstr(directory_.path())) << i;
      continue;
    }
    const auto files = StateFilesOf(*LoadSnapshot(File("sp")));
    for (const SnapshotFile& file : *files) ASSERT_TRUE(file.checksum.has_value()) << damaged;
  }
  EXPECT_GT(refused, 100);
}

TEST(StateFilesTest, AMovedCheckpointIsSaidToBeOne) {
  LoadedSnapshot loaded;
  loaded.directory = "/backup/chk-5";
  OperatorSnapshot& op = loaded.metadata.operators.emplace_back();
  IncrementalHandle handle;
  const std::map<std::string, std::string> files = {
      {"/ckpt/job/chk-5/a",
       ": /backup/chk-5 is a checkpoint, or a savepoint of Flink before 1.11, and names its files "
       "by their paths; if it was moved, move it back to where it was written"},
      {"/backup/chk-5/b", ""},
      {"/backup/shared/c", ""}};
  for (const auto& [path, hint] : files) {
    handle.private_files.push_back({io::BaseName(path), FileHandle{path, 1}});
  }
  op.subtasks[0].managed_keyed_state = handle;
  const auto found = StateFilesOf(loaded).value();
  ASSERT_EQ(found.size(), files.size());
  for (const SnapshotFile& file : found) {
    EXPECT_EQ(Message(CheckFile(file)),
              "the state file " + file.path + " is missing" + files.at(file.path));
  }
}

TEST_F(StoredSnapshotTest, AMissingOrResizedStateFileIsNamed) {
  const std::string bytes = ReadAll(File("sp/keyed"));
  ASSERT_TRUE(io::RemoveFile(File("sp/keyed")).ok());
  ExpectRefused("the state file " + File("sp/keyed") + " is missing");
  Write(File("sp/keyed"), bytes.substr(0, 299));
  ExpectRefused(File("sp/keyed") + " has 299 bytes, its snapshot says 300");
  Write(File("sp/keyed"), bytes + "x");
  ExpectRefused(File("sp/keyed") + " has 301 bytes, its snapshot says 300");
}

TEST_F(StoredSnapshotTest, SnapshotsOfFlinkHaveNoChecksums) {
  ASSERT_TRUE(io::RemoveFile(File("sp/_flink_cpp.json")).ok());
  EXPECT_TRUE(LoadAndVerify().ok()) << LoadAndVerify();
  const auto loaded = LoadSnapshot(File("sp"));
  EXPECT_TRUE(ChecksumsOf(*StateFilesOf(*loaded)).empty());
  ASSERT_EQ(::truncate(File("sp/list").c_str(), 9), 0);
  ExpectRefused(File("sp/list") + " has 9 bytes");
}

TEST_F(StoredSnapshotTest, AFirstVersionOfTheSideFileChecksWhatItLists) {
  const std::string sum = fmt::format("{:016x}", *list_.files["keyed"].checksum);
  Write(File("sp/_flink_cpp.json"),
        R"({"format_version": 1, "kind": "savepoint", "operators": [], "checksum": "xxh3-64",
            "files": {"keyed": ")" +
            sum + R"("}})");
  EXPECT_TRUE(LoadAndVerify().ok()) << LoadAndVerify();
  Write(File("sp/keyed"), std::string(300, 'K'));
  ExpectRefused(File("sp/keyed") + " has the checksum ");
}

TEST_F(StoredSnapshotTest, ASideFileOfANewerReleaseIsRefused) {
  list_.version = 3;
  WriteSideFile();
  ExpectRefused("it has version 3, the newest that is known here is 2");
}

TEST_F(StoredSnapshotTest, FilesThatTheSideFileDoesNotListAreRefused) {
  list_.files.erase("list");
  WriteSideFile();
  ExpectRefused("_flink_cpp.json does not list " + File("sp/list"));
}

TEST_F(StoredSnapshotTest, PathsThatLeaveTheDirectoryAreRefused) {
  for (const char* path : {"../outside", "/etc/passwd", "a/../../outside", "..", ""}) {
    std::get<KeyGroupsHandle>(metadata_.operators[0].subtasks[0].managed_keyed_state).stream =
        RelativeFileHandle{path, 300};
    WriteSnapshot();
    ExpectRefused(std::string("the relative path \"") + path + "\" leads out of the snapshot's");
    EXPECT_FALSE(ResolveStreamPath(RelativeFileHandle{path, 1}, "/sp").ok());
  }
  EXPECT_TRUE(ResolveStreamPath(RelativeFileHandle{"a/b..c/..d", 1}, "/sp").ok());
}

TEST_F(StoredSnapshotTest, LocalNamesThatAreNoFileNamesAreRefused) {
  for (const char* name : {"../db/CURRENT", "/etc/passwd", "a/b", "..", ".", ""}) {
    IncrementalHandle files;
    files.key_group_count = 128;
    files.private_files = {{name, RelativeFileHandle{"keyed", 300}}};
    metadata_.operators[0].subtasks[0].managed_keyed_state = files;
    WriteSnapshot();
    ExpectRefused(std::string("expected the name of a file, found \"") + name);
  }
}

TEST_F(StoredSnapshotTest, VersionsThatCannotBeReadAreNamed) {
  ASSERT_TRUE(io::RemoveFile(File("sp/_flink_cpp.json")).ok());
  const std::vector<std::pair<char, std::string>> versions = {
      {0, "a savepoint of Flink 1.1 (metadata version 0, a single file)"},
      {1, "a savepoint of Flink 1.2 (metadata version 1, a single file)"},
      {7, "expected a metadata version from 2 to 6, found 7: a newer Flink"}};
  for (const auto& [version, text] : versions) {
    std::string bytes = SerializeMetadata(metadata_).value();
    bytes[7] = version;
    Write(File("savepoint-0a1b2c"), bytes);
    const auto loaded = LoadSnapshot(File("savepoint-0a1b2c"));
    EXPECT_EQ(loaded.status().code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(Message(loaded.status()), HasSubstr(File("savepoint-0a1b2c")));
    EXPECT_THAT(Message(loaded.status()), HasSubstr(text));
  }
  Write(File("savepoint-1"), "\xac\xed" + std::string("\0\5sr", 4));
  EXPECT_THAT(Message(LoadSnapshot(File("savepoint-1")).status()), HasSubstr("Flink 1.0"));
  Write(File("savepoint-1"), "a line of text");
  EXPECT_THAT(
      Message(LoadSnapshot(File("savepoint-1")).status()),
      HasSubstr(File("savepoint-1") + ": not readable as snapshot metadata: Unexpected magic "
                                      "number. This can have multiple reasons: (1) You are "
                                      "trying to load a Flink 1.0 savepoint"));
}

TEST_F(StoredSnapshotTest, SizesThatOverflowTogetherAreNoSum) {
  OperatorStateHandle list;
  list.stream = FileHandle{"/a", INT64_MAX};
  metadata_.operators[0].subtasks[0].managed_operator_state = list;
  metadata_.operators[0].subtasks[1].managed_operator_state = list;
  EXPECT_EQ(metadata_.StateSize(), INT64_MAX);
}

TEST_F(StoredSnapshotTest, FilesAreVerifiedInParallelWithOneResultEach) {
  WorkerPool pool("verify", 3);
  for (WorkerPool* const threads : {&pool, static_cast<WorkerPool*>(nullptr)}) {
    FileVerifier verifier(threads);
    std::vector<SnapshotFile> files;
    for (int i = 0; i < 50; ++i) {
      const std::string bytes(static_cast<size_t>(1000 * i), 'x');
      SnapshotFile file;
      file.path = File(std::to_string(i));
      Write(file.path, bytes);
      file.size = static_cast<int64_t>(bytes.size());
      file.checksum = io::Checksum64(bytes) ^ (i == 20 || i == 30 ? 1 : 0);
      files.push_back(file);
    }
    verifier.Start(files);
    EXPECT_THAT(Message(verifier.Wait()), HasSubstr(File("20")));
    for (size_t i = 0; i < 50; ++i) {
      EXPECT_EQ(verifier.Results()[i].ok(), i != 20 && i != 30) << i;
    }
  }
}

}  // namespace
}  // namespace flink::snapshot
