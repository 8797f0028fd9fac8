#include "common/io/direct_file.h"

#include <gtest/gtest.h>

#include <string>

#include "common/io/file_system.h"
#include "common/io/temp_directory.h"

namespace flink::io {
namespace {

std::string Bytes(size_t size) {
  std::string bytes(size, '\0');
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(i * 2654435761u >> 13);
  return bytes;
}

/// Writes `bytes` in pieces, and reads them back. /dev/shm is a file system without O_DIRECT on
/// older kernels.
void WriteAndRead(const std::string& parent, const std::string& bytes, size_t piece) {
  const auto directory = TempDirectory::Create("direct-file", parent);
  ASSERT_TRUE(directory.ok()) << Message(directory.status());
  const std::string path = directory->File("file");
  DirectFile file;
  ASSERT_TRUE(file.Create(path).ok());
  for (size_t at = 0; at < bytes.size(); at += piece) {
    ASSERT_TRUE(file.Append(std::string_view(bytes).substr(at, piece)).ok());
  }
  const Status finished = file.Finish();
  ASSERT_TRUE(finished.ok()) << Message(finished);
  EXPECT_FALSE(file.is_open());
  const auto read = ReadFile(path);
  ASSERT_TRUE(read.ok());
  EXPECT_TRUE(*read == bytes) << read->size() << " bytes of " << bytes.size();
}

TEST(DirectFile, KeepsEveryByteWhateverTheSize) {
  const std::string here = DirectoryName(TempDirectory::Create("here")->path());
  constexpr size_t kMiB = 1 << 20;
  for (const std::string& parent : {here, std::string("/dev/shm")}) {
    for (const size_t size :
         {size_t{0}, size_t{1}, size_t{4095}, size_t{4096}, size_t{4097}, 2 * kMiB - 1, 2 * kMiB,
          2 * kMiB + 1, 7 * kMiB + 4096, 9 * kMiB + 77}) {
      SCOPED_TRACE(parent + ", " + std::to_string(size));
      WriteAndRead(parent, Bytes(size), 300'001);
    }
    WriteAndRead(parent, Bytes(5 * kMiB), 5 * kMiB);
  }
}

TEST(DirectFile, NeverReplacesAFile) {
  const auto directory = TempDirectory::Create("direct-file");
  ASSERT_TRUE(WriteFileDurably(directory->File("file"), "old").ok());
  DirectFile file;
  const Status created = file.Create(directory->File("file"));
  EXPECT_FALSE(created.ok());
  EXPECT_NE(Message(created).find("file: File exists"), std::string::npos) << Message(created);
  EXPECT_EQ(*ReadFile(directory->File("file")), "old");
}

TEST(DirectFile, AFileThatIsGivenUpClosesWithAWriteUnderWay) {
  const auto directory = TempDirectory::Create("direct-file");
  DirectFile file;
  ASSERT_TRUE(file.Create(directory->File("file")).ok());
  ASSERT_TRUE(file.Append(Bytes(4 << 20)).ok());
}

}  // namespace
}  // namespace flink::io
