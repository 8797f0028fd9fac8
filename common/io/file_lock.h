#pragma once

/// FileLock: tells other processes that its owner lives. The operating system frees it when the
/// process ends, however it ends.

#include <string>

#include "common/base/status.h"

namespace flink::io {

/// flock(2) on a file. Movable; externally synchronized.
class FileLock {
 public:
  /// Creates the file if need be. Any number of processes may hold a shared lock.
  static StatusOr<FileLock> Share(const std::string& path);
  /// As Share, of a file that is there (else kNotFound) and that this process need not be able to
  /// write.
  static StatusOr<FileLock> ShareExisting(const std::string& path);
  /// As Share, but nobody else may hold one: kAlreadyExists if somebody does.
  static StatusOr<FileLock> Exclusive(const std::string& path);
  /// Of a directory that is there; waits until nobody else has it. An error on a file system that
  /// locks only what can be written, as NFS.
  static StatusOr<FileLock> OfDirectory(const std::string& path);
  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&& other) noexcept;
  ~FileLock();

 private:
  static StatusOr<FileLock> Take(const std::string& path, int flags, int operation);
  explicit FileLock(int fd) : fd_(fd) {}
  int fd_ = -1;
};

/// Whether some process holds a lock on the file; no file, no lock. Where that cannot be told (no
/// permission, a file system without locks) the answer is `if_unknown`.
bool IsLocked(const std::string& path, bool if_unknown = true);

}  // namespace flink::io
