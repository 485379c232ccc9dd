"""Random weights of a gpt-oss checkpoint, in the published Hugging Face form, from numpy alone.

Scales are chosen so that a small random model behaves like a model: logits spread over several units, attention is
neither uniform nor one-hot, sinks take a visible share, and some gates exceed the clamp limit.
"""

import json
import math
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file

from .configs import Golden

FP4_VALUES = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6, -0.0, -0.5, -1, -1.5, -2, -3, -4, -6], dtype=np.float32)
FP4_RMS = float(np.sqrt(np.mean(FP4_VALUES**2)))


def _bf16(values: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(values.astype(np.float32)).to(torch.bfloat16)


def _mxfp4(rng: np.random.Generator, rows: tuple[int, ...], cols: int, gain: float) -> tuple[np.ndarray, np.ndarray]:
    """Blocks [*rows, cols/32, 16] and scales [*rows, cols/32]; every code occurs, scales vary from block to block."""
    blocks = rng.integers(0, 256, size=(*rows, cols // 32, 16), dtype=np.uint8)
    exponent = round(math.log2(gain / math.sqrt(cols) / FP4_RMS))
    scales = (127 + exponent + rng.integers(-1, 2, size=(*rows, cols // 32))).astype(np.uint8)
    return blocks, scales


def dequantise(blocks: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """[..., cols] of f32: the low nibble is the even element, value = table[code] * 2^(scale - 127)."""
    codes = np.stack([blocks & 15, blocks >> 4], axis=-1).reshape(*blocks.shape[:-1], 32)
    values = np.ldexp(FP4_VALUES[codes], scales.astype(np.int32)[..., None] - 127)
    return values.reshape(*values.shape[:-2], -1)


def random_weights(c: Golden, seed: int) -> dict[str, torch.Tensor]:
    rng = np.random.default_rng(seed)

    def matrix(rows, cols, gain):
        return _bf16(rng.standard_normal((rows, cols)) * gain / math.sqrt(cols))

    def vector(size, spread, mean=0.0):
        return _bf16(mean + spread * rng.standard_normal(size))

    tensors = {"model.embed_tokens.weight": _bf16(rng.standard_normal((c.vocab, c.hidden)))}
    query, kv = c.heads * c.head_dim, c.kv_heads * c.head_dim
    for n in range(c.layers):
        layer = f"model.layers.{n}."
        tensors[layer + "input_layernorm.weight"] = vector(c.hidden, 0.2, 1.0)
        for name, rows, gain in (("q", query, 1.0), ("k", kv, 1.0), ("v", kv, 1.0)):
            tensors[layer + f"self_attn.{name}_proj.weight"] = matrix(rows, c.hidden, gain)
            tensors[layer + f"self_attn.{name}_proj.bias"] = vector(rows, 0.3)
        tensors[layer + "self_attn.o_proj.weight"] = matrix(c.hidden, query, 1.5)
        tensors[layer + "self_attn.o_proj.bias"] = vector(c.hidden, 0.1)
        tensors[layer + "self_attn.sinks"] = vector(c.heads, 1.0, c.sink_mean)
        tensors[layer + "post_attention_layernorm.weight"] = vector(c.hidden, 0.2, 1.0)
        tensors[layer + "mlp.router.weight"] = matrix(c.experts, c.hidden, 1.5)
        tensors[layer + "mlp.router.bias"] = vector(c.experts, 0.3)
        for name, rows, cols, gain in (("gate_up", 2 * c.width, c.hidden, 2.5), ("down", c.hidden, c.width, 0.2)):
            blocks, scales = _mxfp4(rng, (c.experts, rows), cols, gain)
            tensors[layer + f"mlp.experts.{name}_proj_blocks"] = torch.from_numpy(blocks)
            tensors[layer + f"mlp.experts.{name}_proj_scales"] = torch.from_numpy(scales)
            bias = 0.2 * gain * rng.standard_normal((c.experts, rows))
            tensors[layer + f"mlp.experts.{name}_proj_bias"] = _bf16(bias)
    tensors["model.norm.weight"] = vector(c.hidden, 0.2, 1.0)
    tensors["lm_head.weight"] = matrix(c.vocab, c.hidden, 3.0)
    return tensors


def write_published_checkpoint(c: Golden, tensors: dict[str, torch.Tensor], folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(c.published_config(), indent=2) + "\n")
    (folder / "generation_config.json").write_text(json.dumps(c.generation_config(), indent=2) + "\n")
    if c.shards == 1:
        save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
        return
    # The published shards are numbered 0..n-1 "of n-1", and a layer may span two of them.
    names = sorted(tensors)
    weight_map = {}
    for shard in range(c.shards):
        part = names[shard * len(names) // c.shards : (shard + 1) * len(names) // c.shards]
        file = f"model-{shard:05d}-of-{c.shards - 1:05d}.safetensors"
        save_file({name: tensors[name] for name in part}, folder / file, metadata={"format": "pt"})
        weight_map.update({name: file for name in part})
    total = sum(t.numel() * t.element_size() for t in tensors.values())
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index, indent=2) + "\n")


def expected_f32(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The parameters that a float32 transformers model of these weights must hold, bit for bit."""
    expected = {}
    for name, tensor in tensors.items():
        if name.endswith("_blocks"):
            base = name.removesuffix("_blocks")
            matrix = dequantise(tensor.numpy(), tensors[base + "_scales"].numpy())
            expected[base] = torch.from_numpy(np.ascontiguousarray(matrix.swapaxes(-1, -2)))
        elif not name.endswith("_scales"):
            expected[name] = tensor.float()
    return expected
