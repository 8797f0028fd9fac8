#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <filesystem>
#include <map>
#include <set>
#include <stdexcept>
#include <vector>

#include "common/base/failpoint.h"
#include "connectors/file/file_sink_state.h"
#include "connectors/file/local_path.h"
#include "connectors/file/part_files.h"
#include "flink/connector/file_sink.h"
#include "flink/sink.h"
#include "flink/type_serializer.h"

namespace flink {
namespace {

using file::Exists;
using file::Fail;

constexpr size_t kBufferBytes = 256 << 10;
constexpr char kInProgress[] = ".inprogress";
constexpr char kPending[] = ".pending";

/// State of the time when the sink was one operator: files that wait for their checkpoint, without
/// their lengths. Names are without directory.
constexpr char kOldState[] = "pending-files";
struct OldPendingFile {
  std::string directory;
  std::string pending_name;
  std::string final_name;
};
FLINK_FIELDS(OldPendingFile, directory, pending_name, final_name)

/// A file that its writer has finished, under its hidden name.
struct FinishedFile {
  std::string bucket_id;
  std::string target;
  std::string temporary;
  int64_t length = 0;
};
FLINK_FIELDS(FinishedFile, bucket_id, target, temporary, length)

/// What the writer hands to the committer for a checkpoint, also when it is nothing.
struct Finished {
  int64_t checkpoint_id = 0;
  std::vector<FinishedFile> files;
};
FLINK_FIELDS(Finished, checkpoint_id, files)

std::string DirectoryOf(const std::string& path) {
  return std::filesystem::path(path).parent_path().string();
}
std::string NameOf(const std::string& path) {
  return std::filesystem::path(path).filename().string();
}

[[noreturn]] void FailRestore(const OperatorContext& context, const std::string& reason) {
  throw std::runtime_error("the snapshot's files of " + context.operator_name() +
                           " cannot be restored: " + reason);
}

OperatorListState ListOf(const char* name, std::vector<std::string> elements) {
  return {name, false, TypeSerializer<Bytes>::Snapshot(), std::move(elements)};
}

class TextFileWriter final : public CommittingSinkOperator<std::string, Finished> {
 public:
  explicit TextFileWriter(std::string directory) : directory_(std::move(directory)) {}
  ~TextFileWriter() override { Discard(); }

  void Open(OperatorContext& context) override {
    directory_ = std::filesystem::absolute(directory_).lexically_normal().string();
    last_checkpoint_ = context.is_restored() ? context.restored_checkpoint_id() : 0;
    RefuseOldStateOfFlink(context);
    PublishOldState(context);
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
    if (context.subtask_index() == 0) RemoveLeftovers(directory_, context.attempt());
    RestoreInProgress(context);
  }

  void PrepareSnapshot(int64_t checkpoint_id) override {
    last_checkpoint_ = checkpoint_id;
    if (!ended_) EmitFinished(checkpoint_id);
  }

  void SnapshotState(SnapshotContext& context) override {
    std::vector<std::string> buckets;
    if (wrote_) {
      file::BucketState bucket;
      bucket.path = "file:" + directory_;
      buckets.push_back(file::EncodeBucketState(bucket));
    }
    context.list_states.push_back(ListOf(file::kWriterState, std::move(buckets)));
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

  /// Belongs to the next checkpoint, whichever it is: no earlier one that could still complete has
  /// that number.
  void Finish() override {
    ended_ = true;
    EmitFinished(last_checkpoint_ + 1);
  }

  /// Nobody else would notice that its files are missing.
  static void RefuseOldStateOfFlink(const OperatorContext& context) {
    for (const char* name : {file::kCommitterState, "bucket-states"}) {
      if (context.RestoredListState(name).empty()) continue;
      FailRestore(context, std::string("its writer has the state \"") + name +
                               "\", as in Apache Flink before 1.15 or of a StreamingFileSink; only "
                               "that of a FileSink of Flink 1.20 can be read");
    }
  }

  void PublishOldState(OperatorContext& context) {
    std::set<std::string> directories;
    for (const std::string& element : context.RestoredListState(kOldState)) {
      OldPendingFile old;
      BufferReader in(element);
      TypeSerializer<OldPendingFile>::Read(in, old);
      file::Publish({old.directory + "/" + old.final_name, old.directory + "/" + old.pending_name,
                     file::kUnknownLength});
      directories.insert(old.directory);
    }
    for (const std::string& directory : directories) file::SyncDirectory(directory);
  }

  /// Files that Apache Flink was writing when it took the snapshot. What of them belongs to the
  /// snapshot becomes a file of ours, so that Flink's stays what the snapshot says. It is published
  /// like everything that is written before the next checkpoint.
  void RestoreInProgress(OperatorContext& context) {
    std::vector<file::BucketState> buckets;
    for (const std::string& element : context.RestoredListState(file::kWriterState)) {
      StatusOr<file::BucketState> bucket = file::DecodeBucketState(element);
      if (!bucket.ok()) FailRestore(context, Message(bucket.status()));
      if (bucket->in_progress.has_value()) buckets.push_back(std::move(bucket).value());
    }
    for (const file::BucketState& bucket : buckets) {
      const file::Recoverable& old = bucket.in_progress->file;
      if (file::IsPublished(old)) continue;
      const std::string directory = DirectoryOf(old.target);
      if (directory != directory_) RemoveLeftovers(directory, context.attempt());
      // The copy is removed with this writer from here on.
      restored_.push_back({bucket.bucket_id, old.target, "", old.length});
      std::string& copy = restored_.back().temporary;
      do {
        copy = directory + "/" + hidden_prefix_ + std::to_string(next_number_++) + kInProgress;
      } while (Exists(PendingPath(copy)) || !file::CopyInProgress(old, copy));
    }
  }

  static std::string PendingPath(const std::string& in_progress) {
    return in_progress.substr(0, in_progress.size() - (sizeof kInProgress - 1)) + kPending;
  }

  /// Removes what earlier attempts of this job were writing when they ended. No snapshot knows such
  /// a file: what a snapshot names has been renamed to a pending file before, and those stay.
  void RemoveLeftovers(const std::string& directory, int attempt) {
    std::error_code error;
    for (const auto& entry : std::filesystem::directory_iterator(directory, error)) {
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
    written_ = 0;
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
    written_ += static_cast<int64_t>(buffer_.size());
    buffer_.clear();
  }

  void EmitFinished(int64_t checkpoint_id) {
    Finished finished;
    finished.checkpoint_id = checkpoint_id;
    for (; !restored_.empty(); restored_.erase(restored_.begin())) {
      FinishedFile file = restored_.front();
      file.temporary = MakePending(file.temporary);
      finished.files.push_back(std::move(file));
    }
    if (fd_ >= 0) finished.files.push_back(FinishFile());
    wrote_ = !finished.files.empty();
    Emit(std::move(finished));
  }

  /// Makes the current file durable and pending.
  FinishedFile FinishFile() {
    FlushBuffer();
    if (::fsync(fd_) != 0) Fail("output file cannot be made durable:", path_, errno);
    const int closed = ::close(fd_);
    fd_ = -1;
    if (closed != 0 && errno != EINTR) Fail("output file cannot be closed:", path_, errno);
    const std::string target = directory_ + "/" + final_prefix_ + std::to_string(next_number_++);
    return {"", target, MakePending(path_), written_};
  }

  /// The new name, durably.
  static std::string MakePending(const std::string& in_progress) {
    std::string pending = PendingPath(in_progress);
    if (const int error = file::RenameNoReplace(in_progress, pending)) {
      Fail("output file cannot be renamed:", in_progress, error);
    }
    PassFailpoint("sink.pending", NameOf(pending));
    file::SyncDirectory(DirectoryOf(pending));
    return pending;
  }

  /// Drops the files that are being written: no snapshot covers them.
  void Discard() {
    for (const FinishedFile& file : restored_) ::unlink(file.temporary.c_str());
    restored_.clear();
    if (fd_ < 0) return;
    ::close(fd_);
    fd_ = -1;
    ::unlink(path_.c_str());
  }

  std::string directory_;
  std::string job_prefix_;     // Of the hidden files of all attempts.
  std::string hidden_prefix_;  // Of this subtask's in this attempt.
  std::string final_prefix_;
  int64_t last_checkpoint_ = 0;  // Taken, or restored.
  bool ended_ = false;
  bool wrote_ = false;                  // Whether the last handing over was of any file.
  std::vector<FinishedFile> restored_;  // Still under the names of files in progress.
  int64_t next_number_ = 0;
  int fd_ = -1;
  std::string path_;     // Of the open file.
  int64_t written_ = 0;  // To it; what is in the buffer follows.
  std::string buffer_;
};

class FileCommitter final : public SinkOperator<Finished> {
 public:
  void Open(OperatorContext& context) override {
    subtask_ = context.subtask_index();
    parallelism_ = context.parallelism();
    std::vector<FinishedFile> files;
    for (const std::string& element : context.RestoredListState(file::kCommitterState)) {
      const auto checkpoints = file::DecodeCommitterState(element);
      if (!checkpoints.ok()) FailRestore(context, Message(checkpoints.status()));
      for (const file::CheckpointCommittables& checkpoint : *checkpoints) {
        for (const file::SubtaskCommittables& subtask : checkpoint.by_subtask) {
          for (const file::CommitRequest& request : subtask.requests) {
            AddRestored(context, request, files);
          }
        }
      }
    }
    PublishAll(files, [](const FinishedFile&) {});
  }

  void SnapshotState(SnapshotContext& context) override {
    std::vector<file::CheckpointCommittables> checkpoints;
    for (const auto& [checkpoint_id, files] : waiting_) {
      file::SubtaskCommittables subtask;
      subtask.subtask = subtask_;
      for (const FinishedFile& f : files) {
        file::CommitRequest request;
        request.committable.bucket_id = f.bucket_id;
        request.committable.pending =
            file::PartFile{file::FileUri(f.target), {f.target, f.temporary, f.length}};
        subtask.requests.push_back(std::move(request));
      }
      subtask.expected = static_cast<int32_t>(files.size());
      checkpoints.push_back({checkpoint_id, parallelism_, {std::move(subtask)}});
    }
    context.list_states.push_back(
        ListOf(file::kCommitterState, {file::EncodeCommitterState(checkpoints)}));
  }

  void NotifyCheckpointComplete(int64_t checkpoint_id) override {
    const auto end = waiting_.upper_bound(checkpoint_id);
    std::vector<FinishedFile> files;
    for (auto it = waiting_.begin(); it != end; ++it) {
      files.insert(files.end(), it->second.begin(), it->second.end());
    }
    PublishAll(files, [](const FinishedFile& f) {
      PassFailpoint("sink.committed-one", NameOf(f.target));
    });
    waiting_.erase(waiting_.begin(), end);
  }

 private:
  void Write(Batch<Finished>& batch) override {
    for (Finished& finished : batch.records) {
      // Nobody may ever say that a snapshot is complete; of those without files the newest is
      // enough.
      std::erase_if(waiting_, [](const auto& entry) { return entry.second.empty(); });
      std::vector<FinishedFile>& files = waiting_[finished.checkpoint_id];
      files.insert(files.end(), finished.files.begin(), finished.files.end());
    }
  }

  static void AddRestored(const OperatorContext& context, const file::CommitRequest& request,
                          std::vector<FinishedFile>& files) {
    // One that could not be committed was given up; the other had been before the snapshot.
    if (request.state == file::RequestState::kFailed ||
        request.state == file::RequestState::kCommitted) {
      return;
    }
    const file::Committable& c = request.committable;
    if (c.compacted.has_value()) {
      FailRestore(context, "they were written with compaction, which this sink does not do (" +
                               *c.compacted + " would have to be removed)");
    }
    if (!c.pending.has_value()) return;
    const file::Recoverable& f = c.pending->file;
    files.push_back({c.bucket_id, f.target, f.temporary, f.length});
  }

  template <class Published>
  static void PublishAll(const std::vector<FinishedFile>& files, Published&& published) {
    std::set<std::string> directories;
    for (const FinishedFile& f : files) {
      file::Publish({f.target, f.temporary, f.length});
      published(f);
      directories.insert(DirectoryOf(f.target));
    }
    for (const std::string& directory : directories) file::SyncDirectory(directory);
  }

  int subtask_ = 0;
  int parallelism_ = 1;
  /// By the first checkpoint or savepoint that covers the files; all that are not committed, also
  /// those without files, as Apache Flink keeps them.
  std::map<int64_t, std::vector<FinishedFile>> waiting_;
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

std::unique_ptr<Operator> TextFileSink::MakeCommitter() const {
  return std::make_unique<FileCommitter>();
}

}  // namespace flink
