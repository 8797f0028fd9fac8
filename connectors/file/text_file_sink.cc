#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <set>
#include <stdexcept>
#include <tuple>
#include <vector>

#include "common/base/failpoint.h"
#include "connectors/file/local_path.h"
#include "flink/connector/file_sink.h"
#include "flink/sink.h"
#include "flink/type_serializer.h"

namespace flink {
namespace {

constexpr size_t kBufferBytes = 256 << 10;
constexpr char kStateName[] = "pending-files";
constexpr char kInProgress[] = ".inprogress";
constexpr char kPending[] = ".pending";

[[noreturn]] void Fail(const std::string& what, const std::string& path, int error) {
  throw std::runtime_error(what + " " + path + ": " + std::strerror(error));
}

/// A finished file that waits for its checkpoint. Names are without directory.
struct PendingFile {
  std::string directory;
  std::string pending_name;
  std::string final_name;

  std::string pending_path() const { return directory + "/" + pending_name; }
  std::string final_path() const { return directory + "/" + final_name; }
};
FLINK_FIELDS(PendingFile, directory, pending_name, final_name)

bool SameFile(const std::string& a, const std::string& b) {
  struct stat x;
  struct stat y;
  return ::stat(a.c_str(), &x) == 0 && ::stat(b.c_str(), &y) == 0 && x.st_ino == y.st_ino &&
         x.st_dev == y.st_dev;
}

bool Exists(const std::string& path) {
  struct stat info;
  return ::lstat(path.c_str(), &info) == 0;
}

void SyncDirectory(const std::string& directory) {
  const int fd = ::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) Fail("output directory", directory, errno);
  const int result = ::fsync(fd);
  const int error = errno;
  ::close(fd);
  // Some network file systems cannot sync a directory; there a rename is durable by itself.
  if (result != 0 && error != EINVAL && error != EROFS) Fail("output directory", directory, error);
}

/// Renames unless `to` exists; 0 or errno.
int RenameNoReplace(const std::string& from, const std::string& to) {
  if (::renameat2(AT_FDCWD, from.c_str(), AT_FDCWD, to.c_str(), RENAME_NOREPLACE) == 0) return 0;
  if (errno != EINVAL && errno != ENOSYS) return errno;
  // The file system does not know that kind of rename: a hard link does not replace either.
  if (::link(from.c_str(), to.c_str()) != 0) return errno;
  return ::unlink(from.c_str()) == 0 ? 0 : errno;
}

/// Publishes a pending file. May be repeated, also by another subtask.
void Commit(const PendingFile& file) {
  const int error = RenameNoReplace(file.pending_path(), file.final_path());
  if (error == 0) return;
  if (error == ENOENT && Exists(file.final_path())) return;
  if (error == ENOENT) {
    throw std::runtime_error(
        "output file " + file.final_path() +
        " cannot be published: neither it nor its pending form " + file.pending_name +
        " exists. Somebody has removed it; restore the file, or start from another snapshot");
  }
  if (error == EEXIST) {
    if (!Exists(file.pending_path())) return;
    // A crash between link and unlink leaves both names.
    if (SameFile(file.pending_path(), file.final_path())) {
      ::unlink(file.pending_path().c_str());
      return;
    }
    throw std::runtime_error("output file " + file.final_path() +
                             " exists already and is not overwritten; move it away, then " +
                             file.pending_name + " beside it can be published");
  }
  Fail("output file " + file.final_path() + " cannot be published from", file.pending_path(),
       error);
}

class TextFileWriter final : public SinkOperator<std::string> {
 public:
  explicit TextFileWriter(std::string directory) : directory_(std::move(directory)) {}
  ~TextFileWriter() override { Discard(); }

  void Open(OperatorContext& context) override {
    directory_ = std::filesystem::absolute(directory_).lexically_normal().string();
    CommitRestored(context);
    std::error_code error;
    std::filesystem::create_directories(directory_, error);
    if (error)
      throw std::runtime_error("output directory " + directory_ +
                               " cannot be created: " + error.message());
    if (::access(directory_.c_str(), W_OK | X_OK) != 0) {
      Fail("output directory cannot be written to:", directory_, errno);
    }
    // Two sinks of a job may share a directory, so names contain a part of the operator's id.
    const std::string suffix = "-" + context.operator_id().substr(0, 4) + "-";
    job_prefix_ = ".part-" + context.job_id() + suffix;
    const std::string place =
        std::to_string(context.attempt()) + "-" + std::to_string(context.subtask_index()) + "-";
    hidden_prefix_ = job_prefix_ + place;
    final_prefix_ = "part-" + context.job_id().substr(0, 8) + suffix + place;
    if (context.subtask_index() == 0) RemoveLeftovers(context.attempt());
  }

  void SnapshotState(SnapshotContext& context) override {
    FinishFile(context.checkpoint_id);
    OperatorListState state;
    state.name = kStateName;
    state.element_serializer_snapshot = TypeSerializer<PendingFile>::Snapshot();
    for (const auto& [checkpoint_id, file] : pending_) {
      BufferWriter out;
      TypeSerializer<PendingFile>::Write(out, file);
      state.elements.push_back(out.TakeString());
    }
    context.list_states.push_back(std::move(state));
  }

  void NotifyCheckpointComplete(int64_t checkpoint_id) override {
    size_t kept = 0;
    bool committed = false;
    for (auto& entry : pending_) {
      if (entry.first > checkpoint_id) {
        pending_[kept++] = std::move(entry);
        continue;
      }
      Commit(entry.second);
      PassFailpoint("sink.committed-one", entry.second.final_name);
      committed = true;
    }
    pending_.resize(kept);
    if (committed) SyncDirectory(directory_);
  }

  void Close() override { Discard(); }

 private:
  void Write(Batch<std::string>& batch) override {
    if (batch.records.empty()) return;
    if (fd_ < 0) StartFile();
    for (const std::string& line : batch.records) {
      buffer_.append(line);
      buffer_.push_back('\n');
      if (buffer_.size() >= kBufferBytes) FlushBuffer();
    }
  }

  void CommitRestored(OperatorContext& context) {
    std::set<std::string> directories;
    for (const std::string& element : context.RestoredListState(kStateName)) {
      PendingFile file;
      BufferReader in(element);
      TypeSerializer<PendingFile>::Read(in, file);
      Commit(file);
      directories.insert(file.directory);
    }
    for (const std::string& directory : directories) SyncDirectory(directory);
  }

  /// Removes what earlier attempts of this job were writing when they ended. No snapshot knows such
  /// a file: what a snapshot names has been renamed to a pending file before, and those stay.
  void RemoveLeftovers(int attempt) {
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(directory_, error)) {
      const std::string name = entry.path().filename().string();
      if (name.rfind(job_prefix_, 0) != 0 || !name.ends_with(kInProgress)) continue;
      int other = 0;
      const char* const begin = name.data() + job_prefix_.size();
      const auto result = std::from_chars(begin, name.data() + name.size(), other);
      if (result.ec == std::errc() && *result.ptr == '-' && other < attempt)
        ::unlink(entry.path().c_str());
    }
  }

  void StartFile() {
    for (;; ++next_number_) {
      const std::string number = std::to_string(next_number_);
      if (Exists(directory_ + "/" + final_prefix_ + number) ||
          Exists(directory_ + "/" + hidden_prefix_ + number + kPending)) {
        continue;
      }
      path_ = directory_ + "/" + hidden_prefix_ + number + kInProgress;
      fd_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
      if (fd_ >= 0) break;
      if (errno != EEXIST) Fail("output file cannot be created:", path_, errno);
    }
    buffer_.reserve(kBufferBytes + 4096);
  }

  void FlushBuffer() {
    const char* at = buffer_.data();
    size_t left = buffer_.size();
    while (left != 0) {
      const ssize_t n = ::write(fd_, at, left);
      if (n < 0) {
        if (errno == EINTR) continue;
        Fail("output file cannot be written:", path_, errno);
      }
      at += n;
      left -= static_cast<size_t>(n);
    }
    buffer_.clear();
  }

  /// Makes the current file durable and pending.
  void FinishFile(int64_t checkpoint_id) {
    if (fd_ < 0) return;
    FlushBuffer();
    if (::fsync(fd_) != 0) Fail("output file cannot be made durable:", path_, errno);
    const int closed = ::close(fd_);
    fd_ = -1;
    if (closed != 0 && errno != EINTR) Fail("output file cannot be closed:", path_, errno);
    const std::string number = std::to_string(next_number_++);
    PendingFile file{directory_, hidden_prefix_ + number + kPending, final_prefix_ + number};
    if (const int error = RenameNoReplace(path_, file.pending_path())) {
      Fail("output file cannot be renamed:", path_, error);
    }
    PassFailpoint("sink.pending", file.pending_name);
    SyncDirectory(directory_);
    pending_.emplace_back(checkpoint_id, std::move(file));
  }

  /// Drops the file that is being written: no snapshot covers it.
  void Discard() {
    if (fd_ < 0) return;
    ::close(fd_);
    fd_ = -1;
    ::unlink(path_.c_str());
  }

  std::string directory_;
  std::string job_prefix_;     // Of the hidden files of all attempts.
  std::string hidden_prefix_;  // Of this subtask's in this attempt.
  std::string final_prefix_;
  int64_t next_number_ = 0;
  int fd_ = -1;
  std::string path_;  // Of the open file.
  std::string buffer_;
  /// With the first checkpoint or savepoint that covers the file.
  std::vector<std::pair<int64_t, PendingFile>> pending_;
};

}  // namespace

TextFileSink::TextFileSink(const std::string& directory)
    : directory_(LocalPathFromUser(directory)) {}

void TextFileSink::SetWorkingDirectory(const std::string& directory) {
  directory_ = ResolvePath(directory, directory_);
}

std::unique_ptr<Operator> TextFileSink::MakeOperator() const {
  return std::make_unique<TextFileWriter>(directory_);
}

}  // namespace flink
