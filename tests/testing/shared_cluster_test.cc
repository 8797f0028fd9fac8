#include "tests/testing/shared_cluster_test.h"

#include <algorithm>
#include <filesystem>
#include <system_error>

namespace flink::testing {

namespace fs = std::filesystem;

ExternalCluster* SharedClusterTest::cluster_ = nullptr;

Words operator+(Words left, const Words& right) {
  left.insert(left.end(), right.begin(), right.end());
  return left;
}

void SharedClusterTest::StartCluster(const ExternalCluster::Options& options) {
  auto started = ExternalCluster::Start(options);
  ASSERT_TRUE(started.ok()) << Message(started.status());
  cluster_ = started->release();
}

void SharedClusterTest::TearDownTestSuite() {
  delete cluster_;
  cluster_ = nullptr;
}

void SharedClusterTest::TearDown() {
  if (cluster_ == nullptr) return;
  for (const auto& job : Jobs()) {
    const std::string id = job.value("jid", "");
    if (!IsOver(job.value("state", ""))) cluster_->Flink({"cancel", id});
    EXPECT_TRUE(WaitFor([&] { return IsOver(cluster_->JobState(id)); })) << cluster_->Logs();
  }
}

std::string SharedClusterTest::TestName() {
  return ::testing::UnitTest::GetInstance()->current_test_info()->name();
}

std::string SharedClusterTest::Dir(const std::string& name) {
  return cluster_->File(TestName() + "/" + name);
}

Words SharedClusterTest::Entries(const std::string& directory, const std::string& prefix) {
  Words names;
  std::error_code error;
  for (fs::directory_iterator it(directory, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (name.rfind(prefix, 0) == 0) names.push_back(name);
  }
  std::sort(names.begin(), names.end());
  return names;
}

std::string SharedClusterTest::FilesBelow(const std::string& directory) {
  return RunCommand({"find", directory, "-type", "f"}).out;
}

nlohmann::json SharedClusterTest::Jobs() {
  const auto overview = cluster_->Get("/jobs/overview");
  return overview.ok() ? (*overview)["jobs"] : nlohmann::json::array();
}

bool SharedClusterTest::IsOver(const std::string& state) {
  return state == "FINISHED" || state == "CANCELED" || state == "FAILED";
}

std::string SharedClusterTest::LivingJob() {
  for (const auto& job : Jobs()) {
    if (job["name"] == TestName() && job["state"] == "RUNNING") return job["jid"];
  }
  return "";
}

void SharedClusterTest::Cancel(const std::string& job) {
  EXPECT_EQ(cluster_->Flink({"cancel", job}).exit_code, 0);
  EXPECT_TRUE(cluster_->WaitForJobState(job, "CANCELED")) << cluster_->Logs();
}

void SharedClusterTest::ExpectRefused(const CommandResult& result, const std::string& text) {
  EXPECT_EQ(result.exit_code, 1) << result.out << result.err;
  EXPECT_NE(result.err.find(text), std::string::npos) << text << " is not in " << result.err;
  EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  EXPECT_EQ((result.out + result.err).find("Exception"), std::string::npos)
      << result.out << result.err;
}

void SharedClusterTest::ExpectUsageError(const CommandResult& result, const std::string& text) {
  EXPECT_EQ(result.exit_code, 1) << result.out << result.err;
  EXPECT_EQ(result.err, "");
  EXPECT_EQ(result.out.rfind(text, 0), 0u) << result.out;
  EXPECT_NE(result.out.find("Use the help option (-h or --help) to get help on the command."),
            std::string::npos)
      << result.out;
}

}  // namespace flink::testing
