# cmake -DNM=nm -DOBJECTS=a.o:b.o -P check_tier_symbols.cmake
#
# A tier object (tier_*.o, but the scalar one, which has no flags of its own) may define its table and nothing else that
# other objects can see: a weak function compiled for AVX-512 could otherwise be the copy that the linker keeps for all.
string(REPLACE ":" ";" objects "${OBJECTS}")
list(FILTER objects INCLUDE REGEX "tier_[a-z0-9]+\\.cc")
list(FILTER objects EXCLUDE REGEX "tier_scalar\\.cc")
if(NOT objects)
  message(FATAL_ERROR "no tier objects given")
endif()
foreach(object ${objects})
  execute_process(COMMAND ${NM} --defined-only ${object} OUTPUT_VARIABLE symbols RESULT_VARIABLE failed)
  if(failed)
    message(FATAL_ERROR "${NM} failed on ${object}")
  endif()
  string(REGEX MATCHALL "[^\n]+" lines "${symbols}")
  foreach(line ${lines})
    if(line MATCHES " [A-Zuvw] " AND NOT line MATCHES "kCpuKernels")
      message(FATAL_ERROR "${object} defines a symbol that is not its own: ${line}")
    endif()
  endforeach()
endforeach()
