#pragma once

/// What is in a snapshot: ours, or one of Flink from version 1.3 of its metadata on. Reads files
/// only, needs no cluster and no job.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "common/base/ids.h"
#include "common/base/status.h"
#include "common/snapshot/snapshot_listing.h"
#include "flink/key_group.h"

namespace flink::snapshot {

struct InspectedState {
  std::string name;
  /// "ValueState", "ListState", …, "timers"; for operator state "list (split)", "list (union)" or
  /// "broadcast".
  std::string kind;
  /// See TypeNameOf; "String -> Long" for a broadcast state.
  std::string type;
  /// Empty where there is none, as in all but windows.
  std::string namespace_type;
  /// Of all subtasks. Nothing: the format does not tell without its state backend.
  std::optional<int64_t> entries;
  /// Keys and values as they stand in the snapshot.
  std::optional<int64_t> bytes;
};

struct InspectedOperator {
  OperatorId id;
  /// Empty when the snapshot does not say; a Flink before 2.0 keeps hashes only.
  std::string uid;
  std::string name;
  int parallelism = 0;
  int max_parallelism = 0;
  bool finished = false;
  /// Bytes of all its state, and the number of files they are in (the rest is in `_metadata`).
  int64_t bytes = 0;
  int64_t files = 0;
  int64_t coordinator_bytes = 0;
  /// Records in flight, of an unaligned checkpoint.
  int64_t in_flight_bytes = 0;
  /// "canonical" (also rows that Flink before 1.13 wrote), "RocksDB files", "heap" or "changelog";
  /// empty without keyed state.
  std::string keyed_format;
  std::string key_type;
  /// Per handle, ascending.
  std::vector<KeyGroupRange> key_groups;
  std::vector<InspectedState> states;
  /// What could not be looked into, and why; one line each.
  std::vector<std::string> notes;
};

struct Inspection {
  SnapshotSummary summary;
  int metadata_version = 0;
  int64_t files = 0;
  std::vector<InspectedOperator> operators;
  /// A file that the snapshot names is missing or has another size; the notes say which.
  bool damaged = false;
};

/// `pointer`: as LoadSnapshot. An error when the metadata cannot be read; what else cannot be read
/// is a note.
StatusOr<Inspection> InspectSnapshot(const std::string& pointer);

}  // namespace flink::snapshot
