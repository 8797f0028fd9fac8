/// What fits a snapshot: run --dry-run before a run, and the same refusals at the run itself.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>

#include "tests/integration/lifecycle_fixture.h"

namespace flink::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::MatchesRegex;
using ::testing::Not;

const char* RestoreJob() { return FLINK_TEST_JOBS "/RestoreJob.so"; }

class DryRunTest : public LifecycleTest {
 protected:
  static Words Program(const Words& arguments = {}) {
    return Words{RestoreJob(), "--output", Dir("out"), "--name", TestName(), "--count", "1000"} +
           arguments;
  }
  /// A savepoint of the job with these arguments, which is cancelled then.
  static std::string Savepoint(const Words& arguments = {}, const Words& options = {}) {
    const std::string job = Running(arguments, options);
    std::string path = TakeSavepoint(job);
    Cancel(job);
    return path;
  }
  /// Such a job, that does not end by itself.
  static std::string Running(const Words& arguments = {}, const Words& options = {}) {
    const auto job = cluster_->RunDetached(Settings() + options + Program(arguments) +
                                           Words{"--rate", "500", "--count", "100000000"});
    EXPECT_TRUE(job.ok()) << Message(job.status());
    if (!job.ok()) return "";
    EXPECT_TRUE(WaitFor([&] { return RecordsRead(*job) > 20; })) << cluster_->Logs();
    return *job;
  }
  static CommandResult DryRun(const Words& options, const Words& arguments = {}) {
    return cluster_->Flink(Words{"run", "--dry-run"} + options + Program(arguments));
  }
  /// By uid, "" for those without one.
  static std::map<std::string, std::string> Verdicts(const nlohmann::json& plan) {
    std::map<std::string, std::string> verdicts;
    for (const auto& op : plan["operators"]) verdicts[op["uid"]] = op["verdict"];
    return verdicts;
  }
  static void ExpectRefusedByDryRun(const CommandResult& result, const std::string& problem) {
    EXPECT_EQ(result.exit_code, 1) << result.out << result.err;
    EXPECT_THAT(result.out, HasSubstr(problem));
    EXPECT_THAT(result.err, HasSubstr("The program would be refused: "));
  }
};

TEST_F(DryRunTest, AnUnchangedProgramMatchesAndNothingIsStarted) {
  const std::string path = Savepoint();
  const size_t jobs = Jobs().size();
  // The cluster is not asked: nobody listens there.
  const Words nowhere = {"-m", "localhost:" + std::to_string(FreePort())};
  const CommandResult dry = DryRun(nowhere + Words{"-s", path + "/_metadata", "-p", "3"});
  EXPECT_EQ(dry.exit_code, 0) << dry.out << dry.err;
  EXPECT_THAT(dry.out, MatchesRegex("Restoring \"" + TestName() + "\" from " + path +
                                    "/_metadata:\n"
                                    "VERDICT  OPERATOR +UID +STATE BYTES  PARALLELISM +MAX\n"
                                    "matched +Source: Sequence Source +source +[0-9]+ +1 -> 3 "
                                    "+128\n(.|\n)*"
                                    "matched +Keyed Aggregation +sum +[1-9][0-9]+ +1 -> 3 +128\n"
                                    "(.|\n)*\n[0-9]+ matched, 0 new, 0 dropped, 0 incompatible\\.\n"
                                    "The program would be restored\\.\n"));
  EXPECT_EQ(Jobs().size(), jobs);
}

TEST_F(DryRunTest, AddedDroppedAndReorderedOperatorsAreTold) {
  const std::string path = Savepoint({"--no-uids"});
  // Steps without state come and go.
  const CommandResult extra = DryRun({"-s", path, "--json"}, {"--no-uids", "--extra"});
  EXPECT_EQ(extra.exit_code, 0) << extra.out << extra.err;
  EXPECT_EQ(Verdicts(nlohmann::json::parse(extra.out))["sum"], "matched");
  // One with state does not, unless it is allowed to.
  const std::string sentence =
      "because the operator is not available in the new program. If you want to allow to skip "
      "this, you can set the --allowNonRestoredState option on the CLI. The operator is \"Keyed "
      "Aggregation\" with the uid \"sum\". Its ";
  ExpectRefusedByDryRun(DryRun({"-s", path}, {"--uid", "other"}), sentence);
  const CommandResult allowed = DryRun({"-s", path, "-n", "--json"}, {"--uid", "other"});
  EXPECT_EQ(allowed.exit_code, 0) << allowed.err;
  const auto plan = nlohmann::json::parse(allowed.out);
  EXPECT_EQ(plan["restorable"], true);
  EXPECT_EQ(Verdicts(plan)["sum"], "dropped");
  EXPECT_EQ(Verdicts(plan)["other"], "new");
  EXPECT_EQ(Verdicts(plan)["last"], "matched");
  // The run itself does as was said.
  ExpectRefused(cluster_->Flink(Words{"run", "-d", "-s", path} + Program({"--uid", "other"})),
                sentence);
}

TEST_F(DryRunTest, AChangedTypeIsRefusedBeforeAnythingStartsInEitherFormat) {
  const std::string other = Running();
  const std::string job = Running({"--declare-last"});
  struct Change {
    Words arguments;
    std::string uid;
    std::string state;
    std::string stored;
    std::string declared;
    std::string sentence;
  };
  const std::string tuple = "VALUE state of Tuple2<Long,";
  const std::vector<Change> changes = {
      // The records that reach "last" have another type, too, but its state has not.
      {{"--sum", "long"},
       "sum",
       "_op_state",
       tuple + "Integer> by Long",
       tuple + "Long> by Long",
       "In the operator \"Keyed Aggregation\" with the uid \"sum\" the state \"_op_state\" is "
       "stored as VALUE state of Tuple2<Long,Integer> by Long, but the job declares it as VALUE "
       "state of Tuple2<Long,Long> by Long: restore with the old type, or give the operator "
       "another "
       "uid and start with --allowNonRestoredState."},
      {{"--key", "string"},
       "sum",
       "",
       "Long",
       "String",
       "In the operator \"Keyed Aggregation\" with the uid \"sum\" the state is stored by keys of "
       "type Long, but the job declares keys of type String: restore with the old key type, or "
       "give "
       "the operator another uid and start with --allowNonRestoredState."},
      {{"--last", "long"},
       "last",
       "last",
       "VALUE state of Integer by Long",
       "VALUE state of Long by Long",
       "In the operator \"last\" with the uid \"last\" the state \"last\" is stored as VALUE "
       "state of Integer by Long, but the job declares it as VALUE state of Long by Long: restore "
       "with the old type, or give the state another name."},
  };
  Words snapshots;
  for (const char* type : {"canonical", "native"}) {
    const CommandResult taken =
        cluster_->Flink({"savepoint", "--type", type, job, Dir(std::string("sp-") + type)});
    ASSERT_EQ(taken.exit_code, 0) << taken.err;
    const size_t at = taken.out.find("file:");
    ASSERT_NE(at, std::string::npos) << taken.out;
    snapshots.push_back(taken.out.substr(at, taken.out.find('\n', at) - at));
  }
  const size_t jobs = Jobs().size();
  const auto expect_conflict = [](const CommandResult& json, const Change& change) {
    EXPECT_EQ(json.exit_code, 1) << json.out << json.err;
    const auto plan = nlohmann::json::parse(json.out, nullptr, false);
    ASSERT_TRUE(plan.is_object()) << json.out;
    EXPECT_EQ(plan["restorable"], false);
    EXPECT_EQ(plan["problems"].size(), 1u) << plan.dump();
    for (const auto& op : plan["operators"]) {
      EXPECT_EQ(op["verdict"], op["uid"] == change.uid ? "incompatible" : "matched") << op.dump();
      if (op["uid"] != change.uid) continue;
      EXPECT_EQ(op["conflicts"], nlohmann::json::array({{{"state", change.state},
                                                         {"stored", change.stored},
                                                         {"declared", change.declared}}}));
    }
  };
  for (const std::string& path : snapshots) {
    const CommandResult same = DryRun({"-s", path}, {"--declare-last"});
    EXPECT_EQ(same.exit_code, 0) << same.out << same.err;
    for (const Change& change : changes) {
      const Words arguments = Words{"--declare-last"} + change.arguments;
      const CommandResult table = DryRun({"-s", path}, arguments);
      ExpectRefusedByDryRun(table, "* Failed to rollback to checkpoint/savepoint " + path + ". " +
                                       change.sentence + "\n");
      EXPECT_THAT(table.out, HasSubstr("\nincompatible  "));
      EXPECT_THAT(table.out, HasSubstr(" 0 new, 0 dropped, 1 incompatible.\n"));
      expect_conflict(DryRun({"-s", path, "--json"}, arguments), change);
      ExpectRefused(
          cluster_->Flink(Words{"run", "-d", "-s", path} + Settings() + Program(arguments)),
          change.sentence);
    }
  }
  for (const bool with_checkpoint : {false, true}) {
    if (with_checkpoint) {
      ASSERT_EQ(cluster_->Flink({"checkpoint", job}).exit_code, 0);
    }
    EXPECT_EQ(DryRun({"--against", job}, {"--declare-last"}).exit_code, 0);
    for (const Change& change : changes) {
      const Words arguments = Words{"--declare-last"} + change.arguments;
      ExpectRefusedByDryRun(DryRun({"--against", job}, arguments), change.sentence);
      expect_conflict(DryRun({"--against", job, "--json"}, arguments), change);
    }
  }
  // Nothing was started, and nobody else noticed.
  for (const auto& entry : Jobs()) {
    if (entry["name"] == TestName() && entry["jid"] != job && entry["jid"] != other) {
      EXPECT_EQ(entry["state"], "FAILED") << entry.dump();
    }
  }
  EXPECT_EQ(Jobs().size(), jobs + snapshots.size() * changes.size());
  for (const std::string& id : {job, other}) {
    EXPECT_EQ(cluster_->JobState(id), "RUNNING");
    const auto history = cluster_->Get("/jobs/" + id + "/exceptions");
    ASSERT_TRUE(history.ok());
    EXPECT_THAT((*history)["exceptionHistory"]["entries"], IsEmpty()) << history->dump();
  }
}

TEST_F(DryRunTest, AChangedTypeOfAFunctionsStateFailsTheJobWithoutARestart) {
  const std::string path = Savepoint();
  // Known when the function is opened only.
  EXPECT_EQ(DryRun({"-s", path}, {"--last", "long"}).exit_code, 0);
  const CommandResult run =
      cluster_->Flink(Words{"run", "-s", path} + Settings() + Program({"--last", "long"}));
  EXPECT_EQ(run.exit_code, 1);
  EXPECT_THAT(run.err,
              HasSubstr("In the operator \"last\" with the uid \"last\" the state \"last\" "
                        "is stored as VALUE state of Integer by Long, but the job "
                        "declares it as VALUE state of Long by Long: restore with"));
  const auto jobs = Jobs();
  std::string failed;
  for (const auto& job : jobs) {
    if (job["name"] == TestName() && job["state"] == "FAILED") failed = job["jid"];
  }
  ASSERT_THAT(failed, Not(IsEmpty())) << jobs.dump();
  const auto exceptions = cluster_->Get("/jobs/" + failed + "/exceptions");
  ASSERT_TRUE(exceptions.ok());
  EXPECT_EQ((*exceptions)["exceptionHistory"]["entries"].size(), 1u) << exceptions->dump();
}

TEST_F(DryRunTest, ParallelismAndItsMaximumCount) {
  const std::string path = Savepoint({}, {"-Dpipeline.max-parallelism=2"});
  ExpectRefusedByDryRun(DryRun({"-s", path, "-Dpipeline.max-parallelism=64"}),
                        "with max parallelism 2 to new program with max parallelism 64");
  const CommandResult wide = DryRun({"-s", path, "-p", "3"});
  EXPECT_EQ(wide.exit_code, 1);
  EXPECT_THAT(wide.out, HasSubstr("The job can run with a parallelism of at most 2, because"));
  EXPECT_EQ(DryRun({"-s", path, "-p", "2"}).exit_code, 0);
}

TEST_F(DryRunTest, AProgramIsMatchedWithARunningJob) {
  const std::string job = Running();
  for (const bool with_checkpoint : {false, true}) {
    if (with_checkpoint) {
      ASSERT_EQ(cluster_->Flink({"checkpoint", job}).exit_code, 0);
    }
    const CommandResult same = DryRun({"--against", job, "--json"});
    EXPECT_EQ(same.exit_code, 0) << same.out << same.err;
    const auto plan = nlohmann::json::parse(same.out);
    EXPECT_EQ(plan["checkpoint_id"], with_checkpoint ? 1 : 0);
    EXPECT_EQ(plan["snapshot"], "of the running job " + job);
    EXPECT_TRUE(plan["operators"][0].contains("state_bytes")) << same.out;
    EXPECT_EQ(Verdicts(plan)["sum"], "matched");
    ExpectRefusedByDryRun(DryRun({"--against", job}, {"--uid", "other"}),
                          "The operator is \"Keyed Aggregation\" with the uid \"sum\"");
    EXPECT_THAT(DryRun({"--against", job}).out,
                HasSubstr("\" from the running job " + job + ":\n"));
    EXPECT_EQ(DryRun({"--against", job, "-n"}, {"--uid", "other"}).exit_code, 0);
  }
  EXPECT_EQ(cluster_->JobState(job), "RUNNING");
  const std::string unknown = std::string(32, 'a');
  ExpectRefused(DryRun({"--against", unknown}), "Could not find Flink job (" + unknown + ")");
}

TEST_F(DryRunTest, WhatAJobTookOverIsShownOverRest) {
  const std::string path = Savepoint();
  const auto job =
      cluster_->RunDetached(Words{"-s", path, "-p", "2"} + Settings() + Program({"--rate", "100"}));
  ASSERT_TRUE(job.ok()) << Message(job.status());
  const auto plan = cluster_->Get("/jobs/" + *job + "/restore-plan");
  ASSERT_TRUE(plan.ok()) << Message(plan.status());
  EXPECT_EQ((*plan)["snapshot"], path);
  EXPECT_EQ(Verdicts(*plan)["sum"], "matched");
}

TEST_F(DryRunTest, MistakesInTheCommandLineAreTold) {
  ExpectUsageError(DryRun({}), "--dry-run needs a savepoint (-s path) or a running job");
  ExpectUsageError(DryRun({"-s", "/sp", "--against", std::string(32, 'a')}),
                   "--dry-run takes either -s or --against, not both.");
  ExpectUsageError(cluster_->Flink(Words{"run", "--json"} + Program()), "--json needs --dry-run.");
  ExpectRefused(DryRun({"-s", Dir("nothing")}),
                "Cannot find checkpoint or savepoint file/directory '" + Dir("nothing") + "'");
}

}  // namespace
}  // namespace flink::testing
