#pragma once

#include <string>

namespace flink::cli {

/// Tells whoever disposes of a snapshot what is left of it.
class DisposedDirectory {
 public:
  /// Before the snapshot that `pointer` names is disposed of.
  explicit DisposedDirectory(const std::string& pointer);
  /// Afterwards: a line that names the directory if files that are not of the snapshot, as those of
  /// its user, keep it; else, or when it is not to be seen from this machine, nothing.
  std::string WhatStays() const;

 private:
  std::string directory_;  ///< Empty: not known, or not that of this snapshot alone.
};

}  // namespace flink::cli
