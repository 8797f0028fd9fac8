#pragma once

/// The typed ends of exchanges: how records are dealt out over the channels of an edge.

#include <cstdint>
#include <functional>
#include <memory>
#include <type_traits>
#include <utility>
#include <vector>

#include "flink/key_group.h"
#include "flink/operator.h"
#include "flink/operators/keyed_operators.h"

namespace flink {

namespace internal {

/// One batch under construction per channel.
template <class T>
class ChannelBatches {
 public:
  explicit ChannelBatches(ChannelWriter& channels)
      : channels_(&channels), batches_(static_cast<size_t>(channels.channel_count())) {}

  int channel_count() const { return static_cast<int>(batches_.size()); }

  void Add(int channel, T& record, int64_t timestamp_ms) {
    Batch<T>& batch = Open(channel);
    if (timestamp_ms != kNoTimestamp) {
      if (batch.timestamps.size() != batch.records.size()) [[unlikely]] {
        Write(channel);
        Add(channel, record, timestamp_ms);
        return;
      }
      batch.timestamps.push_back(timestamp_ms);
    } else if (!batch.timestamps.empty()) [[unlikely]] {
      Write(channel);
      Add(channel, record, timestamp_ms);
      return;
    }
    batch.records.push_back(std::move(record));
    if (batch.records.size() >= kBatchCapacity) Write(channel);
  }

  /// A whole batch to one channel; its vectors are moved when it is large.
  void AddAll(int channel, Batch<T>& batch) {
    std::unique_ptr<Batch<T>>& open = batches_[static_cast<size_t>(channel)];
    if (batch.records.size() < kBatchCapacity / 2) {
      for (size_t i = 0; i < batch.records.size(); ++i)
        Add(channel, batch.records[i], batch.TimestampAt(i));
      return;
    }
    if (open != nullptr && open->size() != 0) Write(channel);
    auto whole = std::make_unique<Batch<T>>();
    whole->records.swap(batch.records);
    whole->timestamps.swap(batch.timestamps);
    channels_->Write(channel, std::move(whole));
  }

  void WriteAll() {
    for (int c = 0; c < channel_count(); ++c) {
      const auto& batch = batches_[static_cast<size_t>(c)];
      if (batch != nullptr && batch->size() != 0) Write(c);
    }
  }

 private:
  Batch<T>& Open(int channel) {
    std::unique_ptr<Batch<T>>& batch = batches_[static_cast<size_t>(channel)];
    if (batch == nullptr) [[unlikely]] {
      batch = std::make_unique<Batch<T>>();
      batch->records.reserve(kBatchCapacity);
    }
    return *batch;
  }
  void Write(int channel) {
    channels_->Write(channel, std::move(batches_[static_cast<size_t>(channel)]));
  }

  ChannelWriter* channels_;
  std::vector<std::unique_ptr<Batch<T>>> batches_;
};

/// Deals records out evenly: at first and from small batches one by one, so that little input
/// spreads too; in full flow whole batches take turns, which moves instead of copying.
template <class T>
class RebalanceWriter final : public RecordWriter {
 public:
  RebalanceWriter(ChannelWriter& channels, int first) : batches_(channels) {
    if (batches_.channel_count() > 0) next_ = first % batches_.channel_count();
  }
  void WriteBatch(BatchBase& base) override {
    auto& batch = static_cast<Batch<T>&>(base);
    const auto channels = static_cast<size_t>(batches_.channel_count());
    if (channels == 1) {
      batches_.AddAll(0, batch);
      return;
    }
    const size_t n = batch.records.size();
    if (n == kBatchCapacity && dealt_ >= channels * kBatchCapacity) {
      batches_.AddAll(next_, batch);
      next_ = next_ + 1 == batches_.channel_count() ? 0 : next_ + 1;
      return;
    }
    dealt_ += n;
    const size_t first = static_cast<size_t>(next_);
    for (size_t c = 0, i = 0; c < channels && i < n; ++c) {
      const size_t end = i + n / channels + (c < n % channels ? 1 : 0);
      const int channel = static_cast<int>((first + c) % channels);
      for (; i < end; ++i) batches_.Add(channel, batch.records[i], batch.TimestampAt(i));
    }
    next_ = static_cast<int>((first + n) % channels);
  }
  void FlushBatches() override { batches_.WriteAll(); }

 private:
  ChannelBatches<T> batches_;
  int next_ = 0;
  size_t dealt_ = 0;  // Records, one by one.
};

template <class T, class KeySelector>
class HashWriter final : public RecordWriter {
 public:
  HashWriter(ChannelWriter& channels, KeySelector selector, int max_parallelism,
             const RoutingTable* const* routing)
      : batches_(channels),
        selector_(std::move(selector)),
        max_parallelism_(max_parallelism),
        routing_(routing) {}

  void WriteBatch(BatchBase& base) override {
    auto& batch = static_cast<Batch<T>&>(base);
    if (batches_.channel_count() == 1) {
      batches_.AddAll(0, batch);
      return;
    }
    const int* const channel_of = (*routing_)->channel_of_key_group.data();
    const size_t n = batch.records.size();
    targets_.resize(n);
    for (size_t i = 0; i < n; ++i) {
      const int32_t hash = TypeSerializer<KeyOf<T, KeySelector>>::HashCode(
          std::invoke(selector_, std::as_const(batch.records[i])));
      targets_[i] = channel_of[AssignToKeyGroup(hash, max_parallelism_)];
    }
    for (size_t i = 0; i < n; ++i)
      batches_.Add(targets_[i], batch.records[i], batch.TimestampAt(i));
  }
  void FlushBatches() override { batches_.WriteAll(); }

 private:
  ChannelBatches<T> batches_;
  KeySelector selector_;
  int max_parallelism_;
  const RoutingTable* const* routing_;
  std::vector<int> targets_;
};

}  // namespace internal

/// Forward and rebalance: with one channel everything goes there, with several each gets the same
/// share.
template <class T>
class RebalanceEdge final : public EdgeType {
 public:
  std::unique_ptr<RecordWriter> MakeWriter(ChannelWriter& channels, int subtask_index,
                                           int /*max_parallelism*/,
                                           const RoutingTable* const* /*routing*/) const override {
    return std::make_unique<internal::RebalanceWriter<T>>(channels, subtask_index);
  }
  std::unique_ptr<BatchBase> Decode(BufferReader& in) const override {
    return Batch<T>::Decode(in);
  }
};

/// Equal keys go to the same channel: the one that has the key's group.
template <class T, class KeySelector>
class HashEdge final : public EdgeType {
 public:
  explicit HashEdge(KeySelector selector) : selector_(std::move(selector)) {}
  std::unique_ptr<RecordWriter> MakeWriter(ChannelWriter& channels, int /*subtask_index*/,
                                           int max_parallelism,
                                           const RoutingTable* const* routing) const override {
    return std::make_unique<internal::HashWriter<T, KeySelector>>(channels, selector_,
                                                                  max_parallelism, routing);
  }
  std::unique_ptr<BatchBase> Decode(BufferReader& in) const override {
    return Batch<T>::Decode(in);
  }

 private:
  KeySelector selector_;
};

}  // namespace flink
