#!/usr/bin/env bash
# Trains the demonstration model from fixed seeds: tokenizer, then 10905 steps, then the checkpoint in OUT/model.
# Needs torch, transformers, tokenizers, safetensors and numpy; about ten minutes on one H100.
#   tools/demo_model/make.sh OUT
set -euo pipefail
here=$(dirname "${BASH_SOURCE[0]}")
mkdir -p "$1"
python3 "$here/tokenizer.py" "$1/tokenizer.json"
python3 "$here/train.py" --tokenizer "$1/tokenizer.json" --out "$1" --steps 10905
