#pragma once

/// Checksum64: XXH3 with 64 bits. Finds corruption, not forgery. The value is part of our side
/// files: never change it.

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "common/base/status.h"

namespace flink::io {

uint64_t Checksum64(std::string_view bytes);
/// Reads the whole file.
StatusOr<uint64_t> Checksum64OfFile(const std::string& path);

/// The same of bytes that come in pieces. Externally synchronized.
class Checksum64Stream {
 public:
  Checksum64Stream();
  ~Checksum64Stream();
  Checksum64Stream(const Checksum64Stream&) = delete;
  Checksum64Stream& operator=(const Checksum64Stream&) = delete;

  void Update(std::string_view bytes);
  /// Of all bytes until now.
  uint64_t Digest() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace flink::io
