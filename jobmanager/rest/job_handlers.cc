// /jobs and what is below one job, except operations that take time.

#include <charconv>
#include <limits>

#include "common/io/file_system.h"
#include "common/snapshot/restore_plan_json.h"
#include "flink/pb/graph/v1/job_graph.pb.h"
#include "jobmanager/rest/checkpoint_json.h"
#include "jobmanager/rest/job_json.h"
#include "jobmanager/rest/rest_handlers.h"

namespace flink::jobmanager {
namespace {

using DetailsPointer = std::shared_ptr<const JobDetails>;
using JobQuestion = std::function<RestResponse(const RestRequest&, Dispatcher&, const JobDetails&)>;

// A handler for one job: 400 for a malformed id, 404 for an unknown one.
RestHandler OfJob(const DispatcherGateway& gateway, JobQuestion question) {
  return [gateway, question = std::move(question)](const RestRequest& request) {
    JobId id;
    if (auto refused = ParseIdParameter(request, "jobid", &id)) return *refused;
    return gateway.Ask([&](Dispatcher& dispatcher) {
      const DetailsPointer job = dispatcher.FindJob(id);
      return job == nullptr ? JobNotFoundResponse(id) : question(request, dispatcher, *job);
    });
  };
}

// Answers about one checkpoint; 404 when its statistics are not known any more.
RestResponse OfCheckpoint(const RestRequest& request, Dispatcher& dispatcher, const JobDetails& job,
                          const std::function<RestResponse(const CheckpointStats&)>& answer) {
  const std::string& text = request.parameters.at("checkpointid");
  CheckpointId id = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (error != std::errc() || end != text.data() + text.size()) {
    const std::string why =
        fmt::format("Cannot resolve path parameter (checkpointid) from value \"{}\".", text);
    return ErrorResponse(400, "Bad request, could not parse parameters: " + why);
  }
  const CheckpointStatistics* statistics = dispatcher.FindCheckpointStatistics(job.id);
  const CheckpointStats* checkpoint = statistics == nullptr ? nullptr : statistics->Find(id);
  if (checkpoint == nullptr) {
    return ErrorResponse(
        404, fmt::format("Could not find checkpointing statistics for checkpoint {}.", id));
  }
  return answer(*checkpoint);
}

Json SnapshotJson(const snapshot::SnapshotSummary& snapshot) {
  Json json;
  json["id"] = snapshot.checkpoint_id;
  json["is_savepoint"] = snapshot.IsSavepoint();
  if (snapshot.IsSavepoint() && !snapshot.format.empty()) {
    json["savepointFormat"] = snapshot.format == "native" ? "NATIVE" : "CANONICAL";
  } else {
    json["savepointFormat"] = nullptr;
  }
  json["trigger_timestamp"] = snapshot.time_ms;
  json["state_size"] = snapshot.state_bytes;
  json["parallelism"] = snapshot.parallelism;
  json["external_path"] = io::QualifyPath(snapshot.directory);
  return json;
}

// What FLIP-10 proposes: all that one can restore from, also when the job is over.
RestHandler SavepointsHandler(const DispatcherGateway& gateway) {
  return [gateway](const RestRequest& request) {
    JobId id;
    if (auto refused = ParseIdParameter(request, "jobid", &id)) return *refused;
    return gateway.AskLater([id](Dispatcher& dispatcher, DispatcherGateway::Answer answer) {
      dispatcher.ListSnapshots(id, [id, answer = std::move(answer)](const auto& snapshots) {
        if (!snapshots.ok()) return answer(JobNotFoundResponse(id));
        Json list = Json::array();
        for (const snapshot::SnapshotSummary& s : *snapshots) list.push_back(SnapshotJson(s));
        answer(JsonResponse({{"savepoints", std::move(list)}}));
      });
    });
  };
}

RestResponse CheckpointDetails(const RestRequest& request, Dispatcher& dispatcher,
                               const JobDetails& job) {
  return OfCheckpoint(request, dispatcher, job, [](const CheckpointStats& checkpoint) {
    return JsonResponse(CheckpointJson(checkpoint, true));
  });
}

RestResponse CheckpointSubtasks(const RestRequest& request, Dispatcher& dispatcher,
                                const JobDetails& job) {
  JobVertexId vertex;
  if (auto refused = ParseIdParameter(request, "vertexid", &vertex)) return *refused;
  return OfCheckpoint(request, dispatcher, job, [&](const CheckpointStats& checkpoint) {
    const Json json = CheckpointSubtasksJson(checkpoint, vertex);
    if (!json.is_null()) return JsonResponse(json);
    return NotFoundResponse("There is no checkpoint statistics for task " + vertex.ToHex() + ".");
  });
}

RestResponse ShowRestorePlan(const RestRequest&, Dispatcher&, const JobDetails& job) {
  if (job.restore_plan == nullptr) {
    return ErrorResponse(404,
                         fmt::format("Job {} was not started from a snapshot.", job.id.ToHex()));
  }
  return JsonResponse(snapshot::ToJson(*job.restore_plan));
}

// Our own: what a job with the graph in the body would take over from this one.
RestResponse PlanRestore(const DispatcherGateway& gateway, const RestRequest& request) {
  JobId id;
  if (auto refused = ParseIdParameter(request, "jobid", &id)) return *refused;
  pb::graph::v1::JobGraph graph;
  if (request.files.size() != 1 || !graph.ParseFromString(request.files[0].content)) {
    return PlainErrorResponse(
        400, {"The job graph cannot be read: it is not a JobGraph message of this version. Use "
              "the flink command of the same release as the JobManager."});
  }
  return gateway.AskLater([&](Dispatcher& dispatcher, DispatcherGateway::Answer answer) {
    dispatcher.PlanRestore(
        id, graph, [answer = std::move(answer)](const StatusOr<snapshot::RestorePlan>& plan) {
          if (plan.ok()) {
            answer(JsonResponse(snapshot::ToJson(*plan)));
          } else {
            const bool unknown = plan.status().code() == absl::StatusCode::kNotFound;
            answer(PlainErrorResponse(unknown ? 404 : 400, {Message(plan.status())}));
          }
        });
  });
}

RestResponse Exceptions(const RestRequest& request, Dispatcher&, const JobDetails& job) {
  size_t max = std::numeric_limits<size_t>::max();
  const std::string text = request.Query("maxExceptions");
  if (!text.empty()) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), max);
    if (error != std::errc() || end != text.data() + text.size()) {
      return BadQueryResponse("maxExceptions", text);
    }
  }
  return JsonResponse(JobExceptionsJson(job, max));
}

RestResponse Vertex(const RestRequest& request, Dispatcher& dispatcher, const JobDetails& job) {
  JobVertexId id;
  if (auto refused = ParseIdParameter(request, "vertexid", &id)) return *refused;
  const Json json = VertexJson(job, id, dispatcher.clock().NowMs());
  if (json.is_null()) return NotFoundResponse(fmt::format("JobVertex {} not found", id.ToHex()));
  return JsonResponse(json);
}

RestResponse Cancel(Dispatcher& dispatcher, const JobId& job) {
  const Status cancelled = dispatcher.CancelJob(job);
  if (cancelled.ok()) return JsonResponse(Json::object(), 202);
  if (cancelled.code() == absl::StatusCode::kNotFound) {
    return ErrorResponse(
        404, "Job could not be found.",
        "org.apache.flink.runtime.messages.FlinkJobNotFoundException: " + Message(cancelled));
  }
  return ErrorResponse(409, fmt::format("Job cancellation failed because the job has already "
                                        "reached another terminal state ({}).",
                                        Message(cancelled)));
}

RestResponse StopModeRemoved() {
  return ErrorResponse(
      308,
      "The termination mode \"stop\" has been removed. For an ungraceful shutdown, please use "
      "\"cancel\" instead. For a graceful shutdown, please use \"jobs/:jobId/stop\" instead.");
}

RestHandler CancelHandler(const DispatcherGateway& gateway) {
  return [gateway](const RestRequest& request) {
    JobId id;
    if (auto refused = ParseIdParameter(request, "jobid", &id)) return *refused;
    const std::string mode = request.Query("mode", "cancel");
    if (mode == "stop") return StopModeRemoved();
    if (mode != "cancel") return BadQueryResponse("mode", mode);
    return gateway.Ask([id](Dispatcher& dispatcher) { return Cancel(dispatcher, id); });
  };
}

RestHandler StatusHandler(const DispatcherGateway& gateway) {
  return [gateway](const RestRequest& request) {
    JobId id;
    if (auto refused = ParseIdParameter(request, "jobid", &id)) return *refused;
    return gateway.Ask([id](Dispatcher& dispatcher) {
      const DetailsPointer job = dispatcher.FindJob(id);
      if (job != nullptr) return JsonResponse({{"status", NameOf(job->status)}});
      return InternalErrorResponse(
          fmt::format("org.apache.flink.runtime.messages.FlinkJobNotFoundException: Could not find "
                      "Flink job ({})\n",
                      id.ToHex()));
    });
  };
}

RestHandler ExecutionResultHandler(const DispatcherGateway& gateway) {
  return [gateway](const RestRequest& request) {
    JobId id;
    if (auto refused = ParseIdParameter(request, "jobid", &id)) return *refused;
    return gateway.Ask([id](Dispatcher& dispatcher) {
      const DetailsPointer job = dispatcher.FindJob(id);
      return job == nullptr ? ExecutionResultNotFoundResponse(id)
                            : JsonResponse(JobExecutionResultJson(*job));
    });
  };
}

}  // namespace

void AddJobHandlers(const DispatcherGateway& gateway, RestRouter& router) {
  router.Add("GET", "/jobs", [gateway](const RestRequest&) {
    return gateway.Ask([](Dispatcher& d) { return JsonResponse(JobsJson(d.Jobs())); });
  });
  router.Add("GET", "/jobs/overview", [gateway](const RestRequest&) {
    return gateway.Ask(
        [](Dispatcher& d) { return JsonResponse(JobsOverviewJson(d.Jobs(), d.clock().NowMs())); });
  });
  router.Add("GET", "/jobs/:jobid/status", StatusHandler(gateway));
  router.Add("GET", "/jobs/:jobid/savepoints", SavepointsHandler(gateway));
  router.Add("PATCH", "/jobs/:jobid", CancelHandler(gateway));
  router.Add("GET", "/jobs/:jobid/yarn-cancel", CancelHandler(gateway));
  router.Add("GET", "/jobs/:jobid/yarn-stop", [](const RestRequest& request) {
    JobId id;
    if (auto refused = ParseIdParameter(request, "jobid", &id)) return *refused;
    return StopModeRemoved();
  });
  router.Add("POST", "/jobs/:jobid/restore-plan",
             [gateway](const RestRequest& request) { return PlanRestore(gateway, request); });

  const auto add = [&](const char* path, JobQuestion question) {
    router.Add("GET", std::string("/jobs/:jobid") + path, OfJob(gateway, std::move(question)));
  };
  add("/restore-plan", ShowRestorePlan);
  add("", [](const RestRequest&, Dispatcher& d, const JobDetails& job) {
    return JsonResponse(JobJson(job, d.clock().NowMs()));
  });
  add("/plan", [](const RestRequest&, Dispatcher&, const JobDetails& job) {
    return JsonResponse({{"plan", JobPlanJson(job)}});
  });
  add("/config", [](const RestRequest&, Dispatcher&, const JobDetails& job) {
    return JsonResponse(JobConfigJson(job));
  });
  add("/exceptions", Exceptions);
  router.Add("GET", "/jobs/:jobid/execution-result", ExecutionResultHandler(gateway));
  add("/accumulators", [](const RestRequest&, Dispatcher&, const JobDetails&) {
    return JsonResponse(AccumulatorsJson());
  });
  add("/checkpoints", [](const RestRequest&, Dispatcher& d, const JobDetails& job) {
    const CheckpointStatistics* statistics = d.FindCheckpointStatistics(job.id);
    return JsonResponse(
        CheckpointsJson(statistics == nullptr ? CheckpointStatistics() : *statistics));
  });
  add("/checkpoints/config", [](const RestRequest&, Dispatcher&, const JobDetails& job) {
    return JsonResponse(CheckpointsConfigJson(job));
  });
  add("/checkpoints/details/:checkpointid", CheckpointDetails);
  add("/checkpoints/details/:checkpointid/subtasks/:vertexid", CheckpointSubtasks);
  add("/vertices/:vertexid", Vertex);
  add("/metrics", [](const RestRequest& request, Dispatcher& d, const JobDetails& job) {
    const auto metrics = JobMetrics(job, d.FindCheckpointStatistics(job.id), d.clock().NowMs());
    return JsonResponse(MetricsJson(metrics, request.Query("get")));
  });
}

}  // namespace flink::jobmanager
