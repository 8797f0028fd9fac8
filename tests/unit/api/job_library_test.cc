#include "api/graph/job_library.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "api/graph/job_graph_builder.h"
#include "flink/abi_fingerprint.h"

namespace flink::graph {
namespace {

const std::string kExamples = FLINK_EXAMPLES_DIRECTORY;

class JobLibraryTest : public ::testing::Test {
 protected:
  JobLibraryTest() {
    std::string name = (std::filesystem::temp_directory_path() / "job-library-XXXXXX").string();
    directory_ = ::mkdtemp(name.data());
  }
  ~JobLibraryTest() override { std::filesystem::remove_all(directory_); }

  static std::string LoadError(const std::string& path) {
    return Message(JobLibrary::Load(path).status());
  }

  std::filesystem::path directory_;
};

TEST_F(JobLibraryTest, TheWordCountExampleIsAJob) {
  const auto library = JobLibrary::Load(kExamples + "/WordCount.so");
  ASSERT_TRUE(library.ok()) << Message(library.status());
  const auto stream_graph = library->Describe({"--input", "in", "--output", "/out"}, "/where/run");
  ASSERT_TRUE(stream_graph.ok()) << Message(stream_graph.status());
  EXPECT_FALSE(stream_graph->parallelism.has_value());
  EXPECT_TRUE(stream_graph->configuration.empty());
  EXPECT_TRUE(StatefulOperatorsWithoutUid(*stream_graph).empty());
  const auto graph = BuildJobGraph(*stream_graph, {});
  ASSERT_TRUE(graph.ok());
  ASSERT_EQ(graph->vertices.size(), 2u);
  EXPECT_EQ(graph->vertices[0].name, "Source: lines -> words");
  EXPECT_EQ(graph->vertices[1].name, "count -> format -> files: Writer -> files: Committer");
}

TEST_F(JobLibraryTest, TheProgramMayRefuseItsArguments) {
  const auto library = JobLibrary::Load(kExamples + "/WordCount.so");
  ASSERT_TRUE(library.ok());
  EXPECT_NE(Message(library->Describe({"--output", "/out"}, "").status())
                .find("needs the argument --input <value>"),
            std::string::npos);
  EXPECT_NE(
      Message(library->Describe({"--input", "a", "--output", "b", "--rate", "fast"}, "").status())
          .find("needs a number, not \"fast\""),
      std::string::npos);
}

TEST_F(JobLibraryTest, WhatIsNoJobIsRefusedWithItsReason) {
  EXPECT_NE(LoadError(directory_ / "none.so").find("does not exist"), std::string::npos);
  EXPECT_NE(LoadError(directory_).find("is not a file"), std::string::npos);
  std::ofstream(directory_ / "text.so") << "this is no library, only text of some length";
  EXPECT_NE(LoadError(directory_ / "text.so").find("is not a shared library"), std::string::npos);
  std::ofstream(directory_ / "empty.so").flush();
  EXPECT_NE(LoadError(directory_ / "empty.so").find("is not a shared library"), std::string::npos);
  EXPECT_NE(LoadError("/lib/x86_64-linux-gnu/libm.so.6").find("but not a job"), std::string::npos);
}

TEST_F(JobLibraryTest, OtherHeadersAreNoticed) {
  std::ifstream in(kExamples + "/WordCount.so", std::ios::binary);
  std::string bytes{std::istreambuf_iterator<char>(in), {}};
  const std::string fingerprint = FLINK_ABI_FINGERPRINT;
  const size_t at = bytes.find(fingerprint);
  ASSERT_NE(at, std::string::npos);
  bytes[at] = bytes[at] == '0' ? '1' : '0';
  std::ofstream(directory_ / "other.so", std::ios::binary) << bytes;
  EXPECT_NE(LoadError(directory_ / "other.so").find("built against other headers"),
            std::string::npos);
}

}  // namespace
}  // namespace flink::graph
