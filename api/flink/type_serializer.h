#pragma once

/// How values become bytes: in records between processes, and in keyed state. The bytes are Apache
/// Flink's for the Java type named in the table.
///
/// | C++ | Flink |
/// |---|---|
/// | bool, int8_t, int16_t, int32_t, int64_t, float, double | Boolean, Byte, Short, Integer, Long,
/// Float, Double | | std::string (UTF-8) | String | | flink::Bytes | byte[] | | std::pair,
/// std::tuple, struct with FLINK_FIELDS | TupleN | | std::vector<T> | List<T> | | std::map<K, V>,
/// std::unordered_map<K, V> | Map<K, V> |
///
/// Unsigned integers, char and enums have no counterpart and are refused when compiling.
///
/// `TypeSerializer<T>` has only static members:
///
///     static constexpr int32_t kLength;                  // bytes per value, or -1 when it varies
///     static void Write(BufferWriter& out, const T& v);
///     static void Read(BufferReader& in, T& v);          // throws DecodeError
///     static int32_t HashCode(const T& v);               // Java's hashCode of the same value
///     static bool Equals(const T& a, const T& b);        // as Java's equals: a NaN equals itself
///     static std::string Name();                         // "Tuple2<String,Integer>"
///     static std::string Snapshot();                     // what Flink's snapshots say about the
///     type static char* Store(char* at, const T& v);          // only if kLength >= 0: kLength
///     bytes; returns the end static const char* Load(const char* at, T& v);     // only if kLength
///     >= 0
///
/// Thread-safe: no state. A user may specialise it for a type of his own (Snapshot() must then name
/// a Flink class to stay portable).

#include <bit>
#include <concepts>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <vector>

#include "flink/buffer.h"
#include "flink/internal/fields.h"
#include "flink/internal/string_value.h"

namespace flink {

/// Binary data (Flink's byte[]), unlike std::string, which is text.
struct Bytes {
  std::string data;
  bool operator==(const Bytes&) const = default;
  auto operator<=>(const Bytes&) const = default;
};

namespace internal {

template <class T>
concept CharacterType = std::same_as<T, char> || std::same_as<T, wchar_t> ||
    std::same_as<T, char8_t> || std::same_as<T, char16_t> || std::same_as<T, char32_t>;
template <class T>
concept SignedInteger = std::signed_integral<T> && !CharacterType<T> && sizeof(T) <= 8;
template <class T>
concept JavaNumber =
    SignedInteger<T> || std::same_as<T, float> || std::same_as<T, double> || std::same_as<T, bool>;

inline constexpr char kBaseSerializers[] = "org.apache.flink.api.common.typeutils.base.";
inline constexpr char kTupleClass[] = "org.apache.flink.api.java.tuple.Tuple";

inline void PutUtf(BufferWriter& out, std::string_view ascii) {
  out.Put<uint16_t>(static_cast<uint16_t>(ascii.size()));
  out.PutBytes(ascii);
}
/// "Long" -> …LongSerializer$LongSerializerSnapshot, version 3.
inline std::string SimpleSnapshot(const std::string& serializer) {
  const std::string simple = serializer.substr(serializer.rfind('.') + 1);
  BufferWriter out;
  PutUtf(out, kBaseSerializers + serializer + "Serializer$" + simple + "SerializerSnapshot");
  out.Put<int32_t>(3);
  return out.TakeString();
}
inline std::string CompositeSnapshot(const std::string& class_name, int32_t outer_version,
                                     std::string_view outer_body,
                                     const std::vector<std::string>& nested) {
  BufferWriter out;
  PutUtf(out, class_name);
  out.Put<int32_t>(3);
  out.Put<int32_t>(911108);
  out.Put<int32_t>(outer_version);
  out.PutBytes(outer_body);
  out.Put<int32_t>(1333245);
  out.Put<int32_t>(1);
  out.Put<int32_t>(static_cast<int32_t>(nested.size()));
  for (const std::string& n : nested) out.PutBytes(n);
  return out.TakeString();
}

/// The bits of a number as Java writes and hashes them.
template <JavaNumber T>
inline auto JavaBits(T v) {
  if constexpr (std::same_as<T, float>) {
    return v != v ? 0x7fc00000u : std::bit_cast<uint32_t>(v);
  } else if constexpr (std::same_as<T, double>) {
    return v != v ? 0x7ff8000000000000u : std::bit_cast<uint64_t>(v);
  } else if constexpr (sizeof(T) == 1) {
    return static_cast<uint8_t>(v);
  } else {
    return static_cast<std::make_unsigned_t<T>>(v);
  }
}

inline int32_t FoldLong(uint64_t v) {
  return static_cast<int32_t>(static_cast<uint32_t>(v ^ (v >> 32)));
}

}  // namespace internal

template <class T>
struct TypeSerializer {
  static_assert(!std::unsigned_integral<T> || internal::CharacterType<T>,
                "Flink has no unsigned integers: use the signed type of the next larger size "
                "(int64_t for uint32_t).");
  static_assert(
      !internal::CharacterType<T>,
      "A character is no record or state type: use int8_t, int16_t, int32_t or std::string.");
  static_assert(!std::is_enum_v<T>, "An enum cannot be serialized: use an int32_t field instead.");
  static_assert(
      !std::is_pointer_v<T>,
      "A pointer cannot leave its process: use a value (std::string instead of const char*).");
  static_assert(std::unsigned_integral<T> || internal::CharacterType<T> || std::is_enum_v<T> ||
                    std::is_pointer_v<T>,
                "This type cannot be serialized. For a struct, put FLINK_FIELDS(Struct, field1, "
                "field2, ...) behind it "
                "in its own namespace; see flink/type_serializer.h for the types that are known.");
};

template <internal::JavaNumber T>
struct TypeSerializer<T> {
  static constexpr int32_t kLength = sizeof(T);

  static void Write(BufferWriter& out, const T& v) { Store(out.Extend(sizeof(T)), v); }
  static void Read(BufferReader& in, T& v) { Load(in.GetBytes(sizeof(T)).data(), v); }
  static char* Store(char* at, const T& v) {
    const auto bits = internal::SwapBytes(internal::JavaBits(v));
    std::memcpy(at, &bits, sizeof bits);
    return at + sizeof bits;
  }
  static const char* Load(const char* at, T& v) {
    decltype(internal::JavaBits(v)) bits;
    std::memcpy(&bits, at, sizeof bits);
    bits = internal::SwapBytes(bits);
    if constexpr (std::same_as<T, bool>)
      v = bits != 0;
    else
      v = std::bit_cast<T>(bits);
    return at + sizeof bits;
  }
  static int32_t HashCode(const T& v) {
    if constexpr (std::same_as<T, bool>)
      return v ? 1231 : 1237;
    else if constexpr (sizeof(T) == 8)
      return internal::FoldLong(internal::JavaBits(v));
    else if constexpr (std::same_as<T, float>)
      return static_cast<int32_t>(internal::JavaBits(v));
    else
      return v;
  }
  static bool Equals(const T& a, const T& b) {
    return internal::JavaBits(a) == internal::JavaBits(b);
  }
  static std::string Name() {
    const std::string name = SerializerName();
    return name == "Int" ? "Integer" : name;
  }
  static std::string Snapshot() { return internal::SimpleSnapshot(SerializerName()); }

 private:
  static std::string SerializerName() {
    if constexpr (std::same_as<T, bool>)
      return "Boolean";
    else if constexpr (std::same_as<T, float>)
      return "Float";
    else if constexpr (std::same_as<T, double>)
      return "Double";
    else if constexpr (sizeof(T) == 1)
      return "Byte";
    else if constexpr (sizeof(T) == 2)
      return "Short";
    else if constexpr (sizeof(T) == 4)
      return "Int";
    else
      return "Long";
  }
};

template <>
struct TypeSerializer<std::string> {
  static constexpr int32_t kLength = -1;
  static void Write(BufferWriter& out, const std::string& v) { internal::WriteString(out, v); }
  static void Read(BufferReader& in, std::string& v) { internal::ReadString(in, v); }
  static int32_t HashCode(const std::string& v) { return internal::StringHashCode(v); }
  static bool Equals(const std::string& a, const std::string& b) { return a == b; }
  static std::string Name() { return "String"; }
  static std::string Snapshot() { return internal::SimpleSnapshot("String"); }
};

template <>
struct TypeSerializer<Bytes> {
  static constexpr int32_t kLength = -1;
  static void Write(BufferWriter& out, const Bytes& v) {
    out.Put<int32_t>(static_cast<int32_t>(v.data.size()));
    out.PutBytes(v.data);
  }
  static void Read(BufferReader& in, Bytes& v) {
    const int32_t n = in.Get<int32_t>();
    if (n < 0) throw DecodeError("a byte array has a negative length");
    v.data.assign(in.GetBytes(static_cast<size_t>(n)));
  }
  static int32_t HashCode(const Bytes& v) {
    uint32_t h = 1;
    for (char c : v.data)
      h = 31 * h + static_cast<uint32_t>(static_cast<int32_t>(static_cast<int8_t>(c)));
    return static_cast<int32_t>(h);
  }
  static bool Equals(const Bytes& a, const Bytes& b) { return a == b; }
  static std::string Name() { return "byte[]"; }
  static std::string Snapshot() { return internal::SimpleSnapshot("array.BytePrimitiveArray"); }
};

/// Pairs, tuples, structs with FLINK_FIELDS.
template <internal::TupleLike T>
struct TypeSerializer<T> {
 private:
  static constexpr size_t kFields = internal::kFieldCount<T>;
  static_assert(kFields >= 1 && kFields <= 25, "A tuple has 1 to 25 fields.");
  template <size_t I>
  using Field = TypeSerializer<internal::FieldType<T, I>>;
  template <size_t... I>
  static constexpr int32_t Length(std::index_sequence<I...>) {
    return ((Field<I>::kLength > 0) && ...) ? (Field<I>::kLength + ...) : -1;
  }
  using Indices = std::make_index_sequence<kFields>;
  /// Calls f(index constant, field) for each field.
  template <class V, class F>
  static void ForEach(V& v, F&& f) {
    auto fields = internal::FieldsOf(v);
    [&]<size_t... I>(std::index_sequence<I...>) {
      (f(std::integral_constant<size_t, I>{}, std::get<I>(fields)), ...);
    }
    (Indices{});
  }

 public:
  static constexpr int32_t kLength = Length(Indices{});

  static void Write(BufferWriter& out, const T& v) {
    if constexpr (kLength > 0) {
      Store(out.Extend(kLength), v);
    } else {
      ForEach(v, [&](auto i, const auto& field) { Field<i>::Write(out, field); });
    }
  }
  static void Read(BufferReader& in, T& v) {
    if constexpr (kLength > 0) {
      Load(in.GetBytes(kLength).data(), v);
    } else {
      ForEach(v, [&](auto i, auto& field) { Field<i>::Read(in, field); });
    }
  }
  static char* Store(char* at, const T& v) requires(Length(Indices{}) > 0) {
    ForEach(v, [&](auto i, const auto& field) { at = Field<i>::Store(at, field); });
    return at;
  }
  static const char* Load(const char* at, T& v) requires(Length(Indices{}) > 0) {
    ForEach(v, [&](auto i, auto& field) { at = Field<i>::Load(at, field); });
    return at;
  }
  static int32_t HashCode(const T& v) {
    uint32_t h = 0;
    ForEach(v, [&](auto i, const auto& field) {
      h = 31 * h + static_cast<uint32_t>(Field<i>::HashCode(field));
    });
    return static_cast<int32_t>(h);
  }
  static bool Equals(const T& a, const T& b) {
    bool equal = true;
    auto other = internal::FieldsOf(b);
    ForEach(a, [&](auto i, const auto& field) {
      equal = equal && Field<i>::Equals(field, std::get<decltype(i)::value>(other));
    });
    return equal;
  }
  static std::string Name() {
    std::string name = "Tuple" + std::to_string(kFields) + "<";
    [&]<size_t... I>(std::index_sequence<I...>) {
      ((name += (I == 0 ? "" : ",") + Field<I>::Name()), ...);
    }
    (Indices{});
    return name + ">";
  }
  static std::string Snapshot() {
    std::vector<std::string> nested;
    [&]<size_t... I>(std::index_sequence<I...>) { (nested.push_back(Field<I>::Snapshot()), ...); }
    (Indices{});
    BufferWriter body;
    internal::PutUtf(body, internal::kTupleClass + std::to_string(kFields));
    return internal::CompositeSnapshot(
        "org.apache.flink.api.java.typeutils.runtime.TupleSerializerSnapshot", 2, body.view(),
        nested);
  }
};

template <class E>
struct TypeSerializer<std::vector<E>> {
  static constexpr int32_t kLength = -1;
  static void Write(BufferWriter& out, const std::vector<E>& v) {
    out.Put<int32_t>(static_cast<int32_t>(v.size()));
    for (const E& e : v) TypeSerializer<E>::Write(out, e);
  }
  static void Read(BufferReader& in, std::vector<E>& v) {
    const int32_t n = in.Get<int32_t>();
    if (n < 0 || static_cast<size_t>(n) > in.remaining())
      throw DecodeError("a list has a bad length");
    v.clear();
    v.reserve(static_cast<size_t>(n));
    for (int32_t i = 0; i < n; ++i) {
      E e{};
      TypeSerializer<E>::Read(in, e);
      v.push_back(std::move(e));
    }
  }
  static int32_t HashCode(const std::vector<E>& v) {
    uint32_t h = 1;
    for (const E& e : v) h = 31 * h + static_cast<uint32_t>(TypeSerializer<E>::HashCode(e));
    return static_cast<int32_t>(h);
  }
  static bool Equals(const std::vector<E>& a, const std::vector<E>& b) {
    if (a.size() != b.size()) return false;
    for (size_t i = 0; i < a.size(); ++i) {
      if (!TypeSerializer<E>::Equals(a[i], b[i])) return false;
    }
    return true;
  }
  static std::string Name() { return "List<" + TypeSerializer<E>::Name() + ">"; }
  static std::string Snapshot() {
    return internal::CompositeSnapshot(
        internal::kBaseSerializers + std::string("ListSerializerSnapshot"), 1, {},
        {TypeSerializer<E>::Snapshot()});
  }
};

namespace internal {
template <class M>
struct MapSerializer {
  using K = typename M::key_type;
  using V = typename M::mapped_type;
  static constexpr int32_t kLength = -1;
  static void Write(BufferWriter& out, const M& m) {
    out.Put<int32_t>(static_cast<int32_t>(m.size()));
    for (const auto& entry : m) {
      TypeSerializer<K>::Write(out, entry.first);
      out.Put<uint8_t>(0);
      TypeSerializer<V>::Write(out, entry.second);
    }
  }
  static void Read(BufferReader& in, M& m) {
    const int32_t n = in.Get<int32_t>();
    if (n < 0 || static_cast<size_t>(n) > in.remaining())
      throw DecodeError("a map has a bad length");
    m.clear();
    for (int32_t i = 0; i < n; ++i) {
      K k{};
      TypeSerializer<K>::Read(in, k);
      if (in.Get<uint8_t>() != 0)
        throw DecodeError("a map holds a null value; C++ values cannot be null");
      TypeSerializer<V>::Read(in, m[std::move(k)]);
    }
  }
  static int32_t HashCode(const M& m) {
    uint32_t h = 0;
    for (const auto& e : m) {
      h += static_cast<uint32_t>(TypeSerializer<K>::HashCode(e.first) ^
                                 TypeSerializer<V>::HashCode(e.second));
    }
    return static_cast<int32_t>(h);
  }
  static bool Equals(const M& a, const M& b) {
    if (a.size() != b.size()) return false;
    for (const auto& e : a) {
      const auto it = b.find(e.first);
      if (it == b.end() || !TypeSerializer<V>::Equals(e.second, it->second)) return false;
    }
    return true;
  }
  static std::string Name() {
    return "Map<" + TypeSerializer<K>::Name() + "," + TypeSerializer<V>::Name() + ">";
  }
  static std::string Snapshot() {
    return CompositeSnapshot(kBaseSerializers + std::string("MapSerializerSnapshot"), 1, {},
                             {TypeSerializer<K>::Snapshot(), TypeSerializer<V>::Snapshot()});
  }
};
}  // namespace internal

template <class K, class V>
struct TypeSerializer<std::map<K, V>> : internal::MapSerializer<std::map<K, V>> {};
template <class K, class V>
struct TypeSerializer<std::unordered_map<K, V>>
    : internal::MapSerializer<std::unordered_map<K, V>> {};

}  // namespace flink
