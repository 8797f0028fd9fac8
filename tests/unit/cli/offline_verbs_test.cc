// The verbs that need no cluster: savepoint list, prune, inspect, and fsck.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <sstream>

#include "cli/command.h"
#include "cli/flink_command.h"
#include "cli/savepoint_list.h"
#include "common/io/temp_directory.h"
#include "tests/unit/common/snapshot_builder.h"

namespace flink::cli {
namespace {

using snapshot::TestSnapshot;
using snapshot::WriteTestFile;
using snapshot::WriteTestSnapshot;
using ::testing::ContainsRegex;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr char kJob[] = "0123456789abcdef0123456789abcdef";
constexpr char kOtherJob[] = "fedcba9876543210fedcba9876543210";
constexpr char kUuid[] = "00000000-1111-2222-3333-444444444444";
constexpr char kOtherUuid[] = "00000000-1111-2222-3333-555555555555";

class OfflineVerbsTest : public ::testing::Test {
 protected:
  void SetUp() override {
    // Nobody listens on port 1.
    WriteTestFile(In("conf/config.yaml"),
                  "rest.port: 1\nexecution.checkpointing.savepoint-dir: " + In("sp") + "\n");
  }
  std::string In(const std::string& path) const { return directory_.File(path); }
  std::string Savepoint(int number) const {
    return In(fmt::format("sp/savepoint-012345-00000000000{}", number));
  }
  void Write(const std::string& directory, int64_t time_ms, const std::string& job = kJob) {
    TestSnapshot snapshot;
    snapshot.directory = directory;
    snapshot.own_files = {kUuid};
    snapshot.job = job;
    snapshot.time_ms = time_ms;
    WriteTestSnapshot(snapshot);
  }
  int Flink(const std::vector<std::string>& arguments) {
    out_.str("");
    err_.str("");
    return FlinkMain(arguments, In("conf"), out_, err_);
  }

  io::TempDirectory directory_ = io::TempDirectory::Create("offline").value();
  std::ostringstream out_, err_;
};

TEST_F(OfflineVerbsTest, VerbsThatAskNoClusterMayBeToldWhichOne) {
  Write(Savepoint(1), 1000);
  const std::vector<std::vector<std::string>> verbs = {{"savepoint", "list"},
                                                       {"savepoint", "inspect", Savepoint(1)},
                                                       {"savepoint", "verify", Savepoint(1)}};
  for (std::vector<std::string> words : verbs) {
    const size_t verb = 2;
    words.insert(words.begin() + verb,
                 {"-m", "localhost:1", "-z", "space", "-Dparallelism.default=2"});
    EXPECT_EQ(Flink(words), 0) << words[1] << out_.str() << err_.str();
    words.insert(words.begin() + verb, {"-yid", "application_1_0001"});
    EXPECT_EQ(Flink(words), 1) << words[1];
    EXPECT_THAT(err_.str(), HasSubstr("YARN is not there yet"));
  }
}

TEST_F(OfflineVerbsTest, VerboseSaysNothingTwice) {
  EXPECT_EQ(Flink({"savepoint", "inspect", "-v", In("nowhere")}), 1);
  const std::string text = err_.str();
  EXPECT_EQ(std::count(text.begin(), text.end(), '\n'), 1) << text;
}

TEST_F(OfflineVerbsTest, AnEmptySavepointPathIsNoStartFromScratch) {
  for (const std::vector<std::string>& options : std::vector<std::vector<std::string>>{
           {"-s", ""}, {"--fromSavepoint="}, {"-s", "", "-n", "-claimMode", "CLAIM"}}) {
    std::vector<std::string> words = {"run"};
    words.insert(words.end(), options.begin(), options.end());
    words.push_back("nothere.so");
    EXPECT_EQ(Flink(words), 1);
    EXPECT_THAT(err_.str(), StartsWith("Empty checkpoint pointer: -s needs the path of"));
  }
  // A configuration may say that there is none.
  EXPECT_EQ(Flink({"run", "-Dexecution.savepoint.path=", "nothere.so"}), 1);
  EXPECT_THAT(out_.str(), HasSubstr("nothere.so does not exist"));
}

TEST_F(OfflineVerbsTest, AnEmptyTargetDirectoryIsNotTheConfiguredOne) {
  for (const std::vector<std::string>& words : {std::vector<std::string>{"savepoint", kJob, ""},
                                                {"savepoint", "-detached", kJob, ""},
                                                {"stop", "-p", "", kJob},
                                                {"stop", "-detached", "-p", "", kJob},
                                                {"cancel", "-s", "", kJob},
                                                {"cancel", kJob, "-s", ""}}) {
    EXPECT_EQ(Flink(words), 1);
    EXPECT_THAT(err_.str(), HasSubstr("The target directory is empty: nothing was triggered."));
  }
}

TEST_F(OfflineVerbsTest, AWrongClaimModeIsToldWithItsKey) {
  EXPECT_EQ(Flink({"run", "-claimMode", "mine", "nothere.so"}), 1);
  EXPECT_THAT(err_.str(), StartsWith("Could not parse \"mine\" as a claim mode."));
  EXPECT_EQ(Flink({"run", "-Dexecution.savepoint-restore-mode=mine", "nothere.so"}), 1);
  EXPECT_THAT(err_.str(), StartsWith("execution.state-recovery.claim-mode: Could not parse"));
}

TEST_F(OfflineVerbsTest, TheAddressOfTheJobManagerMayBeAUrl) {
  for (const char* address : {"localhost:1", "http://localhost:1", "HTTPS://localhost:1/"}) {
    EXPECT_EQ(Flink({"list", "-m", address}), 1);
    EXPECT_THAT(err_.str(), HasSubstr("JobManager at localhost:1:")) << address;
  }
  for (const char* port : {"0", "65536", "99999", "99999999999999"}) {
    EXPECT_EQ(Flink({"list", "-m", std::string("localhost:") + port}), 1);
    EXPECT_THAT(out_.str(), HasSubstr("the port must be within 1..65535")) << port;
  }
  for (const char* address : {"http://localhost", "ftp://localhost:1", "localhost:1/path"}) {
    EXPECT_EQ(Flink({"list", "-m", address}), 1);
    EXPECT_THAT(out_.str(), HasSubstr("The expected format is host:port")) << address;
  }
}

TEST_F(OfflineVerbsTest, WhatIsNotUtf8IsRefusedPrintably) {
  for (const std::vector<std::string>& words :
       std::vector<std::vector<std::string>>{{"savepoint", kJob, "/x/\xff\xfe"},
                                             {"savepoint", "-d", "/x/\xff\xfe"},
                                             {"savepoint", "dispose", "/x/\xff\xfe"},
                                             {"stop", "-p", "/x/\xff\xfe", kJob},
                                             {"cancel", "-s", "/x/\xff\xfe", kJob}}) {
    EXPECT_EQ(Flink(words), 1) << words[0];
    EXPECT_THAT(err_.str(), HasSubstr("\"/x/\?\?\" is not UTF-8")) << words[0];
  }
}

TEST_F(OfflineVerbsTest, ATriggerIdIsCheckedAsAJobIdIs) {
  EXPECT_EQ(Flink({"savepoint", "--status", "nonsense", kJob}), 1);
  EXPECT_THAT(out_.str(), HasSubstr("Cannot parse trigger id from \"nonsense\"."));
  EXPECT_THAT(out_.str(), HasSubstr("Use the help option"));
}

TEST_F(OfflineVerbsTest, NoArgumentIsDroppedSilently) {
  for (const std::vector<std::string>& words : std::vector<std::vector<std::string>>{
           {"savepoint", "list", kJob, "surplus"},
           {"savepoint", "prune", "--keep", "1", kJob, "surplus"},
           {"savepoint", "inspect", In("sp"), "surplus"},
           {"savepoint", "dispose", In("sp"), "surplus"},
           {"savepoint", "--status", kOtherJob, kJob, "surplus"}}) {
    EXPECT_EQ(Flink(words), 1) << words[1];
    EXPECT_THAT(out_.str(), HasSubstr("Provided more arguments than required: \"surplus\""))
        << words[1];
  }
  // Flink drops it.
  EXPECT_EQ(Flink({"savepoint", "-d", In("sp"), "surplus"}), 1);
  EXPECT_THAT(err_.str(), StartsWith("Provided more arguments than required. Ignoring "));
  EXPECT_EQ(Flink({"savepoint", "list", "--dir", In("a"), "--dir", In("b")}), 1);
  EXPECT_THAT(out_.str(), HasSubstr("Provided --dir more than once."));
}

TEST_F(OfflineVerbsTest, AnOutputThatCannotBeWrittenIsAnError) {
  Write(Savepoint(1), 1000);
  std::ostringstream err;
  std::ostream full(nullptr);
  EXPECT_EQ(FlinkMain({"savepoint", "inspect", Savepoint(1)}, In("conf"), full, err), 1);
  EXPECT_EQ(err.str(), "The output cannot be written.\n");
  EXPECT_EQ(Message(WriteResult(full, "Savepoint completed. Path: file:/x\n")),
            "The output cannot be written. It would have been: Savepoint completed. Path: "
            "file:/x");
}

TEST_F(OfflineVerbsTest, ListShowsSavepointsOfAllJobsOrOfOne) {
  Write(Savepoint(1), 1000);
  Write(Savepoint(2), 2000, kOtherJob);
  EXPECT_EQ(Flink({"savepoint", "list"}), 0) << err_.str();
  EXPECT_THAT(out_.str(), HasSubstr("file:" + Savepoint(1)));
  EXPECT_LT(out_.str().find(Savepoint(2)), out_.str().find(Savepoint(1)));
  EXPECT_EQ(Flink({"savepoint", "list", kJob}), 0);
  EXPECT_THAT(out_.str(), HasSubstr(Savepoint(1)));
  EXPECT_THAT(out_.str(), Not(HasSubstr(Savepoint(2))));
}

TEST_F(OfflineVerbsTest, ListPrintsJson) {
  Write(Savepoint(1), 1000);
  ASSERT_EQ(Flink({"savepoint", "list", "--json"}), 0) << err_.str();
  const auto json = nlohmann::json::parse(out_.str());
  ASSERT_EQ(json.size(), 1u);
  EXPECT_EQ(json[0]["path"], "file:" + Savepoint(1));
  EXPECT_EQ(json[0]["job_id"], kJob);
  EXPECT_EQ(json[0]["time"], 1000);
  EXPECT_EQ(json[0]["kind"], "savepoint");
  EXPECT_EQ(json[0]["state_bytes"], 22);
  EXPECT_EQ(json[0]["parallelism"], 1);
  EXPECT_EQ(json[0]["operators"], nlohmann::json::array({"Counter"}));
}

TEST_F(OfflineVerbsTest, ListSearchesTheDirectoryNamedOrConfiguredOnTheCommandLine) {
  Write(In("a/b/savepoint"), 1000);
  EXPECT_EQ(Flink({"savepoint", "list"}), 0);
  EXPECT_EQ(out_.str(), "No snapshots in " + In("sp") + " (does not exist).\n");
  ASSERT_TRUE(io::CreateDirectories(In("sp")).ok());
  EXPECT_EQ(Flink({"savepoint", "list"}), 0);
  EXPECT_EQ(out_.str(), "No snapshots in " + In("sp") + ".\n");
  EXPECT_EQ(Flink({"savepoint", "list", "--dir", In("a")}), 0);
  EXPECT_THAT(out_.str(), HasSubstr(In("a/b/savepoint")));
  EXPECT_EQ(Flink({"savepoint", "list", "-Dstate.checkpoints.dir=" + In("a")}), 0);
  EXPECT_THAT(out_.str(), HasSubstr(In("a/b/savepoint")));
  // Of two names of a key the newer wins, wherever it stands.
  EXPECT_EQ(Flink({"savepoint", "list", "-Dexecution.checkpointing.dir=" + In("a"),
                   "-Dstate.checkpoints.dir=" + In("nowhere")}),
            0);
  EXPECT_THAT(out_.str(), HasSubstr(In("a/b/savepoint")));
  EXPECT_EQ(Flink({"savepoint", "list", "--dir", In("nowhere")}), 1);
  EXPECT_THAT(err_.str(), HasSubstr(In("nowhere")));
}

TEST_F(OfflineVerbsTest, ListRefusesWhatIsNoJobId) {
  EXPECT_EQ(Flink({"savepoint", "list", "words"}), 1);
  EXPECT_THAT(out_.str(), HasSubstr("Cannot parse JobID from \"words\""));
}

TEST_F(OfflineVerbsTest, TheTableFitsIntoATerminal) {
  Write(In("s"), 1000);
  const auto listing = snapshot::ListSnapshotsBelow(directory_.path()).value();
  for (const size_t width : {size_t{80}, size_t{100}}) {
    std::istringstream lines(FormatSnapshots(listing.snapshots, width));
    for (std::string line; std::getline(lines, line);) EXPECT_LE(line.size(), width) << line;
  }
  EXPECT_THAT(FormatSnapshots(listing.snapshots, 80), HasSubstr("  file:" + In("s") + "\n"));
  EXPECT_THAT(FormatSnapshots(listing.snapshots, 0), StartsWith("PATH "));
}

TEST_F(OfflineVerbsTest, PruneKeepsTheNewestAndLeavesOtherJobsAndCheckpoints) {
  for (int i = 1; i <= 4; ++i) Write(Savepoint(i), 1000 * i);
  Write(Savepoint(5), 100, kOtherJob);
  TestSnapshot checkpoint;
  checkpoint.directory = In(std::string("sp/") + kJob + "/chk-1");
  checkpoint.job = kJob;
  checkpoint.kind = "checkpoint";
  WriteTestSnapshot(checkpoint);
  EXPECT_EQ(Flink({"savepoint", "prune", "--keep", "2", kJob}), 0) << err_.str();
  EXPECT_THAT(out_.str(), HasSubstr("Keeping the newest 2 of 4 savepoints, disposing of 2.\n"
                                    "No JobManager answers, so the files are deleted from here.\n"
                                    "Savepoint 'file:" +
                                    Savepoint(1) + "' disposed.\nSavepoint 'file:" + Savepoint(2) +
                                    "' disposed.\n"));
  EXPECT_FALSE(io::Exists(Savepoint(1)));
  EXPECT_FALSE(io::Exists(Savepoint(2)));
  for (const std::string& kept : {Savepoint(3), Savepoint(4), Savepoint(5), checkpoint.directory}) {
    EXPECT_TRUE(io::Exists(kept + "/_metadata")) << kept;
  }
  EXPECT_EQ(Flink({"savepoint", "prune", "--keep", "2", kJob}), 0);
  EXPECT_THAT(out_.str(), HasSubstr("Keeping the newest 2 of 2 savepoints, disposing of 0."));
}

TEST_F(OfflineVerbsTest, PruneDeletesNothingItselfWhenAJobManagerMayBeThere) {
  const int busy = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof(address);
  ASSERT_EQ(bind(busy, reinterpret_cast<sockaddr*>(&address), length), 0);
  ASSERT_EQ(listen(busy, 5), 0);  // And answers nobody.
  ASSERT_EQ(getsockname(busy, reinterpret_cast<sockaddr*>(&address), &length), 0);
  Write(Savepoint(1), 1000);
  const std::string port = std::to_string(ntohs(address.sin_port));
  for (const auto& [host, number] : std::vector<std::pair<std::string, std::string>>{
           {"127.0.0.1", port}, {"no.such.host.invalid", "1"}}) {
    EXPECT_EQ(Flink({"savepoint", "prune", "--keep", "0", "-Dclient.timeout=100 ms",
                     "-Drest.address=" + host, "-Drest.port=" + number, kJob}),
              1)
        << host;
  }
  close(busy);
  EXPECT_TRUE(io::Exists(Savepoint(1) + "/_metadata"));
}

TEST_F(OfflineVerbsTest, PruneOfNothingKeptRemovesAll) {
  Write(Savepoint(1), 1000);
  EXPECT_EQ(Flink({"savepoint", "prune", "--keep", "0", kJob}), 0) << err_.str();
  EXPECT_FALSE(io::Exists(Savepoint(1)));
}

TEST_F(OfflineVerbsTest, PruneNeverGoesByTheDigitsInAName) {
  TestSnapshot foreign;  // Of Flink: no side file says whose it is.
  foreign.directory = Savepoint(1);
  WriteTestSnapshot(foreign);
  EXPECT_EQ(Flink({"savepoint", "prune", "--keep", "0", kJob}), 1);
  EXPECT_TRUE(io::Exists(Savepoint(1)));
}

TEST_F(OfflineVerbsTest, PruneRefusesMistakesAndSaysHowItIsRight) {
  Write(Savepoint(1), 1000);
  EXPECT_EQ(Flink({"savepoint", "prune", kJob}), 1);
  EXPECT_THAT(out_.str(), HasSubstr("Missing --keep."));
  for (const char* keep : {"-1", "two", "1.5", "99999999999999999999999"}) {
    EXPECT_EQ(Flink({"savepoint", "prune", "--keep", keep, kJob}), 1) << keep;
    EXPECT_THAT(out_.str(), HasSubstr("--keep takes a number from 0.")) << keep;
  }
  EXPECT_EQ(Flink({"savepoint", "prune", "--keep", "1"}), 1);
  EXPECT_THAT(out_.str(), HasSubstr("Missing JobID."));
  EXPECT_EQ(Flink({"savepoint", "prune", "--keep", "1", kOtherJob}), 1);
  EXPECT_THAT(err_.str(), HasSubstr("No savepoint of job " + std::string(kOtherJob)));
  EXPECT_TRUE(io::Exists(Savepoint(1)));
}

TEST_F(OfflineVerbsTest, InspectShowsOperatorsAndSaysWhatCannotBeRead) {
  Write(Savepoint(1), 1000);
  EXPECT_EQ(Flink({"savepoint", "inspect", Savepoint(1)}), 0) << err_.str();
  EXPECT_THAT(out_.str(), HasSubstr("Counter, uid count, id "));
  EXPECT_THAT(out_.str(), HasSubstr("key groups 0-127"));
  EXPECT_EQ(Flink({"savepoint", "inspect", "--json", Savepoint(1) + "/_metadata"}), 0);
  const auto json = nlohmann::json::parse(out_.str());
  EXPECT_EQ(json["operators"][0]["uid"], "count");
  EXPECT_EQ(json["operators"][0]["key_groups"], nlohmann::json::parse("[[0,127]]"));
}

TEST_F(OfflineVerbsTest, InspectRefusesWhatIsNoSnapshot) {
  EXPECT_EQ(Flink({"savepoint", "inspect"}), 1);
  EXPECT_THAT(out_.str(), HasSubstr("Missing path."));
  EXPECT_EQ(Flink({"savepoint", "inspect", In("conf")}), 1);
  EXPECT_THAT(err_.str(), HasSubstr("Cannot find meta data file '_metadata'"));
  EXPECT_EQ(Flink({"savepoint", "inspect", In("conf/config.yaml")}), 1);
  EXPECT_THAT(err_.str(), HasSubstr(In("conf/config.yaml")));
  EXPECT_EQ(Flink({"savepoint", "inspect", "hdfs://x/y"}), 1);
  EXPECT_THAT(err_.str(),
              HasSubstr("Cannot access file system for checkpoint/savepoint path 'hdfs://x/y'"));
}

TEST_F(OfflineVerbsTest, FsckListsThenDeletesThenIsClean) {
  Write(Savepoint(1), 1000);
  EXPECT_EQ(Flink({"fsck", In("sp")}), 0) << err_.str();
  EXPECT_EQ(out_.str(), "No orphans in " + In("sp") + ".\n");
  WriteTestFile(Savepoint(2) + "/" + kOtherUuid);
  WriteTestFile(In(std::string("sp/") + kJob + "/shared/" + kUuid + "x"));
  EXPECT_EQ(Flink({"fsck", "--older-than", "0s", In("sp")}), 1);
  EXPECT_THAT(out_.str(), HasSubstr("10  unfinished savepoint  " + Savepoint(2)));
  EXPECT_EQ(err_.str(),
            "1 orphan of 10 B in " + In("sp") + "; --delete removes 1 orphan of 10 B.\n");
  EXPECT_TRUE(io::Exists(Savepoint(2)));
  EXPECT_EQ(Flink({"fsck", "--delete", "--older-than", "0s", In("sp")}), 0) << err_.str();
  EXPECT_THAT(out_.str(), HasSubstr("Deleted 1 orphan of 10 B."));
  EXPECT_FALSE(io::Exists(Savepoint(2)));
  EXPECT_EQ(Flink({"fsck", In("sp")}), 0);
}

TEST_F(OfflineVerbsTest, FsckKeepsWhatIsYoungerThanTenMinutes) {
  WriteTestFile(Savepoint(2) + "/" + kUuid);
  EXPECT_EQ(Flink({"fsck", "--delete", In("sp")}), 1);
  EXPECT_THAT(out_.str(), HasSubstr("kept: changed "));
  EXPECT_TRUE(io::Exists(Savepoint(2)));
}

TEST_F(OfflineVerbsTest, FsckLooksIntoSeveralDirectories) {
  const std::string shared = In(std::string("b/") + kJob + "/shared/" + kUuid);
  WriteTestFile(In("a/savepoint-012345-000000000001/") + kUuid);
  WriteTestFile(shared);
  EXPECT_EQ(Flink({"fsck", "--older-than", "0s", In("a"), In("b"), In("b")}), 1);
  EXPECT_THAT(out_.str(), HasSubstr(In("a/savepoint-012345-000000000001")));
  EXPECT_THAT(out_.str(), HasSubstr(shared));
  EXPECT_THAT(err_.str(), StartsWith("2 orphans of 20 B in " + In("a") + ", " + In("b")));
  EXPECT_EQ(Flink({"fsck", In("a"), In("nowhere")}), 1);
  EXPECT_THAT(err_.str(), HasSubstr(In("nowhere")));
}

TEST_F(OfflineVerbsTest, FsckOfSeveralDirectoriesHeedsWhatEachSaysOfTheOthers) {
  const std::string shared = In(std::string("a/") + kJob + "/shared/" + kUuid);
  TestSnapshot elsewhere;
  elsewhere.directory = In(std::string("b/") + kOtherJob + "/chk-3");
  elsewhere.shared_files = {shared};
  WriteTestSnapshot(elsewhere);
  const std::vector<std::string> both = {"fsck", "--delete", "--older-than",
                                         "0s",   In("a"),    In("b")};
  EXPECT_EQ(Flink(both), 0) << err_.str();
  WriteTestFile(elsewhere.directory + "/_metadata", "damaged");
  EXPECT_EQ(Flink(both), 1);
  EXPECT_THAT(out_.str(), HasSubstr("kept: a snapshot that cannot be read may need it"));
  EXPECT_TRUE(io::Exists(shared));
}

TEST_F(OfflineVerbsTest, FsckOfADirectoryAndOneAboveItKeepsWhatTheWiderSearchKeeps) {
  const std::string shared = In(std::string("b/one/shared/") + kUuid);
  WriteTestFile(shared);
  WriteTestFile(In("b/two/chk-3/_metadata"), "damaged");
  EXPECT_EQ(Flink({"fsck", "--delete", "--older-than", "0s", In("b/one"), In("b")}), 1);
  EXPECT_TRUE(io::Exists(shared));
}

TEST_F(OfflineVerbsTest, FsckHeedsAnUnreadableSnapshotInTheConfiguredDirectory) {
  const std::string shared = In(std::string("a/") + kJob + "/shared/" + kUuid);
  WriteTestFile(shared);
  WriteTestFile(Savepoint(1) + "/_metadata", "damaged");
  EXPECT_EQ(Flink({"fsck", "--delete", "--older-than", "0s", In("a")}), 1);
  EXPECT_THAT(out_.str(), HasSubstr(Savepoint(1)));
  EXPECT_TRUE(io::Exists(shared));
  // Nobody may be kept from deleting by a configuration that is not about these files.
  EXPECT_EQ(Flink({"fsck", "--delete", "--older-than", "0s",
                   "-Dexecution.checkpointing.savepoint-dir=" + In("none"), In("a")}),
            0)
      << err_.str();
  EXPECT_FALSE(io::Exists(shared));
}

TEST_F(OfflineVerbsTest, VerifyNamesWhatItLookedAt) {
  Write(Savepoint(1), 1000);
  Write(Savepoint(2), 2000);
  EXPECT_EQ(Flink({"savepoint", "verify", Savepoint(1), Savepoint(2) + "/_metadata"}), 0);
  for (int i = 1; i <= 2; ++i) {
    EXPECT_THAT(out_.str(), ContainsRegex("Verified 2 files with [0-9]+ bytes in file:" +
                                          Savepoint(i) + ": no damage found\\.\n"));
  }
  WriteTestFile(In("plain/text"), "no snapshot");
  EXPECT_EQ(Flink({"savepoint", "verify", In("plain/text")}), 1);
  EXPECT_THAT(out_.str(), Not(HasSubstr("has no checksums")));
  EXPECT_THAT(err_.str(), StartsWith("1 of 1 file of the snapshot file:" + In("plain/text") +
                                     " is damaged or missing"));
  // One after the other, whatever the first one says.
  EXPECT_EQ(Flink({"savepoint", "verify", "--json", In("nowhere"), Savepoint(1)}), 1);
  EXPECT_THAT(err_.str(), HasSubstr("1 of 2 snapshots are not intact."));
  const auto json = nlohmann::json::parse(out_.str());
  ASSERT_EQ(json.size(), 2u);
  EXPECT_EQ(json[0]["path"], "file:" + In("nowhere"));
  EXPECT_EQ(json[0]["intact"], false);
  EXPECT_THAT(json[0]["problems"][0]["problem"], HasSubstr(In("nowhere")));
  EXPECT_EQ(json[1]["path"], "file:" + Savepoint(1));
  EXPECT_EQ(json[1]["intact"], true);
  // Its checksums are there, and cannot be used: that is no snapshot of Flink.
  WriteTestFile(Savepoint(1) + "/_flink_cpp.json", "{");
  EXPECT_EQ(Flink({"savepoint", "verify", Savepoint(1)}), 1);
  EXPECT_THAT(out_.str(), Not(HasSubstr("has no checksums")));
}

TEST_F(OfflineVerbsTest, VerifyDoesNotCallDamagedWhatItCannotRead) {
  Write(Savepoint(1), 1000);
  const std::string file = Savepoint(1) + "/" + kUuid;
  ASSERT_TRUE(io::RemoveFile(file).ok());
  ASSERT_EQ(symlink(file.c_str(), file.c_str()), 0);
  EXPECT_EQ(Flink({"savepoint", "verify", Savepoint(1)}), 1);
  EXPECT_THAT(err_.str(), HasSubstr("cannot be read: whether it is intact is not known."));
  EXPECT_THAT(err_.str(), Not(HasSubstr("damaged")));
}

TEST_F(OfflineVerbsTest, PruneNamesTheDirectoryThatStaysForTheFilesOfItsUser) {
  Write(Savepoint(1), 1000);
  Write(Savepoint(2), 2000);
  WriteTestFile(Savepoint(1) + "/notes.txt");
  EXPECT_EQ(Flink({"savepoint", "prune", "--keep", "0", kJob}), 0) << err_.str();
  EXPECT_THAT(out_.str(), HasSubstr("The directory " + Savepoint(1) +
                                    " stays, because notes.txt is in it, which is not of the "
                                    "savepoint.\n"));
  EXPECT_THAT(out_.str(), Not(HasSubstr("The directory " + Savepoint(2))));
}

TEST_F(OfflineVerbsTest, AListOfADirectoryThatIsNotThereIsAnErrorInJsonToo) {
  for (const char* json : {"--json", "-v"}) {
    EXPECT_EQ(Flink({"savepoint", "list", json, "--dir", In("nowhere")}), 1);
    EXPECT_EQ(out_.str(), "");
    EXPECT_THAT(err_.str(), HasSubstr(In("nowhere")));
  }
}

TEST_F(OfflineVerbsTest, ErrorsHoldNoControlCharacters) {
  EXPECT_EQ(Flink({"savepoint", "list", "--dir",
                   In("a\x1b[31m\u009b"
                      "b\tc")}),
            1);
  EXPECT_THAT(err_.str(), HasSubstr("a?[31m?b c"));
}

TEST_F(OfflineVerbsTest, HelpThatCannotBeWrittenIsAnError) {
  const std::vector<std::vector<std::string>> helps = {{"--help"}, {"--version"}, {"list", "-h"}};
  for (const auto& words : helps) {
    out_.setstate(std::ios::badbit);
    EXPECT_EQ(Flink(words), 1) << words[0];
    out_.clear();
    EXPECT_EQ(Flink(words), 0) << words[0];
  }
}

TEST_F(OfflineVerbsTest, FsckSaysInJsonWhatItFound) {
  WriteTestFile(Savepoint(2) + "/" + kUuid);
  EXPECT_EQ(Flink({"fsck", "--json", "--older-than=0s", In("sp")}), 1);
  const auto json = nlohmann::json::parse(out_.str());
  EXPECT_EQ(json["orphans"][0]["path"], Savepoint(2));
  EXPECT_EQ(json["orphans"][0]["bytes"], 10);
}

TEST_F(OfflineVerbsTest, FsckRefusesMistakes) {
  EXPECT_EQ(Flink({"fsck"}), 1);
  EXPECT_THAT(out_.str(), HasSubstr("Missing directory."));
  EXPECT_EQ(Flink({"fsck", In("nowhere")}), 1);
  EXPECT_THAT(err_.str(), HasSubstr(In("nowhere")));
  EXPECT_EQ(Flink({"fsck", "--older-than", "soon", In("sp")}), 1);
  EXPECT_THAT(out_.str(), HasSubstr("--older-than: "));
}

TEST_F(OfflineVerbsTest, HostileMetadataIsOneLineOnStderrAndNothingElse) {
  Write(In("whole"), 1000);
  const std::string whole = io::ReadFile(In("whole/_metadata")).value();
  WriteTestFile(In("h/truncated/_metadata"), whole.substr(0, whole.size() / 2));
  WriteTestFile(In("h/empty/_metadata"), "");
  WriteTestFile(In("h/zeros/_metadata"), std::string(4096, '\0'));
  WriteTestFile(In("h/line\nfeed/_metadata"), "x");
  ASSERT_TRUE(io::CreateDirectories(In("h/directory/_metadata")).ok());
  ASSERT_TRUE(io::CreateDirectories(In("h/pipe")).ok());
  ASSERT_EQ(mkfifo(In("h/pipe/_metadata").c_str(), 0600), 0);
  WriteTestFile(In("h/huge/_metadata"), whole);
  ASSERT_EQ(truncate(In("h/huge/_metadata").c_str(), off_t{1} << 40), 0);
  for (const char* name :
       {"truncated", "empty", "zeros", "line\nfeed", "directory", "pipe", "huge"}) {
    EXPECT_EQ(Flink({"savepoint", "inspect", In("h/") + name}), 1) << name;
    const std::string error = err_.str();
    EXPECT_EQ(std::count(error.begin(), error.end(), '\n'), 1) << error;
    EXPECT_EQ(out_.str(), "");
  }
  // What is whole beside them is found, and the others are named.
  Write(In("h/savepoint"), 1000);
  EXPECT_EQ(Flink({"savepoint", "list", "--dir", In("h")}), 0);
  EXPECT_THAT(out_.str(), HasSubstr(In("h/savepoint")));
  const std::string problems = err_.str();
  EXPECT_EQ(std::count(problems.begin(), problems.end(), '\n'), 7) << problems;
  EXPECT_EQ(Flink({"fsck", "--delete", "--older-than", "0s", In("h")}), 0) << err_.str();
}

TEST_F(OfflineVerbsTest, DeepDirectoriesAndCirclesOfLinksComeToAnEnd) {
  std::string deep = "deep";
  for (int i = 0; i < 200; ++i) deep += "/d";
  ASSERT_TRUE(io::CreateDirectories(In(deep)).ok());
  ASSERT_EQ(symlink(In("deep").c_str(), In("deep/d/again").c_str()), 0);
  ASSERT_EQ(symlink("self", In("deep/self").c_str()), 0);
  Write(In("deep/d/d/savepoint"), 1000);
  EXPECT_EQ(Flink({"savepoint", "list", "--dir", In("deep")}), 0) << err_.str();
  EXPECT_THAT(out_.str(), HasSubstr(In("deep/d/d/savepoint")));
  EXPECT_EQ(Flink({"fsck", In("deep")}), 0) << err_.str();
}

TEST_F(OfflineVerbsTest, EachHasHelpOfItsOwn) {
  for (const char* word : {"list", "prune", "inspect"}) {
    EXPECT_EQ(Flink({"savepoint", word, "--help"}), 0);
    EXPECT_THAT(out_.str(), HasSubstr("Action \"savepoint " + std::string(word) + "\""));
  }
  EXPECT_EQ(Flink({"fsck", "--help"}), 0);
  EXPECT_THAT(out_.str(), HasSubstr("when there are no orphans"));
}

}  // namespace
}  // namespace flink::cli
