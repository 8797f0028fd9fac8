#pragma once

/// Who gets which state after a change of parallelism. Pure functions.

#include <iterator>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "common/snapshot/state_handle.h"
#include "flink/key_group.h"

namespace flink::snapshot {

/// The half-open range of `total` things in a row that share `index` of `shares` gets: sizes differ
/// by at most one, larger shares first.
inline std::pair<size_t, size_t> ShareOf(size_t total, size_t shares, size_t index) {
  const size_t base = total / shares;
  const size_t larger = total % shares;
  const size_t begin = index * base + (index < larger ? index : larger);
  return {begin, begin + base + (index < larger ? 1 : 0)};
}

/// Split: the elements of all old subtasks in a row, cut into contiguous shares. With unchanged
/// parallelism every subtask keeps its own.
template <class T>
std::vector<std::vector<T>> SplitDistribute(const std::vector<std::vector<T>>& old_subtasks,
                                            int parallelism) {
  if (static_cast<int>(old_subtasks.size()) == parallelism) return old_subtasks;
  std::vector<T> row;
  for (const auto& elements : old_subtasks) row.insert(row.end(), elements.begin(), elements.end());
  std::vector<std::vector<T>> shares;
  shares.reserve(static_cast<size_t>(parallelism));
  for (int i = 0; i < parallelism; ++i) {
    const auto [begin, end] =
        ShareOf(row.size(), static_cast<size_t>(parallelism), static_cast<size_t>(i));
    shares.emplace_back(row.begin() + static_cast<std::ptrdiff_t>(begin),
                        row.begin() + static_cast<std::ptrdiff_t>(end));
  }
  return shares;
}

/// Union: every subtask gets all elements of all subtasks.
template <class T>
std::vector<std::vector<T>> UnionDistribute(const std::vector<std::vector<T>>& old_subtasks,
                                            int parallelism) {
  std::vector<T> row;
  for (const auto& elements : old_subtasks) row.insert(row.end(), elements.begin(), elements.end());
  return std::vector<std::vector<T>>(static_cast<size_t>(parallelism), row);
}

/// The handles each new subtask reads its operator state from. `old_subtasks[i]`: the handle of old
/// subtask i, if it had operator state; its size is the old parallelism. The handles of the result
/// name only the offsets of that subtask's elements; a list state keeps its name in at least one
/// handle even without elements.
std::vector<std::vector<OperatorStateHandle>> RedistributeOperatorState(
    const std::vector<std::optional<OperatorStateHandle>>& old_subtasks, int parallelism);

/// The handles that hold key groups of `range`. Handles with offsets are cut to the range; files of
/// a RocksDB instance are handed over whole.
std::vector<KeyedStateHandle> KeyedStateForRange(std::span<const KeyedStateHandle> handles,
                                                 KeyGroupRange range);

}  // namespace flink::snapshot
