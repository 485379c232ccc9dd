#!/usr/bin/env python3
"""Checks GGUF reading end to end against the PyPI `gguf` package: for each tensor type a small random gpt-oss model is
written by gguf.GGUFWriter in llama.cpp's conventions, and, from the values that the package itself dequantises, as a
Hugging Face folder in F32. The program must give the same logits, bit for bit, for both.

  tools/gguf_check.py PROGRAM [--keep FOLDER]

Needs numpy, safetensors and gguf. Not part of ctest.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import gguf
import numpy as np
from gguf import GGMLQuantizationType as Type
from safetensors.numpy import save_file

L, M, H, G, D, E, K, F, V, WINDOW = 2, 256, 8, 2, 32, 4, 2, 256, 320, 8
PROMPT = list(range(3, 300, 9))
# name: dense type, expert type, files
CASES = {
    "f32": (Type.F32, Type.F32, 1),
    "f16": (Type.F16, Type.F16, 1),
    "bf16": (Type.BF16, Type.BF16, 1),
    "mxfp4 as published in GGUF": (Type.Q8_0, Type.MXFP4, 1),
    "mxfp4 in shards": (Type.Q8_0, Type.MXFP4, 5),
    "everything mxfp4": (Type.MXFP4, Type.MXFP4, 1),
    **{t.name: (t, t, 1) for t in (Type.Q8_0, Type.Q4_0, Type.Q4_1, Type.Q5_0, Type.Q5_1, Type.IQ4_NL, Type.Q4_K,
                                   Type.Q5_K, Type.Q6_K)},
    "Q4_K dense": (Type.Q4_K, Type.MXFP4, 1),
}  # fmt: skip
F16_FIELDS = {Type.IQ4_NL: (0,), Type.Q4_K: (0, 2), Type.Q5_K: (0, 2), Type.Q6_K: (208,)}
SPREAD = {Type.IQ4_NL: 70.0, Type.Q4_K: 400.0, Type.Q5_K: 900.0, Type.Q6_K: 1400.0}


def stored(rng, values, qtype):
    """(bytes as GGUFWriter takes them, the values they stand for)."""
    if qtype in (Type.F32, Type.F16):
        data = values.astype(np.float32 if qtype == Type.F32 else np.float16)
        return data, data.astype(np.float32)
    if qtype in F16_FIELDS:  # the package reads these but cannot make them: random blocks of the same spread
        elements, size = gguf.GGML_QUANT_SIZES[qtype]
        blocks = rng.integers(0, 256, (values.size // elements, size), dtype=np.uint8)
        for at in F16_FIELDS[qtype]:
            scale = rng.standard_normal(len(blocks)) * np.std(values) / SPREAD[qtype]
            blocks[:, at : at + 2] = scale.astype(np.float16)[:, None].view(np.uint8)
        data = blocks.reshape(*values.shape[:-1], -1)
    else:
        data = gguf.quants.quantize(values, qtype)
    return data, gguf.quants.dequantize(data, qtype).reshape(values.shape)


def make(rng, dense, experts):
    """name: (bytes, type, shape, values) under llama.cpp's names."""
    tensors = {}

    def add(name, qtype, shape, spread, mean=0.0):
        data, values = stored(rng, (mean + spread * rng.standard_normal(shape)).astype(np.float32), qtype)
        tensors[name] = (data, qtype, values)

    add("token_embd.weight", dense, (V, M), 1.0)
    for n in range(L):
        b = f"blk.{n}."
        add(b + "attn_norm.weight", Type.F32, (M,), 0.2, 1.0)
        for name, rows in (("q", H * D), ("k", G * D), ("v", G * D)):
            add(b + f"attn_{name}.weight", dense, (rows, M), M**-0.5)
            add(b + f"attn_{name}.bias", Type.F32, (rows,), 0.3)
        add(b + "attn_output.weight", dense, (M, H * D), 1.5 * (H * D) ** -0.5)
        add(b + "attn_output.bias", Type.F32, (M,), 0.1)
        add(b + "attn_sinks.weight", Type.F32, (H,), 1.0, 1.5)
        add(b + "post_attention_norm.weight", Type.F32, (M,), 0.2, 1.0)
        add(b + "ffn_gate_inp.weight", Type.F32, (E, M), 1.5 * M**-0.5)
        add(b + "ffn_gate_inp.bias", Type.F32, (E,), 0.3)
        for name, rows, cols, gain in (("gate", F, M, 2.5), ("up", F, M, 2.5), ("down", M, F, 0.2)):
            add(b + f"ffn_{name}_exps.weight", experts, (E, rows, cols), gain * cols**-0.5)
            add(b + f"ffn_{name}_exps.bias", Type.F32, (E, rows), 0.2 * gain)
    add("output_norm.weight", Type.F32, (M,), 0.2, 1.0)
    add("output.weight", dense, (V, M), 3.0 * M**-0.5)
    return tensors


def write_gguf(path, tensors, files):
    shards = -(-len(tensors) // files) if files > 1 else 0
    writer = gguf.GGUFWriter(path, "gpt-oss", split_max_tensors=shards)
    writer.add_block_count(L)
    writer.add_context_length(131072)
    writer.add_embedding_length(M)
    writer.add_feed_forward_length(F)
    writer.add_expert_feed_forward_length(F)
    writer.add_expert_count(E)
    writer.add_expert_used_count(K)
    writer.add_head_count(H)
    writer.add_head_count_kv(G)
    writer.add_key_length(D)
    writer.add_value_length(D)
    writer.add_sliding_window(WINDOW)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(150000.0)
    writer.add_rope_scaling_type(gguf.RopeScalingType.YARN)
    writer.add_rope_scaling_factor(32.0)
    writer.add_rope_scaling_orig_ctx_len(4096)
    for name, (data, qtype, _) in tensors.items():
        writer.add_tensor(name, data, raw_dtype=qtype)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def write_hf(folder, tensors):
    values = {name: v for name, (_, _, v) in tensors.items()}
    hf = {"model.embed_tokens.weight": values["token_embd.weight"], "model.norm.weight": values["output_norm.weight"],
          "lm_head.weight": values["output.weight"]}  # fmt: skip
    for n in range(L):
        b, to = f"blk.{n}.", f"model.layers.{n}."
        for ours, theirs in (("attn_norm", "input_layernorm"), ("attn_q", "self_attn.q_proj"),
                             ("attn_k", "self_attn.k_proj"), ("attn_v", "self_attn.v_proj"),
                             ("attn_output", "self_attn.o_proj"), ("ffn_gate_inp", "mlp.router"),
                             ("post_attention_norm", "post_attention_layernorm")):  # fmt: skip
            for part in (".weight", ".bias"):
                if b + ours + part in values:
                    hf[to + theirs + part] = values[b + ours + part]
        hf[to + "self_attn.sinks"] = values[b + "attn_sinks.weight"]
        gate, up, down = (values[b + f"ffn_{name}_exps.weight"] for name in ("gate", "up", "down"))
        hf[to + "mlp.experts.gate_up_proj"] = np.stack([gate, up], 2).reshape(E, 2 * F, M).swapaxes(1, 2)
        hf[to + "mlp.experts.down_proj"] = down.swapaxes(1, 2)
        gate, up, down = (values[b + f"ffn_{name}_exps.bias"] for name in ("gate", "up", "down"))
        hf[to + "mlp.experts.gate_up_proj_bias"] = np.stack([gate, up], 2).reshape(E, 2 * F)
        hf[to + "mlp.experts.down_proj_bias"] = down
    folder.mkdir()
    save_file({name: np.ascontiguousarray(v) for name, v in hf.items()}, folder / "model.safetensors")
    config = {"model_type": "gpt_oss", "num_hidden_layers": L, "hidden_size": M, "num_attention_heads": H,
              "num_key_value_heads": G, "head_dim": D, "num_local_experts": E, "num_experts_per_tok": K,
              "intermediate_size": F, "vocab_size": V, "sliding_window": WINDOW, "rope_theta": 150000,
              "rope_scaling": {"rope_type": "yarn", "factor": 32.0, "original_max_position_embeddings": 4096,
                               "beta_fast": 32.0, "beta_slow": 1.0, "truncate": False}}  # fmt: skip
    (folder / "config.json").write_text(json.dumps(config))


def logits(program, model, folder):
    ids, out = folder / "ids.json", folder / "logits.npy"
    ids.write_text(" ".join(map(str, PROMPT)))
    command = [program, "logits", "--model-path", model, "--executor", "reference", "--tokens", ids, "--out", out]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    return np.load(out)


def check(program, name, case, folder):
    rng = np.random.default_rng(sum(map(ord, name)))
    dense, experts, files = case
    tensors = make(rng, dense, experts)
    write_gguf(folder / "model.gguf", tensors, files)
    write_hf(folder / "hf", tensors)
    model = folder / "model.gguf"
    if files > 1:
        model = sorted(folder.glob("model-*.gguf"))[-1]  # any shard opens all
    found, expected = logits(program, model, folder), logits(program, folder / "hf", folder)
    spread = float(expected.std())
    same = found.shape == (len(PROMPT), V) and np.array_equal(found, expected) and 0.5 < spread < 50
    worst = float(np.abs(found - expected).max()) if found.shape == expected.shape else float("nan")
    print(f"{'ok' if same else 'FAILED':6} {name:28} spread of the logits {spread:6.2f}, largest difference {worst:g}")
    return same


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("program", type=Path)
    parser.add_argument("--keep", type=Path, help="write the models here and leave them")
    options = parser.parse_args()
    good = True
    with tempfile.TemporaryDirectory() as temporary:
        for name, case in CASES.items():
            folder = (options.keep or Path(temporary)) / name.replace(" ", "-")
            folder.mkdir(parents=True)
            try:
                good &= check(options.program.resolve(), name, case, folder)
            except subprocess.CalledProcessError as error:
                print(f"FAILED {name}: {error.stderr.strip()}")
                good = False
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
