#pragma once

/// The entry of a job library. A job is a shared library that links only `flink`:
///
///     #include "flink/job.h"
///
///     FLINK_JOB(env, args) {
///       const auto parameters = flink::ParameterTool::FromArgs(args);
///       env.FromSequence(1, parameters.GetLong("count", 100)).Print();
///     }
///
/// `env` is a flink::StreamExecutionEnvironment&, `args` a const std::vector<std::string>& with
/// what stands behind the library in `flink run`. The entry runs in the client and again in every
/// process that executes the job; each time it must describe the same dataflow. It may throw to
/// refuse its arguments.

#include <string>
#include <vector>

#include "flink/abi_fingerprint.h"
#include "flink/parameter_tool.h"
#include "flink/stream_execution_environment.h"

namespace flink::internal {

/// What the loader looks for. The layout must never change: it is read from libraries of any
/// version.
struct JobEntry {
  char magic[16];           ///< kJobMagic.
  const char* fingerprint;  ///< FLINK_ABI_FINGERPRINT of the headers the library was built with.
  void (*describe)(StreamExecutionEnvironment&, const std::vector<std::string>&);
};
#define FLINK_JOB_MAGIC "flink-cpp-job-1"

}  // namespace flink::internal

/// Stands at global scope, once in a library; the function body follows.
#define FLINK_JOB(env, args)                                                                       \
  static void FlinkDescribeJob(::flink::StreamExecutionEnvironment& env,                           \
                               const std::vector<std::string>& args);                              \
  extern "C" {                                                                                     \
  __attribute__((visibility("default"))) extern const ::flink::internal::JobEntry flink_job_entry; \
  const ::flink::internal::JobEntry flink_job_entry = {FLINK_JOB_MAGIC, FLINK_ABI_FINGERPRINT,     \
                                                       &FlinkDescribeJob};                         \
  }                                                                                                \
  static void FlinkDescribeJob([[maybe_unused]] ::flink::StreamExecutionEnvironment& env,          \
                               [[maybe_unused]] const std::vector<std::string>& args)
