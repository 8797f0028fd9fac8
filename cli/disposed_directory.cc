#include "cli/disposed_directory.h"

#include <fmt/format.h>

#include "cli/text_table.h"
#include "common/io/file_system.h"
#include "common/snapshot/metadata.h"

namespace flink::cli {

DisposedDirectory::DisposedDirectory(const std::string& pointer) {
  const StatusOr<std::string> path = io::ParsePath(pointer);
  const StatusOr<std::string> directory = snapshot::ResolveSnapshotPointer(pointer);
  if (!path.ok() || !directory.ok()) return;
  // An old savepoint is a single file of any name, wherever its user put it.
  const bool own =
      *path == *directory || *path == io::JoinPath(*directory, snapshot::kMetadataFileName);
  if (own) directory_ = *directory;
}

std::string DisposedDirectory::WhatStays() const {
  if (directory_.empty()) return "";
  const auto entries = io::ListDirectory(directory_);
  if (!entries.ok() || entries->empty()) return "";
  return fmt::format(
      "The directory {} stays, because {} is in it{}, which is not of the savepoint.\n",
      Printable(directory_), Printable(entries->front().name),
      entries->size() == 1 ? "" : fmt::format(", with {} more", entries->size() - 1));
}

}  // namespace flink::cli
