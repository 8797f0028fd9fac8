#include "jobmanager/dispatcher/dispatcher.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <httplib.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <future>
#include <map>
#include <nlohmann/json.hpp>

#include "common/io/file_system.h"
#include "jobmanager/rest/rest_server.h"
#include "tests/unit/jobmanager/scheduler/scripted_cluster.h"

namespace flink::jobmanager {
namespace {

using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;
using Json = nlohmann::json;

/// A dispatcher with its REST server and scripted TaskManagers.
class DispatcherTest : public ::testing::Test {
 protected:
  DispatcherTest() : directory_(io::TempDirectory::Create("dispatcher-test").value()) {
    options_.configuration.Set("rest.port", "0");
    options_.configuration.Set("io.tmp.dirs", directory_.File("tmp"));
    options_.configuration.Set("execution.checkpointing.savepoint-dir",
                               directory_.File("savepoints"));
  }
  void SetUp() override {
    Dispatcher::Deps deps;
    deps.main = &main_.mailbox();
    deps.store = &store_;
    auto created = Dispatcher::Create(options_, deps);
    ASSERT_TRUE(created.ok()) << Message(created.status());
    dispatcher_ = *std::move(created);
    cluster_ = std::make_unique<ScriptedCluster>(
        &main_.mailbox(),
        [this](const std::string& id, const pb::cluster::v1::TaskManagerMessage& message) {
          dispatcher_->OnMessage(id, message);
        });
    main_.Post([this] {
      dispatcher_->Connect(cluster_.get());
      dispatcher_->OnRegistered(TestTaskManager("tm1", 2));
      dispatcher_->OnRegistered(TestTaskManager("tm2", 2));
    });
    auto rest = RestServer::Start(options_.configuration, dispatcher_.get());
    ASSERT_TRUE(rest.ok()) << Message(rest.status());
    rest_ = *std::move(rest);
    http_ = std::make_unique<httplib::Client>("localhost", rest_->port());
  }
  void TearDown() override {
    http_.reset();
    rest_.reset();
    main_.Post([this] { dispatcher_->Shutdown(); });
    main_.CloseAndJoin();
    dispatcher_.reset();
    EXPECT_TRUE(io::ListDirectory(directory_.File("tmp"))->empty())
        << "the work directory stays behind";
  }

  static Json Parse(const httplib::Result& result, int status) {
    if (!result) {
      ADD_FAILURE() << "no answer";
      return {};
    }
    EXPECT_EQ(result->status, status) << result->body;
    EXPECT_EQ(result->get_header_value("Content-Type"), "application/json; charset=UTF-8");
    return Json::parse(result->body);
  }
  Json Get(const std::string& path, int status = 200) {
    return Parse(http_->Get(path.c_str()), status);
  }
  Json Post(const std::string& path, const std::string& body, int status) {
    return Parse(http_->Post(path.c_str(), body, "application/json"), status);
  }
  Json Submit(pb::graph::v1::JobGraph graph, int status = 202) {
    const std::string library = "not really a library";
    graph.set_library_digest(ArtifactStore::DigestOf(library));
    const httplib::MultipartFormDataItems items = {
        {"request", R"({"jobGraphFileName":"file_0","jobJarFileNames":["file_1"]})", "",
         "application/json"},
        {"file_0", graph.SerializeAsString(), "job.graph", "application/octet-stream"},
        {"file_1", library, "WordCount.so", "application/octet-stream"}};
    return Parse(http_->Post("/v1/jobs", items), status);
  }
  /// What the server answers to these bytes, until it closes the connection.
  std::string Raw(const std::string& request) const {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    address.sin_port = htons(static_cast<uint16_t>(rest_->port()));
    EXPECT_EQ(::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
    EXPECT_EQ(::write(fd, request.data(), request.size()), static_cast<ssize_t>(request.size()));
    std::string answer;
    char buffer[4096];
    for (ssize_t n = 0; (n = ::read(fd, buffer, sizeof buffer)) > 0;) {
      answer.append(buffer, static_cast<size_t>(n));
    }
    ::close(fd);
    return answer;
  }
  size_t RecordedJobs() {
    std::promise<size_t> recorded;
    main_.Post([&] { recorded.set_value(store_.Jobs().value().size()); });
    return recorded.get_future().get();
  }
  void Await(const std::string& state) {
    for (int i = 0; i < 3000; ++i) {
      if (Get(JobPath() + "/status")["status"] == state) return;
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    FAIL() << "the job is not " << state;
  }
  /// The operation when it has completed.
  Json Poll(const std::string& path) {
    for (int i = 0; i < 3000; ++i) {
      const Json json = Get(path);
      if (json["status"]["id"] == "COMPLETED") return json["operation"];
      EXPECT_TRUE(json["operation"].is_null());
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    ADD_FAILURE() << path << " does not complete";
    return {};
  }
  static pb::graph::v1::JobGraph Restoring(const std::string& path, const std::string& mode,
                                           char job) {
    using Settings = pb::graph::v1::SavepointRestoreSettings;
    pb::graph::v1::JobGraph graph = TestGraph(1, job);
    graph.mutable_restore()->set_path(path);
    graph.mutable_restore()->set_claim_mode(mode == "CLAIM"    ? Settings::CLAIM_MODE_CLAIM
                                            : mode == "LEGACY" ? Settings::CLAIM_MODE_LEGACY
                                                               : Settings::CLAIM_MODE_NO_CLAIM);
    return graph;
  }
  static std::string JobPath() { return "/jobs/6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a6a"; }

  io::TempDirectory directory_;
  Dispatcher::Options options_;
  MailboxThread main_{"main"};
  InMemoryJobStore store_;
  std::unique_ptr<ScriptedCluster> cluster_;
  std::unique_ptr<Dispatcher> dispatcher_;
  std::unique_ptr<RestServer> rest_;
  std::unique_ptr<httplib::Client> http_;
};

TEST_F(DispatcherTest, RunsAJobFromSubmissionToCancellation) {
  EXPECT_EQ(Submit(TestGraph(2))["jobUrl"], JobPath());
  Await("RUNNING");
  EXPECT_EQ(Get("/overview")["slots-available"], 2);
  EXPECT_EQ(Get("/v1/jobs")["jobs"].size(), 1u);
  EXPECT_EQ(Get(JobPath())["vertices"].size(), 2u);
  EXPECT_EQ(Get("/taskmanagers")["taskmanagers"].size(), 2u);
  EXPECT_EQ(Get("/taskmanagers/tm1")["allocatedSlots"].size(), 1u);

  const std::string trigger = Post(JobPath() + "/savepoints", "", 202)["request-id"];
  const std::string location = Poll(JobPath() + "/savepoints/" + trigger)["location"];
  EXPECT_THAT(location, HasSubstr("/savepoint-6a6a6a-"));
  EXPECT_EQ(Get(JobPath() + "/savepoints/" + trigger + "/progress"),
            Json({{"waiting", false}, {"checkpoint", nullptr}}));
  const Json checkpoints = Get(JobPath() + "/checkpoints");
  EXPECT_EQ(checkpoints["latest"]["savepoint"]["external_path"], location);
  EXPECT_EQ(Get(JobPath() + "/checkpoints/details/1")["tasks"].size(), 2u);

  const std::string source =
      Get(JobPath() + "/checkpoints/details/1")["tasks"].items().begin().key();
  EXPECT_TRUE(Get(JobPath() + "/checkpoints/details/1/subtasks/" + source)["summary"].contains(
      "checkpoint_duration"));
  EXPECT_THAT(
      Get(JobPath() + "/checkpoints/details/1/subtasks/" + std::string(32, '0'), 404)["errors"][0]
          .get<std::string>(),
      HasSubstr("There is no checkpoint statistics for task "));

  Parse(http_->Patch((JobPath() + "?mode=cancel").c_str()), 202);
  Await("CANCELED");
  // The list outlives the job, a savepoint only until it is disposed of.
  const Json savepoints = Get(JobPath() + "/savepoints")["savepoints"];
  ASSERT_EQ(savepoints.size(), 1u) << savepoints;
  EXPECT_EQ(savepoints[0]["external_path"], location);
  EXPECT_EQ(savepoints[0]["id"], 1);
  Parse(http_->Patch(JobPath().c_str()), 202);
  EXPECT_EQ(Get(JobPath() + "/execution-result")["job-execution-result"]["application-status"],
            "CANCELED");
  // flink-surface §4.3 no. 48
  while (RecordedJobs() != 0) std::this_thread::sleep_for(std::chrono::milliseconds(10));

  const std::string disposal =
      Post("/savepoint-disposal", Json{{"savepoint-path", location}}.dump(), 200)["request-id"];
  EXPECT_EQ(Poll("/savepoint-disposal/" + disposal), Json::object());
  EXPECT_FALSE(io::Exists(location.substr(5)));
  EXPECT_EQ(Get(JobPath() + "/savepoints")["savepoints"].size(), 0u);
}

TEST_F(DispatcherTest, WorkDirectoriesOfDeadJobManagersGo) {
  const pid_t dead = fork();
  if (dead == 0) _exit(0);
  ASSERT_EQ(waitpid(dead, nullptr, 0), dead);
  const std::string left = directory_.File(fmt::format("tmp/flink-cpp-jm-{}-abcdef", dead));
  const std::string alive = directory_.File(fmt::format("tmp/flink-cpp-jm-{}-abcdef", getppid()));
  ASSERT_TRUE(io::CreateDirectories(io::JoinPath(left, "checkpoints")).ok());
  ASSERT_TRUE(io::CreateDirectories(alive).ok());
  Dispatcher::Deps deps;
  deps.main = &main_.mailbox();
  deps.store = &store_;
  ASSERT_TRUE(Dispatcher::Create(options_, deps).ok());
  EXPECT_FALSE(io::Exists(left));
  EXPECT_TRUE(io::Exists(alive));
  ASSERT_TRUE(io::RemoveAll(alive).ok());
}

// flink-surface §4.5 no. 78.
TEST_F(DispatcherTest, FinishedJobCannotBeCancelled) {
  main_.Post([this] { cluster_->finish_at_once = true; });
  Submit(TestGraph(1));
  Await("FINISHED");
  const Json refused = Parse(http_->Patch(JobPath().c_str()), 409);
  EXPECT_THAT(refused["errors"][0].get<std::string>(),
              HasSubstr("Job cancellation failed because the job has already reached another "
                        "terminal state (FINISHED)."));
}

TEST_F(DispatcherTest, TooFewSlotsAreOneReadableSentence) {
  const Json refused = Submit(TestGraph(9), 500);
  ASSERT_EQ(refused.size(), 1u);
  EXPECT_THAT(
      refused["errors"][0].get<std::string>(),
      HasSubstr("it needs 9 task slots, but only 4 of the cluster's 4 are free. Run it with -p 4 "
                "or less, or start more TaskManagers (bin/taskmanager.sh start)."));
  EXPECT_EQ(Get(JobPath() + "/status")["status"], "FAILED");
}

// flink-surface §4.4 no. 59
TEST_F(DispatcherTest, MissingSnapshotIsRefusedWithFlinksText) {
  pb::graph::v1::JobGraph graph = TestGraph(2);
  graph.mutable_restore()->set_path("/nowhere");
  EXPECT_EQ(Submit(graph, 400)["errors"][0],
            "Cannot find checkpoint or savepoint file/directory '/nowhere' on file system 'file'.");
}

TEST_F(DispatcherTest, ACheckpointInUseIsInUseByEveryPath) {
  pb::graph::v1::JobGraph graph = TestGraph(1);
  (*graph.mutable_configuration())["execution.checkpointing.dir"] = directory_.File("chk");
  Submit(graph);
  Await("RUNNING");
  const std::string trigger = Post(JobPath() + "/checkpoints", "{}", 202)["request-id"];
  ASSERT_EQ(Poll(JobPath() + "/checkpoints/" + trigger)["checkpointId"], 1);
  std::filesystem::create_directory_symlink(directory_.File("chk"), directory_.File("link"));
  const std::string linked = directory_.File("link" + JobPath().substr(5) + "/chk-1");
  ASSERT_TRUE(io::Exists(linked));
  const std::string disposal =
      Post("/savepoint-disposal", Json{{"savepoint-path", linked}}.dump(), 200)["request-id"];
  EXPECT_THAT(Poll("/savepoint-disposal/" + disposal).dump(), HasSubstr("may still need it"));
  EXPECT_THAT(Submit(Restoring(linked, "CLAIM", 'k'), 400).dump(),
              HasSubstr("may still restore from it"));
  EXPECT_TRUE(io::Exists(linked + "/_metadata"));
}

TEST_F(DispatcherTest, NoJobStartsFromASnapshotThatAnotherHasClaimed) {
  Submit(TestGraph(1));
  Await("RUNNING");
  const std::string trigger = Post(JobPath() + "/savepoints", "{}", 202)["request-id"];
  const std::string path = Poll(JobPath() + "/savepoints/" + trigger)["location"];
  Submit(Restoring(path, "CLAIM", 'k'));
  for (const char* mode : {"NO_CLAIM", "CLAIM", "LEGACY"}) {
    EXPECT_THAT(Submit(Restoring(path, mode, mode[0]), 400).dump(), HasSubstr("the job 6b6b"))
        << mode;
  }
}

TEST_F(DispatcherTest, DamagedLibraryIsRefused) {
  pb::graph::v1::JobGraph graph = TestGraph(1);
  graph.set_library_digest("0000000000000000");
  const httplib::MultipartFormDataItems items = {
      {"request", R"({"jobGraphFileName":"g","jobJarFileNames":["l"]})", "", ""},
      {"g", graph.SerializeAsString(), "g", ""},
      {"l", "library", "l", ""}};
  EXPECT_THAT(Parse(http_->Post("/jobs", items), 400)["errors"][0].get<std::string>(),
              HasSubstr("arrived damaged"));
}

// flink-surface §4.1 no. 7: a trigger is answered at once, also that of a savepoint that fails.
TEST_F(DispatcherTest, ErrorsAreFlinks) {
  const std::string unknown = "/jobs/0123456789abcdef0123456789abcdef";
  EXPECT_THAT(Get(unknown, 404)["errors"][0].get<std::string>(),
              HasSubstr("Job 0123456789abcdef0123456789abcdef not found"));
  EXPECT_THAT(Get(unknown + "/savepoints", 404)["errors"][0].get<std::string>(),
              HasSubstr("Job 0123456789abcdef0123456789abcdef not found"));
  EXPECT_EQ(Get(unknown + "/status", 500)["errors"][0], "Internal server error.");
  EXPECT_THAT(Get(unknown + "/execution-result", 404)["errors"][0].get<std::string>(),
              StartsWith("org.apache.flink.runtime.rest.handler.RestHandlerException: "
                         "org.apache.flink.runtime.messages.FlinkJobNotFoundException: Could not "
                         "find Flink job (0123456789abcdef0123456789abcdef)\n"));
  EXPECT_THAT(Get(unknown + "/yarn-stop", 308)["errors"][0].get<std::string>(),
              HasSubstr("The termination mode \"stop\" has been removed."));
  EXPECT_THAT(Get("/jobs/nonsense", 400)["errors"][0].get<std::string>(),
              HasSubstr("Cannot resolve path parameter (jobid) from value \"nonsense\"."));
  EXPECT_THAT(Parse(http_->Patch(unknown.c_str()), 404)["errors"][0].get<std::string>(),
              HasSubstr("Job could not be found."));
  EXPECT_THAT(Post("/jobs", "{}", 400)["errors"][0].get<std::string>(),
              HasSubstr("The jobGraphFileName field must not be omitted or be null."));
  EXPECT_EQ(Post("/overview", "{}", 404)["errors"][0], "Not found: /overview");
  EXPECT_THAT(Post(unknown + "/savepoints", "hello", 400)["errors"][0].get<std::string>(),
              HasSubstr("Request did not match expected format SavepointTriggerRequestBody."));
  EXPECT_THAT(Post(unknown + "/savepoints", R"({"formatType":"FAST"})", 400)["errors"][0]
                  .get<std::string>(),
              HasSubstr("[CANONICAL, NATIVE]"));
  const std::string trigger = Post(unknown + "/savepoints", "{}", 202)["request-id"];
  const Json failure = Poll(unknown + "/savepoints/" + trigger)["failure-cause"];
  EXPECT_EQ(failure["class"], "java.util.concurrent.CompletionException");
  const std::string cause =
      "org.apache.flink.runtime.messages.FlinkJobNotFoundException: Could not find Flink job "
      "(0123456789abcdef0123456789abcdef)\n";
  EXPECT_EQ(failure["stack-trace"],
            "java.util.concurrent.CompletionException: " + cause + "Caused by: " + cause);
  EXPECT_THAT(Get(unknown + "/savepoints/0123456789abcdef0123456789abcdef", 404)["errors"][0]
                  .get<std::string>(),
              HasSubstr("There is no savepoint operation with triggerId="));
}

// RFC 9112, section 6.3; recorded of Flink: rest/68, rest/294.
TEST_F(DispatcherTest, ARequestThatNamesNoLengthHasNoBody) {
  Submit(TestGraph(1));
  Await("RUNNING");
  for (const auto& [request, status] :
       std::vector<std::pair<std::string, int>>{{"POST " + JobPath() + "/savepoints", 202},
                                                {"POST /savepoint-disposal", 400},
                                                {"PATCH " + JobPath() + "?mode=cancel", 202}}) {
    const std::string answer =
        Raw(request + " HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    EXPECT_THAT(answer, StartsWith(fmt::format("HTTP/1.1 {} ", status))) << request;
    EXPECT_THAT(answer, Not(HasSubstr("cannot be understood"))) << request;
  }
  Await("CANCELED");
}

TEST_F(DispatcherTest, WhatIsNoRequestIsRefusedWithTheHeadersOfTheOthers) {
  const std::string answer = Raw("nonsense\r\n\r\n");
  EXPECT_THAT(answer, StartsWith("HTTP/1.1 400 "));
  EXPECT_THAT(answer, HasSubstr("\r\nAccess-Control-Allow-Origin: *\r\n"));
}

// flink-surface §4.1 no. 1, 2. The texts of no. 4 and 5 lie behind this refusal. No. 6 does not
// apply: there are streaming jobs only, and each has a coordinator.
TEST_F(DispatcherTest, WithoutAnyDirectoryASavepointIsRefusedAtOnce) {
  pb::graph::v1::JobGraph graph = TestGraph(1);
  (*graph.mutable_configuration())["state.savepoints.dir"] = "";
  Submit(graph);
  Await("RUNNING");
  EXPECT_THAT(Post(JobPath() + "/savepoints", "{}", 400)["errors"][0].get<std::string>(),
              HasSubstr("Config key [execution.checkpointing.savepoint-dir] is not set. Property "
                        "[target-directory] must be provided."));
  EXPECT_THAT(Post(JobPath() + "/stop", "{}", 400)["errors"][0].get<std::string>(),
              HasSubstr("Config key [execution.checkpointing.savepoint-dir] is not set. Property "
                        "[targetDirectory] must be provided."));
  EXPECT_EQ(Get(JobPath() + "/status")["status"], "RUNNING");
}

// flink-surface §4.1 no. 8.
TEST_F(DispatcherTest, SameTriggerIdStartsOneSavepoint) {
  Submit(TestGraph(1));
  Await("RUNNING");
  const std::string body = R"({"triggerId":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"})";
  Post(JobPath() + "/savepoints", body, 202);
  Post(JobPath() + "/savepoints", body, 202);
  Poll(JobPath() + "/savepoints/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa");
  EXPECT_EQ(Get(JobPath() + "/checkpoints")["counts"]["total"], 1);
}

// flink-surface §4.1 no. 22. INCREMENTAL is refused by Flink 1.20, too (recorded).
TEST_F(DispatcherTest, AManualCheckpointIsFullWhenTheRequestOrTheJobSaysSo) {
  pb::graph::v1::JobGraph graph = TestGraph(1);
  (*graph.mutable_configuration())["execution.checkpointing.incremental"] = "true";
  Submit(graph);
  Await("RUNNING");
  const auto was_full = [this](const char* type) {
    const std::string body = Json{{"checkpointType", type}}.dump();
    const std::string trigger = Post(JobPath() + "/checkpoints", body, 202)["request-id"];
    Poll(JobPath() + "/checkpoints/" + trigger);
    std::promise<bool> full;
    main_.Post([&] { full.set_value(cluster_->last_target.full()); });
    return full.get_future().get();
  };
  EXPECT_TRUE(was_full("CONFIGURED")) << "there is none before it";
  EXPECT_FALSE(was_full("CONFIGURED"));
  EXPECT_TRUE(was_full("FULL"));
  EXPECT_FALSE(was_full("CONFIGURED"));
  EXPECT_THAT(
      Post(JobPath() + "/checkpoints", R"({"checkpointType":"INCREMENTAL"})", 500)["errors"].dump(),
      HasSubstr("does not support triggering incremental checkpoint explicitly"));
}

// flink-surface §4.6 no. 79
TEST_F(DispatcherTest, ASavepointIsCanonicalUnlessTheRequestSaysNative) {
  Submit(TestGraph(1));
  Await("RUNNING");
  for (const auto& [body, format] :
       std::map<std::string, std::string>{{"{}", "CANONICAL"},
                                          {R"({"formatType":null})", "CANONICAL"},
                                          {R"({"formatType":"CANONICAL"})", "CANONICAL"},
                                          {R"({"formatType":"NATIVE"})", "NATIVE"}}) {
    const std::string trigger = Post(JobPath() + "/savepoints", body, 202)["request-id"];
    EXPECT_TRUE(Poll(JobPath() + "/savepoints/" + trigger).contains("location"));
    EXPECT_EQ(Get(JobPath() + "/checkpoints")["latest"]["savepoint"]["savepointFormat"], format)
        << body;
  }
}

// flink-surface §4.5 no. 72.
TEST_F(DispatcherTest, StopFinishesTheJob) {
  Submit(TestGraph(1));
  Await("RUNNING");
  const std::string trigger = Post(JobPath() + "/stop", R"({"drain":false})", 202)["request-id"];
  EXPECT_TRUE(Poll(JobPath() + "/savepoints/" + trigger).contains("location"));
  EXPECT_EQ(Get(JobPath() + "/status")["status"], "FINISHED");
}

TEST_F(DispatcherTest, SecondServerOnTheSamePortSaysWhatToChange) {
  Configuration configuration;
  configuration.Set("rest.port", std::to_string(rest_->port()));
  const auto second = RestServer::Start(configuration, dispatcher_.get());
  ASSERT_FALSE(second.ok());
  EXPECT_THAT(Message(second.status()), HasSubstr("rest.port"));
}

TEST(AsyncOperationsTest, CompletedOperationsAreForgottenAfterTheirTime) {
  AsyncOperations operations(1000);
  const JobId job;
  EXPECT_TRUE(operations.Start(OperationKind::kSavepoint, job, "t", 0));
  EXPECT_FALSE(operations.Start(OperationKind::kSavepoint, job, "t", 0));
  EXPECT_FALSE(operations.Find(OperationKind::kSavepoint, job, "t", 5000)->completed);
  operations.Succeed(OperationKind::kSavepoint, job, "t", "/sp", 0, 5000);
  EXPECT_EQ(operations.Find(OperationKind::kSavepoint, job, "t", 6000)->location, "/sp");
  EXPECT_EQ(operations.Find(OperationKind::kSavepoint, job, "t", 6001), nullptr);
  EXPECT_EQ(operations.Find(OperationKind::kCheckpoint, job, "t", 5000), nullptr);
}

}  // namespace
}  // namespace flink::jobmanager
