#pragma once

/// Lines of text files.

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "flink/source.h"

namespace flink {

class InputFile;

/// The lines of a file, or of all files below a directory (names that begin with . or _ are
/// skipped). Lines end with \n or \r\n, which is not part of the record; the last line of a file
/// may lack it. Bytes are taken as they are; text should be UTF-8. A file whose name ends like a
/// compressed one's (.gz, .bz2, ...) is refused.
///
///     env.FromSource(flink::TextFileSource("/data/books"), "lines").Uid("source")
///
/// The files are listed once, when the job starts afresh. With several subtasks a file that is
/// larger than a subtask's fair share is divided into ranges, which begin and end between lines.
/// Every process of the cluster must see the files under the same path, and they must not change
/// while the job runs. A missing path or an unreadable file fails the job, naming it.
///
/// Its state has Apache Flink's form: a job of Flink with
/// `FileSource.forRecordStreamFormat(new TextLineInputFormat(), path)` under the same uid goes on
/// where this one stopped, and the other way round. TextLineInputFormat reads a file to its end, so
/// Flink takes what is left of a file, but refuses a range that ends earlier ("SimpleStreamFormat
/// is not splittable"): use WithWholeFiles, or one subtask, for a job that is to move to Flink.
class TextFileSource {
 public:
  using Record = std::string;
  /// The lines that begin in the bytes [offset, offset + length) of a file. Flink's
  /// FileSourceSplit; what this source does not need itself is kept as it was read.
  struct Split {
    /// Where a reader goes on. Flink's CheckpointedPosition.
    struct Position {
      int64_t offset;  ///< In the file; kNoOffset: where the split begins.
      int64_t lines;   ///< To skip from there.
    };
    static constexpr int64_t kNoOffset = -1;

    std::string id;  ///< Not empty; no other split of the source has it.
    std::string path;
    int64_t offset = 0;
    int64_t length = 0;
    int64_t modification_time_ms = 0;
    int64_t file_size = 0;
    std::vector<std::string> hosts;
    std::optional<Position> position;
  };
  static constexpr int32_t kSplitVersion = 1;
  static constexpr int32_t kEnumeratorVersion = 1;
  /// The largest range of a file that is divided. Ranges are smaller when the files are: several
  /// per subtask, but not below 64 KiB.
  static constexpr int64_t kMaxSplitBytes = 16 << 20;

  /// `path` may be a file: URI. A relative path starts where `flink run` was called.
  explicit TextFileSource(const std::string& path, SourceOptions options = {});

  /// Divides every file into ranges of about this size, at any parallelism.
  TextFileSource WithSplitBytes(int64_t bytes) const;
  /// Divides no file: at any time its snapshots go on in Apache Flink, too.
  TextFileSource WithWholeFiles() const;

  static void WriteSplit(BufferWriter& out, const Split& split);
  /// Also reads the form that came before Flink's, for which it looks into the file. Throws
  /// DecodeError, or std::runtime_error when that file cannot be read.
  static Split ReadSplit(BufferReader& in, int32_t version);
  static void WriteEnumerator(BufferWriter& out, const std::deque<Split>& splits);
  static std::deque<Split> ReadEnumerator(BufferReader& in);
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
    Split Position() const;

   private:
    /// Skips the line at `next_`, or as many as Flink sees in it.
    void SkipLines();
    /// Reads more bytes behind those of the buffer that are not used yet. False at the end of
    /// the file.
    bool Fill();
    /// Finds the end of the line that begins at `used_`; nullptr when the file ends first. Fails
    /// when nothing is there.
    const char* FindNewline();
    /// Goes on behind these bytes of the buffer.
    void Use(size_t bytes);

    Split split_;
    int64_t next_ = 0;  // In the file, as end_.
    int64_t end_ = 0;
    int64_t lines_to_skip_ = 0;
    std::unique_ptr<InputFile> file_;
    std::vector<char> buffer_;
    size_t used_ = 0;  // Of the buffer; what follows is at next_ in the file.
    size_t filled_ = 0;
  };

 private:
  std::string path_;
  SourceOptions options_;
  int64_t split_bytes_ = 0;  // 0: by parallelism.
};

}  // namespace flink
