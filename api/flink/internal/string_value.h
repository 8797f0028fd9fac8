#pragma once

/// Text as Apache Flink writes it (StringValue): length and UTF-16 units as variable-length
/// numbers. Part of flink/type_serializer.h.
///
/// In C++ a string is UTF-8. Every string survives the way out and back: a lone UTF-16 surrogate is
/// kept in its three-byte form, and a byte that is not UTF-8 travels as the unit 0xDC00 + byte.

#include <cstdint>
#include <string>
#include <string_view>

#include "flink/buffer.h"

namespace flink::internal {

inline bool IsAscii(const char* p, size_t n) {
  uint64_t seen = 0;
  while (n >= 8) {
    uint64_t word;
    std::memcpy(&word, p, 8);
    seen |= word;
    p += 8;
    n -= 8;
  }
  while (n-- != 0) seen |= static_cast<uint8_t>(*p++);
  return (seen & 0x8080808080808080u) == 0;
}

/// Calls unit(uint32_t) for each UTF-16 unit of the text.
template <class F>
inline void ForEachUtf16Unit(std::string_view s, F&& unit) {
  const auto* p = reinterpret_cast<const uint8_t*>(s.data());
  const auto* end = p + s.size();
  const auto continues = [&](ptrdiff_t i) { return end - p > i && (p[i] & 0xC0) == 0x80; };
  while (p != end) {
    const uint32_t b = *p;
    if (b < 0x80) {
      unit(b);
      ++p;
      continue;
    }
    if (b >= 0xC2 && b <= 0xDF && continues(1)) {
      unit((b & 0x1F) << 6 | (p[1] & 0x3Fu));
      p += 2;
      continue;
    }
    if ((b & 0xF0) == 0xE0 && continues(1) && continues(2)) {
      const uint32_t c = (b & 0x0F) << 12 | (p[1] & 0x3Fu) << 6 | (p[2] & 0x3Fu);
      if (c >= 0x800) {
        unit(c);
        p += 3;
        continue;
      }
    }
    if (b >= 0xF0 && b <= 0xF4 && continues(1) && continues(2) && continues(3)) {
      const uint32_t c =
          (b & 0x07) << 18 | (p[1] & 0x3Fu) << 12 | (p[2] & 0x3Fu) << 6 | (p[3] & 0x3Fu);
      if (c >= 0x10000 && c <= 0x10FFFF) {
        unit(0xD7C0 + (c >> 10));
        unit(0xDC00 | (c & 0x3FF));
        p += 4;
        continue;
      }
    }
    unit(0xDC00 | b);
    ++p;
  }
}

inline char* PutVarint(char* at, uint32_t v) {
  while (v >= 0x80) {
    *at++ = static_cast<char>(v | 0x80);
    v >>= 7;
  }
  *at++ = static_cast<char>(v);
  return at;
}

inline uint32_t GetVarint(BufferReader& in) {
  uint32_t v = in.Get<uint8_t>();
  if (v < 0x80) return v;
  v &= 0x7F;
  for (int shift = 7;; shift += 7) {
    const uint32_t b = in.Get<uint8_t>();
    if (shift > 28) throw DecodeError("a length in a string is longer than 32 bits");
    v |= (b & 0x7F) << shift;
    if (b < 0x80) return v;
  }
}

inline void WriteWideString(BufferWriter& out, std::string_view s) {
  uint32_t units = 0;
  ForEachUtf16Unit(s, [&](uint32_t) { ++units; });
  const size_t before = out.size();
  char* const start = out.Extend(5 + 3 * static_cast<size_t>(units));
  char* at = PutVarint(start, units + 1);
  ForEachUtf16Unit(s, [&](uint32_t u) { at = PutVarint(at, u); });
  out.Truncate(before + static_cast<size_t>(at - start));
}

inline void WriteString(BufferWriter& out, std::string_view s) {
  if (!IsAscii(s.data(), s.size())) [[unlikely]] {
    WriteWideString(out, s);
    return;
  }
  const size_t before = out.size();
  char* const start = out.Extend(5 + s.size());
  char* at = PutVarint(start, static_cast<uint32_t>(s.size()) + 1);
  if (!s.empty()) std::memcpy(at, s.data(), s.size());
  out.Truncate(before + static_cast<size_t>(at - start) + s.size());
}

inline void AppendUtf8(std::string& s, uint32_t c) {
  if (c < 0x80) {
    s.push_back(static_cast<char>(c));
    return;
  }
  if (c < 0x800) {
    s.push_back(static_cast<char>(0xC0 | c >> 6));
  } else {
    if (c < 0x10000) {
      s.push_back(static_cast<char>(0xE0 | c >> 12));
    } else {
      s.push_back(static_cast<char>(0xF0 | c >> 18));
      s.push_back(static_cast<char>(0x80 | (c >> 12 & 0x3F)));
    }
    s.push_back(static_cast<char>(0x80 | (c >> 6 & 0x3F)));
  }
  s.push_back(static_cast<char>(0x80 | (c & 0x3F)));
}

/// With `raw_bytes` the units 0xDC80-0xDCFF on their own become single bytes again.
inline std::string FromUtf16(const std::u16string& units, bool raw_bytes) {
  std::string s;
  s.reserve(units.size() * 3);
  for (size_t i = 0; i < units.size(); ++i) {
    uint32_t c = units[i];
    if ((c & 0xFC00) == 0xD800 && i + 1 < units.size() && (units[i + 1] & 0xFC00) == 0xDC00) {
      c = 0x10000 + ((c & 0x3FF) << 10 | (units[++i] & 0x3FFu));
    } else if (raw_bytes && c >= 0xDC80 && c <= 0xDCFF) {
      s.push_back(static_cast<char>(c & 0xFF));
      continue;
    }
    AppendUtf8(s, c);
  }
  return s;
}

inline void ReadWideString(BufferReader& in, size_t n, std::string& s) {
  std::u16string units(n, u'\0');
  bool has_raw_bytes = false;
  for (char16_t& u : units) {
    const uint32_t c = GetVarint(in);
    if (c > 0xFFFF) throw DecodeError("a character of a string is larger than 16 bits");
    u = static_cast<char16_t>(c);
    has_raw_bytes |= c >= 0xDC80 && c <= 0xDCFF;
  }
  s = FromUtf16(units, has_raw_bytes);
  if (!has_raw_bytes) return;
  // Single bytes that stand side by side may read as one character: such text keeps its surrogates
  // instead.
  std::u16string again;
  ForEachUtf16Unit(s, [&](uint32_t u) { again.push_back(static_cast<char16_t>(u)); });
  if (again != units) s = FromUtf16(units, false);
}

inline void ReadString(BufferReader& in, std::string& s) {
  const uint32_t length = GetVarint(in);
  if (length == 0) throw DecodeError("a null String was found; a std::string cannot be null");
  const size_t n = length - 1;
  if (n > in.remaining()) throw DecodeError("a string is longer than the data it is in");
  if (IsAscii(in.position(), n)) [[likely]] {
    s.assign(in.GetBytes(n));
  } else {
    ReadWideString(in, n, s);
  }
}

/// Java's String.hashCode.
inline int32_t StringHashCode(std::string_view s) {
  uint32_t h = 0;
  if (!IsAscii(s.data(), s.size())) [[unlikely]] {
    ForEachUtf16Unit(s, [&](uint32_t u) { h = 31 * h + u; });
    return static_cast<int32_t>(h);
  }
  const auto* p = reinterpret_cast<const uint8_t*>(s.data());
  size_t n = s.size();
  for (; n >= 4; n -= 4, p += 4) {
    h = h * 923521u + p[0] * 29791u + p[1] * 961u + p[2] * 31u + p[3];
  }
  while (n-- != 0) h = 31 * h + *p++;
  return static_cast<int32_t>(h);
}

}  // namespace flink::internal
