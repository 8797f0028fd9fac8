#include "common/snapshot/state_files.h"

#include <algorithm>
#include <map>
#include <utility>

#include "common/io/checksum.h"
#include "common/io/file_system.h"
#include "common/io/readable_file.h"
#include "common/snapshot/file_list.h"
#include "common/snapshot/side_file.h"

namespace flink::snapshot {
namespace {

Status WrongSize(const std::string& path, uint64_t found, uint64_t expected) {
  return DataLoss("{} has {} bytes, its snapshot says {}: the file is damaged or incomplete", path,
                  found, expected);
}

Status CompareChecksums(const std::string& path, uint64_t found, uint64_t expected) {
  if (found == expected) return OkStatus();
  return DataLoss("{} has the checksum {:016x}, its snapshot says {:016x}: the file is damaged",
                  path, found, expected);
}

/// By its name when it lies in the snapshot's directory, else, or when the metadata names it so, by
/// its path.
const FileList::File* FindFile(const FileList& list, const std::string& directory,
                               const std::string& path) {
  const std::string below = directory + "/";
  auto entry =
      path.starts_with(below) ? list.files.find(path.substr(below.size())) : list.files.end();
  if (entry == list.files.end()) entry = list.files.find(path);
  return entry == list.files.end() ? nullptr : &entry->second;
}

Status AddFile(const StreamStateHandle& handle, const LoadedSnapshot& snapshot,
               std::map<std::string, SnapshotFile>* files) {
  const auto* segment = std::get_if<FileSegmentHandle>(&handle);
  if (segment == nullptr && !std::holds_alternative<FileHandle>(handle) &&
      !std::holds_alternative<RelativeFileHandle>(handle)) {
    return OkStatus();
  }
  ASSIGN_OR_RETURN(std::string path, ResolveStreamPath(handle, snapshot.directory));
  SnapshotFile file;
  file.whole = segment == nullptr;
  // Neither is negative, so that the sum of two fits.
  const uint64_t size = static_cast<uint64_t>(StreamSize(handle)) +
                        (segment == nullptr ? 0 : static_cast<uint64_t>(segment->start));
  if (size > INT64_MAX) return DataLoss("a segment of {} ends at {}", path, size);
  file.size = static_cast<int64_t>(size);
  file.path = path;
  const bool by_path = !std::holds_alternative<RelativeFileHandle>(handle);
  if (by_path && !path.starts_with(io::DirectoryName(snapshot.directory) + "/")) {
    file.checkpoint = snapshot.directory;
  }
  const auto [known, added] = files->emplace(std::move(path), std::move(file));
  if (added) return OkStatus();
  SnapshotFile& same = known->second;
  if (segment != nullptr && !same.whole) {
    same.size = std::max(same.size, static_cast<int64_t>(size));
  } else if (same.whole != (segment == nullptr) || same.size != static_cast<int64_t>(size)) {
    return DataLoss("the metadata names {} with different sizes", known->first);
  }
  return OkStatus();
}

Status AddChecksum(const FileList& list, const std::string& directory, SnapshotFile* file) {
  const FileList::File* entry = FindFile(list, directory, file->path);
  if (entry == nullptr) {
    if (list.version < 2) return OkStatus();
    return DataLoss("{}/{} does not list {}, which the metadata names: one of them is damaged",
                    directory, kSideFileName, file->path);
  }
  file->checksum = entry->checksum;
  if (list.version >= 2 && file->whole && entry->size != file->size) {
    return DataLoss("{}/{} says that {} has {} bytes, the metadata says {}: one of them is damaged",
                    directory, kSideFileName, file->path, entry->size, file->size);
  }
  return OkStatus();
}

}  // namespace

StatusOr<std::vector<SnapshotFile>> StateFilesOf(const LoadedSnapshot& snapshot) {
  std::map<std::string, SnapshotFile> by_path;
  Status status;
  for (const OperatorSnapshot& op : snapshot.metadata.operators) {
    for (const auto& [index, state] : op.subtasks) {
      ForEachStream(state, [&](const StreamStateHandle& handle) {
        if (status.ok()) status = AddFile(handle, snapshot, &by_path);
      });
    }
  }
  RETURN_IF_ERROR(With(status, "{}/{}", snapshot.directory, kMetadataFileName));
  ASSIGN_OR_RETURN(const std::optional<FileList> list, LoadFileList(snapshot.directory));
  std::vector<SnapshotFile> files;
  files.reserve(by_path.size());
  for (auto& [path, file] : by_path) {
    if (list) RETURN_IF_ERROR(AddChecksum(*list, snapshot.directory, &file));
    files.push_back(std::move(file));
  }
  return files;
}

FileChecksums ChecksumsOf(const std::vector<SnapshotFile>& files) {
  FileChecksums checksums;
  for (const SnapshotFile& file : files) {
    if (file.checksum) checksums[file.path] = *file.checksum;
  }
  return checksums;
}

Status CheckMetadata(const std::string& path, std::string_view content) {
  const std::string directory = io::DirectoryName(path);
  ASSIGN_OR_RETURN(const std::optional<FileList> list, LoadFileList(directory));
  if (!list) return OkStatus();
  const auto entry = list->files.find(std::string(kMetadataFileName));
  if (entry == list->files.end()) {
    if (list->version < 2) return OkStatus();
    return DataLoss("{}/{} does not list {}: it is damaged", directory, kSideFileName,
                    kMetadataFileName);
  }
  const auto expected = static_cast<uint64_t>(entry->second.size);
  if (content.size() != expected) return WrongSize(path, content.size(), expected);
  if (!entry->second.checksum) return OkStatus();
  return CompareChecksums(path, io::Checksum64(content), *entry->second.checksum);
}

Status CheckFile(const SnapshotFile& file) {
  const StatusOr<uint64_t> size = io::ReadableFileSize(file.path);
  if (size.status().code() == absl::StatusCode::kNotFound) {
    if (file.checkpoint.empty()) return NotFound("the state file {} is missing", file.path);
    return NotFound(
        "the state file {} is missing: {} is a checkpoint, or a savepoint of Flink before 1.11, "
        "and names its files by their paths; if it was moved, move it back to where it was written",
        file.path, file.checkpoint);
  }
  RETURN_IF_ERROR(size.status());
  const auto expected = static_cast<uint64_t>(file.size);
  if (*size < expected || (file.whole && *size != expected)) {
    return WrongSize(file.path, *size, expected);
  }
  return OkStatus();
}

Status VerifyFile(const SnapshotFile& file) {
  RETURN_IF_ERROR(CheckFile(file));
  if (!file.checksum) return OkStatus();
  ASSIGN_OR_RETURN(const uint64_t found, io::Checksum64OfFile(file.path));
  return CompareChecksums(file.path, found, *file.checksum);
}

StatusOr<std::string> ReadVerifiedStream(const StreamStateHandle& handle,
                                         const std::string& metadata_directory,
                                         const FileChecksums& checksums) {
  ASSIGN_OR_RETURN(std::string bytes, ReadStream(handle, metadata_directory));
  const StatusOr<std::string> path = ResolveStreamPath(handle, metadata_directory);
  const auto checksum = path.ok() ? checksums.find(*path) : checksums.end();
  const bool whole = !std::holds_alternative<FileSegmentHandle>(handle);
  if (checksum != checksums.end() && whole) {
    RETURN_IF_ERROR(CompareChecksums(*path, io::Checksum64(bytes), checksum->second));
  }
  return bytes;
}

}  // namespace flink::snapshot
