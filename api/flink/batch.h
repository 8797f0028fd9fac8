#pragma once

/// Records move between operators in batches; the API on top stays per record.

#include <cstdint>
#include <limits>
#include <memory>
#include <type_traits>
#include <vector>

#include "flink/buffer.h"
#include "flink/type_serializer.h"

namespace flink {

inline constexpr int64_t kNoTimestamp = std::numeric_limits<int64_t>::min();
inline constexpr int64_t kMinWatermark = std::numeric_limits<int64_t>::min();
/// Means "no more event time": sent at the end of bounded input and by a draining stop.
inline constexpr int64_t kMaxWatermark = std::numeric_limits<int64_t>::max();

/// A batch leaves its producer when it holds this many records, or when the producer has nothing
/// more ready.
inline constexpr size_t kBatchCapacity = 1024;

/// Type-erased batch as channels carry it. Every batch can be encoded with its type's serializer,
/// also one that never leaves the process.
class BatchBase {
 public:
  virtual ~BatchBase() = default;
  virtual size_t size() const = 0;
  /// Appends: i32 count, u8 has-timestamps, records, then (if any) count x i64 timestamps.
  virtual void Encode(BufferWriter& out) const = 0;
  /// Rough bytes held, for flow control.
  virtual size_t MemoryBytes() const = 0;
};

template <class T>
class Batch final : public BatchBase {
 public:
  std::vector<T> records;
  std::vector<int64_t>
      timestamps;  ///< Event times in ms, parallel to records; empty when no record has one.

  size_t size() const override { return records.size(); }
  size_t MemoryBytes() const override {
    size_t bytes = records.size() * (sizeof(T) + 8);
    if constexpr (!std::is_trivially_copyable_v<T>) bytes += HeapBytes();
    return bytes;
  }
  void Clear() {
    records.clear();
    timestamps.clear();
  }
  int64_t TimestampAt(size_t i) const { return timestamps.empty() ? kNoTimestamp : timestamps[i]; }

  void Encode(BufferWriter& out) const override {
    out.Put<int32_t>(static_cast<int32_t>(records.size()));
    out.Put<uint8_t>(timestamps.empty() ? 0 : 1);
    if constexpr (kFixedLength) {
      char* at = out.Extend(records.size() * static_cast<size_t>(TypeSerializer<T>::kLength));
      for (const T& r : records) at = TypeSerializer<T>::Store(at, r);
    } else {
      for (const T& r : records) TypeSerializer<T>::Write(out, r);
    }
    for (int64_t t : timestamps) out.Put<int64_t>(t);
  }
  static std::unique_ptr<BatchBase> Decode(BufferReader& in) {
    auto batch = std::make_unique<Batch<T>>();
    const int32_t n = in.Get<int32_t>();
    const bool has_timestamps = in.Get<uint8_t>() != 0;
    if (n < 0 || static_cast<size_t>(n) > in.remaining() + 1)
      throw DecodeError("bad record count in a batch");
    batch->records.resize(static_cast<size_t>(n));
    if constexpr (kFixedLength) {
      const char* at =
          in.GetBytes(batch->records.size() * static_cast<size_t>(TypeSerializer<T>::kLength))
              .data();
      for (T& r : batch->records) at = TypeSerializer<T>::Load(at, r);
    } else {
      for (T& r : batch->records) TypeSerializer<T>::Read(in, r);
    }
    if (has_timestamps) {
      batch->timestamps.resize(static_cast<size_t>(n));
      for (int64_t& t : batch->timestamps) t = in.Get<int64_t>();
    }
    return batch;
  }

 private:
  /// What the records hold outside of themselves, from the encoded size of a sample.
  size_t HeapBytes() const {
    constexpr size_t kSamples = 8;
    const size_t step = records.size() / kSamples + 1;
    BufferWriter sample;
    for (size_t i = 0; i < records.size(); i += step) TypeSerializer<T>::Write(sample, records[i]);
    return sample.size() * step;
  }

  static constexpr bool kFixedLength = TypeSerializer<T>::kLength > 0 &&
                                       requires(char* at, const T& r) {
    TypeSerializer<T>::Store(at, r);
  };
};

}  // namespace flink
