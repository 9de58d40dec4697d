# What goes under the prefix besides the programs: units, the example configuration, completion, docs.
foreach(unit wglan-agent wglan-discovery)
  # Filled in when installing, which is when the prefix is known.
  install(CODE "
    set(CMAKE_INSTALL_FULL_BINDIR \"\${CMAKE_INSTALL_PREFIX}/bin\")
    set(CMAKE_INSTALL_FULL_SBINDIR \"\${CMAKE_INSTALL_PREFIX}/sbin\")
    set(unit \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/lib/systemd/system/${unit}.service\")
    configure_file(\"${CMAKE_SOURCE_DIR}/config/systemd/${unit}.service\" \"\${unit}\" @ONLY)
    message(STATUS \"Installing: \${unit}\")")
endforeach()

install(FILES ${CMAKE_SOURCE_DIR}/config/example.yaml DESTINATION share/doc/wglan/examples OPTIONAL)
install(FILES ${CMAKE_SOURCE_DIR}/README.md ${CMAKE_SOURCE_DIR}/CHANGELOG.md ${CMAKE_SOURCE_DIR}/LICENSE
        DESTINATION share/doc/wglan)
install(DIRECTORY ${CMAKE_SOURCE_DIR}/docs/ DESTINATION share/doc/wglan/docs FILES_MATCHING PATTERN "*.md")
install(DIRECTORY ${CMAKE_SOURCE_DIR}/config/kubernetes/ DESTINATION share/wglan/kubernetes)
install(DIRECTORY ${CMAKE_SOURCE_DIR}/LICENSES/ DESTINATION share/doc/wglan/LICENSES)

file(GLOB pages CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/docs/man/*.[1-8])
foreach(page ${pages})
  string(REGEX MATCH "[1-8]$" section ${page})
  install(FILES ${page} DESTINATION share/man/man${section})
endforeach()

if(TARGET wglanctl)
  install(CODE "
    set(folder \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/share/bash-completion/completions\")
    file(MAKE_DIRECTORY \"\${folder}\")
    execute_process(COMMAND \"$<TARGET_FILE:wglanctl>\" completion bash OUTPUT_FILE \"\${folder}/wglanctl\"
                    COMMAND_ERROR_IS_FATAL ANY)
    message(STATUS \"Installing: \${folder}/wglanctl\")")
endif()
