#include "cli/progress_line.h"

#include <gtest/gtest.h>

#include <sstream>

#include "cli/cluster_client.h"

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
  EXPECT_EQ(ReadableSize(0), "0 B");
  EXPECT_EQ(ReadableSize(1023), "1023 B");
  EXPECT_EQ(ReadableSize(1536), "1.5 KB");
  EXPECT_EQ(ReadableSize(int64_t{3} << 30), "3.0 GB");
  EXPECT_EQ(ReadableSize(int64_t{5000} << 40), "5000.0 TB");
}

TEST(ProgressLineTest, SaysHowFarASnapshotIs) {
  EXPECT_EQ(ToString(SnapshotProgress{8, 3, 1536}), "3 of 8 subtasks acknowledged, 1.5 KB");
}

}  // namespace
}  // namespace flink::cli
