# oxidized_libraries(module exports)
#
# Makes the libraries that other programs link of a module and all that is below it, and installs them with a CMake
# package: liboxidized.so, which shows what the version script `exports` lists, and liboxidized.a, which holds every
# object and needs nothing but the system's libraries.
include(GNUInstallDirs)
include(CMakePackageConfigHelpers)

# The number of the interface: that of the namespace in the headers.
file(STRINGS ${PROJECT_SOURCE_DIR}/include/oxidized/error.h OXIDIZED_ABI REGEX "namespace v[0-9]+ {$")
string(REGEX REPLACE ".* v([0-9]+) .*" "\\1" OXIDIZED_ABI "${OXIDIZED_ABI}")

# The system's libraries that modules may link, and how whoever links liboxidized.a finds each. Headers alone: nothing.
set(OXIDIZED_FOUND_BY
  "fmt::fmt find_dependency(fmt)"
  "spdlog::spdlog find_dependency(spdlog)"
  "simdjson::simdjson find_dependency(simdjson)"
  "OpenSSL::Crypto find_dependency(OpenSSL COMPONENTS Crypto)"
  "CURL::libcurl find_dependency(CURL)"
  "Threads::Threads find_dependency(Threads)"
  "PkgConfig::PCRE2 oxidized_pkg_config(PCRE2 libpcre2-8)"
  "PkgConfig::ZSTD oxidized_pkg_config(ZSTD libzstd)"
  "PkgConfig::LIBURING oxidized_pkg_config(LIBURING liburing)"
  "nlohmann_json::nlohmann_json")

# All modules that `target` is made of, itself among them, and the system's libraries that they link.
function(oxidized_parts target modules_out system_out)
  set(modules)
  set(system)
  set(open ${target})
  while(open)
    list(POP_FRONT open next)
    string(REGEX REPLACE "^\\$<LINK_ONLY:(.*)>$" "\\1" next "${next}")
    if(next STREQUAL "oxidized_options" OR next IN_LIST modules OR next IN_LIST system)
      continue()
    endif()
    set(imported TRUE)  # such targets are known in the folder that looked for them alone
    if(TARGET ${next})
      get_target_property(imported ${next} IMPORTED)
    endif()
    if(imported)
      list(APPEND system ${next})
      continue()
    endif()
    list(APPEND modules ${next})
    get_target_property(links ${next} INTERFACE_LINK_LIBRARIES)
    if(links)
      list(APPEND open ${links})
    endif()
  endwhile()
  set(${modules_out} ${modules} PARENT_SCOPE)
  set(${system_out} ${system} PARENT_SCOPE)
endfunction()

function(oxidized_libraries module exports)
  oxidized_parts(${module} modules system)
  set(objects)
  foreach(part IN LISTS modules)
    list(APPEND objects "$<FILTER:$<TARGET_OBJECTS:${part}>,EXCLUDE,/testing/>")
  endforeach()
  set(linked)
  set(OXIDIZED_STATIC_DEPENDENCIES)
  foreach(library IN LISTS system)
    set(row ${OXIDIZED_FOUND_BY})
    list(FILTER row INCLUDE REGEX "^${library}( |$)")
    if(NOT row)
      message(FATAL_ERROR "${library} is linked by a module of liboxidized: cmake/library.cmake must say how it is found")
    endif()
    if(row MATCHES " (.*)$")
      string(APPEND OXIDIZED_STATIC_DEPENDENCIES "  ${CMAKE_MATCH_1}\n")
      list(APPEND linked $<INSTALL_INTERFACE:${library}>)
    endif()
  endforeach()
  if(OXIDIZED_HAS_CUDA)
    find_package(CUDAToolkit REQUIRED)
    string(APPEND OXIDIZED_STATIC_DEPENDENCIES "  find_dependency(CUDAToolkit)\n")
    list(APPEND linked $<INSTALL_INTERFACE:CUDA::cudart_static>)
  endif()

  add_library(oxidized SHARED $<TARGET_OBJECTS:${module}>)
  get_target_property(below ${module} LINK_LIBRARIES)
  target_link_libraries(oxidized PRIVATE ${below})
  set_target_properties(oxidized PROPERTIES SOVERSION ${OXIDIZED_ABI} LINKER_LANGUAGE CXX)
  if(UNIX AND NOT APPLE)
    get_filename_component(script ${exports} ABSOLUTE)
    target_link_options(oxidized PRIVATE LINKER:--version-script=${script})
    set_target_properties(oxidized PROPERTIES LINK_DEPENDS ${script})
    if(NOT OXIDIZED_SANITIZE)
      target_link_options(oxidized PRIVATE LINKER:-z,defs)
    endif()
  endif()

  add_library(oxidized_static STATIC ${objects})
  target_link_libraries(oxidized_static INTERFACE ${linked})
  set_target_properties(oxidized_static PROPERTIES OUTPUT_NAME oxidized LINKER_LANGUAGE CXX)

  foreach(library oxidized oxidized_static)
    target_include_directories(${library} INTERFACE $<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>
                               $<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>)
    target_compile_features(${library} INTERFACE cxx_std_20)
    set_target_properties(${library} PROPERTIES ARCHIVE_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}
                          LIBRARY_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR})
    # OPTIONAL: who built the program alone installs the program alone.
    install(TARGETS ${library} EXPORT ${library} OPTIONAL
            LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR})
    install(EXPORT ${library} NAMESPACE oxidized:: DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/oxidized)
  endforeach()
  install(DIRECTORY ${PROJECT_SOURCE_DIR}/include/oxidized DESTINATION ${CMAKE_INSTALL_INCLUDEDIR})

  configure_package_config_file(${PROJECT_SOURCE_DIR}/cmake/oxidized-config.cmake.in
    ${CMAKE_CURRENT_BINARY_DIR}/oxidized-config.cmake INSTALL_DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/oxidized
    NO_SET_AND_CHECK_MACRO)
  write_basic_package_version_file(${CMAKE_CURRENT_BINARY_DIR}/oxidized-config-version.cmake
    COMPATIBILITY SameMinorVersion)
  install(FILES ${CMAKE_CURRENT_BINARY_DIR}/oxidized-config.cmake
                ${CMAKE_CURRENT_BINARY_DIR}/oxidized-config-version.cmake
          DESTINATION ${CMAKE_INSTALL_LIBDIR}/cmake/oxidized)
endfunction()
