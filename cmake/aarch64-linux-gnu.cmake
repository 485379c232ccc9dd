# Cross-compiles for 64-bit ARM Linux and runs the tests under qemu's user-mode emulation. Libraries come from
# build-aarch64-sysroot/, which `./build.sh test aarch64` fills with Debian's arm64 packages.
set(CMAKE_SYSTEM_NAME Linux)
set(CMAKE_SYSTEM_PROCESSOR aarch64)
set(CMAKE_CXX_COMPILER aarch64-linux-gnu-g++)

get_filename_component(OXIDIZED_ARM_ROOT ${CMAKE_CURRENT_LIST_DIR}/../build-aarch64-sysroot ABSOLUTE)
set(CMAKE_CROSSCOMPILING_EMULATOR qemu-aarch64-static;-L;${OXIDIZED_ARM_ROOT})
set(CMAKE_LIBRARY_ARCHITECTURE aarch64-linux-gnu)
set(CMAKE_FIND_ROOT_PATH ${OXIDIZED_ARM_ROOT})
set(CMAKE_FIND_ROOT_PATH_MODE_PROGRAM NEVER)
set(CMAKE_FIND_ROOT_PATH_MODE_LIBRARY ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_INCLUDE ONLY)
set(CMAKE_FIND_ROOT_PATH_MODE_PACKAGE ONLY)
# Headers that differ by architecture (openssl/opensslconf.h): the compiler looks for them in the system's own folder.
set(CMAKE_CXX_STANDARD_INCLUDE_DIRECTORIES ${OXIDIZED_ARM_ROOT}/usr/include/aarch64-linux-gnu)
set(ENV{PKG_CONFIG_SYSROOT_DIR} ${OXIDIZED_ARM_ROOT})
set(ENV{PKG_CONFIG_LIBDIR}
    ${OXIDIZED_ARM_ROOT}/usr/lib/aarch64-linux-gnu/pkgconfig:${OXIDIZED_ARM_ROOT}/usr/share/pkgconfig)
# Where the linker finds what a library needs of its own (libedit needs libtinfo); the emulator finds it by itself.
set(CMAKE_EXE_LINKER_FLAGS_INIT
    "-Wl,-rpath-link,${OXIDIZED_ARM_ROOT}/usr/lib/aarch64-linux-gnu:${OXIDIZED_ARM_ROOT}/lib/aarch64-linux-gnu")
