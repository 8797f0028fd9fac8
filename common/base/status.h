#pragma once

/// Status and StatusOr: how every fallible call below the public API answers.
///
/// A facade over absl::Status (codes map one-to-one to gRPC). No other file names
/// absl::string_view: Debian builds Abseil with its own string_view type, which neither converts to
/// nor from std's.

#include <fmt/core.h>

#include <string>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace flink {

using Status = absl::Status;
template <class T>
using StatusOr = absl::StatusOr<T>;

inline Status OkStatus() { return absl::OkStatus(); }

/// Makes a status from fmt-style arguments: static words first, values last.
template <class... A>
Status MakeStatus(absl::StatusCode code, fmt::format_string<A...> format, A&&... args) {
  const std::string text = fmt::format(format, std::forward<A>(args)...);
  return Status(code, absl::string_view(text.data(), text.size()));
}
template <class... A>
Status InvalidArgument(fmt::format_string<A...> f, A&&... a) {
  return MakeStatus(absl::StatusCode::kInvalidArgument, f, std::forward<A>(a)...);
}
template <class... A>
Status NotFound(fmt::format_string<A...> f, A&&... a) {
  return MakeStatus(absl::StatusCode::kNotFound, f, std::forward<A>(a)...);
}
template <class... A>
Status AlreadyExists(fmt::format_string<A...> f, A&&... a) {
  return MakeStatus(absl::StatusCode::kAlreadyExists, f, std::forward<A>(a)...);
}
template <class... A>
Status FailedPrecondition(fmt::format_string<A...> f, A&&... a) {
  return MakeStatus(absl::StatusCode::kFailedPrecondition, f, std::forward<A>(a)...);
}
template <class... A>
Status ResourceExhausted(fmt::format_string<A...> f, A&&... a) {
  return MakeStatus(absl::StatusCode::kResourceExhausted, f, std::forward<A>(a)...);
}
template <class... A>
Status Unavailable(fmt::format_string<A...> f, A&&... a) {
  return MakeStatus(absl::StatusCode::kUnavailable, f, std::forward<A>(a)...);
}
template <class... A>
Status Internal(fmt::format_string<A...> f, A&&... a) {
  return MakeStatus(absl::StatusCode::kInternal, f, std::forward<A>(a)...);
}
/// A file or message that does not hold what its format says.
template <class... A>
Status DataLoss(fmt::format_string<A...> f, A&&... a) {
  return MakeStatus(absl::StatusCode::kDataLoss, f, std::forward<A>(a)...);
}
template <class... A>
Status Cancelled(fmt::format_string<A...> f, A&&... a) {
  return MakeStatus(absl::StatusCode::kCancelled, f, std::forward<A>(a)...);
}

/// The message of a status as std text.
inline std::string Message(const Status& s) {
  return std::string(s.message().data(), s.message().size());
}

/// Prepends context on the way up: With(s, "restoring subtask {}", i).
template <class... A>
Status With(const Status& s, fmt::format_string<A...> format, A&&... args) {
  if (s.ok()) return s;
  return MakeStatus(s.code(), "{}: {}", fmt::format(format, std::forward<A>(args)...), Message(s));
}

/// Drops a status on purpose; `why` documents the reason at the call.
inline void IgnoreError(const Status&, const char* /*why*/) {}

}  // namespace flink

#define FLINK_CONCAT_INNER(a, b) a##b
#define FLINK_CONCAT(a, b) FLINK_CONCAT_INNER(a, b)

#define RETURN_IF_ERROR(expr)                      \
  do {                                             \
    ::flink::Status flink_status_ = (expr);        \
    if (!flink_status_.ok()) return flink_status_; \
  } while (false)

#define ASSIGN_OR_RETURN(lhs, expr) \
  ASSIGN_OR_RETURN_IMPL(FLINK_CONCAT(flink_statusor_, __LINE__), lhs, expr)
#define ASSIGN_OR_RETURN_IMPL(tmp, lhs, expr) \
  auto tmp = (expr);                          \
  if (!tmp.ok()) return tmp.status();         \
  lhs = std::move(tmp).value()
