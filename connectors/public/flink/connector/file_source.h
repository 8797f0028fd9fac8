#pragma once

/// Lines of text files.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "flink/source.h"

namespace flink {

/// The lines of a file, or of all files below a directory (names that begin with . or _ are
/// skipped). Lines end with \n or \r\n, which is not part of the record; the last line of a file
/// may lack it. Bytes are taken as they are; text should be UTF-8.
///
///     env.FromSource(flink::TextFileSource("/data/books"), "lines").Uid("source")
///
/// The files are listed and divided into byte ranges once, when the job starts afresh; a line
/// belongs to the range in which it begins. Every process of the cluster must see the files under
/// the same path, and they must not change while the job runs. A missing path or an unreadable file
/// fails the job, naming it.
class TextFileSource {
 public:
  using Record = std::string;
  /// The lines that begin in the bytes [next, end).
  struct Split {
    std::string path;
    int64_t next = 0;
    int64_t end = 0;
  };
  static constexpr int32_t kSplitVersion = 1;
  static constexpr int32_t kEnumeratorVersion = 1;
  /// The largest range. Small inputs are divided into smaller ones, several per subtask, but not
  /// below 64 KiB.
  static constexpr int64_t kMaxSplitBytes = 16 << 20;

  /// `path` may be a file: URI. A relative path starts where `flink run` was called.
  explicit TextFileSource(const std::string& path, SourceOptions options = {});

  /// Makes ranges of about this size, whatever the input's.
  TextFileSource WithSplitBytes(int64_t bytes) const;

  static void WriteSplit(BufferWriter& out, const Split& split);
  static Split ReadSplit(BufferReader& in, int32_t version);
  std::vector<Split> MakeSplits(int parallelism) const;
  /// By path, then position: event time that rises within a file rises for a subtask too.
  static bool ReadBefore(const Split& a, const Split& b);
  double rate() const { return options_.records_per_second; }
  void SetWorkingDirectory(const std::string& directory);

  class Reader {
   public:
    explicit Reader(const TextFileSource& source);
    ~Reader();
    Reader(const Reader&) = delete;
    Reader& operator=(const Reader&) = delete;

    void Open(const Split& split);
    bool Read(Batch<std::string>& out, size_t limit);
    Split Position() const { return split_; }

   private:
    /// Reads more bytes behind those of the buffer that are not used yet. False at the end of the
    /// file.
    bool Fill();
    /// Finds the end of the line that begins at `used_`; nullptr when the file ends first.
    const char* FindNewline();
    void Close();

    Split split_;
    int fd_ = -1;
    std::vector<char> buffer_;
    size_t used_ = 0;  // Of the buffer.
    size_t filled_ = 0;
    int64_t file_at_ = 0;  // What follows the buffer's content.
  };

 private:
  std::string path_;
  SourceOptions options_;
  int64_t split_bytes_ = 0;
};

}  // namespace flink
