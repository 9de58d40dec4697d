# wglan_netns_test(NAME [DEPS lib...]): netns_NAME from the *.cpp files of this folder and
# tests/support/netns_test.cpp: needs root, makes namespaces of its own and touches nothing else.
# One ctest with labels `netns` and `netns-core`, skipped (77) with the reason where it can't run.
include_guard(GLOBAL)
function(wglan_netns_test name)
  cmake_parse_arguments(arg "" "" "DEPS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS *.cpp)
  if(NOT sources)
    return()
  endif()
  add_executable(netns_${name} ${sources} ${CMAKE_SOURCE_DIR}/tests/support/netns_test.cpp
                              ${CMAKE_SOURCE_DIR}/tests/support/run_tests.cpp)
  target_link_libraries(netns_${name} PRIVATE wglan_options ${arg_DEPS} GTest::gmock)
  add_test(NAME netns_${name} COMMAND netns_${name})
  set_tests_properties(netns_${name} PROPERTIES LABELS "netns;netns-core" TIMEOUT 300 SKIP_RETURN_CODE 77)
endfunction()
