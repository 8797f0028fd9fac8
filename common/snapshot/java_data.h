#pragma once

/// Java's DataOutput/DataInput: big-endian integers and modified UTF-8 strings, the base of every
/// Flink format. Strings are UTF-8 on our side; a lone surrogate is kept as its three bytes.

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

#include "common/base/status.h"

namespace flink::snapshot {

/// The longest modified UTF-8 text a UTF field can hold, in bytes.
inline constexpr size_t kMaxUtfBytes = 65535;

/// Appends to a buffer. What the format cannot hold, as a text too long for its length field, is
/// remembered in status() and not written. Externally synchronized.
class JavaWriter {
 public:
  void WriteU8(uint8_t v) { out_.push_back(static_cast<char>(v)); }
  void WriteBool(bool v) { WriteU8(v ? 1 : 0); }
  void WriteI16(int16_t v) { WriteBigEndian(static_cast<uint16_t>(v)); }
  void WriteU16(uint16_t v) { WriteBigEndian(v); }
  void WriteI32(int32_t v) { WriteBigEndian(static_cast<uint32_t>(v)); }
  void WriteI64(int64_t v) { WriteBigEndian(static_cast<uint64_t>(v)); }
  void WriteBytes(std::string_view bytes) { out_.append(bytes); }
  /// u16 length, modified UTF-8.
  void WriteUtf(std::string_view utf8);
  /// i32 length, bytes.
  void WriteSizedBytes(std::string_view bytes);

  /// Remembers that something cannot be written; the first failure stays.
  void Fail(Status status) {
    if (status_.ok()) status_ = std::move(status);
  }

  size_t size() const { return out_.size(); }
  const Status& status() const { return status_; }
  const std::string& bytes() const { return out_; }
  /// Gives the bytes away.
  std::string TakeBytes() { return std::move(out_); }

 private:
  template <class T>
  void WriteBigEndian(T v) {
    for (int shift = 8 * static_cast<int>(sizeof(T)) - 8; shift >= 0; shift -= 8) {
      out_.push_back(static_cast<char>((v >> shift) & 0xff));
    }
  }

  std::string out_;
  Status status_;
};

/// Reads from bytes it does not own. Every error is kDataLoss naming the offset, what was expected
/// and how much is left. Externally synchronized.
class JavaReader {
 public:
  /// `base` is added to offsets in errors: where these bytes stand in the whole file.
  explicit JavaReader(std::string_view bytes, size_t base = 0) : bytes_(bytes), base_(base) {}

  /// `what` names the field in errors.
  StatusOr<uint8_t> ReadU8(std::string_view what);
  StatusOr<bool> ReadBool(std::string_view what);
  StatusOr<int16_t> ReadI16(std::string_view what);
  StatusOr<uint16_t> ReadU16(std::string_view what);
  StatusOr<int32_t> ReadI32(std::string_view what);
  StatusOr<int64_t> ReadI64(std::string_view what);
  StatusOr<std::string> ReadUtf(std::string_view what);
  /// A view into the bytes given at construction.
  StatusOr<std::string_view> ReadBytes(size_t n, std::string_view what);
  /// i32 length, then that many bytes.
  StatusOr<std::string_view> ReadSizedBytes(std::string_view what);
  /// i32 >= 0 that counts things of at least `min_bytes_each` bytes: more than can follow is an
  /// error, so that a corrupt count never sizes an allocation.
  StatusOr<int32_t> ReadCount(std::string_view what, size_t min_bytes_each);
  /// A field with exactly one legal value.
  Status ExpectI32(int32_t expected, std::string_view what);
  /// Nothing may be left.
  Status ExpectEnd(std::string_view what) const;

  size_t offset() const { return base_ + position_; }
  size_t remaining() const { return bytes_.size() - position_; }
  /// The bytes from an earlier offset() to here.
  std::string_view Since(size_t from_offset) const {
    return bytes_.substr(from_offset - base_, position_ - (from_offset - base_));
  }
  /// An error about the field that starts at `at`.
  template <class... A>
  Status Error(size_t at, fmt::format_string<A...> format, A&&... args) const {
    return DataLoss("at offset {}: {}", at, fmt::format(format, std::forward<A>(args)...));
  }

 private:
  StatusOr<uint64_t> ReadBigEndian(size_t n, std::string_view what);

  std::string_view bytes_;
  size_t position_ = 0;
  size_t base_;
};

/// UTF-8 to Java's modified UTF-8 and back. Bytes that are not UTF-8 become U+FFFD.
std::string ToModifiedUtf8(std::string_view utf8);
StatusOr<std::string> FromModifiedUtf8(std::string_view modified);

}  // namespace flink::snapshot
