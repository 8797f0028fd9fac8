#pragma once

/// What Apache Flink's FileSink (1.20) keeps of files on a local file system in snapshots, in its
/// own bytes: the state of its writer and of its committer. What a value here cannot hold, as files
/// of other file systems or versions that are not 1.20's, is an error. Pure functions, thread-safe.
///
/// Elements are those of the list states, i.e. byte arrays with their length in front.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"

namespace flink::file {

/// Bytes that belong to a file to be: the first `length` ones of `temporary`, which will be
/// `target`. Absolute paths.
struct Recoverable {
  std::string target;
  std::string temporary;
  int64_t length = 0;
  bool operator==(const Recoverable&) const = default;
};

/// A finished file (`length` is its own), or one that is still written (that much of it is part of
/// the snapshot). `target_uri` repeats the target; old snapshots lack it.
struct PartFile {
  std::optional<std::string> target_uri;
  Recoverable file;
  bool operator==(const PartFile&) const = default;
};

/// What a writer hands to its committer: a file to publish, or to remove.
struct Committable {
  std::string bucket_id;
  std::optional<PartFile> pending;
  /// State of an earlier snapshot to clean up; on a local file system there is nothing to do.
  std::optional<PartFile> cleanup;
  /// A file to remove because a compacted one takes its place.
  std::optional<std::string> compacted;
  bool operator==(const Committable&) const = default;
};

enum class RequestState : int32_t { kReceived = 0, kRetry = 1, kFailed = 2, kCommitted = 3 };

struct CommitRequest {
  Committable committable;
  int32_t retries = 0;
  RequestState state = RequestState::kReceived;
  bool operator==(const CommitRequest&) const = default;
};

/// The committables of one writer subtask in one checkpoint. `expected` is how many it announced:
/// those in `requests`, and those that are done.
struct SubtaskCommittables {
  int32_t subtask = 0;
  std::vector<CommitRequest> requests;
  int32_t expected = 0;
  int32_t drained = 0;
  int32_t failed = 0;
  bool operator==(const SubtaskCommittables&) const = default;
};

struct CheckpointCommittables {
  int64_t checkpoint_id = 0;
  int32_t subtasks = 0;  ///< Parallelism of the writers.
  std::vector<SubtaskCommittables> by_subtask;
  bool operator==(const CheckpointCommittables&) const = default;
};

/// List state "streaming_committer_raw_states" of the committer: one element per subtask, with all
/// checkpoints that are not committed, in order of their ids.
inline constexpr char kCommitterState[] = "streaming_committer_raw_states";
std::string EncodeCommitterState(const std::vector<CheckpointCommittables>& checkpoints);
StatusOr<std::vector<CheckpointCommittables>> DecodeCommitterState(std::string_view element);

/// A directory that a writer wrote to. `created_ms` is of the file in progress, else the largest
/// number there is.
struct BucketState {
  std::string bucket_id;
  std::string path;  ///< A URI or a path.
  int64_t created_ms = INT64_MAX;
  std::optional<PartFile> in_progress;
  bool operator==(const BucketState&) const = default;
};

/// List state "writer_raw_states" of the writer: one element per bucket.
inline constexpr char kWriterState[] = "writer_raw_states";
std::string EncodeBucketState(const BucketState& bucket);
StatusOr<BucketState> DecodeBucketState(std::string_view element);

/// The URI of an absolute path as Flink writes it: "file:" in front, and ASCII characters that a
/// URI cannot hold by their numbers. (Java numbers blanks beyond ASCII, too. No restore reads the
/// URI.)
std::string FileUri(std::string_view path);

}  // namespace flink::file
