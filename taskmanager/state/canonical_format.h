#pragma once

/// Flink's canonical keyed-state stream: header, then per key group the rows of all states. Reading
/// and writing. Layout: Apache Flink's unified savepoint format.

#include <deque>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"
#include "common/io/checksum.h"
#include "common/io/direct_file.h"
#include "common/snapshot/keyed_state_header.h"
#include "common/snapshot/state_handle.h"
#include "common/snapshot/stream_content.h"
#include "flink/buffer.h"
#include "flink/key_group.h"

namespace flink::taskmanager {

/// What a CanonicalWriter has written.
struct CanonicalStream {
  std::vector<int64_t> offsets;  // For the handle.
  /// The whole stream when it is so small that no file was made.
  std::optional<std::string> bytes;
  int64_t size = 0;
  uint64_t checksum = 0;
};

/// Writes one stream. Rows must come by key group, then by state id, then by key. Memory: one
/// buffer. Externally synchronized.
class CanonicalWriter {
 public:
  struct Options {
    std::string path;
    KeyGroupRange key_groups;
    /// Up to this size, and at most one buffer, the stream stays in memory.
    uint64_t inline_threshold_bytes = 0;
  };
  CanonicalWriter(Options options, std::string_view header);
  CanonicalWriter(const CanonicalWriter&) = delete;
  CanonicalWriter& operator=(const CanonicalWriter&) = delete;

  /// `key` starts with the prefix of the key group.
  Status Add(int key_group, int state_id, std::string_view key, std::string_view value);
  /// Closes the file, which is durable then (its name is not).
  StatusOr<CanonicalStream> Finish();

 private:
  Status EndRow(int next_state);
  Status WriteOut();

  const Options options_;
  io::DirectFile file_;
  std::vector<int64_t> offsets_;
  BufferWriter buffer_;
  int64_t written_ = 0;
  io::Checksum64Stream checksum_;
  int group_ = -1;
  int state_ = -1;
  bool row_open_ = false;          // Its key has not got its mark yet.
  size_t row_first_key_byte_ = 0;  // In buffer_.
};

/// A stream opened for reading; the file is mapped. Externally synchronized.
class CanonicalReader {
 public:
  struct Row {
    int state = 0;
    std::string_view key;
    std::string_view value;
  };
  /// The rows of one key group. They point into the reader and into this; reusable.
  struct Group {
    std::vector<Row> rows;
    std::deque<std::string> copies;
  };

  CanonicalReader() = default;
  CanonicalReader(const CanonicalReader&) = delete;
  CanonicalReader& operator=(const CanonicalReader&) = delete;

  Status Open(const snapshot::KeyGroupsHandle& handle, const std::string& base_directory);
  const snapshot::KeyedStateHeader& header() const { return header_; }
  /// By state, then by key, whatever the order in the stream. Every key starts with `prefix`, or
  /// the stream is an error; so is a key that a state has twice.
  Status ReadGroup(int key_group, std::string_view prefix, Group* group) const;

 private:
  snapshot::KeyGroupsHandle handle_;
  snapshot::KeyedStateHeader header_;
  std::string name_;  // For messages.
  snapshot::StreamContent content_;
  std::string_view bytes_;
};

}  // namespace flink::taskmanager
