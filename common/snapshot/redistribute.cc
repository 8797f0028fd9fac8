#include "common/snapshot/redistribute.h"

#include <map>
#include <string>

namespace flink::snapshot {
namespace {

/// An element of a list state: which old handle, which offset.
struct Element {
  size_t handle = 0;
  int64_t offset = 0;
};

/// Collects, per new subtask and old handle, the offsets that go there.
class HandleAssembler {
 public:
  HandleAssembler(const std::vector<std::optional<OperatorStateHandle>>& old_subtasks,
                  int parallelism)
      : old_subtasks_(old_subtasks), assembled_(static_cast<size_t>(parallelism)) {}

  size_t parallelism() const { return assembled_.size(); }

  /// The state's entry, made if needed, in subtask's copy of an old handle.
  OperatorStateOffsets& Entry(size_t subtask, size_t handle, const OperatorStateOffsets& state) {
    const auto made = assembled_[subtask].try_emplace(handle);
    OperatorStateHandle& copy = made.first->second;
    if (made.second) {
      copy.stream = old_subtasks_[handle]->stream;
      copy.file_merging = old_subtasks_[handle]->file_merging;
    }
    for (OperatorStateOffsets& entry : copy.states) {
      if (entry.name == state.name) return entry;
    }
    OperatorStateOffsets entry;
    entry.name = state.name;
    entry.mode = state.mode;
    return copy.states.emplace_back(std::move(entry));
  }

  std::vector<std::vector<OperatorStateHandle>> Take() {
    std::vector<std::vector<OperatorStateHandle>> result;
    for (auto& handles : assembled_) {
      auto& list = result.emplace_back();
      for (auto& entry : handles) list.push_back(std::move(entry.second));
    }
    return result;
  }

 private:
  const std::vector<std::optional<OperatorStateHandle>>& old_subtasks_;
  std::vector<std::map<size_t, OperatorStateHandle>> assembled_;
};

/// Where one state stands in the old handles: (handle, its entry).
using Places = std::vector<std::pair<size_t, const OperatorStateOffsets*>>;

void DistributeSplit(const Places& places, HandleAssembler* assembler) {
  std::vector<Element> row;
  for (const auto& place : places) {
    for (const int64_t offset : place.second->offsets) row.push_back({place.first, offset});
  }
  for (size_t subtask = 0; subtask < assembler->parallelism(); ++subtask) {
    // The name reaches every subtask, so that a restored state without elements differs from an
    // unknown one.
    assembler->Entry(subtask, places.front().first, *places.front().second);
    const auto share = ShareOf(row.size(), assembler->parallelism(), subtask);
    for (size_t i = share.first; i < share.second; ++i) {
      assembler->Entry(subtask, row[i].handle, *places.front().second)
          .offsets.push_back(row[i].offset);
    }
  }
}

void DistributeUnion(const Places& places, HandleAssembler* assembler) {
  for (size_t subtask = 0; subtask < assembler->parallelism(); ++subtask) {
    for (const auto& place : places) {
      assembler->Entry(subtask, place.first, *place.second).offsets = place.second->offsets;
    }
  }
}

void DistributeBroadcast(const Places& places, HandleAssembler* assembler) {
  for (size_t subtask = 0; subtask < assembler->parallelism(); ++subtask) {
    const auto& place = places[subtask % places.size()];
    assembler->Entry(subtask, place.first, *place.second).offsets = place.second->offsets;
  }
}

/// With unchanged parallelism list and broadcast states stay on their subtask.
void KeepInPlace(const Places& places, HandleAssembler* assembler) {
  for (const auto& place : places) {
    assembler->Entry(place.first, place.first, *place.second).offsets = place.second->offsets;
  }
}

}  // namespace

std::vector<std::vector<OperatorStateHandle>> RedistributeOperatorState(
    const std::vector<std::optional<OperatorStateHandle>>& old_subtasks, int parallelism) {
  std::map<std::string, Places> states;
  for (size_t i = 0; i < old_subtasks.size(); ++i) {
    if (!old_subtasks[i]) continue;
    for (const OperatorStateOffsets& state : old_subtasks[i]->states) {
      states[state.name].emplace_back(i, &state);
    }
  }
  HandleAssembler assembler(old_subtasks, parallelism);
  const bool same_parallelism = static_cast<int>(old_subtasks.size()) == parallelism;
  for (const auto& entry : states) {
    const Places& places = entry.second;
    switch (places.front().second->mode) {
      case DistributionMode::kUnion:
        DistributeUnion(places, &assembler);
        break;
      case DistributionMode::kBroadcast:
        // A subtask that never saw the broadcast state must get a copy as well.
        if (same_parallelism && places.size() == old_subtasks.size()) {
          KeepInPlace(places, &assembler);
        } else {
          DistributeBroadcast(places, &assembler);
        }
        break;
      case DistributionMode::kSplitDistribute:
        if (same_parallelism) {
          KeepInPlace(places, &assembler);
        } else {
          DistributeSplit(places, &assembler);
        }
        break;
    }
  }
  return assembler.Take();
}

std::vector<KeyedStateHandle> KeyedStateForRange(std::span<const KeyedStateHandle> handles,
                                                 KeyGroupRange range) {
  std::vector<KeyedStateHandle> result;
  for (const KeyedStateHandle& handle : handles) {
    const KeyGroupRange both = KeyGroupsOf(handle).Intersect(range);
    if (both.empty()) continue;
    const auto* groups = std::get_if<KeyGroupsHandle>(&handle);
    if (groups == nullptr) {
      result.push_back(handle);
      continue;
    }
    KeyGroupsHandle cut = *groups;
    const auto first = groups->offsets.begin() + (both.start - groups->start_key_group);
    cut.start_key_group = both.start;
    cut.offsets.assign(first, first + both.size());
    result.emplace_back(std::move(cut));
  }
  return result;
}

}  // namespace flink::snapshot
