// /overview, /config, /taskmanagers, /jobmanager/config.

#include <cstdlib>

#include "jobmanager/rest/rest_handlers.h"

namespace flink::jobmanager {
namespace {

constexpr double kMebibyte = 1024.0 * 1024.0;

Json OverviewJson(Dispatcher& dispatcher) {
  int running = 0;
  int finished = 0;
  int cancelled = 0;
  int failed = 0;
  for (const auto& job : dispatcher.Jobs()) {
    if (job->status == JobStatus::kFinished)
      ++finished;
    else if (job->status == JobStatus::kCanceled)
      ++cancelled;
    else if (job->status == JobStatus::kFailed)
      ++failed;
    else
      ++running;
  }
  const SlotPool& slots = dispatcher.slots();
  Json json;
  json["taskmanagers"] = slots.task_managers().size();
  json["slots-total"] = slots.total();
  json["slots-available"] = slots.free();
  json["jobs-running"] = running;
  json["jobs-finished"] = finished;
  json["jobs-cancelled"] = cancelled;
  json["jobs-failed"] = failed;
  json["flink-version"] = dispatcher.options().version;
  json["flink-commit"] = dispatcher.options().revision;
  return json;
}

Json ConfigJson(Dispatcher& dispatcher) {
  const StatusOr<std::chrono::milliseconds> refresh =
      dispatcher.options().configuration.GetDuration("web.refresh-interval",
                                                     std::chrono::milliseconds(3000));
  Json json;
  json["refresh-interval"] = refresh.ok() ? refresh->count() : 3000;
  json["timezone-name"] = "Coordinated Universal Time";
  json["timezone-offset"] = 0;
  json["flink-version"] = dispatcher.options().version;
  json["flink-revision"] = dispatcher.options().revision + " @ unknown";
  json["features"] = {
      {"web-submit", false}, {"web-cancel", true}, {"web-rescale", false}, {"web-history", false}};
  return json;
}

Json ResourceJson(const SlotPool::Entry& entry, int slots) {
  const double share = entry.info.slots == 0 ? 0 : static_cast<double>(slots) / entry.info.slots;
  Json json;
  json["cpuCores"] = static_cast<double>(slots);
  json["taskHeapMemory"] = 0;
  json["taskOffHeapMemory"] = 0;
  json["managedMemory"] = static_cast<int64_t>(
      static_cast<double>(entry.info.managed_memory_bytes) * share / kMebibyte);
  json["networkMemory"] = 0;
  json["extendedResources"] = Json::object();
  return json;
}

Json TaskManagerJson(const SlotPool::Entry& entry) {
  const TaskManagerInfo& info = entry.info;
  Json json;
  json["id"] = info.id;
  json["path"] = fmt::format("{}/{}", info.host, info.process_id);
  json["dataPort"] = info.data_port;
  json["jmxPort"] = -1;
  json["timeSinceLastHeartbeat"] = entry.last_message_ms;
  json["slotsNumber"] = info.slots;
  json["freeSlots"] = entry.free();
  json["totalResource"] = ResourceJson(entry, info.slots);
  json["freeResource"] = ResourceJson(entry, entry.free());
  json["hardware"] = {{"cpuCores", info.cpu_cores},
                      {"physicalMemory", info.physical_memory_bytes},
                      {"freeMemory", 0},
                      {"managedMemory", info.managed_memory_bytes}};
  Json memory;
  for (const char* name :
       {"frameworkHeap", "taskHeap", "frameworkOffHeap", "taskOffHeap", "networkMemory"}) {
    memory[name] = 0;
  }
  memory["managedMemory"] = info.managed_memory_bytes;
  for (const char* name : {"jvmMetaspace", "jvmOverhead"}) memory[name] = 0;
  memory["totalFlinkMemory"] = info.managed_memory_bytes;
  memory["totalProcessMemory"] = info.managed_memory_bytes;
  json["memoryConfiguration"] = std::move(memory);
  return json;
}

Json TaskManagerDetailsJson(const SlotPool::Entry& entry) {
  Json json = TaskManagerJson(entry);
  json["allocatedSlots"] = Json::array();
  for (const auto& [job, slots] : entry.allocated) {
    for (int i = 0; i < slots; ++i) {
      json["allocatedSlots"].push_back(
          {{"jobId", job.ToHex()}, {"resource", ResourceJson(entry, 1)}});
    }
  }
  Json metrics;
  for (const char* name : {"heapUsed",
                           "heapCommitted",
                           "heapMax",
                           "nonHeapUsed",
                           "nonHeapCommitted",
                           "nonHeapMax",
                           "directCount",
                           "directUsed",
                           "directMax",
                           "mappedCount",
                           "mappedUsed",
                           "mappedMax",
                           "memorySegmentsAvailable",
                           "memorySegmentsTotal",
                           "nettyShuffleMemorySegmentsAvailable",
                           "nettyShuffleMemorySegmentsUsed",
                           "nettyShuffleMemorySegmentsTotal",
                           "nettyShuffleMemoryAvailable",
                           "nettyShuffleMemoryUsed",
                           "nettyShuffleMemoryTotal"}) {
    metrics[name] = 0;
  }
  metrics["garbageCollectors"] = Json::array();
  json["metrics"] = std::move(metrics);
  return json;
}

bool IsSecret(const std::string& key) {
  for (const char* word : {"password", "secret", "fs.azure.account.key", "apikey", "api-key",
                           "auth-params", "service-key", "token", "basic-auth", "jaas.config"}) {
    if (key.find(word) != std::string::npos) return true;
  }
  return false;
}

Json JobManagerConfigJson(const Configuration& configuration) {
  Json json = Json::array();
  for (const auto& [key, value] : configuration.values()) {
    json.push_back({{"key", key}, {"value", IsSecret(key) ? "******" : value}});
  }
  return json;
}

}  // namespace

void AddClusterHandlers(const DispatcherGateway& gateway, RestRouter& router) {
  router.Add("GET", "/overview", [gateway](const RestRequest&) {
    return gateway.Ask([](Dispatcher& d) { return JsonResponse(OverviewJson(d)); });
  });
  router.Add("GET", "/config", [gateway](const RestRequest&) {
    return gateway.Ask([](Dispatcher& d) { return JsonResponse(ConfigJson(d)); });
  });
  router.Add("GET", "/jobmanager/config", [gateway](const RestRequest&) {
    return gateway.Ask([](Dispatcher& d) {
      return JsonResponse(JobManagerConfigJson(d.options().configuration));
    });
  });
  router.Add("GET", "/taskmanagers", [gateway](const RestRequest&) {
    return gateway.Ask([](Dispatcher& d) {
      Json list = Json::array();
      for (const auto& [id, entry] : d.slots().task_managers())
        list.push_back(TaskManagerJson(entry));
      return JsonResponse({{"taskmanagers", std::move(list)}});
    });
  });
  router.Add("GET", "/taskmanagers/:taskmanagerid", [gateway](const RestRequest& request) {
    const std::string id = request.parameters.at("taskmanagerid");
    return gateway.Ask([id](Dispatcher& d) {
      const SlotPool::Entry* entry = d.slots().Find(id);
      if (entry != nullptr) return JsonResponse(TaskManagerDetailsJson(*entry));
      return InternalErrorResponse(
          "org.apache.flink.runtime.resourcemanager.exceptions.UnknownTaskExecutorException: No "
          "TaskExecutor "
          "registered under " +
          id + ".\n");
    });
  });
}

}  // namespace flink::jobmanager
