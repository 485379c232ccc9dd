#!/usr/bin/env bash
# Trains the demonstration model from fixed seeds: tokenizer, then 13000 steps of a model of 8 layers and 16 331 136 parameters,
# then the checkpoint in OUT/model; what was printed is in OUT/log. Options are handed to train.py. A tokenizer that is in OUT is
# kept: it needs no GPU and can be made before. Needs torch, transformers, tokenizers, safetensors and numpy; a quarter
# of an hour on one H200.
#   tools/demo_model/make.sh OUT [OPTIONS]
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
out=$1
shift
mkdir -p "$out"
[[ -e $out/tokenizer.json ]] || python3 "$here/tokenizer.py" "$out/tokenizer.json"
python3 "$here/train.py" --tokenizer "$out/tokenizer.json" --out "$out" --steps 13000 "$@" | tee -a "$out/log"
