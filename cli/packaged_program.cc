#include "cli/packaged_program.h"

#include <charconv>
#include <filesystem>

#include "api/graph/job_graph_builder.h"
#include "api/graph/job_library.h"
#include "common/config/options.h"

namespace flink::cli {
namespace {

struct ProgramArguments {
  std::string library;
  std::vector<std::string> arguments;
};

StatusOr<ProgramArguments> FindLibrary(const CommandLine& line) {
  for (const std::string& url : line.Values("C")) {
    if (url.find(":/") == std::string::npos) return UsageError("Bad syntax for classpath: " + url);
  }
  ProgramArguments found;
  found.arguments = line.arguments();
  if (const auto option = line.Value("j")) {
    found.library = *option;
    return found;
  }
  if (found.arguments.empty()) return UsageError("A job library must be specified.");
  found.library = found.arguments.front();
  found.arguments.erase(found.arguments.begin());
  if (found.library.starts_with("-")) {
    return UsageError("Unrecognized option: " + found.library +
                      " (options stand before the job library, the program's arguments behind it)");
  }
  return found;
}

Status CheckLibraryFile(const std::string& library) {
  std::error_code error;
  if (!std::filesystem::exists(library, error)) {
    return UsageError("Could not get the job library: " + library + " does not exist");
  }
  if (std::filesystem::is_directory(library, error)) {
    return UsageError("Could not get the job library: " + library + " is not a file");
  }
  return OkStatus();
}

StatusOr<int> DefaultParallelism(const CommandContext& context) {
  if (const auto typed = context.line.Value("p")) {
    int parallelism = 0;
    const auto [end, error] =
        std::from_chars(typed->data(), typed->data() + typed->size(), parallelism);
    if (error != std::errc() || end != typed->data() + typed->size() || parallelism < 1) {
      return UsageError("The parallelism must be a positive number: " + *typed);
    }
    return parallelism;
  }
  ASSIGN_OR_RETURN(const int64_t configured, context.config.GetInt(options::kDefaultParallelism));
  if (configured < 1 || configured > 32768) {
    return FailedPrecondition("parallelism.default is {}; it must be within 1..32768", configured);
  }
  return static_cast<int>(configured);
}

StatusOr<graph::JobGraphOptions> GraphOptions(const CommandContext& context,
                                              const StreamGraph& stream_graph) {
  graph::JobGraphOptions result;
  ASSIGN_OR_RETURN(result.default_parallelism, DefaultParallelism(context));
  Configuration config = context.config;
  config.Merge(Configuration(stream_graph.configuration));
  ASSIGN_OR_RETURN(const int64_t max_parallelism, config.GetInt(options::kMaxParallelism));
  if (max_parallelism > 0) result.max_parallelism = static_cast<int>(max_parallelism);
  ASSIGN_OR_RETURN(result.auto_generate_uids, config.GetBool(options::kAutoGenerateUids));
  return result;
}

}  // namespace

StatusOr<PackagedProgram> LoadProgram(const CommandContext& context) {
  ASSIGN_OR_RETURN(const ProgramArguments found, FindLibrary(context.line));
  RETURN_IF_ERROR(
      DefaultParallelism(context).status());  // A mistake there comes before all others.
  RETURN_IF_ERROR(CheckLibraryFile(found.library));
  ASSIGN_OR_RETURN(const graph::JobLibrary library, graph::JobLibrary::Load(found.library));

  PackagedProgram program;
  std::error_code error;
  const std::filesystem::path path = std::filesystem::absolute(found.library, error);
  program.working_directory = std::filesystem::current_path(error).string();
  program.library_path = path.string();
  program.library_name = path.filename().string();
  program.arguments = found.arguments;
  ASSIGN_OR_RETURN(program.stream_graph,
                   library.Describe(program.arguments, program.working_directory));
  if (!program.has_job()) return program;
  // What the program sets wins, here as in the executors.
  Configuration config = context.config;
  config.Merge(Configuration(program.stream_graph.configuration));
  ASSIGN_OR_RETURN(const bool chaining, config.GetBool(options::kOperatorChaining));
  program.stream_graph.chaining = program.stream_graph.chaining && chaining;
  ASSIGN_OR_RETURN(program.options, GraphOptions(context, program.stream_graph));
  ASSIGN_OR_RETURN(program.job_graph, graph::BuildJobGraph(program.stream_graph, program.options));
  // As in Flink, a name that the program gives wins over pipeline.name.
  const std::string name = context.config.GetString(options::kPipelineName);
  if (!name.empty() && program.stream_graph.job_name == StreamGraph().job_name) {
    program.job_graph.name = name;
  }
  return program;
}

}  // namespace flink::cli
