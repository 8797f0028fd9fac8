#pragma once

/// Jobs as Flink's REST API shows them. Pure functions; fields in Flink's order.

#include <memory>
#include <string>
#include <vector>

#include "jobmanager/rest/rest_response.h"
#include "jobmanager/scheduler/job_details.h"

namespace flink::jobmanager {

using JobDetailsList = std::vector<std::shared_ptr<const JobDetails>>;

Json JobsJson(const JobDetailsList& jobs);                          // /jobs
Json JobsOverviewJson(const JobDetailsList& jobs, int64_t now_ms);  // /jobs/overview
Json JobJson(const JobDetails& job, int64_t now_ms);                // /jobs/:jobid
Json JobPlanJson(const JobDetails& job);    // the plan itself, without wrapper
Json JobConfigJson(const JobDetails& job);  // /jobs/:jobid/config
/// At most `max` entries of the history.
Json JobExceptionsJson(const JobDetails& job, size_t max);
Json JobExecutionResultJson(const JobDetails& job);
Json AccumulatorsJson();
/// Null when the job has no such vertex.
Json VertexJson(const JobDetails& job, const JobVertexId& vertex, int64_t now_ms);
/// Name and value of every metric of a job.
std::vector<std::pair<std::string, std::string>> JobMetrics(
    const JobDetails& job, const class CheckpointStatistics* checkpoints, int64_t now_ms);
/// All names when `names` is empty, else the values of those that exist.
Json MetricsJson(const std::vector<std::pair<std::string, std::string>>& metrics,
                 const std::string& names);

}  // namespace flink::jobmanager
