# wglan_bpf_object(NAME): NAME.bpf.c -> NAME.bpf.o (clang, UAPI and libbpf headers only) and
# NAME.skel.h (bpftool), reachable by linking wglan_bpf_NAME and including "bpf/NAME.skel.h".
find_program(WGLAN_CLANG NAMES clang-19 clang-18 clang-16 clang-15 clang REQUIRED)
find_program(WGLAN_LLVM_STRIP NAMES llvm-strip-19 llvm-strip-18 llvm-strip-16 llvm-strip-15 llvm-strip REQUIRED)
# Ubuntu 24.04 keeps it with its kernels' tools; its /usr/sbin/bpftool refuses kernels it has none for.
file(GLOB wglan_kernel_tools /usr/lib/linux-tools/*)
find_program(WGLAN_BPFTOOL bpftool HINTS ${wglan_kernel_tools} PATHS /usr/sbin REQUIRED)

# <asm/types.h> stands in the multiarch folder, which -target bpf doesn't search.
execute_process(COMMAND ${CMAKE_C_COMPILER} -print-multiarch
                OUTPUT_VARIABLE wglan_multiarch OUTPUT_STRIP_TRAILING_WHITESPACE)

# VARIANT v LAYOUT n: the same with another layout version, as wglan_bpf_NAME_v; its skeleton comes first
# on the include path.
# SOURCE file: one that isn't bpf/NAME.bpf.c.
function(wglan_bpf_object name)
  cmake_parse_arguments(arg "" "VARIANT;LAYOUT;SOURCE" "" ${ARGN})
  set(target wglan_bpf_${name})
  set(include ${CMAKE_BINARY_DIR})
  set(layout ${WGLAN_LAYOUT_VERSION})
  if(arg_VARIANT)
    set(target wglan_bpf_${name}_${arg_VARIANT})
    set(include ${CMAKE_BINARY_DIR}/${arg_VARIANT})
    set(layout ${arg_LAYOUT})
  endif()
  set(source ${CMAKE_SOURCE_DIR}/bpf/${name}.bpf.c)
  if(arg_SOURCE)
    set(source ${arg_SOURCE})
  endif()
  set(object ${CMAKE_CURRENT_BINARY_DIR}/${name}.bpf.o)
  set(skeleton ${include}/bpf/${name}.skel.h)
  file(MAKE_DIRECTORY ${include}/bpf)
  add_custom_command(
    OUTPUT ${object}
    COMMAND ${WGLAN_CLANG} -target bpf -mcpu=v3 -O2 -g -std=gnu11 -Wall -Wextra -Wno-unused-parameter
            -DWGLAN_LAYOUT_VERSION=${layout} -fdebug-prefix-map=${CMAKE_SOURCE_DIR}=.
            -I${CMAKE_SOURCE_DIR} -isystem /usr/include/${wglan_multiarch}
            -MD -MF ${object}.d -MT ${object} -c ${source} -o ${object}
    COMMAND ${WGLAN_LLVM_STRIP} -g ${object}
    DEPENDS ${source}
    DEPFILE ${object}.d
    COMMENT "BPF ${target}" VERBATIM)
  add_custom_command(
    OUTPUT ${skeleton}
    COMMAND ${WGLAN_BPFTOOL} gen skeleton ${object} name wglan_${name} > ${skeleton}
    DEPENDS ${object} COMMENT "skeleton ${target}" VERBATIM)
  add_custom_target(${target}_gen DEPENDS ${skeleton})
  add_library(${target} INTERFACE)
  add_dependencies(${target} ${target}_gen)
  if(arg_VARIANT)
    target_include_directories(${target} BEFORE INTERFACE ${include})
  else()
    target_include_directories(${target} SYSTEM INTERFACE ${include})
  endif()
endfunction()
