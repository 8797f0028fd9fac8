#include "taskmanager/state/snapshot_writer.h"

#include <gtest/gtest.h>

#include "common/io/checksum.h"
#include "common/io/file_system.h"
#include "common/io/temp_directory.h"

namespace flink::taskmanager {
namespace {

TEST(TableChecksums, ReadsAFileOnce) {
  const auto directory = io::TempDirectory::Create("checksums");
  const std::string table = directory->File("000007.sst");
  ASSERT_TRUE(io::WriteFileDurably(table, "rows").ok());
  TableChecksums checksums;
  EXPECT_EQ(*checksums.Of(table), io::Checksum64("rows"));
  ASSERT_TRUE(io::RemoveFile(table).ok());
  EXPECT_EQ(*checksums.Of(table), io::Checksum64("rows")) << "it is known";
  checksums.Keep({"000007.sst", "MANIFEST-000004"});
  EXPECT_EQ(*checksums.Of(table), io::Checksum64("rows"));
  checksums.Keep({"000008.sst"});
  EXPECT_EQ(checksums.Of(table).status().code(), absl::StatusCode::kNotFound);
}

TEST(TableChecksums, KnowsWhatARestoreHasVerified) {
  TableChecksums checksums;
  checksums.Add({{"000009.sst", 5}});
  EXPECT_EQ(*checksums.Of("/nowhere/000009.sst"), 5u);
}

}  // namespace
}  // namespace flink::taskmanager
