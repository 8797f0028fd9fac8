#pragma once

/// Flink's canonical keyed-state stream: header, then per key group the rows of all states. Reading
/// and writing.

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"
#include "common/snapshot/keyed_state_header.h"
#include "common/snapshot/state_handle.h"
#include "flink/key_group.h"

namespace flink::taskmanager {

/// Writes one stream to a file. Rows must come by key group, then by state id, then by key.
/// Externally synchronized.
class CanonicalWriter {
 public:
  ~CanonicalWriter();
  /// Creates the file with the header in it.
  Status Open(const std::string& path, std::string_view header, KeyGroupRange key_groups);
  /// `key` starts with the prefix of the key group.
  Status Add(int key_group, int state_id, std::string_view key, std::string_view value);
  /// Closes the file (not fsynced) and returns the offsets for the handle.
  StatusOr<std::vector<int64_t>> Finish();

 private:
  Status WritePending(int next_state);
  Status WriteOut();

  std::string path_;
  int fd_ = -1;
  KeyGroupRange key_groups_;
  std::vector<int64_t> offsets_;
  std::string buffer_;
  int64_t written_ = 0;
  int group_ = -1;
  int state_ = -1;
  bool has_pending_ = false;
  size_t pending_first_key_byte_ = 0;  // In buffer_.
};

/// A stream opened for reading; the file is mapped. Movable is not needed: create in place.
/// Externally synchronized.
class CanonicalReader {
 public:
  CanonicalReader() = default;
  CanonicalReader(const CanonicalReader&) = delete;
  CanonicalReader& operator=(const CanonicalReader&) = delete;
  ~CanonicalReader();

  Status Open(const snapshot::KeyGroupsHandle& handle, const std::string& base_directory);
  const snapshot::KeyedStateHeader& header() const { return header_; }
  /// Rows of one key group in the order of the stream.
  Status ForEachRow(int key_group,
                    const std::function<Status(int state_id, std::string_view key,
                                               std::string_view value)>& visit) const;

 private:
  snapshot::KeyGroupsHandle handle_;
  snapshot::KeyedStateHeader header_;
  std::string name_;  // For messages.
  std::string inline_bytes_;
  void* mapped_ = nullptr;
  size_t mapped_size_ = 0;
  std::string_view bytes_;
};

}  // namespace flink::taskmanager
