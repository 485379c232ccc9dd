#!/bin/sh
# Puts what a machine with a card needs into a folder: the program and the conformance suite, stripped, and the shared
# libraries that such a machine may not have. The C library and the compiler's are the machine's own, which must not be
# older than those here.
#
#   tools/cuda_check/pack.sh BUILD_FOLDER OUT_FOLDER
set -eu
build=$1 out=$2
rm -rf "$out"
mkdir -p "$out/lib"
for program in oxidized_gpt_oss tests/conformance/conformance_test; do
  strip -o "$out/$(basename $program)" "$build/$program"
  ldd "$build/$program" | awk '$3 ~ /^\// { print $3 }' |
    grep -vE '/(libc|libm|libdl|librt|libpthread|libresolv|libstdc\+\+|libgcc_s)\.so' | while read -r library; do
    cp -L "$library" "$out/lib/"
  done
done
strip "$out"/lib/* 2>/dev/null || true
cp "$(dirname "$0")/check.sh" "$out/"
tar -C "$out" -cJf "$out.tar.xz" .
ls -l "$out.tar.xz"
