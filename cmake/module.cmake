# oxidized_module(name DEPS lower modules... LIBS external libraries... [SUBDIRS folders...]
#                 TEST_PROCESSORS n)
#
# Makes the static library `name` of every *.cc in the folder (and in SUBDIRS) and, with OXIDIZED_TESTS, the program
# `name_test` of every *_test.cc; its tests are registered with ctest. A new file is picked up by itself.
find_package(GTest QUIET)

function(oxidized_module name)
  cmake_parse_arguments(ARG "" "TEST_PROCESSORS" "DEPS;LIBS;SUBDIRS;TEST_DEPS" ${ARGN})
  set(sources)
  foreach(dir "." ${ARG_SUBDIRS})
    file(GLOB found CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/${dir}/*.cc)
    list(APPEND sources ${found})
  endforeach()
  set(tests ${sources})
  list(FILTER tests INCLUDE REGEX "_test\\.cc$")
  list(FILTER sources EXCLUDE REGEX "_(test|bench)\\.cc$")

  if(sources)
    add_library(${name} STATIC ${sources})
    target_link_libraries(${name} PUBLIC oxidized_options ${ARG_DEPS} PRIVATE ${ARG_LIBS})
  else()
    add_library(${name} INTERFACE)
    target_link_libraries(${name} INTERFACE oxidized_options ${ARG_DEPS} ${ARG_LIBS})
  endif()
  if(OXIDIZED_TESTS AND tests)
    add_executable(${name}_test ${tests})
    target_link_libraries(${name}_test PRIVATE ${name} ${ARG_LIBS} ${ARG_TEST_DEPS} GTest::gtest_main)
    oxidized_register_test(${name}_test PROCESSORS ${ARG_TEST_PROCESSORS})
  endif()
endfunction()

# PROCESSORS: how many the program keeps busy; a spinning thread team beside another crawls.
function(oxidized_register_test target)
  cmake_parse_arguments(ARG "" "PROCESSORS" "" ${ARGN})
  if(NOT ARG_PROCESSORS)
    set(ARG_PROCESSORS 1)
  endif()
  include(GoogleTest)
  gtest_discover_tests(${target} DISCOVERY_MODE PRE_TEST DISCOVERY_TIMEOUT 120
    WORKING_DIRECTORY ${PROJECT_SOURCE_DIR} TEST_PREFIX "${target}." PROPERTIES PROCESSORS ${ARG_PROCESSORS})
endfunction()
