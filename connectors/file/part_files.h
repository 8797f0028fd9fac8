#pragma once

/// The files of the text sink on disk: hidden ones become visible under their own names, once and
/// for good. Functions block; what fails throws std::runtime_error with file and reason.

#include <cstdint>
#include <string>

#include "connectors/file/file_sink_state.h"

namespace flink::file {

/// As the length of a hidden file of which only the name is known.
inline constexpr int64_t kUnknownLength = -1;

[[noreturn]] void Fail(const std::string& what, const std::string& path, int error);

bool Exists(const std::string& path);

/// Makes the names in a directory durable.
void SyncDirectory(const std::string& directory);

/// Renames unless `to` exists; 0 or errno.
int RenameNoReplace(const std::string& from, const std::string& to);

/// Gives the hidden file its visible name, and cuts what stands behind its length. May be repeated,
/// also by another subtask. A visible file that is another one is never overwritten. The directory
/// is not made durable.
void Publish(const Recoverable& file);

/// Whether a file that was in progress in a snapshot has been published with exactly the bytes that
/// belong to the snapshot. Throws when something else has its name.
bool IsPublished(const Recoverable& in_progress);

/// Copies the bytes that belong to the snapshot into the new file `to`, durably; the file in
/// progress stays as it is. False when `to` exists.
bool CopyInProgress(const Recoverable& in_progress, const std::string& to);

}  // namespace flink::file
