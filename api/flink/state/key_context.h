#pragma once

/// The key that an operator is processing. State handles read it; the operator sets it before each
/// record or timer.

#include <cstdint>

#include "flink/state/key_hash.h"

namespace flink {

/// Owned by the operator, used on its task's thread only.
template <class K>
struct KeyContext {
  const K* key = nullptr;
  uint64_t hash = 0;

  /// `key` must stay where it is until the next Set.
  void Set(const K& k) { Set(k, HashKey(k)); }
  void Set(const K& k, uint64_t key_hash) {
    key = &k;
    hash = key_hash;
  }
};

}  // namespace flink
