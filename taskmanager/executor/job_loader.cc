#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "api/graph/job_graph_builder.h"
#include "api/graph/job_library.h"
#include "common/config/configuration.h"
#include "common/config/options.h"
#include "taskmanager/executor/loaded_job.h"

namespace flink::taskmanager {
namespace {

/// Where the client ran the program: relative paths in connectors count from there.
constexpr std::string_view kWorkingDirectoryKey = "client.working-directory";

}  // namespace

StatusOr<LoadedJob> LoadJobLibrary(const ::flink::pb::cluster::v1::ExecutorSettings& settings) {
  ASSIGN_OR_RETURN(const graph::JobLibrary library,
                   graph::JobLibrary::Load(settings.library_path()));
  const Configuration config(std::map<std::string, std::string>(settings.configuration().begin(),
                                                                settings.configuration().end()));
  const std::vector<std::string> arguments(settings.arguments().begin(),
                                           settings.arguments().end());
  LoadedJob job;
  ASSIGN_OR_RETURN(job.stream_graph,
                   library.Describe(arguments, config.GetString(kWorkingDirectoryKey, "")));
  // The client has put into the job's configuration what it built the graph with.
  ASSIGN_OR_RETURN(const bool chaining, config.GetBool(options::kOperatorChaining));
  job.stream_graph.chaining = job.stream_graph.chaining && chaining;
  graph::JobGraphOptions graph_options;
  graph_options.default_parallelism = settings.default_parallelism();
  ASSIGN_OR_RETURN(const int64_t max_parallelism, config.GetInt(options::kMaxParallelism));
  if (max_parallelism > 0) graph_options.max_parallelism = static_cast<int>(max_parallelism);
  ASSIGN_OR_RETURN(job.job_graph, graph::BuildJobGraph(job.stream_graph, graph_options));
  return job;
}

}  // namespace flink::taskmanager
