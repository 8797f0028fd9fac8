#include "common/io/file_system.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <string>

#include "common/io/absolute_path.h"
#include "common/io/checksum.h"
#include "common/io/temp_directory.h"

namespace flink::io {
namespace {

class FileSystem : public ::testing::Test {
 protected:
  void SetUp() override {
    auto directory = TempDirectory::Create("file-system");
    ASSERT_TRUE(directory.ok()) << directory.status();
    directory_ = *std::move(directory);
  }
  std::string Path(const std::string& name) const { return directory_.File(name); }

  TempDirectory directory_;
};

TEST(ParsePath, TakesFlinksSpellingsOfALocalPath) {
  for (const char* text :
       {"/x/y", "file:/x/y", "file:///x/y", "file://localhost/x/y", "/x//./y/", "/x/z/../y"}) {
    const auto path = ParsePath(text);
    ASSERT_TRUE(path.ok()) << path.status();
    EXPECT_EQ(*path, "/x/y") << text;
  }
  EXPECT_EQ(ParsePath("/").value(), "/");
  EXPECT_EQ(ParsePath("file:/with space:and colon").value(), "/with space:and colon");
  EXPECT_EQ(QualifyPath("/x/y"), "file:/x/y");
  EXPECT_EQ(QualifyPath("file:///x/y"), "file:/x/y");
}

TEST_F(FileSystem, ANewDirectoryIsNotThereYet) {
  EXPECT_TRUE(CreateNewDirectory(Path("new")).ok());
  EXPECT_EQ(CreateNewDirectory(Path("new")).code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(CreateNewDirectory(Path("no/parent")).code(), absl::StatusCode::kNotFound);
}

TEST_F(FileSystem, OneDirectoryIsTheSameByEveryPath) {
  ASSERT_TRUE(CreateDirectories(Path("a/b")).ok());
  ASSERT_TRUE(CreateDirectories(Path("c")).ok());
  ASSERT_EQ(symlink(Path("a").c_str(), Path("link").c_str()), 0);
  EXPECT_TRUE(IsSame(Path("a/b"), Path("link/b")));
  EXPECT_FALSE(IsSame(Path("a"), Path("c")));
  EXPECT_TRUE(IsSame(Path("gone"), Path("gone")));
  EXPECT_FALSE(IsSame(Path("gone"), Path("lost")));
}

TEST(ParsePath, TakesRelativePathsFromTheWorkingDirectory) {
  char directory[4096];
  ASSERT_NE(::getcwd(directory, sizeof directory), nullptr);
  EXPECT_EQ(ParsePath("a/b").value(), JoinPath(directory, "a/b"));
}

TEST(AbsolutePath, MakesOnlyRelativePathsAbsolute) {
  char directory[4096];
  ASSERT_NE(::getcwd(directory, sizeof directory), nullptr);
  const std::string here = directory;
  EXPECT_EQ(AbsolutePath("a/b/"), here + "/a/b");
  EXPECT_EQ(AbsolutePath("./a:b"), here + "/a:b");
  EXPECT_EQ(AbsolutePath("."), here);
  EXPECT_EQ(AbsolutePath("file:a"), "file:" + here + "/a");
  EXPECT_EQ(AbsolutePath("FILE:a"), "FILE:" + here + "/a");
  for (const char* text :
       {"", "/x/y/", "file:/x", "file:///x", "file:", "s3://bucket/x", "foo:x"}) {
    EXPECT_EQ(AbsolutePath(text), text);
  }
}

TEST(ParsePath, NamesASchemeItDoesNotKnow) {
  const auto path = ParsePath("hdfs://namenode/x");
  ASSERT_FALSE(path.ok());
  EXPECT_NE(Message(path.status()).find("scheme 'hdfs'"), std::string::npos);
  EXPECT_NE(Message(path.status()).find("file:/dir"), std::string::npos);
  EXPECT_NE(Message(path.status()).find("remote file systems"), std::string::npos);
  const std::string misspelt = Message(ParsePath("fil://x/y").status());
  EXPECT_NE(misspelt.find("scheme 'fil': there is none of this name"), std::string::npos);
  EXPECT_EQ(ParsePath("FILE:/x").value(), "/x");
  EXPECT_EQ(ParsePath("File:///x").value(), "/x");
  EXPECT_FALSE(ParsePath("").ok());
  EXPECT_FALSE(ParsePath("file://host/x").ok());
  EXPECT_FALSE(ParsePath("file:").ok());
}

TEST(PathParts, AreJoinedAndTaken) {
  EXPECT_EQ(JoinPath("/a/", "/b"), "/a/b");
  EXPECT_EQ(JoinPath("/", "b"), "/b");
  EXPECT_EQ(BaseName("/a/b/"), "b");
  EXPECT_EQ(DirectoryName("/a/b"), "/a");
  EXPECT_EQ(DirectoryName("/a"), "/");
  EXPECT_EQ(DirectoryName("a"), ".");
}

TEST_F(FileSystem, WritesReadsAndLists) {
  ASSERT_TRUE(CreateDirectories(Path("d/e")).ok());
  ASSERT_TRUE(CreateDirectories(Path("d/e")).ok());
  ASSERT_TRUE(WriteFileDurably(Path("d/file"), "0123456789").ok());
  ASSERT_TRUE(WriteFileDurably(Path("d/file"), "abc").ok());
  EXPECT_EQ(ReadFile(Path("d/file")).value(), "abc");
  EXPECT_EQ(FileSize(Path("d/file")).value(), 3u);
  EXPECT_EQ(ReadFileRange(Path("d/file"), 1, 2).value(), "bc");
  EXPECT_FALSE(ReadFileRange(Path("d/file"), 2, 2).ok());
  EXPECT_EQ(ListDirectory(Path("d")).value(),
            (std::vector<DirectoryEntry>{{"e", true}, {"file", false}}));
  ASSERT_TRUE(RemoveAll(Path("d")).ok());
  ASSERT_TRUE(RemoveAll(Path("d")).ok());
  EXPECT_FALSE(Exists(Path("d")));
}

TEST_F(FileSystem, ErrorsNameThePath) {
  const auto missing = ReadFile(Path("missing"));
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.status().code(), absl::StatusCode::kNotFound);
  EXPECT_NE(Message(missing.status()).find(Path("missing")), std::string::npos);
  EXPECT_FALSE(ListDirectory(Path("missing")).ok());
  EXPECT_FALSE(ReadFile(directory_.path()).ok());
  ASSERT_TRUE(WriteFileDurably(Path("file"), "").ok());
  EXPECT_FALSE(CreateDirectories(Path("file")).ok());
  EXPECT_FALSE(CreateDirectories(Path("file/sub")).ok());
}

TEST_F(FileSystem, PublishedFilesReplaceOrRefuse) {
  ASSERT_TRUE(PublishFile(Path("f"), "one").ok());
  ASSERT_TRUE(PublishFile(Path("f"), "two").ok());
  EXPECT_EQ(ReadFile(Path("f")).value(), "two");
  EXPECT_EQ(PublishNewFile(Path("f"), "three").code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(ReadFile(Path("f")).value(), "two");
  ASSERT_TRUE(PublishNewFile(Path("g"), "new").ok());
  EXPECT_EQ(Message(PublishFile(Path("missing/f"), "x")),
            "cannot create " + Path("missing/f") + ": No such file or directory");
  // No temporary file is left.
  EXPECT_EQ(ListDirectory(directory_.path()).value().size(), 2u);
}

TEST_F(FileSystem, LinksShareAndCopiesDoNot) {
  const std::string content(3 << 20, 'x');
  ASSERT_TRUE(WriteFileDurably(Path("from"), content).ok());
  EXPECT_TRUE(LinkOrCopy(Path("from"), Path("link")).value());
  ASSERT_TRUE(CopyFile(Path("from"), Path("copy")).ok());
  EXPECT_EQ(ReadFile(Path("copy")).value(), content);
  EXPECT_EQ(Checksum64OfFile(Path("copy")).value(), Checksum64(content));
  EXPECT_EQ(LinkOrCopy(Path("from"), Path("link")).status().code(),
            absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(LinkOrCopy(Path("missing"), Path("other")).status().code(),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(CopyFile(Path("from"), Path("copy")).code(), absl::StatusCode::kAlreadyExists);
  ASSERT_TRUE(RenameFile(Path("copy"), Path("moved")).ok());
  EXPECT_FALSE(Exists(Path("copy")));
  EXPECT_TRUE(FsyncDirectory(directory_.path()).ok());
  EXPECT_TRUE(FsyncFile(Path("moved")).ok());
}

TEST_F(FileSystem, LinksAcrossFileSystemsBecomeCopies) {
  auto other = TempDirectory::Create("file-system", "/dev/shm");
  if (!other.ok()) GTEST_SKIP() << other.status();
  struct stat here, there;
  ASSERT_EQ(::stat(directory_.path().c_str(), &here), 0);
  ASSERT_EQ(::stat(other->path().c_str(), &there), 0);
  if (here.st_dev == there.st_dev) GTEST_SKIP() << "one file system only";
  ASSERT_TRUE(WriteFileDurably(Path("from"), "content").ok());
  EXPECT_FALSE(LinkOrCopy(Path("from"), other->File("to")).value());
  EXPECT_EQ(ReadFile(other->File("to")).value(), "content");
}

TEST_F(FileSystem, ProbingLeavesNothingBehind) {
  ASSERT_TRUE(ProbeWritable(Path("new/dir")).ok());
  EXPECT_TRUE(ListDirectory(Path("new/dir")).value().empty());
  ASSERT_TRUE(WriteFileDurably(Path("file"), "").ok());
  const Status no = ProbeWritable(Path("file"));
  ASSERT_FALSE(no.ok());
  EXPECT_NE(Message(no).find("is not writable"), std::string::npos);
}

TEST_F(FileSystem, FilesOfProcAreReadWhole) {
  const auto status = ReadFile("/proc/self/status");
  ASSERT_TRUE(status.ok());
  EXPECT_NE(status->find("Threads:"), std::string::npos);
}

TEST(Checksum64, IsXxh3) {
  EXPECT_EQ(Checksum64(""), 0x2d06800538d394c2u);
  EXPECT_NE(Checksum64("a"), Checksum64("b"));
}

TEST(TempDirectory, IsRemovedUnlessReleased) {
  std::string path;
  {
    auto directory = TempDirectory::Create("temp-directory");
    ASSERT_TRUE(directory.ok());
    path = directory->path();
    ASSERT_TRUE(WriteFileDurably(directory->File("f"), "x").ok());
    TempDirectory moved = *std::move(directory);
    EXPECT_TRUE(IsDirectory(path));
  }
  EXPECT_FALSE(Exists(path));
  {
    auto directory = TempDirectory::Create("temp-directory");
    ASSERT_TRUE(directory.ok());
    path = directory->Release();
  }
  EXPECT_TRUE(IsDirectory(path));
  ASSERT_TRUE(RemoveAll(path).ok());
}

}  // namespace
}  // namespace flink::io
