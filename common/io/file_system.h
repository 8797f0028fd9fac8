#pragma once

/// Files on paths that every process of the cluster sees. Paths are plain local paths ("/x/y")
/// inside the program; users and Flink's metadata write them as URIs ("file:/x/y"). Functions are
/// thread-safe and block. Every error names the path and the operating system's reason. Sizes are
/// in bytes.

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/base/status.h"

namespace flink::io {

/// "file:/x", "file:///x", "/x" -> "/x"; a relative path is taken from the working directory.
/// Redundant slashes,
/// "." and ".." go. Any other scheme is an error that says what is supported. Percent-escapes stay
/// as they are.
StatusOr<std::string> ParsePath(std::string_view text);
/// The URI of a local path: "/x" -> "file:/x". Relative paths are made absolute.
std::string QualifyPath(std::string_view path);
/// Joins with exactly one slash.
std::string JoinPath(std::string_view directory, std::string_view name);
/// The last component, and everything before it.
std::string BaseName(std::string_view path);
std::string DirectoryName(std::string_view path);

bool Exists(const std::string& path);
bool IsDirectory(const std::string& path);
StatusOr<uint64_t> FileSize(const std::string& path);
/// Whether both paths lead to one file or directory, whatever links or mounts they go through. Of
/// what is not there only the paths are compared.
bool IsSame(const std::string& a, const std::string& b);

/// Of the directory entry itself: a symbolic link is not followed. Times since the epoch.
struct FileAttributes {
  enum class Type { kFile, kDirectory, kSymbolicLink, kOther };
  Type type = Type::kFile;
  uint64_t size = 0;
  /// When the content was changed.
  int64_t modified_ms = 0;
  /// When the content or anything else, such as the number of links, was changed.
  int64_t changed_ms = 0;
};
StatusOr<FileAttributes> AttributesOf(const std::string& path);
bool IsSymbolicLink(const std::string& path);

/// With missing parents; fine if it is there already.
Status CreateDirectories(const std::string& path);

/// One directory; kAlreadyExists if anything is there.
Status CreateNewDirectory(const std::string& path);

struct DirectoryEntry {
  std::string name;
  bool is_directory = false;
  bool operator==(const DirectoryEntry&) const = default;
};
/// Sorted by name, without "." and "..".
StatusOr<std::vector<DirectoryEntry>> ListDirectory(const std::string& path);

/// Deletes a file or a whole tree; fine if it is not there. Does not follow symbolic links.
Status RemoveAll(const std::string& path);
/// Deletes one file or empty directory; fine if it is not there.
Status RemoveFile(const std::string& path);

StatusOr<std::string> ReadFile(const std::string& path);
/// `length` bytes from `offset`; fewer at the end of the file are an error.
StatusOr<std::string> ReadFileRange(const std::string& path, uint64_t offset, uint64_t length);

/// Creates or truncates the file, writes, and fsyncs it (not its directory). Errors name `target`,
/// if there is one, of which `path` is a temporary name.
Status WriteFileDurably(const std::string& path, std::string_view bytes,
                        const std::string& target = "");
/// The file appears whole or not at all: written beside it under a dotted temporary name, fsynced,
/// renamed, the directory fsynced. Replaces an existing file.
Status PublishFile(const std::string& path, std::string_view bytes);
/// As PublishFile, but kAlreadyExists if the file is there.
Status PublishNewFile(const std::string& path, std::string_view bytes);
/// Adds `bytes` to the end of the file with a single write, so that those of several processes do
/// not mix, and fsyncs it; creates the file, with its name made durable, if need be.
Status AppendDurably(const std::string& path, std::string_view bytes);
/// rename(2); replaces the target. Fsync the directory afterwards where it matters.
Status RenameFile(const std::string& from, const std::string& to);

/// Makes `to` a file with the content of `from`: a hard link where possible, else a copy that is
/// fsynced. `to` must not exist. Returns true when it was a link. A link shares the content:
/// neither file may be changed later.
StatusOr<bool> LinkOrCopy(const std::string& from, const std::string& to);
/// A copy, fsynced. `to` must not exist.
Status CopyFile(const std::string& from, const std::string& to);

Status FsyncFile(const std::string& path);
Status FsyncDirectory(const std::string& path);

/// Creates the directory if needed and checks that a file can be written in it; leaves nothing
/// behind.
Status ProbeWritable(const std::string& directory);

}  // namespace flink::io
