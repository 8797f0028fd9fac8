#include "common/snapshot/java_data.h"

namespace flink::snapshot {
namespace {

constexpr uint32_t kReplacement = 0xfffd;

bool IsContinuation(std::string_view s, size_t i) {
  return i < s.size() && (static_cast<uint8_t>(s[i]) & 0xc0) == 0x80;
}

/// Decodes one UTF-8 sequence at *i and moves on; a wrong byte counts as one replacement character.
/// Three-byte surrogates are let through.
uint32_t NextCodePoint(std::string_view s, size_t* i) {
  const uint8_t first = static_cast<uint8_t>(s[*i]);
  if (first < 0x80) {
    ++*i;
    return first;
  }
  int extra = 0;
  uint32_t minimum = 0;
  if ((first & 0xe0) == 0xc0) {
    extra = 1;
    minimum = 0x80;
  } else if ((first & 0xf0) == 0xe0) {
    extra = 2;
    minimum = 0x800;
  } else if ((first & 0xf8) == 0xf0) {
    extra = 3;
    minimum = 0x10000;
  }
  uint32_t code = first & (0x3fu >> extra);
  for (int k = 1; k <= extra; ++k) {
    if (!IsContinuation(s, *i + static_cast<size_t>(k))) {
      extra = 0;
      break;
    }
    code = (code << 6) | (static_cast<uint8_t>(s[*i + static_cast<size_t>(k)]) & 0x3f);
  }
  if (extra == 0 || code < minimum || code > 0x10ffff) {
    ++*i;
    return kReplacement;
  }
  *i += static_cast<size_t>(extra) + 1;
  return code;
}

void AppendThreeBytes(std::string* out, uint32_t unit) {
  out->push_back(static_cast<char>(0xe0 | (unit >> 12)));
  out->push_back(static_cast<char>(0x80 | ((unit >> 6) & 0x3f)));
  out->push_back(static_cast<char>(0x80 | (unit & 0x3f)));
}

void AppendTwoBytes(std::string* out, uint32_t unit) {
  out->push_back(static_cast<char>(0xc0 | (unit >> 6)));
  out->push_back(static_cast<char>(0x80 | (unit & 0x3f)));
}

void AppendFourBytes(std::string* out, uint32_t code) {
  out->push_back(static_cast<char>(0xf0 | (code >> 18)));
  out->push_back(static_cast<char>(0x80 | ((code >> 12) & 0x3f)));
  out->push_back(static_cast<char>(0x80 | ((code >> 6) & 0x3f)));
  out->push_back(static_cast<char>(0x80 | (code & 0x3f)));
}

bool IsPlainAscii(std::string_view s) {
  for (const char c : s) {
    if (static_cast<uint8_t>(c) >= 0x80 || c == '\0') return false;
  }
  return true;
}

/// The UTF-16 unit at *i of modified UTF-8; false when the bytes are none.
bool NextUnit(std::string_view s, size_t* i, uint32_t* unit) {
  const uint8_t first = static_cast<uint8_t>(s[*i]);
  if (first < 0x80) {
    *unit = first;
    ++*i;
    return true;
  }
  if ((first & 0xe0) == 0xc0 && IsContinuation(s, *i + 1)) {
    *unit = (first & 0x1fu) << 6 | (static_cast<uint8_t>(s[*i + 1]) & 0x3fu);
    *i += 2;
    return true;
  }
  if ((first & 0xf0) == 0xe0 && IsContinuation(s, *i + 1) && IsContinuation(s, *i + 2)) {
    *unit = (first & 0x0fu) << 12 | (static_cast<uint8_t>(s[*i + 1]) & 0x3fu) << 6 |
            (static_cast<uint8_t>(s[*i + 2]) & 0x3fu);
    *i += 3;
    return true;
  }
  return false;
}

bool IsHighSurrogate(uint32_t unit) { return unit >= 0xd800 && unit < 0xdc00; }
bool IsLowSurrogate(uint32_t unit) { return unit >= 0xdc00 && unit < 0xe000; }

}  // namespace

std::string ToModifiedUtf8(std::string_view utf8) {
  if (IsPlainAscii(utf8)) return std::string(utf8);
  std::string out;
  out.reserve(utf8.size() + utf8.size() / 2);
  for (size_t i = 0; i < utf8.size();) {
    const uint32_t code = NextCodePoint(utf8, &i);
    if (code >= 0x10000) {
      AppendThreeBytes(&out, 0xd800 + ((code - 0x10000) >> 10));
      AppendThreeBytes(&out, 0xdc00 + ((code - 0x10000) & 0x3ff));
    } else if (code >= 0x800) {
      AppendThreeBytes(&out, code);
    } else if (code >= 0x80 || code == 0) {
      AppendTwoBytes(&out, code);
    } else {
      out.push_back(static_cast<char>(code));
    }
  }
  return out;
}

StatusOr<std::string> FromModifiedUtf8(std::string_view modified) {
  if (IsPlainAscii(modified)) return std::string(modified);
  std::string out;
  out.reserve(modified.size());
  for (size_t i = 0; i < modified.size();) {
    const size_t start = i;
    uint32_t unit = 0;
    if (!NextUnit(modified, &i, &unit)) {
      return DataLoss("byte {} of a text is not modified UTF-8", start);
    }
    size_t after = i;
    uint32_t low = 0;
    if (IsHighSurrogate(unit) && after < modified.size() && NextUnit(modified, &after, &low) &&
        IsLowSurrogate(low)) {
      AppendFourBytes(&out, 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00));
      i = after;
    } else if (unit >= 0x800) {
      AppendThreeBytes(&out, unit);
    } else if (unit >= 0x80) {
      AppendTwoBytes(&out, unit);
    } else {
      out.push_back(static_cast<char>(unit));
    }
  }
  return out;
}

void JavaWriter::WriteUtf(std::string_view utf8) {
  const std::string modified = ToModifiedUtf8(utf8);
  if (modified.size() > kMaxUtfBytes) {
    Fail(InvalidArgument("a text of {} bytes is too long, {} are allowed: \"{}…\"", modified.size(),
                         kMaxUtfBytes, utf8.substr(0, 60)));
    return;
  }
  WriteU16(static_cast<uint16_t>(modified.size()));
  WriteBytes(modified);
}

void JavaWriter::WriteSizedBytes(std::string_view bytes) {
  if (bytes.size() > INT32_MAX) {
    Fail(InvalidArgument("{} bytes are too many for one field, {} are allowed", bytes.size(),
                         INT32_MAX));
    return;
  }
  WriteI32(static_cast<int32_t>(bytes.size()));
  WriteBytes(bytes);
}

StatusOr<uint64_t> JavaReader::ReadBigEndian(size_t n, std::string_view what) {
  if (remaining() < n) {
    return Error(offset(), "expected {} ({} bytes), but {} bytes are left", what, n, remaining());
  }
  uint64_t value = 0;
  for (size_t i = 0; i < n; ++i) value = value << 8 | static_cast<uint8_t>(bytes_[position_ + i]);
  position_ += n;
  return value;
}

StatusOr<uint8_t> JavaReader::ReadU8(std::string_view what) {
  ASSIGN_OR_RETURN(const uint64_t v, ReadBigEndian(1, what));
  return static_cast<uint8_t>(v);
}

StatusOr<bool> JavaReader::ReadBool(std::string_view what) {
  const size_t at = offset();
  ASSIGN_OR_RETURN(const uint64_t v, ReadBigEndian(1, what));
  if (v > 1) return Error(at, "expected {} (0 or 1), found {}", what, v);
  return v == 1;
}

StatusOr<int16_t> JavaReader::ReadI16(std::string_view what) {
  ASSIGN_OR_RETURN(const uint64_t v, ReadBigEndian(2, what));
  return static_cast<int16_t>(v);
}

StatusOr<uint16_t> JavaReader::ReadU16(std::string_view what) {
  ASSIGN_OR_RETURN(const uint64_t v, ReadBigEndian(2, what));
  return static_cast<uint16_t>(v);
}

StatusOr<int32_t> JavaReader::ReadI32(std::string_view what) {
  ASSIGN_OR_RETURN(const uint64_t v, ReadBigEndian(4, what));
  return static_cast<int32_t>(v);
}

StatusOr<int64_t> JavaReader::ReadI64(std::string_view what) {
  ASSIGN_OR_RETURN(const uint64_t v, ReadBigEndian(8, what));
  return static_cast<int64_t>(v);
}

StatusOr<std::string_view> JavaReader::ReadBytes(size_t n, std::string_view what) {
  if (remaining() < n) {
    return Error(offset(), "expected {} ({} bytes), but {} bytes are left", what, n, remaining());
  }
  const std::string_view bytes = bytes_.substr(position_, n);
  position_ += n;
  return bytes;
}

StatusOr<std::string> JavaReader::ReadUtf(std::string_view what) {
  const size_t at = offset();
  ASSIGN_OR_RETURN(const uint16_t size, ReadU16(what));
  ASSIGN_OR_RETURN(const std::string_view modified, ReadBytes(size, what));
  StatusOr<std::string> text = FromModifiedUtf8(modified);
  if (!text.ok()) return Error(at, "expected {}: {}", what, Message(text.status()));
  return text;
}

StatusOr<std::string_view> JavaReader::ReadSizedBytes(std::string_view what) {
  ASSIGN_OR_RETURN(const int32_t size, ReadCount(what, 1));
  return ReadBytes(static_cast<size_t>(size), what);
}

StatusOr<int32_t> JavaReader::ReadCount(std::string_view what, size_t min_bytes_each) {
  const size_t at = offset();
  ASSIGN_OR_RETURN(const int32_t count, ReadI32(what));
  if (count < 0) return Error(at, "expected {} (a count), found {}", what, count);
  if (static_cast<uint64_t>(count) * min_bytes_each > remaining()) {
    return Error(at, "{} is {}, but only {} bytes follow", what, count, remaining());
  }
  return count;
}

Status JavaReader::ExpectI32(int32_t expected, std::string_view what) {
  const size_t at = offset();
  ASSIGN_OR_RETURN(const int32_t found, ReadI32(what));
  if (found != expected) {
    return Error(at, "expected {} ({}), found {}", what, expected, found);
  }
  return OkStatus();
}

Status JavaReader::ExpectEnd(std::string_view what) const {
  if (remaining() == 0) return OkStatus();
  return Error(offset(), "expected the end of {}, but {} bytes follow", what, remaining());
}

}  // namespace flink::snapshot
