#pragma once

/// FileLock: tells other processes that its owner lives. The operating system frees it when the
/// process ends, however it ends.

#include <chrono>
#include <string>

#include "common/base/status.h"

namespace flink::io {

/// How long a lock that somebody else has is waited for. Ours are given up sooner; those of others,
/// as of a backup under flock(1), must not keep a thread for ever.
inline constexpr std::chrono::milliseconds kLockPatience{5000};

/// flock(2) on a file. Movable; externally synchronized. A lock is of the file that bears the name:
/// of one that was deleted or replaced meanwhile none is returned. What waits, waits for `patience`
/// at most: kAlreadyExists.
class FileLock {
 public:
  /// Creates the file if need be. Any number of processes may hold a shared lock; waits for the
  /// owner of an exclusive one.
  static StatusOr<FileLock> Share(const std::string& path);
  /// As Share, of a file that is there (else kNotFound) and that this process need not be able to
  /// write.
  static StatusOr<FileLock> ShareExisting(const std::string& path);
  /// As Share, but nobody else may hold one: kAlreadyExists at once if somebody does.
  static StatusOr<FileLock> Exclusive(const std::string& path);
  /// Of a directory that is there; waits until nobody else has it. Another error on a file system
  /// that locks only what can be written, as NFS.
  static StatusOr<FileLock> OfDirectory(const std::string& path,
                                        std::chrono::milliseconds patience = kLockPatience);
  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&& other) noexcept;
  ~FileLock();

 private:
  static StatusOr<FileLock> Take(const std::string& path, int flags, int operation,
                                 std::chrono::milliseconds patience);
  bool IsOf(const std::string& path) const;
  explicit FileLock(int fd) : fd_(fd) {}
  int fd_ = -1;
};

/// Whether some process holds a lock on the file; no file, no lock. Where that cannot be told (no
/// permission, a file system without locks) the answer is `if_unknown`.
bool IsLocked(const std::string& path, bool if_unknown = true);

}  // namespace flink::io
