/// The mistakes of a newcomer: each ends with exit code 1 and one line that says what to do.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "tests/integration/lifecycle_fixture.h"

namespace flink::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

class MistakesTest : public SharedClusterTest {
 protected:
  static void SetUpTestSuite() {
    ExternalCluster::Options options;
    options.slots = 1;
    StartCluster(options);
  }
};

constexpr char kNoJob[] = "0123456789abcdef0123456789abcdef";

TEST_F(MistakesTest, WrongJobId) {
  for (const char* verb : {"cancel", "savepoint"}) {
    ExpectUsageError(cluster_->Flink({verb, "nonsense"}),
                     "Cannot parse JobID from \"nonsense\". The expected format is "
                     "[0-9a-fA-F]{32}, e.g. fd72014d4c864993a2e5a9287b4a9c5d.");
  }
  ExpectRefused(cluster_->Flink({"cancel", kNoJob}), kNoJob);
  ExpectRefused(cluster_->Flink({"savepoint", kNoJob, cluster_->File("sp")}),
                std::string("Could not find Flink job (") + kNoJob);
  // Nothing comes with -v that is not said without.
  ExpectRefused(cluster_->Flink({"savepoint", "-v", kNoJob, cluster_->File("sp")}),
                std::string("Could not find Flink job (") + kNoJob);
}

TEST_F(MistakesTest, NoSuchLibrary) {
  ExpectUsageError(cluster_->Flink({"run", "nothere.so"}),
                   "Could not get the job library: nothere.so does not exist");
}

TEST_F(MistakesTest, ALibraryThatIsNotAJob) {
  const std::string text = cluster_->File("text.so");
  std::ofstream(text) << "this is no library";
  ExpectRefused(cluster_->Flink({"run", text}), text);
  ExpectRefused(cluster_->Flink({"run", cluster_->home() + "/lib/libflink.so"}), "FLINK_JOB");
}

TEST_F(MistakesTest, ALibraryThatWasBuiltAgainstOtherHeaders) {
  // The same job with another fingerprint in it.
  std::ifstream in(TestJob(), std::ios::binary);
  std::string bytes((std::istreambuf_iterator<char>(in)), {});
  const CommandResult fingerprint =
      RunCommand({"grep", "-o", "-h", "-E", "ABI_FINGERPRINT \"[^\"]*\"",
                  cluster_->home() + "/include/flink/abi_fingerprint.h"});
  const size_t quote = fingerprint.out.find('"');
  ASSERT_NE(quote, std::string::npos) << fingerprint.err;
  const std::string value =
      fingerprint.out.substr(quote + 1, fingerprint.out.rfind('"') - quote - 1);
  const size_t at = bytes.find(value);
  ASSERT_NE(at, std::string::npos);
  bytes[at] = bytes[at] == '0' ? '1' : '0';
  const std::string other = cluster_->File("Other.so");
  std::ofstream(other, std::ios::binary) << bytes;
  ExpectRefused(cluster_->Flink({"run", other, "--case", "open"}), "headers");
}

TEST_F(MistakesTest, UnknownOption) {
  ExpectUsageError(cluster_->Flink({"list", "--foo"}), "Unrecognized option: --foo");
  const CommandResult verb = cluster_->Flink({"frobnicate"});
  EXPECT_EQ(verb.exit_code, 1);
  EXPECT_THAT(verb.out, StartsWith("\"frobnicate\" is not a valid action.\n"));
}

TEST_F(MistakesTest, NoClusterRunning) {
  const std::string address = "localhost:" + std::to_string(FreePort());
  ExpectRefused(cluster_->Flink({"list", "-m", address}), address);
  ExpectRefused(cluster_->Flink({"run", "-m", address, TestJob(), "--case", "open"}), address);
}

TEST_F(MistakesTest, NoSlotsFree) {
  const CommandResult run = cluster_->Flink({"run", "-d", "-p", "5", TestJob(), "--case", "open"});
  ExpectRefused(
      run,
      "': it needs 5 task slots, but only 1 of the cluster's 1 is free. Run it with -p 1, or "
      "start more TaskManagers (bin/taskmanager.sh start).");
}

TEST_F(MistakesTest, TheJobRefusesItsArguments) {
  ExpectRefused(cluster_->Flink({"run", TestJob()}), "--case");
  ExpectRefused(cluster_->Flink({"run", "-d", TestJob(), "--case", "open", "--name", "N\xff\n"}),
                "The argument of the program \"N??\" is not UTF-8.");
}

TEST_F(MistakesTest, TargetDirectoryNotWritable) {
  const std::string file = cluster_->File("a-file");
  std::ofstream(file) << "x";
  // The output directory of a job.
  ExpectRefused(
      cluster_->Flink({"run", TestJob(), "--case", "misbehave", "--output", file + "/below"}),
      file + "/below");
  // The checkpoint directory.
  ExpectRefused(
      cluster_->Flink({"run", "-d", "-Dexecution.checkpointing.dir=file://" + file + "/chk",
                       TestJob(), "--case", "misbehave", "--output", cluster_->File("out")}),
      file + "/chk");
  // The savepoint directory, though no savepoint has been asked for yet.
  const CommandResult refused = cluster_->Flink(
      {"run", "-d", "-Dexecution.checkpointing.savepoint-dir=file://" + file + "/sp", TestJob(),
       "--case", "misbehave", "--output", cluster_->File("out")});
  ExpectRefused(refused, "savepoints cannot be written to file://" + file + "/sp");
  EXPECT_THAT(refused.err, HasSubstr("execution.checkpointing.savepoint-dir"));
  // The target of a savepoint.
  const auto job = cluster_->RunDetached({TestJob(), "--case", "misbehave", "--count", "1000000",
                                          "--rate", "100", "--output", cluster_->File("out")});
  ASSERT_TRUE(job.ok()) << Message(job.status());
  ASSERT_TRUE(cluster_->WaitForJobState(*job, "RUNNING"));
  ExpectRefused(cluster_->Flink({"savepoint", *job, file + "/sp"}),
                "Failed to create savepoint directory at");
  EXPECT_EQ(cluster_->JobState(*job), "RUNNING");
  EXPECT_EQ(cluster_->Flink({"cancel", *job}).exit_code, 0);
  EXPECT_TRUE(cluster_->WaitForJobState(*job, "CANCELED"));
}

// Recorded of Flink 1.20.
TEST_F(MistakesTest, MissingArguments) {
  ExpectUsageError(cluster_->Flink({"savepoint"}),
                   "Missing JobID. Specify a Job ID to trigger a savepoint.\n");
  ExpectUsageError(cluster_->Flink({"savepoint", "-d"}), "Missing argument for option: d\n");
  ExpectUsageError(cluster_->Flink({"savepoint", "dispose"}), "Missing path.");
  ExpectUsageError(cluster_->Flink({"savepoint", "--status", kNoJob}), "Missing JobID.");
  ExpectUsageError(cluster_->Flink({"checkpoint"}),
                   "Missing JobID. Specify a Job ID to manipulate a checkpoint.\n");
  ExpectUsageError(cluster_->Flink({"stop"}), "Missing JobId\n");
  ExpectUsageError(cluster_->Flink({"stop", "-p", "/dir"}), "Cannot parse JobID from \"/dir\".");
  ExpectUsageError(cluster_->Flink({"cancel"}),
                   "Missing JobID. Specify a JobID to cancel a job.\n");
  const std::string warning =
      "DEPRECATION WARNING: Cancelling a job with savepoint is deprecated. Use \"stop\" instead.\n";
  ExpectUsageError(cluster_->Flink({"cancel", "-s"}), warning + "Missing JobId\n");
  ExpectUsageError(cluster_->Flink({"cancel", "-s", "/dir"}),
                   warning + "Cannot parse JobID from \"/dir\".");
}

// flink-surface §4.1 no. 1, 2: said at once, whether or not the job is there.
TEST_F(MistakesTest, NoSavepointDirectoryConfiguredAndNoneGiven) {
  const auto job = cluster_->RunDetached({TestJob(), "--case", "misbehave", "--count", "1000000",
                                          "--rate", "100", "--output", cluster_->File("out2")});
  ASSERT_TRUE(job.ok()) << Message(job.status());
  ASSERT_TRUE(cluster_->WaitForJobState(*job, "RUNNING"));
  const std::string text =
      "Config key [execution.checkpointing.savepoint-dir] is not set. Property [target-directory] "
      "must be provided.";
  for (const std::string& id : {*job, std::string(kNoJob)}) {
    ExpectRefused(cluster_->Flink({"savepoint", id}),
                  "Failed to trigger a savepoint for the job " + id + ": " + text);
    ExpectRefused(cluster_->Flink({"savepoint", id, "-detached"}),
                  "Triggering a detached savepoint for the job " + id + " failed: " + text);
    ExpectRefused(cluster_->Flink({"cancel", "-s", id}),
                  "Could not cancel job " + id + ": " + text);
    ExpectRefused(cluster_->Flink({"stop", id}),
                  "Could not stop with a savepoint job \"" + id +
                      "\": Config key [execution.checkpointing.savepoint-dir] is not set. Property "
                      "[targetDirectory] must be provided.");
  }
  EXPECT_EQ(cluster_->JobState(*job), "RUNNING");
  EXPECT_EQ(cluster_->Flink({"cancel", *job}).exit_code, 0);
  EXPECT_TRUE(cluster_->WaitForJobState(*job, "CANCELED"));
}

// The directory of its own that the job had: what is missing now is the job.
TEST_F(MistakesTest, ASavepointOfAJobThatHasFinished) {
  const auto job = cluster_->RunDetached(
      {"-Dexecution.checkpointing.savepoint-dir=file://" + cluster_->File("sp"), TestJob(),
       "--case", "misbehave", "--count", "10", "--output", cluster_->File("out3")});
  ASSERT_TRUE(job.ok()) << Message(job.status());
  ASSERT_TRUE(cluster_->WaitForJobState(*job, "FINISHED")) << cluster_->Logs();
  for (const char* verb : {"savepoint", "stop"}) {
    ExpectRefused(cluster_->Flink({verb, *job}), "Could not find Flink job (" + *job + ")");
  }
}

// It is awaited, or cancelled, all the same.
TEST_F(MistakesTest, AJobWhoseIdCannotBePrintedIsNotLeftAlone) {
  const CommandResult run =
      RunCommand({"sh", "-c", "exec \"$@\" > /dev/full", "sh", cluster_->home() + "/bin/flink",
                  "run", "-sae", TestJob(), "--case", "misbehave", "--count", "100", "--rate",
                  "100", "--output", cluster_->File("out4")});
  EXPECT_EQ(run.exit_code, 1);
  const std::string mark = "It would have been: Job has been submitted with JobID ";
  const size_t begin = run.err.find(mark);
  ASSERT_NE(begin, std::string::npos) << run.err;
  EXPECT_EQ(cluster_->JobState(run.err.substr(begin + mark.size(), 32)), "FINISHED");
}

TEST_F(MistakesTest, ASavepointThatIsNotThere) {
  const std::string path = cluster_->File("no-savepoint");
  for (const char* detached : {"-d", "-sae"}) {
    ExpectRefused(cluster_->Flink({"run", detached, "-s", path, TestJob(), "--case", "open"}),
                  "Cannot find checkpoint or savepoint file/directory '" + path);
  }
  ExpectRefused(cluster_->Flink({"run", "-d", "-s", "/\xff", TestJob(), "--case", "open"}),
                "The path of the savepoint \"/?\" is not UTF-8.");
}

}  // namespace
}  // namespace flink::testing
