# Compiler settings, third-party packages, and the one way to declare a library.
find_program(CCACHE_PROGRAM ccache)
if(CCACHE_PROGRAM)
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CCACHE_PROGRAM})
endif()
find_program(MOLD_PROGRAM mold)
if(MOLD_PROGRAM)
  add_link_options(-fuse-ld=mold)
endif()

find_package(Threads REQUIRED)
find_package(Protobuf REQUIRED)
find_package(gRPC CONFIG REQUIRED)
find_package(absl CONFIG REQUIRED)
find_package(spdlog CONFIG REQUIRED)
find_package(RocksDB CONFIG REQUIRED)
find_package(yaml-cpp CONFIG REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(PkgConfig REQUIRED)
pkg_check_modules(XXHASH REQUIRED IMPORTED_TARGET libxxhash)

find_library(CPP_HTTPLIB_LIBRARY cpp-httplib REQUIRED)
add_library(flink_httplib INTERFACE)
target_link_libraries(flink_httplib INTERFACE ${CPP_HTTPLIB_LIBRARY} Threads::Threads)

# Warnings are errors in our own targets only; third-party headers are SYSTEM.
add_library(flink_options INTERFACE)
target_compile_options(flink_options INTERFACE
  -Wall -Wextra -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual -Werror)
target_include_directories(flink_options INTERFACE
  ${CMAKE_SOURCE_DIR} ${CMAKE_SOURCE_DIR}/common/public ${CMAKE_SOURCE_DIR}/api
  ${CMAKE_SOURCE_DIR}/connectors/public ${CMAKE_BINARY_DIR}/generated)
if(FLINK_SANITIZER)
  add_compile_options(-fsanitize=${FLINK_SANITIZER} -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${FLINK_SANITIZER})
  # GCC 12 warns of its own <regex> then.
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    target_compile_options(flink_options INTERFACE -Wno-maybe-uninitialized)
  endif()
endif()
if(FLINK_THREAD_SAFETY)
  target_compile_options(flink_options INTERFACE -Wthread-safety)
endif()

# flink_library(NAME [LINK libs...]): a static library from every .cc below the calling folder
# except mains (*_main.cc).
function(flink_library name)
  cmake_parse_arguments(ARG "" "" "LINK;DIRS" ${ARGN})
  set(sources)
  if(ARG_DIRS)
    foreach(dir ${ARG_DIRS})
      file(GLOB_RECURSE found CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${dir}/*.cc)
      list(APPEND sources ${found})
    endforeach()
  else()
    file(GLOB_RECURSE sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/*.cc)
  endif()
  list(FILTER sources EXCLUDE REGEX "_main\\.cc$")
  add_library(${name} STATIC ${sources})
  target_link_libraries(${name} PUBLIC flink_options ${ARG_LINK})
endfunction()
