# OXIDIZED_SANITIZE=address,undefined | thread, applied to every target of the build.
if(OXIDIZED_SANITIZE)
  add_compile_options(-fsanitize=${OXIDIZED_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer -g)
  add_link_options(-fsanitize=${OXIDIZED_SANITIZE})
endif()
# Modules report their branches to libFuzzer; only the fuzz targets themselves link its main().
if(OXIDIZED_FUZZERS)
  add_compile_options(-fsanitize=fuzzer-no-link)
  add_link_options(-fsanitize=fuzzer-no-link)
endif()
