#pragma once

/// StreamElement: what travels through a channel between two tasks, in order.

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "flink/batch.h"

namespace flink::taskmanager {

/// The order of a checkpoint as it flows with the records.
struct CheckpointBarrier {
  int64_t checkpoint_id = 0;
  int64_t timestamp_ms = 0;  ///< Of the trigger, wall clock.
  /// How long after the trigger the barrier keeps its place among the records; then it overtakes
  /// them, and they become part of the snapshot. Absent: it never does (aligned).
  std::optional<int64_t> aligned_timeout_ms;
  std::string target;  ///< A serialized SnapshotTarget.
};

/// Received bytes; unlike a std::string they are not zeroed before they are filled.
class FrameBytes {
 public:
  FrameBytes() = default;
  explicit FrameBytes(size_t size) : data_(new char[size]), size_(size) {}
  char* data() { return data_.get(); }
  size_t size() const { return size_; }
  std::string_view view() const { return {data_.get(), size_}; }

 private:
  std::unique_ptr<char[]> data_;
  size_t size_ = 0;
};

struct StreamElement {
  enum class Kind : uint8_t {
    kBatch,         ///< `batch`: records of the same process.
    kEncodedBatch,  ///< `bytes`: records of another process, decoded by the consumer.
    kWatermark,     ///< `value`: event time in ms.
    kIdle,          ///< The channel no longer holds watermarks back ...
    kActive,        ///< ... until this.
    kBarrier,       ///< `barrier`.
    kEndOfData,     ///< No more records, watermarks or idleness; barriers still come.
    kEndOfChannel,  ///< Nothing comes any more: the producer has finished.
  };
  Kind kind = Kind::kBatch;
  int64_t value = 0;
  std::unique_ptr<BatchBase> batch;
  FrameBytes bytes;
  std::shared_ptr<const CheckpointBarrier> barrier;
  /// Credit in bytes that goes back to the sender when the element is taken.
  int64_t cost = 0;

  static StreamElement Records(std::unique_ptr<BatchBase> records) {
    StreamElement e;
    e.batch = std::move(records);
    return e;
  }
  static StreamElement Watermark(int64_t watermark_ms) {
    StreamElement e;
    e.kind = Kind::kWatermark;
    e.value = watermark_ms;
    return e;
  }
  static StreamElement Idleness(bool idle) {
    StreamElement e;
    e.kind = idle ? Kind::kIdle : Kind::kActive;
    return e;
  }
  static StreamElement Barrier(std::shared_ptr<const CheckpointBarrier> barrier) {
    StreamElement e;
    e.kind = Kind::kBarrier;
    e.barrier = std::move(barrier);
    return e;
  }
  static StreamElement EndOfData() {
    StreamElement e;
    e.kind = Kind::kEndOfData;
    return e;
  }
  static StreamElement EndOfChannel() {
    StreamElement e;
    e.kind = Kind::kEndOfChannel;
    return e;
  }
};

}  // namespace flink::taskmanager
