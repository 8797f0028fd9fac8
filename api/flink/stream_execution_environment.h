#pragma once

/// Where a job begins: settings of the whole job, and its sources.

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "flink/checkpoint_config.h"
#include "flink/data_stream.h"
#include "flink/sequence_source.h"
#include "flink/source.h"

namespace flink {

/// Settings made here win over the cluster's configuration and the options of `flink run`; what is
/// not set here is decided there. So a program usually sets only what its logic depends on.
class StreamExecutionEnvironment {
 public:
  StreamExecutionEnvironment() : graph_(std::make_shared<internal::StreamGraphBuilder>()) {}
  StreamExecutionEnvironment(const StreamExecutionEnvironment&) = delete;
  StreamExecutionEnvironment& operator=(const StreamExecutionEnvironment&) = delete;

  /// Subtasks per operator, unless an operator has its own number.
  void SetParallelism(int parallelism) {
    graph_->graph.parallelism = internal::StreamGraphBuilder::CheckedParallelism(parallelism);
  }
  /// Key groups per operator: the upper limit of parallelism, fixed once there is state.
  void SetMaxParallelism(int max_parallelism) {
    graph_->graph.max_parallelism =
        internal::StreamGraphBuilder::CheckedMaxParallelism(max_parallelism);
  }
  void SetJobName(const std::string& name) { graph_->graph.job_name = name; }
  /// A checkpoint starts every `interval`. Without this, and without
  /// execution.checkpointing.interval in the configuration, the job takes none but a final one.
  void EnableCheckpointing(std::chrono::milliseconds interval,
                           CheckpointingMode mode = CheckpointingMode::kExactlyOnce) {
    if (interval.count() < 10) {
      throw std::invalid_argument("a checkpoint interval is at least 10 ms, not " +
                                  std::to_string(interval.count()) + " ms");
    }
    SetConfiguration("execution.checkpointing.interval", std::to_string(interval.count()) + " ms");
    SetConfiguration("execution.checkpointing.mode",
                     mode == CheckpointingMode::kExactlyOnce ? "EXACTLY_ONCE" : "AT_LEAST_ONCE");
  }
  void EnableCheckpointing(int64_t interval_ms,
                           CheckpointingMode mode = CheckpointingMode::kExactlyOnce) {
    EnableCheckpointing(std::chrono::milliseconds(interval_ms), mode);
  }
  CheckpointConfig GetCheckpointConfig() { return CheckpointConfig(graph_); }
  // Short cuts to functions of CheckpointConfig; what they promise stands there.
  /// Keeps the latest checkpoints below `path` when the job fails for good or is cancelled.
  void EnablePersistentCheckpoints(const std::string& path) {
    GetCheckpointConfig().EnablePersistentCheckpoints(path);
  }
  void DisablePersistentCheckpoints() { GetCheckpointConfig().DisablePersistentCheckpoints(); }
  /// Takes a savepoint into a new directory below `path` every `interval`.
  void EnablePeriodicSavepoints(std::chrono::milliseconds interval, const std::string& path) {
    GetCheckpointConfig().EnablePeriodicSavepoints(interval, path);
  }
  void DisablePeriodicSavepoints() { GetCheckpointConfig().DisablePeriodicSavepoints(); }
  /// The newest `max` periodic savepoints are kept while the job runs.
  void SetMaximumNumberOfRetainedPeriodicSavepoints(int max) {
    GetCheckpointConfig().SetMaximumNumberOfRetainedPeriodicSavepoints(max);
  }
  /// Any key of the configuration that a job may set.
  void SetConfiguration(const std::string& key, const std::string& value) {
    graph_->graph.configuration[key] = value;
  }
  /// Every operator gets a task of its own.
  void DisableOperatorChaining() { graph_->graph.chaining = false; }

  /// The numbers from `from` to `to`, both inclusive.
  DataStream<int64_t> FromSequence(int64_t from, int64_t to, SourceOptions options = {}) {
    return FromSource(NumberSequenceSource(from, to, options), "Sequence Source");
  }

  /// A source of flink/source.h or a connector.
  template <class Source>
  DataStream<typename Source::Record> FromSource(Source source, const std::string& name) {
    graph_->Prepare(source);
    StreamNode node;
    node.name = "Source: " + name;
    node.stateful = true;
    node.make_operator = [source] { return std::make_unique<SplitSourceOperator<Source>>(source); };
    node.make_coordinator = [source] {
      return std::make_unique<SplitSourceCoordinator<Source>>(source);
    };
    return DataStream<typename Source::Record>(graph_, graph_->AddNode(std::move(node), {}));
  }

  /// Elements that the program holds; their source has one subtask.
  template <class T>
  DataStream<T> FromElements(std::vector<T> elements) {
    return FromSource(ElementsSource<T>(std::move(elements)), "Collection Source")
        .SetParallelism(1);
  }

  /// What has been described so far.
  const StreamGraph& stream_graph() const { return graph_->graph; }
  /// Relative paths of connectors start here.
  void SetWorkingDirectory(const std::string& directory) { graph_->working_directory = directory; }

 private:
  internal::GraphPtr graph_;
};

}  // namespace flink
