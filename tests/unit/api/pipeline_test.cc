#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "api/graph/job_library.h"
#include "flink/stream_execution_environment.h"
#include "tests/testing/local_pipeline.h"

namespace flink {
namespace {

using testing::LocalPipeline;

/// Appends all records to a vector that the test holds.
template <class T>
class VectorSink {
 public:
  using Record = T;
  explicit VectorSink(std::shared_ptr<std::vector<T>> records) : records_(std::move(records)) {}
  std::unique_ptr<Operator> MakeOperator() const { return std::make_unique<Writer>(records_); }
  std::string Name() const { return "Sink: Vector"; }

 private:
  class Writer final : public SinkOperator<T> {
   public:
    explicit Writer(std::shared_ptr<std::vector<T>> records) : records_(std::move(records)) {}

   private:
    void Write(Batch<T>& batch) override {
      records_->insert(records_->end(), batch.records.begin(), batch.records.end());
    }
    std::shared_ptr<std::vector<T>> records_;
  };
  std::shared_ptr<std::vector<T>> records_;
};

template <class T>
std::vector<T> RunAndSort(StreamExecutionEnvironment& env, const DataStream<T>& stream) {
  auto records = std::make_shared<std::vector<T>>();
  stream.SinkTo(VectorSink<T>(records));
  LocalPipeline(env.stream_graph()).Run();
  std::sort(records->begin(), records->end());
  return *records;
}

TEST(PipelineTest, BranchesAndUnionsDeliverEveryRecord) {
  StreamExecutionEnvironment env;
  const auto numbers = env.FromSequence(1, 5000);
  const auto doubled = numbers.Map([](int64_t v) { return 2 * v; });
  const auto all = numbers.Union(doubled.Rebalance(), env.FromElements(std::vector<int64_t>{7}));
  const auto result = RunAndSort(env, all.Filter([](int64_t v) { return v <= 8; }));
  EXPECT_EQ(result, (std::vector<int64_t>{1, 2, 2, 3, 4, 4, 5, 6, 6, 7, 7, 8, 8}));
}

TEST(PipelineTest, KeyedSumsCountEveryRecord) {
  StreamExecutionEnvironment env;
  using Pair = std::pair<int32_t, int64_t>;
  const auto sums = env.FromSequence(1, 3000)
                        .Map([](int64_t v) { return Pair(static_cast<int32_t>(v % 3), v); })
                        .KeyBy(&Pair::first)
                        .Sum<1>();
  const auto result = RunAndSort(env, sums);
  ASSERT_EQ(result.size(), 3000u);
  EXPECT_EQ(result.back(), Pair(2, 1'500'500));
}

TEST(PipelineTest, FlatMapTakesFunctionsAndGenericLambdas) {
  StreamExecutionEnvironment env;
  const auto twice = env.FromSequence(1, 2).FlatMap<std::string>([](int64_t v, auto& out) {
    out.Collect(std::to_string(v));
    out.Collect(std::to_string(-v));
  });
  EXPECT_EQ(RunAndSort(env, twice), (std::vector<std::string>{"-1", "-2", "1", "2"}));
}

class ExampleTest : public ::testing::Test {
 protected:
  ExampleTest() {
    std::string name = (std::filesystem::temp_directory_path() / "example-XXXXXX").string();
    directory_ = ::mkdtemp(name.data());
  }
  ~ExampleTest() override { std::filesystem::remove_all(directory_); }

  /// Sorted lines of the output.
  std::vector<std::string> Run(const std::string& example, const std::string& input) {
    std::ofstream(directory_ / "input") << input;
    const auto library =
        graph::JobLibrary::Load(std::string(FLINK_EXAMPLES_DIRECTORY) + "/" + example + ".so");
    EXPECT_TRUE(library.ok()) << Message(library.status());
    const auto stream_graph =
        library->Describe({"--input", "input", "--output", "output"}, directory_);
    EXPECT_TRUE(stream_graph.ok()) << Message(stream_graph.status());
    LocalPipeline(*stream_graph).Run();
    std::vector<std::string> lines;
    for (const auto& file : std::filesystem::directory_iterator(directory_ / "output")) {
      EXPECT_EQ(file.path().filename().string().substr(0, 5), "part-");
      std::ifstream in(file.path());
      for (std::string line; std::getline(in, line);) lines.push_back(line);
    }
    std::sort(lines.begin(), lines.end());
    return lines;
  }

  std::filesystem::path directory_;
};

using Lines = std::vector<std::string>;

TEST_F(ExampleTest, WordCountWritesEveryUpdate) {
  EXPECT_EQ(Run("WordCount", "The the_1 é the.\n\nTHE end"),
            (Lines{"end,1", "the,1", "the,2", "the,3", "the_1,1"}));
}

TEST_F(ExampleTest, HourlyOriginSumsUpPerHourAndAirport) {
  EXPECT_EQ(Run("HourlyOrigin",
                "act_dep_ms,sched_dep_ms,dep_delay_min,arr_delay_min,carrier,flight,tailnum,origin,"
                "dest,distance_mi,air_time_min\n"
                "1,3600000,2,11,UA,1545,N14228,EWR,IAH,1400,227\n"
                "1,90000000,2,11,UA,1545,N14228,EWR,IAH,1400,227\n"
                "1,7199999,-5,,UA,1545,N14228,EWR,IAH,1400,\n"
                "1,3600000,7,11,UA,1545,N14228,JFK,IAH,1400,227\n"),
            (Lines{"3600000,EWR,2,-3", "3600000,JFK,1,7", "90000000,EWR,1,2"}));
}

}  // namespace
}  // namespace flink
