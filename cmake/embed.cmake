# oxidized_embed(target name file)
#
# Puts the bytes of `file` into the library `target`, so that the program needs no file at run time. The accessor is
#   namespace oxidized::embedded { std::span<const std::byte> name(); }
# which the module declares for itself. The assembler's .incbin costs no compile time, unlike an array of numbers.
function(oxidized_embed target name file)
  get_filename_component(path ${file} ABSOLUTE)
  set(source ${CMAKE_CURRENT_BINARY_DIR}/${name}.embed.cc)
  file(CONFIGURE OUTPUT ${source} CONTENT [=[
#include <cstddef>
#include <cstdint>
#include <span>

#ifdef __APPLE__
#define OX_READ_ONLY "__TEXT,__const"
#else
#define OX_READ_ONLY ".rodata"
#endif

asm(".pushsection " OX_READ_ONLY R"(
  .balign 16
  .global oxidized_embedded_@name@
oxidized_embedded_@name@:
1:
  .incbin "@path@"
2:
  .balign 8
  .global oxidized_embedded_@name@_size
oxidized_embedded_@name@_size:
  .quad 2b - 1b
  .popsection
)");

namespace oxidized::embedded {

// By the assembler's names: those of the compiler have an underscore before them on some systems.
extern const std::byte @name@_bytes[] asm("oxidized_embedded_@name@");
extern const uint64_t @name@_size asm("oxidized_embedded_@name@_size");

std::span<const std::byte> @name@();  // declared where it is used
std::span<const std::byte> @name@() { return {@name@_bytes, static_cast<size_t>(@name@_size)}; }

}  // namespace oxidized::embedded
]=] @ONLY)
  set_source_files_properties(${source} PROPERTIES OBJECT_DEPENDS ${path})
  target_sources(${target} PRIVATE ${source})
endfunction()
