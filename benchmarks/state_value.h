#pragma once

/// The values of the snapshot benchmarks: two counters of 64 bits, then words that depend on the
/// key and cannot be compressed.

#include <cstdint>
#include <cstring>

#include "benchmarks/zipf.h"

namespace flink::benchmarks {

inline constexpr size_t kStateCounters = 2;

template <class Bytes>
uint64_t StateWord(const Bytes& value, size_t index) {
  uint64_t word = 0;
  std::memcpy(&word, value.data() + index * sizeof(word), sizeof(word));
  return word;
}

/// REQUIRES bytes is a multiple of 8, at least that of the counters.
template <class Bytes>
void FillStateValue(uint64_t key, size_t bytes, Bytes& value) {
  value.resize(bytes);
  for (size_t i = 0; i < bytes / sizeof(uint64_t); ++i) {
    const uint64_t word = i < kStateCounters ? 0 : Mix(key * 0x10000 + i);
    std::memcpy(value.data() + i * sizeof(word), &word, sizeof(word));
  }
}

template <class Bytes>
void CountIn(Bytes& value, size_t counter) {
  const uint64_t word = StateWord(value, counter) + 1;
  std::memcpy(value.data() + counter * sizeof(word), &word, sizeof(word));
}

template <class Bytes>
uint64_t FillSum(const Bytes& value) {
  uint64_t sum = 0;
  for (size_t i = kStateCounters; i < value.size() / sizeof(uint64_t); ++i) {
    sum += StateWord(value, i);
  }
  return sum;
}

}  // namespace flink::benchmarks
