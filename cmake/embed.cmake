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
#include <span>

asm(R"(
  .section .rodata
  .balign 16
  .global oxidized_embedded_@name@
oxidized_embedded_@name@:
  .incbin "@path@"
  .global oxidized_embedded_@name@_end
oxidized_embedded_@name@_end:
  .byte 0
  .previous
)");

extern "C" const std::byte oxidized_embedded_@name@[], oxidized_embedded_@name@_end[];

namespace oxidized::embedded {
std::span<const std::byte> @name@();  // declared where it is used
std::span<const std::byte> @name@() {
  return {oxidized_embedded_@name@, oxidized_embedded_@name@_end};
}
}  // namespace oxidized::embedded
]=] @ONLY)
  set_source_files_properties(${source} PROPERTIES OBJECT_DEPENDS ${path})
  target_sources(${target} PRIVATE ${source})
endfunction()
