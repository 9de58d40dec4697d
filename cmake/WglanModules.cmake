# Boost.Asio and Beast, precompiled once: about 20 s for the whole tree instead of for each module.
add_library(wglan_boost_pch STATIC ${CMAKE_SOURCE_DIR}/cmake/boost_pch.cpp)
target_link_libraries(wglan_boost_pch PRIVATE wglan_options wglan_expected wglan_asio spdlog::spdlog
  nlohmann_json::nlohmann_json)
target_precompile_headers(wglan_boost_pch PRIVATE ${CMAKE_SOURCE_DIR}/cmake/boost_pch.h)
function(wglan_use_boost_pch target)
  target_precompile_headers(${target} REUSE_FROM wglan_boost_pch)
endfunction()

# wglan_module(NAME [DEPS lib...] [PCH]): the static library wglan_NAME from the *.cpp files of this
# folder. DEPS are the only modules and libraries that its sources may include.
# PCH: precompile Boost.Asio and Beast for it.
function(wglan_module name)
  cmake_parse_arguments(arg "PCH" "" "DEPS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS *.cpp)
  if(sources)
    add_library(wglan_${name} STATIC ${sources})
    target_link_libraries(wglan_${name} PRIVATE wglan_options PUBLIC ${arg_DEPS})
    if(arg_PCH)
      wglan_use_boost_pch(wglan_${name})
    endif()
  else()
    add_library(wglan_${name} INTERFACE)
    target_link_libraries(wglan_${name} INTERFACE ${arg_DEPS})
  endif()
endfunction()

# wglan_program(NAME [DEPS lib...] [PCH]): an executable of the *.cpp files of this folder.
function(wglan_program name)
  cmake_parse_arguments(arg "PCH" "" "DEPS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS *.cpp)
  if(NOT sources)
    return()
  endif()
  add_executable(${name} ${sources})
  target_link_libraries(${name} PRIVATE wglan_options ${arg_DEPS})
  if(arg_PCH)
    wglan_use_boost_pch(${name})
  endif()
endfunction()

# wglan_unit_test(MODULE [DEPS lib...] [PCH]): unit_MODULE from the *.cpp files of this folder, run
# as one ctest with label `unit`.
function(wglan_unit_test module)
  cmake_parse_arguments(arg "PCH" "" "DEPS" ${ARGN})
  file(GLOB sources CONFIGURE_DEPENDS *.cpp)
  if(NOT sources)
    return()
  endif()
  add_executable(unit_${module} ${sources})
  target_link_libraries(unit_${module} PRIVATE wglan_options ${arg_DEPS} GTest::gmock_main)
  if(arg_PCH)
    wglan_use_boost_pch(unit_${module})
  endif()
  add_test(NAME unit_${module} COMMAND unit_${module})
  set_tests_properties(unit_${module} PROPERTIES LABELS unit TIMEOUT 120)
endfunction()
