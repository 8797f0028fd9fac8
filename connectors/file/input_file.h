#pragma once

/// A local file that the text file source reads.

#include <sys/stat.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

namespace flink {

/// Throws std::runtime_error "<what> <path>: <reason>".
[[noreturn]] void FailInput(const std::string& what, const std::string& path,
                            const std::string& reason);

/// Open while it lives. Methods throw std::runtime_error that names the file. Not thread-safe.
class InputFile {
 public:
  explicit InputFile(const std::string& path);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  struct stat Stat() const;
  /// Fails when the file has fewer bytes than a job has seen in it.
  void CheckNotShorterThan(int64_t bytes) const;
  /// Reads at most `size` bytes; 0 at the end of the file.
  size_t Read(char* to, size_t size, int64_t offset) const;
  /// Tells the system what will be read.
  void WillReadInOrder(int64_t offset, int64_t size) const;
  /// The first position from `from` > 0 to `limit` that follows a newline; nullopt without one.
  std::optional<int64_t> FindLineStart(int64_t from, int64_t limit) const;

 private:
  std::string path_;
  int fd_;
};

/// Of the file's last change, in ms since the epoch, as Java sees it.
int64_t ModificationTimeMs(const struct stat& info);

}  // namespace flink
