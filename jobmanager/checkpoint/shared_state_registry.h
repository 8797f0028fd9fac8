#pragma once

/// Reference counts of files that several checkpoints share.

#include <map>
#include <set>
#include <string>
#include <vector>

#include "jobmanager/checkpoint/checkpoint_types.h"

namespace flink::jobmanager {

/// Knows which checkpoint names which shared file, and when a file may be deleted.
///
/// A file is deletable once no registered checkpoint names it and no attempt that might still name
/// it is pending: an attempt reuses files of its base checkpoint, which may be dropped before the
/// attempt's acknowledgements arrive. `Pin` holds all files known at that moment until `Unpin`.
/// Pure. Threading: confined to the job's mailbox. Ownership: holds paths only.
class SharedStateRegistry {
 public:
  /// Adds files to those `checkpoint` names. A file registered by a foreign snapshot (`owned`
  /// false) is never reported for deletion, whoever names it later.
  void Register(CheckpointId checkpoint, const std::vector<std::string>& files, bool owned = true);
  /// `checkpoint` names nothing any more. Returns the files to delete now.
  std::vector<std::string> Unregister(CheckpointId checkpoint);

  /// Attempt `checkpoint` has started and may name any file registered now.
  void Pin(CheckpointId checkpoint);
  /// The attempt completed or was discarded, after its Register or Unregister. Returns the files to
  /// delete now.
  std::vector<std::string> Unpin(CheckpointId checkpoint);

  /// Of `files`, those that nobody names and that are not awaiting deletion: for late
  /// acknowledgements.
  std::vector<std::string> Unreferenced(const std::vector<std::string>& files) const;

  /// Of `files`, those that a foreign snapshot registered.
  std::vector<std::string> ForeignOf(const std::vector<std::string>& files) const;

  bool IsReferenced(const std::string& file) const;
  /// Files that are referenced or await deletion.
  size_t size() const { return files_.size(); }
  std::vector<std::string> FilesOf(CheckpointId checkpoint) const;

 private:
  struct File {
    std::set<CheckpointId> users;
    bool owned = true;
    CheckpointId wait_for = 0;  // Without users: deletable when no pin <= wait_for is left.
  };
  std::vector<std::string> Collect();

  std::map<std::string, File> files_;
  std::map<CheckpointId, std::set<std::string>> by_checkpoint_;
  std::set<CheckpointId> pins_;
  std::set<std::string> unused_;
};

}  // namespace flink::jobmanager
