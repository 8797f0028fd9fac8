// The splits of the text file source as bytes: what Flink's FileSourceSplitSerializer and
// PendingSplitsCheckpointSerializer write, and the form that came before it.

#include <algorithm>
#include <cstddef>
#include <deque>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "connectors/file/input_file.h"
#include "flink/connector/file_source.h"
#include "flink/internal/string_value.h"

namespace flink {
namespace {

using Split = TextFileSource::Split;

/// Begins the coordinator's part, whose numbers are little-endian.
constexpr uint32_t kMagic = 0xDEADBEEF;
constexpr size_t kLengthBytes = 4;
/// Of a split in the old form, with an empty path.
constexpr size_t kOldSplitBytes = 20;

template <class T>
void PutLittle(BufferWriter& out, T v) {
  out.Put<T>(internal::SwapBytes(v));
}
template <class T>
T GetLittle(BufferReader& in) {
  return internal::SwapBytes(in.Get<T>());
}

void PutNullableString(BufferWriter& out, const std::optional<std::string>& text) {
  out.Put<uint8_t>(text ? 1 : 0);
  if (text) internal::WriteString(out, *text);
}
std::optional<std::string> GetNullableString(BufferReader& in) {
  if (in.Get<uint8_t>() == 0) return std::nullopt;
  std::string text;
  internal::ReadString(in, text);
  return text;
}

/// Parts of a URI, as Flink's Path writes them.
void PutPath(BufferWriter& out, const std::string& path) {
  out.Put<uint8_t>(1);  // Not null.
  PutNullableString(out, "file");
  PutNullableString(out, std::nullopt);  // User.
  PutNullableString(out, std::nullopt);  // Host.
  out.Put<int32_t>(-1);                  // Port.
  PutNullableString(out, path);
  PutNullableString(out, std::nullopt);  // Query.
  PutNullableString(out, std::nullopt);  // Fragment.
}
std::string GetPath(BufferReader& in) {
  if (in.Get<uint8_t>() == 0) throw DecodeError("a split has no path");
  const std::optional<std::string> scheme = GetNullableString(in);
  GetNullableString(in);
  const std::optional<std::string> host = GetNullableString(in);
  in.Get<int32_t>();
  const std::optional<std::string> path = GetNullableString(in);
  GetNullableString(in);
  GetNullableString(in);
  if (scheme.value_or("file") != "file" || !host.value_or("").empty()) {
    throw DecodeError("a split names " + scheme.value_or("file") + "://" + host.value_or("") +
                      path.value_or("") + ", but this source reads local files only");
  }
  if (path.value_or("").empty()) throw DecodeError("a split has no path");
  return *path;
}

/// Of a split that had none: path and first byte, in ASCII, as Java's own form of UTF-8 is not
/// ours.
std::string MakeId(std::string_view path, int64_t begin) {
  std::string id;
  for (const char c : path) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x80 && c != '%')
      id.push_back(c);
    else
      id.append("%").append(std::to_string(byte)).append("%");
  }
  return id.append(":").append(std::to_string(begin));
}

/// i32 length, path, i64 first byte, i64 end: lines that begin in this range. Both may be within a
/// line; they are moved to the starts of lines, as everywhere else.
Split ReadOldSplit(BufferReader& in) {
  const int32_t length = in.Get<int32_t>();
  if (length <= 0) throw DecodeError("a split has no path");
  Split split;
  split.path = in.GetBytes(static_cast<size_t>(length));
  const int64_t begin = in.Get<int64_t>();
  // A reader that had skipped a line longer than its range stood behind the end.
  const int64_t end = std::max(begin, in.Get<int64_t>());
  if (begin < 0) throw DecodeError("a split has an impossible range of bytes");
  const InputFile file(split.path);
  file.CheckNotShorterThan(end);
  const struct stat info = file.Stat();
  split.file_size = info.st_size;
  split.modification_time_ms = ModificationTimeMs(info);
  const auto line_start = [&](int64_t at) {
    return at == 0 ? 0 : file.FindLineStart(at, split.file_size).value_or(split.file_size);
  };
  split.offset = line_start(begin);
  split.length = line_start(end) - split.offset;
  if (split.offset != 0) split.position = Split::Position{split.offset, 0};
  split.id = MakeId(split.path, begin);
  return split;
}

Split ReadFlinkSplit(BufferReader& in) {
  Split split;
  split.id = in.GetBytes(in.Get<uint16_t>());
  split.path = GetPath(in);
  split.offset = in.Get<int64_t>();
  split.length = in.Get<int64_t>();
  split.modification_time_ms = in.Get<int64_t>();
  split.file_size = in.Get<int64_t>();
  const int32_t hosts = in.Get<int32_t>();
  if (hosts < 0) throw DecodeError("a split has a negative number of hosts");
  for (int32_t i = 0; i < hosts; ++i) split.hosts.emplace_back(in.GetBytes(in.Get<uint16_t>()));
  if (in.Get<uint8_t>() != 0) {
    const int64_t offset = in.Get<int64_t>();
    split.position = Split::Position{offset, in.Get<int64_t>()};
  }
  if (split.offset < 0 || split.length < 0 ||
      split.length > std::numeric_limits<int64_t>::max() - split.offset) {
    throw DecodeError("a split has an impossible range of bytes");
  }
  if (split.position &&
      (split.position->lines < 0 || (split.position->offset != Split::kNoOffset &&
                                     (split.position->offset < split.offset ||
                                      split.position->offset - split.offset > split.length)))) {
    throw DecodeError("a split's reader stands outside its range of bytes");
  }
  return split;
}

Split ReadAnySplit(BufferReader& in, int32_t version) {
  if (version != TextFileSource::kSplitVersion) {
    throw DecodeError("a split has version " + std::to_string(version) +
                      ", which this build does not know");
  }
  // The old form begins with the length of a path, which needs two bytes at most; an id is never
  // empty.
  const bool old = in.remaining() >= 2 && in.position()[0] == 0 && in.position()[1] == 0;
  Split split = old ? ReadOldSplit(in) : ReadFlinkSplit(in);
  if (in.remaining() != 0) throw DecodeError("a split is longer than its content");
  return split;
}

std::deque<Split> ReadOldSplits(BufferReader& in) {
  const int32_t n = in.Get<int32_t>();
  if (n < 0 || static_cast<size_t>(n) > in.remaining() / kOldSplitBytes)
    throw DecodeError("its state begins like none that this build knows");
  std::deque<Split> splits;
  for (int32_t i = 0; i < n; ++i) splits.push_back(ReadOldSplit(in));
  return splits;
}

/// What follows the magic number.
std::deque<Split> ReadFlinkSplits(BufferReader& in) {
  const int32_t version = GetLittle<int32_t>(in);
  const int32_t n = GetLittle<int32_t>(in);
  const int32_t paths = GetLittle<int32_t>(in);
  if (n < 0 || paths < 0 ||
      static_cast<size_t>(n) + static_cast<size_t>(paths) > in.remaining() / kLengthBytes) {
    throw DecodeError("its state has more splits than bytes");
  }
  if (paths > 0) {
    throw DecodeError(
        "it watches a directory for new files and has seen " + std::to_string(paths) +
        "; this source reads the files that are there when a job starts afresh, and would miss "
        "those that come later");
  }
  std::deque<Split> splits;
  for (int32_t i = 0; i < n; ++i) {
    const int32_t length = GetLittle<int32_t>(in);
    if (length < 0) throw DecodeError("a split has a negative length");
    BufferReader split(in.GetBytes(static_cast<size_t>(length)));
    splits.push_back(ReadAnySplit(split, version));
  }
  return splits;
}

/// What `read` gives, or a message that says who cannot go on.
template <class F>
auto Restored(const std::string& who, const F& read) {
  try {
    return read();
  } catch (const DecodeError& e) {
    throw DecodeError(who + " of the text file source cannot be restored: " + e.what());
  }
}

}  // namespace

void TextFileSource::WriteSplit(BufferWriter& out, const Split& split) {
  internal::PutUtf(out, split.id);
  PutPath(out, split.path);
  out.Put<int64_t>(split.offset);
  out.Put<int64_t>(split.length);
  out.Put<int64_t>(split.modification_time_ms);
  out.Put<int64_t>(split.file_size);
  out.Put<int32_t>(static_cast<int32_t>(split.hosts.size()));
  for (const std::string& host : split.hosts) internal::PutUtf(out, host);
  out.Put<uint8_t>(split.position ? 1 : 0);
  if (split.position) {
    out.Put<int64_t>(split.position->offset);
    out.Put<int64_t>(split.position->lines);
  }
}

TextFileSource::Split TextFileSource::ReadSplit(BufferReader& in, int32_t version) {
  return Restored("a reader", [&] { return ReadAnySplit(in, version); });
}

void TextFileSource::WriteEnumerator(BufferWriter& out, const std::deque<Split>& splits) {
  PutLittle<uint32_t>(out, kMagic);
  PutLittle<int32_t>(out, kSplitVersion);
  PutLittle<int32_t>(out, static_cast<int32_t>(splits.size()));
  PutLittle<int32_t>(out, 0);  // Paths already seen by a source that watches a directory.
  BufferWriter bytes;
  for (const Split& split : splits) {
    bytes.Clear();
    WriteSplit(bytes, split);
    PutLittle<int32_t>(out, static_cast<int32_t>(bytes.size()));
    out.PutBytes(bytes.view());
  }
}

std::deque<TextFileSource::Split> TextFileSource::ReadEnumerator(BufferReader& in) {
  return Restored("the coordinator", [&] {
    BufferReader start = in;
    const bool old = GetLittle<uint32_t>(start) != kMagic;
    if (!old) in = start;
    std::deque<Split> splits = old ? ReadOldSplits(in) : ReadFlinkSplits(in);
    if (in.remaining() != 0) throw DecodeError("its state is longer than its content");
    return splits;
  });
}

}  // namespace flink
