#!/bin/bash
# On a machine with a card, in the repository's root: the conformance suite of the cuda row, each check in a process of
# its own; the demo model's text on the card beside the CPU's; memcheck; a first speed.
#
#   check.sh FOLDER_OF_pack.sh OUT [part...]     parts: conformance wide text memcheck speed [all but speed]
#
# OXIDIZED_CONFORMANCE=full adds to the checks; SANITIZER_SECONDS, MODEL and SPEED_TESTS change memcheck and speed. The
# suite looks for its goldens where it was built: make that path a link to tests/ here.
here=$1 out=$2
shift 2
parts=${*:-conformance wide text memcheck}
export LD_LIBRARY_PATH=$here/lib
suite=$here/conformance_test program=$here/oxidized_gpt_oss

run_checks() {  # name of the log, filter
  "$suite" --gtest_list_tests --gtest_filter="$2" | grep '^  Holds/' | awk '{ print "Devices/Conformance.Holds/" substr($1, 7) }' |
    xargs -P 12 -I{} sh -c 'r=$(timeout 120 "$0" --gtest_filter={} --gtest_brief=1 2>&1); rc=$?; echo "=== {} rc $rc
$r"' "$suite" >"$out/$1.txt"
  echo "$1: $(grep -c '^=== .* rc 0' "$out/$1.txt") checks hold, $(grep '^===' "$out/$1.txt" | grep -vc ' rc 0$') do not"
  grep '^===' "$out/$1.txt" | grep -v ' rc 0$'
}

answers() {  # device, precision
  for question in "What is 12 + 30?" "Who are you?" "Count from 3 to 9." "Name a colour." "Spell the word tree backwards." "What is the capital of France?"; do
    "$program" -m models/demo --device "$1" --precision "$2" --temperature 0 --date none --max-tokens 120 -p "$question" 2>>"$out/text_errors.txt"
    echo
  done
}

"$program" devices
for part in $parts; do
  echo "--- $part, second $SECONDS"
  case $part in
    conformance) run_checks conformance 'Devices/*cuda*-*wide*:*full_vocabulary*' ;;
    wide) run_checks wide 'Devices/*cuda*wide*:Devices/*cuda*full_vocabulary*' ;;
    text)
      for precision in f32 bf16; do
        answers cpu $precision >"$out/cpu_$precision.txt"
        answers cuda $precision >"$out/cuda_$precision.txt"
        cmp "$out/cpu_$precision.txt" "$out/cuda_$precision.txt" && echo "the same text in $precision: $(wc -c <"$out/cpu_$precision.txt") bytes"
      done
      head -v -n 100 "$out"/cpu_*.txt "$out"/cuda_*.txt "$out/text_errors.txt" >"$out/text.txt"
      rm -f "$out"/cpu_*.txt "$out"/cuda_*.txt "$out/text_errors.txt" ;;
    memcheck)
      sanitizer=$(command -v compute-sanitizer || ls /usr/local/cuda*/bin/compute-sanitizer 2>/dev/null | head -1)
      for tool in memcheck racecheck initcheck synccheck; do
        timeout "${SANITIZER_SECONDS:-60}" "$sanitizer" --tool $tool --print-limit 20 "$suite" --gtest_filter='*cuda_bf16_*several_samples:*cuda_bf16_capacity' >"$out/$tool.txt" 2>&1
        echo "$tool rc $?: $(tail -1 "$out/$tool.txt")"
      done
      tail -n 60 "$out"/{memcheck,racecheck,initcheck,synccheck}.txt >"$out/sanitizer.txt"
      rm -f "$out"/{memcheck,racecheck,initcheck,synccheck}.txt ;;
    speed)  # MODEL: a synthetic one that is there already
      model=${MODEL:-$(mktemp -d)/model}
      [ -n "$MODEL" ] || "$program" synth --preset gpt-oss-20b --out "$model" >/dev/null
      "$program" bench -m "$model" --device cuda --stages ${SPEED_TESTS:-tg128 b8 pp512} 2>&1 | tee "$out/speed.txt"
      [ -n "$MODEL" ] || rm -rf "$(dirname "$model")" ;;
  esac
done
