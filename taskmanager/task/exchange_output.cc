#include "taskmanager/task/exchange_output.h"

#include "flink/key_group.h"

namespace flink::taskmanager {
namespace {

constexpr std::chrono::microseconds kQuickSuccession(100);

}  // namespace

ExchangeOutput::ExchangeOutput(OutputDeployment deployment, int subtask, TaskCounters& counters)
    : channels_(std::move(deployment.channels)),
      counters_(counters),
      type_(std::move(deployment.type)) {
  if (deployment.keyed) {
    const int max_parallelism = deployment.target_max_parallelism;
    for (int group = 0; group < max_parallelism; ++group) {
      routing_.channel_of_key_group.push_back(
          OperatorIndexForKeyGroup(max_parallelism, channel_count(), group));
    }
    routing_in_use_ = &routing_;
  }
  writer_ = type_->MakeWriter(*this, subtask, deployment.target_max_parallelism,
                              deployment.keyed ? &routing_in_use_ : nullptr);
}

void ExchangeOutput::Write(int channel, std::unique_ptr<BatchBase> batch) {
  TaskCounters::Add(counters_.records_out, static_cast<int64_t>(batch->size()));
  // Who writes batches in quick succession lets receivers sleep until several have come; a slow one
  // has each seen at once.
  const auto now = std::chrono::steady_clock::now();
  const bool more_expected = now - last_write_ < kQuickSuccession;
  last_write_ = now;
  const int64_t bytes = channels_[static_cast<size_t>(channel)]->Send(
      StreamElement::Records(std::move(batch)), more_expected);
  TaskCounters::Add(counters_.bytes_out, bytes);
}

void ExchangeOutput::Announce() {
  for (const auto& channel : channels_) channel->Announce();
}

void ExchangeOutput::ProcessWatermark(int64_t watermark_ms) {
  if (ended_) return;
  last_watermark_ms_ = watermark_ms;
  writer_->FlushBatches();
  for (const auto& channel : channels_) channel->Send(StreamElement::Watermark(watermark_ms));
}

void ExchangeOutput::ProcessIdle(bool idle) {
  if (ended_) return;
  writer_->FlushBatches();
  for (const auto& channel : channels_) channel->Send(StreamElement::Idleness(idle));
}

void ExchangeOutput::EndOfInput() {
  if (ended_) return;
  if (last_watermark_ms_ != kMaxWatermark) ProcessWatermark(kMaxWatermark);
  writer_->FlushBatches();
  ended_ = true;
  if (ends_at_barrier_) return;
  for (const auto& channel : channels_) channel->Send(StreamElement::EndOfData());
}

void ExchangeOutput::EndOfChannel() {
  for (const auto& channel : channels_) channel->Send(StreamElement::EndOfChannel());
}

void ExchangeOutput::BroadcastBarrier(const std::shared_ptr<const CheckpointBarrier>& barrier) {
  writer_->FlushBatches();
  for (const auto& channel : channels_) channel->Send(StreamElement::Barrier(barrier));
}

}  // namespace flink::taskmanager
