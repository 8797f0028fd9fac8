#include "cli/progress_line.h"

#include <gtest/gtest.h>

#include <sstream>

#include "cli/cluster_client.h"
#include "cli/text_table.h"

namespace flink::cli {
namespace {

TEST(ProgressLineTest, RewritesItsLineAndLeavesNone) {
  std::ostringstream out;
  {
    ProgressLine line(out, /*on_terminal=*/true);
    line.Show("1 of 2");
    line.Show("1 of 2");
    line.Show("2 of 2");
  }
  EXPECT_EQ(out.str(), "\r\x1b[K1 of 2\r\x1b[K2 of 2\r\x1b[K");
}

TEST(ProgressLineTest, SaysNothingWhereNobodyWatches) {
  std::ostringstream out;
  {
    ProgressLine line(out, /*on_terminal=*/false);
    EXPECT_FALSE(line.visible());
    line.Show("1 of 2");
  }
  EXPECT_EQ(out.str(), "");
}

TEST(ProgressLineTest, SizesAreReadable) {
  EXPECT_EQ(FormatBytes(0), "0 B");
  EXPECT_EQ(FormatBytes(1023), "1023 B");
  EXPECT_EQ(FormatBytes(1536), "1.5 KiB");
  EXPECT_EQ(FormatBytes(int64_t{3} << 30), "3.0 GiB");
  EXPECT_EQ(FormatBytes(int64_t{5000} << 40), "5000.0 TiB");
}

TEST(ProgressLineTest, SaysHowFarASnapshotIs) {
  EXPECT_EQ(ToString(SnapshotProgress{false, 8, 3, 1536}), "3 of 8 subtasks acknowledged, 1.5 KiB");
  EXPECT_EQ(ToString(SnapshotProgress{.waiting = true}), "waits for the snapshots before it");
}

}  // namespace
}  // namespace flink::cli
