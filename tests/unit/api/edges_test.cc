#include "flink/operators/edges.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

namespace flink {
namespace {

class Channels final : public ChannelWriter {
 public:
  explicit Channels(int n) : written(static_cast<size_t>(n)) {}
  int channel_count() const override { return static_cast<int>(written.size()); }
  void Write(int channel, std::unique_ptr<BatchBase> batch) override {
    written[static_cast<size_t>(channel)].push_back(std::move(batch));
  }
  template <class T>
  std::vector<T> Records(size_t channel) const {
    std::vector<T> all;
    for (const auto& b : written[channel]) {
      const auto& records = static_cast<const Batch<T>&>(*b).records;
      all.insert(all.end(), records.begin(), records.end());
    }
    return all;
  }
  std::vector<std::vector<std::unique_ptr<BatchBase>>> written;
};

Batch<int64_t> Numbers(int64_t from, int64_t to) {
  Batch<int64_t> batch;
  for (int64_t i = from; i < to; ++i) batch.records.push_back(i);
  return batch;
}

TEST(RebalanceEdgeTest, ChannelsGetEqualShares) {
  Channels channels(3);
  const auto writer = RebalanceEdge<int64_t>().MakeWriter(channels, 0, 128, nullptr);
  for (int64_t i = 0; i < 100; ++i) {
    Batch<int64_t> batch = Numbers(10 * i, 10 * i + 10);
    writer->WriteBatch(batch);
  }
  writer->FlushBatches();
  for (size_t c = 0; c < 3; ++c)
    EXPECT_NEAR(static_cast<double>(channels.Records<int64_t>(c).size()), 333.3, 1);
}

TEST(RebalanceEdgeTest, ASingleChannelGetsAllInOrderInLargeBatches) {
  Channels channels(1);
  const auto writer = RebalanceEdge<int64_t>().MakeWriter(channels, 5, 128, nullptr);
  std::vector<int64_t> all;
  int64_t next = 0;
  for (const int64_t size : {3, 1000, 700, 5, 1024, 2}) {
    Batch<int64_t> batch = Numbers(next, next + size);
    all.insert(all.end(), batch.records.begin(), batch.records.end());
    writer->WriteBatch(batch);
    next += size;
  }
  writer->FlushBatches();
  EXPECT_EQ(channels.Records<int64_t>(0), all);
  EXPECT_LE(channels.written[0].size(), 6u);
  writer->FlushBatches();
  EXPECT_LE(channels.written[0].size(), 6u);
}

TEST(HashEdgeTest, KeysGoToTheChannelOfTheirKeyGroup) {
  RoutingTable table;
  for (int g = 0; g < 128; ++g)
    table.channel_of_key_group.push_back(OperatorIndexForKeyGroup(128, 3, g));
  const RoutingTable* routing = &table;
  Channels channels(3);
  const auto key = [](const std::string& s) -> const std::string& { return s; };
  const HashEdge<std::string, decltype(key)> edge(key);
  const auto writer = edge.MakeWriter(channels, 0, 128, &routing);
  Batch<std::string> batch;
  batch.records = {"a", "hello", "flink", "", "a"};
  batch.timestamps = {1, 2, 3, 4, 5};
  writer->WriteBatch(batch);
  // The table may be replaced between batches.
  const RoutingTable all_to_2{std::vector<int>(128, 2)};
  routing = &all_to_2;
  Batch<std::string> more;
  more.records = {"hello"};
  more.timestamps = {6};
  writer->WriteBatch(more);
  writer->FlushBatches();
  using Strings = std::vector<std::string>;
  EXPECT_EQ(channels.Records<std::string>(0), (Strings{"hello"}));               // Group 35.
  EXPECT_EQ(channels.Records<std::string>(1), (Strings{"a", "a"}));              // Group 81.
  EXPECT_EQ(channels.Records<std::string>(2), (Strings{"flink", "", "hello"}));  // Groups 98, 94.
  EXPECT_EQ(static_cast<Batch<std::string>&>(*channels.written[1][0]).timestamps,
            (std::vector<int64_t>{1, 5}));
}

TEST(HashEdgeTest, ALongStreamLosesNothing) {
  RoutingTable table;
  for (int g = 0; g < 128; ++g)
    table.channel_of_key_group.push_back(OperatorIndexForKeyGroup(128, 4, g));
  const RoutingTable* routing = &table;
  Channels channels(4);
  const auto key = [](int64_t v) { return v % 1000; };
  const auto writer = HashEdge<int64_t, decltype(key)>(key).MakeWriter(channels, 0, 128, &routing);
  for (int64_t i = 0; i < 50; ++i) {
    Batch<int64_t> batch = Numbers(1000 * i, 1000 * i + 1000);
    writer->WriteBatch(batch);
  }
  writer->FlushBatches();
  std::map<int64_t, size_t> channel_of;
  size_t total = 0;
  for (size_t c = 0; c < 4; ++c) {
    for (const int64_t v : channels.Records<int64_t>(c)) {
      ++total;
      EXPECT_EQ(channel_of.emplace(v % 1000, c).first->second, c);
    }
    for (const auto& b : channels.written[c]) EXPECT_LE(b->size(), kBatchCapacity);
  }
  EXPECT_EQ(total, 50'000u);
}

}  // namespace
}  // namespace flink
