# Writes OUTPUT with a hash over the contents of HEADERS (separated by |), in the order of their names.
string(REPLACE "|" ";" headers "${HEADERS}")
list(SORT headers)
set(hashes "")
foreach(header ${headers})
  file(SHA256 ${header} hash)
  get_filename_component(name ${header} NAME)
  string(APPEND hashes "${name} ${hash}\n")
endforeach()
string(SHA256 hash "${hashes}")
string(SUBSTRING ${hash} 0 16 hash)

set(content "#pragma once

/// Generated. Tells whether a job library and the process that loads it were built alike: a hash of the public
/// headers, then compiler and language version.

#define FLINK_TEXT_OF_INNER(x) #x
#define FLINK_TEXT_OF(x) FLINK_TEXT_OF_INNER(x)
#if defined(__clang__)
#define FLINK_COMPILER \"clang-\" FLINK_TEXT_OF(__clang_major__)
#else
#define FLINK_COMPILER \"gcc-\" FLINK_TEXT_OF(__GNUC__)
#endif
#define FLINK_ABI_FINGERPRINT \"${hash}-\" FLINK_COMPILER \"-\" FLINK_TEXT_OF(__cplusplus)
")
set(old "")
if(EXISTS ${OUTPUT})
  file(READ ${OUTPUT} old)
endif()
if(NOT old STREQUAL content)
  file(WRITE ${OUTPUT} "${content}")
else()
  file(TOUCH_NOCREATE ${OUTPUT})
endif()
