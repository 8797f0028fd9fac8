#pragma once

/// TempDirectory: a fresh directory that is removed with everything in it at the end of its life.

#include <string>
#include <string_view>

#include "common/base/status.h"

namespace flink::io {

/// Movable; a moved-from object owns nothing. Externally synchronized.
class TempDirectory {
 public:
  TempDirectory() = default;
  /// Creates "<parent>/<prefix>-XXXXXX"; an empty parent means $TMPDIR, else /tmp.
  static StatusOr<TempDirectory> Create(std::string_view prefix, std::string_view parent = {});
  ~TempDirectory();
  TempDirectory(TempDirectory&& other) noexcept;
  TempDirectory& operator=(TempDirectory&& other) noexcept;

  const std::string& path() const { return path_; }
  /// A path inside.
  std::string File(std::string_view name) const;
  /// Gives the directory up: it is not removed any more.
  std::string Release();

 private:
  explicit TempDirectory(std::string path) : path_(std::move(path)) {}
  void Remove();

  std::string path_;
};

}  // namespace flink::io
