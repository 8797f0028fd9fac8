#include <algorithm>
#include <ctime>
#include <ostream>

#include "cli/command.h"

namespace flink::cli {
namespace {

constexpr std::string_view kRule = "--------------------------------------------------------------";

bool IsScheduled(const JobOverview& job) {
  return job.state == "CREATED" || job.state == "INITIALIZING";
}

bool IsTerminated(const JobOverview& job) {
  return job.state == "FINISHED" || job.state == "CANCELED" || job.state == "FAILED";
}

/// dd.MM.yyyy HH:mm:ss in local time.
std::string FormatTime(int64_t epoch_ms) {
  const std::time_t seconds = epoch_ms / 1000;
  std::tm local{};
  localtime_r(&seconds, &local);
  char text[32];
  const size_t length = std::strftime(text, sizeof text, "%d.%m.%Y %H:%M:%S", &local);
  return std::string(text, length);
}

void PrintSection(std::ostream& out, std::string_view header,
                  const std::vector<JobOverview>& jobs) {
  out << header << "\n";
  for (const JobOverview& job : jobs) {
    out << FormatTime(job.start_time) << " : " << job.id << " : " << job.name << " (" << job.state
        << ")\n";
  }
  out << kRule << "\n";
}

}  // namespace

Status List(const CommandContext& context) {
  ASSIGN_OR_RETURN(const auto client, ClusterClient::Create(context.config));
  std::ostream& out = context.out;
  out << "Waiting for response..." << std::endl;
  auto jobs = client->ListJobs();
  if (!jobs.ok()) return Failed("Failed to retrieve job list.", jobs.status());
  std::stable_sort(jobs->begin(), jobs->end(), [](const JobOverview& a, const JobOverview& b) {
    return a.start_time < b.start_time;
  });
  std::vector<JobOverview> running, scheduled, terminated;
  for (JobOverview& job : *jobs) {
    (IsTerminated(job) ? terminated : IsScheduled(job) ? scheduled : running).push_back(job);
  }

  const CommandLine& line = context.line;
  const bool all = line.Has("a") || (!line.Has("r") && !line.Has("s"));
  if (all || line.Has("r")) {
    if (running.empty()) {
      out << "No running jobs.\n";
    } else {
      PrintSection(out, "------------------ Running/Restarting Jobs -------------------", running);
    }
  }
  if (all || line.Has("s")) {
    if (scheduled.empty()) {
      out << "No scheduled jobs.\n";
    } else {
      PrintSection(out, "----------------------- Scheduled Jobs -----------------------",
                   scheduled);
    }
  }
  if (line.Has("a") && !terminated.empty()) {
    PrintSection(out, "---------------------- Terminated Jobs -----------------------", terminated);
  }
  return OkStatus();
}

}  // namespace flink::cli
