// The corpus of the fuzzers, and every changed byte and every truncation of it.

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "common/io/file_system.h"
#include "common/io/temp_directory.h"
#include "tests/fuzz/snapshot_inputs.h"

namespace flink::fuzz {
namespace {

/// Enough to reach every field of the committed files.
constexpr size_t kMutatedBytes = 4096;

std::vector<std::string> FilesBelow(const std::string& directory, const std::string& name = "") {
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(directory)) {
    const bool wanted = name.empty() || entry.path().filename() == name;
    if (entry.is_regular_file() && wanted) files.push_back(entry.path().string());
  }
  return files;
}

void FeedWithDamage(const std::string& path, const std::function<void(std::string_view)>& read) {
  const std::string bytes = io::ReadFile(path).value();
  read(bytes);
  const size_t end = std::min(bytes.size(), kMutatedBytes);
  for (size_t i = 0; i < end; ++i) {
    read(std::string_view(bytes).substr(0, i));
    for (const char mask : {'\x01', '\x80', '\xff'}) {
      std::string damaged = bytes;
      damaged[i] = static_cast<char>(damaged[i] ^ mask);
      read(damaged);
    }
  }
}

TEST(FuzzCorpusTest, MetadataIsReadOrRefused) {
  const auto files = FilesBelow(std::string(FLINK_FUZZ_CORPUS) + "/fuzz_metadata");
  ASSERT_GE(files.size(), 5u);
  for (const std::string& file : files) FeedWithDamage(file, ReadMetadata);
}

TEST(FuzzCorpusTest, StreamsAreReadOrRefused) {
  const auto files = FilesBelow(std::string(FLINK_FUZZ_CORPUS) + "/fuzz_streams");
  ASSERT_GE(files.size(), 5u);
  for (const std::string& file : files) FeedWithDamage(file, ReadStreams);
}

TEST(FuzzCorpusTest, MetadataOfFlinkIsReadOrRefused) {
  const std::string archive = std::string(FLINK_SHARED_DIR) + "/golden/flink-1.20-goldens.tgz";
  if (!io::Exists(archive)) GTEST_SKIP() << "no snapshots of Flink: " << archive;
  const io::TempDirectory directory = io::TempDirectory::Create("fuzz-goldens").value();
  const std::string command = "tar xzf '" + archive + "' -C '" + directory.path() + "'";
  ASSERT_EQ(std::system(command.c_str()), 0) << command;
  const auto files = FilesBelow(directory.path(), "_metadata");
  ASSERT_GE(files.size(), 10u);
  for (const std::string& file : files) ReadMetadata(io::ReadFile(file).value());
}

}  // namespace
}  // namespace flink::fuzz
