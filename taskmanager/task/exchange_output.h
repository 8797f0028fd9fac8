#pragma once

/// ExchangeOutput: where a chain ends. Records go through the edge's record writer into channels;
/// control elements go to every channel, after the records.
///
/// Threading: the task's thread. Owned by the operator chain.

#include <chrono>
#include <memory>
#include <vector>

#include "flink/operator.h"
#include "taskmanager/task/task_counters.h"
#include "taskmanager/task/task_deployment.h"

namespace flink::taskmanager {

class ExchangeOutput final : public InputPort, public ChannelWriter {
 public:
  ExchangeOutput(OutputDeployment deployment, int subtask, TaskCounters& counters);

  void ProcessBatch(BatchBase& batch) override { writer_->WriteBatch(batch); }
  void ProcessWatermark(int64_t watermark_ms) override;
  void ProcessIdle(bool idle) override;
  /// Idempotent. Sends kMaxWatermark first unless that was the last watermark.
  void EndOfInput() override;
  /// EndOfInput sends no end of data: a barrier follows that says the same.
  void EndAtBarrier() { ends_at_barrier_ = true; }
  void EndOfChannel();
  void Flush() override {
    writer_->FlushBatches();
    Announce();
  }
  /// Nothing more will be sent soon.
  void Announce();

  int channel_count() const override { return static_cast<int>(channels_.size()); }
  void Write(int channel, std::unique_ptr<BatchBase> batch) override;

  void BroadcastBarrier(const std::shared_ptr<const CheckpointBarrier>& barrier);

 private:
  std::vector<std::unique_ptr<OutputChannel>> channels_;
  TaskCounters& counters_;
  RoutingTable routing_;
  const RoutingTable* routing_in_use_ = nullptr;
  const std::shared_ptr<const EdgeType> type_;
  std::unique_ptr<RecordWriter> writer_;
  int64_t last_watermark_ms_ = kMinWatermark;
  bool ended_ = false;
  bool ends_at_barrier_ = false;
  std::chrono::steady_clock::time_point last_write_;
};

}  // namespace flink::taskmanager
