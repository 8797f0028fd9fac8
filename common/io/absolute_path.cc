#include "common/io/absolute_path.h"

#include <strings.h>

#include "common/io/file_system.h"

namespace flink::io {

std::string AbsolutePath(const std::string& text) {
  constexpr std::string_view kScheme = "file:";
  const bool has_scheme = strncasecmp(text.c_str(), kScheme.data(), kScheme.size()) == 0;
  const size_t scheme = has_scheme ? kScheme.size() : 0;
  const size_t colon = text.find(':');
  const bool foreign = scheme == 0 && colon != std::string::npos && colon < text.find('/');
  if (foreign || text.size() == scheme || text[scheme] == '/') return text;
  const StatusOr<std::string> path = ParsePath(text);
  return path.ok() ? text.substr(0, scheme) + *path : text;
}

}  // namespace flink::io
