#!/usr/bin/env bash
# The one way in: sets up, builds, runs and tests oxidized_gpt_oss on Debian and Ubuntu. `./build.sh help` lists the
# commands. Set-up and build write to stderr, so that stdout of `demo` is the model's answer.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

readonly PROGRAM=build/oxidized_gpt_oss
# Boost's headers: a release that Debian 12 has beside its older default; elsewhere the default.
boost=libboost-dev
grep -qx 'VERSION_CODENAME=bookworm' /etc/os-release 2>/dev/null && boost=libboost1.81-dev
readonly BUILD_PACKAGES=(g++ cmake ninja-build pkg-config python3 python3-numpy libcli11-dev nlohmann-json3-dev libsimdjson-dev
  libpcre2-dev libzstd-dev libfmt-dev libexpected-dev libedit-dev libssl-dev libcurl4-openssl-dev liburing-dev
  libgtest-dev "$boost")
readonly FUZZ_PACKAGES=(clang-19 libclang-rt-19-dev)
readonly ARM_PACKAGES=(g++-aarch64-linux-gnu qemu-user-static)
# What the emulated ARM64 build links against, unpacked into a folder of its own (nothing of it is installed).
readonly ARM_LIBRARIES=(libcli11-dev nlohmann-json3-dev libsimdjson-dev libpcre2-dev libzstd-dev libfmt-dev
  libexpected-dev libedit-dev libssl-dev libcurl4-openssl-dev liburing-dev libgtest-dev "$boost"
  libstdc++6)

usage() {
  cat <<TEXT
usage: ./build.sh [command]

  (none)                   install what is missing, build a release: $PROGRAM
  demo                     the same, then let the small model in models/demo answer a question
  test                     the same, then every unit, golden and corpus test, the layer check and the format check
  test --full              also repeated in random order, under AddressSanitizer + UBSan, under ThreadSanitizer, on
                           emulated ARM64, and a minute of each fuzz target
  test STAGE               one of these by itself: repeat, asan, tsan or aarch64
  test program-asan        the program under AddressSanitizer + UBSan through its end-to-end tests, and the fuzz corpora
  fuzz SECONDS [TARGET]    every fuzz target (or one) for so long, starting from its committed corpus
  format                   format the C++ sources in place with clang-format 19
  clean                    delete build/ and build-*/

Missing Debian or Ubuntu packages are named and installed with apt-get, as root or through sudo.
TEXT
}

say() { printf '== %s\n' "$*" >&2; }
die() { printf 'build.sh: %s\n' "$*" >&2; exit 1; }

# need PACKAGE...: installs those that are missing. Does nothing, and needs no root, when all are there.
need() {
  local missing=() package as_root=()
  if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
    command -v cmake >/dev/null && command -v ninja >/dev/null && return 0  # let CMake say what else is missing
    die "no apt-get on this system. Install the equivalents of these Debian packages and run again: $*"
  fi
  for package in "$@"; do
    [[ $(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null) == installed* ]] || missing+=("$package")
  done
  ((${#missing[@]})) || return 0
  if ((EUID != 0)); then
    command -v sudo >/dev/null || die "packages are missing; as root run: apt-get install ${missing[*]}"
    as_root=(sudo)
  fi
  say "installing ${missing[*]}"
  "${as_root[@]}" apt-get update -qq || say "apt-get update had errors; going on with the package lists at hand"
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends \
    "${missing[@]}" </dev/null >/dev/null || die "apt-get could not install: ${missing[*]}"
}

# Cores that this process may use, but one for each 1.5 GiB of free memory at most: a compiler needs about 1 GiB.
jobs_now() {
  local cores kib=0 limit
  cores=$(nproc)
  [[ -r /proc/meminfo ]] && kib=$(awk '/^MemAvailable/ {print $2}' /proc/meminfo)
  if [[ -r /sys/fs/cgroup/memory.max ]]; then
    limit=$(</sys/fs/cgroup/memory.max)
    [[ $limit != max ]] && ((kib == 0 || limit / 1024 < kib)) && kib=$((limit / 1024))
  fi
  ((kib > 0 && kib / 1572864 < cores)) && cores=$((kib / 1572864))
  echo $((cores > 0 ? cores : 1))
}

# build PRESET [TARGET...]: configures and builds. In CI a warning in the release build is an error.
build() {
  local preset=$1 folder strict=()
  [[ $preset == release && -n ${CI:-} ]] && strict=(-DOXIDIZED_WERROR=ON)
  folder=$(folder_of "$preset")
  shift
  say "building $preset in $folder/ ($(jobs_now) jobs)"
  cmake --preset "$preset" "${strict[@]}" >&2
  cmake --build "$folder" -j "$(jobs_now)" ${@:+--target "$@"} >&2
}

folder_of() { [[ $1 == release ]] && echo build || echo "build-$1"; }

# run_tests PRESET [ctest options]: ctest fails here when no test was found.
run_tests() {
  local preset=$1
  shift
  say "testing $preset"
  ctest --test-dir "$(folder_of "$preset")" --output-on-failure --no-tests=error -j "$(jobs_now)" "$@"
}

sources() { find src tests include examples -name '*.h' -o -name '*.cc' -o -name '*.cu' -o -name '*.cuh'; }

check_format() {
  if ! command -v clang-format-19 >/dev/null; then
    say "format check left out: clang-format-19 is not installed"
    return
  fi
  say "checking the format"
  sources | xargs clang-format-19 --dry-run -Werror || die "run ./build.sh format"
}

test_release() {
  need "${BUILD_PACKAGES[@]}"
  check_format
  build release
  run_tests release
}

# Unpacks the ARM64 libraries and their dependencies, with the system's own apt sources and keys but lists and status
# kept apart, so that neither the installed packages nor dpkg's architectures change.
unpack_arm_libraries() {
  local root=$PWD/build-aarch64-sysroot apt_state deb
  [[ -e $root/complete ]] && return 0
  grep -qx 'ID=debian' /etc/os-release || die "emulated ARM64 takes its libraries from Debian's archive: Debian only"
  say "unpacking the ARM64 libraries in ${root##*/}/"
  rm -rf "$root"
  apt_state=$root/apt
  mkdir -p "$apt_state"/{lists/partial,archives/partial}
  : >"$apt_state/status"
  local apt=(apt-get -qq -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o "Dir::State=$apt_state"
    -o "Dir::State::Lists=$apt_state/lists" -o "Dir::State::Status=$apt_state/status" -o "Dir::Cache=$apt_state"
    -o "Dir::Cache::Archives=$apt_state/archives" -o Debug::NoLocking=true -o APT::Sandbox::User="$(id -un)")
  "${apt[@]}" update
  "${apt[@]}" install -y --no-install-recommends --download-only "${ARM_LIBRARIES[@]}" >/dev/null
  for deb in "$apt_state"/archives/*.deb; do dpkg-deb -x "$deb" "$root"; done
  rm -r "$apt_state"
  touch "$root/complete"
}

test_repeat() {
  need "${BUILD_PACKAGES[@]}"
  build release
  run_tests release --repeat until-fail:5 --schedule-random
}

test_asan() {
  need "${BUILD_PACKAGES[@]}"
  build asan
  run_tests asan
}

# The part of `asan` that the gate runs: what a user meets, without the unit tests' build.
test_program_asan() {
  need "${BUILD_PACKAGES[@]}"
  build asan oxidized_gpt_oss fuzz_replays
  run_tests asan -R '^(e2e|fuzz)\.'
}

test_tsan() {
  need "${BUILD_PACKAGES[@]}"
  build tsan
  run_tests tsan
}

test_aarch64() {
  local cpu
  need "${BUILD_PACKAGES[@]}" "${ARM_PACKAGES[@]}"
  unpack_arm_libraries
  build aarch64
  run_tests aarch64
  # No tier may use more than it says: on processors that have dotprod alone, and nothing.
  for cpu in neoverse-n1 cortex-a72; do QEMU_CPU=$cpu run_tests aarch64 -R '^(kernels|tensor)_test\.'; done
}

test_full() {
  OXIDIZED_CONFORMANCE=full test_release  # the published vocabulary and the longest golden, too
  test_repeat
  test_asan
  test_tsan
  test_aarch64
  fuzz 60
  say "everything passed"
}

# fuzz_one TARGET SECONDS: one target over a copy of its corpus; a finding is kept and fails.
fuzz_one() {
  local name=$1 seconds=$2 scratch=build-fuzz/scratch/$1 log=build-fuzz/$1.log
  mkdir -p "$scratch" build-fuzz/findings
  cp -r "tests/fuzz/corpus/$name/." "$scratch"
  if ! "build-fuzz/bin/$name" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 -print_final_stats=1 \
    -artifact_prefix="build-fuzz/findings/$name-" "$scratch" >"$log" 2>&1; then
    tail -40 "$log"
    echo "$name: a finding, see build-fuzz/findings/$name-* and $log"
    return 1
  fi
  echo "$name: $(awk '/number_of_executed_units/ {print $2}' "$log") runs in $seconds s, no finding"
}

fuzz() {
  [[ ${1:-} =~ ^[1-9][0-9]*$ ]] || die "fuzz needs a number of seconds, for example: ./build.sh fuzz 60"
  local seconds=$1 targets
  need "${BUILD_PACKAGES[@]}" "${FUZZ_PACKAGES[@]}"
  build fuzz fuzzers
  targets=$(cd build-fuzz/bin && ls)
  if [[ -n ${2:-} ]]; then
    grep -qx "$2" <<<"$targets" || die "no fuzz target '$2'; there are:" $targets
    targets=$2
  fi
  say "fuzzing for $seconds s each:" $targets
  export -f fuzz_one
  xargs -P "$(jobs_now)" -I{} bash -c "fuzz_one {} $seconds" <<<"$targets" || die "fuzzing found something"
}

demo() {
  need "${BUILD_PACKAGES[@]}"
  build release oxidized_gpt_oss
  say "models/demo, a very small gpt-oss trained for this project: What is 48 * 76? (reasoning on stderr, answer on stdout)"
  "$PROGRAM" --prompt "What is 48 * 76?" --show-reasoning --temperature 0
}

case ${1:-} in
  "") need "${BUILD_PACKAGES[@]}"; build release oxidized_gpt_oss; say "built $PROGRAM" ;;
  demo) demo ;;
  test)
    case ${2:-} in
      "") test_release ;;
      --full) test_full ;;
      repeat | asan | tsan | aarch64) "test_$2" ;;
      program-asan) test_program_asan ;;
      *) die "test knows --full, repeat, asan, program-asan, tsan and aarch64, not '$2'" ;;
    esac ;;
  fuzz) shift; fuzz "$@" ;;
  format)
    need clang-format-19
    sources | xargs clang-format-19 -i ;;
  clean) rm -rf build build-*/ ;;
  help | -h | --help) usage ;;
  *) usage >&2; die "unknown command '$1'" ;;
esac
