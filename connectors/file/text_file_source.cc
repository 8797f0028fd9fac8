#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <stdexcept>
#include <tuple>

#include "connectors/file/local_path.h"
#include "flink/connector/file_source.h"

namespace flink {
namespace {

constexpr int64_t kMinSplitBytes = 64 << 10;
constexpr int64_t kSplitsPerSubtask = 4;
constexpr size_t kBufferBytes = 256 << 10;
/// A batch of lines does not grow much beyond this, however long they are.
constexpr int64_t kMaxBatchBytes = 1 << 20;
constexpr size_t kMaxLineBytes = size_t{1} << 30;
/// Deeper trees are taken for a loop of symbolic links.
constexpr int kMaxDepth = 64;

struct InputFile {
  std::string path;
  int64_t size = 0;
};

[[noreturn]] void Fail(const std::string& what, const std::string& path,
                       const std::string& reason) {
  throw std::runtime_error(what + " " + path + ": " + reason);
}

void Collect(const std::filesystem::path& path, int depth, std::vector<InputFile>& files) {
  namespace fs = std::filesystem;
  if (depth > kMaxDepth)
    Fail("input directory", path.string(), "nested too deeply, probably a loop of symbolic links");
  std::error_code error;
  const fs::file_status status = fs::status(path, error);
  if (!fs::exists(status))
    Fail("input path", path.string(), "it does not exist; check the job's arguments");
  if (!fs::is_directory(status)) {
    const auto size = fs::file_size(path, error);
    if (error) Fail("input file", path.string(), error.message());
    files.push_back({path.string(), static_cast<int64_t>(size)});
    return;
  }
  std::vector<fs::path> entries;
  fs::directory_iterator it(path, error);
  if (error) Fail("input directory", path.string(), "cannot be read: " + error.message());
  for (const fs::directory_entry& entry : it) {
    const std::string name = entry.path().filename().string();
    if (name[0] != '.' && name[0] != '_') entries.push_back(entry.path());
  }
  std::sort(entries.begin(), entries.end());
  for (const fs::path& entry : entries) Collect(entry, depth + 1, files);
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

void TextFileSource::SetWorkingDirectory(const std::string& directory) {
  path_ = ResolvePath(directory, path_);
}

void TextFileSource::WriteSplit(BufferWriter& out, const Split& split) {
  out.Put<int32_t>(static_cast<int32_t>(split.path.size()));
  out.PutBytes(split.path);
  out.Put<int64_t>(split.next);
  out.Put<int64_t>(split.end);
}

TextFileSource::Split TextFileSource::ReadSplit(BufferReader& in, int32_t version) {
  if (version != kSplitVersion) {
    throw DecodeError("a text file split has version " + std::to_string(version) +
                      ", which this build does not know");
  }
  Split split;
  const int32_t length = in.Get<int32_t>();
  if (length < 0) throw DecodeError("a text file split has a negative length");
  split.path = in.GetBytes(static_cast<size_t>(length));
  split.next = in.Get<int64_t>();
  split.end = in.Get<int64_t>();
  return split;
}

std::vector<TextFileSource::Split> TextFileSource::MakeSplits(int parallelism) const {
  std::vector<InputFile> files;
  Collect(path_, 0, files);
  int64_t total = 0;
  for (const InputFile& f : files) total += f.size;
  int64_t wanted = split_bytes_;
  if (wanted == 0) {
    wanted = std::clamp(total / (kSplitsPerSubtask * std::max(parallelism, 1)) + 1, kMinSplitBytes,
                        kMaxSplitBytes);
  }
  std::vector<Split> splits;
  for (const InputFile& f : files) {
    const int64_t parts = (f.size + wanted - 1) / wanted;
    for (int64_t i = 0; i < parts; ++i) {
      // In this order the product stays in range for files of any size.
      const int64_t whole = f.size / parts;
      const int64_t rest = f.size % parts;
      splits.push_back(
          {f.path, whole * i + rest * i / parts, whole * (i + 1) + rest * (i + 1) / parts});
    }
  }
  return splits;
}

bool TextFileSource::ReadBefore(const Split& a, const Split& b) {
  return std::tie(a.path, a.next) < std::tie(b.path, b.next);
}

TextFileSource::Reader::Reader(const TextFileSource& /*source*/) {}

TextFileSource::Reader::~Reader() { Close(); }

void TextFileSource::Reader::Close() {
  if (fd_ >= 0) ::close(fd_);
  fd_ = -1;
}

void TextFileSource::Reader::Open(const Split& split) {
  Close();
  split_ = split;
  fd_ = ::open(split.path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd_ < 0)
    Fail("input file", split.path, std::string("cannot be opened: ") + std::strerror(errno));
  struct stat info;
  if (::fstat(fd_, &info) == 0 && S_ISREG(info.st_mode) && info.st_size < split.end) {
    Fail("input file", split.path,
         "it has " + std::to_string(info.st_size) + " bytes, but the job began with at least " +
             std::to_string(split.end) + "; files must not change while a job reads them");
  }
  ::posix_fadvise(fd_, split.next, split.end - split.next, POSIX_FADV_SEQUENTIAL);
  used_ = 0;
  filled_ = 0;
  if (buffer_.empty()) buffer_.resize(kBufferBytes);
  file_at_ = split.next;
  if (split.next == 0) return;
  // A line begins here only behind a newline; one that began earlier belongs to the range before.
  --file_at_;
  const char* newline = FindNewline();
  used_ = newline == nullptr ? filled_ : static_cast<size_t>(newline - buffer_.data()) + 1;
  split_.next = file_at_ - static_cast<int64_t>(filled_ - used_);
}

bool TextFileSource::Reader::Fill() {
  if (used_ != 0) {
    std::memmove(buffer_.data(), buffer_.data() + used_, filled_ - used_);
    filled_ -= used_;
    used_ = 0;
  }
  if (filled_ == buffer_.size()) {
    if (filled_ >= kMaxLineBytes) {
      Fail("input file", split_.path,
           "the line at byte " + std::to_string(split_.next) + " is longer than 1 GiB");
    }
    buffer_.resize(buffer_.size() * 2);
  }
  for (;;) {
    const ssize_t n = ::pread(fd_, buffer_.data() + filled_, buffer_.size() - filled_, file_at_);
    if (n < 0) {
      if (errno == EINTR) continue;
      Fail("input file", split_.path, std::string("cannot be read: ") + std::strerror(errno));
    }
    filled_ += static_cast<size_t>(n);
    file_at_ += n;
    return n != 0;
  }
}

const char* TextFileSource::Reader::FindNewline() {
  size_t searched = 0;
  for (;;) {
    const size_t begin = used_ + searched;
    if (const void* at = std::memchr(buffer_.data() + begin, '\n', filled_ - begin)) {
      return static_cast<const char*>(at);
    }
    searched = filled_ - used_;
    if (!Fill()) return nullptr;
  }
}

bool TextFileSource::Reader::Read(Batch<std::string>& out, size_t limit) {
  const int64_t first = split_.next;
  for (; limit != 0 && split_.next < split_.end && split_.next - first < kMaxBatchBytes; --limit) {
    const char* newline = FindNewline();
    const char* const begin = buffer_.data() + used_;
    const char* end = newline == nullptr ? buffer_.data() + filled_ : newline;
    const int64_t bytes = end - begin + (newline == nullptr ? 0 : 1);
    if (bytes == 0) {  // The file has become shorter.
      Fail("input file", split_.path,
           "it ends at byte " + std::to_string(split_.next) + ", before the job has read it");
    }
    if (newline != nullptr && end != begin && end[-1] == '\r') --end;
    out.records.emplace_back(begin, static_cast<size_t>(end - begin));
    used_ += static_cast<size_t>(bytes);
    split_.next += bytes;
  }
  return split_.next < split_.end;
}

}  // namespace flink
