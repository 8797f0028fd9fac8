# find_package(FlinkCpp) for jobs that are built outside this tree:
#
#   cmake_minimum_required(VERSION 3.25)
#   project(my_job CXX)
#   find_package(FlinkCpp REQUIRED)
#   flink_add_job(MyJob my_job.cc)
#
# builds MyJob.so for `flink run`. Set CMAKE_PREFIX_PATH to the distribution. Its headers need C++20 and the standard
# library, nothing else.
get_filename_component(FLINK_HOME "${CMAKE_CURRENT_LIST_DIR}/../../.." ABSOLUTE)

if(NOT TARGET flink::flink)
  add_library(flink::flink SHARED IMPORTED)
  set_target_properties(flink::flink PROPERTIES
    IMPORTED_LOCATION "${FLINK_HOME}/lib/libflink.so"
    INTERFACE_INCLUDE_DIRECTORIES "${FLINK_HOME}/include"
    INTERFACE_COMPILE_FEATURES cxx_std_20)
endif()

# flink_add_job(NAME source...): the job library NAME.so. Further libraries: target_link_libraries(NAME PRIVATE ...).
function(flink_add_job name)
  add_library(${name} MODULE ${ARGN})
  set_target_properties(${name} PROPERTIES PREFIX "" CXX_EXTENSIONS OFF)
  target_link_libraries(${name} PRIVATE flink::flink)
  if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
    target_compile_options(${name} PRIVATE -O2)
  endif()
endfunction()
