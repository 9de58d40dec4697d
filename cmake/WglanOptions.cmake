# Compiler flags for every target of ours, and ccache and a fast linker where present.
set(WGLAN_SANITIZE "" CACHE STRING "Sanitizers to build with, e.g. address,undefined")

find_program(WGLAN_CCACHE ccache)
if(WGLAN_CCACHE)
  # Precompiled headers need these to be cacheable (ccache manual, "Precompiled headers").
  # Paths below the source folder count relative, so that another checkout finds what this one compiled.
  set(wglan_launcher ${CMAKE_COMMAND} -E env CCACHE_BASEDIR=${CMAKE_SOURCE_DIR} CCACHE_NOHASHDIR=1
      CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime ${WGLAN_CCACHE})
  set(CMAKE_C_COMPILER_LAUNCHER ${wglan_launcher})
  set(CMAKE_CXX_COMPILER_LAUNCHER ${wglan_launcher})
endif()

find_program(WGLAN_MOLD mold)
if(WGLAN_MOLD AND NOT WGLAN_SANITIZE AND NOT WGLAN_FUZZ)
  add_link_options(-fuse-ld=mold)
endif()

add_library(wglan_options INTERFACE)
target_compile_options(wglan_options INTERFACE -Wall -Wextra -Wconversion -Wshadow -fno-omit-frame-pointer)
target_compile_options(wglan_options INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Wnon-virtual-dtor>)
if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
  # PR 105562, PR 105651 and kin: false positives of GCC 12 in its own <string>, <vector> and <regex>.
  target_compile_options(wglan_options INTERFACE -Wno-restrict -Wno-maybe-uninitialized -Wno-stringop-overflow
    -Wno-array-bounds)
  # It also mistakes the frame allocator of Asio's coroutines, once inlined, for a mismatched pair.
  target_compile_options(wglan_options INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-Wno-mismatched-new-delete>)
  add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-fpch-preprocess>)
endif()
if(WGLAN_WERROR)
  target_compile_options(wglan_options INTERFACE -Werror)
endif()
target_include_directories(wglan_options INTERFACE ${CMAKE_SOURCE_DIR} ${CMAKE_BINARY_DIR})
if(WGLAN_SANITIZE)
  add_compile_options(-fsanitize=${WGLAN_SANITIZE} -fno-sanitize-recover=undefined)
  add_link_options(-fsanitize=${WGLAN_SANITIZE})
endif()
if(WGLAN_FUZZ)
  add_compile_options(-fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined)
  add_link_options(-fsanitize=address,undefined)
endif()
if(CMAKE_BUILD_TYPE STREQUAL "Debug")
  add_compile_options(-Og)
endif()
