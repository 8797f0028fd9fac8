# The target check-layers: every library links from its declared dependencies alone, and every public header compiles by
# itself with nothing but the public include folders. Not part of ALL; the test check_layers builds it.
set(check_folder ${CMAKE_CURRENT_BINARY_DIR}/layers)
file(GENERATE OUTPUT ${check_folder}/main.cc CONTENT "int main() {}\n")

set(checks)
foreach(library flink_common flink_api flink_connectors flink_graph_proto flink_rpc flink_jobmaster flink_gateway
    flink_jobmanager flink_executor flink_taskmanager flink_cli)
  add_executable(links_${library} EXCLUDE_FROM_ALL ${check_folder}/main.cc)
  target_link_libraries(links_${library} PRIVATE $<LINK_LIBRARY:WHOLE_ARCHIVE,${library}>)
  list(APPEND checks links_${library})
endforeach()

set(sources)
foreach(folder api common/public connectors/public)
  file(GLOB_RECURSE headers RELATIVE ${PROJECT_SOURCE_DIR}/${folder} CONFIGURE_DEPENDS
    ${PROJECT_SOURCE_DIR}/${folder}/flink/*.h)
  foreach(header ${headers})
    string(REPLACE "/" "_" name ${header})
    file(GENERATE OUTPUT ${check_folder}/${name}.cc CONTENT "#include \"${header}\"\n")
    list(APPEND sources ${check_folder}/${name}.cc)
  endforeach()
endforeach()
add_library(public_headers OBJECT EXCLUDE_FROM_ALL ${sources})
target_include_directories(public_headers PRIVATE ${PROJECT_SOURCE_DIR}/api ${PROJECT_SOURCE_DIR}/common/public
  ${PROJECT_SOURCE_DIR}/connectors/public ${CMAKE_BINARY_DIR}/generated)
target_compile_options(public_headers PRIVATE -Wall -Wextra -Werror)
add_dependencies(public_headers flink_abi_fingerprint)

add_custom_target(check-layers DEPENDS ${checks} public_headers)
add_test(NAME check_layers COMMAND ${CMAKE_COMMAND} --build ${CMAKE_BINARY_DIR} --target check-layers)
set_tests_properties(check_layers PROPERTIES LABELS unit PROCESSORS 2 TIMEOUT 600)
