#pragma once

/// The journal of snapshots: where the snapshots of all jobs went, so that they can be listed when
/// the jobs, and the JobManager, are gone.
///
/// A text file in the configured checkpoint directory (without one, in the savepoint directory):
/// one JSON object a line, `{"time":<ms since the epoch>,"job":"<32 hex>","path":"file:/…"}`.
/// `path` is a savepoint, or the directory in which a job keeps its checkpoints. It only grows, by
/// a line per savepoint and a line per job. A line is written before the `_metadata` that it
/// announces, and says nothing about whether that exists: the reader looks.

#include <optional>
#include <string>
#include <vector>

#include "common/base/ids.h"
#include "common/base/status.h"
#include "common/config/configuration.h"

namespace flink::snapshot {

inline constexpr const char* kJournalFileName = "_flink_cpp_journal.jsonl";

struct JournalEntry {
  JobId job;
  /// Local and absolute.
  std::string path;
  bool operator==(const JournalEntry&) const = default;
};

/// Appends with one write, durably, and creates file and directory if need be. Any number of
/// processes may append at a time; the rest of a line that a crash cut off harms no later one.
Status AppendToJournal(const std::string& directory, const JournalEntry& entry);
/// In the order they were written; lines that are not whole are left out. No journal: no entries.
StatusOr<std::vector<JournalEntry>> ReadJournal(const std::string& directory);

/// The directory whose journal takes the snapshots of a cluster or job with this configuration;
/// none when it configures neither a checkpoint nor a savepoint directory.
std::optional<std::string> JournalDirectory(const Configuration& configuration);

}  // namespace flink::snapshot
