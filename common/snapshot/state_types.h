#pragma once

/// Whether keyed state that is stored is of the types that a job declares. The task that restores
/// the state asks, and so does the plan of a restore, before anything is started: both mean the
/// same, because there is nothing but equality of serializer snapshots.

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/ids.h"
#include "common/base/status.h"
#include "common/graph/job_graph.h"
#include "common/snapshot/keyed_state_header.h"
#include "common/snapshot/metadata.h"

namespace flink::snapshot {

/// A state, or the key, that is stored with another type than the job declares.
struct TypeConflict {
  std::string state;     ///< Empty: the key.
  std::string stored;    ///< "VALUE state of Integer by Long"; of the key "Long".
  std::string declared;  ///< Likewise.
  bool operator==(const TypeConflict&) const = default;
};
/// `In the operator "name" with the uid "u" the state "a" is stored as …, but the job declares it
/// as …: …`, with what can be done. `uid` may be empty.
std::string TextOf(const TypeConflict& conflict, std::string_view name, std::string_view uid);

/// Both are versioned serializer snapshots.
std::optional<TypeConflict> KeyConflict(std::string_view stored, std::string_view declared);
/// Of two states of one name; the keys are for the text.
std::optional<TypeConflict> StateConflict(const StateMetaInfo& stored, std::string_view stored_key,
                                          const StateMetaInfo& declared,
                                          std::string_view declared_key);
/// The key first, then the declared states in their order. What only one side has is none. Timers
/// are not told besides their key.
std::vector<TypeConflict> ConflictsOf(const KeyedStateHeader& stored,
                                      const KeyedStateHeader& declared);

/// What the job graph says about an operator; nothing when it does not know, as those of earlier
/// releases.
std::optional<KeyedStateHeader> DeclaredTypes(const graph::OperatorDescription& op);

/// The heads of keyed state streams by operator; what several subtasks say alike stands there once.
using StoredTypes = std::map<OperatorId, std::vector<KeyedStateHeader>>;
/// Of the operators whose types the job declares. Blocks. An error names the file that cannot be
/// read, or whose content has changed since it was written so that its types do not fit.
StatusOr<StoredTypes> ReadStoredTypes(const LoadedSnapshot& snapshot, const graph::JobGraph& graph);
/// The same of a snapshot that the job with this graph would write.
StoredTypes TypesOfRunning(const graph::JobGraph& graph);

/// The head of a keyed state stream, or of the meta file of RocksDB files. Reads no more than it
/// has to. Blocks. An error names the file.
StatusOr<KeyedStateHeader> ReadKeyedStateHead(const StreamStateHandle& stream,
                                              const std::string& metadata_directory);

}  // namespace flink::snapshot
