#pragma once

/// The hash of keys inside one subtask's tables. It is not Java's hash code, which chooses the key
/// group: all keys of a subtask already agree in parts of that one. Never persisted, so it may
/// change between releases.

#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include "flink/buffer.h"
#include "flink/type_serializer.h"

namespace flink {

namespace internal {

inline uint64_t MixHash(uint64_t x) {
  x ^= x >> 32;
  x *= 0xd6e8feb86659fd93ull;
  x ^= x >> 32;
  x *= 0xd6e8feb86659fd93ull;
  x ^= x >> 32;
  return x;
}
inline uint64_t CombineHash(uint64_t a, uint64_t b) {
  const unsigned __int128 product =
      static_cast<unsigned __int128>(a ^ 0x9e3779b97f4a7c15ull) * (b ^ 0xc2b2ae3d27d4eb4full);
  return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
}
inline uint64_t LoadTail(const char* p, size_t n) {
  uint64_t v = 0;
  std::memcpy(&v, p, n);
  return v;
}
inline uint64_t HashBytes(std::string_view s) {
  const char* p = s.data();
  size_t n = s.size();
  uint64_t h = n * 0x9e3779b97f4a7c15ull + 1;
  while (n >= 16) {
    h = CombineHash(h ^ LoadTail(p, 8), LoadTail(p + 8, 8));
    p += 16;
    n -= 16;
  }
  uint64_t a = 0;
  uint64_t b = 0;
  if (n > 8) {
    a = LoadTail(p, 8);
    b = LoadTail(p + 8, n - 8);
  } else if (n != 0) {
    a = LoadTail(p, n);
  }
  return MixHash(CombineHash(h ^ a, b));
}

template <class T>
concept HasStdHash = requires(const T& v) {
  std::hash<T>{}(v);
};
template <class K>
struct KeyHash {
  static uint64_t Of(const K& key) {
    if constexpr (std::is_integral_v<K> || std::is_enum_v<K>) {
      return MixHash(static_cast<uint64_t>(key));
    } else if constexpr (std::is_floating_point_v<K>) {
      return MixHash(JavaBits(key));
    } else if constexpr (std::is_convertible_v<const K&, std::string_view>) {
      return HashBytes(key);
    } else if constexpr (HasStdHash<K>) {
      return MixHash(std::hash<K>{}(key));
    } else {
      thread_local BufferWriter bytes;
      bytes.Clear();
      TypeSerializer<K>::Write(bytes, key);
      return HashBytes(bytes.view());
    }
  }
  /// As Java's equals.
  static bool Equal(const K& a, const K& b) { return TypeSerializer<K>::Equals(a, b); }
};

template <class... T>
struct KeyHash<std::tuple<T...>> {
  static uint64_t Of(const std::tuple<T...>& key) {
    uint64_t h = sizeof...(T);
    std::apply([&h](const T&... v) { ((h = CombineHash(h, KeyHash<T>::Of(v))), ...); }, key);
    return MixHash(h);
  }
  static bool Equal(const std::tuple<T...>& a, const std::tuple<T...>& b) {
    return Equal(a, b, std::index_sequence_for<T...>{});
  }

 private:
  template <size_t... I>
  static bool Equal(const std::tuple<T...>& a, const std::tuple<T...>& b,
                    std::index_sequence<I...>) {
    return (KeyHash<T>::Equal(std::get<I>(a), std::get<I>(b)) && ...);
  }
};

template <class A, class B>
struct KeyHash<std::pair<A, B>> {
  static uint64_t Of(const std::pair<A, B>& key) {
    return MixHash(
        CombineHash(CombineHash(2, KeyHash<A>::Of(key.first)), KeyHash<B>::Of(key.second)));
  }
  static bool Equal(const std::pair<A, B>& a, const std::pair<A, B>& b) {
    return KeyHash<A>::Equal(a.first, b.first) && KeyHash<B>::Equal(a.second, b.second);
  }
};

}  // namespace internal

/// All tables of an operator take this hash, so it is computed once per record.
template <class K>
inline uint64_t HashKey(const K& key) {
  return internal::KeyHash<K>::Of(key);
}

}  // namespace flink
