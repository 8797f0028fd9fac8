#pragma once

/// JobDetails: a picture of one job for the REST API. Plain values; a picture never changes once it
/// is taken.

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "common/base/ids.h"
#include "common/graph/job_graph.h"
#include "common/snapshot/restore_plan.h"
#include "jobmanager/scheduler/job_options.h"
#include "jobmanager/scheduler/states.h"

namespace flink::jobmanager {

/// What a subtask counted since its attempt began.
struct IoMetrics {
  int64_t records_in = 0;
  int64_t records_out = 0;
  int64_t bytes_in = 0;
  int64_t bytes_out = 0;
};

/// The current attempt of one subtask. Times in milliseconds since 1970, 0: never.
struct SubtaskDetails {
  ExecutionState state = ExecutionState::kCreated;
  int attempt = 0;
  std::string task_manager_id;  ///< Empty: unassigned.
  std::string host;
  int data_port = 0;
  std::array<int64_t, kExecutionStateCount> timestamps{};
  IoMetrics metrics;

  /// When it was deployed, -1: not yet.
  int64_t start_ms() const;
  /// When it ended, -1: not yet.
  int64_t end_ms() const;
};

struct VertexDetails {
  JobVertexId id;
  std::string name;
  int parallelism = 1;
  int max_parallelism = 128;
  std::vector<std::string> operator_names;  ///< In chain order.
  std::vector<SubtaskDetails> subtasks;

  ExecutionState state() const;
};

/// One failure, as /jobs/:jobid/exceptions shows it.
struct ExceptionEntry {
  std::string class_name;  ///< Flink's exception class.
  std::string message;
  int64_t timestamp_ms = 0;
  std::string task_name;  ///< "Sum (1/2) - execution #0"; empty: not of one task.
  std::string location;   ///< "host:port"
  std::string task_manager_id;
  std::vector<ExceptionEntry> concurrent;
};

struct JobDetails {
  JobId id;
  std::string name;
  JobStatus status = JobStatus::kInitializing;
  std::array<int64_t, kJobStatusCount> timestamps{};
  int64_t taken_ms = 0;  ///< When the picture was taken.
  int max_parallelism = -1;
  std::vector<VertexDetails> vertices;  ///< Topological order.
  std::vector<graph::JobEdge> edges;
  int64_t restarts = 0;
  std::vector<ExceptionEntry> exceptions;  ///< Newest first.
  std::optional<ExceptionEntry> failure;   ///< Why the job failed; the root exception.
  JobOptions options;
  bool private_checkpoints = false;
  std::shared_ptr<const snapshot::RestorePlan> restore_plan;  ///< Null: started without state.

  int64_t start_ms() const { return timestamps[static_cast<size_t>(JobStatus::kInitializing)]; }
  /// -1 while it runs.
  int64_t end_ms() const;
  int64_t last_modification_ms() const;
};

}  // namespace flink::jobmanager
