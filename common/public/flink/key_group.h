#pragma once

/// Key groups: how keyed state is divided, exactly as Apache Flink divides it.
///
/// A key's hash code chooses one of `max_parallelism` key groups; a contiguous range of groups
/// belongs to each subtask. All functions are pure and thread-safe. Preconditions (not checked
/// here): 1 <= parallelism <= max_parallelism <= 32768, indices in range.

#include <algorithm>
#include <cstdint>

namespace flink {

/// The largest number of key groups, hence the largest parallelism of a keyed operator.
inline constexpr int kMaxMaxParallelism = 32768;
/// The smallest number of key groups that is derived when none is configured.
inline constexpr int kMinDefaultMaxParallelism = 128;

/// Scrambles a hash code (one round of MurmurHash3 for 32 bits); the result is at most 2^31 - 1.
inline uint32_t KeyGroupHash(int32_t hash_code) {
  uint32_t h = static_cast<uint32_t>(hash_code);
  h *= 0xcc9e2d51u;
  h = (h << 15) | (h >> 17);
  h *= 0x1b873593u;
  h = (h << 13) | (h >> 19);
  h = h * 5 + 0xe6546b64u;
  h ^= 4u;
  h ^= h >> 16;
  h *= 0x85ebca6bu;
  h ^= h >> 13;
  h *= 0xc2b2ae35u;
  h ^= h >> 16;
  if (h < 0x80000000u) return h;
  // Taken as signed the value is negative: it is negated, and the one without a negation becomes 0.
  return h == 0x80000000u ? 0u : 0u - h;
}

/// The key group of a key with this hash code.
inline int AssignToKeyGroup(int32_t hash_code, int max_parallelism) {
  return static_cast<int>(KeyGroupHash(hash_code) % static_cast<uint32_t>(max_parallelism));
}

/// The index of the subtask that owns a key group.
inline int OperatorIndexForKeyGroup(int max_parallelism, int parallelism, int key_group) {
  return static_cast<int>(static_cast<int64_t>(key_group) * parallelism / max_parallelism);
}

/// Key groups start..end, both inclusive. The default value is empty.
struct KeyGroupRange {
  int start = 0;
  int end = -1;

  int size() const { return end < start ? 0 : end - start + 1; }
  bool empty() const { return end < start; }
  bool Contains(int key_group) const { return key_group >= start && key_group <= end; }
  /// The groups that are in both ranges; empty if there are none.
  KeyGroupRange Intersect(const KeyGroupRange& other) const {
    const KeyGroupRange both{std::max(start, other.start), std::min(end, other.end)};
    return both.end < both.start ? KeyGroupRange{} : both;
  }
  bool operator==(const KeyGroupRange&) const = default;
};

/// The key groups of the subtask with this index.
inline KeyGroupRange RangeForOperator(int max_parallelism, int parallelism, int index) {
  const int64_t max = max_parallelism;
  const int64_t start = (index * max + parallelism - 1) / parallelism;
  const int64_t end = ((index + 1) * max - 1) / parallelism;
  return KeyGroupRange{static_cast<int>(start), static_cast<int>(end)};
}

/// The number of key groups an operator gets when none is configured: a power of two with room to
/// grow by half.
inline int DefaultMaxParallelism(int parallelism) {
  const int64_t wanted = static_cast<int64_t>(parallelism) + parallelism / 2;
  int64_t power = 1;
  while (power < wanted) power *= 2;
  return static_cast<int>(
      std::clamp<int64_t>(power, kMinDefaultMaxParallelism, kMaxMaxParallelism));
}

}  // namespace flink
