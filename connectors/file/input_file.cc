#include "connectors/file/input_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <vector>

namespace flink {
namespace {

// A line start is looked for in pieces, small ones at first: most lines are short.
constexpr int64_t kFirstPiece = 4 << 10;
constexpr int64_t kLargestPiece = 256 << 10;

std::string LastError(const std::string& what) { return what + ": " + std::strerror(errno); }

}  // namespace

void FailInput(const std::string& what, const std::string& path, const std::string& reason) {
  throw std::runtime_error(what + " " + path + ": " + reason);
}

InputFile::InputFile(const std::string& path)
    : path_(path), fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
  if (fd_ < 0) FailInput("input file", path, LastError("cannot be opened"));
}

InputFile::~InputFile() { ::close(fd_); }

struct stat InputFile::Stat() const {
  struct stat info;
  if (::fstat(fd_, &info) != 0) FailInput("input file", path_, LastError("cannot be examined"));
  return info;
}

void InputFile::CheckNotShorterThan(int64_t bytes) const {
  const int64_t now = Stat().st_size;
  if (now >= bytes) return;
  FailInput("input file", path_,
            "it has " + std::to_string(now) + " bytes, but the job began with at least " +
                std::to_string(bytes) + "; files must not change while a job reads them");
}

size_t InputFile::Read(char* to, size_t size, int64_t offset) const {
  for (;;) {
    const ssize_t n = ::pread(fd_, to, size, offset);
    if (n >= 0) return static_cast<size_t>(n);
    if (errno != EINTR) FailInput("input file", path_, LastError("cannot be read"));
  }
}

void InputFile::WillReadInOrder(int64_t offset, int64_t size) const {
  ::posix_fadvise(fd_, offset, size, POSIX_FADV_SEQUENTIAL);
}

std::optional<int64_t> InputFile::FindLineStart(int64_t from, int64_t limit) const {
  std::vector<char> buffer;
  int64_t piece = kFirstPiece;
  for (int64_t at = from - 1; at < limit;) {
    buffer.resize(static_cast<size_t>(std::min(piece, limit - at)));
    const size_t n = Read(buffer.data(), buffer.size(), at);
    if (n == 0) return std::nullopt;
    if (const void* newline = std::memchr(buffer.data(), '\n', n)) {
      return at + (static_cast<const char*>(newline) - buffer.data()) + 1;
    }
    at += static_cast<int64_t>(n);
    piece = std::min(piece * 4, kLargestPiece);
  }
  return std::nullopt;
}

int64_t ModificationTimeMs(const struct stat& info) {
  return int64_t{info.st_mtim.tv_sec} * 1000 + info.st_mtim.tv_nsec / 1'000'000;
}

}  // namespace flink
