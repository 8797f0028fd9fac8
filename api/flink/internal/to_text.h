#pragma once

/// Values as text, as Apache Flink prints them: (the,3) for a tuple or struct, [1, 2] for a list.

#include <ostream>
#include <sstream>
#include <string>
#include <type_traits>

#include "flink/type_serializer.h"

namespace flink::internal {

template <class T>
concept Streamable = requires(std::ostream& out, const T& v) {
  out << v;
};

template <class T>
void AppendText(std::string& text, const T& v) {
  if constexpr (std::is_same_v<T, std::string>) {
    text += v;
  } else if constexpr (std::is_same_v<T, bool>) {
    text += v ? "true" : "false";
  } else if constexpr (std::is_integral_v<T>) {
    text += std::to_string(v);
  } else if constexpr (Streamable<T>) {
    std::ostringstream out;
    out << v;
    text += out.str();
  } else if constexpr (TupleLike<T>) {
    text += '(';
    bool first = true;
    std::apply(
        [&](const auto&... field) {
          ((text += first ? "" : ",", first = false, AppendText(text, field)), ...);
        },
        FieldsOf(v));
    text += ')';
  } else if constexpr (requires { v.begin()->second; }) {
    text += '{';
    bool first = true;
    for (const auto& entry : v) {
      text += first ? "" : ", ";
      first = false;
      AppendText(text, entry.first);
      text += '=';
      AppendText(text, entry.second);
    }
    text += '}';
  } else if constexpr (requires { v.begin(); }) {
    text += '[';
    bool first = true;
    for (const auto& e : v) {
      text += first ? "" : ", ";
      first = false;
      AppendText(text, e);
    }
    text += ']';
  } else {
    text += "<" + TypeSerializer<T>::Name() + ">";
  }
}

}  // namespace flink::internal
