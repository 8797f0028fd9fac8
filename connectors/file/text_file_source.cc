#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "connectors/file/input_file.h"
#include "connectors/file/local_path.h"
#include "flink/connector/file_source.h"

namespace flink {
namespace {

constexpr int64_t kMinSplitBytes = 64 << 10;
constexpr int64_t kSplitsPerSubtask = 4;
constexpr int64_t kWholeFiles = std::numeric_limits<int64_t>::max();
/// How far behind a wanted boundary a line start is looked for; without one the range before goes
/// on to the next boundary.
constexpr int64_t kMaxBoundarySearch = 1 << 20;
constexpr size_t kBufferBytes = 256 << 10;
/// A batch of lines does not grow much beyond this, however long they are.
constexpr int64_t kMaxBatchBytes = 1 << 20;
constexpr size_t kMaxLineBytes = size_t{1} << 30;
/// Deeper trees are taken for a loop of symbolic links.
constexpr int kMaxDepth = 64;

struct ListedFile {
  std::string path;
  int64_t size = 0;
  int64_t modification_time_ms = 0;
};

/// Flink decompresses these, whatever stands before the ending; their bytes are no lines.
void CheckNotCompressed(const std::string& path) {
  for (const char* compressed : {"gz", "gzip", "deflate", "bz2", "xz"}) {
    if (!path.ends_with(compressed)) continue;
    FailInput("input file", path,
              "it is compressed, as its name says, which this source does not read; decompress it");
  }
}

void Collect(const std::filesystem::path& path, int depth, std::vector<ListedFile>& files) {
  namespace fs = std::filesystem;
  if (depth > kMaxDepth) {
    FailInput("input directory", path.string(),
              "nested too deeply, probably a loop of symbolic links");
  }
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (!fs::exists(status))
    FailInput("input path", path.string(), "it does not exist; check the job's arguments");
  if (!fs::is_directory(status)) {
    CheckNotCompressed(path.string());
    struct stat info;
    if (::stat(path.c_str(), &info) != 0)
      FailInput("input file", path.string(), std::strerror(errno));
    if (!S_ISREG(info.st_mode))
      FailInput("input path", path.string(), "it is neither a file nor a directory");
    files.push_back({path.string(), info.st_size, ModificationTimeMs(info)});
    return;
  }
  std::vector<fs::path> entries;
  fs::directory_iterator it(path, error);
  if (error) FailInput("input directory", path.string(), "cannot be read: " + error.message());
  for (const fs::directory_entry& entry : it) {
    const std::string name = entry.path().filename().string();
    if (name[0] != '.' && name[0] != '_') entries.push_back(entry.path());
  }
  std::sort(entries.begin(), entries.end());
  for (const fs::path& entry : entries) Collect(entry, depth + 1, files);
}

/// Where the ranges of a file begin: at line starts, about `wanted` bytes from one to the next.
std::vector<int64_t> RangeStarts(const ListedFile& listed, int64_t wanted) {
  std::vector<int64_t> starts = {0};
  if (listed.size <= wanted) return starts;
  const InputFile file(listed.path);
  const int64_t parts = (listed.size - 1) / wanted + 1;
  // In this order the product stays in range for files of any size.
  const auto boundary = [&](int64_t i) {
    return listed.size / parts * i + listed.size % parts * i / parts;
  };
  for (int64_t i = 1; i < parts; ++i) {
    const int64_t at = boundary(i);
    if (at <= starts.back()) continue;
    const int64_t limit = std::min(boundary(i + 1), at + kMaxBoundarySearch);
    const std::optional<int64_t> start = file.FindLineStart(at, limit);
    if (start && *start < listed.size) starts.push_back(*start);
  }
  return starts;
}

}  // namespace

TextFileSource::TextFileSource(const std::string& path, SourceOptions options)
    : path_(LocalPathFromUser(path)), options_(options) {}

TextFileSource TextFileSource::WithSplitBytes(int64_t bytes) const {
  if (bytes < 1)
    throw std::invalid_argument("a split has at least one byte, not " + std::to_string(bytes));
  TextFileSource source = *this;
  source.split_bytes_ = bytes;
  return source;
}

TextFileSource TextFileSource::WithWholeFiles() const { return WithSplitBytes(kWholeFiles); }

void TextFileSource::SetWorkingDirectory(const std::string& directory) {
  path_ = ResolvePath(directory, path_);
}

std::vector<TextFileSource::Split> TextFileSource::MakeSplits(int parallelism) const {
  std::vector<ListedFile> files;
  Collect(std::filesystem::absolute(path_), 0, files);
  int64_t total = 0;
  for (const ListedFile& f : files) total += f.size;
  const int64_t share =
      std::max(total / (kSplitsPerSubtask * std::max(parallelism, 1)) + 1, kMinSplitBytes);
  const auto range_bytes = [&](const ListedFile& f) {
    if (split_bytes_ != 0) return split_bytes_;
    // A file that one subtask can read without the others waiting for it stays whole.
    if (parallelism <= 1 || f.size <= share) return kWholeFiles;
    return std::min(share, kMaxSplitBytes);
  };
  std::vector<Split> splits;
  for (const ListedFile& f : files) {
    if (f.size == 0) continue;
    std::vector<int64_t> starts = RangeStarts(f, range_bytes(f));
    starts.push_back(f.size);
    for (size_t i = 0; i + 1 < starts.size(); ++i) {
      Split split;
      // Ten digits or more, as Flink counts its splits.
      char id[24];
      std::snprintf(id, sizeof id, "%010zu", splits.size() + 1);
      split.id = id;
      split.path = f.path;
      split.offset = starts[i];
      split.length = starts[i + 1] - starts[i];
      split.modification_time_ms = f.modification_time_ms;
      split.file_size = f.size;
      // Without it Flink would refuse the last range of a file, too.
      if (split.offset != 0) split.position = Split::Position{split.offset, 0};
      splits.push_back(std::move(split));
    }
  }
  return splits;
}

bool TextFileSource::ReadBefore(const Split& a, const Split& b) {
  return std::tie(a.path, a.offset) < std::tie(b.path, b.offset);
}

TextFileSource::Reader::Reader(const TextFileSource& /*source*/) {}

TextFileSource::Reader::~Reader() = default;

void TextFileSource::Reader::Open(const Split& split) {
  CheckNotCompressed(split.path);
  split_ = split;
  const Split::Position position = split.position.value_or(Split::Position{Split::kNoOffset, 0});
  next_ = position.offset == Split::kNoOffset ? split.offset : position.offset;
  end_ = split.offset + split.length;
  lines_to_skip_ = position.lines;
  file_ = std::make_unique<InputFile>(split.path);
  file_->CheckNotShorterThan(end_);
  file_->WillReadInOrder(next_, end_ - next_);
  used_ = 0;
  filled_ = 0;
  if (buffer_.empty()) buffer_.resize(kBufferBytes);
}

TextFileSource::Split TextFileSource::Reader::Position() const {
  Split split = split_;
  // At the beginning of a file there is nothing to say but how many lines to skip.
  split.position.reset();
  if (next_ != 0)
    split.position = Split::Position{next_, lines_to_skip_};
  else if (lines_to_skip_ != 0)
    split.position = Split::Position{Split::kNoOffset, lines_to_skip_};
  return split;
}

bool TextFileSource::Reader::Fill() {
  if (used_ != 0) {
    std::memmove(buffer_.data(), buffer_.data() + used_, filled_ - used_);
    filled_ -= used_;
    used_ = 0;
  }
  if (filled_ == buffer_.size()) {
    if (filled_ >= kMaxLineBytes) {
      FailInput("input file", split_.path,
                "the line at byte " + std::to_string(next_) + " is longer than 1 GiB");
    }
    buffer_.resize(buffer_.size() * 2);
  }
  const size_t n = file_->Read(buffer_.data() + filled_, buffer_.size() - filled_,
                               next_ + static_cast<int64_t>(filled_));
  filled_ += n;
  return n != 0;
}

const char* TextFileSource::Reader::FindNewline() {
  size_t searched = 0;
  for (;;) {
    const size_t begin = used_ + searched;
    if (const void* at = std::memchr(buffer_.data() + begin, '\n', filled_ - begin)) {
      return static_cast<const char*>(at);
    }
    searched = filled_ - used_;
    if (!Fill()) break;
  }
  if (filled_ == used_) {  // The file has become shorter.
    FailInput("input file", split_.path,
              "it ends at byte " + std::to_string(next_) + ", before the job has read it");
  }
  return nullptr;
}

void TextFileSource::Reader::Use(size_t bytes) {
  used_ += bytes;
  next_ += static_cast<int64_t>(bytes);
}

bool TextFileSource::Reader::Read(Batch<std::string>& out, size_t limit) {
  const int64_t first = next_;
  if (lines_to_skip_ != 0) {
    while (lines_to_skip_ != 0 && next_ - first < kMaxBatchBytes) SkipLines();
    return lines_to_skip_ != 0 || next_ < end_;
  }
  for (; limit != 0 && next_ < end_ && next_ - first < kMaxBatchBytes; --limit) {
    const char* const newline = FindNewline();
    const char* const begin = buffer_.data() + used_;
    const char* end = newline == nullptr ? buffer_.data() + filled_ : newline;
    const size_t bytes = static_cast<size_t>(end - begin) + (newline == nullptr ? 0 : 1);
    if (newline != nullptr && end != begin && end[-1] == '\r') --end;
    out.records.emplace_back(begin, static_cast<size_t>(end - begin));
    Use(bytes);
  }
  return next_ < end_;
}

void TextFileSource::Reader::SkipLines() {
  if (next_ >= end_) {
    FailInput("input file", split_.path,
              "the snapshot says that " + std::to_string(lines_to_skip_) +
                  " more lines of it have been read than it has; files must not change while a "
                  "job reads them");
  }
  const char* const newline = FindNewline();
  const char* const begin = buffer_.data() + used_;
  const char* const end = newline == nullptr ? buffer_.data() + filled_ : newline;
  // For Flink a \r ends a line on its own, too.
  const char* at = begin;
  while (lines_to_skip_ != 0) {
    const void* found = std::memchr(at, '\r', static_cast<size_t>(end - at));
    if (found == nullptr) break;
    const char* const behind = static_cast<const char*>(found) + 1;
    if (behind == newline) break;
    at = behind;
    --lines_to_skip_;
  }
  if (lines_to_skip_ != 0 && (newline != nullptr || at != end)) {
    at = newline == nullptr ? end : newline + 1;
    --lines_to_skip_;
  }
  Use(static_cast<size_t>(at - begin));
}

}  // namespace flink
