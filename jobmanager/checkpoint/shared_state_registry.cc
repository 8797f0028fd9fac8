#include "jobmanager/checkpoint/shared_state_registry.h"

namespace flink::jobmanager {

void SharedStateRegistry::Register(CheckpointId checkpoint, const std::vector<std::string>& files,
                                   bool owned) {
  if (files.empty()) return;
  std::set<std::string>& named = by_checkpoint_[checkpoint];
  for (const std::string& path : files) {
    File& file = files_[path];
    file.users.insert(checkpoint);
    file.owned = file.owned && owned;
    unused_.erase(path);
    named.insert(path);
  }
}

std::vector<std::string> SharedStateRegistry::Unregister(CheckpointId checkpoint) {
  const auto named = by_checkpoint_.find(checkpoint);
  if (named == by_checkpoint_.end()) return {};
  for (const std::string& path : named->second) {
    File& file = files_.at(path);
    file.users.erase(checkpoint);
    // A foreign file stays known without users, so that nobody comes to own it by naming it again.
    if (!file.users.empty() || !file.owned) continue;
    file.wait_for = pins_.empty() ? 0 : *pins_.rbegin();
    unused_.insert(path);
  }
  by_checkpoint_.erase(named);
  return Collect();
}

void SharedStateRegistry::Pin(CheckpointId checkpoint) { pins_.insert(checkpoint); }

std::vector<std::string> SharedStateRegistry::Unpin(CheckpointId checkpoint) {
  if (pins_.erase(checkpoint) == 0) return {};
  return Collect();
}

std::vector<std::string> SharedStateRegistry::Collect() {
  std::vector<std::string> deletable;
  for (auto it = unused_.begin(); it != unused_.end();) {
    const CheckpointId wait_for = files_.at(*it).wait_for;
    if (!pins_.empty() && *pins_.begin() <= wait_for) {
      ++it;
      continue;
    }
    deletable.push_back(*it);
    files_.erase(*it);
    it = unused_.erase(it);
  }
  return deletable;
}

std::vector<std::string> SharedStateRegistry::Unreferenced(
    const std::vector<std::string>& files) const {
  std::vector<std::string> result;
  for (const std::string& path : files) {
    if (files_.count(path) == 0) result.push_back(path);
  }
  return result;
}

std::vector<std::string> SharedStateRegistry::ForeignOf(
    const std::vector<std::string>& files) const {
  std::vector<std::string> result;
  for (const std::string& path : files) {
    const auto it = files_.find(path);
    if (it != files_.end() && !it->second.owned) result.push_back(path);
  }
  return result;
}

bool SharedStateRegistry::IsReferenced(const std::string& file) const {
  const auto it = files_.find(file);
  return it != files_.end() && !it->second.users.empty();
}

std::vector<std::string> SharedStateRegistry::FilesOf(CheckpointId checkpoint) const {
  const auto it = by_checkpoint_.find(checkpoint);
  if (it == by_checkpoint_.end()) return {};
  return std::vector<std::string>(it->second.begin(), it->second.end());
}

}  // namespace flink::jobmanager
