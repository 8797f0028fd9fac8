#pragma once

/// How the key of a state row is written: key group prefix, key, namespace. The bytes are Apache
/// Flink's.

#include <cstdint>
#include <string>
#include <string_view>

#include "flink/buffer.h"
#include "flink/key_group.h"
#include "flink/state/key_hash.h"
#include "flink/type_serializer.h"

namespace flink {

/// A key together with the namespace its state belongs to, for example its window. A plain key has
/// the void namespace.
template <class K, class N>
struct NamespacedKey {
  K key{};
  N name_space{};
  bool operator==(const NamespacedKey&) const = default;
};

namespace internal {

/// A serializer snapshot without body: class name, version 3.
inline std::string BodilessSnapshot(std::string_view java_class) {
  BufferWriter out;
  PutUtf(out, java_class);
  out.Put<int32_t>(3);
  return out.TakeString();
}

/// The length suffix of a variable-length part: its byte count in base 256, lowest digit first.
inline void PutLengthSuffix(BufferWriter& out, size_t n) {
  do {
    out.Put<uint8_t>(static_cast<uint8_t>(n));
    n >>= 8;
  } while (n != 0);
}
inline void SkipLengthSuffix(BufferReader& in, size_t n) {
  do {
    in.GetBytes(1);
    n >>= 8;
  } while (n != 0);
}

template <class K, class N>
struct KeyHash<NamespacedKey<K, N>> {
  static uint64_t Of(const NamespacedKey<K, N>& k) {
    return MixHash(CombineHash(KeyHash<K>::Of(k.key), KeyHash<N>::Of(k.name_space)));
  }
  static bool Equal(const NamespacedKey<K, N>& a, const NamespacedKey<K, N>& b) {
    return KeyHash<K>::Equal(a.key, b.key) && KeyHash<N>::Equal(a.name_space, b.name_space);
  }
};

}  // namespace internal

/// A plain key: the void namespace, one byte 00.
template <class K>
struct StateKeyTraits {
  /// Chooses the key group.
  static int32_t HashCode(const K& k) { return TypeSerializer<K>::HashCode(k); }
  /// Appends key and namespace.
  static void Write(BufferWriter& out, const K& k) {
    TypeSerializer<K>::Write(out, k);
    out.Put<uint8_t>(0);
  }
  /// As Write; timers write the same without the suffixes of ambiguous keys.
  static void WriteTimer(BufferWriter& out, const K& k) { Write(out, k); }
  static void Read(BufferReader& in, K& k) {
    TypeSerializer<K>::Read(in, k);
    in.GetBytes(1);
  }
  static void ReadTimer(BufferReader& in, K& k) { Read(in, k); }
  static std::string KeySnapshot() { return TypeSerializer<K>::Snapshot(); }
  static std::string NamespaceSnapshot() {
    return internal::BodilessSnapshot(
        "org.apache.flink.runtime.state.VoidNamespaceSerializer$VoidNamespaceSerializerSnapshot");
  }
};

template <class K, class N>
struct StateKeyTraits<NamespacedKey<K, N>> {
  using Key = NamespacedKey<K, N>;
  static constexpr bool kAmbiguous =
      TypeSerializer<K>::kLength < 0 && TypeSerializer<N>::kLength < 0;

  static int32_t HashCode(const Key& k) { return TypeSerializer<K>::HashCode(k.key); }
  static void Write(BufferWriter& out, const Key& k) {
    const size_t start = out.size();
    TypeSerializer<K>::Write(out, k.key);
    if constexpr (kAmbiguous) internal::PutLengthSuffix(out, out.size() - start);
    const size_t middle = out.size();
    TypeSerializer<N>::Write(out, k.name_space);
    if constexpr (kAmbiguous) internal::PutLengthSuffix(out, out.size() - middle);
  }
  static void WriteTimer(BufferWriter& out, const Key& k) {
    TypeSerializer<K>::Write(out, k.key);
    TypeSerializer<N>::Write(out, k.name_space);
  }
  static void Read(BufferReader& in, Key& k) {
    const char* start = in.position();
    TypeSerializer<K>::Read(in, k.key);
    if constexpr (kAmbiguous) {
      internal::SkipLengthSuffix(in, static_cast<size_t>(in.position() - start));
    }
    start = in.position();
    TypeSerializer<N>::Read(in, k.name_space);
    if constexpr (kAmbiguous) {
      internal::SkipLengthSuffix(in, static_cast<size_t>(in.position() - start));
    }
  }
  static void ReadTimer(BufferReader& in, Key& k) {
    TypeSerializer<K>::Read(in, k.key);
    TypeSerializer<N>::Read(in, k.name_space);
  }
  static std::string KeySnapshot() { return TypeSerializer<K>::Snapshot(); }
  static std::string NamespaceSnapshot() { return TypeSerializer<N>::Snapshot(); }
};

namespace internal {
inline size_t KeyGroupPrefixBytes(int max_parallelism) { return max_parallelism <= 128 ? 1 : 2; }
inline void PutKeyGroup(BufferWriter& out, int32_t hash_code, int max_parallelism) {
  const int group = AssignToKeyGroup(hash_code, max_parallelism);
  if (max_parallelism <= 128)
    out.Put<uint8_t>(static_cast<uint8_t>(group));
  else
    out.Put<uint16_t>(static_cast<uint16_t>(group));
}
}  // namespace internal

}  // namespace flink
