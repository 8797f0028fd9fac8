#pragma once

/// FLINK_FIELDS and the uniform view of pairs, tuples and declared structs as lists of fields. Part
/// of flink/type_serializer.h.

#include <cstddef>
#include <tuple>
#include <type_traits>
#include <utility>

// Counts and wraps up to 25 arguments. FLINK_TIE_n(v, a, b, …) expands to v.a, v.b, …
#define FLINK_COUNT_ARGS(...)                                                                      \
  FLINK_COUNT_ARGS_AT(__VA_ARGS__, 25, 24, 23, 22, 21, 20, 19, 18, 17, 16, 15, 14, 13, 12, 11, 10, \
                      9, 8, 7, 6, 5, 4, 3, 2, 1, 0)
#define FLINK_COUNT_ARGS_AT(a1, a2, a3, a4, a5, a6, a7, a8, a9, a10, a11, a12, a13, a14, a15, a16, \
                            a17, a18, a19, a20, a21, a22, a23, a24, a25, n, ...)                   \
  n
#define FLINK_TIE_1(v, a) v.a
#define FLINK_TIE_2(v, a, ...) v.a, FLINK_TIE_1(v, __VA_ARGS__)
#define FLINK_TIE_3(v, a, ...) v.a, FLINK_TIE_2(v, __VA_ARGS__)
#define FLINK_TIE_4(v, a, ...) v.a, FLINK_TIE_3(v, __VA_ARGS__)
#define FLINK_TIE_5(v, a, ...) v.a, FLINK_TIE_4(v, __VA_ARGS__)
#define FLINK_TIE_6(v, a, ...) v.a, FLINK_TIE_5(v, __VA_ARGS__)
#define FLINK_TIE_7(v, a, ...) v.a, FLINK_TIE_6(v, __VA_ARGS__)
#define FLINK_TIE_8(v, a, ...) v.a, FLINK_TIE_7(v, __VA_ARGS__)
#define FLINK_TIE_9(v, a, ...) v.a, FLINK_TIE_8(v, __VA_ARGS__)
#define FLINK_TIE_10(v, a, ...) v.a, FLINK_TIE_9(v, __VA_ARGS__)
#define FLINK_TIE_11(v, a, ...) v.a, FLINK_TIE_10(v, __VA_ARGS__)
#define FLINK_TIE_12(v, a, ...) v.a, FLINK_TIE_11(v, __VA_ARGS__)
#define FLINK_TIE_13(v, a, ...) v.a, FLINK_TIE_12(v, __VA_ARGS__)
#define FLINK_TIE_14(v, a, ...) v.a, FLINK_TIE_13(v, __VA_ARGS__)
#define FLINK_TIE_15(v, a, ...) v.a, FLINK_TIE_14(v, __VA_ARGS__)
#define FLINK_TIE_16(v, a, ...) v.a, FLINK_TIE_15(v, __VA_ARGS__)
#define FLINK_TIE_17(v, a, ...) v.a, FLINK_TIE_16(v, __VA_ARGS__)
#define FLINK_TIE_18(v, a, ...) v.a, FLINK_TIE_17(v, __VA_ARGS__)
#define FLINK_TIE_19(v, a, ...) v.a, FLINK_TIE_18(v, __VA_ARGS__)
#define FLINK_TIE_20(v, a, ...) v.a, FLINK_TIE_19(v, __VA_ARGS__)
#define FLINK_TIE_21(v, a, ...) v.a, FLINK_TIE_20(v, __VA_ARGS__)
#define FLINK_TIE_22(v, a, ...) v.a, FLINK_TIE_21(v, __VA_ARGS__)
#define FLINK_TIE_23(v, a, ...) v.a, FLINK_TIE_22(v, __VA_ARGS__)
#define FLINK_TIE_24(v, a, ...) v.a, FLINK_TIE_23(v, __VA_ARGS__)
#define FLINK_TIE_25(v, a, ...) v.a, FLINK_TIE_24(v, __VA_ARGS__)
#define FLINK_TIE_JOIN_INNER(n) FLINK_TIE_##n
#define FLINK_TIE_JOIN(n) FLINK_TIE_JOIN_INNER(n)

/// Declares the fields of a struct, in the order in which they are serialized:
///
///     struct WordCount {
///       std::string word;
///       int32_t count = 0;
///     };
///     FLINK_FIELDS(WordCount, word, count)
///
/// Stands behind the struct in the same namespace, or inside the struct (the only way for a struct
/// template). Up to 25 fields. Snapshots hold such a struct as Flink's TupleN of its fields: names
/// may change freely; order and types may not.
#define FLINK_FIELDS(Type, ...)                                                                \
  inline auto FlinkFieldsOf(Type& flink_value_) {                                              \
    return std::tie(FLINK_TIE_JOIN(FLINK_COUNT_ARGS(__VA_ARGS__))(flink_value_, __VA_ARGS__)); \
  }

namespace flink::internal {

template <class T>
concept FieldsInside = requires(T& v) {
  v.FlinkFieldsOf(v);
};
template <class T>
concept FieldsBeside = requires(T& v) {
  FlinkFieldsOf(v);
};
template <class T>
concept DeclaredStruct = std::is_class_v<T> &&(FieldsInside<T> || FieldsBeside<T>);

template <class T>
struct IsTuple : std::false_type {};
template <class... F>
struct IsTuple<std::tuple<F...>> : std::true_type {};
template <class A, class B>
struct IsTuple<std::pair<A, B>> : std::true_type {};

/// Pairs, tuples and structs with FLINK_FIELDS: all are TupleN to Flink.
template <class T>
concept TupleLike = IsTuple<T>::value || DeclaredStruct<T>;

template <class T>
inline auto FieldsOf(T& v) {
  if constexpr (IsTuple<T>::value) {
    return std::apply([](auto&... f) { return std::tie(f...); }, v);
  } else if constexpr (FieldsInside<T>) {
    return v.FlinkFieldsOf(v);
  } else {
    return FlinkFieldsOf(v);
  }
}
/// The references are to non-const fields, for the declaration has one form only; readers do not
/// write through them.
template <class T>
inline auto FieldsOf(const T& v) {
  return FieldsOf(const_cast<T&>(v));
}

template <class T>
using FieldTuple = decltype(FieldsOf(std::declval<T&>()));
template <class T>
inline constexpr size_t kFieldCount = std::tuple_size_v<FieldTuple<T>>;
template <class T, size_t I>
using FieldType = std::remove_cvref_t<std::tuple_element_t<I, FieldTuple<T>>>;

}  // namespace flink::internal
