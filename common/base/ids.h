#pragma once

/// Ids as types. A job, operator or vertex id is 16 bytes, shown as 32 lower-case hex digits.

#include <array>
#include <compare>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <string_view>

#include "common/base/status.h"

namespace flink {

template <class Tag>
class Id128 {
 public:
  Id128() = default;
  explicit Id128(const std::array<uint8_t, 16>& bytes) : bytes_(bytes) {}

  static StatusOr<Id128> FromHex(std::string_view hex) {
    Id128 id;
    if (hex.size() != 32) return InvalidArgument("not 32 hexadecimal digits: \"{}\"", hex);
    for (size_t i = 0; i < 32; ++i) {
      const char c = hex[i];
      int v;
      if (c >= '0' && c <= '9')
        v = c - '0';
      else if (c >= 'a' && c <= 'f')
        v = c - 'a' + 10;
      else if (c >= 'A' && c <= 'F')
        v = c - 'A' + 10;
      else
        return InvalidArgument("not 32 hexadecimal digits: \"{}\"", hex);
      id.bytes_[i / 2] = static_cast<uint8_t>((i % 2 == 0) ? v << 4 : id.bytes_[i / 2] | v);
    }
    return id;
  }
  std::string ToHex() const {
    static constexpr char kDigits[] = "0123456789abcdef";
    std::string out(32, '0');
    for (size_t i = 0; i < 16; ++i) {
      out[2 * i] = kDigits[bytes_[i] >> 4];
      out[2 * i + 1] = kDigits[bytes_[i] & 15];
    }
    return out;
  }
  const std::array<uint8_t, 16>& bytes() const { return bytes_; }
  auto operator<=>(const Id128&) const = default;

 private:
  std::array<uint8_t, 16> bytes_{};
};

using JobId = Id128<struct JobIdTag>;
using OperatorId = Id128<struct OperatorIdTag>;
/// The id of a vertex is the operator id of its chain's head.
using JobVertexId = Id128<struct JobVertexIdTag>;

}  // namespace flink

template <class Tag>
struct std::hash<flink::Id128<Tag>> {
  size_t operator()(const flink::Id128<Tag>& id) const {
    size_t h;
    std::memcpy(&h, id.bytes().data(), sizeof h);
    return h;
  }
};
