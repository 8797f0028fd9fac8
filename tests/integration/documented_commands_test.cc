/// Documents do not lie: every command in docs/savepoints.md is run, in order, in one shell, and
/// prints what stands below it.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "tests/testing/shared_cluster_test.h"

namespace flink::testing {
namespace {

namespace fs = std::filesystem;

struct Block {
  int line = 0;  ///< Of its first command.
  std::string commands;
  Words expected;  ///< Lines that are printed in this order; "…" stands for anything.
};

/// The fenced blocks of a document: "sh" is run, a "text" behind it is what it prints.
std::vector<Block> BlocksOf(const std::string& document) {
  std::ifstream in(document);
  std::vector<Block> blocks;
  std::string fence;
  int number = 0;
  for (std::string line; std::getline(in, line);) {
    ++number;
    if (line.rfind("```", 0) == 0) {
      fence = fence.empty() ? line : "";
      if (fence == "```sh") blocks.push_back({number + 1, "", {}});
    } else if (fence == "```sh") {
      blocks.back().commands += line + "\n";
    } else if (fence == "```text") {
      blocks.back().expected.push_back(line);
    }
  }
  return blocks;
}

/// Whether the pieces of `pattern` between "…" stand in `line` in this order, from end to end.
bool Matches(const std::string& line, const std::string& pattern) {
  static const std::string kAnything = "…";
  size_t at = 0;
  size_t from = 0;
  while (true) {
    const size_t to = pattern.find(kAnything, from);
    const std::string piece = pattern.substr(from, to - from);
    const size_t found = line.find(piece, at);
    if (found == std::string::npos || (from == 0 && found != 0)) return false;
    if (to == std::string::npos) return line.ends_with(piece);
    at = found + piece.size();
    from = to + kAnything.size();
  }
}

TEST(DocumentedCommandsTest, DotsStandForAnything) {
  EXPECT_TRUE(Matches("Path: file:/x/savepoint-1", "Path: file:…/savepoint-…"));
  EXPECT_TRUE(Matches("a b c", "…c"));
  EXPECT_FALSE(Matches("a b c", "b…"));
  EXPECT_FALSE(Matches("a b c", "…b"));
  EXPECT_FALSE(Matches("a b", "a…c"));
}

class DocumentedClusterTest : public SharedClusterTest {
 protected:
  static void SetUpTestSuite() {
    ExternalCluster::Options options;
    options.slots = 4;
    StartCluster(options);
  }
};

TEST_F(DocumentedClusterTest, SavepointsAreAsTheDocumentSays) {
  const std::vector<Block> blocks = BlocksOf(FLINK_SOURCE_DIR "/docs/savepoints.md");
  ASSERT_GT(blocks.size(), 5u);
  fs::create_directories(Dir(""));
  std::string script = "set -eu\nexport DATA=" + Dir("data") + "\n";
  for (const Block& block : blocks) {
    script += "{\n" + block.commands + "} > " + Dir(std::to_string(block.line)) + " 2>&1\n";
    // A reader is slower than a job that starts.
    script += "while bin/flink list | grep -q '(CREATED)'; do sleep 0.1; done\n";
  }
  const CommandResult result =
      RunCommand({"bash", "-c", script}, std::chrono::minutes(5), cluster_->home());
  EXPECT_EQ(result.exit_code, 0) << result.out << result.err << "the last commands printed\n"
                                 << RunCommand({"bash", "-c", "tail -n +1 $(ls -tr | tail -2)"},
                                               std::chrono::seconds(10), Dir(""))
                                        .out
                                 << cluster_->Logs();
  for (const Block& block : blocks) {
    SCOPED_TRACE("docs/savepoints.md:" + std::to_string(block.line));
    std::ifstream in(Dir(std::to_string(block.line)));
    ASSERT_TRUE(in.good()) << "was not reached:\n" << block.commands;
    std::ostringstream all;
    all << in.rdbuf();
    std::istringstream printed(all.str());
    for (const std::string& expected : block.expected) {
      bool found = false;
      for (std::string line; !found && std::getline(printed, line);)
        found = Matches(line, expected);
      EXPECT_TRUE(found) << expected << "\nis not in\n" << all.str();
    }
  }
}

}  // namespace
}  // namespace flink::testing
