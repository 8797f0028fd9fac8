#pragma once

/// Byte buffers that serializers write to and read from. All multi-byte numbers are big-endian, as
/// in Apache Flink.

#include <bit>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string>
#include <string_view>
#include <type_traits>

namespace flink {

/// Thrown by BufferReader when bytes end too early or do not decode; the runtime turns it into a
/// failed task.
class DecodeError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

namespace internal {
template <class T>
inline T SwapBytes(T v) {
  static_assert(std::is_integral_v<T>);
  if constexpr (sizeof(T) == 1)
    return v;
  else if constexpr (sizeof(T) == 2)
    return static_cast<T>(__builtin_bswap16(static_cast<uint16_t>(v)));
  else if constexpr (sizeof(T) == 4)
    return static_cast<T>(__builtin_bswap32(static_cast<uint32_t>(v)));
  else
    return static_cast<T>(__builtin_bswap64(static_cast<uint64_t>(v)));
}
}  // namespace internal

/// A growing buffer. Not thread-safe. Keeps its memory over Clear().
class BufferWriter {
 public:
  template <class T>
  void Put(T v) {
    v = internal::SwapBytes(v);
    std::memcpy(Extend(sizeof v), &v, sizeof v);
  }
  void PutBytes(const void* data, size_t n) {
    if (n != 0) std::memcpy(Extend(n), data, n);
  }
  void PutBytes(std::string_view s) { PutBytes(s.data(), s.size()); }
  /// Appends n uninitialised bytes and returns where they start; valid until the next append.
  char* Extend(size_t n) {
    if (size_ + n > bytes_.size()) bytes_.resize((size_ + n) * 2 + 64);
    char* at = bytes_.data() + size_;
    size_ += n;
    return at;
  }
  /// Drops everything behind `size`.
  void Truncate(size_t size) { size_ = size; }
  char* MutableData() { return bytes_.data(); }
  void Clear() { size_ = 0; }
  size_t size() const { return size_; }
  std::string_view view() const { return {bytes_.data(), size_}; }
  std::string TakeString() {
    bytes_.resize(size_);
    size_ = 0;
    return std::move(bytes_);
  }

 private:
  std::string bytes_;
  size_t size_ = 0;
};

/// Reads what BufferWriter wrote. Does not own the bytes. Throws DecodeError instead of reading
/// past the end.
class BufferReader {
 public:
  explicit BufferReader(std::string_view bytes) : at_(bytes.data()), end_(at_ + bytes.size()) {}

  template <class T>
  T Get() {
    Need(sizeof(T));
    T v;
    std::memcpy(&v, at_, sizeof v);
    at_ += sizeof v;
    return internal::SwapBytes(v);
  }
  std::string_view GetBytes(size_t n) {
    Need(n);
    std::string_view out(at_, n);
    at_ += n;
    return out;
  }
  size_t remaining() const { return static_cast<size_t>(end_ - at_); }
  const char* position() const { return at_; }

 private:
  void Need(size_t n) const {
    if (remaining() < n) [[unlikely]] {
      throw DecodeError("serialized data ends too early: " + std::to_string(n) + " bytes needed, " +
                        std::to_string(remaining()) + " left");
    }
  }
  const char* at_;
  const char* end_;
};

}  // namespace flink
