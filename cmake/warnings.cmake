# Warnings and floating-point rules for every target. No -ffast-math anywhere: exactness is a feature.
add_library(oxidized_options INTERFACE)
target_include_directories(oxidized_options INTERFACE ${PROJECT_SOURCE_DIR}/src)
target_compile_options(oxidized_options INTERFACE
  -Wall -Wextra -Wpedantic -Wshadow -Wconversion -Wno-sign-conversion -Wnon-virtual-dtor
  -ffp-contract=off)
# GCC 12 sees overlapping copies in std::string concatenation where there are none (GCC bug 105651).
target_compile_options(oxidized_options INTERFACE $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>)
if(OXIDIZED_WERROR)
  target_compile_options(oxidized_options INTERFACE -Werror)
endif()
